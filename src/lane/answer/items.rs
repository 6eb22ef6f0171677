//! Per-item results: each row by its own key, in whatever order they come.

use std::collections::HashMap;

use serde_json::Value;

use super::{AnswerShape, REASON, bounded};
use crate::event::Id;
use crate::lane::{Answer, Class, Outcome};

/// The outcome of each key. One that is missing or named twice is `Unknown`; results of other keys are only noted.
pub(super) fn judge(items: &[Value], pointer: &str, shape: &AnswerShape, keys: &[Id]) -> Answer {
    let places = Places::of(shape);
    let mut found: HashMap<Id, Named> = keys.iter().map(|key| (*key, Named::Never)).collect();
    let mut strange = 0;
    for item in items {
        let key = places.key.text(item).and_then(Id::parse);
        match key.and_then(|key| found.get_mut(&key)) {
            None => strange += 1,
            Some(named @ Named::Never) => *named = Named::Once(one(item, &places)),
            Some(named) => *named = Named::Twice,
        }
    }
    let outcomes = keys.iter().map(|key| match found.get(key) {
        Some(Named::Once(outcome)) => outcome.clone(),
        Some(Named::Twice) => Outcome::new(Class::Unknown, "the ERP's answer names this item twice"),
        Some(Named::Never) | None => Outcome::new(Class::Unknown, "the ERP's answer does not name this item"),
    });
    let excerpt = match strange {
        0 => String::new(),
        n => format!("[{n} of the results at {pointer} have a key that was not in the batch] "),
    };
    Answer { status: None, excerpt, outcomes: outcomes.collect(), whole: false, retry_after_ms: None }
}

/// What a lookup found: `{"results": [{"key", "status", "reference", "fingerprint"}]}` (docs/erp-contract.md, "Lookup").
pub(super) fn found(body: &Value, keys: &[Id], prints: &[String]) -> Answer {
    let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    let items = body.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let outcomes = keys.iter().zip(prints).map(|(key, print)| {
        let mut named = items.iter().filter(|item| text(item, "key").and_then(|key| Id::parse(&key)) == Some(*key));
        let (Some(item), None) = (named.next(), named.next()) else {
            return Outcome::new(Class::Unknown, "the ERP was asked for it, and its answer does not name it once");
        };
        let reference = item.get("reference").and_then(reference_of);
        let known = text(item, "fingerprint");
        match text(item, "status").as_deref() {
            Some("present") if known.as_ref().is_none_or(|known| known == print) => {
                Outcome { reference, ..Outcome::new(Class::Found, "the ERP has it") }
            }
            Some("present") => {
                let at = reference.as_deref().map_or(String::new(), |at| format!(" as {at}"));
                let reason = format!("the ERP has this key{at} with other content: compare the two");
                Outcome { reference, ..Outcome::new(Class::KeyClash, reason) }
            }
            Some("absent") => Outcome::new(Class::NotAttempted, "the ERP was asked for it and does not have it"),
            Some("processing") => Outcome::new(Class::Unknown, "the ERP is at work on it"),
            word => Outcome::new(
                Class::Unknown,
                format!("the ERP was asked for it and says \"{}\"", bounded(word.unwrap_or_default(), 64)),
            ),
        }
    });
    let outcomes = outcomes.collect();
    Answer { status: Some(200), excerpt: String::new(), outcomes, whole: false, retry_after_ms: None }
}

/// How often the answer names a key, and what it says there.
enum Named {
    Never,
    Once(Outcome),
    Twice,
}

/// A JSON Pointer, split once for all items.
struct Place(Vec<String>);

impl Place {
    fn of(pointer: &str) -> Self {
        Self(pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
    }

    fn value<'a>(&self, item: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(item, |value, part| match value {
            Value::Object(members) => members.get(part),
            Value::Array(list) => list.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }

    fn text<'a>(&self, item: &'a Value) -> Option<&'a str> {
        self.value(item)?.as_str().filter(|text| !text.is_empty())
    }
}

struct Places {
    key: Place,
    status: Place,
    reason: Place,
    message: Place,
    reference: Place,
}

impl Places {
    fn of(shape: &AnswerShape) -> Self {
        let [key, status, reason, message, reference] =
            [&shape.key, &shape.status, &shape.reason, "/message", &shape.reference].map(Place::of);
        Self { key, status, reason, message, reference }
    }
}

/// What is not there may be on its way: master data and documents come by other roads than postings.
const MAY_COME: [&str; 10] = [
    "unknown_item",
    "unknown_order",
    "unknown_line",
    "unknown_shipment",
    "unknown_purchase",
    "unknown_location",
    "unknown_uom",
    "unknown_lot",
    "unknown_request",
    "unknown_posting",
];

/// What one result says.
fn one(item: &Value, places: &Places) -> Outcome {
    let (word, reason, message) = (places.status.text(item), places.reason.text(item), places.message.text(item));
    let class = match (word, reason) {
        (Some("posted" | "ok" | "created" | "delivered"), _) => Class::Delivered,
        (Some("duplicate"), _) => Class::Duplicate,
        (Some("rejected"), Some("key_reused")) => Class::KeyClash,
        (Some("rejected"), Some(reason)) if MAY_COME.contains(&reason) => Class::Reference,
        (Some("rejected"), _) => Class::Validation,
        (Some("retry"), Some("lane_blocked" | "not_attempted")) => Class::NotAttempted,
        (Some("retry"), Some("concurrent")) => Class::Conflict,
        (Some("retry"), _) => Class::Transient,
        _ => Class::Unknown,
    };
    let mut text = match (class, word) {
        (Class::Unknown, Some("accepted")) => "the ERP accepted it for later without a handle to ask by".to_owned(),
        (Class::Unknown, Some(word)) => {
            format!("the ERP says \"{}\", which is no status this gateway knows", bounded(word, 64))
        }
        (Class::Unknown, None) => "the ERP's answer gives this item no status".to_owned(),
        (_, word) => format!("the ERP says: {}", word.unwrap_or_default()),
    };
    if reason.or(message).is_some() {
        let told: Vec<&str> = reason.into_iter().chain(message).collect();
        let told = bounded(&told.join(": "), REASON);
        text = if class == Class::Unknown { format!("{text}: {told}") } else { format!("the ERP says: {told}") };
    }
    let code = reason.map(|code| bounded(code, 64));
    Outcome { class, code, reason: text, reference: reference(item, places) }
}

/// The document's number in the target: text, or a number written as such.
fn reference(item: &Value, places: &Places) -> Option<String> {
    reference_of(places.reference.value(item)?)
}

fn reference_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(bounded(text, REASON)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
