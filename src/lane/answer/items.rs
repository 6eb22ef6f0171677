//! Per-item results: each row by its own key, in whatever order they come.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{AnswerShape, REASON, bounded};
use crate::event::Id;
use crate::lane::{Answer, Class, Outcome};

/// The outcome of each key. One that is missing or named twice is `Unknown`; results of other keys are only noted.
pub(super) fn judge(items: &[Value], pointer: &str, shape: &AnswerShape, keys: &[Id]) -> Answer {
    let wanted: HashSet<Id> = keys.iter().copied().collect();
    let mut found: HashMap<Id, Option<Outcome>> = HashMap::with_capacity(keys.len());
    let mut strange = 0;
    for item in items {
        let key = item.pointer(&shape.key).and_then(Value::as_str).and_then(Id::parse);
        match key.filter(|key| wanted.contains(key)) {
            None => strange += 1,
            Some(key) => {
                found.entry(key).and_modify(|twice| *twice = None).or_insert_with(|| Some(one(item, shape)));
            }
        }
    }
    let outcomes = keys.iter().map(|key| match found.get(key) {
        Some(Some(outcome)) => outcome.clone(),
        Some(None) => Outcome::new(Class::Unknown, "the ERP's answer names this item twice"),
        None => Outcome::new(Class::Unknown, "the ERP's answer does not name this item"),
    });
    let excerpt = match strange {
        0 => String::new(),
        n => format!("[{n} of the results at {pointer} have a key that was not in the batch] "),
    };
    Answer { status: None, excerpt, outcomes: outcomes.collect(), whole: false, retry_after_ms: None }
}

/// What one result says.
fn one(item: &Value, shape: &AnswerShape) -> Outcome {
    let at = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (word, reason) = (at(&shape.status), at(&shape.reason));
    let class = match (word, reason) {
        (Some("posted" | "ok" | "created" | "delivered"), _) => Class::Delivered,
        (Some("duplicate"), _) => Class::Duplicate,
        (Some("rejected"), Some("key_reused")) => Class::KeyClash,
        (Some("rejected"), _) => Class::Validation,
        (Some("retry"), Some("lane_blocked")) => Class::NotAttempted,
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
    let told: Vec<&str> = reason.into_iter().chain(at("/message")).collect();
    if !told.is_empty() {
        let told = bounded(&told.join(": "), REASON);
        text = if class == Class::Unknown { format!("{text}: {told}") } else { format!("the ERP says: {told}") };
    }
    Outcome { class, reason: text, reference: reference(item, shape) }
}

/// The document's number in the target: text, or a number written as such.
fn reference(item: &Value, shape: &AnswerShape) -> Option<String> {
    match item.pointer(&shape.reference)? {
        Value::String(text) if !text.is_empty() => Some(bounded(text, REASON)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
