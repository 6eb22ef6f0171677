//! Per-item results: each row by its own key, in whatever order they come.

use std::collections::HashMap;

use serde_json::Value;

use super::{AnswerShape, REASON, Rule, bounded, rule, took_over};
use crate::event::Id;
use crate::lane::{Answer, Class, Outcome};

/// The outcome of each key. One that is missing or named twice is `Unknown`; results of other keys are only noted. An answer that
/// tells of no key at all is one of the target as a whole: it is in trouble, or not what it was taken for.
pub(super) fn judge(status: u16, items: &[Value], pointer: &str, shape: &AnswerShape, keys: &[Id]) -> Answer {
    let places = Places::of(shape);
    let (named, strange) = by_key(items, &places.key, keys);
    let outcomes: Vec<Outcome> = keys
        .iter()
        .map(|key| match named.get(key) {
            Some(Named::Once(item)) => one(status, item, &places, rule::of_item(&shape.rules, status, item)),
            Some(Named::Twice) => Outcome::new(Class::Unknown, "the ERP's answer names this item twice"),
            Some(Named::Never) | None => Outcome::new(Class::Unknown, "the ERP's answer does not name this item"),
        })
        .collect();
    let whole = outcomes.iter().all(|outcome| outcome.class == Class::Unknown);
    let excerpt = match strange {
        0 => String::new(),
        n => format!("{}{n} at {pointer}] ", Answer::STRANGE),
    };
    Answer { status: None, excerpt, outcomes, whole, retry_after_ms: None, later: None }
}

/// The outcome of each key where `before` are the rules in front of one that is of the whole answer, and `otherwise` is what that
/// one says. `None`: none of them applies to an item of a key.
pub(super) fn judge_before(
    before: &[Rule],
    otherwise: &Outcome,
    (status, items): (u16, &[Value]),
    shape: &AnswerShape,
    keys: &[Id],
) -> Option<Answer> {
    let places = Places::of(shape);
    let (named, _) = by_key(items, &places.key, keys);
    let ruled = |key| {
        let Some(Named::Once(item)) = named.get(key) else { return None };
        rule::of_item(before, status, item).map(|rule| one(status, item, &places, Some(rule)))
    };
    let ruled: Vec<Option<Outcome>> = keys.iter().map(ruled).collect();
    ruled.iter().any(Option::is_some).then(|| {
        let outcomes = ruled.into_iter().map(|outcome| outcome.unwrap_or_else(|| otherwise.clone())).collect();
        Answer { status: None, excerpt: String::new(), outcomes, whole: false, retry_after_ms: None, later: None }
    })
}

/// What a lookup found: `{"results": [{"key", "status", "reference", "fingerprint"}]}` (docs/erp-contract.md, "Lookup").
pub(super) fn found(body: &Value, keys: &[Id], prints: &[String]) -> Answer {
    let items = body.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (named, _) = by_key(items, &Place::of("/key"), keys);
    let outcomes = keys.iter().zip(prints).map(|(key, print)| match named.get(key) {
        Some(Named::Once(item)) => looked_up(item, print),
        _ => Outcome::new(Class::Unknown, "the ERP was asked for it, and its answer does not name it once"),
    });
    let outcomes = outcomes.collect();
    Answer { status: Some(200), excerpt: String::new(), outcomes, whole: false, retry_after_ms: None, later: None }
}

/// What one result of a lookup says of the content with that fingerprint.
fn looked_up(item: &Value, print: &str) -> Outcome {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let reference = item.get("reference").and_then(reference_of);
    match text("status") {
        Some("present") if text("fingerprint").is_none_or(|known| known == print) => {
            Outcome { reference, ..Outcome::new(Class::Found, "the ERP has it") }
        }
        Some("present") => {
            let at = reference.as_deref().map_or(String::new(), |at| format!(" as {at}"));
            let reason = format!("the ERP has this key{at} with other content: compare the two");
            Outcome { reference, part: part(Class::KeyClash, item), ..Outcome::new(Class::KeyClash, reason) }
        }
        Some("absent") => Outcome::new(Class::NotAttempted, "the ERP was asked for it and does not have it"),
        Some("processing") => Outcome::new(Class::Accepted, "the ERP is at work on it"),
        word => {
            let word = bounded(word.unwrap_or_default(), 64);
            Outcome::new(Class::Unknown, format!("the ERP was asked for it and says \"{word}\""))
        }
    }
}

/// How often the answer names a key, and what it says there.
pub(super) enum Named<'i> {
    Never,
    Once(&'i Value),
    Twice,
}

/// The results by their keys, and how many have another key.
pub(super) fn by_key<'i>(items: &'i [Value], place: &Place, keys: &[Id]) -> (HashMap<Id, Named<'i>>, usize) {
    let mut found: HashMap<Id, Named<'i>> = keys.iter().map(|key| (*key, Named::Never)).collect();
    let mut strange = 0;
    for item in items {
        let key = place.text(item).and_then(Id::parse);
        match key.and_then(|key| found.get_mut(&key)) {
            None => strange += 1,
            Some(named @ Named::Never) => *named = Named::Once(item),
            Some(named) => *named = Named::Twice,
        }
    }
    (found, strange)
}

/// A JSON Pointer, split once for all items.
pub(super) struct Place(Vec<String>);

impl Place {
    pub(super) fn of(pointer: &str) -> Self {
        Self(pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
    }

    pub(super) fn value<'a>(&self, item: &'a Value) -> Option<&'a Value> {
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

/// How the results of a target are read.
struct Places {
    key: Place,
    status: Place,
    reason: Place,
    message: Place,
    reference: Place,
    /// What it takes over can be asked for.
    lookup: bool,
}

impl Places {
    fn of(shape: &AnswerShape) -> Self {
        let [key, status, reason, message, reference] =
            [&shape.key, &shape.status, &shape.reason, "/message", &shape.reference].map(Place::of);
        Self { key, status, reason, message, reference, lookup: shape.lookup }
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

/// What one result says; `rule`: what this target means by it. A request that was refused has no effects: whoever lists one
/// there may have undone it.
fn one(status: u16, item: &Value, places: &Places, rule: Option<&Rule>) -> Outcome {
    let (word, reason, message) = (places.status.text(item), places.reason.text(item), places.message.text(item));
    let class = match (word, reason) {
        (Some("posted" | "ok" | "created" | "delivered"), _) => Class::Delivered,
        (Some("duplicate"), _) => Class::Duplicate,
        (Some("accepted"), _) => Class::Accepted,
        (Some("rejected"), Some("key_reused")) => Class::KeyClash,
        (Some("rejected"), Some(reason)) if MAY_COME.contains(&reason) => Class::Reference,
        (Some("rejected"), _) => Class::Validation,
        (Some("retry"), Some("lane_blocked" | "not_attempted")) => Class::NotAttempted,
        (Some("retry"), Some("concurrent")) => Class::Conflict,
        (Some("retry"), _) => Class::Transient,
        _ => Class::Unknown,
    };
    let odd = class == Class::Unknown && rule.is_none();
    let undone = status >= 400 && class.has_effect() && rule.is_none();
    let class = if undone { Class::Unknown } else { rule.map_or(class, |rule| rule.class) };
    let given = places.status.value(item).filter(|given| !given.is_null() && given.as_str() != Some(""));
    let mut text = match (given, word) {
        (_, Some(word)) if undone => {
            format!("the ERP refuses the request (HTTP {status}) and says \"{}\" of this item", bounded(word, 64))
        }
        (Some(given), _) if odd => {
            let given = given
                .as_str()
                .map_or_else(|| given.to_string(), |word| word.split_whitespace().collect::<Vec<_>>().join(" "));
            format!("{}\"{}\", {ODD}", Outcome::ODD_STATUS, bounded(&given, ODD_WORD))
        }
        (None, _) if odd => "the ERP's answer gives this item no status".to_owned(),
        _ if class == Class::Accepted => format!("the ERP {}", took_over(None, places.lookup)),
        (_, word) => format!("the ERP says: {}", word.unwrap_or_default()),
    };
    if reason.or(message).is_some() {
        let told: Vec<&str> = reason.into_iter().chain(message).collect();
        let told = bounded(&told.join(": "), REASON);
        text = if odd || undone || class == Class::Accepted {
            format!("{text}: {told}")
        } else {
            format!("the ERP says: {told}")
        };
    }
    let code = rule.and_then(|rule| rule.code.clone()).or_else(|| reason.map(|code| bounded(code, 64)));
    Outcome { class, code, reason: text, reference: reference(item, places), part: part(class, item) }
}

/// Bytes of a status that nobody knows: what is told behind it has to stay in sight.
const ODD_WORD: usize = 32;
/// Behind a status that nobody knows: what becomes of the item, and what the ERP has to answer.
const ODD: &str = "which the contract does not know: it has to be posted, duplicate, rejected or retry; sent again, or looked up, meanwhile";

/// What is kept of the result of a row without effect.
pub(super) fn part(class: Class, item: &Value) -> Option<String> {
    (!class.has_effect()).then(|| bounded(&item.to_string(), Answer::EXCERPT))
}

/// The document's number in the target: text, or a number written as such.
fn reference(item: &Value, places: &Places) -> Option<String> {
    reference_of(places.reference.value(item)?)
}

pub(super) fn reference_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(bounded(text, REASON)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
