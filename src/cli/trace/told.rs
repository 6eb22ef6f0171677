//! One event, and the way of each of its postings, for people.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::cli::hold;
use crate::cli::print::{self, age, ago, clean, line, on_one_line, table, without_control};
use crate::cli::trouble;
use crate::event::Millis;
use crate::lane::Outcome;
use crate::outbox::read::find::Unsure;
use crate::outbox::read::trace::{Attempt, Followed, Traced};

/// Runs of attempts that say the same are told in one line from so many on.
const RUN: usize = 3;
/// Requests that are named: `--json` has that of each attempt.
const REQUESTS: usize = 3;

/// A moment in the site's zone, with its offset.
pub(super) fn time(at: i64, zone: &TimeZone) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(
        |_| Millis(at).to_string(),
        |moment| moment.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string(),
    )
}

pub(super) fn event(text: &mut String, traced: &Traced, zone: &TimeZone, now: Millis) {
    let event = &traced.event;
    line(text, &format!("#{} {} {}", event.seq, clean(&event.kind), clean(&event.subject)));
    let own = event.device_time.as_ref().map_or_else(String::new, |own| format!("; its own clock: {}", clean(own)));
    let stored = format!("{}, {}", time(event.recorded_at, zone), ago(event.recorded_at, now));
    let ordinal = match traced.ordinal {
        0 => String::new(),
        n if n < 0 => ", made by the gateway".to_owned(),
        n => format!(", event {n} of its sample"),
    };
    let number = format!("{} number {} of epoch {}", clean(&event.device), clean(&event.number), clean(&event.epoch));
    let mut rows = vec![
        ("happened", format!("{} ({}{own})", time(event.occurred_at, zone), event.time_quality)),
        ("stored", stored),
        ("from", format!("{number}{ordinal}")),
        ("read with", clean(&event.map)),
    ];
    if let (Some(raw), Some(length)) = (event.raw(), event.length) {
        rows.insert(3, ("sample", format!("{length} bytes: {}", on_one_line(raw))));
    }
    rows.push(("fields", fields(&traced.fields)));
    rows.push(("event", event.id.clone()));
    named(text, "  ", &rows);
    for posting in &event.deliveries {
        line(text, "");
        self::posting(text, posting, zone, now);
    }
    if event.deliveries.is_empty() {
        line(text, "  kept and not posted: no lane took it when it was stored");
    }
}

fn posting(text: &mut String, followed: &Followed, zone: &TimeZone, now: Millis) {
    let told = &followed.delivery;
    line(text, &format!("  {} -> {} as {}: {}", told.lane, told.system, told.tx_type, state(followed, zone, now)));
    let mut rows = Vec::new();
    if let Some(sentence) = &followed.sentence {
        let category = followed.category.map_or_else(String::new, |category| format!(" ({})", category.name()));
        rows.push(("why", format!("{}{category}", clean(sentence))));
    } else if let Some(reason) = told.reason.as_ref().filter(|_| matches!(told.state, "waiting" | "rejected" | "held"))
    {
        rows.push(("why", clean(reason)));
    }
    if let Some(correction) = &followed.correction {
        rows.push(("corrected", fields(correction)));
    }
    if let Some(answer) = &followed.answer {
        rows.push(("answer", clean(answer)));
    }
    if let Some(reference) = &told.reference {
        rows.push(("reference", clean(reference)));
    }
    let revision = match followed.revision {
        0 => String::new(),
        n => format!(", key number {} of this posting", n + 1),
    };
    rows.push(("key", format!("{} {}{revision}", told.key, followed.short_ref)));
    rows.push(("trace", followed.traceparent.clone()));
    if let Some(hold) = &told.hold {
        rows.push(("held", hold::sentence(hold, now)));
    }
    if let Some(last) = &told.trouble {
        rows.push(("target", trouble::sentence(last, now)));
    }
    if followed.successors > 0 {
        let named: Vec<String> = followed.first_successors.iter().map(|seq| format!("#{seq}")).collect();
        let more = if followed.successors > named.len() as i64 { " …" } else { "" };
        rows.push(("behind it", format!("{}: {}{more}", followed.successors, named.join(" "))));
    }
    for deed in &followed.deeds {
        let said = format!("{}: {}: {}: {}", deed.actor, deed.act, clean(&deed.reason), without_control(&deed.outcome));
        rows.push(("by hand", format!("{} {said}", time(deed.at, zone))));
    }
    rows.extend(requests(&followed.attempts));
    named(text, "    ", &rows);
    attempts(text, &followed.attempts, zone);
}

/// What the target may have logged its latest requests by, and which attempts they were.
fn requests(attempts: &[Attempt]) -> impl Iterator<Item = (&'static str, String)> {
    let runs: Vec<_> =
        attempts.chunk_by(|a, b| a.batch_id == b.batch_id).filter(|run| run[0].batch_id.is_some()).collect();
    runs.into_iter().rev().take(REQUESTS).rev().map(|run| {
        let (id, first, last) = (run[0].batch_id.as_deref().unwrap_or_default(), run[0].n, run[run.len() - 1].n);
        let tried = if first == last { format!("attempt {first}") } else { format!("attempts {first} to {last}") };
        ("request", format!("{id} ({tried})"))
    })
}

/// The state in words.
fn state(followed: &Followed, zone: &TimeZone, now: Millis) -> String {
    let told = &followed.delivery;
    let since = told.since.map_or_else(String::new, |at| format!(" {}, {}", time(at, zone), ago(at, now)));
    let by = || followed.deeds.last().map_or_else(|| "a person".to_owned(), |deed| clean(&deed.actor));
    let next = |at: Option<i64>| match at {
        Some(at) if at > now.0 => format!("; again {}, in {}", time(at, zone), age(now.0, Millis(at))),
        _ => String::new(),
    };
    match (told.state, followed.how) {
        ("delivered", Some("duplicate")) => format!("delivered{since}; {} had it already (duplicate)", told.system),
        ("delivered", Some("lookup")) => {
            format!("delivered{since}; found there when {} was asked (lookup)", told.system)
        }
        ("delivered", Some("manual")) => format!("booked by hand{since}, says {}", by()),
        ("delivered", _) => format!("delivered{since}"),
        ("auto_resolved", _) => format!("refused, and made idle{since} by a later one of its subject"),
        ("skipped", _) => format!("taken out by {}{since}", by()),
        ("sending", _) => format!("sending, no answer yet, since{since}"),
        ("unknown", _) => {
            let again = followed
                .attempts
                .last()
                .and_then(|last| last.next_at)
                .filter(|_| told.unsure == Unsure::Again && told.rest.is_none());
            format!("unknown whether it is there, last sent{since}{}", next(again))
        }
        ("accepted", _) => format!("taken over by the target{since}, not booked yet{}", next(told.next_at)),
        ("waiting", _) => format!("waiting since{since}{}", next(told.next_at)),
        ("rejected", _) if told.maybe_posted => format!("rejected{since}; an attempt may have had effect"),
        ("rejected", _) => format!("rejected{since}"),
        ("held", _) => "held until a person decides".to_owned(),
        _ => match &told.behind {
            Some(behind) => {
                let reason = behind.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", clean(reason)));
                format!("ready, behind #{} of its subject, which is {}{reason}", behind.seq, behind.state)
            }
            None if told.lane_stopped => {
                format!("ready, and the lane has STOPPED: {}", trouble::stopped_by(told.storm.as_ref()))
            }
            None => "ready".to_owned(),
        },
    }
}

/// The attempts by the keys under which they went.
fn attempts(text: &mut String, attempts: &[Attempt], zone: &TimeZone) {
    for under in attempts.chunk_by(|a, b| a.key == b.key) {
        let before = under[0].key.as_ref().map_or_else(String::new, |key| format!(" under its key before, {key}"));
        line(text, &format!("    attempts{before}"));
        runs(text, under, zone);
    }
}

/// Number, when it left, how long it took, what came. Runs that say the same are told in one line.
fn runs(text: &mut String, attempts: &[Attempt], zone: &TimeZone) {
    let same = |a: &Attempt, b: &Attempt| (&a.class, &a.reason, a.status) == (&b.class, &b.reason, b.status);
    let mut rows = Vec::new();
    for run in attempts.chunk_by(same) {
        if run.len() < RUN {
            rows.extend(run.iter().map(|one| attempt(one, zone)));
            continue;
        }
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let [.., http, said] = attempt(last, zone);
        let until =
            last.sent_at.map_or_else(String::new, |at| format!("the last {}; each: ", clock(at, first.sent_at, zone)));
        let [_, at, ..] = attempt(first, zone);
        rows.push([format!("{} to {}", first.n, last.n), at, String::new(), http, format!("{until}{said}")]);
    }
    let mut lines = String::new();
    table(&mut lines, &rows, 5);
    for row in lines.lines() {
        line(text, &format!("    {row}"));
    }
}

fn attempt(tried: &Attempt, zone: &TimeZone) -> [String; 5] {
    let asked = if tried.attempt == 0 { ", asked" } else { "" };
    let took = tried.sent_at.zip(tried.answered_at).map_or_else(|| "-".to_owned(), |(sent, at)| took(at - sent));
    let http = tried.status.map_or_else(|| "-".to_owned(), |status| format!("HTTP {status}"));
    let mut said = tried.class.replace('_', " ");
    if let Some(reason) = &tried.reason {
        write!(said, ": {}", clean(reason)).expect("writing to a String cannot fail");
    }
    let odd = tried.reason.as_ref().is_some_and(|reason| reason.starts_with(Outcome::ODD_STATUS));
    if let (Some(200..300), "unknown", Some(answer), false) = (tried.status, tried.class.as_str(), &tried.answer, odd) {
        let begins: String = answer.chars().take(BEGINS).collect();
        write!(said, "; it begins: {}", clean(&begins)).expect("writing to a String cannot fail");
    }
    // Of a good attempt before these were kept, the answer is all that is known.
    let at = tried.sent_at.or(tried.answered_at);
    if let Some(next) = tried.next_at {
        write!(said, "; again {}", clock(next, at, zone)).expect("writing to a String cannot fail");
    }
    [format!("{}{asked}", tried.n), at.map_or_else(|| "-".to_owned(), |at| time(at, zone)), took, http, said]
}

/// Characters of an answer that nobody can read, in the line of its attempt.
const BEGINS: usize = 60;

/// The time of day, where it is the same day as `near`.
fn clock(at: i64, near: Option<i64>, zone: &TimeZone) -> String {
    let (at, near) = (time(at, zone), near.map(|near| time(near, zone)).unwrap_or_default());
    match (at.split_once(' '), near.split_once(' ')) {
        (Some((day, rest)), Some((same, _))) if day == same => rest.split(' ').next().unwrap_or(rest).to_owned(),
        _ => at,
    }
}

fn took(ms: i64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { print::span(ms as f64 / 1_000.0) }
}

fn fields(fields: &serde_json::Value) -> String {
    let Some(fields) = fields.as_object() else { return clean(&fields.to_string()) };
    let one = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{} = {}", clean(name), clean(text)),
        other => format!("{} = {}", clean(name), clean(&other.to_string())),
    };
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Names and what they are, one below the other.
fn named(text: &mut String, indent: &str, rows: &[(&str, String)]) {
    for (name, value) in rows {
        line(text, &format!("{indent}{name:<10} {value}"));
    }
}
