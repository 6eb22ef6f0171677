//! One read of a source and the device events it decodes to.

use std::fmt;
use std::sync::Arc;

use crate::event::{Canonical, Now};

/// Ids of sites, devices, systems, lanes: `^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$` (docs/configuration.md).
pub fn is_valid_id(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=32).contains(&text.len()) && text.as_bytes()[0].is_ascii_alphanumeric() && text.bytes().all(ok)
}

/// One value of an event. Closed: what a map can produce.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// true or false
    Bool(bool),
    /// a whole number
    Int(i64),
    /// text; decimals travel as text too
    Text(String),
    /// a list of texts, or of records of the three above
    List(Vec<serde_json::Value>),
}

/// As people read it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(_) => serde_json::Value::from(self.clone()).fmt(f),
        }
    }
}

/// As it travels.
impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Bool(truth) => truth.into(),
            Value::Int(number) => number.into(),
            Value::Text(text) => text.into(),
            Value::List(list) => list.into(),
        }
    }
}

/// Named values in the order of the map.
pub type Fields = Vec<(String, Value)>;

/// What a device did, without business meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceEvent {
    /// Raw kind, dotted lower case: `scan.carton`, `divert.confirmed`; or that of a [`Canonical`] one, `pick_confirmed`.
    pub kind: String,
    /// What orders the event (an SSCC, say); `None`: the device itself.
    pub subject: Option<String>,
    /// The event's data.
    pub fields: Fields,
    /// What the device said of the time, verbatim: evidence only.
    pub device_time: Option<String>,
}

/// Where a happening stands in its source's own count (`epoch` and `seq` in docs/erp.md).
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// A counter of `bits` bits; `boot` is the device's boot id as text without prefix, if it has one.
    Counted {
        /// Boot id: a number as upper-case hex padded to its width, a text as given.
        boot: Option<String>,
        /// The counter, as given.
        seq: u64,
        /// Width of the counter in bits: 16, 32 or 64.
        bits: u8,
        /// Slots of the ring that holds it; further behind than this is a restart (MQTT: 1,024).
        ring: u32,
    },
    /// A message id only: repeats are dropped for 90 days, gaps can't be seen.
    Message(String),
    /// A happening that the gateway saw itself between two reads (an edge, a count): numbered by the gateway as it is
    /// committed. Its sample carries what the source must remember, so that it is neither lost nor seen twice.
    Own,
    /// Nothing but the content: told apart by occurrence.
    Content {
        /// The content that repeats: AIM prefix and trailing CR, LF, TAB removed.
        content: Vec<u8>,
        /// How repeats of the same content are judged.
        repeat: Repeat,
    },
}

/// How repeats of a plain scanner's content are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// The same content within this many milliseconds is one scan (sliding).
    pub window_ms: u64,
    /// The window slides no longer than this many milliseconds from the first scan of a burst.
    pub max_burst_ms: u64,
    /// The content names one thing that passes once (an SSCC): an undecidable repeat is a duplicate, not held.
    pub once: bool,
}

/// What the transport knows of a message's delivery: evidence for telling a redelivery from a second scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivery {
    /// The link's id.
    pub link: Arc<str>,
    /// The broker kept the session over the connection this message came on.
    pub session_present: bool,
    /// Packet identifier.
    pub packet: u16,
    /// The DUP flag.
    pub dup: bool,
    /// The message was queued while nobody listened: its arrival says nothing of when it was scanned.
    pub backlog: bool,
}

/// A sample that no map could read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Why, in words an integrator can act on.
    pub reason: String,
    /// The decoder panicked: an error of ours, raised as such.
    pub panicked: bool,
}

/// A part of a sample that its map could not read, where the rest of it could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The ordinal that its event would have had: no other event has it.
    pub ordinal: usize,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// Why, in words an integrator can act on.
    pub reason: String,
}

/// What a sample decoded to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The device of the key: the configured id, or one instance behind it.
    pub device: Arc<str>,
    /// Position in the source's own count.
    pub position: Position,
    /// One event for each ordinal from 0, but for those of `unread`.
    pub events: Vec<DeviceEvent>,
    /// Parts that could not be read, in the order of their ordinals.
    pub unread: Vec<Unread>,
    /// `id@version` of the map.
    pub map: Arc<str>,
}

/// What a source has to know of its device after a restart: the last values, counts, edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The device, and the part of it that this belongs to.
    pub name: Arc<str>,
    /// The source's own form.
    pub bytes: Vec<u8>,
}

/// One register read or one publish, with what it decoded to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The configured device, or the link when no device wants it.
    pub source: Arc<str>,
    /// When it was read.
    pub at: Now,
    /// Topic, or name of the FIFO.
    pub origin: Arc<str>,
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// The events, or why there are none.
    pub content: Result<Decoded, Undecodable>,
    /// The transport's evidence; `None` for sources without redelivery.
    pub redelivery: Option<Redelivery>,
    /// Stored in the same commit; handed back by the outbox at the next start.
    pub memory: Option<Memory>,
}

impl DeviceEvent {
    /// A canonical event with its subject and its fields as the contract wants them; a raw one as it is.
    ///
    /// # Errors
    /// The field that a canonical event lacks, or that has another form.
    pub fn completed(self) -> Result<Self, String> {
        let Some(kind) = Canonical::of(&self.kind) else { return Ok(self) };
        let (subject, fields) = kind.complete(self.fields)?;
        Ok(Self { subject: Some(subject), fields, ..self })
    }
}

impl Decoded {
    /// The events with their ordinals: an event keeps its own, whatever can be read beside it.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &DeviceEvent)> {
        let taken = |ordinal: &u32| self.unread.iter().any(|unread| unread.ordinal == *ordinal as usize);
        (0_u32..).filter(move |ordinal| !taken(ordinal)).zip(&self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_ordinal_beside_parts_that_are_unread() {
        let event =
            |kind: &str| DeviceEvent { kind: kind.to_owned(), subject: None, fields: Vec::new(), device_time: None };
        let unread = |ordinal| Unread { ordinal, raw: Vec::new(), reason: String::new() };
        let decoded = Decoded {
            device: "d".into(),
            position: Position::Own,
            events: ["b", "d", "e"].map(event).into(),
            unread: vec![unread(0), unread(2), unread(5)],
            map: "m@1".into(),
        };
        let numbered: Vec<(u32, &str)> = decoded.numbered().map(|(n, event)| (n, event.kind.as_str())).collect();
        assert_eq!(numbered, [(1, "b"), (3, "d"), (4, "e")]);
    }

    #[test]
    fn ids_are_short_and_plain() {
        assert!(is_valid_id("CONV-07"));
        assert!(is_valid_id("9a_"));
        for bad in ["", "-a", "a.b", "a b", "ä", &"x".repeat(33)] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }
}
