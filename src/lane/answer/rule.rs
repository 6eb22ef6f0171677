//! What a target means otherwise than the table says: `[[target.classify]]`.

use regex::Regex;
use serde_json::Value;

use super::{REASON, bounded, said};
use crate::lane::{Class, Outcome};

/// An answer, or an item of one, that means `class`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of an answer with one of these statuses; of any, if there are none.
    pub status: Vec<u16>,
    /// What has to be true besides.
    pub test: Option<Test>,
    /// What it means.
    pub class: Class,
    /// The word for the reason: it decides of the category.
    pub code: Option<String>,
}

/// What is looked at in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The whole of it, or each of its results.
    pub of: Subject,
    /// A JSON Pointer there.
    pub pointer: String,
    /// What stands at that place.
    pub expected: Expected,
}

/// What a pointer starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The body: what is true of it is true of the whole batch.
    Body,
    /// Each result of an item by itself.
    Item,
}

/// What stands at a place.
#[derive(Debug, Clone)]
pub enum Expected {
    /// This: a text, a whole number or a truth.
    Equals(Value),
    /// A text that has a match.
    Matches(Regex),
    /// Anything but null.
    Present,
}

impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equals(a), Self::Equals(b)) => a == b,
            (Self::Matches(a), Self::Matches(b)) => a.as_str() == b.as_str(),
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

impl Eq for Expected {}

impl Rule {
    fn is_of(&self, status: u16) -> bool {
        self.status.is_empty() || self.status.contains(&status)
    }

    /// It wants to see a body before it says what such an answer means.
    pub(super) fn looks_into(&self, status: u16) -> bool {
        self.is_of(status) && self.test.is_some()
    }

    fn applies(&self, of: Subject, status: u16, json: Option<&Value>) -> bool {
        if !self.is_of(status) {
            return false;
        }
        match &self.test {
            None => of == Subject::Body,
            Some(test) => {
                test.of == of && json.and_then(|json| json.pointer(&test.pointer)).is_some_and(|v| test.holds(v))
            }
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match (&self.expected, value) {
            (Expected::Equals(expected), value) => {
                // 1.0 is 1.
                expected == value || (value.is_f64() && expected.is_number() && expected.as_f64() == value.as_f64())
            }
            (Expected::Matches(pattern), Value::String(text)) => pattern.is_match(text),
            (Expected::Matches(pattern), Value::Number(number)) => pattern.is_match(&number.to_string()),
            (Expected::Matches(_), _) => false,
            (Expected::Present, value) => !value.is_null(),
        }
    }
}

/// What the first rule that applies to the whole answer says of it, and the rules before that one.
pub(super) fn of_whole<'r>(rules: &'r [Rule], status: u16, json: Option<&Value>) -> Option<(Outcome, &'r [Rule])> {
    let at = rules.iter().position(|rule| rule.applies(Subject::Body, status, json))?;
    let rule = &rules[at];
    let words = json.and_then(said).map_or_else(String::new, |words| format!(": {}", bounded(&words, REASON)));
    let reason = format!("the ERP answers HTTP {status}, which its `classify` takes for {}{words}", rule.class.name());
    Some((Outcome { code: rule.code.clone(), ..Outcome::new(rule.class, reason) }, &rules[..at]))
}

/// The first rule that applies to one result of an answer.
pub(super) fn of_item<'r>(rules: &'r [Rule], status: u16, item: &Value) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.applies(Subject::Item, status, Some(item)))
}
