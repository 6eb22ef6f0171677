//! Tag maps: what a device's bytes mean, as data.
//!
//! A map is a TOML file (`devices/<vendor>-<model>/map.toml`); bound to a device and its parameters it decodes samples
//! into device events. Pure: bytes in, events or a reason out. A map never panics the gateway: sources decode through
//! [`guarded`].

mod address;
pub mod budget;
mod defaults;
pub mod explain;
mod fifo;
mod frame;
pub mod gs1;
mod kind;
mod number;
mod params;
pub mod points;
pub mod probe;
pub mod proof;
pub mod quirk;
pub mod registers;
mod topic;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{Decoded, Undecodable, is_valid_id};
use crate::form::{Document, Fault, FromValue, Kind, Shape, Table};

pub use defaults::Defaults;
pub use fifo::{Accepted, Fifo, FifoPlan, Handshake, Missing, Queue, Registers, Ring, Span, Style, Taken};
pub use frame::{Frame, Framer, Piece};
pub use quirk::Quirk;
pub use topic::{Topic, propose};

/// The schema version that maps declare.
const SCHEMA: i64 = 1;

/// A map bound to one device.
#[derive(Debug, Clone)]
pub struct Map {
    /// `id@version`.
    pub name: Arc<str>,
    /// For people.
    pub title: String,
    /// What it is read with.
    pub protocol: Protocol,
    /// How its numbers are written; `None`: it is not for Modbus.
    pub addresses: Option<Addresses>,
    /// MQTT topics.
    pub topics: Vec<Topic>,
    /// Modbus event FIFOs.
    pub fifos: Vec<Fifo>,
    /// What a scanner on a socket or a serial line sends.
    pub frame: Option<Frame>,
    /// Modbus tags on a period, and what becomes of them; `None`: the map has none.
    pub points: Option<points::Points>,
    /// Where its device departs from the protocol: its own and those of the device that it is bound to.
    pub quirks: BTreeSet<Quirk>,
    /// Allowed, but doubtful: `check` tells it.
    pub warnings: Vec<Fault>,
}

/// What a map's device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Holding registers.
    Modbus,
    /// Topics.
    Mqtt,
    /// A stream of bytes: a TCP socket or a serial line.
    Socket,
}

impl Protocol {
    const WORDS: [(&str, Self); 3] = [("modbus", Self::Modbus), ("mqtt", Self::Mqtt), ("socket", Self::Socket)];
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Modbus => "Modbus",
            Self::Mqtt => "MQTT",
            Self::Socket => "sockets and serial lines",
        })
    }
}

/// How the numbers of a map are written: never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// The first register is 0.
    Zero,
    /// The first register is 1.
    One,
    /// 40001 is the first holding register.
    Modicon,
}

/// The device that a map is bound to.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Configured device id: part of every key.
    pub device: Arc<str>,
    /// `params = { … }` of the device, as text.
    pub params: BTreeMap<String, String>,
    /// The operator accepts that a device which counts without a boot id may restart unseen.
    pub accept_epoch_risk: bool,
    /// `limits = { … }` of the device.
    pub limits: DeviceLimits,
    /// `quirks = [ … ]` of the device, beside its map's.
    pub quirks: BTreeSet<Quirk>,
}

impl Binding {
    /// That device, of which nothing else is said.
    pub fn of(device: &str) -> Self {
        let (params, limits, quirks) = (BTreeMap::new(), DeviceLimits::default(), BTreeSet::new());
        Self { device: device.into(), params, accept_epoch_risk: false, limits, quirks }
    }
}

/// What one device answers at most in one request; what it does not say is the map's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Registers.
    pub max_words: Option<u16>,
    /// Bits.
    pub max_bits: Option<u16>,
}

/// A `[poll.NAME]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// From one poll to the next.
    pub every: std::time::Duration,
    /// 0 goes first.
    pub priority: u8,
}

/// What the sections of a map are read with.
pub struct Context<'a> {
    /// `id@version`.
    pub map: Arc<str>,
    /// The device.
    pub binding: &'a Binding,
    /// Parameters with the map's defaults filled in.
    pub params: BTreeMap<String, String>,
    /// `[map] addresses`, for Modbus.
    pub addresses: Option<Addresses>,
    /// `[defaults]`.
    pub defaults: Defaults,
    /// `[poll.NAME]`.
    pub polls: BTreeMap<String, Period>,
    /// Those of the map and of the device.
    pub quirks: BTreeSet<Quirk>,
    /// The map has a `[[fifo]]`, which counts the device's events.
    pub has_fifo: bool,
    /// Allowed, but doubtful: told by `check`.
    pub warnings: RefCell<Vec<Fault>>,
    /// It was told that numbers look as if they were of another `addresses`: once is enough.
    pub base_doubted: Cell<bool>,
}

impl Context<'_> {
    /// `text` with each `{name}` of a parameter replaced; other braces stay (they name captures and fields).
    pub fn fill(&self, text: &str) -> String {
        self.params.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

impl Map {
    /// Reads a map for one device.
    ///
    /// # Errors
    /// Every fault of the file, and of the parameters against it.
    pub fn read(document: &Document, binding: &Binding) -> Result<Self, Vec<Fault>> {
        Self::read_into(None, document, binding)
    }

    /// The same; what is asked for is added to `shape`.
    pub fn read_into(
        shape: Option<&RefCell<Shape>>,
        document: &Document,
        binding: &Binding,
    ) -> Result<Self, Vec<Fault>> {
        document.read_into(shape, |root| {
            let help = format!("add `schema = {SCHEMA}` at the top: how this file is to be read");
            let schema = root.required_entry_as("schema", &help).and_then(|e| e.read_of(|| Kind::Numeral(SCHEMA)));
            if schema.is_some_and(|schema: i64| schema != SCHEMA) {
                root.refuse_key("schema", "is of a later floorgate", &format!("write schema = {SCHEMA}"));
            }
            let Some(head) = root.required_table("map") else {
                root.quiet(); // without its head nothing else is read
                return None;
            };
            let id: Option<String> = head.required("id");
            if let Some(id) = id.as_deref().filter(|id| !is_valid_id(id)) {
                head.refuse_key("id", &format!("\"{id}\" is not an id"), "letters, digits, - and _, at most 32");
            }
            let version: Option<u32> = head.required("version");
            let protocol = head.required_choice("protocol", &Protocol::WORDS);
            let title = head.or("title", String::new());
            let _: Option<String> = head.optional("source");
            let bases = [("zero", Addresses::Zero), ("one", Addresses::One), ("modicon", Addresses::Modicon)];
            let addresses = head.entry("addresses").and_then(|e| e.choice(&bases));
            if protocol == Some(Protocol::Modbus) && addresses.is_none() {
                head.refuse_key(
                    "addresses",
                    "is missing",
                    "say how addresses are written: \"zero\", \"one\" or \"modicon\"",
                );
            }
            let own = quirk::read(&head);
            if protocol.is_some_and(|protocol| protocol != Protocol::Modbus) && head.entry("quirks").is_some() {
                head.refuse_key("quirks", "are those of Modbus devices", "remove it");
            }
            let polls = polls(root);
            let context = Context {
                // Where one of them is missing that is told, and the rest is read.
                map: format!("{}@{}", id.as_deref().unwrap_or("map"), version.unwrap_or_default()).into(),
                binding,
                params: params::read(root, binding),
                addresses,
                defaults: Defaults::read(root, binding.limits, &polls),
                polls,
                quirks: own.union(&binding.quirks).copied().collect(),
                has_fifo: root.entry("fifo").is_some(),
                warnings: RefCell::default(),
                base_doubted: Cell::default(),
            };
            let topics = topics(root, &context);
            let fifos = root.tables("fifo");
            for second in fifos.iter().skip(1) {
                second
                    .refuse("is a second count of one device: their numbers would clash", "give it a map and a device");
            }
            let fifos: Vec<Fifo> = fifos.iter().filter_map(|t| Fifo::read(t, &context)).collect();
            let frame = root.table("frame");
            if protocol == Some(Protocol::Socket) && frame.is_none() {
                root.refuse_key("frame", "is missing", "add [frame]: what the device sends, and how it ends");
            }
            let frame = frame.and_then(|table| Frame::read(&table, &context));
            let points = points::read(root, &context, &fifos);
            drop(proof::read(root)); // their faults are told here; `floorgate map test` runs them
            Some(Self {
                name: context.map,
                title,
                protocol: protocol?,
                addresses,
                topics,
                fifos,
                frame,
                points,
                quirks: context.quirks,
                warnings: context.warnings.into_inner(),
            })
        })
    }
}

fn topics(root: &Table<'_>, context: &Context<'_>) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    for table in root.tables("topic") {
        let Some(topic) = Topic::read(&table, context) else { continue };
        if let Some(other) = topics.iter().find(|other| other.overlaps(&topic)) {
            let message = format!("meets \"{}\" of the same map: a message could be both", other.filter());
            table.refuse_key("filter", &message, "give each its own topics");
        }
        topics.push(topic);
    }
    topics
}

pub use params::{Param, declared, expects_text_or_number};

/// A parameter's value as text, if it is a text or a number.
pub fn text_of(value: &toml::de::DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| <i64 as FromValue>::from_value(value).map(|number| number.to_string()))
}

fn polls(root: &Table<'_>) -> BTreeMap<String, Period> {
    let mut polls = BTreeMap::new();
    for entry in root.table("poll").iter().flat_map(Table::all) {
        let Some(poll) = entry.table() else { continue };
        let every: Option<crate::form::Duration> = poll.required("every");
        let priority = poll.or("priority", 0);
        // One that can't be read is told; the poll is there, and so short that nothing seems too short beside it.
        let every = every.map_or(std::time::Duration::from_millis(1), |every| every.0);
        polls.insert(entry.key().to_owned(), Period { every, priority });
    }
    polls
}

/// Runs a decoder so that a panic in it becomes an undecodable sample, kept with its bytes like any other.
pub fn guarded(
    decode: impl FnOnce() -> Result<Decoded, Undecodable> + std::panic::UnwindSafe,
) -> Result<Decoded, Undecodable> {
    std::panic::catch_unwind(decode).unwrap_or_else(|panic| {
        let reason = format!("the decoder panicked: {}", panic_text(panic.as_ref()));
        Err(Undecodable { reason, panicked: true })
    })
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}
