//! What a device sends, live: `{"request":"tap","device":"hand-1"}` is answered by a line for each sample that is committed,
//! and for each poll of its tags that brings something else than the one before, until the asking side ends or stops
//! reading.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::Answer;
use crate::control::status::written;
use crate::event::{DeviceEvent, Legible, Millis, Position, Value};
use crate::outbox::{Committed, Placed, Polled, Sight, Tapped, Watch};
use crate::source::health;
use crate::tagmap::points::{self, Answered};

/// Who takes nothing for so long has stopped, and is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// One line of a tap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TapLine {
    /// Watching has begun.
    Watching(String),
    /// What is watched does not answer at present, or is not yet known to: how it is doing.
    Away(Box<health::Status>),
    /// A sample that was committed.
    Sample(Box<Shown>),
    /// A poll of its tags.
    Cycle(Box<Cycle>),
    /// So many of this device came faster than they were taken, and are not shown; none is lost to the outbox.
    Missed(u64),
}

/// A poll of tags as people are shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// When it was read, UTC milliseconds.
    pub at: Millis,
    /// The device.
    pub source: String,
    /// `[poll.NAME]`.
    pub poll: String,
    /// Names of the tags that say something else than in the poll before; all of them in the first.
    pub changed: Vec<String>,
    /// Its requests, what came, and the tags in it.
    pub reads: Vec<Answered>,
}

/// A sample as people are shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// When it came, UTC milliseconds.
    pub at: Millis,
    /// The configured device, or the link when no device wants it.
    pub source: String,
    /// The device as events name it; `None`: it could not be read.
    pub device: Option<String>,
    /// Where it came from there: a topic, a FIFO, a poll.
    pub origin: String,
    /// What came, if it is text; the first 4,096 bytes.
    pub text: Option<String>,
    /// What came, if it isn't.
    pub hex: Option<String>,
    /// Bytes that came.
    pub length: usize,
    /// `new`, `duplicate`, `held`, `bad`: what became of it; `memory`: it is no event, and only what the gateway has to know of
    /// the tags after a restart was stored.
    pub placed: String,
    /// Why it, or a part of it, could not be read.
    pub reason: Option<String>,
    /// `name@version` of the map.
    pub map: Option<String>,
    /// Where it stands in the device's count.
    pub position: Option<String>,
    /// What it decoded to.
    pub events: Vec<Event>,
}

/// An event as its map made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `scan.carton`
    pub kind: String,
    /// What orders it.
    pub subject: Option<String>,
    /// What the device said of the time.
    pub device_time: Option<String>,
    /// Its data.
    pub fields: BTreeMap<String, Value>,
}

impl Shown {
    fn of(tapped: &Committed) -> Self {
        let sample = &tapped.sample;
        let (text, hex) = match Legible::of(&sample.raw) {
            Legible::Text(text) => (Some(text), None),
            Legible::Hex(hex) => (None, Some(hex)),
        };
        let decoded = sample.content.as_ref().ok();
        let is_memory = tapped.remembers && decoded.is_some_and(|of| of.events.is_empty() && of.unread.is_empty());
        let placed = match &tapped.placed {
            Placed::New if is_memory => "memory",
            Placed::New => "new",
            Placed::Duplicate => "duplicate",
            Placed::Held => "held",
            Placed::Bad | Placed::Refused(_) => "bad",
        };
        Self {
            at: sample.at.wall,
            source: sample.source.to_string(),
            device: decoded.map(|decoded| decoded.device.to_string()),
            origin: sample.origin.to_string(),
            text,
            hex,
            length: tapped.length,
            placed: placed.to_owned(),
            reason: match (&tapped.placed, &sample.content) {
                (Placed::Refused(why), _) => Some(why.to_string()),
                (_, Err(why)) => Some(why.reason.clone()),
                (_, Ok(decoded)) => {
                    decoded.unread.iter().map(|unread| unread.reason.clone()).reduce(|a, b| format!("{a}; {b}"))
                }
            },
            map: decoded.map(|decoded| decoded.map.to_string()),
            position: decoded.and_then(|decoded| position(&decoded.position)),
            events: decoded.into_iter().flat_map(|decoded| &decoded.events).map(Event::of).collect(),
        }
    }
}

impl Event {
    fn of(event: &DeviceEvent) -> Self {
        Self {
            kind: event.kind.clone(),
            subject: event.subject.clone(),
            device_time: event.device_time.clone(),
            fields: event.fields.iter().cloned().collect(),
        }
    }
}

fn position(position: &Position) -> Option<String> {
    match position {
        Position::Counted { boot: Some(boot), seq, .. } => Some(format!("{seq} of boot {boot}")),
        Position::Counted { boot: None, seq, .. } => Some(seq.to_string()),
        Position::Message(id) => Some(format!("message {id}")),
        Position::Own | Position::Content { .. } => None,
    }
}

/// What each tag said in the last poll of each name.
#[derive(Default)]
struct Before(BTreeMap<String, points::Shown>);

impl Before {
    /// The poll, unless nothing in it has changed and only changes are wanted.
    fn next(&mut self, polled: &Polled, all: bool) -> Option<Cycle> {
        let mut changed = Vec::new();
        for tag in polled.cycle.reads.iter().flat_map(|read| &read.tags) {
            let now = points::Shown { at: None, ..tag.clone() };
            if self.0.get(&tag.tag) != Some(&now) {
                changed.push(tag.tag.clone());
                self.0.insert(tag.tag.clone(), now);
            }
        }
        let points::Cycle { poll, reads } = polled.cycle.clone();
        let source = polled.device.to_string();
        (all || !changed.is_empty()).then_some(Cycle { at: polled.at, source, poll, changed, reads })
    }
}

/// Writes what is tapped until the other side ends, or takes nothing for a while. A slow one is told what it has missed.
pub(super) async fn pour(
    device: String,
    all: bool,
    away: Option<health::Status>,
    mut watch: Watch,
    mut stream: UnixStream,
) {
    let (mut read, mut write) = stream.split();
    let mut line = written(&Answer::Ok(TapLine::Watching(device)));
    line += &away.map(|away| written(&Answer::Ok(TapLine::Away(Box::new(away))))).unwrap_or_default();
    let (mut before, mut ignored) = (Before::default(), [0; 64]);
    loop {
        match timeout(PATIENCE, write.write_all(line.as_bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::info!("a tap took nothing for {} s and was ended", PATIENCE.as_secs());
                return;
            }
        }
        let next = loop {
            let sight = tokio::select! {
                sight = watch.next() => sight,
                got = read.read(&mut ignored) => match got {
                    Ok(1..) => continue,
                    _ => return,
                },
            };
            match sight {
                Some(Sight::Tapped(Tapped::Sample(sample))) => break TapLine::Sample(Box::new(Shown::of(&sample))),
                Some(Sight::Tapped(Tapped::Cycle(polled))) => {
                    if let Some(cycle) = before.next(&polled, all) {
                        break TapLine::Cycle(Box::new(cycle));
                    }
                }
                Some(Sight::Missed(missed)) => break TapLine::Missed(missed),
                None => return,
            }
        };
        line = written(&Answer::Ok(next));
    }
}
