//! What a person corrects of a posting that was refused. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::{sha256_hex, steers, travels_as_text};

/// Characters of a value that the audit has whole.
const VALUE: usize = 200;

/// One member to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which: a JSON pointer into `data`, `/qty`.
    pub pointer: String,
    /// What it is then; `None`: it is taken out.
    pub value: Option<Value>,
    /// The value as it was typed, without quotes: what a text becomes, character by character.
    #[serde(default)]
    pub typed: Option<String>,
    /// It may be one that is not there yet.
    #[serde(default)]
    pub new: bool,
}

impl Change {
    /// Reads `POINTER=VALUE`: a value that is JSON is that, any other one is a text.
    ///
    /// # Errors
    /// When it has not that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "write a JSON pointer and a value: /qty=3, /lot=L77, /lines/0/qty='\"3\"'".to_owned();
        let (pointer, value) = text.split_once('=').filter(|(pointer, _)| pointer.starts_with('/')).ok_or_else(form)?;
        let read = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let quoted = read.is_string() && value.starts_with('"');
        let typed = (!quoted).then(|| value.to_owned());
        Ok(Self { pointer: pointer.to_owned(), value: Some(read), typed, new: false })
    }

    /// What takes the place of `old`: a text where that is one, or where the contract has one.
    fn for_place(&self, name: &str, old: Option<&Value>) -> Option<Value> {
        let text = old.map_or_else(|| travels_as_text(name), Value::is_string);
        match &self.typed {
            Some(typed) if text => Some(Value::String(typed.clone())),
            _ => self.value.clone(),
        }
    }
}

/// What comes of a correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The content, as JSON.
    pub body: String,
    /// What was changed, for the audit: `/qty: "4" -> "3"`.
    pub changes: String,
}

/// The corrected content of a posting: its own with the changes, and `corrects`, the id of the event that it corrects. A text
/// stays a text: a number that takes its place becomes one, since decimals travel so.
///
/// # Errors
/// A sentence: when the content has no such member, nothing changes, or the changed member is what orders the posting.
pub fn edited(data: &str, subject: &str, event: &str, changes: &[Change]) -> Result<Edited, String> {
    let before: Value = serde_json::from_str(data).map_err(|e| format!("what is stored of it is no JSON: {e}"))?;
    let (mut after, mut told) = (before.clone(), Vec::new());
    for change in changes {
        let Change { pointer, new, .. } = change;
        let (parent, name) = pointer.rsplit_once('/').ok_or("a JSON pointer begins with /")?;
        let name = name.replace("~1", "/").replace("~0", "~");
        let old = after.pointer(pointer).cloned();
        if let Some(old) = old.as_ref().and_then(Value::as_str).filter(|old| orders(subject, old)) {
            return Err(format!(
                "{pointer} is \"{old}\", which orders the posting ({subject}): `skip` this one, and book the right one in the ERP"
            ));
        }
        let value = change.for_place(&name, old.as_ref());
        if let (Some(old), Some(value), Some(typed)) = (&old, &value, &change.typed)
            && kind(old) != kind(value)
            && !old.is_null()
            && !value.is_null()
        {
            let is = kind(old);
            let quoted =
                if value.is_string() { format!(", or {pointer}='\"{typed}\"' for a text") } else { String::new() };
            return Err(format!("{pointer} is {is} ({}), and {typed} is none: write {is}{quoted}", short(old)));
        }
        told.push(match (&old, &value) {
            (Some(old), Some(value)) => format!("{pointer}: {} -> {}", short(old), short(value)),
            (Some(old), None) => format!("{pointer}: {} taken out", short(old)),
            (None, value) => format!("{pointer}: {} added", value.as_ref().map(short).unwrap_or_default()),
        });
        let Some(holder) = after.pointer_mut(parent) else {
            return Err(format!("it has no {parent}: {}", members(&before)));
        };
        match (holder, value) {
            (Value::Object(_), Some(_)) if old.is_none() && !new => {
                return Err(format!("it has no {pointer}: {}; `--add` puts in what was not there", members(&before)));
            }
            (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
            (Value::Object(held), None) => {
                if held.remove(&name).is_none() {
                    return Err(format!("it has no {pointer}: {}", members(&before)));
                }
            }
            (Value::Array(items), value) => {
                let index: Option<usize> = name.parse().ok().filter(|index| *index < items.len());
                let Some(index) = index else { return Err(format!("it has no {pointer}: {} there", items.len())) };
                match value {
                    Some(value) => items[index] = value,
                    None => drop(items.remove(index)),
                }
            }
            _ => return Err(format!("{parent} is neither an object nor a list")),
        }
    }
    if after == before {
        return Err("nothing of it is changed".to_owned());
    }
    let (mut was, mut is) = (Vec::new(), Vec::new());
    ordering(&before, subject, String::new(), &mut was);
    ordering(&after, subject, String::new(), &mut is);
    if was.iter().any(|place| !is.contains(place)) {
        return Err(format!(
            "it would change what orders the posting ({subject}): `skip` this one, and book the right one in the ERP"
        ));
    }
    let Value::Object(mut after) = after else { return Err("its content is no object".to_owned()) };
    after.insert("corrects".to_owned(), Value::String(event.to_owned()));
    Ok(Edited { body: Value::Object(after).to_string(), changes: escaped(&told.join(", ")) })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What would steer a terminal, as JSON writes it.
fn escaped(text: &str) -> String {
    let escape = |c: char| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// A value as the audit has it: a long one by its beginning and its hash.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE) {
        None => text,
        Some((end, _)) => format!("{}… (SHA-256 {})", &text[..end], sha256_hex(text.as_bytes())),
    }
}

/// The places of texts that order the posting, and the texts.
fn ordering(value: &Value, subject: &str, at: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| ordering(value, subject, format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| ordering(value, subject, format!("{at}/{n}"), found));
        }
        Value::String(text) if orders(subject, text) => found.push((at, text.clone())),
        _ => {}
    }
}

fn orders(subject: &str, value: &str) -> bool {
    !value.is_empty() && (subject == value || subject.split('/').skip(1).any(|part| part == value))
}

/// The members that there are, for a person who mistyped one.
fn members(data: &Value) -> String {
    let names = |members: &Map<String, Value>| members.keys().map(|name| format!("/{name}")).collect::<Vec<_>>();
    format!("there are {}", data.as_object().map(names).unwrap_or_default().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{"shipment":"SH-1","item":"A-100","qty":"4","line":10,"lines":[{"qty":"4"}]}"#;

    fn told(changes: &[&str]) -> Result<Edited, String> {
        let read = |text: &&str| Change {
            new: text.starts_with('+'),
            ..Change::parse(text.trim_start_matches('+')).expect("a change")
        };
        edited(
            DATA,
            "shipment/SH-1",
            "5156c9f5-9f15-8e55-bd79-306fa69e208a",
            &changes.iter().map(read).collect::<Vec<_>>(),
        )
    }

    fn edit(changes: &[&str]) -> Result<String, String> {
        told(changes).map(|edited| edited.body)
    }

    #[test]
    fn the_audit_is_told_what_was_there_and_what_is_there_now() {
        let changes = told(&["/qty=3", "/line=20", "+/lot=L77", "/lines/0/qty=5"]).expect("it is changed").changes;
        assert_eq!(changes, r#"/qty: "4" -> "3", /line: 10 -> 20, /lot: "L77" added, /lines/0/qty: "4" -> "5""#);
        let steers = told(&["/item=A\u{9b}2J"]).expect("it is changed").changes;
        assert_eq!(steers, r#"/item: "A-100" -> "A\u009b2J""#);
        let turns = told(&["/item=A\u{202e}2J"]).expect("it is changed").changes;
        assert_eq!(turns, r#"/item: "A-100" -> "A\u202e2J""#);
        let long = told(&[&format!("/item={}", "x".repeat(500))]).expect("it is changed").changes;
        assert!(long.starts_with(r#"/item: "A-100" -> "xxx"#) && long.contains("x… (SHA-256 "), "{long}");
        assert!(long.len() < 350, "{long}");
    }

    #[test]
    fn a_text_stays_a_text_and_a_number_a_number() {
        let after = edit(&["/qty=3", "/line=20", "+/lot=L77", "/lines/0/qty=\"3\""]).expect("it is changed");
        insta::assert_snapshot!(after, @r#"{"shipment":"SH-1","item":"A-100","qty":"3","line":20,"lines":[{"qty":"3"}],"lot":"L77","corrects":"5156c9f5-9f15-8e55-bd79-306fa69e208a"}"#);
    }

    #[test]
    fn a_text_is_what_was_typed() {
        for (typed, is) in [
            ("/qty=1E5", "\"qty\":\"1E5\""),
            ("/qty=1.10", "\"qty\":\"1.10\""),
            ("/item=123456789012345678901234", "\"item\":\"123456789012345678901234\""),
            ("/item=null", "\"item\":\"null\""),
            ("+/lot=12", "\"lot\":\"12\""),
            ("+/cycle=12", "\"cycle\":12"),
            ("/lines/0/qty=3.0", "\"lines\":[{\"qty\":\"3.0\"}]"),
            ("+/lot=\"L7\"", "\"lot\":\"L7\""),
        ] {
            let after = edit(&[typed]).expect("it is changed");
            assert!(after.contains(is), "{typed}: {after}");
        }
    }

    #[test]
    fn what_orders_the_posting_is_not_changed_by_its_holder_either() {
        let data = r#"{"object":{"shipment":"SH-1"},"qty":"4"}"#;
        let change = Change::parse(r#"/object={"shipment":"SH-2"}"#).expect("a change");
        let refused = edited(data, "shipment/SH-1", "e", &[change]).expect_err("it orders");
        assert!(refused.contains("orders the posting (shipment/SH-1)"), "{refused}");
    }

    #[test]
    fn a_slip_of_the_fingers_makes_no_other_kind_of_value() {
        let why = |change: &str| edit(&[change]).expect_err("it is another kind");
        insta::assert_snapshot!(why("/line=2O"), @r#"/line is a number (10), and 2O is none: write a number, or /line='"2O"' for a text"#);
        insta::assert_snapshot!(why("/lines=3"), @r#"/lines is a list ([{"qty":"4"}]), and 3 is none: write a list"#);
        assert!(edit(&["/line=\"2O\""]).expect("it is meant").contains("\"line\":\"2O\""));
        assert!(edit(&["/line=null"]).expect("it is meant").contains("\"line\":null"));
    }

    #[test]
    fn a_member_is_taken_out() {
        let out = Change { pointer: "/line".to_owned(), value: None, typed: None, new: false };
        let Edited { body, changes } = edited(DATA, "shipment/SH-1", "e", &[out]).expect("it is changed");
        assert!(!body.contains("\"line\""), "{body}");
        assert_eq!(changes, "/line: 10 taken out");
    }

    #[test]
    fn what_can_not_be_is_told() {
        let told = |changes: &[&str]| edit(changes).expect_err("it can't be");
        assert!(told(&["/shipment=SH-2"]).contains("orders the posting (shipment/SH-1)"));
        assert!(told(&["/qty=4"]).contains("nothing of it is changed"));
        assert!(told(&["/qyt=3"]).starts_with("it has no /qyt: there are /"), "a slip of the fingers posts nothing");
        assert!(told(&["/head/qty=4"]).starts_with("it has no /head: there are /"));
        assert!(told(&["/lines/1=4"]).contains("1 there"));
        assert!(told(&["/qty/unit=4"]).contains("neither an object nor a list"));
        let unknown = Change { pointer: "/lot".to_owned(), value: None, typed: None, new: false };
        assert!(edited(DATA, "s", "e", &[unknown]).expect_err("it has none").starts_with("it has no /lot"));
        assert!(Change::parse("qty=3").is_err());
    }
}
