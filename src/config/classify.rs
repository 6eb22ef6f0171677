//! `[[target.classify]]`: what a target means otherwise than the table of docs/erp.md says.

use regex::RegexBuilder;
use serde_json::Value;
use toml::de::DeValue;

use crate::form::{Entry, Fault, Kind, Table};
use crate::lane::{Class, Expected, Rule, Subject, Test};

/// Memory that a pattern may take, bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Rules of one target.
const MAX_RULES: usize = 100;

/// What an answer may be taken for.
const CLASSES: [(&str, Class); 13] = [
    ("delivered", Class::Delivered),
    ("duplicate", Class::Duplicate),
    ("accepted", Class::Accepted),
    ("not_attempted", Class::NotAttempted),
    ("transient", Class::Transient),
    ("throttled", Class::Throttled),
    ("auth", Class::Auth),
    ("contract", Class::Contract),
    ("validation", Class::Validation),
    ("reference", Class::Reference),
    ("conflict", Class::Conflict),
    ("key_clash", Class::KeyClash),
    ("unknown", Class::Unknown),
];

/// The rules of a target, in their order; `items`: it answers for each item.
pub(super) fn read_all(target: &Table<'_>, items: bool, warn: &dyn Fn(Fault)) -> Vec<Rule> {
    let tables = target.tables("classify");
    if tables.len() > MAX_RULES {
        target.refuse_key("classify", &format!("has {} rules", tables.len()), "write 100 at most");
    }
    let asked = target.entry("lookup").is_some();
    let unasked = |class: &Entry<'_>| {
        if !asked {
            warn(class.fault(UNASKED, "add where keys can be looked up: `lookup = { url = \"https://…\" }`"));
        }
    };
    tables.iter().filter_map(|table| rule(table, items, &unasked)).collect()
}

const UNASKED: &str =
    "is asked for by lookup, and the target has none: unless there is a job at its `Location`, the same is sent again";

/// `accepts`: hears of what is to be asked for later.
fn rule(table: &Table<'_>, items: bool, accepts: &dyn Fn(&Entry<'_>)) -> Option<Rule> {
    let status = table.entry("status").map(|entry| statuses(&entry));
    let (body, item) = (table.entry("at"), table.entry("item"));
    if let (Some(_), Some(item)) = (&body, &item) {
        item.refuse("stands beside `at`", "one of the two says where to look: in the body, or in each result");
    }
    if let (Some(item), false) = (&item, items) {
        item.refuse("means nothing without results of items", "add `answers = { items = \"/results\" }` to the target");
    }
    let place = body.map(|entry| (Subject::Body, entry)).or(item.map(|entry| (Subject::Item, entry)));
    let expected = expected(table, place.is_some());
    if place.is_none() && status.is_none() {
        table.refuse("says of no answer that it is meant", "add `status`, or `at` and what stands there");
    }
    let test = place.map(|(of, entry)| pointer(&entry).map(|pointer| (of, pointer)));
    let given = table.required_entry("class");
    let class = given.as_ref().and_then(|entry| entry.choice(&CLASSES));
    if let (Some(entry), Some(Class::Accepted)) = (&given, class) {
        accepts(entry);
    }
    let code = table.entry("code").map(|entry| word(&entry));
    Some(Rule {
        status: status.unwrap_or_default(),
        test: match test {
            Some(place) => place.zip(expected).map(|((of, pointer), expected)| Test { of, pointer, expected }),
            None => None,
        },
        class: class?,
        code: code.flatten(),
    })
}

/// `400` or `[400, 422]`.
fn statuses(entry: &Entry<'_>) -> Vec<u16> {
    entry.expects(|| Kind::Integer(200, 599));
    entry.expects(|| Kind::List(Box::new(Kind::Integer(200, 599))));
    let given: Vec<u16> = match entry.value() {
        DeValue::Array(_) => entry.read().unwrap_or_default(),
        _ => entry.read().into_iter().collect(),
    };
    if let Some(bad) = given.iter().find(|status| !(200..600).contains(*status)) {
        entry.refuse(&format!("{bad} is no status of an answer"), "write 200 to 599");
    }
    given
}

fn pointer(entry: &Entry<'_>) -> Option<String> {
    let text: String = entry.read()?;
    if !text.starts_with('/') {
        entry.refuse(&format!("\"{text}\" is not a JSON Pointer"), &format!("write \"/{text}\""));
        return None;
    }
    Some(text)
}

/// What has to stand at the place; anything, where nothing is said of it.
fn expected(table: &Table<'_>, placed: bool) -> Option<Expected> {
    let (equals, matches) = (table.entry("equals"), table.entry("matches"));
    for entry in [&equals, &matches].into_iter().flatten().filter(|_| !placed) {
        entry.refuse("says nothing of where", "add `at = \"/…\"`, or `item = \"/…\"` for each result");
    }
    match (equals, matches) {
        (Some(_), Some(matches)) => {
            matches.refuse("stands beside `equals`", "one of the two says what is expected");
            None
        }
        (Some(entry), None) => equal(&entry).map(Expected::Equals),
        (None, Some(entry)) => pattern(&entry),
        (None, None) => Some(Expected::Present),
    }
}

fn equal(entry: &Entry<'_>) -> Option<Value> {
    for kind in [Kind::Text, Kind::Bool, Kind::Integer(i64::MIN, i64::MAX)] {
        entry.expects(|| kind.clone());
    }
    match entry.value() {
        DeValue::String(_) => entry.read::<String>().map(Value::from),
        DeValue::Boolean(_) => entry.read::<bool>().map(Value::from),
        DeValue::Integer(_) => entry.read::<i64>().map(Value::from),
        _ => {
            entry.refuse("is none of what JSON can be equal to here", "write a text, a whole number, true or false");
            None
        }
    }
}

fn pattern(entry: &Entry<'_>) -> Option<Expected> {
    let text: String = entry.read()?;
    match RegexBuilder::new(&text).size_limit(MAX_PATTERN).build() {
        Ok(pattern) => Some(Expected::Matches(pattern)),
        Err(why) => {
            let why = why.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            entry.refuse(&format!("is no pattern: {why}"), "write '^E04[0-9]$' and the like, in single quotes");
            None
        }
    }
}

/// A word for the reason, as in the table of reasons.
fn word(entry: &Entry<'_>) -> Option<String> {
    let text: String = entry.read()?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        entry.refuse(&format!("\"{text}\" is no code"), "write lower-case letters, digits and _: \"period_closed\"");
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Document;

    fn rules(text: &str) -> Result<Vec<Rule>, String> {
        let document = Document { name: "gateway.toml".to_owned(), text: text.to_owned() };
        let faults = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        document
            .read(|root| root.tables("target").first().map(|target| read_all(target, true, &|_| {})))
            .map_err(faults)
    }

    #[test]
    fn each_form_of_a_rule_is_read() {
        let text = "[[target]]\n\
            [[target.classify]]\nstatus = 400\nat = \"/error/code\"\nequals = \"DUP\"\nclass = \"duplicate\"\n\
            [[target.classify]]\nitem = \"/code\"\nmatches = '^E04[0-9]$'\nclass = \"conflict\"\ncode = \"concurrent\"\n\
            [[target.classify]]\nstatus = [409, 423]\nclass = \"conflict\"\n\
            [[target.classify]]\nat = \"/approved\"\nequals = false\nclass = \"validation\"\n";
        let read = rules(text).expect("it is right");
        let test = |of, pointer: &str, expected| Some(Test { of, pointer: pointer.to_owned(), expected });
        let pattern = regex::Regex::new("^E04[0-9]$").expect("a pattern");
        assert_eq!(
            read,
            [
                Rule {
                    status: vec![400],
                    test: test(Subject::Body, "/error/code", Expected::Equals("DUP".into())),
                    class: Class::Duplicate,
                    code: None
                },
                Rule {
                    status: Vec::new(),
                    test: test(Subject::Item, "/code", Expected::Matches(pattern)),
                    class: Class::Conflict,
                    code: Some("concurrent".to_owned())
                },
                Rule { status: vec![409, 423], test: None, class: Class::Conflict, code: None },
                Rule {
                    status: Vec::new(),
                    test: test(Subject::Body, "/approved", Expected::Equals(false.into())),
                    class: Class::Validation,
                    code: None
                },
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_told_at_its_place() {
        let text = "[[target]]\n\
            [[target.classify]]\nclass = \"locked\"\n\
            [[target.classify]]\nstatus = 99\nat = \"code\"\nitem = \"/code\"\nclass = \"conflict\"\ncode = \"On Hold\"\n\
            [[target.classify]]\nstatus = [400]\nequals = \"x\"\nmatches = '('\nclass = \"unknown\"\n";
        insta::assert_snapshot!(rules(text).expect_err("it is wrong"), @r#"
        gateway.toml:2:1: target[1].classify[1]: says of no answer that it is meant (add `status`, or `at` and what stands there)
        gateway.toml:3:9: target[1].classify[1].class: "locked" is not known here (one of "delivered", "duplicate", "accepted", "not_attempted", "transient", "throttled", "auth", "contract", "validation", "reference", "conflict", "key_clash", "unknown")
        gateway.toml:5:10: target[1].classify[2].status: 99 is no status of an answer (write 200 to 599)
        gateway.toml:6:6: target[1].classify[2].at: "code" is not a JSON Pointer (write "/code")
        gateway.toml:7:8: target[1].classify[2].item: stands beside `at` (one of the two says where to look: in the body, or in each result)
        gateway.toml:9:8: target[1].classify[2].code: "On Hold" is no code (write lower-case letters, digits and _: "period_closed")
        gateway.toml:12:10: target[1].classify[3].equals: says nothing of where (add `at = "/…"`, or `item = "/…"` for each result)
        gateway.toml:13:11: target[1].classify[3].matches: says nothing of where (add `at = "/…"`, or `item = "/…"` for each result)
        gateway.toml:13:11: target[1].classify[3].matches: stands beside `equals` (one of the two says what is expected)
        "#);
    }
}
