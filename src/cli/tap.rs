//! `floorgate tap`: what a device sends to a running gateway, live.

use std::ops::ControlFlow;
use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line};
use crate::cli::{block_on, duration};
use crate::control::{self, Event, Shown, TapLine};
use crate::event::{Millis, Value};

/// Watch what a device sends, raw and decoded, as a running gateway commits it.
///
/// A line for each sample: when it came, on which topic or FIFO, where it stands in the device's count and what became of it
/// (new, duplicate, held, bad); then what came, byte for byte, and each event that its map made. Shows what happens from now on
/// until Ctrl-C, and holds up nothing: who reads too slowly is told how many samples are not shown. Asks through control.sock
/// in the data directory, which is the user's that runs the gateway.
///
/// Ends with 69 when no gateway runs, it knows no such device, or it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Id of the device, of an instance of it (`hand-p07` of `hand`), or of a link: what none of its devices wants
    device: String,
    #[command(flatten)]
    place: Place,
    /// End after so many samples
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<std::time::Duration>,
    /// Print one JSON object a sample
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate tap hand
  floorgate tap sorter-1 --config config/gateway.toml --count 10
  floorgate tap hand --json | jq -c 'select(.placed == \"bad\") | [.reason, .text]'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, _) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let mut left = args.count;
    let take = |next| {
        match next {
            TapLine::Watching(device) => print::err(&format!("watching {device}; Ctrl-C ends\n")),
            TapLine::Missed(n) => {
                print::err(&format!(
                    "{n} samples of all devices went by faster than this is read, and are not shown\n"
                ));
            }
            TapLine::Sample(shown) => {
                print::live(&if args.json { row(&shown) } else { text(&shown) })?;
                left = left.map(|left| left.saturating_sub(1));
            }
        }
        if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let ended = block_on(async {
        let over = async {
            match args.time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = control::watch(&dir, &args.device, take) => ended.map_err(|e| e.to_string()),
            () = over => Ok(()),
            pressed = tokio::signal::ctrl_c() => pressed.map_err(|e| e.to_string()),
        }
    });
    match ended {
        Err(why) => print::refuse(args.json, &why, Exit::Internal),
        Ok(Err(why)) => print::refuse(args.json, &why, Exit::Unavailable),
        Ok(Ok(())) => Exit::Clean.into(),
    }
}

fn row(shown: &Shown) -> String {
    serde_json::to_string(shown).expect("texts, numbers and maps by text always make JSON") + "\n"
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    let device = shown.device.as_deref().unwrap_or(&shown.source);
    let position = shown.position.as_ref().map(|at| format!("  {}", clean(at))).unwrap_or_default();
    let (at, origin, placed) = (time(shown.at), clean(&shown.origin), &shown.placed);
    line(&mut text, &format!("{at}  {device}  {origin}{position}  {placed}"));
    let raw = shown.text.as_ref().or(shown.hex.as_ref()).map(|raw| clean(raw)).unwrap_or_default();
    line(&mut text, &format!("  {} bytes  {raw}", shown.length));
    if let Some(why) = &shown.reason {
        line(&mut text, &format!("  not read: {}", clean(why)));
    }
    for Event { kind, subject, fields, .. } in &shown.events {
        let subject = subject.as_ref().map(|subject| format!("  [{}]", clean(subject))).unwrap_or_default();
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", clean(&word(value)))).collect();
        line(&mut text, &format!("  {kind}{subject}  {}", fields.join("  ")));
    }
    text
}

/// The time of day of this machine's clock in UTC.
fn time(at: Millis) -> String {
    at.to_string().split_once('T').map_or_else(|| at.to_string(), |(_, time)| time.to_owned())
}

fn word(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Text(value) => value.clone(),
    }
}
