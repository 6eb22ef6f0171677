//! Proving a map without its device: samples of what the device sends, decoded as the gateway would.
//!
//! A sample is a JSON object; `params` and `device` bind the map, `accept_epoch_risk` is as in the configuration:
//!
//! - of a topic: `topic`, `payload` (text, or JSON that is sent as text);
//! - of a FIFO: `fifo`, `epoch`, `seq`, `words` (a slot's registers);
//! - of a socket or a serial line: `stream`, the bytes as text; what comes is a list;
//! - of tags: `steps`; each says when (`ms`), what is in the tables from then on (`holding = {"21": [5, 6]}`, numbered as
//!   the map does), and perhaps `"restart": true`. Each step is one poll of everything, and all that was told comes with
//!   its step's time;
//! - of a write: `write` and `value`; what comes is the request.
//!
//! `devices/*/samples/NAME.json` must come to `devices/*/expected/NAME.json`; a map's own `[[test]]`s say what must come in
//! fewer words ([`Test`]). Pure: texts in, JSON out.

mod cells;
mod compared;
mod difference;
mod written;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};

use super::points::{Got, Points, Put, Quality, Read, WriteRequest};
use super::{Addresses, Binding, Map, Piece, guarded};
use crate::event::{Decoded, DeviceEvent, Millis, Now, Position, Undecodable, Value};
use crate::form::{Document, Fault};

pub use difference::{Line, lines};
pub(super) use written::read;
pub use written::{Outcome, Test};

/// Why nothing could be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The map has faults, or does not take the sample's parameters.
    Map(Vec<Fault>),
    /// The sample says nothing that could be sent, in words.
    Sample(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                f.write_str(&faults.join("\n"))
            }
            Self::Sample(why) => f.write_str(why),
        }
    }
}

/// What came of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Came {
    /// As `expected/` has it.
    pub told: Json,
    /// Alarms that stand at the end.
    pub alarms: Vec<String>,
    /// Tags that had no good value and why, in words: nothing is decided on them.
    pub doubts: Vec<String>,
}

/// Decodes a sample with the map.
///
/// # Errors
/// Faults of the map, or why the sample can't be sent.
pub fn run(document: &Document, sample: &Json) -> Result<Came, Wrong> {
    let map = Map::read(document, &binding(sample)).map_err(Wrong::Map)?;
    decoded(&map, sample).map_err(Wrong::Sample)
}

fn decoded(map: &Map, sample: &Json) -> Result<Came, String> {
    if sample["steps"].is_array() {
        let (points, addresses) = map.points.as_ref().zip(map.addresses).ok_or("the map has no [[tag]]")?;
        return steps(points, addresses, &sample["steps"]);
    }
    let told = if sample.get("write").is_some() {
        write(map, sample)?
    } else if sample.get("fifo").is_some() {
        slot(map, sample)?
    } else if let Some(stream) = sample["stream"].as_str() {
        frames(map, stream)?
    } else if let Some(topic) = sample["topic"].as_str() {
        let payload = text(&sample["payload"]);
        match map.topics.iter().find(|t| t.matches(topic)) {
            Some(map) => shown(guarded(|| map.decode(topic, payload.as_bytes()))),
            None => return Err(unmatched(map, topic)),
        }
    } else {
        return Err("says neither topic, fifo, stream, steps nor write".to_owned());
    };
    Ok(Came { told, alarms: Vec::new(), doubts: Vec::new() })
}

/// No topic of the map is this one: what they are, and what the topic may have too many.
fn unmatched(map: &Map, topic: &str) -> String {
    let filters: Vec<&str> = map.topics.iter().map(super::Topic::filter).collect();
    let there = if filters.is_empty() {
        "the map has no [[topic]]".to_owned()
    } else {
        format!("there is {}", filters.join(", "))
    };
    let level = if topic.ends_with('/') { "; a `/` at the end is a level more" } else { "" };
    format!("no [[topic]] matches {topic}: {there}{level}")
}

/// Texts as they are, other values as JSON.
fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn binding(sample: &Json) -> Binding {
    let params = sample["params"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value)));
    Binding {
        params: params.collect(),
        accept_epoch_risk: sample["accept_epoch_risk"] == true,
        ..Binding::of(sample["device"].as_str().unwrap_or("device"))
    }
}

fn slot(map: &Map, sample: &Json) -> Result<Json, String> {
    let name = text(&sample["fifo"]);
    let fifo =
        map.fifos.iter().find(|fifo| *fifo.name == *name).ok_or_else(|| format!("there is no FIFO \"{name}\""))?;
    let words = numbers(&sample["words"]).ok_or("words are a list of numbers from 0 to 65535")?;
    let seq = sample["seq"].as_u64().ok_or("a slot has its number: seq")?;
    Ok(shown(guarded(|| fifo.decode_slot(sample["epoch"].as_u64(), seq, &words))))
}

fn numbers(value: &Json) -> Option<Vec<u16>> {
    value.as_array()?.iter().map(|word| u16::try_from(word.as_u64()?).ok()).collect()
}

fn frames(map: &Map, stream: &str) -> Result<Json, String> {
    let frame = map.frame.as_ref().ok_or("the map has no [frame]")?;
    let mut framer = frame.framer();
    let mut pieces = framer.push(stream.as_bytes());
    pieces.extend(framer.cut());
    let piece = |piece| match piece {
        Piece::Frame(bytes) => shown(guarded(|| frame.decode(&bytes))),
        Piece::Junk(bytes, why) => json!({ "junk": String::from_utf8_lossy(&bytes), "why": why }),
    };
    Ok(pieces.into_iter().map(piece).collect())
}

/// The request that a write makes, numbered as the map does; or why there is none.
fn write(map: &Map, sample: &Json) -> Result<Json, String> {
    let (points, addresses) = map.points.as_ref().zip(map.addresses).ok_or("the map has no [[write]]")?;
    let value = match &sample["value"] {
        Json::Bool(value) => Value::Bool(*value),
        Json::String(value) => Value::Text(value.clone()),
        Json::Number(value) => value.as_i64().map_or_else(|| Value::Text(value.to_string()), Value::Int),
        _ => return Err("a write has its value: a text, a number, true or false".to_owned()),
    };
    Ok(match points.write(&text(&sample["write"]), &value) {
        Err(why) => json!({ "refused": why }),
        Ok(WriteRequest { put, area, at, .. }) => {
            let (key, sent) = match &put {
                Put::Coil(bit) => ("coils", json!([u8::from(*bit)])),
                Put::Coils(bits) => ("coils", bits.iter().map(|bit| u8::from(*bit)).collect()),
                Put::Register(word) => ("words", json!([word])),
                Put::Registers(words) => ("words", json!(words)),
                Put::Mask { and, or } => ("mask", json!({ "and": and, "or": or })),
            };
            json!({ "function": put.function(), "area": area.word(), "at": addresses.written(area, at), key: sent })
        }
    })
}

/// What is in a device's tables.
type Cells = BTreeMap<(&'static str, u16), u16>;

/// What the points tell in each step, and the alarms that stand at the end.
fn steps(fresh: &Points, addresses: Addresses, steps: &Json) -> Result<Came, String> {
    let (mut points, mut memory, mut told) = (fresh.clone(), None::<Vec<u8>>, Vec::new());
    let (mut cells, mut doubts) = (Cells::new(), Vec::<(String, &str, String, u64)>::new());
    for step in steps.as_array().into_iter().flatten() {
        set(&mut cells, addresses, step)?;
        if step["restart"] == true {
            points = fresh.clone();
            points.restore(memory.as_deref().unwrap_or_default());
        }
        let mono = step["ms"].as_u64().ok_or("a step has its time: ms")?;
        for poll in 0..points.polls().len() {
            let answers: Vec<_> = points.polls()[poll].reads.iter().map(|read| Some(answer(&cells, *read))).collect();
            let samples = points.observe(poll, &answers, Now { wall: Millis(0), mono });
            points.committed();
            for sample in samples {
                memory = sample.memory.map(|memory| memory.bytes).or(memory);
                if sample.content.as_ref().is_ok_and(|decoded| decoded.events.is_empty()) {
                    continue; // captured for its memory alone
                }
                let mut shown = shown(sample.content);
                shown["ms"] = json!(mono);
                told.push(shown);
            }
        }
        for (tag, reading) in points.values().filter(|(_, reading)| reading.quality != Quality::Good) {
            let why = reading.reason.as_deref().unwrap_or("was not read yet");
            doubts.push((tag.to_owned(), reading.quality.word(), why.to_owned(), mono));
        }
    }
    let alarms = points.standing().map(|standing| standing.alarm).collect();
    doubts.sort(); // of what lasts the first
    doubts.dedup_by(|later, first| (&later.0, later.1, &later.2) == (&first.0, first.1, &first.2));
    let doubt = |(tag, quality, why, ms)| format!("{tag} was {quality} at {ms}ms: {why}");
    Ok(Came { told: told.into(), alarms, doubts: doubts.into_iter().map(doubt).collect() })
}

/// Puts a step's values into the tables.
fn set(cells: &mut Cells, addresses: Addresses, step: &Json) -> Result<(), String> {
    for area in ["coil", "discrete", "input", "holding"] {
        for (written, values) in step[area].as_object().into_iter().flatten() {
            let place = written.parse().ok().and_then(|number| addresses.resolve(number));
            let (_, at) = place.ok_or_else(|| format!("{written} is no address as the map writes them"))?;
            let values = numbers(values).ok_or_else(|| format!("{area} {written} is no list of numbers to 65535"))?;
            cells.extend((at..=u16::MAX).zip(values).map(|(at, value)| ((area, at), value)));
        }
    }
    Ok(())
}

/// What the device answers; what was not set is 0.
fn answer(cells: &Cells, read: Read) -> Got {
    let cell = |i| cells.get(&(read.area.word(), read.at + i)).copied().unwrap_or_default();
    let got = (0..read.count).map(cell);
    if read.area.is_bits() { Got::Bits(got.map(|c| c != 0).collect()) } else { Got::Words(got.collect()) }
}

fn shown(decoded: Result<Decoded, Undecodable>) -> Json {
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(why) => return json!({ "undecodable": why.reason }),
    };
    let event = |event: DeviceEvent| {
        let fields: serde_json::Map<_, _> =
            event.fields.into_iter().map(|(name, value)| (name, json!(value))).collect();
        json!({ "kind": event.kind, "subject": event.subject, "fields": fields, "device_time": event.device_time })
    };
    let events: Vec<Json> = decoded.events.into_iter().map(event).collect();
    let mut shown = json!({ "events": events, "device": *decoded.device });
    if !decoded.unread.is_empty() {
        shown["unread"] = decoded.unread.into_iter().map(|unread| unread.reason).collect();
    }
    match decoded.position {
        Position::Counted { boot, seq, .. } => {
            shown["epoch"] = json!(boot.map(|boot| format!("d:{boot}")));
            shown["seq"] = json!(seq);
        }
        Position::Message(id) => shown["message"] = json!(id),
        Position::Own => shown["seq"] = json!("own"),
        Position::Content { content, repeat } => {
            shown["content"] = json!(String::from_utf8_lossy(&content));
            shown["window_ms"] = json!(repeat.window_ms);
            shown["once"] = json!(repeat.once);
        }
    }
    shown
}
