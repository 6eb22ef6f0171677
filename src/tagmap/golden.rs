//! The maps that ship, against the samples beside them: `devices/*/samples/NAME.json` must decode to
//! `devices/*/expected/NAME.json`.
//!
//! A sample of a topic: `{"params", "device", "topic", "payload"}`, the payload as text or as JSON. A sample of a FIFO:
//! `{"params", "device", "fifo", "epoch", "seq", "words"}`. A sample of tags: `{"params", "device", "steps"}`; each step says
//! when (`ms`), what is in the tables from then on (`holding = {"21": [5, 6]}`, numbered as the map does), and perhaps
//! `"restart": true`. Each step is one poll of everything; the events come with the step's time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::event::{Decoded, DeviceEvent, Millis, Now, Position, Undecodable};
use crate::form::Document;
use crate::tagmap::points::{Got, Points, Read};
use crate::tagmap::{Addresses, Binding, DeviceLimits, Map, guarded};

#[test]
fn every_sample_of_a_device_decodes_to_what_is_expected() {
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let (mut seen, mut wrong) = (0, Vec::new());
    for device in entries(&devices) {
        let (samples, expected) = (entries(&device.join("samples")), entries(&device.join("expected")));
        let names =
            |files: &[PathBuf]| files.iter().filter_map(|f| Some(f.file_name()?.to_owned())).collect::<Vec<_>>();
        assert_eq!(names(&samples), names(&expected), "each sample of {} has its expected file", device.display());
        for (sample, expected) in samples.iter().zip(&expected) {
            seen += 1;
            wrong.extend(difference(&device.join("map.toml"), sample, expected));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(seen >= 10, "only {seen} samples were found");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().map(|e| e.expect("the folder is readable").path()).collect();
    paths.sort();
    paths
}

fn json(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|e| json!(format!("{} is not JSON: {e}", path.display())))
}

/// Where the two differ, and the whole of what was decoded.
fn difference(map: &Path, sample: &Path, expected: &Path) -> Option<String> {
    let pretty = |json: &Json| serde_json::to_string_pretty(json).expect("JSON prints");
    let (made, wanted) = (decode(map, &json(sample)), json(expected));
    if made == wanted {
        return None;
    }
    let (made, wanted) = (pretty(&made), pretty(&wanted));
    let same = made.lines().zip(wanted.lines()).take_while(|(made, wanted)| made == wanted).count();
    let same_end = made.lines().rev().zip(wanted.lines().rev()).take_while(|(made, wanted)| made == wanted).count();
    let differing = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        lines[same..(lines.len() - same_end).max(same)].join("\n")
    };
    let (was, is) = (differing(&wanted), differing(&made));
    Some(format!("{}\nexpected\n{was}\ndecoded\n{is}\nas a whole\n{made}\n", sample.display()))
}

fn decode(map: &Path, sample: &Json) -> Json {
    let text = |key: &str| sample[key].as_str().unwrap_or_default().to_owned();
    let of = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let params = sample["params"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), of(value)));
    let binding = Binding {
        device: text("device").into(),
        params: params.collect::<BTreeMap<_, _>>(),
        accept_epoch_risk: sample["accept_epoch_risk"] == true,
        limits: DeviceLimits::default(),
    };
    let document = Document {
        name: map.display().to_string(),
        text: std::fs::read_to_string(map).expect("each device has its map"),
    };
    let map = match Map::read(&document, &binding) {
        Ok(map) => map,
        Err(faults) => return json!(faults.iter().map(ToString::to_string).collect::<Vec<_>>()),
    };
    if let Some(fifo) = map.fifos.iter().find(|fifo| *fifo.name == *text("fifo")) {
        let words: Vec<u16> = serde_json::from_value(sample["words"].clone()).expect("words are 0 to 65535");
        let seq = sample["seq"].as_u64().expect("a slot has its number");
        return shown(guarded(|| fifo.decode_slot(sample["epoch"].as_u64(), seq, &words)));
    }
    if let Some(points) = map.points.as_ref().filter(|_| sample["steps"].is_array()) {
        return steps(points, addresses(&document), &sample["steps"]);
    }
    let topic = text("topic");
    let payload = of(&sample["payload"]);
    match map.topics.iter().find(|t| t.matches(&topic)) {
        Some(map) => shown(guarded(|| map.decode(&topic, payload.as_bytes()))),
        None => json!(format!("no [[topic]] matches {topic}")),
    }
}

/// How the map writes numbers.
fn addresses(document: &Document) -> Addresses {
    let words = [("\"zero\"", Addresses::Zero), ("\"one\"", Addresses::One), ("\"modicon\"", Addresses::Modicon)];
    let line = document.text.lines().find(|line| line.starts_with("addresses")).unwrap_or_default();
    words.into_iter().find(|(word, _)| line.contains(word)).expect("a Modbus map says how it counts").1
}

/// What the points tell in each step.
fn steps(fresh: &Points, addresses: Addresses, steps: &Json) -> Json {
    let (mut points, mut memory, mut told) = (fresh.clone(), None::<Vec<u8>>, Vec::new());
    let mut cells: BTreeMap<(&str, u16), u16> = BTreeMap::new();
    for step in steps.as_array().into_iter().flatten() {
        for area in ["coil", "discrete", "input", "holding"] {
            for (written, values) in step[area].as_object().into_iter().flatten() {
                let (_, at) = addresses.resolve(written.parse().expect("an address")).expect("an address");
                let values: Vec<u16> = serde_json::from_value(values.clone()).expect("values are 0 to 65535");
                cells.extend(values.into_iter().zip(at..).map(|(value, at)| ((area, at), value)));
            }
        }
        if step["restart"] == true {
            points = fresh.clone();
            points.restore(memory.as_deref().unwrap_or_default());
        }
        let mono = step["ms"].as_u64().expect("a step has its time");
        for poll in 0..points.polls().len() {
            let cell = |read: &Read, i| cells.get(&(read.area.word(), read.at + i)).copied().unwrap_or_default();
            let answer = |read: &Read| {
                let got = (0..read.count).map(|i| cell(read, i));
                if read.area.is_bits() { Got::Bits(got.map(|c| c != 0).collect()) } else { Got::Words(got.collect()) }
            };
            let answers: Vec<Option<Got>> = points.polls()[poll].reads.iter().map(|read| Some(answer(read))).collect();
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
    }
    json!(told)
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
