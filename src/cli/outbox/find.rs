//! `floorgate outbox find`: where one shipment is, and what keeps it.

use std::process::ExitCode;

use serde::Serialize;

use crate::app::Exit;
use crate::cli::beside;
use crate::cli::hold;
use crate::cli::place::Place;
use crate::cli::print::{self, ago, asked, clean, line, next, on_one_line};
use crate::cli::trouble;
use crate::event::{Legible, Millis};
use crate::outbox::read::find::{self, Behind, Delivery, Event, Found, Rest, Unsure};
use crate::outbox::read::wanted::Wanted;

/// Tell where an event is, and what keeps it.
///
/// For each event that is found, the newest first: when it happened, its device and number, the bytes that came; and how far
/// each lane is with it, under which key, and why it is not further: behind which event of its subject, a lane that has
/// stopped, a target in trouble. The gateway goes on meanwhile. `floorgate trace` tells each attempt, too. Ends with 1 when nothing is found, with 74 when there is no outbox or it can't be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A subject (a carton, a shipment), its barcode, the key of a posting, the id of an event, the reference that the ERP gave (the
    /// number of its document), or #NUMBER in the outbox
    word: String,
    #[command(flatten)]
    place: Place,
    /// At most so many events
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate outbox find 395212345000000125
  floorgate outbox find '#4711'
  floorgate outbox find 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1
  floorgate outbox find SH-1 --json | jq '.events[].deliveries[] | {lane, state, reason, behind}'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, bounds) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let (bounds, rest) = beside(&dir, bounds, &args.place);
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    match find::find(&dir, &Wanted::parse(&args.word), limit, bounds.as_ref()) {
        Ok(mut found) => {
            let deliveries = found.events.iter_mut().flat_map(|event| &mut event.deliveries);
            if let Some(rest) = rest {
                deliveries.for_each(|told| told.rest(rest));
            }
            let now = crate::source::now().wall;
            print::out(&if args.json { json(&found) } else { text(&found, &args.word, now) });
            if found.events.is_empty() { ExitCode::from(1) } else { Exit::Clean.into() }
        }
        Err(e) => print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
}

fn json(found: &Found) -> String {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        event: &'a Event,
        #[serde(flatten)]
        raw: Option<Legible>,
    }
    let row = |event| Row { event, raw: Event::raw(event).map(Legible::of) };
    let events: Vec<Row<'_>> = found.events.iter().map(row).collect();
    print::json(&serde_json::json!({ "events": events, "looked_at": found.looked_at, "more": found.more }))
}

fn text(found: &Found, word: &str, now: Millis) -> String {
    let mut text = String::new();
    for event in &found.events {
        event_lines(&mut text, event, now);
    }
    if found.events.is_empty() {
        let word = clean(word);
        line(&mut text, &format!("nothing of {word} is kept: {} events were looked at", found.looked_at));
        line(&mut text, "  what could not be read has no subject: `floorgate outbox bad` shows it");
    } else if found.more {
        line(&mut text, "there may be older ones: --limit shows more");
    }
    text
}

fn event_lines(text: &mut String, event: &Event, now: Millis) {
    let Event { seq, id, kind, subject, time_quality, device, epoch, number, map, recorded_at, .. } = event;
    line(text, &format!("#{seq} {} {}", clean(kind), clean(subject)));
    let happened = Millis(event.occurred_at);
    let device_time =
        event.device_time.as_ref().map_or_else(String::new, |time| format!(", by its own clock {}", clean(time)));
    let stored = format!("stored {}, {}", Millis(*recorded_at), ago(*recorded_at, now));
    line(text, &format!("  seen {happened} ({time_quality}){device_time}, {stored}"));
    line(text, &format!("  {} number {} of epoch {}, read with {map}", clean(device), clean(number), clean(epoch)));
    line(text, &format!("  event {id}"));
    match (event.raw(), event.length) {
        (Some(raw), Some(length)) => {
            let cut = if i64::try_from(raw.len()) == Ok(length) { "" } else { ", the first of them" };
            line(text, &format!("  {length} bytes{cut}: {}", on_one_line(raw)));
        }
        _ => line(text, "  made by the gateway itself"),
    }
    for delivery in &event.deliveries {
        delivery_lines(text, delivery, now);
    }
    if event.deliveries.is_empty() {
        line(text, "  kept and not posted: no lane took it when it was stored");
    }
}

fn delivery_lines(text: &mut String, told: &Delivery, now: Millis) {
    let Delivery { lane, system, state, key, .. } = told;
    let since = told.since.map_or_else(String::new, |at| match *state {
        "sending" | "unknown" => format!(", last sent {}", ago(at, now)),
        "waiting" | "accepted" => format!(" since {}", Millis(at)),
        _ => format!(", {}", ago(at, now)),
    });
    let attempts = told.attempts.map_or_else(String::new, |n| match *state {
        "waiting" | "ready" => format!(", {n} tries without effect"),
        "skipped" | "auto_resolved" => String::new(),
        _ => format!(", attempt {n}"),
    });
    let due = match (*state, told.next_at) {
        ("waiting", Some(at)) => next(at, now),
        ("accepted", Some(at)) => asked(at, now),
        (_, None) if told.rest != Some(Rest::Ended) || told.hold.is_some() => String::new(),
        ("waiting", None) => ", again at the next start".to_owned(),
        ("accepted", None) => ", asked at the next start".to_owned(),
        _ => String::new(),
    };
    line(text, &format!("  {lane} -> {system}: {state}{since}{attempts}{due}"));
    line(text, &format!("    key {key}"));
    let http = told.status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
    let maybe = if told.maybe_posted { "; an attempt may have had effect" } else { "" };
    if let Some(reason) = told.reason.as_ref().filter(|reason| reason != state) {
        line(text, &format!("    {}{http}{maybe}", clean(reason)));
    }
    let goes = told.unsure == Unsure::Again && told.rest.is_none();
    if let Some(words) = trouble::unanswered(told).filter(|_| *state == "unknown" && !goes) {
        line(text, &format!("    {words}"));
    }
    if let Some(reference) = &told.reference {
        line(text, &format!("    reference {}", clean(reference)));
    }
    if let Some(reason) = &told.suspect {
        line(text, &format!("    the target had it before, and not from us: is it there twice? {}", clean(reason)));
    }
    if let Some(Behind { seq, state, reason }) = &told.behind {
        let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", clean(reason)));
        line(text, &format!("    behind #{seq} of its subject, which is {state}{reason}"));
    }
    if let Some(hold) = &told.hold {
        line(text, &format!("    {}", hold::sentence(hold, now)));
    }
    if told.lane_stopped {
        line(text, &format!("    the lane has STOPPED: {}", trouble::stopped_by(told.storm.as_ref())));
    }
    if let Some(last) = &told.trouble {
        line(text, &format!("    the target: {}", trouble::sentence(last, now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::read::LastAnswer;

    const NOW: Millis = Millis(1_763_906_709_412);

    fn event(deliveries: Vec<Delivery>) -> Event {
        Event {
            seq: 67,
            id: "8be34a6d-183b-8ac9-9dc5-8bef23c21648".to_owned(),
            kind: "scan.item".to_owned(),
            subject: "ITEM-1".to_owned(),
            occurred_at: NOW.0 - 120_500,
            time_quality: "synced".to_owned(),
            device_time: None,
            recorded_at: NOW.0 - 120_000,
            device: "hand-A1".to_owned(),
            epoch: "d:b7".to_owned(),
            number: "12".to_owned(),
            map: "hand-scanner@1".to_owned(),
            length: Some(300),
            raw: b"{\"barcode\":\x1b".to_vec(),
            deliveries,
        }
    }

    fn delivery(state: &'static str) -> Delivery {
        let (lane, system, key) = ("outbound".to_owned(), "erp".to_owned(), "5d5f5c7d".to_owned());
        Delivery { lane, system, state, key, ..Delivery::default() }
    }

    #[test]
    fn a_person_sees_how_far_it_is_and_what_keeps_it() {
        let behind = Behind { seq: 61, state: "rejected", reason: Some("validation: the ERP says: no".to_owned()) };
        let trouble =
            LastAnswer { at: NOW.0 - 9_000, status: Some(503), class: "unknown".to_owned(), ..LastAnswer::default() };
        let deliveries = vec![
            Delivery { behind: Some(behind), lane_stopped: true, trouble: Some(trouble), ..delivery("ready") },
            Delivery {
                since: Some(NOW.0 - 60_000),
                next_at: Some(NOW.0 + 20_000),
                attempts: Some(4),
                reason: Some("transient: the ERP says: not_released".to_owned()),
                ..delivery("waiting")
            },
            Delivery {
                since: Some(NOW.0 - 60_000),
                attempts: Some(1),
                reason: Some("delivered".to_owned()),
                reference: Some("GI-4711".to_owned()),
                suspect: Some("the ERP says: already_done: shipped by hand".to_owned()),
                ..delivery("delivered")
            },
            Delivery {
                since: Some(NOW.0 - 60_000),
                attempts: Some(1),
                next_at: Some(NOW.0 + 20_000),
                reason: Some("the target has taken it over, and is asked by lookup".to_owned()),
                ..delivery("accepted")
            },
        ];
        let found = Found { events: vec![event(deliveries)], looked_at: 9, more: true };
        insta::assert_snapshot!(text(&found, "ITEM-1", NOW), @r"
        #67 scan.item ITEM-1
          seen 2025-11-23T14:03:08.912Z (synced), stored 2025-11-23T14:03:09.412Z, 2 min ago
          hand-A1 number 12 of epoch d:b7, read with hand-scanner@1
          event 8be34a6d-183b-8ac9-9dc5-8bef23c21648
          300 bytes, the first of them: 0x7b22626172636f6465223a1b
          outbound -> erp: ready
            key 5d5f5c7d
            behind #61 of its subject, which is rejected: validation: the ERP says: no
            the lane has STOPPED: too many subjects are parked
            the target: unknown, the last time 9 s ago: HTTP 503
          outbound -> erp: waiting since 2025-11-23T14:04:09.412Z, 4 tries without effect, again in 20 s
            key 5d5f5c7d
            transient: the ERP says: not_released
          outbound -> erp: delivered, 60 s ago, attempt 1
            key 5d5f5c7d
            reference GI-4711
            the target had it before, and not from us: is it there twice? the ERP says: already_done: shipped by hand
          outbound -> erp: accepted since 2025-11-23T14:04:09.412Z, attempt 1, asked again in 20 s
            key 5d5f5c7d
            the target has taken it over, and is asked by lookup
        there may be older ones: --limit shows more
        ");
        let read: serde_json::Value = serde_json::from_str(&json(&found)).expect("it is JSON");
        assert_eq!((&read["events"][0]["deliveries"][0]["behind"]["seq"], &read["more"]), (&61.into(), &true.into()));
        assert_eq!(read["events"][0]["hex"], "7b22626172636f6465223a1b");
    }

    #[test]
    fn what_waits_for_a_gateway_goes_on_when_one_is_started() {
        let told = |state, rest| {
            let mut told = Delivery { next_at: Some(NOW.0 - 1), ..delivery(state) };
            told.rest(rest);
            let mut text = String::new();
            delivery_lines(&mut text, &told, NOW);
            text.lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(told("waiting", Rest::Ended), "  outbound -> erp: waiting, again at the next start");
        assert_eq!(told("accepted", Rest::Ended), "  outbound -> erp: accepted, asked at the next start");
        assert_eq!(told("waiting", Rest::Copy), "  outbound -> erp: waiting");
    }

    #[test]
    fn nothing_found_is_told_with_how_much_was_looked_at() {
        let found = Found { events: Vec::new(), looked_at: 2_593, more: false };
        assert!(
            text(&found, "X\x1b[2J", NOW).starts_with("nothing of X\u{fffd}[2J is kept: 2593 events were looked at\n")
        );
        let no_lane = Found { events: vec![Event { length: None, ..event(Vec::new()) }], looked_at: 1, more: false };
        assert!(
            text(&no_lane, "X", NOW)
                .ends_with("  made by the gateway itself\n  kept and not posted: no lane took it when it was stored\n")
        );
    }

    #[test]
    fn no_outbox_is_told_with_its_own_code() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let args = Args { word: "X".to_owned(), place: Place::of(dir.path()), limit: 1, json: false };
        assert_eq!(run(&args), Exit::Storage.into());
    }
}
