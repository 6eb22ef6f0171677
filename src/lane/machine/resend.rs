//! What becomes of a batch of which nobody knows whether it had its effect.

use std::collections::BTreeSet;

use super::{Action, Again, Flight, Lane, VAIN_MS, Way};
use crate::event::Millis;
use crate::lane::gate::Permit;
use crate::lane::{Class, Idempotency, Outcome};

impl Lane {
    /// The oldest unknown batch that is due: sent again while the target surely knows its keys, asked for where that can be
    /// done, else for a person.
    pub(super) fn next_resend(&mut self, permit: Permit, now: Millis, actions: &mut Vec<Action>) -> Option<Action> {
        loop {
            let mut batch = self.due_flight(permit, now)?;
            let settle_ms = self.config.settle_ms;
            if let Some(ask) = self.flights.get_mut(&batch)?.ask(batch, settle_ms, now) {
                return Some(ask);
            }
            let flight = self.flights.get(&batch)?;
            let horizon = self.config.dedup_horizon_ms.saturating_sub(2 * self.config.timeout_ms);
            // Asked for, and an earlier row of its subject is not there: sent again it would come before that one.
            let may = match flight.again {
                _ if flight.poison || (settle_ms.is_some() && self.overtakes(flight)) => false,
                Again::Allowed => true,
                Again::Unasked => settle_ms.is_none(),
                Again::Never | Again::Replayed | Again::Apart => false,
            };
            let known = may
                && match self.config.idempotency {
                    Idempotency::Key => !flight.ageless && now.since(flight.first_sent) + flight.older_ms < horizon,
                    Idempotency::Natural => true,
                    Idempotency::Lookup | Idempotency::None => false,
                };
            if known {
                if permit == Permit::Probe {
                    batch = self.cut(batch, 1, actions).unwrap_or(batch);
                }
                let flight = self.flights.get_mut(&batch)?;
                if let Some(slot) = flight.rows.first().and_then(|row| self.rows.get_mut(row)) {
                    slot.probed += u32::from(permit == Permit::Probe);
                }
                flight.probe |= permit == Permit::Probe;
                flight.attempt += 1;
                flight.resend_at = None;
                (flight.way, flight.again) = (Way::Post, Again::Allowed);
                flight.last_sent = now;
                let (rows, attempt, first_sent) = (flight.rows.clone(), flight.attempt, flight.first_sent);
                return Some(Action::Send { batch, rows, attempt, first_sent });
            }
            let flight = self.flights.get_mut(&batch)?;
            match self.config.settle_ms {
                Some(settle) if now < flight.last_sent.plus(settle) => {
                    flight.resend_at = Some(flight.last_sent.plus(settle));
                }
                Some(_) if flight.vain.as_ref().is_some_and(|vain| vain.up && now.since(vain.since) >= VAIN_MS) => {
                    let words = flight.vain.take().map_or(String::new(), |vain| vain.words);
                    let reason = format!(
                        "it was sent and never answered, and for a day no lookup has told what became of it ({words}): look in \
                         the target whether it was posted"
                    );
                    self.give_up(batch, &reason, actions);
                }
                Some(_) => {
                    flight.resend_at = None;
                    (flight.way, flight.absence_counts) = (Way::Look, true);
                    return Some(Action::Look { batch, rows: flight.rows.clone(), first_sent: flight.first_sent });
                }
                None => {
                    let reason = why_a_person(self.config.idempotency, flight.ageless, flight.again);
                    self.give_up(batch, reason, actions);
                }
            }
        }
    }

    /// A row of the batch has an earlier one of its subject outside of it that is not at its end.
    fn overtakes(&self, flight: &Flight) -> bool {
        flight.rows.iter().filter_map(|row| self.rows.get(row)).any(|slot| {
            let first = self.subjects.get(&slot.row.order).and_then(BTreeSet::first);
            self.is_behind_parked(&slot.row) || first.is_some_and(|first| !flight.rows.contains(first))
        })
    }

    /// An unknown batch that may not be sent again: a person looks.
    pub(super) fn give_up(&mut self, batch: u64, reason: &str, actions: &mut Vec<Action>) {
        for row in self.flights.remove(&batch).map(|flight| flight.rows).unwrap_or_default() {
            self.set_apart(row, Outcome::new(Class::Unresolvable, reason), true, actions);
        }
        actions.push(Action::Close { batch });
    }
}

/// Why a batch without an answer can neither be sent again nor be asked for.
fn why_a_person(idempotency: Idempotency, ageless: bool, again: Again) -> &'static str {
    match (idempotency, ageless) {
        _ if again == Again::Apart => {
            "the target is done with the request that it was sent in, and says nothing of it: look in the target whether it was \
             posted"
        }
        _ if again == Again::Never => {
            "it was sent, and the target no longer tells whether it has seen its key: look in the target whether it was posted"
        }
        _ if again == Again::Replayed => {
            "it was sent, and the target answers its key with the error that it gave first: look in the target whether it \
             was posted"
        }
        (Idempotency::None, _) => {
            "it was sent and never answered, and the target can't tell a posting that it has seen before: look in the \
             target whether it was posted"
        }
        (_, true) => {
            "it was sent and never answered, and the clock is not set since the machine started, so that nobody knows how \
             long ago: look in the target whether it was posted"
        }
        (_, false) => {
            "it was sent, no answer told what came of it, and the target may have forgotten its key by now: look in the target whether \
             it was posted"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_look_is_told_why_in_one_line() {
        for idempotency in [Idempotency::Key, Idempotency::None] {
            for (ageless, again) in [Again::Allowed, Again::Never, Again::Replayed, Again::Apart]
                .map(|again| (false, again))
                .into_iter()
                .chain([(true, Again::Allowed)])
            {
                let why = why_a_person(idempotency, ageless, again);
                assert!(!why.contains("  ") && why.ends_with("look in the target whether it was posted"), "{why}");
            }
        }
    }
}
