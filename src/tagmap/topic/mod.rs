//! MQTT topics: filters with captures, JSON payloads with paths, and which of a message's values name it.
//!
//! A message is one event. Its values stand in slots: the captured levels of the topic, then the fields of the payload
//! in the order of the map; conditions, templates and identity refer to slots, so that all names are checked when the
//! map is read. Nothing here does I/O.
//!
//! Limits: JSON objects, `max_bytes` a message. Faults of a map are told with their places; a message that no rule
//! fits keeps its reason.

mod decode;
mod filter;
mod path;
pub mod propose;
mod schema;
mod template;

use std::sync::Arc;

use crate::event::{Repeat, Value};
use filter::Filter;
use path::Path;
use template::Template;

/// One `[[topic]]`, bound to a device.
#[derive(Debug, Clone)]
pub struct Topic {
    filter: Filter,
    qos: u8,
    max_bytes: usize,
    /// How many slots the topic's levels fill.
    captures: usize,
    fields: Vec<Field>,
    emits: Vec<Emit>,
    identity: Identity,
    device: Arc<str>,
    map: Arc<str>,
}

/// What fills one slot from the payload.
#[derive(Debug, Clone)]
enum Field {
    At { path: Path, kind: Kind, required: bool },
    Taken { from: usize, what: Take },
}

/// What is taken from another slot's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    /// The 18 digits of an SSCC, if it is one.
    Sscc,
    /// The code without what the scanner adds.
    Bare,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Unsigned,
    Integer,
    Bool,
    Time,
    /// Panics: the tests' fault.
    #[cfg(feature = "sim")]
    Panic,
}

#[derive(Debug, Clone)]
struct Emit {
    when: Option<When>,
    event: String,
    subject: Option<Template>,
    fields: Vec<(String, usize)>,
    once: Option<bool>,
}

#[derive(Debug, Clone)]
struct When {
    slot: usize,
    is: Is,
}

#[derive(Debug, Clone, PartialEq)]
enum Is {
    Present,
    Sscc,
    Equal(Value),
    Prefixed(String),
}

#[derive(Debug, Clone)]
struct Identity {
    /// `None`: the configured device.
    device: Option<Template>,
    boot: Option<usize>,
    seq: Option<usize>,
    message_id: Option<usize>,
    content: Option<usize>,
    repeat: Repeat,
    /// The field that says when.
    time: Option<usize>,
}

impl Topic {
    /// The filter to subscribe: `+` for captures, parameters filled in.
    pub fn filter(&self) -> &str {
        &self.filter.text
    }

    /// The filter matches that topic.
    pub fn matches(&self, topic: &str) -> bool {
        self.filter.matches(topic)
    }

    /// There is a topic that both filters match.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.filter.overlaps(&other.filter)
    }

    /// The quality of service to subscribe with, 0 to 2.
    pub fn qos(&self) -> u8 {
        self.qos
    }

    /// Kinds of the events that it may emit, in the order of the map.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.emits.iter().map(|emit| emit.event.as_str())
    }
}

#[cfg(test)]
mod tests;
