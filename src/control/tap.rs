//! What a device sends, live: `{"request":"tap","device":"hand-1"}` is answered by a line for each sample that is committed,
//! until the asking side ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::control::Answer;
use crate::control::status::written;
use crate::event::{DeviceEvent, Legible, Millis, Position, Value};
use crate::outbox::{Placed, Tapped};

/// One line of a tap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TapLine {
    /// Watching has begun.
    Watching(String),
    /// A sample that was committed.
    Sample(Box<Shown>),
    /// So many, of whichever device, came faster than they were taken, and are not shown; none is lost to the outbox.
    Missed(u64),
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
    /// `new`, `duplicate`, `held`, `bad`: what became of it.
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
    fn of(tapped: &Tapped) -> Self {
        let sample = &tapped.sample;
        let (text, hex) = match Legible::of(&sample.raw) {
            Legible::Text(text) => (Some(text), None),
            Legible::Hex(hex) => (None, Some(hex)),
        };
        let decoded = sample.content.as_ref().ok();
        let placed = match tapped.placed {
            Placed::New => "new",
            Placed::Duplicate => "duplicate",
            Placed::Held => "held",
            Placed::Bad => "bad",
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
            reason: match &sample.content {
                Err(why) => Some(why.reason.clone()),
                Ok(decoded) => {
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

/// Whether a sample is of the device, or of one of its instances (`hand-p07` of `hand`).
fn is_of(tapped: &Tapped, device: &str) -> bool {
    let sample = &tapped.sample;
    *sample.source == *device || sample.content.as_ref().is_ok_and(|decoded| *decoded.device == *device)
}

/// Writes what is tapped until the other side ends. A slow one is told what it has missed.
pub(super) async fn pour(
    device: &str,
    mut tap: Receiver<Arc<Tapped>>,
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) {
    let mut line = written(&Answer::Ok(TapLine::Watching(device.to_owned())));
    let mut ignored = [0; 64];
    loop {
        if write.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        let next = loop {
            let tapped = tokio::select! {
                tapped = tap.recv() => tapped,
                got = read.read(&mut ignored) => match got {
                    Ok(1..) => continue,
                    _ => return,
                },
            };
            match tapped {
                Ok(tapped) if is_of(&tapped, device) => break TapLine::Sample(Box::new(Shown::of(&tapped))),
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => break TapLine::Missed(missed),
                Err(RecvError::Closed) => return,
            }
        };
        line = written(&Answer::Ok(next));
    }
}
