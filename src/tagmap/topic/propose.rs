//! A `[[topic]]` from messages that were seen: a beginning for the integrator, who knows what they mean.
//!
//! What comes out is read by this version without fault, and decodes every message that it was made of. What can't be
//! told from a few messages (names, what a message means, which field is its subject) is guessed plainly and marked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::filter::is_name;
use crate::event::is_valid_id;
use crate::tagmap::gs1;

/// Fields that are proposed at most.
const MOST_FIELDS: usize = 64;
/// Objects within objects that are looked into.
const DEEPEST: usize = 8;
/// A boot id or message id has at most so many bytes.
const LONGEST_ID: usize = 128;
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
        match type_of(found, has_time) {
            Some(kind) => {
                has_time |= kind == "time";
                let name = name_of(&found.names, &mut names);
                let required = found.leaf.count == of.len();
                fields.push(Field { name, path: &found.leaf.path, kind, required, found });
            }
            None => left_out.push(found),
        }
    }
    let identity =
        identity(&fields).ok_or("nothing in the payloads could tell one message from another: no text, no count")?;
    Ok(Proposal { text: written(&filter, &captures, &fields, &left_out, &identity, &of), of: of.len() })
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
fn type_of(found: &Found<'_>, has_time: bool) -> Option<&'static str> {
    let types: Vec<&str> = found.leaf.types.iter().copied().collect();
    match types.as_slice() {
        ["text"] if !has_time && found.values.iter().all(|(_, value)| is_time(value)) => Some("time"),
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
    let last = if is_name(&last) && last != "device" { last } else { format!("field_{last}") };
    let mut name = last.clone();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{last}_{number}");
        number += 1;
    }
    name
}

/// What names a message, by the index of its field.
enum Identity {
    Counted { boot: usize, seq: usize },
    Message(usize),
    Content(usize),
}

fn identity(fields: &[Field<'_>]) -> Option<Identity> {
    let find = |is: &dyn Fn(&Field<'_>) -> bool| fields.iter().position(|field| field.required && is(field));
    let seq = find(&|field| field.kind == "u64" && counts(field));
    let boot = find(&|field| is_boot(field));
    if let (Some(boot), Some(seq)) = (boot, seq)
        && boot != seq
    {
        return Some(Identity::Counted { boot, seq });
    }
    if let Some(id) = find(&|field| is_message_id(field)) {
        return Some(Identity::Message(id));
    }
    let named = find(&|field| is_content(field) && hinted(field, &["barcode", "code", "sscc", "epc", "tag", "data"]));
    named.or_else(|| find(&|field| is_content(field))).map(Identity::Content)
}

fn hinted(field: &Field<'_>, words: &[&str]) -> bool {
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

/// Stays the same within one topic, and has such a name.
fn is_boot(field: &Field<'_>) -> bool {
    let mut of: BTreeMap<&str, &Json> = BTreeMap::new();
    let steady = field.found.values.iter().all(|(topic, value)| *of.entry(topic).or_insert(value) == value);
    let named = hinted(field, &["boot", "session", "epoch", "power", "run_id"]);
    named && steady && (field.kind == "u64" || is_id(field))
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

fn is_content(field: &Field<'_>) -> bool {
    let is_there = |value: &Json| value.as_str().is_some_and(|text| !gs1::bare(text).is_empty());
    field.kind == "string" && field.found.values.iter().all(|(_, value)| is_there(value))
}

fn written(
    filter: &str,
    captures: &[Capture],
    fields: &[Field<'_>],
    left_out: &[&Found<'_>],
    identity: &Identity,
    of: &[Heard],
) -> String {
    let mut text = String::new();
    let mut line = |line: &str| writeln!(text, "{line}").expect("writing to a String cannot fail");
    let quoted = |text: &str| toml::Value::from(text).to_string();
    line("[[topic]]");
    line(&format!("filter = {}", quoted(filter)));
    line("qos = 1");
    line("payload = \"json\"");
    let longest = of.iter().map(|heard| heard.payload.len()).max().unwrap_or_default();
    if longest > 32 << 10 {
        line(&format!("max_bytes = \"{} KiB\"", (longest * 2).div_ceil(1 << 10)));
    }
    line("\n[topic.field]");
    for Field { name, path, kind, required, found } in fields {
        let required = if *required { ", required = true" } else { "" };
        let example: String = found.leaf.example.chars().take(40).filter(|c| !c.is_control()).collect();
        line(&format!("{name} = {{ path = {}, type = \"{kind}\"{required} }}    # {example}", quoted(path)));
    }
    for found in left_out {
        let types: Vec<&str> = found.leaf.types.iter().copied().collect();
        let path: String = found.leaf.path.chars().filter(|c| !c.is_control()).collect();
        line(&format!("# {path} is a {}: no type of this version takes it", types.join(" or a ")));
    }
    let apart: Vec<usize> = match identity {
        Identity::Counted { boot, seq } => vec![*boot, *seq],
        Identity::Message(id) => vec![*id],
        Identity::Content(_) => Vec::new(),
    };
    let carried = fields.iter().enumerate().filter(|(i, field)| !apart.contains(i) && field.kind != "time");
    let carried: Vec<String> = captures
        .iter()
        .map(|capture| &capture.name)
        .chain(carried.map(|(_, field)| &field.name))
        .map(|name| format!("\"{name}\""))
        .collect();
    let subject = match identity {
        Identity::Content(content) => Some(&fields[*content]),
        _ => fields.iter().find(|field| {
            field.required && is_content(field) && hinted(field, &["barcode", "code", "sscc", "epc", "tag"])
        }),
    };
    line("\n[[topic.emit]]");
    line("event = \"device.message\"    # name what it means: \"scan.carton\"");
    if let Some(subject) = subject {
        line(&format!("subject = \"{{{}}}\"    # what it is about: events of one subject stay in order", subject.name));
    }
    line(&format!("fields = [{}]", carried.join(", ")));
    line("\n[topic.identity]");
    match captures.iter().rfind(|capture| capture.is_instance) {
        Some(instance) => {
            line(&format!("device = \"{{device}}-{{{}}}\"    # each counts for itself", instance.name));
        }
        None if topics(of) > 1 => {
            line(&format!("# {} topics are one device here: where each counts for itself, it needs a", topics(of)));
            line("# [[device]] of its own, with the level of its topic as a parameter of the map");
        }
        None => {}
    }
    match identity {
        Identity::Counted { boot, seq } => {
            line(&format!("boot = \"{}\"", fields[*boot].name));
            line(&format!("seq = \"{}\"", fields[*seq].name));
        }
        Identity::Message(id) => line(&format!("message_id = \"{}\"", fields[*id].name)),
        Identity::Content(content) => {
            line(&format!(
                "content = \"{}\"    # no count was seen: repeats are told apart by time alone",
                fields[*content].name
            ));
            line("window = \"2s\"");
        }
    }
    text
}

#[cfg(test)]
mod tests;
