//! The outbox in short.

use serde::Serialize;

use crate::cli::hold;
use crate::cli::outbox::{Full, Room, at_start, missing, stopped};
use crate::cli::print::{age, ago, clean, line};
use crate::cli::trouble::{Kept, stopped_by, told};
use crate::control;
use crate::event::Millis;
use crate::lane::System;
use crate::outbox::read::find::Rest;
use crate::outbox::read::{self, Bounds, GAP};

/// The outbox in short; `floorgate outbox status` has all of it.
#[derive(Serialize)]
pub(super) struct Outbox {
    /// Rows that are not at their end and go by themselves, of all lanes.
    pub(super) pending: i64,
    /// Recorded time of the oldest of them.
    pub(super) oldest_at: Option<i64>,
    /// Rows that only a person can free: dead letters, held rows, and what waits behind them.
    pub(super) need_a_person: i64,
    /// Devices are not acknowledged …
    pub(super) full: bool,
    /// … for that reason.
    pub(super) full_by: Option<Full>,
    /// Share of `outbox.max_size` that is pending, where that is known: from 0.7 on something is done about it.
    pub(super) fill: Option<f64>,
    pub(super) dead_letters: i64,
    /// Rows that wait behind a dead letter or a held one.
    pub(super) behind: i64,
    /// Taken over by their targets, which book them later; they count as pending.
    pub(super) accepted: i64,
    pub(super) held: i64,
    /// What persons have stopped.
    pub(super) holds: Vec<read::Held>,
    /// Devices of whose numbers some are missing, since a day.
    pub(super) gaps: Vec<read::Count>,
    /// Systems that have not answered a request for a while, the oldest of each.
    pub(super) unanswered: Vec<Unanswered>,
    /// Lanes in trouble.
    pub(super) lanes: Vec<Kept>,
}

/// A system that has not answered.
#[derive(Serialize)]
pub(super) struct Unanswered {
    pub(super) system: String,
    /// When the oldest request left that is under way, UTC milliseconds.
    pub(super) since: i64,
    /// How long it may take, where that is known.
    pub(super) timeout_ms: Option<u64>,
}

/// A device with gaps is told for so long after the last one.
const DAY_MS: u64 = 86_400_000;
/// Devices with gaps that are told.
const LISTED: usize = 5;
/// A request is told that is under way for longer.
const LONG_MS: u64 = 3_000;

pub(super) fn unanswered(lanes: &[read::LaneStatus], bounds: Option<&Bounds>, now: Millis) -> Vec<Unanswered> {
    let mut oldest: Vec<Unanswered> = Vec::new();
    for lane in lanes {
        let Some(sent) = lane.oldest_sending.as_ref().filter(|sent| now.since(Millis(sent.sent_at)) > LONG_MS) else {
            continue;
        };
        let timeout_ms = bounds.and_then(|bounds| bounds.timeouts.get(&lane.lane)).copied();
        let this = Unanswered { system: lane.system.clone(), since: sent.sent_at, timeout_ms };
        match oldest.iter_mut().find(|known| known.system == this.system) {
            Some(known) if known.since <= this.since => {}
            Some(known) => *known = this,
            None => oldest.push(this),
        }
    }
    oldest
}

impl Outbox {
    pub(super) fn of(
        status: &read::Status,
        bounds: Option<&Bounds>,
        gateway: Option<&control::Status>,
        rest: Option<Rest>,
        now: Millis,
    ) -> Self {
        let parks = |lane: &read::LaneStatus| Bounds::parks_in(bounds, &lane.lane);
        let behind = status.lanes.iter().map(|lane| lane.behind_parked(parks(lane))).sum();
        let stopped = bounds.map(|bounds| stopped(status, bounds)).unwrap_or_default();
        let room = bounds.map(|bounds| Room::of(status, bounds.max_size));
        let full_by = Full::of(status, bounds, gateway);
        let lanes = status.lanes.iter().filter_map(|lane| {
            let hold = status.holds.iter().find(|hold| hold.keeps(&lane.lane, &lane.system));
            let known = |trouble, since| {
                let (lane, system) = (lane.lane.clone(), lane.system.clone());
                Some(Kept { lane, system, trouble, since, help: None, seq: None, wide: None })
            };
            if let Some(hold) = hold {
                known(hold::by(hold, &lane.lane, now), Some(hold.at))
            } else if stopped.contains(&lane.lane.as_str()) {
                known(format!("STOPPED, {} subjects are parked: `floorgate dead list` shows why", lane.parked), None)
            } else if let Some(storm) = lane.storm.as_ref().filter(|_| gateway.is_none()) {
                let why = stopped_by(Some(storm));
                known(format!("STOPPED, {why}{}", at_start(rest)), Some(storm.since.0))
            } else {
                Kept::of(lane, bounds, now)
            }
        });
        Self {
            pending: status.lanes.iter().map(|lane| lane.going(parks(lane))).sum(),
            oldest_at: status.lanes.iter().filter_map(|lane| lane.oldest_going_at).min(),
            need_a_person: status.lanes.iter().map(|lane| lane.rejected + lane.held).sum::<i64>() + behind,
            full: full_by.is_some(),
            full_by,
            fill: room.map(|room| room.fill),
            dead_letters: status.dead_letters,
            behind,
            accepted: status.lanes.iter().map(|lane| lane.accepted).sum(),
            held: status.held,
            holds: status.holds.clone(),
            gaps: status
                .counts
                .iter()
                .filter(|count| count.what == GAP && now.since(Millis(count.last_at)) < DAY_MS)
                .cloned()
                .collect(),
            unanswered: unanswered(&status.lanes, bounds, now),
            lanes: lanes.collect(),
        }
    }

    pub(super) fn text(&self, text: &mut String, dir: &str, systems: &[System], now: Millis) {
        let oldest = self.oldest_at.map_or_else(String::new, |at| format!(", the oldest {} old", age(at, now)));
        let fills = self.fill.filter(|fill| *fill >= 0.7).map(|fill| format!("; {:.0} % full", fill * 100.0));
        let full = match self.full_by {
            Some(full) => format!("; FULL, {}: devices are not acknowledged", full.why()),
            None => fills.unwrap_or_default(),
        };
        let count = |n: i64, what: &str| if n > 0 { format!("; {what}: {n}") } else { String::new() };
        let accepted = count(self.accepted, "accepted and not booked yet");
        let person = if self.need_a_person > 0 {
            let be = if self.need_a_person == 1 { "needs" } else { "need" };
            let of = [("dead letters", self.dead_letters), ("held", self.held), ("behind these", self.behind)];
            let of = of.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what}: {n}"));
            format!("; {} {be} a person ({})", self.need_a_person, of.collect::<Vec<_>>().join(", "))
        } else {
            String::new()
        };
        line(text, &format!("outbox: {} pending{oldest}{accepted}{person}{full}", self.pending));
        if let Some(full) = self.full_by {
            line(text, &format!("  what helps: {}", full.helps(dir)));
        }
        for Unanswered { system, since, timeout_ms } in &self.unanswered {
            let timeout = timeout_ms.map_or_else(String::new, |ms| {
                format!(" (timeout {})", age(0, Millis(i64::try_from(ms).unwrap_or(i64::MAX))))
            });
            let since = age(*since, now);
            line(text, &format!("  {system} has not answered a request for {since}{timeout}"));
        }
        told(text, &self.lanes, systems, "  ");
        for read::Count { source, n, last_at, .. } in self.gaps.iter().take(LISTED) {
            let (gaps, last) = (if *n == 1 { "1 gap".to_owned() } else { format!("{n} gaps") }, ago(*last_at, now));
            let gaps = format!("{gaps} in its numbers since the outbox was made, the last {last}");
            line(text, &format!("  {}: {gaps}: {}", clean(source), missing(source)));
        }
        if self.gaps.len() > LISTED {
            line(text, &format!("  and {} more with gaps: `floorgate outbox status`", self.gaps.len() - LISTED));
        }
    }
}
