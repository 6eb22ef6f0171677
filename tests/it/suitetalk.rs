//! The profile of SuiteTalk batches, against an ERP of somebody else's making, `tests/peers/suitetalk.py`: a batch becomes a job
//! that makes its records in any order, and each posting comes to one record, in the order of its subject.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::world::{Broker, Gateway, Plc, Scanner, batches, note, rows, sscc, text, wait_for};

/// The ERP, and scans on their way to it.
struct World {
    erp: Plc,
    gateway: Gateway,
    scanner: Scanner,
    scans: u32,
    _broker: Broker,
}

/// A target that knows a request again for a day.
const KEY: &str = "idempotency = \"key\"\ndedup_horizon = \"24h\"\nmax_in_flight = 4\n";

impl World {
    /// `None` where a peer is missing.
    fn start(settings: &Value, method: &str, keys: &str) -> Option<Self> {
        let delivery = |port| {
            format!(
                "[[target]]\nid = \"erp\"\nkind = \"http\"\nprofile = \"suitetalk-batch\"\n\
             url = \"http://127.0.0.1:{port}/services/rest/record/v1/customrecord_floor\"\n\
             suitetalk = {{ method = \"{method}\", fields = {{ custrecord_subject = \"/subject\", custrecord_seq = \"/seq\" }} }}\n\
             {keys}timeout = \"1s\"\nconnect_timeout = \"500ms\"\nbatch = {{ max_events = 8, linger = \"20ms\" }}\n\
             retry = {{ first = \"50ms\", max = \"200ms\" }}\nbreaker = {{ first = \"100ms\", max = \"200ms\" }}\n\
             [[lane]]\nid = \"outbound\"\ntarget = \"erp\"\nclass = \"document\"\ntake = [\"scan.*\"]\n"
            )
        };
        let (erp, broker, gateway, scanner) = batches("suitetalk.py", settings, delivery)?;
        Some(Self { erp, gateway, scanner, scans: 0, _broker: broker })
    }

    fn set(&mut self, settings: &Value) -> Value {
        self.erp.tell(&settings.to_string())
    }

    fn state(&mut self) -> Value {
        self.set(&json!({}))
    }

    /// So many scans of each of these cartons, in turn.
    fn scan(&mut self, cartons: u32, times: u32) {
        for _ in 0..times {
            for carton in 1..=cartons {
                self.scans += 1;
                let payload = format!(r#"{{"barcode":"{}","boot":"b1","seq":{}}}"#, sscc(carton), self.scans);
                self.scanner.publish("dc1/scan/A/read", payload.as_bytes());
            }
        }
        self.scanner.flush();
    }

    /// Waits until so many records are there and the gateway has heard so; the state.
    fn booked(&mut self, records: u32) -> Value {
        wait_for("the records", || list(&self.state(), "records").len() == records as usize);
        wait_for("the gateway to have heard", || {
            rows(&self.gateway, &["ready", "sending", "unknown", "waiting", "accepted"]) == 0
        });
        self.state()
    }

    /// Waits until jobs are at work, and the disk knows of each batch what the ERP said.
    fn at_work(&mut self) {
        wait_for("jobs to be at work, and nothing on its way", || {
            self.state()["open"] != 0
                && rows(&self.gateway, &["accepted"]) > 0
                && rows(&self.gateway, &["sending"]) == 0
        });
    }
}

fn list<'a>(state: &'a Value, name: &str) -> &'a [Value] {
    state[name].as_array().unwrap_or_else(|| panic!("{name} is no list in {state}"))
}

/// Each posting has one record, those of a subject in their order; each key has one body; no batch holds two of a subject. How
/// many requests came again.
fn judge(state: &Value) -> usize {
    let records = list(state, "records");
    let keys: HashSet<&str> = records.iter().map(|record| text(record, "key")).collect();
    assert_eq!(keys.len(), records.len(), "a posting was made twice");
    let mut last: HashMap<&str, i64> = HashMap::new();
    for record in records {
        let seq = record["seq"].as_i64().expect("a number");
        let before = last.insert(text(record, "subject"), seq);
        assert!(before.is_none_or(|before| before < seq), "{record} was overtaken by {before:?}");
    }
    let mut bodies: HashMap<&str, &str> = HashMap::new();
    for request in list(state, "requests") {
        let known = *bodies.entry(text(request, "key")).or_insert_with(|| text(request, "hash"));
        assert_eq!(known, text(request, "hash"), "a request came again as another one");
        let subjects = list(request, "subjects");
        assert_eq!(subjects.iter().collect::<HashSet<_>>().len(), subjects.len(), "two of a subject in {request}");
    }
    again(state)
}

fn again(state: &Value) -> usize {
    list(state, "requests").iter().filter(|request| request["again"] == true).count()
}

#[test]
fn answers_that_are_lost_after_the_job_began_are_answered_with_that_job() {
    let Some(mut world) = World::start(&json!({"lose": 3}), "POST", KEY) else { return };
    world.scan(12, 5);
    let state = world.booked(60);
    let again = judge(&state);
    assert!(again > 0, "no answer was lost");
    assert_eq!(world.gateway.status()["dead_letters"], 0);
    let posts = list(&state, "requests").len();
    note("FIGURE", &format!("{posts} SuiteTalk batches, {again} of them resent; {} questions of jobs", state["polls"]));
}

#[test]
fn a_gateway_killed_while_jobs_are_at_work_asks_them_and_sends_nothing_twice() {
    let Some(mut world) = World::start(&json!({"work": 4}), "POST", KEY) else { return };
    world.scan(20, 2);
    world.at_work();
    world.gateway.kill();
    let before = world.set(&json!({"work": 0.2}));
    world.gateway.start_again();
    let state = world.booked(40);
    assert_eq!(judge(&state), 0, "what was accepted was sent again");
    assert!(
        list(&state, "requests").len() > list(&before, "requests").len(),
        "the later ones of each subject came after"
    );
}

#[test]
fn a_gateway_killed_before_it_heard_of_its_job_finds_it_by_the_same_request() {
    let Some(mut world) = World::start(&json!({"lose": 1, "work": 1}), "POST", KEY) else { return };
    world.scan(20, 2);
    wait_for("a batch to become a job", || world.state()["open"] != 0);
    world.gateway.kill();
    let sent = list(&world.set(&json!({"lose": 0})), "requests").len();
    world.scan(20, 1); // more company for what is sent again, if it were grouped anew
    world.gateway.start_again();
    let state = world.booked(60);
    assert!(judge(&state) > 0);
    let (before, after) = list(&state, "requests").split_at(sent);
    let keys: HashSet<&str> = after.iter().map(|request| text(request, "key")).collect();
    assert!(before.iter().any(|lost| keys.contains(text(lost, "key"))), "what was under way came again");
}

#[test]
fn a_refused_record_is_parked_alone_with_the_erp_s_words_and_a_retry_is_another_request() {
    for names in [false, true] {
        let bad: Vec<String> = [5, 17].map(sscc).to_vec();
        let settings = json!({"bad": bad, "lose": 4, "names": names});
        let Some(mut world) = World::start(&settings, "POST", KEY) else { return };
        world.scan(20, 1);
        let state = world.booked(18);
        judge(&state);
        let (_, told) = world.gateway.say(&["dead", "list", "--json"]);
        assert_eq!(rows(&world.gateway, &["rejected"]), 2, "{told}");
        assert!(bad.iter().all(|subject| told.contains(subject.as_str())), "{told}");
        assert!(told.contains("the order is on credit hold") && told.contains("CREDIT_HOLD"), "{told}");
        assert!(!told.contains("\"maybe_posted\":true") && !told.contains("\"maybe_posted\": true"), "{told}");
        world.set(&json!({"bad": []}));
        let (code, told) = world.gateway.say(&["dead", "retry", "--all", "--yes", "--reason", "the hold is off"]);
        assert_eq!(code, Some(0), "{told}");
        judge(&world.booked(20));
        let (_, found) = world.gateway.say(&["outbox", "find", &sscc(3)]);
        assert!(found.contains("delivered"), "{found}");
    }
}

#[test]
fn too_many_requests_at_once_are_put_off_and_the_account_s_number_is_kept() {
    let keys = format!("{KEY}max_concurrent = 2\n");
    let Some(mut world) = World::start(&json!({"crowd": 1, "limit": 2}), "POST", &keys) else { return };
    world.scan(40, 1);
    wait_for("requests to be put off", || list(&world.state(), "requests").len() >= 6);
    assert_eq!(rows(&world.gateway, &["rejected"]), 0, "they were taken for refused");
    world.set(&json!({"crowd": 3}));
    let state = world.booked(40);
    judge(&state);
    assert!(list(&state, "requests").iter().take(6).all(|request| request["crowded"] == true), "{state}");
    assert!(state["most"].as_u64() <= Some(2), "{} requests at once", state["most"]);
    assert_eq!(world.gateway.status()["dead_letters"], 0);
}

/// The ERP knows the key for as long as it says, and answers with a job that it no longer tells of.
#[test]
fn what_a_forgotten_job_has_done_is_asked_for_by_the_same_request_and_then_is_a_person_s() {
    let keys = "idempotency = \"key\"\ndedup_horizon = \"12s\"\n";
    let Some(mut world) = World::start(&json!({"forget": "jobs"}), "POST", keys) else { return };
    world.scan(4, 2);
    wait_for("the gateway to give up", || rows(&world.gateway, &["rejected"]) == 4);
    let state = world.state();
    assert!(judge(&state) > 0, "it was asked for by the same request");
    assert_eq!(list(&state, "records").len(), 4, "nothing behind them was sent");
    let (_, told) = world.gateway.say(&["dead", "list", "--json"]);
    assert!(told.contains("look in the target whether it was posted"), "{told}");
}

#[test]
fn a_record_that_its_job_does_not_speak_of_is_asked_for_on_and_never_sent_alone() {
    let settings = json!({"mute": [sscc(2)], "extra": true, "names": true});
    let Some(mut world) = World::start(&settings, "POST", KEY) else { return };
    world.scan(4, 1);
    wait_for("the others to be posted", || rows(&world.gateway, &["accepted"]) == 1 && world.state()["open"] == 0);
    let polls = world.state()["polls"].as_u64();
    wait_for("it to be asked for on", || world.state()["polls"].as_u64() > polls);
    assert!(
        world.gateway.log().contains("the target answers for keys that it was not sent"),
        "{}",
        world.gateway.log()
    );
    world.gateway.kill();
    world.gateway.start_again();
    world.set(&json!({"mute": [], "extra": false}));
    assert_eq!(judge(&world.booked(4)), 0);
}

/// A start knows the rows that are left, and that they were not all.
#[test]
fn what_is_left_of_a_request_is_not_sent_by_a_start_either() {
    let Some(mut world) = World::start(&json!({"mute": [sscc(2)], "names": true}), "POST", KEY) else { return };
    world.scan(4, 1);
    wait_for("the others to be posted", || rows(&world.gateway, &["accepted"]) == 1 && world.state()["open"] == 0);
    world.gateway.kill();
    let sent = list(&world.set(&json!({"forget": "jobs"})), "requests").len();
    world.gateway.start_again();
    wait_for("a person to be asked", || rows(&world.gateway, &["rejected"]) == 1);
    let state = world.state();
    assert_eq!((judge(&state), list(&state, "requests").len(), list(&state, "records").len()), (0, sent, 4));
}

/// An upsert by external id makes nothing twice, whatever the ERP has forgotten.
#[test]
fn an_upsert_is_safe_where_neither_job_nor_key_is_known_any_more() {
    let Some(mut world) = World::start(&json!({"lose": 2}), "PUT", "idempotency = \"natural\"\n") else { return };
    world.scan(8, 1);
    world.set(&json!({"forget": "all"}));
    wait_for("a request that the ERP has forgotten", || {
        list(&world.state(), "records").iter().any(|record| record["times"].as_u64() > Some(1))
    });
    world.set(&json!({"forget": "", "lose": 0}));
    world.scan(8, 2);
    judge(&world.booked(24));
}
