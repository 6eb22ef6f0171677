//! The profile of all-or-nothing OData batches, against an ERP of somebody else's making, `tests/peers/odata.py`: a request
//! that was sent stays what it was until the ERP has told what came of it.

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

impl World {
    /// `None` where a peer is missing.
    fn start(settings: &Value) -> Option<Self> {
        let delivery = |port| {
            format!(
                "[[target]]\nid = \"erp\"\nkind = \"http\"\nprofile = \"odata-batch\"\nurl = \"http://127.0.0.1:{port}/$batch\"\n\
             odata = {{ resource = \"Cartons('{{subject}}')/post\", repeatability = \"oasis\" }}\n\
             idempotency = \"key\"\ndedup_horizon = \"24h\"\ntimeout = \"2s\"\n\
             batch = {{ max_events = 8, linger = \"20ms\" }}\nretry = {{ first = \"50ms\", max = \"200ms\" }}\n\
             breaker = {{ first = \"100ms\", max = \"200ms\" }}\n\
             [[lane]]\nid = \"outbound\"\ntarget = \"erp\"\nclass = \"document\"\ntake = [\"scan.*\"]\n"
            )
        };
        let (erp, broker, gateway, scanner) = batches("odata.py", settings, delivery)?;
        Some(Self { erp, gateway, scanner, scans: 0, _broker: broker })
    }

    fn set(&mut self, settings: &Value) -> Value {
        self.erp.tell(&settings.to_string())
    }

    /// Scans of cartons of their own.
    fn scan(&mut self, count: u32) {
        self.scanner.cartons(self.scans + 1..=self.scans + count);
        self.scans += count;
    }

    /// Waits until so many documents are there and the gateway has heard so; the state.
    fn booked(&mut self, documents: u32) -> Value {
        wait_for("the documents", || {
            self.set(&json!({}))["documents"].as_array().is_some_and(|d| d.len() == documents as usize)
        });
        wait_for("the gateway to have heard", || rows(&self.gateway, &["ready", "sending", "unknown", "waiting"]) == 0);
        self.set(&json!({}))
    }
}

/// Each carton has one document, each key one body and one time, and no posting had its word under two keys that might both
/// have had effect. How many requests came again.
fn judge(state: &Value) -> usize {
    let documents = state["documents"].as_array().expect("documents");
    let subjects: HashSet<&str> = documents.iter().map(|document| text(document, "subject")).collect();
    assert_eq!(subjects.len(), documents.len(), "a carton was posted twice");
    let mut bodies: HashMap<&str, (&str, &str)> = HashMap::new();
    let mut again = 0;
    for request in state["requests"].as_array().expect("requests") {
        let sent = (text(request, "hash"), text(request, "first_sent"));
        let known = *bodies.entry(text(request, "key")).or_insert(sent);
        assert_eq!(known, sent, "a request came again as another one");
        assert!(sent.1.ends_with(" GMT"), "{}", sent.1);
        again += usize::from(request["again"] == true);
    }
    again
}

#[test]
fn answers_that_are_lost_after_the_commit_are_asked_for_by_the_same_bytes_under_the_same_key() {
    let Some(mut world) = World::start(&json!({"lose": 3})) else { return };
    world.scan(120);
    let state = world.booked(120);
    let again = judge(&state);
    assert!(again > 0, "no answer was lost");
    note(
        "FIGURE",
        &format!(
            "{} requests of an all-or-nothing batch, {again} of them resent",
            state["requests"].as_array().map_or(0, Vec::len)
        ),
    );
}

#[test]
fn a_gateway_killed_between_the_commit_and_the_answer_resends_the_request_as_it_was() {
    let Some(mut world) = World::start(&json!({"lose": 1})) else { return };
    world.scan(40);
    wait_for("a batch to be posted", || world.set(&json!({}))["documents"].as_array().is_some_and(|d| !d.is_empty()));
    world.gateway.kill();
    let before = world.set(&json!({"lose": 0}))["requests"].as_array().map_or(0, Vec::len);
    world.gateway.start_again();
    world.scan(20); // more company for what is sent again, if it were grouped anew
    let state = world.booked(60);
    judge(&state);
    let requests = state["requests"].as_array().expect("requests");
    assert_eq!(requests[before]["again"], true, "the start begins with what was under way");
    assert_eq!(text(&requests[before], "hash"), text(&requests[0], "hash"));
}

#[test]
fn one_refusal_in_an_all_or_nothing_batch_parks_its_own_subject_only() {
    for group in [false, true] {
        let bad: Vec<String> = [5, 17].map(sscc).to_vec();
        let Some(mut world) = World::start(&json!({"bad": bad, "group": group, "lose": 4})) else { return };
        world.scan(40);
        let state = world.booked(38);
        judge(&state);
        let (_, told) = world.gateway.say(&["dead", "list", "--json"]);
        assert_eq!(rows(&world.gateway, &["rejected"]), 2, "{told}");
        assert!(bad.iter().all(|subject| told.contains(subject.as_str())), "{told}");
        assert!(told.contains("the delivery is blocked for credit reasons"), "{told}");
    }
}

#[test]
fn a_document_that_was_changed_is_parked_with_its_sentence() {
    let Some(mut world) = World::start(&json!({"stale": [sscc(3)]})) else { return };
    world.scan(10);
    judge(&world.booked(9));
    let (_, told) = world.gateway.say(&["dead", "list", "--json"]);
    let sentence = "the ERP has changed the document since its ETag was read: compare the two, and post it by hand or anew \
                    (HTTP 412): the delivery was changed by another user";
    assert!(told.contains(sentence), "{told}");
}
