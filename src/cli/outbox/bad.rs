//! `floorgate outbox bad`: what could not be read, with the bytes that came.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line, on_one_line};
use crate::config::Config;
use crate::event::{Legible, Millis};
use crate::form::there_is_no;
use crate::outbox::read::bad_input::{self, Kept};
use crate::outbox::read::names;

/// Show what could not be read, with the bytes that came.
///
/// The newest first. Bytes are shown as text where they are printable, in hexadecimal otherwise; of a long sample the
/// first 4,096 bytes are kept, of all samples the newest 10,000. They were acknowledged to their device: what should have
/// become of them is a person's to find out. Ends with 1 when the sample of --raw is not kept; with 64 when
/// there is no device or link of that name; with 74 when there is no outbox or it can't be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    /// Only of this device with the instances behind it, of one instance (`hand-p07` of `hand`), or of this link. What can't be
    /// read at all does not say which instance it is of: it is the device's
    #[arg(long, value_name = "ID")]
    source: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Write the kept bytes of this one to stdout, as they came
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["source", "limit", "json"])]
    raw: Option<i64>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate outbox bad
  floorgate outbox bad --source hand --limit 5
  floorgate outbox bad --source hand-p07
  floorgate outbox bad --raw 12 | xxd
  floorgate outbox bad --json | jq -r '.[] | [.source, .reason, .text // .hex] | @tsv'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, _) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let shown = match args.raw {
        Some(id) => bad_input::raw(&dir, id).map(|found| match found {
            Some(bytes) => Ok(bytes),
            None => Err(format!("no bad input {id} is kept: `floorgate outbox bad` lists what is")),
        }),
        None => bad_input::kept(&dir, args.source.as_deref(), args.limit)
            .map(|kept| Ok(if args.json { json(&kept) } else { text(&kept, args.source.as_deref()) }.into_bytes())),
    };
    if let (Some(source), Ok(Ok(_))) = (&args.source, &shown)
        && let Some(why) = unknown(args, &dir, source)
    {
        return print::refuse(args.json, &why, Exit::Usage);
    }
    match shown {
        Ok(Ok(bytes)) => {
            print::bytes(&bytes);
            Exit::Clean.into()
        }
        Ok(Err(why)) => print::refuse(args.json, &why, Exit::No),
        Err(e) => print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
}

/// Why nothing can be kept of that source: neither the outbox nor the configuration knows it.
fn unknown(args: &Args, dir: &Path, source: &str) -> Option<String> {
    let mut known = names::sources(dir).ok()?;
    if known.contains(source) {
        return None;
    }
    known.extend(args.place.configured().iter().flat_map(Config::devices_and_links));
    (!known.contains(source)).then(|| there_is_no("device or link", source, &known))
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    kept: &'a Kept,
    /// Bytes that are kept.
    kept_length: usize,
    #[serde(flatten)]
    shown: Legible,
}

fn json(kept: &[Kept]) -> String {
    let row = |kept| Row { kept, kept_length: kept.bytes.len(), shown: Legible::of(&kept.bytes) };
    print::json(&kept.iter().map(row).collect::<Vec<_>>())
}

fn text(kept: &[Kept], source: Option<&str>) -> String {
    let mut text = String::new();
    if kept.is_empty() {
        let of = source.map(|source| format!(" of {source}")).unwrap_or_default();
        line(&mut text, &format!("no bad input{of} is kept"));
    }
    for Kept { id, at, source, origin, reason, length, bytes } in kept {
        let (source, origin, reason) = (clean(source), clean(origin), clean(reason));
        line(&mut text, &format!("{id}  {}  {source}  {origin}: {reason}", Millis(*at)));
        let cut = if i64::try_from(bytes.len()) == Ok(*length) { "" } else { ", the first of them" };
        line(&mut text, &format!("    {length} bytes{cut}: {}", on_one_line(bytes)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8], length: i64) -> Kept {
        Kept {
            id: 12,
            at: 1_763_906_709_412,
            source: "hand".to_owned(),
            origin: "dc1/scan/A1/read".to_owned(),
            reason: "not JSON".to_owned(),
            length,
            bytes: bytes.to_owned(),
        }
    }

    #[test]
    fn bytes_are_text_where_they_are_printable_and_hexadecimal_otherwise() {
        let all = [kept(b"{\"barcode\":\n", 12), kept(&[0xff, 0xfe, 0], 3), kept(b"abc", 70_000), kept(b"\x1b[2J", 4)];
        insta::assert_snapshot!(text(&all, None), @r#"
        12  2025-11-23T14:05:09.412Z  hand  dc1/scan/A1/read: not JSON
            12 bytes: {"barcode":\n
        12  2025-11-23T14:05:09.412Z  hand  dc1/scan/A1/read: not JSON
            3 bytes: 0xfffe00
        12  2025-11-23T14:05:09.412Z  hand  dc1/scan/A1/read: not JSON
            70000 bytes, the first of them: abc
        12  2025-11-23T14:05:09.412Z  hand  dc1/scan/A1/read: not JSON
            4 bytes: 0x1b5b324a
        "#);
        let read: serde_json::Value = serde_json::from_str(&json(&all)).expect("it is JSON");
        assert_eq!((&read[0]["text"], &read[0]["hex"]), (&"{\"barcode\":\n".into(), &serde_json::Value::Null));
        assert_eq!((&read[1]["hex"], &read[1]["length"]), (&"fffe00".into(), &3.into()));
        assert_eq!((&read[2]["kept_length"], &read[2]["length"]), (&3.into(), &70_000.into()));
        assert_eq!(text(&[], None), "no bad input is kept\n");
        assert_eq!(text(&[], Some("hand")), "no bad input of hand is kept\n");
    }

    #[test]
    fn no_outbox_is_told_with_its_own_code() {
        let dir = tempfile::tempdir().expect("a temp directory");
        for raw in [None, Some(1)] {
            let place = Place::of(dir.path());
            let args = Args { place, source: None, limit: 20, raw, json: true };
            assert_eq!(run(&args), Exit::Storage.into());
        }
    }
}
