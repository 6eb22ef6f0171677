//! MQTT topics: filters with captures, payloads with fields, and which of a message's values name it.
//!
//! A message is one event, or one for each element that `each` finds; its identity is that of the message. Its values stand in slots: the captured levels of the topic, then the fields of the payload
//! in the order of the map; conditions, templates and identity refer to slots, so that all names are checked when the
//! map is read. Nothing here does I/O.
//!
//! Limits: JSON, text and bytes; `max_bytes` a message, `max_events` of it. Faults of a map are told with their places; a message that no rule
//! fits keeps its reason.

mod barcode;
mod decode;
mod filter;
mod path;
mod payload;
pub mod propose;
mod schema;
mod template;

use std::sync::Arc;

use super::number::Number;
use crate::event::{Repeat, Value};
use barcode::Barcode;
use filter::Filter;
use payload::{Payload, Place};
use template::Template;

/// One `[[topic]]`, bound to a device.
#[derive(Debug, Clone)]
pub struct Topic {
    filter: Filter,
    qos: u8,
    max_bytes: usize,
    /// How many slots the topic's levels fill.
    captures: usize,
    payload: Payload,
    fields: Vec<Field>,
    barcode: Option<Barcode>,
    emits: Vec<Emit>,
    identity: Identity,
    device: Arc<str>,
    map: Arc<str>,
}

/// What fills one slot from the payload.
#[derive(Debug, Clone)]
enum Field {
    At {
        path: Place,
        kind: Kind,
        required: bool,
        number: Option<Number>,
        is_sscc: bool,
    },
    /// A list of texts, or of records with these members, each [`Field::At`] its place in the record.
    List {
        path: Place,
        required: bool,
        members: Vec<(String, Field)>,
    },
    Taken {
        from: usize,
        what: Take,
    },
    /// What the barcode says: the first of these AIs that it has.
    Ai {
        any: Vec<String>,
        kind: Kind,
    },
    /// True where the scanner sent the text for "nothing read".
    NoRead,
    /// Why the barcode is refused.
    Refused,
    /// Why the barcode is suspect.
    Suspect,
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
    /// As text, exact; [`Number`] says what becomes of it.
    Decimal,
    Bool,
    /// Of texts or of records: it is carried whole.
    List,
    Time,
    /// Seconds since 1970.
    UnixTime,
    /// Milliseconds since 1970.
    UnixTimeMs,
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
    /// The field that says when; otherwise [`Identity::time`].
    time: Option<usize>,
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
    /// The field that says when, if there is only one of that type.
    time: Option<usize>,
}

impl Topic {
    /// What stands for the topic where there is none.
    pub(super) const FRAME: &str = "frame";

    /// The largest payload, bytes.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

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

    /// Its messages carry no number and no id: they are told apart by their content, within this many milliseconds.
    pub fn is_weak(&self) -> Option<u64> {
        let Identity { seq, message_id, repeat, .. } = &self.identity;
        (seq.is_none() && message_id.is_none()).then_some(repeat.window_ms)
    }

    /// Kinds of the events that it may emit, in the order of the map.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.emits.iter().map(|emit| emit.event.as_str())
    }
}

#[cfg(test)]
mod tests;
