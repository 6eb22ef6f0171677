//! The next batch, stored as `sending` while those before it are under way, so that it leaves at an answer and not a commit later.
//!
//! One a lane, and only a full one, while answers are good and come within [`PROMPT_MS`]: then the rows behind it wait for room
//! anyway. It goes back in line, under no key that anybody has seen, as soon as the lane may not go on, or when it was not its
//! turn for [`AHEAD_MS`]. A start that finds it stored takes it for unknown: it is sent again under its keys. So there is none
//! where a target can't tell by them, or has to be asked first. What is stored of the time when it left is at most so much too
//! early: the dedup horizon only shrinks by it, and absence is reckoned from the start ([`Lane::restore`]).

use super::{Action, Lane};
use crate::event::Millis;
use crate::lane::gate::Permit;
use crate::lane::{Idempotency, Outcome, RowKey};

/// A batch that has waited so long for its turn goes back in line.
pub(super) const AHEAD_MS: u64 = 1_000;
/// Answers that come later gain nothing by it.
pub(super) const PROMPT_MS: u64 = 250;

impl Lane {
    /// The batch that is to be stored now and leaves later. Call it when nothing more may leave.
    pub(in crate::lane) fn store_ahead(&mut self, now: Millis) -> Option<Action> {
        let told_again = matches!(self.config.idempotency, Idempotency::Key | Idempotency::Natural);
        let waits = self.flying() > 0 && self.ready.len() >= self.most && self.has_new_rows(now);
        if self.ahead.is_some() || !told_again || !waits || !self.prompt || !self.goes_on(now) {
            return None;
        }
        if self.ready.first().is_some_and(|row| self.is_suspect(*row)) {
            return None;
        }
        let Some(Action::Send { batch, rows, first_sent, .. }) = self.next_batch(Permit::Batch, now) else {
            return None;
        };
        self.flights.get_mut(&batch)?.ahead = true;
        self.ahead = Some(batch);
        Some(Action::Store { batch, rows, first_sent })
    }

    /// Nothing keeps new rows from leaving but what is under way.
    fn goes_on(&self, now: Millis) -> bool {
        let paused = now < self.pause_until.max(self.away_until);
        !(paused || self.held || self.stopped || self.failures > 0 || !self.halves.is_empty())
            && self.guard.storm().is_none()
    }

    /// When the stored batch was stored.
    pub(super) fn ahead_since(&self) -> Option<Millis> {
        self.ahead.and_then(|batch| self.flights.get(&batch)).map(|flight| flight.last_sent)
    }

    /// When the stored batch goes back in line, if nothing else happens before.
    pub(in crate::lane) fn gives_back_at(&self) -> Option<Millis> {
        self.ahead_since().map(|since| since.plus(AHEAD_MS))
    }

    /// The stored batch leaves.
    pub(super) fn release(&mut self, now: Millis) -> Option<Action> {
        let batch = self.ahead.take()?;
        let flight = self.flights.get_mut(&batch)?;
        (flight.ahead, flight.last_sent) = (false, now);
        Some(Action::Release { batch })
    }

    /// The stored batch goes back in line if the lane does not go on, others had their turn for too long, or the system is to be tried
    /// with one row.
    pub(super) fn review_ahead(&mut self, permit: Permit, now: Millis, actions: &mut Vec<Action>) {
        let late = self.gives_back_at().is_some_and(|at| at <= now);
        self.prompt &= !late;
        if late || permit == Permit::Probe || !self.goes_on(now) {
            self.give_back(now, actions);
        }
    }

    /// The stored batch goes back in line: it has not left.
    pub(in crate::lane) fn give_back(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let Some(batch) = self.ahead.take() else { return };
        for row in self.flights.remove(&batch).map(|flight| flight.rows).unwrap_or_default() {
            self.again(row, now, now);
        }
        actions.push(Action::Close { batch });
    }

    /// Rows of the stored batch must not leave: the others go back in line.
    pub(super) fn unstorable(&mut self, rows: &[RowKey], outcome: &Outcome, now: Millis, actions: &mut Vec<Action>) {
        self.give_back(now, actions);
        for row in rows {
            self.set_apart(*row, outcome.clone(), false, actions);
        }
    }
}
