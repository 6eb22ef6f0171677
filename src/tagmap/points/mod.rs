//! Cyclic points of a Modbus device: tags read on a period, and what of their values becomes an event.
//!
//! [`Points::polls`] says what to read, [`Points::observe`] takes the answers of one poll and returns the samples to
//! capture. What the gateway saw itself (an edge, a count) exists only in what it remembers between two reads, so each
//! sample carries that memory and both are committed together: after a crash nothing is lost and nothing comes twice.
//! Nothing here does I/O or reads a clock.

mod plan;
mod write;

use std::sync::Arc;
use std::time::Duration;

use crate::event::{Now, Sample, Value};

pub use plan::{Joint, Limits, join};
pub use write::{Put, WriteRequest};

/// One of the four tables of a Modbus device (Modbus Application Protocol 1.1b3, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Bits that can be written: functions 1, 5, 15.
    Coil,
    /// Bits of inputs: function 2.
    Discrete,
    /// Registers of inputs: function 4.
    Input,
    /// Registers that can be written: functions 3, 6, 16, 22.
    Holding,
}

impl Area {
    /// Holds bits, not registers.
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

/// One read request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The table; it says the function.
    pub area: Area,
    /// First register or bit, counted from 0.
    pub at: u16,
    /// Registers or bits.
    pub count: u16,
    /// It is never joined with others: it is a `group`, or the device refused it together with others.
    pub alone: bool,
}

/// The answer to one read: as many registers or bits as it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// Registers.
    Words(Vec<u16>),
    /// Bits.
    Bits(Vec<bool>),
}

impl Got {
    /// What belongs to `part` in the answer to `whole`; `None` when it does not lie in it.
    pub fn part(&self, whole: &Read, part: &Read) -> Option<Self> {
        let from = usize::from(part.at.checked_sub(whole.at)?);
        let range = from..from + usize::from(part.count);
        match self {
            Self::Words(words) => words.get(range).map(|words| Self::Words(words.to_vec())),
            Self::Bits(bits) => bits.get(range).map(|bits| Self::Bits(bits.to_vec())),
        }
    }
}

/// What is read on one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// `[poll.NAME]`.
    pub name: Arc<str>,
    /// From one poll to the next.
    pub every: Duration,
    /// 0 goes first.
    pub priority: u8,
    /// The requests: neighbours joined, none empty. Changes when the device refuses one.
    pub reads: Vec<Read>,
}

/// How far a value can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Read as the map says.
    Good,
    /// Read, but no value: a sentinel, out of range, an unknown word.
    Bad,
    /// Not read, or not moving any more.
    Stale,
}

/// A tag as it was read last.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The value; kept when a later read brings none.
    pub value: Option<Value>,
    /// Whether it can be trusted.
    pub quality: Quality,
    /// Why not, in words.
    pub reason: Option<String>,
    /// When it was read.
    pub at: Option<Now>,
}

/// A tag that is not read: the device refuses its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantined<'a> {
    /// The tag.
    pub tag: &'a str,
    /// Its table.
    pub area: Area,
    /// Its first register or bit, counted from 0.
    pub at: u16,
}

/// All cyclic points of one device.
#[derive(Debug, Clone)]
pub struct Points {
    device: Arc<str>,
    polls: Vec<Poll>,
}

impl Points {
    /// What to read, by period.
    pub fn polls(&self) -> &[Poll] {
        &self.polls
    }

    /// The name under which the outbox keeps [`Sample::memory`]: `<device>/points`.
    pub fn memory_name(&self) -> Arc<str> {
        format!("{}/points", self.device).into()
    }

    /// Goes on from what was committed last. Before the first [`Points::observe`].
    pub fn restore(&mut self, _memory: &[u8]) {}

    /// Takes one answer for each read of that poll, in order; `None`: no value this time. Returns the samples to capture,
    /// all in one call; often none. A sample may have no event: then it is captured for its memory alone.
    ///
    /// Then call [`Points::committed`] or [`Points::undo`].
    pub fn observe(&mut self, _poll: usize, _answers: &[Option<Got>], _at: Now) -> Vec<Sample> {
        Vec::new()
    }

    /// The samples of the last [`Points::observe`] are durable.
    pub fn committed(&mut self) {}

    /// They were not taken (the outbox is full): the next [`Points::observe`] tells again what still holds then.
    pub fn undo(&mut self) {}

    /// The device refused this read with exception 2: it is split in two, and an address that stands alone is no longer
    /// read. Indexes of [`Points::polls`] change; reads of the other polls do not.
    pub fn refused(&mut self, _poll: usize, _read: usize) {}

    /// Reads again what was refused: after a new connection, say.
    pub fn release(&mut self) {}

    /// Tags that are not read because the device refuses their addresses.
    pub fn quarantined(&self) -> impl Iterator<Item = Quarantined<'_>> {
        std::iter::empty()
    }

    /// Each tag as it was read last, in the order of the map.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Reading)> {
        std::iter::empty()
    }

    /// The write that the map's `[[write]]` of that name makes of `value`.
    ///
    /// # Errors
    /// Why it may not be written, in words.
    pub fn write(&self, name: &str, _value: &Value) -> Result<WriteRequest, String> {
        Err(format!("there is no [[write]] \"{name}\""))
    }

    /// A person has seen this latched alarm: it clears once its condition is gone. `false`: there is none of that name.
    pub fn acknowledge(&mut self, _alarm: &str) -> bool {
        false
    }
}
