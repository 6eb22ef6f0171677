//! One look: answers become values, values become events, and what was told is remembered with them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rule::{Kept, State, Told, View};
use super::tag::{Scale, Taken};
use super::value::{Datum, Ref};
use super::{Got, Points, Quality, Read};
use crate::event::{Decoded, DeviceEvent, Memory, Now, Position, Sample, Undecodable};
use crate::tagmap::panic_text;
use crate::tagmap::registers::bytes_of;

/// What outlives a restart, by names of the map: a map that has changed takes what it knows of it.
#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    #[serde(default)]
    rules: BTreeMap<String, Kept>,
    /// Debounced bits.
    #[serde(default)]
    bits: BTreeMap<String, bool>,
}

/// See [`Points::restore`].
pub(super) fn restore(points: &mut Points, memory: &[u8]) {
    let Ok(mut memory) = serde_json::from_slice::<Remembered>(memory) else { return };
    for (rule, state) in points.rules.iter().zip(&mut points.states) {
        *state = State { kept: memory.rules.remove(&rule.key).unwrap_or_default(), ..State::default() };
    }
    for (tag, steady) in points.tags.iter().zip(&mut points.steady) {
        steady.stands = memory.bits.get(&tag.name).copied();
    }
}

/// See [`Points::observe`]. A panic outside the rules is told as a sample that could not be decoded, and nothing was seen.
pub(super) fn observe(points: &mut Points, poll: usize, answers: &[Option<Got>], at: Now) -> Vec<Sample> {
    let before = points.states.clone();
    let samples = catch_unwind(AssertUnwindSafe(|| look(points, poll, answers, at)));
    let samples = samples.unwrap_or_else(|panic| {
        points.states.clone_from(&before);
        let reason = format!("reading the tags panicked: {}", panic_text(panic.as_ref()));
        vec![sample(points, poll, raw(answers, |_| true), at, Err(Undecodable { reason, panicked: true }))]
    });
    points.before.get_or_insert(before); // of the first look since the last commit
    samples
}

fn look(points: &mut Points, poll: usize, answers: &[Option<Got>], at: Now) -> Vec<Sample> {
    take(points, poll, answers, at);
    let mut samples = Vec::new();
    // What the device numbers comes last, each with its own sample: the memory of the others must not say that it was told.
    for counted in [false, true] {
        let mut look = Look { points, poll, answers, at, events: Vec::new(), tags: Vec::new() };
        look.run(counted, &mut samples);
    }
    samples
}

/// One run through the rules.
struct Look<'a> {
    points: &'a mut Points,
    poll: usize,
    answers: &'a [Option<Got>],
    at: Now,
    /// Events that the gateway saw itself, and the tags behind them.
    events: Vec<DeviceEvent>,
    tags: Vec<usize>,
}

impl Look<'_> {
    fn run(&mut self, counted: bool, samples: &mut Vec<Sample>) {
        let mut changed = false;
        let stale = self.points.is_stale();
        for index in 0..self.points.rules.len() {
            let rule = &self.points.rules[index];
            if rule.is_counted() != counted {
                continue;
            }
            let mut state = self.points.states[index].clone();
            let view = View {
                tags: &self.points.tags,
                latest: &self.points.latest,
                device: &self.points.device,
                stale,
                mono: self.at.mono,
                wall: self.at.wall,
            };
            // What the rule has remembered before it panicked stays: it panics once for one happening.
            let told = catch_unwind(AssertUnwindSafe(|| rule.step(&mut state, &view))).unwrap_or_else(|panic| {
                vec![Told::Panicked(format!("{} panicked: {}", rule.key, panic_text(panic.as_ref())))]
            });
            let tags = if told.is_empty() { Vec::new() } else { rule.tags() };
            changed |= state.kept != self.points.states[index].kept;
            self.points.states[index] = state;
            for told in told {
                match told {
                    Told::Event(event) => {
                        self.events.push(event);
                        self.tags.extend(&tags);
                    }
                    Told::Counted(position, event) => {
                        let raw = self.raw(&tags);
                        samples.push(self.remembered(position, vec![event], raw));
                        changed = false;
                    }
                    Told::Passed(position) => {
                        samples.push(self.remembered(position, Vec::new(), Vec::new()));
                        changed = false;
                    }
                    Told::Refused(reason) => samples.push(self.undecodable(reason, false, &tags)),
                    Told::Panicked(reason) => samples.push(self.undecodable(reason, true, &tags)),
                }
            }
        }
        if changed || !self.events.is_empty() {
            let (events, tags) = (std::mem::take(&mut self.events), std::mem::take(&mut self.tags));
            let raw = self.raw(&tags);
            samples.push(self.remembered(Position::Own, events, raw));
        }
    }

    fn undecodable(&self, reason: String, panicked: bool, tags: &[usize]) -> Sample {
        sample(self.points, self.poll, self.raw(tags), self.at, Err(Undecodable { reason, panicked }))
    }

    /// The answers that these tags came in.
    fn raw(&self, tags: &[usize]) -> Vec<u8> {
        let plan = &self.points.plans[self.poll];
        raw(self.answers, |read| plan.tags(read).any(|tag| tags.contains(&tag)))
    }

    fn remembered(&self, position: Position, events: Vec<DeviceEvent>, raw: Vec<u8>) -> Sample {
        let points = &self.points;
        let content = Decoded {
            device: Arc::clone(&points.device),
            position,
            events,
            unread: Vec::new(),
            map: Arc::clone(&points.map),
        };
        let memory = Memory { name: points.memory_name(), bytes: memory(points) };
        Sample { memory: Some(memory), ..sample(points, self.poll, raw, self.at, Ok(content)) }
    }
}

fn memory(points: &Points) -> Vec<u8> {
    let rules = points.rules.iter().zip(&points.states).filter(|(_, state)| state.kept != Kept::Nothing);
    let bits = points.tags.iter().zip(&points.steady).filter(|(tag, _)| tag.debounce.is_some());
    let kept = Remembered {
        rules: rules.map(|(rule, state)| (rule.key.clone(), state.kept.clone())).collect(),
        bits: bits.filter_map(|(tag, steady)| Some((tag.name.clone(), steady.stands?))).collect(),
    };
    serde_json::to_vec(&kept).expect("names and plain values are JSON")
}

fn sample(points: &Points, poll: usize, raw: Vec<u8>, at: Now, content: Result<Decoded, Undecodable>) -> Sample {
    let origin = points.polls.get(poll).map_or_else(|| Arc::clone(&points.device), |poll| Arc::clone(&poll.name));
    Sample { source: Arc::clone(&points.device), at, origin, raw, content, redelivery: None, memory: None }
}

/// The answers as bytes: registers as on the wire, a byte for each bit.
fn raw(answers: &[Option<Got>], wanted: impl Fn(usize) -> bool) -> Vec<u8> {
    let wanted = answers.iter().enumerate().filter(|(read, _)| wanted(*read)).filter_map(|(_, got)| got.as_ref());
    wanted
        .flat_map(|got| match got {
            Got::Words(words) => bytes_of(words),
            Got::Bits(bits) => bits.iter().map(|bit| u8::from(*bit)).collect(),
        })
        .collect()
}

/// Puts the answers of a poll into the tags.
fn take(points: &mut Points, poll: usize, answers: &[Option<Got>], at: Now) {
    for latest in &mut points.latest {
        (latest.fresh, latest.moved) = (false, false);
    }
    let Some(plan) = points.plans.get(poll) else { return };
    let mut brought: Vec<(usize, Option<&Got>, Read)> = Vec::new();
    for (read, request) in plan.reads().into_iter().enumerate() {
        let got = answers.get(read).and_then(Option::as_ref);
        brought.extend(plan.tags(read).map(|tag| (tag, got, request)));
    }
    // A tag that is scaled by another comes after it.
    brought.sort_by_key(|(tag, ..)| matches!(points.tags[*tag].scale, Scale::By { .. }));
    for (index, got, request) in brought {
        let tag = &points.tags[index];
        let part = got.and_then(|got| got.part(&request, &tag.read()));
        let taken = part.map(|part| {
            let scale = |at: Ref| {
                let latest = &points.latest[at.tag];
                let factor = latest.datum(at).filter(|_| latest.quality == Quality::Good).and_then(Datum::number);
                factor.ok_or_else(|| format!("has no scale: {} {}", points.tags[at.tag].name, latest.why()))
            };
            tag.take(&part, scale)
        });
        let steady = &mut points.steady[index];
        let latest = &mut points.latest[index];
        let (taken, quality, reason) = match taken {
            None => {
                steady.miss();
                (None, Quality::Stale, Some("was not answered".to_owned()))
            }
            Some(Err(why)) => (None, Quality::Bad, Some(why)),
            Some(Ok(Taken { main: Datum::Bool(now), bits })) if tag.debounce.is_some() => {
                let main = tag.debounce.map_or(now, |debounce| steady.see(debounce, now, at.mono));
                (Some(Taken { main: Datum::Bool(main), bits }), Quality::Good, None)
            }
            Some(Ok(taken)) => (Some(taken), Quality::Good, None),
        };
        latest.fresh = quality != Quality::Stale;
        (latest.quality, latest.reason) = (quality, reason);
        if latest.fresh {
            latest.at = Some(at);
        }
        if let Some(taken) = taken {
            latest.moved = latest.taken.as_ref().is_some_and(|before| *before != taken);
            latest.taken = Some(taken);
        }
    }
}
