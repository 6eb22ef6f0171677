//! A `[[topic]]` from messages that were seen: a beginning for the integrator, who knows what they mean.
//!
//! What comes out is read by this version without fault, and decodes every message that it was made of. What can't be
//! told from a few messages (names, what a message means, which field is its subject) is guessed plainly and marked.

mod barcode;
mod identity;
mod section;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::filter::is_name;
use crate::event::is_valid_id;
use identity::{hinted, identity};
use section::Parts;

/// Fields that are proposed at most.
const MOST_FIELDS: usize = 64;
/// Objects within objects that are looked into.
const DEEPEST: usize = 8;
/// An instance of a device has room in its id for so many characters of the topic.
const LONGEST_INSTANCE: usize = 15;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// One path of the payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// JSONPath.
    pub path: String,
    /// What stands there, in words: `text`, `whole number`, …; several where it varies.
    pub types: BTreeSet<&'static str>,
    /// In how many messages.
    pub count: usize,
    /// Of the first message that has it.
    pub example: String,
}

/// What messages have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The section, as it stands in a map.
    pub text: String,
    /// Messages that it is made of; others have topics of another length.
    pub of: usize,
}

/// The paths of all payloads that are JSON, in the order of their first appearance.
pub fn leaves(heard: &[Heard]) -> Vec<Leaf> {
    leaves_of(heard).into_iter().map(|found| found.leaf).collect()
}

/// A path with all that stood there.
struct Found<'a> {
    leaf: Leaf,
    /// Names from the top.
    names: Vec<String>,
    /// The topic, and what stood there in its message.
    values: Vec<(&'a str, Json)>,
}

fn leaves_of(heard: &[Heard]) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    for Heard { topic, payload } in heard {
        let Ok(json) = serde_json::from_slice::<Json>(payload) else { continue };
        let mut here = Vec::new();
        walk(&json, &mut Vec::new(), &mut here);
        for (names, value) in here {
            let at = found.iter().position(|found| found.names == names).unwrap_or_else(|| {
                let leaf = Leaf { path: path(&names), types: BTreeSet::new(), count: 0, example: value.to_string() };
                found.push(Found { leaf, names: names.clone(), values: Vec::new() });
                found.len() - 1
            });
            found[at].leaf.types.insert(kind(value));
            found[at].leaf.count += 1;
            found[at].values.push((topic, value.clone()));
        }
    }
    found
}

fn walk<'j>(json: &'j Json, names: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'j Json)>) {
    match json {
        Json::Object(members) if names.len() < DEEPEST => {
            for (name, value) in members {
                names.push(name.clone());
                walk(value, names, found);
                names.pop();
            }
        }
        Json::Null => {} // counts as not there
        other if found.len() < MOST_FIELDS => found.push((names.clone(), other)),
        _ => {}
    }
}

/// RFC 9535: `$.name` where it can be, `$['any name']` else.
fn path(names: &[String]) -> String {
    let plain = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
    };
    names.iter().fold("$".to_owned(), |path, name| {
        if plain(name) {
            return path + "." + name;
        }
        let quoted = serde_json::to_string(name).unwrap_or_default();
        path + "[" + &quoted + "]"
    })
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::String(_) => "text",
        Json::Bool(_) => "true or false",
        Json::Number(number) if number.is_u64() => "whole number",
        Json::Number(number) if number.is_i64() => "negative whole number",
        Json::Number(_) => "number with decimals",
        Json::Array(_) => "list",
        Json::Object(_) => "object",
        Json::Null => "null",
    }
}

/// A field of the proposal.
struct Field<'a> {
    name: String,
    path: &'a str,
    kind: &'static str,
    /// Of a time: seconds or milliseconds since 1970.
    format: Option<&'static str>,
    required: bool,
    found: &'a Found<'a>,
}

/// A `[[topic]]` for what was heard under `filter`.
///
/// # Errors
/// Why there is none, in words.
pub fn propose(filter: &str, heard: &[Heard]) -> Result<Proposal, String> {
    let length = usual_length(heard).ok_or("no message came")?;
    let of: Vec<Heard> = heard.iter().filter(|heard| levels(&heard.topic) == length).cloned().collect();
    for Heard { topic, payload } in &of {
        if !matches!(serde_json::from_slice(payload), Ok(Json::Object(_))) {
            return Err(format!(
                "the payload on {topic} is no JSON object: nothing is proposed for texts and bytes, see `payload` in docs/mqtt.md"
            ));
        }
    }
    let (filter, captures) = filter_of(filter, &of, length);
    let found = leaves_of(&of);
    let (mut fields, mut left_out) = (Vec::new(), Vec::new());
    let mut names: BTreeSet<String> = captures.iter().map(|capture| capture.name.clone()).collect();
    let mut has_time = false;
    for found in &found {
        match type_of(found) {
            Some(kind) => {
                let name = name_of(&found.names, &mut names);
                let required = found.leaf.count == of.len();
                let mut field = Field { name, path: &found.leaf.path, kind, format: None, required, found };
                field.become_time(&mut has_time);
                fields.push(field);
            }
            None => left_out.push(found),
        }
    }
    let identity =
        identity(&fields).ok_or("nothing in the payloads could tell one message from another: no text, no count")?;
    let barcode = barcode::find(&fields, &names);
    let parts = Parts { captures: &captures, fields: &fields, left_out: &left_out, identity, barcode };
    Ok(Proposal { text: parts.written(&filter, &of), of: of.len() })
}

/// How many different topics these are.
fn topics(of: &[Heard]) -> usize {
    of.iter().map(|heard| heard.topic.as_str()).collect::<BTreeSet<_>>().len()
}

fn levels(topic: &str) -> usize {
    topic.split('/').count()
}

/// The number of levels that most topics have.
fn usual_length(heard: &[Heard]) -> Option<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for heard in heard {
        *counts.entry(levels(&heard.topic)).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(length, _)| length)
}

/// A level of the topic that varies.
struct Capture {
    name: String,
    /// Every value of it could be part of a device's id, and it alone tells the topics apart.
    is_instance: bool,
}

/// The filter with a name at each level that varies, or that the subscription left open.
fn filter_of(asked: &str, of: &[Heard], length: usize) -> (String, Vec<Capture>) {
    let asked: Vec<&str> = asked.split('/').collect();
    let (mut parts, mut captures) = (Vec::new(), Vec::<Capture>::new());
    for level in 0..length {
        let values: BTreeSet<&str> = of.iter().filter_map(|heard| heard.topic.split('/').nth(level)).collect();
        let wild = asked.get(level).and_then(|part| part.strip_prefix('+'));
        let first = values.first().copied().unwrap_or_default();
        if values.len() == 1 && wild.is_none() && !first.contains(['{', '}', '+', '#']) {
            parts.push(first.to_owned());
            continue;
        }
        let taken = |name: &str| captures.iter().any(|capture| capture.name == name);
        let name = wild.filter(|name| is_name(name) && *name != "device" && !taken(name));
        let name = name.map_or_else(|| format!("level{}", level + 1), str::to_owned);
        let is_id = values.iter().all(|value| is_valid_id(value) && value.len() <= LONGEST_INSTANCE);
        parts.push(format!("+{name}"));
        captures.push(Capture { name, is_instance: is_id && values.len() == topics(of) });
    }
    (parts.join("/"), captures)
}

/// `None`: no type of this version fits all values.
fn type_of(found: &Found<'_>) -> Option<&'static str> {
    let types: Vec<&str> = found.leaf.types.iter().copied().collect();
    match types.as_slice() {
        ["text"] => Some("string"),
        ["true or false"] => Some("bool"),
        ["whole number"] => Some("u64"),
        ["negative whole number"] => Some("integer"),
        ["negative whole number", "whole number"] => {
            found.values.iter().all(|(_, value)| value.as_i64().is_some()).then_some("integer")
        }
        types if types.iter().all(|kind| kind.contains("number")) => {
            found.values.iter().all(|(_, value)| is_decimal(value)).then_some("decimal")
        }
        _ => None,
    }
}

/// What a decimal holds without loss.
fn is_decimal(value: &Json) -> bool {
    Decimal::from_str_exact(&value.to_string()).is_ok()
}

impl Field<'_> {
    /// The first one that can be nothing but a time is one.
    fn become_time(&mut self, has_time: &mut bool) {
        let values = || self.found.values.iter().map(|(_, value)| value);
        let format = match self.kind {
            _ if *has_time => return,
            "string" if values().all(is_time) => None,
            "u64" if !identity::is_named_boot(self) => {
                match unix(&values().filter_map(Json::as_u64).collect::<Vec<_>>()) {
                    Some(format) if hinted(self, &TIMES) => Some(format),
                    _ => return,
                }
            }
            _ => return,
        };
        (self.kind, self.format, *has_time) = ("time", format, true);
    }
}

/// What fields are called that hold a time.
const TIMES: [&str; 5] = ["time", "ts", "date", "stamp", "_at"];
/// Seconds since 1970 of the years 2015 to 2100.
const SECONDS: std::ops::Range<u64> = 1_420_070_400..4_102_444_800;

/// Whether all numbers are times, in seconds or milliseconds since 1970.
fn unix(numbers: &[u64]) -> Option<&'static str> {
    let all = |unit: u64| numbers.iter().all(|number| SECONDS.contains(&(number / unit)));
    if all(1) { Some("unix") } else { all(1_000).then_some("unix-ms") }
}

/// ISO 8601 with a date and a time.
fn is_time(value: &Json) -> bool {
    let Some(text) = value.as_str() else { return false };
    let bytes = text.as_bytes();
    bytes.len() >= 16
        && text.is_ascii()
        && [(4, b'-'), (7, b'-'), (13, b':')].iter().all(|(at, sign)| bytes[*at] == *sign)
        && matches!(bytes[10], b'T' | b' ')
        && text[..4].bytes().all(|b| b.is_ascii_digit())
}

/// A name for a field from the last name of its path, unlike the others.
fn name_of(path: &[String], names: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let last: String = path.last().map(|name| name.chars().map(plain).collect()).unwrap_or_default();
    unlike(&if is_name(&last) && last != "device" { last } else { format!("field_{last}") }, names)
}

/// The name, with a number behind it where it is taken.
fn unlike(wanted: &str, names: &mut BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests;
