//! What came beside what a `[[test]]` asks for: no more of it than that.

use serde_json::{Map as Object, Value as Json, json};

/// Reports of tags: they are compared only where a test expects one.
const REPORT: &str = "tag.value";

/// What a decoder told, an object for each event, with the keys of `expect`.
pub(super) fn told(told: &Json) -> Vec<Json> {
    let each = |told: &Json| {
        let Some(events) = told["events"].as_array() else {
            let mut made = told.clone();
            if let Some(ms) = told["ms"].as_u64() {
                made = json!({ "undecodable": told["undecodable"], "at": at(ms) });
            }
            return vec![made];
        };
        let event = |event: &Json| {
            let mut made = json!({ "event": event["kind"], "subject": event["subject"], "fields": event["fields"] });
            for key in ["device", "epoch", "seq", "message"].into_iter().filter(|key| told.get(key).is_some()) {
                made[key] = told[key].clone();
            }
            if let Some(ms) = told["ms"].as_u64() {
                made["at"] = json!(at(ms));
            }
            made
        };
        let unread = told["unread"].as_array().into_iter().flatten().map(|reason| json!({ "undecodable": reason }));
        events.iter().map(event).chain(unread).collect()
    };
    told.as_array().map_or_else(|| each(told), |list| list.iter().flat_map(each).collect())
}

/// Of each event what was asked of it; of one that was not expected all that matters.
pub(super) fn asked(expected: &[Json], came: &[Json]) -> Vec<Json> {
    let kind = |event: &Json| event.get("event").cloned().unwrap_or_else(|| event.get("junk").is_some().into());
    let is_report = |event: &Json| event["event"] == REPORT;
    let reports = expected.iter().any(is_report);
    let came: Vec<&Json> = came.iter().filter(|event| reports || !is_report(event)).collect();
    let mut due = 0;
    let one = |(place, event): (usize, &&Json)| {
        let found = expected[due..].iter().position(|of| kind(of) == kind(event)).map(|further| due + further);
        let by_place = (expected.len() == came.len()).then_some(place);
        match found.or(by_place) {
            Some(at) => {
                due = due.max(at + 1).min(expected.len());
                part(&expected[at], event)
            }
            None => whole(event),
        }
    };
    came.iter().enumerate().map(one).collect()
}

/// Without what says nothing.
fn whole(event: &Json) -> Json {
    let said = |(key, value): &(&String, &Json)| {
        !value.is_null() && *key != "device" && *value != "own" && **value != json!({})
    };
    let all = event.as_object().into_iter().flatten();
    all.filter(said).map(|(key, value)| (key.clone(), value.clone())).collect::<Object<_, _>>().into()
}

/// A time, as `expect` writes it.
pub(super) fn at(ms: u64) -> String {
    format!("{ms}ms")
}

/// The keys of `came` that `expected` has, in its order. Of reasons it is enough that they have the words.
pub(super) fn part(expected: &Json, came: &Json) -> Json {
    let (Some(keys), true) = (expected.as_object(), came.is_object()) else { return came.clone() };
    let one = |(key, value): (&String, &Json)| {
        let got = came.get(key)?;
        let has_words = |(got, words): (&str, &str)| got.contains(words);
        let reason = ["undecodable", "why", "refused"].contains(&key.as_str());
        let part = match (key.as_str(), got.as_str().zip(value.as_str())) {
            ("fields", _) => part(value, got),
            (_, Some(both)) if reason && has_words(both) => value.clone(),
            _ => got.clone(),
        };
        Some((key.clone(), part))
    };
    let part: Object<String, Json> = keys.iter().filter_map(one).collect();
    // Nothing of it came: then what came is of another kind, and shown.
    if part.is_empty() && !keys.is_empty() { whole(came) } else { part.into() }
}
