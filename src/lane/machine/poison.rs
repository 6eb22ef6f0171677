//! A row that fails alone while others of its lane are posted, and how it is told from a system in trouble.
//!
//! A batch that brings nothing, again and again, while others of the lane have their effect, is cut in halves between its
//! subjects until the row is alone; a row that definitely had no effect goes alone from then on. [`ALONE`] failures of the row
//! alone, each with a success of another row since the last, make it a person's. What may have had effect is asked for first
//! where the target can be asked; a row whose effect stays unknown is rejected as such. An outage counts for nothing: nobody
//! else succeeds in it, and `retry` for one item is the target's own word, not a failure.

use super::{Action, Flight, Lane, RowKey};
use crate::event::Millis;
use crate::lane::gate::Permit;
use crate::lane::{Answer, Class, Outcome};

/// Failures with others' success between them, after which a row is sent alone.
const SUSPECT: u8 = 3;
/// Failures alone, with others' success between them, that make it a person's.
const ALONE: u8 = 8;
/// Rows of an odd status without a success between them that are their own trouble: more of them are the target's.
pub(super) const ODD: usize = 3;
/// Batches of one row by which a lane finds out whether its target is back, at first: they take turns, so that one that can't be
/// posted keeps nobody from finding out.
const PROBES: usize = 3;

impl Lane {
    /// The row failed together with all of its request. Whether others have succeeded since it did so last.
    pub(super) fn strike(&mut self, row: RowKey, alone: bool) -> bool {
        let goods = self.goods;
        let Some(slot) = self.rows.get_mut(&row) else { return false };
        let counts = slot.strikes == 0 || slot.struck_at != goods;
        if counts {
            slot.struck_at = goods;
            slot.alone = slot.alone.saturating_add(u8::from(alone && slot.strikes >= SUSPECT));
            slot.strikes = slot.strikes.saturating_add(1);
        }
        counts
    }

    pub(super) fn is_suspect(&self, row: RowKey) -> bool {
        self.rows.get(&row).is_some_and(|slot| slot.strikes >= SUSPECT)
    }

    pub(super) fn is_poison(&self, row: RowKey) -> bool {
        self.rows.get(&row).is_some_and(|slot| slot.alone >= ALONE)
    }

    /// The batch holds one row, and what comes of it says nothing of the system: it fails alone, or its status is one that nobody
    /// knows, of a target that has posted others, and answers only a few so since.
    pub(in crate::lane) fn is_isolated(&self, batch: u64, answer: &Answer) -> bool {
        let Some([row]) = self.flights.get(&batch).map(|flight| &flight.rows[..]) else { return false };
        let (goods, odd) = &self.odd;
        let few = *goods != self.goods || odd.contains(row) || odd.len() < ODD;
        self.is_suspect(*row) || (self.goods > 0 && few && is_odd(answer))
    }

    /// Remembers whose status nobody knows since the last success of any.
    pub(super) fn note_odd(&mut self, rows: &[RowKey], answer: &Answer) {
        if let ([row], true) = (rows, is_odd(answer)) {
            if self.odd.0 != self.goods {
                self.odd = (self.goods, Vec::new());
            }
            let odd = &mut self.odd.1;
            if odd.len() < ODD && !odd.contains(row) {
                odd.push(*row);
            }
        }
    }

    pub(super) fn poisoned(outcome: &Outcome) -> Outcome {
        let reason = format!("it fails alone, {ALONE} times while others of its lane were posted: {}", outcome.reason);
        Outcome { class: Class::Poison, reason, ..outcome.clone() }
    }

    /// The batch that is sent again, or asked for, next. To find out whether the system is back, small ones take turns.
    pub(super) fn due_flight(&self, permit: Permit, now: Millis) -> Option<u64> {
        let mut due = self.flights.iter().filter(|(_, flight)| flight.is_due(now));
        if permit == Permit::Batch {
            return due.next().map(|(batch, _)| *batch);
        }
        let probed =
            |flight: &Flight| flight.rows.first().and_then(|row| self.rows.get(row)).map_or(1, |slot| slot.probed);
        let probes: Vec<u32> = self.flights.values().filter(|flight| flight.probe).map(probed).collect();
        // Where each of them has been tried in vain again, another one joins: it may be they that can't be posted.
        let most = PROBES + probes.iter().min().map_or(0, |least| least.saturating_sub(1) as usize);
        let probes = probes.len();
        let of_many = || due.clone().find(|(_, flight)| !flight.probe);
        let tried = || due.clone().filter(|(_, flight)| flight.probe).min_by_key(|(batch, f)| (probed(f), **batch));
        let next = match of_many() {
            Some(many) if probes < most => Some(many),
            _ if probes < most && self.has_new_rows(now) => None, // one that was not sent yet
            many => tried().or(many),
        };
        next.map(|(batch, _)| *batch)
    }

    /// Cuts a batch of unknown rows in two, between subjects: those of the first `some` rows become one of its own, or of fewer where
    /// that is all of it, with all that is known of the time when they were sent. `None`: it is all of one subject, or frozen.
    pub(super) fn cut(&mut self, batch: u64, some: usize, actions: &mut Vec<Action>) -> Option<u64> {
        let flight = self.flights.get(&batch).filter(|_| !self.config.is_frozen())?;
        let order = |row: &RowKey| self.rows.get(row).map(|slot| slot.row.order);
        let of_first = |some: usize| -> (Vec<RowKey>, Vec<RowKey>) {
            let subjects: Vec<_> = flight.rows.iter().take(some).map(order).collect();
            flight.rows.iter().partition(|row| subjects.contains(&order(row)))
        };
        let (off, keep) = (1..=some).rev().map(of_first).find(|(_, keep)| !keep.is_empty())?;
        let new = self.next_batch;
        self.next_batch += 1;
        actions.push(Action::Cut { batch, keep: keep.clone(), new, off: off.clone() });
        let flight = self.flights.get_mut(&batch)?;
        flight.rows = keep;
        let part = Flight { rows: off, ..flight.clone() };
        self.flights.insert(new, part);
        Some(new)
    }
}

fn is_odd(answer: &Answer) -> bool {
    let odd = |o: &Outcome| o.class == Class::Unknown && o.reason.starts_with(Outcome::ODD_STATUS);
    answer.outcomes.iter().any(odd)
}
