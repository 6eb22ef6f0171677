//! What scanners on TCP sockets and serial lines send: frames in a stream of bytes, each a message like one of a topic.
//!
//! How frames begin and end, and what the device wants to hear when one is safe, is told here; their fields, events and
//! identity are read by the rules of topics. Pure: bytes in, pieces and events out.

mod framing;

use std::time::Duration;

use super::Context;
use super::topic::Topic;
use crate::event::{Decoded, Undecodable};
use crate::form::{Entry, Table};
use framing::Framing;

pub use framing::{Framer, Piece};

/// Longest text that begins or ends a frame, or answers one, bytes.
const MAX_SIGN: usize = 16;
/// Largest frame that a map may ask for, bytes.
const MAX_FRAME: usize = 1 << 20;
/// A frame is complete within this time, or it is none.
const SILENCE: Duration = Duration::from_secs(1);

/// `[frame]`, bound to a device.
#[derive(Debug, Clone)]
pub struct Frame {
    framing: Framing,
    silence: Duration,
    ack: Option<Vec<u8>>,
    nak: Option<Vec<u8>>,
    message: Topic,
}

impl Frame {
    /// Reads `[frame]`.
    pub fn read(table: &Table<'_>, context: &Context<'_>) -> Option<Self> {
        let framing = table.required_entry("framing").and_then(|entry| framing(&entry));
        let silence = table.or("silence", crate::form::Duration(SILENCE)).0;
        let range = Duration::from_millis(10)..=Duration::from_mins(1);
        if !range.contains(&silence) {
            table.refuse_key("silence", "is too short or too long", "write at least \"10ms\" and at most \"1m\"");
        }
        let ack = table.entry("ack").map(|entry| sign(&entry));
        let nak = table.entry("nak").map(|entry| sign(&entry));
        if nak.is_some() && ack.is_none() {
            table.refuse_key(
                "nak",
                "stands without ack",
                "a device that is refused frames is also told which are safe",
            );
        }
        let message = Topic::read_frame(table, context)?;
        if message.max_bytes() > MAX_FRAME {
            table.refuse_key("max_bytes", "is more than 1 MiB", "no scanner sends so much: write less");
        }
        let framing = framing?;
        if let Framing::Length(length) = framing
            && length > message.max_bytes()
        {
            table.refuse_key("max_bytes", "is less than the length of a frame", "write at least framing.length");
        }
        Some(Self { framing, silence, ack: ack.flatten(), nak: nak.flatten(), message })
    }

    /// Reads a stream from its beginning.
    pub fn framer(&self) -> Framer {
        Framer::new(self.framing.clone(), self.message.max_bytes())
    }

    /// Kinds of the events that it may emit, in the order of the map.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.message.kinds()
    }

    /// A frame that has begun and of which nothing comes for so long is none.
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// What the device wants to hear when its frame is safe; it sends the frame again when it doesn't.
    pub fn ack(&self) -> Option<&[u8]> {
        self.ack.as_deref()
    }

    /// What it wants to hear when bytes came that are no frame.
    pub fn nak(&self) -> Option<&[u8]> {
        self.nak.as_deref()
    }

    /// Its frames carry no number and no id: they are told apart by their content, within this many milliseconds.
    pub fn is_weak(&self) -> Option<u64> {
        self.message.is_weak()
    }

    /// What a frame says.
    ///
    /// # Errors
    /// Why it says nothing, in words for the integrator.
    pub fn decode(&self, frame: &[u8]) -> Result<Decoded, Undecodable> {
        self.message.decode(Topic::FRAME, frame)
    }
}

/// `"line"`, `{ start = "\u0002", end = "\u0003" }`, `{ end = "\r\n" }` or `{ length = 20 }`.
fn framing(entry: &Entry<'_>) -> Option<Framing> {
    if entry.value().as_str().is_some() {
        return entry.choice(&[("line", Framing::Line)]);
    }
    let table = entry.table()?;
    let start = table.entry("start").map(|entry| sign(&entry));
    let end = table.entry("end").map(|entry| sign(&entry));
    let length: Option<usize> = table.optional("length");
    match (start, end, length) {
        (Some(start), Some(end), None) => {
            let (start, end) = (start?, end?);
            if start == end {
                table.refuse("begins as it ends: after a lost byte nobody could tell which is which", "take \"line\"");
            }
            Some(Framing::Between { start, end })
        }
        (None, Some(end), None) => end.map(Framing::Until),
        (None, None, Some(length)) if length >= 1 => Some(Framing::Length(length)),
        _ => {
            table
                .refuse("says not how a frame ends", "\"line\", { start = …, end = … }, { end = … } or { length = … }");
            None
        }
    }
}

/// A short text whose bytes are sent or looked for: `"\u0006"`.
fn sign(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let text: String = entry.read()?;
    if text.is_empty() || text.len() > MAX_SIGN {
        entry.refuse(&format!("has {} bytes", text.len()), "write 1 to 16, control characters as \"\\u0006\"");
        return None;
    }
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests;
