//! What of the values becomes an event.
//!
//! Each rule remembers by itself what it has told ([`Kept`]) and compares that with what the tags say now, so that it
//! does not matter how many polls, crashes or full outboxes lie between. Times run by the monotonic clock and begin again
//! with a restart.

mod alarm;
mod event;
mod report;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Operand};
use super::tag::{Tag, Taken};
use super::value::{Datum, Ref};
use super::{Quality, Reading};
use crate::event::{DeviceEvent, Fields, Millis, Now, Position, Value};

pub(super) use alarm::{Alarm, Watchdog};
pub(super) use event::{Epoch, Event, On, Seq, Turn};
pub(super) use report::{Deadband, Report};

/// One rule and its name in the memory.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) key: String,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Report(Report),
    Event(Event),
    Alarm(Alarm),
    Watchdog(Watchdog),
}

impl What {
    /// Kinds of the events that it may tell.
    pub(super) fn kinds(&self) -> Vec<String> {
        match self {
            Self::Report(_) => vec!["tag.value".to_owned()],
            Self::Event(event) => vec![event.kind.clone()],
            Self::Alarm(alarm) => vec![alarm.event.clone(), alarm.clear_event.clone()],
            Self::Watchdog(_) => ["device.stale", "device.live"].map(str::to_owned).into(),
        }
    }
}

/// Where a rule stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Outlives a restart.
    pub(super) kept: Kept,
    /// Since when a condition holds (or is gone), in monotonic milliseconds.
    pub(super) since: Option<u64>,
    /// It has told since the start.
    pub(super) told: bool,
}

/// What a rule has told, as it is stored with its events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kept {
    /// Nothing was seen yet.
    #[default]
    Nothing,
    /// The condition held, the device was stale.
    Flag(bool),
    /// The counter stood there; of which registers an earlier version did not note.
    Count(u64),
    /// It stood there, in these registers.
    CountAt { count: u64, at: String },
    /// It stood there in that run of the device, as the tag said that tells one run from the next.
    CountOf {
        count: u64,
        run: Datum,
        said_by: String,
        #[serde(default)]
        at: Option<String>,
    },
    /// The values told last; none while they were bad.
    Told(Option<Vec<Datum>>),
    /// The value seen last, its number, the device's run, the digest of what the map then said of the tag, and where it lay.
    Seen {
        value: Datum,
        seq: Option<u64>,
        epoch: Option<Datum>,
        #[serde(default)]
        digest: Option<u64>,
        #[serde(default)]
        at: Option<String>,
    },
    /// The alarm stands, a person has seen it, and since when it stands, by the wall clock: for people alone.
    Alarm {
        raised: bool,
        seen: bool,
        #[serde(default)]
        since: Option<Millis>,
    },
}

/// What a rule tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// An event that the gateway saw itself.
    Event(DeviceEvent),
    /// An event that the device numbers.
    Counted(Position, DeviceEvent),
    /// A number of the device whose event the map leaves out: it is not missing.
    Passed(Position),
    /// An event that a value's `else = "reject"` forbids, and why.
    Refused(String),
    /// An error of ours in place of an event.
    Panicked(String),
}

/// A tag as it was read last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Latest {
    pub(super) taken: Option<Taken>,
    pub(super) quality: Quality,
    pub(super) reason: Option<String>,
    pub(super) at: Option<Now>,
    /// It was read just now …
    pub(super) fresh: bool,
    /// … and has another value than before.
    pub(super) moved: bool,
}

/// What the rules look at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) tags: &'a [Tag],
    pub(super) latest: &'a [Latest],
    pub(super) device: &'a str,
    /// A watchdog has found that the device's values do not move any more.
    pub(super) stale: bool,
    /// Monotonic milliseconds.
    pub(super) mono: u64,
    pub(super) wall: Millis,
}

impl<'a> View<'a> {
    /// Milliseconds from `since` to now.
    fn passed(&self, since: u64) -> u64 {
        self.mono.saturating_sub(since)
    }

    /// What held at `since`, and holds now, has lasted for so many milliseconds: a read that is newer proves it.
    fn lasted(&self, condition: &Condition, since: u64, ms: u64) -> bool {
        let read = || condition.refs().iter().any(|at| self.latest[at.tag].fresh);
        ms == 0 || (self.passed(since) >= ms && read())
    }

    /// As the map calls it.
    fn name(&self, at: Ref) -> String {
        let tag = &self.tags[at.tag];
        at.bit.map_or_else(|| tag.name.clone(), |bit| format!("{}.{}", tag.name, tag.bits[bit].name))
    }

    /// The value, if it is good.
    pub(super) fn good(&self, at: Ref) -> Option<&'a Datum> {
        self.latest.get(at.tag).filter(|latest| latest.quality == Quality::Good)?.datum(at)
    }
}

impl Latest {
    pub(super) const fn nothing() -> Self {
        Self { taken: None, quality: Quality::Stale, reason: None, at: None, fresh: false, moved: false }
    }

    pub(super) fn datum(&self, at: Ref) -> Option<&Datum> {
        let taken = self.taken.as_ref()?;
        at.bit.map_or(Some(&taken.main), |bit| taken.bits.get(bit))
    }

    /// Why there is no good value, after the tag's name.
    pub(super) fn why(&self) -> &str {
        self.reason.as_deref().unwrap_or("was not read yet")
    }

    pub(super) fn reading(&self, whole: bool) -> Reading {
        Reading {
            value: self.taken.as_ref().map(|taken| taken.main.value(whole)),
            quality: self.quality,
            reason: self.reason.clone(),
            at: self.at,
        }
    }
}

impl Rule {
    /// One look at the values.
    pub(super) fn step(&self, state: &mut State, view: &View<'_>) -> Vec<Told> {
        match &self.what {
            What::Report(report) => report.step(state, view).into_iter().map(Told::Event).collect(),
            What::Event(event) => event.step(state, view),
            What::Alarm(alarm) => alarm.step(state, view).into_iter().collect(),
            What::Watchdog(watchdog) => watchdog.step(state, view).into_iter().map(Told::Event).collect(),
        }
    }

    /// Its events carry the device's own numbers.
    pub(super) const fn is_counted(&self) -> bool {
        matches!(&self.what, What::Event(Event { seq: Some(Seq { epoch: Epoch::Tag { .. }, .. }), .. }))
    }

    /// The tags that it tells of.
    pub(super) fn tags(&self) -> Vec<usize> {
        match &self.what {
            What::Report(report) => vec![report.tag],
            What::Watchdog(watchdog) => vec![watchdog.tag],
            What::Event(event) => event.refs().into_iter().chain(event.carried.refs()).map(|r| r.tag).collect(),
            What::Alarm(alarm) => alarm.when.refs().into_iter().chain(alarm.carried.refs()).map(|r| r.tag).collect(),
        }
    }
}

/// What events carry of the tags.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried {
    pub(super) subject: Option<Vec<Part>>,
    pub(super) fields: Vec<(String, Operand)>,
    /// The device's word on the time.
    pub(super) time: Option<Ref>,
}

/// A piece of a subject.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Value(Ref),
}

impl Carried {
    pub(super) fn refs(&self) -> Vec<Ref> {
        self.of_subject().chain(self.of_fields()).collect()
    }

    /// The tags that a subject is made of.
    pub(super) fn of_subject(&self) -> impl Iterator<Item = Ref> {
        self.subject.iter().flatten().filter_map(|part| match part {
            Part::Value(at) => Some(*at),
            Part::Text(_) => None,
        })
    }

    /// The tags of the fields, and of the time.
    pub(super) fn of_fields(&self) -> impl Iterator<Item = Ref> {
        self.fields.iter().filter_map(|(_, operand)| operand.tag()).chain(self.time)
    }

    /// The event of that kind, with `own` fields before the map's.
    ///
    /// # Errors
    /// The value that is missing and may not.
    pub(super) fn event(&self, kind: &str, own: Fields, view: &View<'_>) -> Result<DeviceEvent, String> {
        #[cfg(any(test, feature = "sim"))]
        assert!(kind != "planted.panic", "a planted panic in a rule");
        let (mut fields, mut worst) = (own, view.stale.then_some(Quality::Stale));
        for (name, operand) in &self.fields {
            match operand {
                Operand::Constant(datum) => fields.push((name.clone(), datum.value(true))),
                Operand::Tag(at) => match view.good(*at) {
                    Some(datum) => {
                        let whole = at.bit.is_some() || view.tags[at.tag].is_whole();
                        fields.push((name.clone(), datum.value(whole)));
                    }
                    None => worst = Some(missing(*at, view, worst)?),
                },
            }
        }
        if let Some(quality) = worst {
            fields.push(("quality".to_owned(), Value::Text(quality.word().to_owned())));
        }
        let event = DeviceEvent {
            kind: kind.to_owned(),
            subject: self.subject.as_ref().map(|parts| filled(parts, view)).transpose()?,
            fields,
            device_time: self.time.and_then(|at| view.good(at)).map(Datum::text),
        };
        event.completed()
    }
}

/// The quality of an event that lacks this value.
fn missing(at: Ref, view: &View<'_>, worst: Option<Quality>) -> Result<Quality, String> {
    let (tag, latest) = (&view.tags[at.tag], &view.latest[at.tag]);
    if tag.valid.reject {
        return Err(format!("{} {}", tag.name, latest.why()));
    }
    Ok(if worst == Some(Quality::Stale) { Quality::Stale } else { latest.quality })
}

fn filled(parts: &[Part], view: &View<'_>) -> Result<String, String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Value(at) => {
                let value = view.good(*at).map(Datum::text).ok_or_else(|| {
                    let latest = &view.latest[at.tag];
                    format!("the subject needs {} ({}: {})", view.name(*at), latest.quality.word(), latest.why())
                })?;
                if value.is_empty() {
                    return Err(format!("the subject needs {}, which is empty", view.name(*at)));
                }
                text.push_str(&value);
            }
        }
    }
    Ok(text)
}

fn event(kind: &str, fields: Fields) -> DeviceEvent {
    DeviceEvent { kind: kind.to_owned(), subject: None, fields, device_time: None }
}

fn word(name: &str, text: &str) -> (String, Value) {
    (name.to_owned(), Value::Text(text.to_owned()))
}
