//! `when = "status.jam and mode == 'auto'"`: conditions on tags.
//!
//! ```text
//! or      = and { "or" and }
//! and     = not { "and" not }
//! not     = "not" not | "(" or ")" | operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=") operand ]
//! operand = tag | tag.bit | number | 'word' | true | false | {parameter}
//! ```
//!
//! What stands alone is true or false; numbers are compared with numbers, words with words of the tag's `enum`. A tag
//! without a good value makes what depends on it unknown, and nothing is decided on it.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::value::{Datum, Kind, Ref};
use crate::form::nearest;

/// A condition whose tags are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Is(Operand),
    Compare(Operand, Comparison, Operand),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

/// A tag's value or a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Tag(Ref),
    Constant(Datum),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// Conditions in each other.
const MAX_DEPTH: u8 = 32;

impl Condition {
    /// True or false; `None`: it depends on a value that is not there.
    pub(super) fn holds<'v>(&'v self, value: &impl Fn(Ref) -> Option<&'v Datum>) -> Option<bool> {
        match self {
            Self::Is(operand) => match operand.value(value)? {
                Datum::Bool(is) => Some(*is),
                _ => None,
            },
            Self::Compare(left, comparison, right) => {
                let (left, right) = (left.value(value)?, right.value(value)?);
                Some(match comparison {
                    Comparison::Equal => left == right,
                    Comparison::NotEqual => left != right,
                    Comparison::Less => left.number()? < right.number()?,
                    Comparison::LessOrEqual => left.number()? <= right.number()?,
                    Comparison::Greater => left.number()? > right.number()?,
                    Comparison::GreaterOrEqual => left.number()? >= right.number()?,
                })
            }
            Self::Not(inner) => inner.holds(value).map(|holds| !holds),
            Self::And(parts) => decided(parts, value, false),
            Self::Or(parts) => decided(parts, value, true),
        }
    }

    /// The tags that it looks at.
    pub(super) fn refs(&self) -> Vec<Ref> {
        match self {
            Self::Is(operand) => operand.tag().into_iter().collect(),
            Self::Compare(left, _, right) => left.tag().into_iter().chain(right.tag()).collect(),
            Self::Not(inner) => inner.refs(),
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::refs).collect(),
        }
    }

    /// It is one bit of the device and nothing else.
    pub(super) const fn is_one_input(&self) -> bool {
        matches!(self, Self::Is(Operand::Tag(_)))
    }
}

/// One part that is `deciding` decides; otherwise all must be known.
fn decided<'v>(parts: &'v [Condition], value: &impl Fn(Ref) -> Option<&'v Datum>, deciding: bool) -> Option<bool> {
    let mut all = Some(!deciding);
    for part in parts {
        match part.holds(value) {
            Some(holds) if holds == deciding => return Some(deciding),
            Some(_) => {}
            None => all = None,
        }
    }
    all
}

impl Operand {
    fn value<'v>(&'v self, value: &impl Fn(Ref) -> Option<&'v Datum>) -> Option<&'v Datum> {
        match self {
            Self::Tag(tag) => value(*tag),
            Self::Constant(datum) => Some(datum),
        }
    }

    pub(super) const fn tag(&self) -> Option<Ref> {
        match self {
            Self::Tag(tag) => Some(*tag),
            Self::Constant(_) => None,
        }
    }
}

/// The names that may stand in a condition.
pub(super) struct Names<'a> {
    /// `tag` and `tag.bit`.
    pub(super) tags: &'a BTreeMap<String, (Ref, Kind)>,
    /// Parameters.
    pub(super) params: &'a BTreeMap<String, String>,
    /// Tags that could not be read: that was told, and what names them says nothing new.
    pub(super) broken: &'a BTreeSet<String>,
}

impl Names<'_> {
    /// The name begins with that of a tag that could not be read.
    pub(super) fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(name.split('.').next().unwrap_or_default())
    }
}

/// What is wrong with a condition; nothing to tell when the message is empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where, in bytes.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: String,
}

/// Reads a condition.
pub(super) fn parse(text: &str, names: &Names<'_>) -> Result<Condition, Wrong> {
    let mut parser = Parser { text, at: 0, names, depth: 0 };
    let condition = parser.or()?;
    parser.skip();
    if parser.at < text.len() {
        let help = if parser.rest().starts_with("held") {
            "how long it must hold is `on_delay` of an alarm, or on = { held = \"…\", for = \"3s\" } of an event"
        } else {
            "join conditions with `and`, `or`"
        };
        return Err(parser.wrong("is not understood from here", help));
    }
    Ok(condition)
}

/// Reads one operand that stands alone.
pub(super) fn parse_operand(text: &str, names: &Names<'_>) -> Result<(Operand, Kind), Wrong> {
    let mut parser = Parser { text, at: 0, names, depth: 0 };
    let operand = parser.operand()?;
    parser.skip();
    if parser.at < text.len() {
        return Err(parser.wrong("is not understood from here", "write a tag, tag.bit, a number or a 'word'"));
    }
    Ok(operand)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    names: &'a Names<'a>,
    depth: u8,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn wrong(&self, message: &str, help: &str) -> Wrong {
        Wrong { at: self.at.min(self.text.len()), message: message.to_owned(), help: help.to_owned() }
    }

    /// Takes `word` if it comes next and ends there.
    fn keyword(&mut self, word: &str) -> bool {
        self.skip();
        let comes = self.rest().strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_name));
        if comes {
            self.at += word.len();
        }
        comes
    }

    fn sign(&mut self, sign: char) -> bool {
        self.skip();
        let comes = self.rest().starts_with(sign);
        if comes {
            self.at += sign.len_utf8();
        }
        comes
    }

    fn or(&mut self) -> Result<Condition, Wrong> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self) -> Result<Condition, Wrong> {
        let mut parts = vec![self.not()?];
        while self.keyword("and") {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn not(&mut self) -> Result<Condition, Wrong> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("has too many conditions in each other", "write it simpler"));
        }
        let condition = if self.keyword("not") {
            Condition::Not(Box::new(self.not()?))
        } else if self.sign('(') {
            let inner = self.or()?;
            if !self.sign(')') {
                return Err(self.wrong("a `)` is missing here", "close the parenthesis"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, Wrong> {
        self.skip();
        let start = self.at;
        let (left, kind) = self.operand()?;
        self.skip();
        let found = COMPARISONS.into_iter().find(|(sign, _)| self.rest().starts_with(sign));
        let Some((sign, comparison)) = found else {
            if self.rest().starts_with('=') {
                return Err(self.wrong("`=` compares nothing", "write `==`"));
            }
            if kind != Kind::Bool {
                self.at = start;
                let help = format!("compare it: {}", kind.example());
                return Err(self.wrong(&format!("is {}, neither true nor false", kind.name()), &help));
            }
            return Ok(Condition::Is(left));
        };
        self.at += sign.len();
        self.skip();
        let place = self.at;
        let (right, other) = self.operand()?;
        let ordering = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        self.check(&kind, &other, ordering).map_err(|(message, help)| Wrong { at: place, message, help })?;
        Ok(Condition::Compare(left, comparison, right))
    }

    /// Whether the two can be compared.
    #[expect(clippy::unused_self, reason = "a step of the parser, beside the others")]
    fn check(&self, left: &Kind, right: &Kind, ordering: bool) -> Result<(), (String, String)> {
        match (left, right) {
            (Kind::Number, Kind::Number) => Ok(()),
            (Kind::Bool, Kind::Bool) | (Kind::Text, Kind::Text | Kind::Words(_)) | (Kind::Words(_), Kind::Text)
                if !ordering =>
            {
                Ok(())
            }
            (Kind::Words(words), Kind::Words(other)) if !ordering => {
                // A word that is written out is the only one of its kind.
                let known: BTreeSet<String> = words.iter().cloned().collect();
                match other.iter().find(|word| !known.contains(*word)).filter(|_| other.len() == 1) {
                    Some(word) => Err((format!("'{word}' is no word of that tag"), nearest(word, &known))),
                    None => Ok(()),
                }
            }
            _ if ordering => Err((
                format!("{} is not less or more than {}", left.name(), right.name()),
                "write `==` or `!=`, or compare numbers".to_owned(),
            )),
            _ => Err((format!("{} is never {}", left.name(), right.name()), format!("compare it: {}", left.example()))),
        }
    }

    fn operand(&mut self) -> Result<(Operand, Kind), Wrong> {
        self.skip();
        let rest = self.rest();
        if let Some(word) = rest.strip_prefix('\'') {
            let Some((word, _)) = word.split_once('\'') else {
                return Err(self.wrong("this word is not closed", "write 'word'"));
            };
            let word = word.to_owned();
            self.at += word.len() + 2;
            return Ok(constant(Datum::Word(word)));
        }
        if let Some(name) = rest.strip_prefix('{') {
            let Some((name, _)) = name.split_once('}') else {
                return Err(self.wrong("this parameter is not closed", "write {parameter}"));
            };
            return self.parameter(name);
        }
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let end = rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |i| i + 1);
            return match rest[..end].parse::<Decimal>() {
                Ok(number) => {
                    self.at += end;
                    Ok(constant(Datum::Number(number)))
                }
                Err(_) => Err(self.wrong(&format!("`{}` is no number", &rest[..end]), "write 12 or -0.5")),
            };
        }
        let end = rest.find(|c| !is_name(c) && c != '.').unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        let found =
            match name.as_str() {
                "" => Err(self
                    .wrong("a tag, a number or a 'word' is missing here", "such as `status.jam` or `mode == 'auto'`")),
                "and" | "or" | "not" => {
                    Err(self.wrong(&format!("`{name}` joins nothing here"), "write a condition before it"))
                }
                "true" | "false" => Ok(constant(Datum::Bool(name == "true"))),
                _ => match self.names.tags.get(&name) {
                    Some((tag, kind)) => Ok((Operand::Tag(*tag), kind.clone())),
                    None if self.names.is_broken(&name) => Err(self.wrong("", "")),
                    None => {
                        let help = nearest(&name, &self.names.tags.keys().cloned().collect());
                        Err(self.wrong(&format!("there is no tag `{name}`"), &help))
                    }
                },
            };
        if found.is_ok() {
            self.at += name.len();
        }
        found
    }

    fn parameter(&mut self, name: &str) -> Result<(Operand, Kind), Wrong> {
        let Some(value) = self.names.params.get(name) else {
            let help = nearest(name, &self.names.params.keys().cloned().collect());
            return Err(self.wrong(&format!("there is no parameter `{name}`"), &help));
        };
        self.at += name.len() + 2;
        Ok(constant(value.parse().map_or_else(|_| Datum::Word(value.clone()), Datum::Number)))
    }
}

fn constant(datum: Datum) -> (Operand, Kind) {
    let kind = match &datum {
        Datum::Bool(_) => Kind::Bool,
        Datum::Number(_) => Kind::Number,
        Datum::Word(word) => Kind::Words(vec![word.clone()]),
    };
    (Operand::Constant(datum), kind)
}

/// Part of a tag's name.
pub(super) const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests;
