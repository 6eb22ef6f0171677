//! `floorgate trace`: the whole way of a shipment, from the bytes that came to the document in the ERP.

mod summary;
mod told;

use std::path::Path;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::app::Exit;
use crate::cli::beside;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line};
use crate::event::{Legible, Millis};
use crate::outbox::read::trace::{self, Trace, Traced};
use crate::outbox::read::wanted::Wanted;

/// Follow a shipment: what came, what was made of it, each attempt to post it, and where it stands.
///
/// First a sentence for each subject that says where it stands; then its events in the order in which they were stored, each with
/// the bytes that came, its fields, and for each lane the state of its posting, the attempts with their answers, what persons did,
/// and what waits behind it. It reads the database alone: of a running gateway, a stopped one, or a copy. Ends with 1 when
/// nothing is found, with 74 when there is no outbox or it can't be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The key of a posting or its short form, the id of an event or batch, a traceparent; a subject, with its class or
    /// without; a barcode; the reference that the ERP gave (the number of its document); #NUMBER in the outbox
    #[arg(value_name = "KEY|SUBJECT|BARCODE|REFERENCE")]
    word: String,
    #[command(flatten)]
    place: Place,
    /// At most so many events, the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Tell times in this zone [default: the site's, or UTC where no configuration says it]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate trace shipment/SH-88121
  floorgate trace 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1
  floorgate trace FGBNFNRZDZDT3SMD --data-dir /tmp/copy --zone Europe/Berlin
  floorgate trace ']C100395212345000000125'
  floorgate trace GI-4701
  floorgate trace SH-88121 --json | jq '.events[].deliveries[] | {key, state, attempts: [.attempts[].class]}'";

/// A walk that takes longer is told on stderr, and again each time that this has passed.
const PATIENCE_MS: u64 = 1_000;

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, bounds, zone) = match args.place.find_with_zone() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let zone = match zone_of(args.zone.as_deref().or(zone.as_deref())) {
        Ok(zone) => zone,
        Err(why) => return print::refuse(args.json, &why, Exit::Usage),
    };
    let (bounds, rest) = beside(&dir, bounds, &args.place);
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut told_at = crate::source::now().mono;
    let mut progress = |looked_at| {
        let now = crate::source::now().mono;
        if now.saturating_sub(told_at) >= PATIENCE_MS {
            told_at = now;
            print::err(&format!("no short way to it: {looked_at} events looked at, the newest first\n"));
        }
    };
    match trace::trace(&dir, &Wanted::parse(&args.word), limit, bounds.as_ref(), &mut progress) {
        Ok(mut found) => {
            let deliveries = found.events.iter_mut().flat_map(|event| &mut event.event.deliveries);
            if let Some(rest) = rest {
                deliveries.for_each(|told| told.rest(rest));
            }
            let now = crate::source::now().wall;
            print::out(&if args.json { json(&found, now) } else { text(&found, &args.word, &dir, &zone, now) });
            if found.events.is_empty() { ExitCode::from(1) } else { Exit::Clean.into() }
        }
        Err(e) => print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
}

fn zone_of(name: Option<&str>) -> Result<TimeZone, String> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    let unknown = |_| format!("\"{name}\" is no time zone known here: write an IANA name such as \"Europe/Berlin\"");
    TimeZone::get(name).map_err(unknown)
}

fn json(found: &Trace, now: Millis) -> String {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        event: &'a Traced,
        #[serde(flatten)]
        raw: Option<Legible>,
    }
    let row = |event| Row { event, raw: Traced::raw(event).map(Legible::of) };
    let events: Vec<Row<'_>> = found.events.iter().map(row).collect();
    let Trace { looked_at, more, within, history_since, attempts_since, .. } = found;
    print::json(&serde_json::json!({
        "summary": summary::sentences(found, now),
        "events": events,
        "looked_at": looked_at,
        "more": more,
        "within": within,
        "history_since": history_since,
        "attempts_since": attempts_since,
    }))
}

fn text(found: &Trace, word: &str, dir: &Path, zone: &TimeZone, now: Millis) -> String {
    let mut text = String::new();
    if found.events.is_empty() {
        nothing(&mut text, found, word, dir, zone);
        return text;
    }
    for sentence in summary::sentences(found, now) {
        line(&mut text, &sentence);
    }
    if found.within {
        line(&mut text, &format!("{} is no subject: it stands in what these events carry", clean(word)));
    }
    for event in &found.events {
        line(&mut text, "");
        told::event(&mut text, event, zone, now);
    }
    if found.more {
        line(&mut text, "");
        line(&mut text, "there may be older ones: --limit shows more");
    }
    if let Some(since) = found.attempts_since {
        line(&mut text, "");
        line(&mut text, &format!("attempts in vain before {} are not kept any more", told::time(since, zone)));
    }
    text
}

fn nothing(text: &mut String, found: &Trace, word: &str, dir: &Path, zone: &TimeZone) {
    let since = found.history_since.map_or_else(
        || "nothing is kept there".to_owned(),
        |at| format!("what is kept reaches back to {}", told::time(at, zone)),
    );
    line(text, &format!("nothing of {} is kept in {}", clean(word), dir.display()));
    line(text, &format!("  {} events were looked at; {since}", found.looked_at));
    line(
        text,
        "  looked for as: id of an event or batch, key of a posting, subject, barcode, reference of the ERP, value of a field, bytes that came",
    );
    line(text, "  what could not be read has no subject: `floorgate outbox bad` shows it");
}

#[cfg(test)]
mod tests;
