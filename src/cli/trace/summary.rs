//! Where a subject stands, in one sentence.

use crate::cli::print::{ago, clean};
use crate::cli::trouble::unanswered;
use crate::cli::{hold, trouble};
use crate::event::Millis;
use crate::lane::end_of;
use crate::outbox::read::find::{Delivery, Rest};
use crate::outbox::read::trace::{Followed, Trace, Traced};

/// A sentence for each subject, the one with the newest event first.
pub(super) fn sentences(found: &Trace, now: Millis) -> Vec<String> {
    let mut subjects: Vec<(&str, Vec<&Traced>)> = Vec::new();
    for traced in found.events.iter().rev() {
        let subject = traced.event.subject.as_str();
        match subjects.iter_mut().find(|(known, _)| *known == subject) {
            Some((_, events)) => events.insert(0, traced),
            None => subjects.push((subject, vec![traced])),
        }
    }
    subjects.iter().map(|(subject, events)| sentence(subject, events, now)).collect()
}

fn sentence(subject: &str, events: &[&Traced], now: Millis) -> String {
    let postings: Vec<&Followed> = events.iter().flat_map(|event| &event.event.deliveries).collect();
    let mut parts = Vec::new();
    let over: Vec<String> = postings.iter().filter_map(|posting| done(posting)).collect();
    if !over.is_empty() {
        parts.push(counted(&over));
    }
    let mut lanes = Vec::new();
    for posting in &postings {
        let lane = &posting.delivery.lane;
        if !is_over(posting) && !lanes.contains(&lane) {
            lanes.push(lane);
            parts.push(open(posting, now));
        }
    }
    if postings.is_empty() {
        parts.push("kept, and not posted: no lane took it when it was stored".to_owned());
    } else if lanes.is_empty() {
        let last = postings.iter().filter_map(|posting| posting.delivery.since).max();
        parts.push(last.map_or_else(
            || "nothing is open".to_owned(),
            |at| format!("nothing is open, the last was {}", ago(at, now)),
        ));
    }
    let told = parts.join("; ");
    format!("{}: {told}{}", named(subject), end_of(&told))
}

/// `shipment/SH-1` is shipment SH-1.
fn named(subject: &str) -> String {
    let clean = clean(subject);
    let Some((class, rest)) = clean.split_once('/') else { return clean };
    let mut letters = class.chars();
    letters.next().map_or(clean.clone(), |first| format!("{}{} {rest}", first.to_uppercase(), letters.as_str()))
}

fn is_over(posting: &Followed) -> bool {
    matches!(posting.delivery.state, "delivered" | "auto_resolved" | "skipped")
}

/// What has happened, in the warehouse's words where they are known.
fn done(posting: &Followed) -> Option<String> {
    let tx_type = posting.delivery.tx_type.as_str();
    let done = match (posting.delivery.state, tx_type) {
        ("skipped", _) => "taken out",
        ("auto_resolved", _) => "made idle",
        ("delivered", _) if posting.how == Some("manual") => {
            return Some(format!("{} booked by hand", tx_type.replace(['_', '.'], " ")));
        }
        ("delivered", "pick_confirm") => "picked",
        ("delivered", "pack_confirm") => "packed",
        ("delivered", "goods_issue") => "shipped",
        ("delivered", "goods_receipt") => "received",
        ("delivered", "stock_transfer") => "moved",
        ("delivered", "stock_count") => "counted",
        ("delivered", other) => other,
        _ => return None,
    };
    Some(done.to_owned())
}

/// Words in their order, each run of the same once.
fn counted(words: &[String]) -> String {
    let runs: Vec<String> = words
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let posted = if run[0].contains(['.', '_']) { " posted" } else { "" };
            let word = run[0].replace(['_', '.'], " ");
            if run.len() > 1 { format!("{word}{posted} {} times", run.len()) } else { format!("{word}{posted}") }
        })
        .collect();
    runs.join(", ")
}

/// What keeps the first posting of a lane that is not at its end.
fn open(posting: &Followed, now: Millis) -> String {
    let told = &posting.delivery;
    let (what, system) = (told.tx_type.replace(['_', '.'], " "), &told.system);
    let since = told.since.map_or_else(String::new, |at| format!(" {}", ago(at, now)));
    let reason = clean(told.reason.as_deref().unwrap_or_default());
    let state = match told.state {
        "rejected" if told.maybe_posted => {
            format!("nobody knows whether the {what} is in {system}, a person decides: {reason}")
        }
        "rejected" => format!("{what} refused by {system}{since} because {}", because(&reason)),
        "held" => format!("{what} is held: {reason}"),
        "waiting" => {
            format!("{what} goes to {system} again{}, in vain so far: {}", next(told, now), because(&reason))
        }
        "unknown" => {
            let again = unanswered(told).map_or_else(String::new, |words| format!(", and {words}"));
            let why = match (kept(posting, now), because(&reason)) {
                (kept, why) if kept.is_empty() && !why.is_empty() => format!("; {why}"),
                (kept, _) => kept,
            };
            format!("nobody knows yet whether the {what} is in {system}: it was last sent{since}{again}{why}")
        }
        "accepted" => {
            format!("{system} has taken {what} over{since} and not booked it yet: it is asked{}", next(told, now))
        }
        "sending" => format!("{what} was sent to {system}{since}, and is not answered yet"),
        _ => in_line(posting, &what, now),
    };
    let behind = match posting.successors {
        0 => String::new(),
        1 => "; 1 later event waits behind it".to_owned(),
        n => format!("; {n} later events wait behind it"),
    };
    format!("{}{behind}", state.trim_end_matches('.'))
}

fn in_line(posting: &Followed, what: &str, now: Millis) -> String {
    let told = &posting.delivery;
    if let Some(behind) = &told.behind {
        let reason = behind.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", clean(reason)));
        return format!("{what} waits behind #{}, which is {}{reason}", behind.seq, behind.state);
    }
    if told.lane_stopped {
        return format!("{what} waits: lane {} has STOPPED, {}", told.lane, trouble::stopped_by(told.storm.as_ref()));
    }
    format!("{what} is in line for {}{}", told.system, kept(posting, now))
}

/// What keeps it: a person, or what the target says of all postings.
fn kept(posting: &Followed, now: Millis) -> String {
    let told = &posting.delivery;
    if let Some(hold) = &told.hold {
        return format!("; {}", hold::sentence(hold, now));
    }
    let last = told.trouble.as_ref().map(|last| format!("; {}: {}", told.system, trouble::sentence(last, now)));
    last.unwrap_or_default()
}

/// A reason without the class before it, and without who says it.
fn because(reason: &str) -> &str {
    let said = reason.split_once(": ").map_or(reason, |(_, said)| said);
    said.strip_prefix("the ERP says: ").unwrap_or(said)
}

fn next(told: &Delivery, now: Millis) -> String {
    match told.next_at {
        _ if told.hold.is_some() => " when it is released".to_owned(),
        _ if told.rest == Some(Rest::Ended) => " at the next start".to_owned(),
        _ if told.rest == Some(Rest::Copy) => String::new(),
        Some(at) if at > now.0 => format!(" in {}", crate::cli::print::age(now.0, Millis(at))),
        _ => " now".to_owned(),
    }
}
