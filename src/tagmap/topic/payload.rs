//! What a payload is made of, and where in it a field stands: a JSON path, a named part of a text, a range.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};
use serde_json::Value as Json;

use super::path::Path;
use crate::form::{Entry, Table};
use crate::tagmap::number::parse;

/// Compiled size of a pattern, bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Elements of one message when the map does not say.
const EVENTS: usize = 100;
/// Digits of a number that is surely a whole one of 64 bits.
const WHOLE_DIGITS: usize = 18;
/// The bytes of a number.
const NUMBER_BYTES: usize = 8;

/// What the payload of a topic is.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    Json {
        /// Each element that it finds is an event.
        each: Option<Each>,
    },
    Text {
        /// White space around it is no part of it.
        trim: bool,
        /// What it must look like; its named groups are places.
        pattern: Option<Regex>,
    },
    Bytes,
}

/// One message, several events.
#[derive(Debug, Clone)]
pub(super) struct Each {
    path: Path,
    most: usize,
}

/// Where a field stands.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the JSON: of the element, or with `of = "message"` of the whole; `first` of several, or the only one.
    Path { path: Path, of_message: bool, first: bool },
    /// All of it.
    Whole,
    /// A named group of the pattern.
    Group(String),
    /// Characters or bytes, from 1, both included.
    Range { from: usize, to: usize, unit: &'static str },
}

/// A payload as it came, opened.
pub(super) enum Body<'p> {
    /// With its numbers as they were written, where a float does not hold each: see [`written`].
    Json(Json, Vec<(String, &'p str)>),
    Text(&'p str, Option<Captures<'p>>),
    Bytes(&'p [u8]),
}

/// What stands at a place.
pub(super) enum Raw<'b> {
    Json(&'b Json),
    /// A number of the JSON with more digits than a float holds.
    Number(&'b str),
    Text(Cow<'b, str>),
    Bytes(&'b [u8]),
}

impl Payload {
    /// Reads `payload` and what belongs to it.
    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let entry = table.required_entry("payload")?;
        match entry.choice(&[("json", 0), ("text", 1), ("bytes", 2)])? {
            0 => {
                let each = table.entry("each");
                let most: usize = if each.is_some() { table.or("max_events", EVENTS) } else { EVENTS };
                if !(1..=1_000).contains(&most) {
                    table.refuse_key("max_events", &format!("is {most}"), "write at least 1 and at most 1000");
                }
                let each = match each {
                    Some(entry) => Some(Each { path: path(&entry)?, most }),
                    None => None,
                };
                Some(Self::Json { each })
            }
            1 => {
                let trim = table.or("trim", false);
                let pattern = match table.entry("pattern") {
                    Some(entry) => Some(pattern(&entry)?),
                    None => None,
                };
                Some(Self::Text { trim, pattern })
            }
            _ => Some(Self::Bytes),
        }
    }

    /// An element of a list in it; `None`: it has no lists.
    pub(super) fn element(&self) -> Option<Self> {
        let Self::Json { .. } = self else { return None };
        let path = Path::parse("$[*]").expect("that is a path");
        Some(Self::Json { each: Some(Each { path, most: EVENTS }) })
    }

    /// Opens what came.
    ///
    /// # Errors
    /// Why it is no such payload.
    pub(super) fn open<'p>(&self, payload: &'p [u8]) -> Result<Body<'p>, String> {
        match self {
            Self::Json { .. } if payload.is_empty() => Err("the payload is empty, expected JSON".to_owned()),
            Self::Json { .. } => {
                let json = serde_json::from_slice(payload).map_err(|e| format!("the payload is not JSON: {e}"))?;
                Ok(Body::Json(json, written(std::str::from_utf8(payload).unwrap_or_default())))
            }
            Self::Text { trim, pattern } => {
                let text = std::str::from_utf8(payload)
                    .map_err(|e| format!("the text is not UTF-8 at byte {}", e.valid_up_to() + 1))?;
                let text = if *trim { text.trim() } else { text };
                if text.is_empty() {
                    return Err("the text is empty".to_owned());
                }
                let captures = match pattern {
                    Some(pattern) => Some(pattern.captures(text).ok_or("the text does not match the pattern")?),
                    None => None,
                };
                Ok(Body::Text(text, captures))
            }
            Self::Bytes if payload.is_empty() => Err("the payload is empty".to_owned()),
            Self::Bytes => Ok(Body::Bytes(payload)),
        }
    }

    /// The elements of the message, each an event; without `each` the message itself.
    ///
    /// # Errors
    /// There is none, or more than the map takes.
    pub(super) fn elements<'b>(&self, body: &'b Body<'_>) -> Result<Vec<Option<&'b Json>>, String> {
        let (Self::Json { each: Some(each) }, Body::Json(json, _)) = (self, body) else { return Ok(vec![None]) };
        let found = each.path.all(json);
        match found.len() {
            0 => Err(format!("`{}` finds nothing", each.path.text)),
            n if n > each.most => Err(format!("`{}` finds {n}, at most {} (max_events)", each.path.text, each.most)),
            _ => Ok(found.into_iter().map(Some).collect()),
        }
    }
}

fn path(entry: &Entry<'_>) -> Option<Path> {
    let text: String = entry.read()?;
    Path::parse(&text).map_err(|why| entry.refuse(&format!("is no JSON path: {why}"), "write \"$.name\"")).ok()
}

fn pattern(entry: &Entry<'_>) -> Option<Regex> {
    let text: String = entry.read()?;
    match RegexBuilder::new(&text).size_limit(MAX_PATTERN).build() {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let why = why.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            entry.refuse(&format!("is no pattern: {why}"), "write '^(?<code>[0-9]+)$' and the like, in single quotes");
            None
        }
    }
}

impl Place {
    /// Reads where the field of `table` stands.
    pub(super) fn read(table: &Table<'_>, payload: &Payload) -> Option<Self> {
        match payload {
            Payload::Json { each } => {
                let path = table.required_entry("path").and_then(|entry| path(&entry));
                let of = table.entry("of");
                if let (Some(of), None) = (&of, each) {
                    of.refuse("means nothing without `each`", "remove it");
                }
                let of_message = of.is_some_and(|of| of.choice(&[("message", true), ("element", false)]) == Some(true));
                let first = table.or("first", false);
                Some(Self::Path { path: path?, of_message: of_message || each.is_none(), first })
            }
            Payload::Text { pattern, .. } => match (table.entry("group"), table.entry("chars")) {
                (Some(group), Some(_)) => {
                    group.refuse("stands beside `chars`", "one of the two says where the field is");
                    None
                }
                (Some(entry), None) => group(&entry, pattern.as_ref()),
                (None, Some(entry)) => range(&entry, "characters"),
                (None, None) => Some(Self::Whole),
            },
            Payload::Bytes => match table.entry("bytes") {
                Some(entry) => range(&entry, "bytes"),
                None => Some(Self::Whole),
            },
        }
    }

    /// What stands there; nothing, where the payload has no such place.
    ///
    /// # Errors
    /// It is not one thing.
    pub(super) fn find<'b>(&self, body: &'b Body<'_>, element: Option<&'b Json>) -> Result<Option<Raw<'b>>, String> {
        Ok(match (self, body) {
            (Self::Path { path, of_message, first }, Body::Json(message, written)) => {
                let json = element.filter(|_| !of_message).unwrap_or(message);
                let found =
                    if *first { Ok(path.all(json).into_iter().find(|j| !j.is_null())) } else { path.find(json) };
                let found = found.map_err(|n| format!("`{}` finds {n} values, expected one", path.text))?;
                found.map(|json| number_of(json, written, &path.text)).transpose()?
            }
            (Self::Whole, Body::Text(text, _)) => Some(Raw::Text(Cow::Borrowed(text))),
            (Self::Group(name), Body::Text(_, Some(captures))) => {
                captures.name(name).map(|found| Raw::Text(Cow::Borrowed(found.as_str())))
            }
            (Self::Range { from, to, .. }, Body::Text(text, _)) => {
                let part: String = text.chars().skip(from - 1).take(to + 1 - from).collect();
                (part.chars().count() == to + 1 - from).then_some(Raw::Text(Cow::Owned(part)))
            }
            (Self::Whole, Body::Bytes(bytes)) => Some(Raw::Bytes(bytes)),
            (Self::Range { from, to, .. }, Body::Bytes(bytes)) => bytes.get(from - 1..*to).map(Raw::Bytes),
            _ => None,
        })
    }

    /// As the integrator knows it.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Path { path, .. } => Cow::Borrowed(&path.text),
            Self::Whole => Cow::Borrowed("the payload"),
            Self::Group(name) => Cow::Borrowed(name),
            Self::Range { from, to, unit } => Cow::Owned(format!("{unit} {from} to {to}")),
        }
    }

    /// Every message that can be opened has it, whole.
    pub(super) fn is_message(&self) -> bool {
        !matches!(self, Self::Path { of_message: false, .. })
    }
}

fn group(entry: &Entry<'_>, pattern: Option<&Regex>) -> Option<Place> {
    let name: String = entry.read()?;
    let names: Vec<&str> = pattern.iter().flat_map(|p| p.capture_names()).flatten().collect();
    if !names.contains(&name.as_str()) {
        let help = if names.is_empty() {
            "give the pattern named groups: (?<code>…)".to_owned()
        } else {
            format!("known here: {}", names.join(", "))
        };
        entry.refuse(&format!("the pattern has no group `{name}`"), &help);
        return None;
    }
    Some(Place::Group(name))
}

/// `[1, 8]`
fn range(entry: &Entry<'_>, unit: &'static str) -> Option<Place> {
    let read: Vec<usize> = entry.read()?;
    match read[..] {
        [from, to] if from >= 1 && from <= to => Some(Place::Range { from, to, unit }),
        _ => {
            entry.refuse("is no range", "write the first and the last, counted from 1: [1, 8]");
            None
        }
    }
}

impl Raw<'_> {
    /// A text, as it is; bytes as hexadecimal digits.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Json(Json::String(text)) => Some(Cow::Borrowed(text)),
            Self::Json(_) | Self::Number(_) => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Some(Cow::Owned(hexadecimal(bytes))),
        }
    }

    /// A number of digits; bytes as a number, the most significant first.
    pub(super) fn digits(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Json(Json::Number(number)) => Some(Cow::Owned(number.to_string())),
            Self::Number(digits) => Some(Cow::Borrowed(digits)),
            Self::Text(text) => Some(Cow::Borrowed(text.trim())),
            Self::Bytes(bytes) if bytes.len() <= NUMBER_BYTES => {
                Some(Cow::Owned(bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).to_string()))
            }
            Self::Json(_) | Self::Bytes(_) => None,
        }
    }

    /// true or false.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Json(Json::Bool(b)) => Some(*b),
            Self::Json(_) | Self::Number(_) | Self::Bytes(_) => None,
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// The numbers of a JSON text that are read as floats: the float's text, and what was written. None when each float is
/// the number that was written.
fn written(payload: &str) -> Vec<(String, &str)> {
    let (mut numbers, mut rest) = (Vec::new(), payload);
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = behind_text(text);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
        let number = &rest[..end];
        rest = &rest[end..];
        if number.len() > WHOLE_DIGITS || number.contains(['.', 'e', 'E']) {
            let float = serde_json::from_str::<serde_json::Number>(number).ok();
            numbers.extend(float.map(|float| (float.to_string(), number)));
        }
    }
    if numbers.iter().all(|(float, number)| parse(number).is_none_or(|number| parse(float) == Some(number))) {
        numbers.clear();
    }
    numbers
}

/// What comes after a JSON text whose quote is open.
fn behind_text(text: &str) -> &str {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or("", |end| &text[end + 1..])
}

/// What was found; a number as it was written.
fn number_of<'b>(json: &'b Json, written: &[(String, &'b str)], path: &str) -> Result<Raw<'b>, String> {
    let Json::Number(number) = json else { return Ok(Raw::Json(json)) };
    let float = if written.is_empty() { return Ok(Raw::Json(json)) } else { number.to_string() };
    let mut same = written.iter().filter(|(of, _)| *of == float).map(|(_, number)| *number);
    let Some(first) = same.next() else { return Ok(Raw::Json(json)) };
    if same.any(|other| parse(other) != parse(first)) {
        return Err(format!("`{path}` is {float} and some digits more, as is another number of the message"));
    }
    // What is beyond a decimal, too, is what the float makes of it.
    Ok(if parse(first).is_some() { Raw::Number(first) } else { Raw::Json(json) })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digits at `$.n`.
    fn digits(payload: &str) -> Result<Option<String>, String> {
        let body = Payload::Json { each: None }.open(payload.as_bytes())?;
        let place = Place::Path { path: Path::parse("$.n").expect("a path"), of_message: true, first: false };
        Ok(place.find(&body, None)?.and_then(|raw| raw.digits().map(Cow::into_owned)))
    }

    #[test]
    fn a_number_of_json_is_what_was_written() {
        for (payload, expected) in [
            (r#"{"n":1234567890.123456789}"#, "1234567890.123456789"),
            (r#"{"s":"\\\"9.1","n": -12345678901234567.5 }"#, "-12345678901234567.5"),
            (r#"{"n":18446744073709551616}"#, "18446744073709551616"),
            (r#"{"n":18446744073709551615}"#, "18446744073709551615"),
            (r#"{"n":12.30,"m":0.1234567890123456789}"#, "12.30"),
            (r#"{"n":12.30}"#, "12.3"),
            (r#"{"n":0.30000000000000004}"#, "0.30000000000000004"),
            (r#"{"n":7}"#, "7"),
        ] {
            assert_eq!(digits(payload), Ok(Some(expected.to_owned())), "{payload}");
        }
        let same = r#"{"n":0.1234567890123456789,"m":0.1234567890123456788}"#;
        assert_eq!(
            digits(same),
            Err("`$.n` is 0.12345678901234568 and some digits more, as is another number of the message".to_owned())
        );
        assert_eq!(digits(r#"{"n":"1.5"}"#), Ok(None), "a text is no number");
    }
}
