//! `floorgate tap`: what a device sends to a running gateway, live.

use std::ops::ControlFlow;
use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line};
use crate::cli::{block_on, duration, status};
use crate::control::{self, Cycle, Event, Shown, TapLine};
use crate::event::Millis;
use crate::tagmap::points::{self, Answered, Quality};

/// Watch what a device sends or shows, raw and decoded, as a running gateway takes it.
///
/// A line for each sample: when it came, on which topic or FIFO, where it stands in the device's count and what became of it
/// (new, duplicate, held, bad); then what came, byte for byte, and each event that its map made. Of tags that are polled: the
/// registers or bits of each read and what they say, value, unit, and why a value can't be trusted; once, and then each time
/// that a tag says something else (--all: each poll). `floorgate status DEVICE` tells what they say now.
///
/// Shows what happens from now on until Ctrl-C, and holds up nothing: who reads too slowly is told how much of this device is
/// not shown, and who stops reading is let go. Asks through control.sock in the data directory, which is the user's that runs
/// the gateway.
///
/// Ends with 69 when no gateway runs, it knows no such device, or it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Id of the device, of an instance of it (`hand-p07` of `hand`), or of a link: what none of its devices wants
    device: String,
    #[command(flatten)]
    place: Place,
    /// Show each poll of the tags, whether something has changed or not
    #[arg(long)]
    all: bool,
    /// End after so many samples and polls
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<std::time::Duration>,
    /// Print one JSON object for each sample (with `placed`) and poll (with `reads`)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate tap hand
  floorgate tap sorter-1 --config config/gateway.toml --count 10
  floorgate tap scale-1 --all --for 10s
  floorgate tap hand --json | jq -c 'select(.placed == \"bad\") | [.reason, .text]'
  floorgate tap scale-1 --json | jq -c '.reads[]?.tags[] | select(.tag == \"weight\") | [.value, .reason]'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, _) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let mut left = args.count;
    let take = |next| {
        match next {
            TapLine::Watching(device) => print::err(&format!("watching {device}; Ctrl-C ends\n")),
            TapLine::Away(part) => {
                let why = part.detail.as_ref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
                print::err(&format!(
                    "{} is {} at present{why}\n",
                    part.id,
                    status::state(&part, crate::source::now().wall)
                ));
            }
            TapLine::Missed(n) => {
                print::err(&format!("{n} more of this device went by faster than this is read, and are not shown\n"));
            }
            TapLine::Sample(shown) => {
                print::live(&if args.json { row(&shown) } else { text(&shown) })?;
                left = left.map(|left| left.saturating_sub(1));
            }
            TapLine::Cycle(cycle) => {
                print::live(&if args.json { row(&cycle) } else { polled(&cycle, args.all) })?;
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
            ended = control::watch(&dir, (&args.device, args.all), take) => ended.map_err(|e| e.to_string()),
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

fn row(shown: &impl serde::Serialize) -> String {
    serde_json::to_string(shown).expect("texts, numbers and maps by text always make JSON") + "\n"
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    let device = shown.device.as_deref().unwrap_or(&shown.source);
    let position = shown.position.as_ref().map(|at| format!("  {}", clean(at))).unwrap_or_default();
    let (at, origin, placed) = (time(shown.at), clean(&shown.origin), &shown.placed);
    line(&mut text, &format!("{at}  {device}  {origin}{position}  {placed}"));
    if shown.placed == "memory" {
        line(&mut text, "  no event: what the gateway has to know of the tags after a restart was stored");
        return text;
    }
    let raw = shown.text.as_ref().or(shown.hex.as_ref()).map(|raw| clean(raw)).unwrap_or_default();
    line(&mut text, &format!("  {} bytes  {raw}", shown.length));
    if let Some(why) = &shown.reason {
        let what = if shown.placed == "bad" && !shown.events.is_empty() { "not taken" } else { "not read" };
        line(&mut text, &format!("  {what}: {}", clean(why)));
    }
    for Event { kind, subject, fields, .. } in &shown.events {
        let subject = subject.as_ref().map(|subject| format!("  [{}]", clean(subject))).unwrap_or_default();
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", clean(&value.to_string()))).collect();
        line(&mut text, &format!("  {kind}{subject}  {}", fields.join("  ")));
    }
    text
}

/// The registers or bits of each read that has something to tell, and the tags in it.
fn polled(cycle: &Cycle, all: bool) -> String {
    let mut text = String::new();
    let count: usize = cycle.reads.iter().map(|read| read.tags.len()).sum();
    let Cycle { at, source, poll, changed, reads } = cycle;
    let news = if changed.is_empty() { "no change".to_owned() } else { format!("{} of {count} new", changed.len()) };
    line(&mut text, &format!("{}  {source}  poll {}  {news}", time(*at), clean(poll)));
    for read in reads {
        let tags: Vec<&points::Shown> = read.tags.iter().filter(|tag| all || changed.contains(&tag.tag)).collect();
        if tags.is_empty() {
            continue;
        }
        let to = u32::from(read.at) + u32::from(read.count) - 1;
        let place = if u32::from(read.at) == to { to.to_string() } else { format!("{}..{to}", read.at) };
        line(&mut text, &format!("  {} {place}  {}", read.area.word(), clean(&raw(read))));
        for tag in tags {
            line(&mut text, &format!("    {}", reading(tag)));
        }
    }
    text
}

fn raw(read: &Answered) -> String {
    match (&read.words, &read.bits) {
        (Some(words), _) => words.iter().map(|word| format!("{word:04X}")).collect::<Vec<_>>().join(" "),
        (None, Some(bits)) => bits.iter().map(|bit| if *bit { '1' } else { '0' }).collect(),
        (None, None) => "no answer".to_owned(),
    }
}

/// `weight = 5.000 kg`, or why there is none.
fn reading(tag: &points::Shown) -> String {
    let unit = tag.unit.as_ref().map(|unit| format!(" {}", clean(unit))).unwrap_or_default();
    let value = tag.value.as_ref().map(|value| format!("{}{unit}", clean(&value.to_string())));
    let name = &tag.tag;
    match (tag.quality, value) {
        (Quality::Good, Some(value)) => format!("{name} = {value}"),
        (quality, value) => {
            let why = tag.reason.as_deref().unwrap_or_default();
            let last = value.map(|value| format!("; last {value}")).unwrap_or_default();
            format!("{name}: {}, {}{last}", quality.word(), clean(why))
        }
    }
}

/// The time of day of this machine's clock in UTC.
fn time(at: Millis) -> String {
    at.to_string().split_once('T').map_or_else(|| at.to_string(), |(_, time)| time.to_owned())
}
