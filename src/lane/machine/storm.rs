//! The storm guard: one wrong mapping must not make thousands of dead letters.
//!
//! More than [`SAME`] rejections of one class and code within [`SPAN_MS`], or more than [`HALF`] among the last [`ENDS`] rows that
//! came to an end, stop the lane: one trouble with a count, instead of one for each row. Then one row at a time finds out, after
//! [`FIRST_MS`], doubled up to [`MAX_MS`]; [`GOOD`] that are posted let the lane go on. A person who frees a row of the lane has
//! done something about it: then it is found out at once (`docs/adr/0019-a-lane-in-a-storm-is-tried-by-single-rows.md`).
//!
//! What was refused is a dead letter, whatever the guard says: nobody sends it again but a person.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Action, Lane};
use crate::event::Millis;
use crate::lane::Class;

/// Rejections of one class and code that a lane may have …
const SAME: usize = 20;
/// … within this time.
const SPAN_MS: u64 = 60_000;
/// Rows at their end that are looked at …
const ENDS: usize = 100;
/// … of which so many may be rejected.
const HALF: usize = 50;
const FIRST_MS: u64 = 60_000;
const MAX_MS: u64 = 60 * 60_000;
/// Rows posted one by one that let the lane go on.
const GOOD: u32 = 3;

/// A lane that sends nothing new because of what its target says of too many rows. Times are UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// Since when.
    pub since: Millis,
    /// Class of the rejection that was one too many.
    pub class: String,
    /// The target's own word for it.
    pub code: Option<String>,
    /// Its words for people.
    pub words: String,
    /// Rows that were rejected in it.
    pub rejected: u64,
    /// When one row is sent, to find out.
    pub next_try: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Rejections of the last minute.
    recent: VecDeque<(Millis, Class, Option<String>)>,
    /// Whether the last rows that ended were rejected.
    ends: VecDeque<bool>,
    storm: Option<On>,
}

#[derive(Debug)]
struct On {
    shown: Storm,
    wait_ms: u64,
    good: u32,
    /// The batch that finds out, and when another may, should it still be without an end.
    probe: Option<(u64, Millis)>,
}

impl Guard {
    /// When a new row may leave. While the one that finds out is `under_way` it is given time to come to its end; one that comes to none
    /// (never answered, accepted and never booked) keeps no other.
    pub(super) fn opens_at(&self, under_way: impl FnOnce(u64) -> bool) -> Millis {
        let Some(on) = &self.storm else { return Millis::default() };
        let again = on.probe.filter(|(batch, _)| under_way(*batch)).map(|(_, again)| again);
        on.shown.next_try.max(again.unwrap_or_default())
    }

    pub(super) fn storm(&self) -> Option<&Storm> {
        self.storm.as_ref().map(|on| &on.shown)
    }

    pub(super) fn left(&mut self, batch: u64, now: Millis) {
        if let Some(on) = &mut self.storm {
            on.probe = Some((batch, now.plus(on.wait_ms)));
        }
    }

    /// A person has freed a row.
    pub(super) fn freed(&mut self, now: Millis) {
        if let Some(on) = &mut self.storm {
            on.shown.next_try = on.shown.next_try.min(now);
            if let Some((_, again)) = &mut on.probe {
                *again = now;
            }
        }
    }

    /// What came to its end. `answered`: the batch that something was said of.
    fn ended(&mut self, answered: Option<u64>, actions: &[Action], now: Millis) {
        let probe = self.storm.as_ref().and_then(|on| on.probe).map(|(batch, _)| batch);
        let probed = probe.is_some() && probe == answered;
        for action in actions {
            match action {
                Action::Settle { .. } => self.good(probed),
                Action::Reject { outcome, .. } if is_said(outcome.class) => {
                    self.rejected(outcome.class, outcome.code.as_ref(), &outcome.reason, now);
                }
                _ => {}
            }
        }
    }

    fn good(&mut self, probed: bool) {
        self.end(false);
        let Some(on) = self.storm.as_mut().filter(|_| probed) else { return };
        on.good += 1;
        if on.good >= GOOD {
            *self = Self::default();
        }
    }

    fn rejected(&mut self, class: Class, code: Option<&String>, words: &str, now: Millis) {
        if let Some(On { shown, wait_ms, good, .. }) = &mut self.storm {
            shown.rejected += 1;
            if now >= shown.next_try {
                (*good, *wait_ms) = (0, wait_ms.saturating_mul(2).min(MAX_MS));
                shown.next_try = now.plus(*wait_ms);
            }
            return;
        }
        self.end(true);
        self.recent.push_back((now, class, code.cloned()));
        while self.recent.len() > SAME * 8 || self.recent.front().is_some_and(|(at, ..)| now.since(*at) > SPAN_MS) {
            self.recent.pop_front();
        }
        let same = self.recent.iter().filter(|(_, c, word)| *c == class && word.as_ref() == code).count();
        let of_all = self.ends.iter().filter(|rejected| **rejected).count();
        if same <= SAME && of_all <= HALF {
            return;
        }
        let shown = Storm {
            since: now,
            class: class.name().to_owned(),
            code: code.cloned(),
            words: words.to_owned(),
            rejected: if same > SAME { same } else { of_all } as u64,
            next_try: now.plus(FIRST_MS),
        };
        self.storm = Some(On { shown, wait_ms: FIRST_MS, good: 0, probe: None });
    }

    fn end(&mut self, rejected: bool) {
        if self.ends.len() >= ENDS {
            self.ends.pop_front();
        }
        self.ends.push_back(rejected);
    }
}

/// What the target has said of a row, or did not change its mind about; not what became of the row here.
fn is_said(class: Class) -> bool {
    matches!(class, Class::Validation | Class::KeyClash | Class::Reference | Class::Conflict)
}

impl Lane {
    /// Too many rows of this lane are rejected: it sends nothing new but single rows, to find out.
    pub fn storm(&self) -> Option<&Storm> {
        self.guard.storm()
    }

    /// Takes back the storm that it was in. Whoever has started the gateway may have done something about it: it is found out at once.
    pub fn restore_storm(&mut self, storm: Option<Storm>, now: Millis) {
        let back = |shown| On { shown: Storm { next_try: now, ..shown }, wait_ms: FIRST_MS, good: 0, probe: None };
        self.guard.storm = storm.filter(|_| self.config.limits.storm_guard).map(back);
    }

    pub(super) fn watch(&mut self, answered: Option<u64>, actions: &[Action], now: Millis) {
        if self.config.limits.storm_guard {
            self.guard.ended(answered, actions, now);
        }
    }
}

#[cfg(test)]
mod tests;
