//! `broken-off`: a connection that is closed before the answer, and what is said of the item afterwards.

use std::slice::from_ref;
use std::time::Duration;

use super::judge::{Found, Status};
use super::posting::{batch, is, known};
use super::run::{Left, Outcome, Run};
use super::talk::Ask;
use crate::event::Id;

/// So long after its request left a connection is closed; where the answer was quicker, the next one is closed sooner.
pub(super) const CUTS: &[Duration] = &[Duration::from_millis(5), Duration::from_millis(2), Duration::from_millis(1)];

impl Run {
    pub(super) async fn broken_off(&mut self) -> Outcome {
        for after in self.cuts {
            let item = self.fresh();
            let ask = batch(from_ref(&item));
            let closed = self.talk.broken_off(&ask, *after).await?;
            let found = self.agrees(&ask, item.key).await?;
            if closed {
                return Ok(Some(Left::Noted(format!("it was {} afterwards", found.word()))));
            }
        }
        let soonest = self.cuts.last().map_or(0, Duration::as_millis);
        Left::because(&format!(
            "each answer came before the connection could be closed, even {soonest} ms after the request left: run it from \
             further away, or let the endpoint wait a little before it answers"
        ))
    }

    /// Whether the same bytes again are answered as a lookup says; what that says.
    async fn agrees(&mut self, ask: &Ask, key: Id) -> Result<Found, String> {
        let mut found = self.talk.settled(key).await?;
        if found == Found::Absent {
            self.talk.wait(self.discovery.settle_delay_s, "the key is absent, which counts after settle_delay_s").await;
            found = self.talk.settled(key).await?;
        }
        let posted = self.talk.post(ask).await?;
        match &found {
            Found::Present { reference, .. } => known(&posted.items[0], reference, self.discovery.jobs)
                .map_err(|why| format!("lookup said present, and then {why}"))?,
            _ => is(&posted, &[(Status::Posted, "")])
                .map_err(|why| format!("lookup said absent after settle_delay_s, and then {why}"))?,
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use serde_json::{Value, json};

    use super::super::discovery::tests::page;
    use super::super::run::End;
    use super::super::talk::Talk;
    use super::*;
    use crate::event::Millis;
    use crate::lane::AnswerShape;
    use crate::target::{Base, Config, Http, Tls, Wire};

    /// Later than any answer; and the next one sooner than that.
    const LATE: &[Duration] = &[Duration::from_secs(10), Duration::from_secs(9)];
    const SOONER: &[Duration] = &[Duration::from_secs(10), Duration::from_millis(20)];

    /// An endpoint that answers at once, but its `hanging`th POST when the connection is closed: its address.
    fn endpoint(hanging: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let (mut booked, mut posts) = (BTreeMap::new(), 0);
            for stream in listener.incoming().flatten() {
                drop(answer(stream, &mut booked, || {
                    posts += 1;
                    posts == hanging
                })); // who has gone away wants none
            }
        });
        format!("http://{address}/v1/events")
    }

    fn answer(
        stream: TcpStream,
        booked: &mut BTreeMap<String, Value>,
        mut hangs: impl FnMut() -> bool,
    ) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while reader.read_line(&mut head)? > 2 {
            let line = head.lines().last().unwrap_or_default().to_lowercase();
            length = line.strip_prefix("content-length: ").and_then(|n| n.parse().ok()).unwrap_or(length);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let said = if head.starts_with("GET /v1/contract") {
            let mut page = page();
            page["settle_delay_s"] = json!(0);
            page
        } else if let Some((_, key)) = head.split_once("lookup?key=") {
            let key = &key[..36];
            let found = booked.get(key).map_or_else(
                || json!({ "key": key, "status": "absent" }),
                |print| json!({ "key": key, "status": "present", "reference": "DOC-1", "fingerprint": print }),
            );
            json!({ "results": [found] })
        } else {
            if hangs() {
                drop(reader.read_to_end(&mut Vec::new())); // however it ends
            }
            let batch: Value = serde_json::from_slice(&body)?;
            let (key, print) = (batch["events"][0]["key"].clone(), batch["events"][0]["fingerprint"].clone());
            let known = booked.insert(key.as_str().unwrap_or_default().to_owned(), print).is_some();
            let status = if known { "duplicate" } else { "posted" };
            json!({ "results": [{ "key": key, "status": status, "reference": "DOC-1" }] })
        };
        let said = said.to_string();
        write!(
            reader.into_inner(),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
            said.len()
        )
    }

    async fn ended(cuts: &'static [Duration], hanging: usize) -> (End, String) {
        let config = Config {
            id: "erp".to_owned(),
            url: endpoint(hanging),
            answers: AnswerShape::default(),
            wire: Wire::Contract,
            content_type: "application/json",
            gzip: false,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            lookup: None,
            login: None,
            tls: Tls::default(),
        };
        let base = Base::of(&config.url).expect("it ends so");
        let talk = Talk::new(Http::new(config).expect("an address"), base, |_| {});
        let of = (("dc1", "erp"), ("test".to_owned(), Millis(1_763_906_709_412)));
        let mut run = Run::begin(talk, None, of.0, of.1).await.expect("it answers");
        run.cuts = cuts;
        let done = run.go(&["broken-off".to_owned()], false, |_| {}).await.remove(0);
        (done.end, done.why.unwrap_or_default())
    }

    #[tokio::test]
    async fn it_is_left_out_where_no_connection_could_be_closed_in_time() {
        let (end, why) = ended(LATE, 0).await;
        assert_eq!(end, End::LeftOut, "{why}");
        assert!(why.starts_with("each answer came before the connection could be closed, even 9000 ms after"), "{why}");
        let (end, why) = ended(SOONER, 3).await;
        assert_eq!((end, why.as_str()), (End::Ok, "it was present afterwards"), "the next one is closed sooner: {why}");
    }
}
