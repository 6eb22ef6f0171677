//! Cyclic points of a Modbus device: tags read on a period, and what of their values becomes an event.
//!
//! [`Points::polls`] says what to read, [`Points::observe`] takes the answers of one poll and returns the samples to
//! capture. What the gateway saw itself (an edge, a count) exists only in what it remembers between two reads, so each
//! sample carries that memory and both are committed together: after a crash nothing is lost and nothing comes twice.
//! Nothing here does I/O or reads a clock.

mod condition;
mod lints;
mod look;
mod plan;
mod rule;
mod schema;
mod shown;
mod tag;
mod value;
mod write;

use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::{Now, Sample, Value};
use plan::{Atom, Plan};
use rule::{Kept, Latest, Rule, State, What};
use tag::{Steady, Tag};
use write::Write;

pub use plan::{Joint, Limits, join};
pub(super) use schema::read;
pub use shown::{Answered, Cycle, Shown, Standing, Stands};
pub use write::{Put, WriteRequest};

/// One of the four tables of a Modbus device (Modbus Application Protocol 1.1b3, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

    /// The function that reads it.
    pub const fn function(self) -> u8 {
        match self {
            Self::Coil => 1,
            Self::Discrete => 2,
            Self::Holding => 3,
            Self::Input => 4,
        }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Read as the map says.
    Good,
    /// Read, but no value: a sentinel, out of range, an unknown word.
    Bad,
    /// Not read, or not moving any more.
    Stale,
}

impl Quality {
    /// As events carry it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Stale => "stale",
        }
    }
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

/// A known value that the device must show, to prove a map on the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `tag` or `tag.bit`.
    pub tag: String,
    /// What it must show …
    pub expect: Decimal,
    /// … and how far it may be off.
    pub within: Decimal,
    /// What a person has to do for it.
    pub hint: String,
}

/// All cyclic points of one device.
#[derive(Debug, Clone)]
pub struct Points {
    device: Arc<str>,
    map: Arc<str>,
    polls: Vec<Poll>,
    /// As many as `polls`.
    plans: Vec<Plan>,
    tags: Vec<Tag>,
    /// As many as `tags`, as is `steady`.
    latest: Vec<Latest>,
    steady: Vec<Steady>,
    /// What the device refuses, with its poll.
    quarantine: Vec<(usize, Atom)>,
    rules: Vec<Rule>,
    /// As many as `rules`.
    states: Vec<State>,
    /// The states before the last observation, until it is committed.
    before: Option<Vec<State>>,
    writes: Vec<Write>,
    probes: Vec<Probe>,
    limits: Limits,
}

impl Points {
    /// What to read, by period.
    pub fn polls(&self) -> &[Poll] {
        &self.polls
    }

    /// What one request may have: also where devices behind one unit share it.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The name under which the outbox keeps [`Sample::memory`]: `<device>/points`.
    pub fn memory_name(&self) -> Arc<str> {
        format!("{}/points", self.device).into()
    }

    /// Goes on from what was committed last. Before the first [`Points::observe`].
    pub fn restore(&mut self, memory: &[u8]) {
        look::restore(self, memory);
    }

    /// Takes one answer for each read of that poll, in order; `None`: no value this time. Returns the samples to capture,
    /// all in one call; often none. A sample may have no event: then it is captured for its memory alone.
    ///
    /// Then, perhaps after other polls of the same commit, call [`Points::committed`] or [`Points::undo`].
    pub fn observe(&mut self, poll: usize, answers: &[Option<Got>], at: Now) -> Vec<Sample> {
        look::observe(self, poll, answers, at)
    }

    /// The samples of each [`Points::observe`] since the last call are durable.
    pub fn committed(&mut self) {
        self.before = None;
    }

    /// They were not taken (the outbox is full): the next [`Points::observe`] tells again what still holds then.
    pub fn undo(&mut self) {
        if let Some(before) = self.before.take() {
            self.states = before;
        }
    }

    /// The device refused this read with exception 2: it is split in two, and an address that stands alone is no longer
    /// read. Indexes of this poll's reads change; those of the other polls do not.
    pub fn refused(&mut self, poll: usize, read: usize) {
        let Some(plan) = self.plans.get_mut(poll) else { return };
        if let Some(atom) = plan.refuse(read) {
            for tag in &atom.tags {
                self.latest[*tag].quality = Quality::Stale;
                self.latest[*tag].reason = Some("the device refuses its address".to_owned());
            }
            self.quarantine.push((poll, atom));
        }
        self.polls[poll].reads = plan.reads();
    }

    /// Reads again what was refused: after a new connection, say.
    pub fn release(&mut self) {
        for (poll, atom) in self.quarantine.drain(..) {
            self.plans[poll].add(atom);
            self.polls[poll].reads = self.plans[poll].reads();
        }
    }

    /// Tags that are not read because the device refuses their addresses.
    pub fn quarantined(&self) -> impl Iterator<Item = Quarantined<'_>> {
        self.quarantine.iter().flat_map(|(_, atom)| &atom.tags).map(|tag| {
            let Tag { name, area, at, .. } = &self.tags[*tag];
            Quarantined { tag: name, area: *area, at: *at }
        })
    }

    /// Each tag as it was read last, in the order of the map; stale all together when a watchdog says so.
    pub fn values(&self) -> impl Iterator<Item = (&str, Reading)> {
        self.tags.iter().enumerate().map(|(index, tag)| (tag.name.as_str(), self.reading(index)))
    }

    fn reading(&self, index: usize) -> Reading {
        let mut reading = self.latest[index].reading(self.tags[index].is_whole());
        if reading.quality == Quality::Good && self.is_stale() {
            reading.quality = Quality::Stale;
            reading.reason = Some("the device answers, but its watchdog value does not move".to_owned());
        }
        reading
    }

    /// The device answers, but a tag with a `watchdog` does not move.
    pub fn is_stale(&self) -> bool {
        let stale =
            |(rule, state): (&Rule, &State)| matches!(rule.what, What::Watchdog(_)) && state.kept == Kept::Flag(true);
        self.rules.iter().zip(&self.states).any(stale)
    }

    /// The write that the map's `[[write]]` of that name makes of `value`.
    ///
    /// # Errors
    /// Why it may not be written, in words.
    pub fn write(&self, name: &str, value: &Value) -> Result<WriteRequest, String> {
        if let Some(write) = self.writes.iter().find(|write| write.name == name) {
            return write.request(value);
        }
        let known: Vec<&str> = self.writes.iter().map(|write| write.name.as_str()).collect();
        Err(format!("the map {} has no [[write]] \"{name}\"; it has: {}", self.map, known.join(", ")))
    }

    /// Who may write: `role:…` and `command:…`; empty for a name that is not there.
    pub fn allowed(&self, name: &str) -> &[String] {
        self.writes.iter().find(|write| write.name == name).map_or(&[], |write| &write.allow)
    }

    /// The unit in which it is written.
    pub fn write_unit(&self, name: &str) -> Option<&str> {
        self.writes.iter().find(|write| write.name == name)?.unit.as_deref()
    }

    /// The tags and where they are.
    pub fn places(&self) -> impl Iterator<Item = (&str, Read)> {
        self.tags.iter().map(|tag| (tag.name.as_str(), tag.read()))
    }

    /// The tags that a read of a poll brings.
    pub fn tags_of(&self, poll: usize, read: usize) -> impl Iterator<Item = &str> {
        let plan = self.plans.get(poll);
        plan.into_iter().flat_map(move |plan| plan.tags(read)).map(|tag| self.tags[tag].name.as_str())
    }

    /// Kinds of the events that it may tell; some more than once.
    pub fn kinds(&self) -> impl Iterator<Item = String> {
        self.rules.iter().flat_map(|rule| rule.what.kinds())
    }

    /// Names of its alarms.
    pub fn alarms(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| match &rule.what {
            What::Alarm(alarm) => Some(alarm.name.as_str()),
            _ => None,
        })
    }

    /// `[[probe]]`: known values that prove the map on the site.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }
}

#[cfg(test)]
mod tests;
