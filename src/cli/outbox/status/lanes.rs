//! The lanes: their rows by state, and what keeps them.

use crate::cli::print::{self, age, ago, asked, line};
use crate::cli::trouble::{Kept, stopped_by, told};
use crate::event::Millis;
use crate::lane::System;
use crate::outbox::read::find::Rest;
use crate::outbox::read::{Bounds, Held, LaneStatus};

pub(super) fn stops(text: &mut String, stopped: &[&str], lanes: &[LaneStatus]) {
    for lane in lanes.iter().filter(|lane| stopped.contains(&lane.lane.as_str())) {
        let (id, parked) = (&lane.lane, lane.parked);
        line(
            text,
            &format!("  {id}: STOPPED: {parked} subjects are parked, more than max_parked: nothing new is sent"),
        );
        line(
            text,
            "    look at its dead letters: one reason for all is a mapping to correct, here or at the target;\n    \
             with max_parked raised and a restart the other subjects go on",
        );
    }
}

/// Lanes in a storm, where no gateway says so.
pub(super) fn storms(text: &mut String, lanes: &[LaneStatus], holds: &[Held], rest: Option<Rest>) {
    for lane in lanes.iter().filter(|lane| lane.storm.is_some()) {
        let (id, why, rest) = (&lane.lane, stopped_by(lane.storm.as_ref()), rest.filter(|_| !is_held(lane, holds)));
        line(text, &format!("  {id}: STOPPED, {why}{}", at_start(rest)));
    }
}

/// When a lane in a storm goes on, where that is known.
pub(in crate::cli) fn at_start(rest: Option<Rest>) -> &'static str {
    if rest == Some(Rest::Ended) { "; one row is sent at the next start, to find out" } else { "" }
}

fn is_held(lane: &LaneStatus, holds: &[Held]) -> bool {
    holds.iter().any(|hold| hold.keeps(&lane.lane, &lane.system))
}

/// What the targets have taken over, and when they are asked what became of it.
pub(super) fn accepted(text: &mut String, lanes: &[LaneStatus], now: Millis) {
    for LaneStatus { lane, system, accepted, accepted_since, ask_at, .. } in lanes.iter().filter(|l| l.accepted > 0) {
        let since = accepted_since.map_or_else(String::new, |at| format!(", the first {}", ago(at, now)));
        let asked = ask_at.map_or_else(String::new, |at| asked(at, now));
        line(text, &format!("  {lane}: {accepted} accepted by {system}, which books them later{since}{asked}"));
    }
}

/// What may be there or not, and goes on by itself; how one of them is looked at.
pub(super) fn unknown(
    text: &mut String,
    lanes: &[LaneStatus],
    (holds, bounds): (&[Held], Option<&Bounds>),
    rest: Option<Rest>,
    now: Millis,
) {
    for of in lanes.iter().filter(|lane| lane.unknown > 0) {
        let LaneStatus { lane, unknown, oldest_unknown, .. } = of;
        let sent =
            oldest_unknown.as_ref().map_or_else(String::new, |row| format!(", the first {}", ago(row.sent_at, now)));
        let once = bounds.is_some_and(|bounds| bounds.once.contains(lane));
        let then = match (once, rest) {
            (_, Some(Rest::Copy)) => "this is a copy, or the gateway has ended",
            (true, None) => "a person decides, their target is sent nothing twice and can't be asked",
            _ if is_held(of, holds) => "neither looked up nor sent again while that is held",
            (true, Some(Rest::Ended)) => "when a gateway is started, a person decides",
            (false, Some(Rest::Ended)) => {
                "when a gateway is started, they are looked up, or sent again under their keys"
            }
            (false, None) => "looked up, or sent again under their keys",
        };
        line(
            text,
            &format!("  {lane}: {unknown} unknown: sent{sent}, and nobody knows whether they are there: {then}"),
        );
        if let Some(row) = oldest_unknown {
            line(text, &format!("    `floorgate trace {}` tells of the first", row.key));
        }
    }
}

/// What a person frees with the dead letter or held row before it.
pub(super) fn behind(text: &mut String, lanes: &[LaneStatus], bounds: Option<&Bounds>) {
    for lane in lanes {
        let behind = lane.behind_parked(Bounds::parks_in(bounds, &lane.lane));
        if behind > 0 {
            let (id, wait) = (&lane.lane, if behind == 1 { "waits" } else { "wait" });
            line(text, &format!("  {id}: {behind} of the ready {wait} behind a dead letter or a held row"));
        }
    }
}

/// What keeps the lanes that have something to send, and what helps.
pub(super) fn troubles(
    text: &mut String,
    lanes: &[LaneStatus],
    (systems, bounds): (&[System], Option<&Bounds>),
    now: Millis,
) {
    let kept: Vec<Kept> = lanes.iter().filter_map(|lane| Kept::of(lane, bounds, now)).collect();
    told(text, &kept, systems, "  ");
}

pub(super) fn table(text: &mut String, lanes: &[LaneStatus], now: Millis) {
    let mut rows = vec![
        [
            "lane",
            "system",
            "ready",
            "sending",
            "accepted",
            "unknown",
            "waiting",
            "rejected",
            "held",
            "delivered",
            "oldest",
        ]
        .map(str::to_owned),
    ];
    for lane in lanes {
        let n = |n: i64| n.to_string();
        rows.push([
            lane.lane.clone(),
            lane.system.clone(),
            n(lane.ready),
            n(lane.sending),
            n(lane.accepted),
            n(lane.unknown),
            n(lane.waiting),
            n(lane.rejected),
            n(lane.held),
            n(lane.delivered),
            lane.oldest_at.map_or_else(|| "-".to_owned(), |at| age(at, now)),
        ]);
    }
    print::table(text, &rows, 2);
}
