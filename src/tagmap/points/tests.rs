//! Maps through the one door: registers in, events out.

use std::collections::BTreeMap;

use super::*;
use crate::event::{DeviceEvent, Millis, Position};
use crate::form::Document;
use crate::tagmap::{Binding, Map};

mod counters;
mod events;
mod faults;
mod quirks;
mod shown;
mod turns;
mod values;
mod writes;

/// A map with two polls, and what else `text` says; or its faults.
fn map(text: &str, params: &[(&str, &str)]) -> Result<Map, Vec<String>> {
    map_of(text, &binding(params))
}

fn map_of(text: &str, binding: &Binding) -> Result<Map, Vec<String>> {
    let head = "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n\
                [poll.fast]\nevery = \"20ms\"\n[poll.slow]\nevery = \"500ms\"\npriority = 5\n";
    read_bound(&format!("{head}{text}"), binding)
}

fn read_text(text: &str, params: &[(&str, &str)]) -> Result<Map, Vec<String>> {
    read_bound(text, &binding(params))
}

fn binding(params: &[(&str, &str)]) -> Binding {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Binding { params, ..Binding::of("plc-1") }
}

fn read_bound(text: &str, binding: &Binding) -> Result<Map, Vec<String>> {
    let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
    Map::read(&document, binding).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// A device in memory and the points that read it.
struct Bench {
    points: Points,
    memory: Option<Vec<u8>>,
    cells: BTreeMap<(Area, u16), u16>,
    mono: u64,
    /// What was not an event.
    refused: Vec<String>,
}

impl Bench {
    fn new(text: &str) -> Self {
        let points = map(text, &[]).unwrap_or_else(|faults| panic!("{}", faults.join("\n"))).points;
        let points = points.expect("the map has points");
        Self { points, memory: None, cells: BTreeMap::new(), mono: 0, refused: Vec::new() }
    }

    fn set(&mut self, area: Area, at: u16, values: &[u16]) {
        for (i, value) in values.iter().enumerate() {
            self.cells.insert((area, at + i as u16), *value);
        }
    }

    fn hold(&mut self, at: u16, values: &[u16]) {
        self.set(Area::Holding, at, values);
    }

    /// The answers of that poll, as the cells are now.
    fn answers(&self, poll: usize) -> Vec<Option<Got>> {
        let cell = |area, at| self.cells.get(&(area, at)).copied().unwrap_or_default();
        let answer = |read: &Read| {
            let cells = (read.at..read.at + read.count).map(|at| cell(read.area, at));
            if read.area.is_bits() { Got::Bits(cells.map(|c| c != 0).collect()) } else { Got::Words(cells.collect()) }
        };
        self.points.polls()[poll].reads.iter().map(|read| Some(answer(read))).collect()
    }

    fn now(&self) -> Now {
        Now { wall: Millis(1_000_000 + self.mono as i64), mono: self.mono }
    }

    /// One poll `ms` later whose samples are not yet committed.
    fn look(&mut self, poll: usize, ms: u64) -> Vec<Sample> {
        self.mono += ms;
        let (answers, now) = (self.answers(poll), self.now());
        self.points.observe(poll, &answers, now)
    }

    /// Commits the samples.
    fn commit(&mut self, samples: Vec<Sample>) -> Vec<(Position, DeviceEvent)> {
        self.points.committed();
        let mut events = Vec::new();
        for sample in samples {
            match sample.content {
                Ok(decoded) => {
                    events.extend(decoded.events.into_iter().map(|event| (decoded.position.clone(), event)));
                    self.memory = sample.memory.map(|memory| memory.bytes).or(self.memory.take());
                }
                Err(why) => self.refused.push(why.reason),
            }
        }
        events
    }

    /// One poll `ms` later: its events in short form.
    fn poll_after(&mut self, ms: u64) -> Vec<String> {
        let samples = self.look(0, ms);
        self.commit(samples).iter().map(|(_, event)| short(event)).collect()
    }

    /// Polls every 20 ms for that long: each event with its time from the start of it.
    fn run(&mut self, ms: u64) -> Vec<String> {
        let start = self.mono;
        let mut told = Vec::new();
        while self.mono < start + ms {
            let events = self.poll_after(20);
            told.extend(events.into_iter().map(|event| format!("{} {event}", self.mono - start)));
        }
        told
    }

    /// The gateway dies and starts again with what was committed.
    fn restart(&mut self, text: &str) {
        let fresh = Self::new(text);
        self.points = fresh.points;
        self.mono = 0;
        if let Some(memory) = &self.memory {
            self.points.restore(memory);
        }
    }

    /// Value and quality of a tag.
    fn value(&self, name: &str) -> String {
        let (_, reading) = self.points.values().find(|(tag, _)| *tag == name).expect("the map has this tag");
        let value = reading.value.map_or("none".to_owned(), |value| serde_json::to_string(&value).expect("it prints"));
        match (reading.quality, reading.reason) {
            (Quality::Good, _) => value,
            (quality, reason) => format!("{value} {}: {}", quality.word(), reason.unwrap_or_default()),
        }
    }
}

/// `kind subject field=value …`
fn short(event: &DeviceEvent) -> String {
    let mut text = event.kind.clone();
    if let Some(subject) = &event.subject {
        text = format!("{text} [{subject}]");
    }
    for (name, value) in &event.fields {
        let value = serde_json::to_string(value).expect("a value prints");
        text = format!("{text} {name}={value}");
    }
    text
}

const fn word(value: u16) -> [u16; 1] {
    [value]
}
