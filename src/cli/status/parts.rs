//! Links and devices: a row for each, what is wrong with it, and the tags of one.

use crate::cli::print::{self, age, clean, line};
use crate::event::Millis;
use crate::source::health::{self, State};
use crate::tagmap::points::{Quality, Stands};

/// One device: its row, what is wrong with it, and its tags.
pub(super) fn device_text(device: &health::Device, now: Millis) -> String {
    let mut text = String::new();
    let part = &device.status;
    let (link, id) = part.link.as_deref().map_or((part.id.as_str(), "-"), |link| (link, &part.id));
    print::table(&mut text, &[HEAD.map(str::to_owned), row(link, id, part, now)], 3);
    note(&mut text, part, now);
    if device.tags.is_empty() {
        let help = format!("`floorgate tap {}` shows what it sends", part.id);
        line(&mut text, &format!("no tags are polled; {help}"));
        return text;
    }
    line(&mut text, "");
    let mut rows = vec![["tag", "value", "unit", "quality", "age", ""].map(str::to_owned)];
    rows.extend(device.tags.iter().map(|tag| {
        [
            tag.tag.clone(),
            match tag.value.as_ref().map(|value| clean(&value.to_string())) {
                Some(value) if tag.quality == Quality::Good => value,
                Some(last) => format!("({last})"),
                None => "-".to_owned(),
            },
            tag.unit.as_ref().map(|unit| clean(unit)).unwrap_or_default(),
            tag.quality.word().to_owned(),
            tag.at.map_or_else(|| "-".to_owned(), |at| age(at.0, now)),
            tag.reason.as_ref().map(|why| clean(why)).unwrap_or_default(),
        ]
    }));
    print::table(&mut text, &rows, 6);
    text
}

const HEAD: [&str; 11] =
    ["link", "device", "state", "since", "seen", "poll", "requests", "messages", "bad", "errors", "missed"];

/// One row for each link and behind it its devices, and below a line for what is wrong with them.
pub(super) fn table(text: &mut String, health: &health::Snapshot, now: Millis) {
    let mut rows = vec![HEAD.map(str::to_owned)];
    let mut notes = String::new();
    for link in &health.links {
        rows.push(row(&link.id, "-", link, now));
        note(&mut notes, link, now);
        for device in health.devices.iter().filter(|device| device.link.as_ref() == Some(&link.id)) {
            rows.push(row(&link.id, &device.id, device, now));
            note(&mut notes, device, now);
        }
    }
    print::table(text, &rows, 3);
    text.push_str(&notes);
}

fn row(link: &str, device: &str, part: &health::Status, now: Millis) -> [String; 11] {
    let ago = |at: Option<Millis>| at.map_or_else(|| "-".to_owned(), |at| age(at.0, now));
    [
        link.to_owned(),
        device.to_owned(),
        state(part, now),
        ago(part.since),
        ago(part.last_seen),
        part.poll_us.map_or_else(|| "-".to_owned(), |us| format!("{:.1} ms", us as f64 / 1_000.0)),
        part.requests.to_string(),
        part.messages.to_string(),
        part.bad.to_string(),
        errors(part),
        part.missed_periods.to_string(),
    ]
}

pub(super) fn note(notes: &mut String, part: &health::Status, now: Millis) {
    let known = part.last_error.as_ref().map(|last| &last.words);
    if let Some(detail) = part.detail.as_ref().filter(|detail| part.state != State::Up && known != Some(detail)) {
        line(notes, &format!("  {}: {}", part.id, clean(detail)));
    }
    if let Some(last) = &part.last_error {
        let (id, ago, words) = (&part.id, age(last.at.0, now), clean(&last.words));
        match last.over {
            Some(over) if now.since(over) >= FORGOTTEN => {}
            Some(over) if now.since(over) >= OVER => {
                line(notes, &format!("  {id}: was {} {ago} ago, over since {over}: {words}", last.cause));
            }
            _ => {
                line(notes, &format!("  {id}: the last error {ago} ago, {}: {words}", last.cause));
                if let Some(hint) = last.hint.as_ref().filter(|_| last.over.is_none()) {
                    line(notes, &format!("    {hint}"));
                }
            }
        }
    }
    for alarm in &part.alarms {
        let since =
            alarm.since.map_or_else(String::new, |since| format!(", raised {} ago, at {since}", age(since.0, now)));
        let how = match alarm.state {
            Stands::Active => "active",
            Stands::Acknowledged => "active, acknowledged",
            Stands::Latched => "over, but not acknowledged at the device",
        };
        let text = alarm.text.as_ref().map(|text| format!(": {}", clean(text))).unwrap_or_default();
        line(notes, &format!("  {}: alarm {} ({}), {how}{since}{text}", part.id, alarm.alarm, alarm.severity));
    }
}

/// After so many milliseconds without another an error is over: one in each tenth poll is not.
const OVER: u64 = 60_000;
/// After so many it is history: its count stays.
const FORGOTTEN: u64 = 3_600_000;

/// Its state in words.
pub(in crate::cli) fn state(part: &health::Status, now: Millis) -> String {
    match part.state {
        State::Connecting => "connecting".to_owned(),
        State::Up => match part.session_present {
            Some(true) => "up, session kept".to_owned(),
            Some(false) => "up, new session".to_owned(),
            None => "up".to_owned(),
        },
        State::Down => "down".to_owned(),
        State::Quarantined { until } => format!("quarantined for {} s", until.since(now) / 1_000),
        State::Stuck => "stuck".to_owned(),
        State::Refused => "refused".to_owned(),
    }
}

/// How many errors there were, and which part of the requests failed: not each error is one of a request.
fn errors(part: &health::Status) -> String {
    let (errors, failed): (u64, u64) = (part.errors.values().sum(), part.failed_requests);
    if part.requests == 0 || failed == 0 {
        return errors.to_string();
    }
    let of = if errors == failed { "" } else { " of requests" };
    format!("{errors} ({:.1} %{of})", failed as f64 * 100.0 / part.requests as f64)
}
