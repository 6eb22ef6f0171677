//! What tells one message from another: a count with a boot id, a message id, or the content.
//!
//! A boot id is known by its name, or by what it does: it stays while a number counts, and is another one where the number
//! goes back. What only stays may be the name of the station as well: then the section asks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::Field;
use crate::tagmap::gs1;

/// A boot id or message id has at most so many bytes.
const LONGEST_ID: usize = 128;
/// Fields that are asked about at most.
const MOST_ASKED: usize = 3;
/// Messages of one topic in which a field has stayed, so that it is asked about.
const STAYS: usize = 3;

/// What names a message, by the index of its field.
pub(super) enum Identity {
    Counted { boot: usize, seq: usize },
    Message(usize),
    Content(usize),
}

pub(super) fn identity(fields: &[Field<'_>]) -> Option<Identity> {
    let required = || fields.iter().enumerate().filter(|(_, field)| field.required);
    let numbers = || required().filter(|(_, field)| field.kind == "u64");
    let find = |is: &dyn Fn(&Field<'_>) -> bool| required().find(|(_, field)| is(field)).map(|(i, _)| i);
    let seq = find(&|field| field.kind == "u64" && counts(field));
    let named = find(&|field| is_named_boot(field) && stays(field));
    if let (Some(boot), Some(seq)) = (named, seq)
        && boot != seq
    {
        return Some(Identity::Counted { boot, seq });
    }
    let mut pairs = required().flat_map(|boot| numbers().map(move |seq| (boot, seq)));
    if let Some(((boot, _), (seq, _))) =
        pairs.find(|((b, boot), (s, seq))| b != s && can_be_boot(boot) && restarts(boot, seq))
    {
        return Some(Identity::Counted { boot, seq });
    }
    if let Some(id) = find(&is_message_id) {
        return Some(Identity::Message(id));
    }
    let named = find(&|field| is_content(field) && hinted(field, &["barcode", "code", "sscc", "epc", "tag", "data"]));
    named.or_else(|| find(&is_content)).map(Identity::Content)
}

/// Where the content is all there is: the number that counts, and what may be its boot id.
pub(super) fn asked<'f>(fields: &'f [Field<'f>], content: usize) -> Option<(&'f str, Vec<&'f str>)> {
    let required = || fields.iter().enumerate().filter(|(_, field)| field.required);
    let (seq, field) = required().find(|(_, field)| field.kind == "u64" && counts(field))?;
    let asked =
        required().filter(|(i, field)| ![seq, content].contains(i) && can_be_boot(field) && stays_for_long(field));
    Some((&field.name, asked.map(|(_, field)| field.name.as_str()).take(MOST_ASKED).collect()))
}

pub(super) fn hinted(field: &Field<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| field.name.contains(word))
}

/// Grows from message to message of one topic; one message alone must have the name of a counter.
fn counts(field: &Field<'_>) -> bool {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut steps = 0;
    for (topic, value) in &field.found.values {
        let Some(number) = value.as_u64() else { return false };
        if let Some(before) = last.insert(topic, number) {
            if number <= before {
                return false;
            }
            steps += usize::from(number - before == 1);
        }
    }
    steps >= 2 || hinted(field, &["seq", "count", "number", "index"])
}

/// `seq` counts while `boot` stays, and goes back where it is another one: seen at least once. Both are in all messages.
fn restarts(boot: &Field<'_>, seq: &Field<'_>) -> bool {
    let mut last: BTreeMap<&str, (&Json, u64)> = BTreeMap::new();
    let (mut steps, mut restarts) = (0, 0);
    for ((topic, boot), (_, seq)) in boot.found.values.iter().zip(&seq.found.values) {
        let Some(seq) = seq.as_u64() else { return false };
        match last.insert(topic, (boot, seq)) {
            Some((same, before)) if same == boot && seq > before => steps += usize::from(seq - before == 1),
            Some((same, before)) if same != boot && seq < before => restarts += 1,
            None => {}
            Some(_) => return false,
        }
    }
    restarts > 0 && steps >= 2
}

/// The same within one topic.
fn stays(field: &Field<'_>) -> bool {
    let mut of: BTreeMap<&str, &Json> = BTreeMap::new();
    field.found.values.iter().all(|(topic, value)| *of.entry(topic).or_insert(value) == value)
}

/// The same, often enough, and not what its topic says already.
fn stays_for_long(field: &Field<'_>) -> bool {
    let mut of: BTreeMap<&str, usize> = BTreeMap::new();
    field.found.values.iter().for_each(|(topic, _)| *of.entry(topic).or_default() += 1);
    let said = |(topic, value): &(&str, Json)| value.as_str().is_some_and(|text| topic.split('/').any(|l| l == text));
    stays(field) && of.values().any(|count| *count >= STAYS) && !field.found.values.iter().all(said)
}

pub(super) fn is_named_boot(field: &Field<'_>) -> bool {
    hinted(field, &["boot", "session", "epoch", "power", "run_id"]) && can_be_boot(field)
}

fn can_be_boot(field: &Field<'_>) -> bool {
    field.kind == "u64" || is_id(field)
}

fn is_id(field: &Field<'_>) -> bool {
    let short = |text: &str| !text.is_empty() && text.len() <= LONGEST_ID;
    field.kind == "string" && field.found.values.iter().all(|(_, value)| value.as_str().is_some_and(short))
}

/// Never the same twice, and has such a name.
fn is_message_id(field: &Field<'_>) -> bool {
    let distinct: BTreeSet<String> = field.found.values.iter().map(|(_, value)| value.to_string()).collect();
    let named = ["id", "uuid", "guid"].contains(&field.name.as_str())
        || hinted(field, &["message_id", "messageid", "msg_id", "msgid", "event_id", "eventid"]);
    named && distinct.len() == field.found.values.len() && (field.kind == "u64" || is_id(field))
}

pub(super) fn is_content(field: &Field<'_>) -> bool {
    let is_there = |value: &Json| value.as_str().is_some_and(|text| !gs1::bare(text).is_empty());
    field.kind == "string" && field.found.values.iter().all(|(_, value)| is_there(value))
}
