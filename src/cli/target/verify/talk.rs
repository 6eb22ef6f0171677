//! Speaking with the endpoint: every request, what came, and the waiting for what is not decided yet.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::judge::{self, Found, Item, Status};
use crate::cli::print;
use crate::event::{Id, batch_id, traceparent};
use crate::lane::Reply;
use crate::target::{Base, Heard, Http, Probe, Shown};

/// A request of a check, and its answer, for people.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Exchange {
    pub(super) sent: String,
    pub(super) came: String,
}

/// How long a job or a key that is being worked on is asked for.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two questions, at first and at most.
const ASK: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];
/// How long all requests of a run that are put off (429) are waited for, together; each that does not say how long; and each at least.
const PUT_OFF: Duration = Duration::from_mins(1);
const PUT_OFF_EACH: Duration = Duration::from_secs(5);
const PUT_OFF_LEAST: Duration = Duration::from_secs(1);
/// Between two questions for a job, whatever it asks for.
const LONGEST: Duration = Duration::from_secs(30);
/// Bytes of a body that are shown.
const SHOWN: usize = 4_096;

/// One endpoint, and what was said.
#[derive(Debug)]
pub(super) struct Talk {
    http: Http,
    pub(super) base: Base,
    /// Of the check that runs.
    pub(super) exchanges: Vec<Exchange>,
    /// The first job that was answered with: its address, and what it came to.
    pub(super) job: Option<(String, Value)>,
    /// For so long requests were put off by now.
    waited: Duration,
    /// It asks for fewer requests, for longer than is waited here …
    pub(super) put_off: bool,
    /// … with this `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// Something is waited for: told to people.
    progress: fn(&str),
}

/// What was posted, and what became of it.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) items: Vec<Item>,
    /// Where it was answered with 202: the job.
    pub(super) job: Option<String>,
}

/// A request to make.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub(super) path: &'static str,
    /// Of a lookup.
    pub(super) keys: Vec<String>,
    /// Another version of the contract than 1.
    pub(super) version: Option<&'static str>,
    /// Another `Content-Type` than JSON.
    pub(super) media: Option<&'static str>,
    /// A secret of our making instead of ours.
    pub(super) wrong: Option<String>,
    /// No credentials at all.
    pub(super) bare: bool,
    pub(super) gzip: bool,
    /// Of a POST.
    pub(super) body: Option<Vec<u8>>,
    /// The keys in the body, which name the batch.
    pub(super) ids: Vec<Id>,
}

impl Ask {
    pub(super) fn contract() -> Self {
        Self { path: "/contract", ..Self::default() }
    }

    pub(super) fn lookup(keys: Vec<String>) -> Self {
        Self { path: "/lookup", keys, ..Self::default() }
    }

    /// `ids`: the keys in the body, which name the batch.
    pub(super) fn events(body: Vec<u8>, ids: &[Id]) -> Self {
        Self { path: "/events", body: Some(body), ids: ids.to_vec(), ..Self::default() }
    }
}

impl Talk {
    pub(super) fn new(http: Http, base: Base, progress: fn(&str)) -> Self {
        Self {
            http,
            base,
            exchanges: Vec::new(),
            job: None,
            waited: Duration::ZERO,
            put_off: false,
            retry_after: None,
            progress,
        }
    }

    fn probe(&self, ask: &Ask) -> Probe {
        let mut headers = vec![
            ("accept", "application/json, application/problem+json".to_owned()),
            ("floorgate-contract", ask.version.unwrap_or("1").to_owned()),
        ];
        if ask.body.is_some() {
            let batch = batch_id(&ask.ids);
            headers.push(("content-type", ask.media.unwrap_or("application/json").to_owned()));
            headers.push(("idempotency-key", format!("\"{batch}\"")));
            headers.push(("traceparent", traceparent(batch, batch, 1).to_string()));
        }
        let keys: Vec<(&str, String)> = ask.keys.iter().map(|key| ("key", key.clone())).collect();
        Probe {
            url: self.base.at(ask.path, &keys),
            headers,
            body: ask.body.clone(),
            gzip: ask.gzip,
            shown: match &ask.wrong {
                _ if ask.bare => Shown::Nothing,
                Some(wrong) => Shown::Wrong(wrong.clone()),
                None => Shown::Ours,
            },
        }
    }

    /// Sends it, again where it is put off, and keeps both sides for people.
    pub(super) async fn say(&mut self, ask: &Ask) -> Result<Heard, Reply> {
        let probe = self.probe(ask);
        self.send(ask, &probe).await
    }

    async fn send(&mut self, ask: &Ask, probe: &Probe) -> Result<Heard, Reply> {
        loop {
            let heard = self.http.probe(probe).await;
            self.keep(ask, probe, &heard);
            match heard {
                Ok(heard) if heard.status == 429 => {
                    let asked = if heard.retry_after.is_none() { Some(PUT_OFF_EACH) } else { wait_of(&heard) };
                    let wait = asked.map(|asked| asked.max(PUT_OFF_LEAST));
                    let Some(wait) = wait.filter(|wait| self.waited.saturating_add(*wait) <= PUT_OFF) else {
                        (self.put_off, self.retry_after) = (true, heard.retry_after.clone());
                        return Ok(heard);
                    };
                    self.waited += wait;
                    (self.progress)(&format!("it asks for fewer requests: waiting {} s", wait.as_secs()));
                    sleep(wait).await;
                }
                heard => return heard,
            }
        }
    }

    fn keep(&mut self, ask: &Ask, probe: &Probe, heard: &Result<Heard, Reply>) {
        let mut sent = vec![format!("{} {}", if ask.body.is_some() { "POST" } else { "GET" }, probe.url)];
        let headers = [("Floorgate-Contract", ask.version), ("Content-Type", ask.media)];
        sent.extend(headers.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?))));
        sent.extend(ask.wrong.iter().map(|_| "with credentials that are wrong".to_owned()));
        sent.extend(ask.bare.then(|| "without credentials".to_owned()));
        sent.extend(ask.body.as_deref().map(shown));
        let sent = sent.join("\n");
        let came = match heard {
            Ok(heard) => came(heard),
            Err(reply) => format!("nothing: {}", why(reply)),
        };
        self.exchanges.push(Exchange { sent, came });
    }

    /// An answer, or one sentence that says that none came.
    pub(super) async fn hear(&mut self, ask: &Ask) -> Result<Heard, String> {
        self.say(ask).await.map_err(|reply| format!("there is no answer: {}", why(&reply)))
    }

    pub(super) async fn lookup(&mut self, keys: &[Id]) -> Result<Vec<Found>, String> {
        let keys: Vec<String> = keys.iter().map(Id::to_string).collect();
        let heard = self.hear(&Ask::lookup(keys.clone())).await?;
        judge::lookup(&heard, &keys).map_err(|why| format!("lookup: {why}"))
    }

    /// What is known of one key, once nobody works on it any more.
    pub(super) async fn settled(&mut self, key: Id) -> Result<Found, String> {
        let (by, mut wait) = (Instant::now() + PATIENCE, ASK[0]);
        loop {
            let found = self.lookup(&[key]).await?.remove(0);
            if found != Found::Processing {
                return Ok(found);
            }
            if Instant::now() >= by {
                return Err(format!("lookup says processing of {key} for {} s", PATIENCE.as_secs()));
            }
            (self.progress)("it is still working on a key: asking again");
            sleep(wait).await;
            wait = (wait * 2).min(ASK[1]);
        }
    }

    /// Posts, and follows a 202 and items that are `accepted` to their end.
    pub(super) async fn post(&mut self, ask: &Ask) -> Result<Posted, String> {
        let heard = self.hear(ask).await?;
        self.answered(ask, heard).await
    }

    /// What a request that was answered so came to.
    pub(super) async fn answered(&mut self, ask: &Ask, heard: Heard) -> Result<Posted, String> {
        let keys: Vec<String> = ask.ids.iter().map(Id::to_string).collect();
        if heard.status == 202 {
            let (job, body) = self.follow(&heard).await?;
            let items = judge::results(&body, &keys).map_err(|why| format!("the job's results: {why}"))?;
            if items.iter().any(|item| item.status == Status::Accepted) {
                return Err("a job that is done has an item that is `accepted`".to_owned());
            }
            return Ok(Posted { items, job: Some(job) });
        }
        let mut items = judge::results(&judge::json(&heard, 200)?, &keys)?;
        for (item, key) in items.iter_mut().zip(&ask.ids) {
            if item.status == Status::Accepted {
                *item = match self.settled(*key).await? {
                    Found::Present { reference, .. } => {
                        Item { status: Status::Posted, reason: String::new(), reference }
                    }
                    _ => Item { status: Status::Rejected, reason: String::new(), reference: String::new() },
                };
            }
        }
        Ok(Posted { items, job: None })
    }

    /// The job of a 202, when it is done: where it is, and its body.
    async fn follow(&mut self, heard: &Heard) -> Result<(String, Value), String> {
        let location =
            heard.location.as_deref().ok_or("a 202 comes without a `Location`: nobody can ask for its job")?;
        let url = self.base.follow("/events", location)?;
        judge::job(heard, 202).map_err(|why| format!("the 202: {why}"))?;
        let (by, mut wait, mut last) = (Instant::now() + PATIENCE, wait_of(heard).unwrap_or(ASK[0]), heard.clone());
        loop {
            (self.progress)("it answers later: waiting for the job");
            sleep(wait.min(LONGEST)).await;
            wait = wait_of(&last).unwrap_or((wait * 2).min(ASK[1]));
            last = self.job(&url).await?;
            if let Some(body) = judge::job(&last, 200).map_err(|why| format!("the job: {why}"))? {
                self.job.get_or_insert_with(|| (url.clone(), body.clone()));
                return Ok((url, body));
            }
            if Instant::now() >= by {
                return Err(format!("the job is not done after {} s", PATIENCE.as_secs()));
            }
        }
    }

    /// What is at the address of a job.
    pub(super) async fn job(&mut self, url: &str) -> Result<Heard, String> {
        self.job_asked(url, &Ask::default()).await
    }

    /// The same, with other credentials.
    pub(super) async fn job_asked(&mut self, url: &str, ask: &Ask) -> Result<Heard, String> {
        let probe = Probe { url: url.to_owned(), ..self.probe(ask) };
        self.send(ask, &probe).await.map_err(|reply| format!("there is no answer: {}", why(&reply)))
    }

    /// The same request twice at once.
    pub(super) async fn both(&mut self, ask: &Ask) -> Result<[Heard; 2], String> {
        let probe = self.probe(ask);
        let (one, other) = tokio::join!(self.http.probe(&probe), self.http.probe(&probe));
        for heard in [&one, &other] {
            self.keep(ask, &probe, heard);
        }
        let heard = |reply| format!("one of two requests at once has no answer: {}", why(&reply));
        Ok([one.map_err(heard)?, other.map_err(heard)?])
    }

    /// Sends it and closes the connection `after` that; whether that was before the answer.
    pub(super) async fn broken_off(&mut self, ask: &Ask, after: Duration) -> Result<bool, String> {
        let probe = self.probe(ask);
        let cut = self.http.cut(&probe, after).await;
        let cut = cut.map_err(|reply| format!("the request to break off: {}", why(&reply)))?;
        let heard = cut.ok_or_else(|| Reply::Lost("the connection was closed by us".to_owned()));
        self.keep(ask, &probe, &heard);
        Ok(heard.is_err())
    }

    pub(super) async fn wait(&self, seconds: u64, what: &str) {
        (self.progress)(&format!("{what}: waiting {seconds} s"));
        sleep(Duration::from_secs(seconds)).await;
    }
}

/// `Retry-After` in seconds.
fn wait_of(heard: &Heard) -> Option<Duration> {
    heard.retry_after.as_deref()?.trim().parse().ok().map(Duration::from_secs)
}

/// Why there is no answer.
pub(super) fn why(reply: &Reply) -> String {
    match reply {
        Reply::NotSent(why) | Reply::Refused(why) | Reply::Lost(why) => why.clone(),
        Reply::Http { status, .. } => format!("HTTP {status}"),
    }
}

fn came(heard: &Heard) -> String {
    let kind = Some(heard.content_type.clone()).filter(|kind| !kind.is_empty());
    let headers = [
        ("Content-Type", kind.as_ref()),
        ("Location", heard.location.as_ref()),
        ("Retry-After", heard.retry_after.as_ref()),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?)));
    let lines = [format!("HTTP {}", heard.status)].into_iter().chain(headers).chain([shown(&heard.body)]);
    lines.collect::<Vec<_>>().join("\n")
}

/// The beginning of a body, fit for a terminal.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    let more = if body.len() > SHOWN { format!("… ({} bytes)", body.len()) } else { String::new() };
    let lines: Vec<String> = text.lines().map(print::without_control).collect();
    format!("{}{more}", lines.join("\n"))
}
