//! `floorgate trace`: one shipment followed from the bytes that came to the document, beside a running gateway, a stopped one,
//! and in a copy.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::world::{
    Behaviour, Broker, Erp, Gateway, ItemResult, Scanner, Settings, Site, mosquitto, note, run_to_end, wait_for,
};

const CARTON: &str = "395212345000000125";
const ITEM: &str = "4006381333931";

struct Followed {
    _broker: Broker,
    erp: Erp,
    site: Site,
    gateway: Gateway,
    scanner: Scanner,
    seq: u32,
}

impl Followed {
    fn start() -> Option<Self> {
        let mosquitto = mosquitto()?;
        let (broker, erp) = (Broker::start(&mosquitto, Settings::Shipped), Erp::start());
        let site = Site::new().broker(broker.port, 5).erp(&erp.url());
        let gateway = Gateway::start(&site);
        let scanner = Scanner::connect(broker.port, "hand");
        wait_for("the gateway to subscribe", || gateway.log().contains("connected to the broker"));
        Some(Self { _broker: broker, erp, site, gateway, scanner, seq: 0 })
    }

    fn scan(&mut self, barcode: &str) {
        self.seq += 1;
        let payload =
            format!(r#"{{"barcode":"{barcode}","ts":"2026-11-26T01:54:00Z","boot":"b7","seq":{}}}"#, self.seq);
        self.scanner.publish("dc1/scan/A1/read", payload.as_bytes());
        self.scanner.flush();
    }

    fn trace(&self, word: &str) -> Value {
        let (code, said) = self.gateway.say(&["trace", word, "--json"]);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str(&said).expect("trace --json writes JSON")
    }

    fn state(&self, word: &str, event: usize) -> String {
        let (_, said) = self.gateway.say(&["trace", word, "--json"]);
        let told: Value = serde_json::from_str(&said).expect("trace --json writes JSON");
        told["events"][event]["deliveries"][0]["state"].as_str().unwrap_or_default().to_owned()
    }
}

/// Class and HTTP status of each attempt.
fn attempts(delivery: &Value) -> Vec<(String, Option<u64>)> {
    let list = delivery["attempts"].as_array().expect("attempts");
    list.iter().map(|one| (one["class"].as_str().expect("a class").to_owned(), one["status"].as_u64())).collect()
}

fn copied(from: &Path, to: &Path) {
    for name in ["outbox.db", "outbox.db-wal"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).expect("the database can be copied");
        }
    }
}

#[test]
fn a_shipment_is_followed_from_its_sample_through_each_attempt_to_the_document() {
    let Some(mut floor) = Followed::start() else { return };
    floor.erp.behave(|request| match request.number {
        1 => Behaviour::Status(503, None),
        2 => Behaviour::DropAfter,
        _ => Behaviour::Answer,
    });
    floor.scan(&format!("00{CARTON}"));
    wait_for("the carton at the ERP", || floor.state(CARTON, 0) == "delivered");
    let told = floor.trace(&format!("]C100{CARTON}"));
    let event = &told["events"][0];
    let posting = &event["deliveries"][0];
    assert_eq!((&event["device"], &event["epoch"], &event["number"]), (&"hand-A1".into(), &"d:b7".into(), &"1".into()));
    assert_eq!((&event["fields"]["station"], &event["map"]), (&"A1".into(), &"hand-scanner@1".into()));
    assert!(event["text"].as_str().is_some_and(|text| text.contains("\"boot\":\"b7\"")), "{event}");
    let heard = [("unknown", Some(503)), ("unknown", None), ("duplicate", Some(200))];
    assert_eq!(attempts(posting), heard.map(|(class, status)| (class.to_owned(), status)), "{posting}");
    let tried = posting["attempts"].as_array().expect("attempts");
    for (n, pair) in tried.windows(2).enumerate() {
        let (answered, next) = (pair[0]["answered_at"].as_i64(), pair[1]["sent_at"].as_i64());
        assert!(pair[0]["sent_at"].as_i64() <= answered && answered <= next, "attempt {n}: {tried:?}");
        assert!(pair[0]["next_at"].as_i64() <= next, "attempt {n}: it came before its time: {tried:?}");
        assert_eq!(pair[1]["attempt"], n + 2);
    }
    assert_eq!((&posting["how"], &posting["reference"]), (&"duplicate".into(), &"DOC-1".into()));
    let key = posting["key"].as_str().expect("a key").to_owned();
    let trace_id = event["id"].as_str().expect("an id").replace('-', "");
    let traceparent = posting["traceparent"].as_str().expect("a traceparent").to_owned();
    let sent = floor.erp.requests()[0].body.clone();
    assert!(String::from_utf8_lossy(&sent).contains(&format!("\"traceparent\":\"{traceparent}\"")), "as it was sent");
    let batch = tried[0]["batch_id"].as_str().expect("the batch's id").to_owned();
    let short = posting["short_ref"].as_str().expect("a short form").to_owned();
    for word in [&key, &short, &trace_id, &traceparent, &batch, &"#1".to_owned()] {
        assert_eq!(floor.trace(word)["events"][0]["id"], event["id"], "{word}");
    }
}

#[test]
fn what_is_refused_is_told_in_a_sentence_with_what_waits_behind_it_running_stopped_or_copied() {
    let Some(mut floor) = Followed::start() else { return };
    floor.scan(&format!("00{CARTON}"));
    wait_for("the first passage at the ERP", || floor.state(CARTON, 0) == "delivered");
    floor.erp.behave_for_items(|effect| if effect.subject == CARTON { ItemResult::Reject } else { ItemResult::Retry });
    floor.erp.go_away();
    floor.scan(&format!("00{CARTON}"));
    floor.scan(ITEM);
    wait_for("attempts in vain", || {
        floor.trace(CARTON)["events"][1]["deliveries"][0]["attempts"].as_array().is_some_and(|tried| tried.len() > 3)
    });
    floor.erp.come_back();
    wait_for("the refusal", || floor.state(CARTON, 1) == "rejected");
    for _ in 0..2 {
        floor.scan(&format!("00{CARTON}"));
    }
    wait_for("the successors", || floor.trace(CARTON)["events"].as_array().is_some_and(|events| events.len() == 4));
    wait_for("the item to be put off", || floor.state(ITEM, 0) == "waiting");

    let told = floor.trace(CARTON);
    let posting = &told["events"][1]["deliveries"][0];
    let tried = attempts(posting);
    let (last, before) = tried.split_last().expect("attempts");
    assert_eq!(*last, ("validation".to_owned(), Some(200)));
    assert!(before.iter().all(|one| *one == ("transient".to_owned(), None)), "{tried:?}");
    assert_eq!((&posting["successors"], &posting["category"]), (&2.into(), &"shipment_blocked".into()));
    assert_eq!(told["events"][3]["deliveries"][0]["behind"]["state"], "rejected");
    let summary = told["summary"][0].as_str().expect("a sentence");
    assert!(summary.starts_with(&format!("{CARTON}: scan carton posted; scan carton refused by erp ")), "{summary}");
    assert!(summary.ends_with("because as planned; 2 later events wait behind it."), "{summary}");
    let (code, item) = floor.gateway.say(&["trace", ITEM]);
    assert!(
        code == Some(0) && item.contains("HTTP 200") && item.contains("transient: the ERP says: as planned"),
        "{item}"
    );

    let (code, text) = floor.gateway.say(&["trace", CARTON]);
    assert_eq!(code, Some(0), "{text}");
    note("TOLD", &format!("\n{text}\n{item}"));
    assert!(text.contains(" +01:00"), "in the site's zone: {text}");
    assert!(text.contains("; each: transient: not sent: "), "runs are told once: {text}");
    assert!(text.contains("\n    behind it  2: #"), "{text}");

    // What a person does is part of the way; killed and copied, the same is told.
    let key = posting["key"].as_str().expect("a key");
    let (code, done) = floor.gateway.say(&["dead", "skip", key, "--reason", "test carton"]);
    assert_eq!(code, Some(0), "{done}");
    wait_for("the next one to be refused", || floor.state(CARTON, 2) == "rejected");
    floor.gateway.kill();
    let stopped = floor.trace(CARTON);
    let skipped = &stopped["events"][1]["deliveries"][0];
    assert_eq!((&skipped["state"], &skipped["deeds"][0]["reason"]), (&"skipped".into(), &"test carton".into()));
    let copy = tempfile::tempdir().expect("a temp folder");
    copied(floor.site.data(), copy.path());
    let data = copy.path().display().to_string();
    let said = run_to_end(&["trace", CARTON, "--json", "--data-dir", &data]);
    let copied: Value = serde_json::from_slice(&said.stdout).expect("trace --json writes JSON");
    assert_eq!((said.status.code(), &copied["events"]), (Some(0), &stopped["events"]), "the copy tells the same");
    let said = run_to_end(&["trace", CARTON, "--data-dir", &data]);
    assert!(String::from_utf8_lossy(&said.stdout).contains(" +00:00"), "without a configuration in UTC");

    let said = run_to_end(&["trace", "SH-9", "--data-dir", &data]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.starts_with("nothing of SH-9 is kept in ") && text.contains("reaches back to 20"), "{text}");
    // A value that is the subject of none is found where it stands.
    let said = run_to_end(&["trace", "hand-A1", "--data-dir", &data]);
    assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stdout));
    let said = run_to_end(&["trace", &format!("\"00{CARTON}\""), "--data-dir", &data, "--limit", "1"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains(" is no subject: it stands in what these events carry"));
}

#[test]
fn an_attempt_that_a_kill_cut_off_is_told_as_unheard() {
    let Some(mut floor) = Followed::start() else { return };
    let gateway = floor.gateway.clone();
    floor.erp.behave(move |request| {
        if request.number == 1 {
            gateway.kill();
            return Behaviour::DropAfter;
        }
        Behaviour::Answer
    });
    floor.scan(&format!("00{CARTON}"));
    crate::world::wait_at_most(Duration::from_secs(20), "the endpoint to kill the gateway", &mut || {
        !floor.gateway.is_running()
    });
    let left = floor.trace(CARTON);
    assert_eq!(left["events"][0]["deliveries"][0]["state"], "unknown", "no gateway runs: nothing is under way");
    assert_eq!(attempts(&left["events"][0]["deliveries"][0]), [("unheard".to_owned(), None)], "{left}");
    assert!(left["summary"][0].as_str().is_some_and(|told| told.contains(" no gateway runs: ")), "{left}");
    floor.gateway.start_again();
    wait_for("the carton at the ERP", || floor.state(CARTON, 0) == "delivered");
    let told = floor.trace(CARTON);
    let tried = attempts(&told["events"][0]["deliveries"][0]);
    assert_eq!(tried, [("unheard".to_owned(), None), ("duplicate".to_owned(), Some(200))], "{told}");
}

#[test]
fn an_erp_that_hangs_is_told_meanwhile_and_its_document_leads_back_to_the_scan() {
    let Some(mut floor) = Followed::start() else { return };
    floor.erp.behave(|_| Behaviour::Slow(Duration::from_secs(9)));
    floor.scan(&format!("00{CARTON}"));
    let unanswered = || {
        let (_, said) = floor.gateway.say(&["status", "--json"]);
        let told: Value = serde_json::from_str(&said).expect("status --json writes JSON");
        told["outbox"]["unanswered"][0].clone()
    };
    wait_for("the request to be told", || unanswered()["system"] == "erp");
    wait_for("the carton at the ERP", || floor.state(CARTON, 0) == "delivered");
    assert!(unanswered().is_null(), "it is answered");
    let told = floor.trace(CARTON);
    let reference = told["events"][0]["deliveries"][0]["reference"].as_str().expect("the ERP gave one");
    assert_eq!(floor.trace(reference)["events"][0]["id"], told["events"][0]["id"]);
}
