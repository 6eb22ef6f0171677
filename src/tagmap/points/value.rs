//! Values of tags while they are worked with: numbers are exact decimals.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::Value;
use crate::tagmap::registers::value_of;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Datum {
    Bool(bool),
    Number(Decimal),
    Word(String),
}

impl Datum {
    pub(super) const fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// As events carry it. `whole`: its type has no decimals.
    pub(super) fn value(&self, whole: bool) -> Value {
        match self {
            Self::Bool(is) => Value::Bool(*is),
            Self::Number(number) => value_of(*number, whole),
            Self::Word(word) => Value::Text(word.clone()),
        }
    }

    /// As it stands in a subject.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bool(is) => is.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.clone(),
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    /// Any text.
    Text,
    /// One of these.
    Words(Vec<String>),
}

impl Kind {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text | Self::Words(_) => "a word",
        }
    }

    /// How it is compared.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Bool => "`== true`".to_owned(),
            Self::Number => "`> 0`".to_owned(),
            Self::Text => "`== 'word'`".to_owned(),
            Self::Words(words) => format!("`== '{}'`", words.first().map_or("word", String::as_str)),
        }
    }
}

/// A tag, or one bit (or field of bits) of it, by their places in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ref {
    pub(super) tag: usize,
    pub(super) bit: Option<usize>,
}
