//! What people are shown of the tags: one poll, the values that stand, the alarms that stand.

use serde::{Deserialize, Serialize};

use super::rule::{Kept, View, What};
use super::value::Ref;
use super::{Area, Got, Points, Quality};
use crate::event::{Millis, Value};

/// A tag, or a named bit of one, as it was read last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// `tag` or `tag.bit`.
    pub tag: String,
    /// The value; kept when a later read brings none.
    pub value: Option<Value>,
    /// What it is measured in, if the map says so.
    pub unit: Option<String>,
    /// Whether it can be trusted.
    pub quality: Quality,
    /// Why not, in words that follow the tag's name.
    pub reason: Option<String>,
    /// When it was read, UTC milliseconds.
    pub at: Option<Millis>,
}

/// One request of a poll, its answer, and the tags that are in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The table.
    pub area: Area,
    /// First register or bit, counted from 0.
    pub at: u16,
    /// Registers or bits.
    pub count: u16,
    /// The registers as they came; `None`: it was not answered, or asked for bits.
    pub words: Option<Vec<u16>>,
    /// The bits as they came.
    pub bits: Option<Vec<bool>>,
    /// What it says of the tags.
    pub tags: Vec<Shown>,
}

/// One poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// `[poll.NAME]`.
    pub poll: String,
    /// Its requests.
    pub reads: Vec<Answered>,
}

/// An alarm that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name in the map.
    pub alarm: String,
    /// `[[alarm]] severity`.
    pub severity: String,
    /// What it says.
    pub text: Option<String>,
    /// When it was raised, UTC milliseconds; `None`: by an earlier version, which did not note it.
    pub since: Option<Millis>,
    /// Whether it is still there, and whether somebody has seen it.
    pub state: Stands,
}

/// How an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stands {
    /// Its condition holds, as far as is known.
    Active,
    /// The same, and a person has seen it.
    Acknowledged,
    /// Its condition is over: it waits to be acknowledged at the device.
    Latched,
}

impl Points {
    /// The tags that were read on this poll, with what came: right behind [`Points::observe`], with the same answers.
    pub fn cycle(&self, poll: usize, answers: &[Option<Got>]) -> Cycle {
        let reads = self.polls.get(poll).map_or(&[][..], |poll| &poll.reads);
        let answered = |(read, what): (usize, &super::Read)| {
            let got = answers.get(read).and_then(Option::as_ref);
            let (words, bits) = match got {
                Some(Got::Words(words)) => (Some(words.clone()), None),
                Some(Got::Bits(bits)) => (None, Some(bits.clone())),
                None => (None, None),
            };
            let tags = self.plans[poll].tags(read).flat_map(|tag| self.shown_of(tag)).collect();
            Answered { area: what.area, at: what.at, count: what.count, words, bits, tags }
        };
        let name = self.polls.get(poll).map_or_else(String::new, |poll| poll.name.to_string());
        Cycle { poll: name, reads: reads.iter().enumerate().map(answered).collect() }
    }

    /// Each tag as it was read last, in the order of the map, its named bits behind it; stale all together when a watchdog
    /// says so.
    pub fn shown(&self) -> Vec<Shown> {
        (0..self.tags.len()).flat_map(|tag| self.shown_of(tag)).collect()
    }

    fn shown_of(&self, index: usize) -> Vec<Shown> {
        let (tag, latest) = (&self.tags[index], &self.latest[index]);
        let mut reading = self.reading(index);
        if reading.at.is_none() {
            reading.reason.get_or_insert_with(|| "was not read yet".to_owned());
        }
        let at = reading.at.map(|at| at.wall);
        let of = |name: String, value: Option<Value>, unit: Option<String>| Shown {
            tag: name,
            value,
            unit,
            quality: reading.quality,
            reason: reading.reason.clone(),
            at,
        };
        let bit = |(bit, bits): (usize, &super::tag::Bits)| {
            let value = latest.datum(Ref { tag: index, bit: Some(bit) }).map(|datum| datum.value(true));
            of(format!("{}.{}", tag.name, bits.name), value, None)
        };
        let whole = of(tag.name.clone(), reading.value.clone(), tag.unit.clone());
        std::iter::once(whole).chain(tag.bits.iter().enumerate().map(bit)).collect()
    }

    /// Alarms that stand, in the order of the map.
    pub fn standing(&self) -> impl Iterator<Item = Standing> {
        let view = View {
            tags: &self.tags,
            latest: &self.latest,
            device: &self.device,
            stale: self.is_stale(),
            mono: 0,
            wall: Millis(0),
        };
        self.rules.iter().zip(&self.states).filter_map(move |(rule, state)| {
            let (What::Alarm(alarm), Kept::Alarm { raised: true, seen, since }) = (&rule.what, &state.kept) else {
                return None;
            };
            let over = alarm.when.holds(&|at| view.good(at)) == Some(false);
            Some(Standing {
                alarm: alarm.name.clone(),
                severity: alarm.severity.to_owned(),
                text: alarm.text.clone(),
                since: *since,
                state: match (seen, over && alarm.ack.is_some()) {
                    (true, _) => Stands::Acknowledged,
                    (false, true) => Stands::Latched,
                    (false, false) => Stands::Active,
                },
            })
        })
    }
}
