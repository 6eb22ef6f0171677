//! What an answer does to the rows of its batch, and to the lane.

use std::collections::{BTreeSet, HashMap};

use super::accepted::FIRST_MS;
use super::ahead::PROMPT_MS;
use super::{Action, Again, Flight, Lane, RowKey, State, Vain, Way};
use crate::event::Millis;
use crate::lane::{Answer, Class, KeyScope, Later, Outcome};

/// A target that is locked or lacks the reference is asked again after at most this long.
const ROW_RETRY_MAX_MS: u64 = 60_000;
/// Conflicts of one row before a person is asked.
const CONFLICT_TRIES: u32 = 10;
/// A target that asks for fewer requests and does not say when: so long, twice as long each time …
const THROTTLED_MS: u64 = 30_000;
/// … up to this.
const THROTTLED_MOST_MS: u64 = 10 * 60_000;
/// Refusals in a row of a request that was sent again and may have had effect before: then it comes in halves, and what stands
/// alone is a person's.
const REFUSALS: u8 = 8;
/// The word for a row that was not tried because of one before it.
const LANE_BLOCKED: &str = "lane_blocked";

impl Lane {
    pub(super) fn answered(&mut self, batch: u64, answer: &Answer, now: Millis, actions: &mut Vec<Action>) {
        let isolated = self.is_isolated(batch, answer);
        let Some(flight) = self.flights.remove(&batch) else { return };
        let never_taken = self.is_never_taken(&flight, answer).then(|| Self::never_taken(answer));
        let answer = never_taken.as_ref().unwrap_or(answer);
        let trouble = self.note_trouble(answer, isolated, now);
        self.note_odd(&flight.rows, answer);
        self.prompt = !trouble && now.since(flight.last_sent) <= PROMPT_MS;
        self.judge(batch, flight, answer, (trouble, isolated), now, actions);
    }

    /// Resolves the rows of a batch by what was said of them, now or by its job. The answer may speak of the way or the target
    /// rather than of rows (`trouble`), and of a row that fails alone (`isolated`).
    pub(super) fn judge(
        &mut self,
        batch: u64,
        mut flight: Flight,
        answer: &Answer,
        (trouble, isolated): (bool, bool),
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let first = flight.attempt == 1;
        if answer.outcomes.iter().any(|o| o.class == Class::Unknown) && flight.way == Way::Post {
            flight.unheard = Some(flight.last_sent);
        }
        let said = answer;
        let (answer, clean) = self.of_one_piece(&flight, said, now);
        let early = self.too_early(&flight, said, clean, now);
        let maybe = !first && (answer.whole || self.config.key_scope != KeyScope::Parts);
        let freed = self.config.is_atomic() && answer.outcomes.iter().any(|o| o.class != Class::NotAttempted);
        let alone = flight.rows.len() == 1;
        let refused_whole = answer.whole && !alone && !trouble && answer.outcomes.iter().any(|o| refuses(o.class));
        let too_large = answer.outcomes.first().is_some_and(|o| o.code.as_deref() == Some(Outcome::TOO_LARGE));
        let too_large = answer.whole && !alone && too_large;
        let hearsay = !clean && self.is_hearsay(&answer);
        flight.refusals = if hearsay { flight.refusals.saturating_add(1) } else { 0 };
        let patient = hearsay && flight.refusals < REFUSALS;
        let nothing_tried = answer.outcomes.iter().all(|o| o.class == Class::NotAttempted);
        let mut accepted = false;
        let mut open = Vec::new();
        let mut failed = BTreeSet::new();
        let mut rejected = BTreeSet::new();
        let mut more_alone = false;
        // A row that the answer does not speak of is unknown.
        let unsaid = Outcome::new(Class::Unknown, "the answer does not speak of it");
        let outcomes = answer.outcomes.iter().chain(std::iter::repeat(&unsaid));
        for (row, outcome) in flight.rows.iter().copied().zip(outcomes) {
            let order = self.rows.get(&row).map_or(0, |slot| slot.row.order);
            // A target that applies in order and stops a subject at its first error did not try what comes behind it,
            // whether it says so or not; resent alone it would overtake.
            let behind = self.config.ordered_batch && clean && failed.contains(&order);
            let class = if behind && outcome.class == Class::Unknown { Class::NotAttempted } else { outcome.class };
            let leads = !failed.contains(&order);
            let may = class.has_effect() || class == Class::Accepted;
            if !may && class != Class::Unknown {
                failed.insert(order);
            }
            // What was rejected now had no effect before, so that what is behind it was not tried before either.
            if self.config.ordered_batch && rejected.contains(&order) && !may {
                self.again(row, now, now);
                continue;
            }
            if matches!(class, Class::Validation | Class::KeyClash) && !refused_whole && !patient {
                rejected.insert(order);
            }
            match class {
                Class::Delivered | Class::Duplicate => {
                    self.goods += 1;
                    self.end(row);
                    actions.push(settled(row, class, outcome, first));
                }
                Class::Validation | Class::KeyClash if !refused_whole && !patient => {
                    self.reject(row, outcome.clone(), maybe, actions);
                }
                Class::Unresolvable | Class::Corrupt => self.reject(row, outcome.clone(), !first, actions),
                Class::Accepted => {
                    accepted = true;
                    open.push(row);
                }
                Class::Unknown => {
                    more_alone |= self.strike(row, alone);
                    open.push(row);
                }
                // Definitely no effect this time. While an earlier attempt is unresolved that says nothing of it.
                Class::Transient if trouble && !clean => {
                    more_alone |= self.strike(row, alone);
                    open.push(row);
                }
                // The target's own word for the row, again and again: no attempt had effect, as far as it knows.
                Class::Reference | Class::Conflict if !clean && !said.whole && self.is_spent(row, class, now) => {
                    rejected.insert(order);
                    self.reject(row, outcome.clone(), maybe, actions);
                }
                _ if !clean => open.push(row),
                Class::Transient if trouble => {
                    self.strike(row, alone);
                    if self.is_poison(row) {
                        self.reject(row, Self::poisoned(outcome), false, actions);
                    } else if isolated {
                        self.again_later(row, outcome.class, outcome, now, actions);
                    } else {
                        self.again(row, now, now);
                    }
                }
                // Behind one that is left open it waits anyway, and a start that knew of its own wait alone would send it first.
                _ if trouble || refused_whole || too_large || self.is_behind(&open, order) => {
                    self.again(row, now, now);
                }
                // What went back with another of its request is free of it.
                Class::NotAttempted if freed => drop(self.again(row, now, now)),
                class => {
                    let idly = leads && (nothing_tried || outcome.code.as_deref() == Some(LANE_BLOCKED));
                    if let Some(slot) = self.rows.get_mut(&row).filter(|_| idly && class == Class::NotAttempted) {
                        slot.put_off = slot.put_off.saturating_add(1);
                    }
                    self.again_later(row, class, outcome, now, actions);
                }
            }
        }
        if refused_whole && clean {
            self.halve(&flight.rows);
        }
        if too_large {
            self.most = self.most.min(flight.rows.len().div_ceil(2));
        }
        let attempt = flight.attempt;
        flight.left_with(open, &self.config);
        self.taken_over(&mut flight, accepted, answer.later.as_ref(), now);
        if hearsay && flight.again == Again::Allowed {
            flight.again = Again::Unasked;
        }
        if self.config.replays_errors && !first && answer.status == Some(500) && flight.accepted.is_none() {
            flight.again = Again::Replayed;
        }
        if let ([row], None) = (&flight.rows[..], &flight.accepted)
            && self.is_poison(*row)
        {
            flight.poison = self.config.settle_ms.is_some();
            if !flight.poison {
                let outcome = Self::poisoned(answer.outcomes.first().unwrap_or(&unsaid));
                self.reject(*row, outcome, true, actions);
                flight.rows.clear();
            }
        }
        more_alone |= hearsay && !patient;
        let suspects = flight.rows.iter().all(|row| self.is_suspect(*row)) || hearsay;
        let halves = too_large || (more_alone && flight.accepted.is_none() && suspects);
        let half = flight.rows.len() / 2;
        // What was accepted without a way to ask comes again, and not at once.
        let least = if accepted { FIRST_MS } else { early };
        self.go_on(batch, flight, (attempt, least), answer.later.as_ref(), now, actions);
        if halves && half > 0 {
            self.cut(batch, half, actions);
        }
    }

    /// The refusal of a request that was sent again says nothing of what came of it before, and may be another's than the
    /// endpoint's. Where errors are kept with the key it is what was said first.
    fn is_hearsay(&self, answer: &Answer) -> bool {
        let refused = answer.whole && answer.status >= Some(400) && !self.config.replays_errors;
        refused && answer.outcomes.iter().any(|o| o.class == Class::Validation)
    }

    fn is_behind(&self, open: &[RowKey], order: i64) -> bool {
        open.iter().any(|row| self.rows.get(row).is_some_and(|slot| slot.row.order == order))
    }

    /// What the target says of rows that it was asked for.
    pub(super) fn looked(&mut self, batch: u64, answer: &Answer, now: Millis, actions: &mut Vec<Action>) {
        let Some(mut flight) = self.flights.remove(&batch) else { return };
        self.note_trouble(answer, false, now);
        let answer = &self.of_one_voice(&mut flight, answer, now);
        let (mut open, mut accepted) = (Vec::new(), false);
        let unsaid = Outcome::new(Class::Unknown, "the answer does not speak of it");
        let outcomes = answer.outcomes.iter().chain(std::iter::repeat(&unsaid));
        let said: Vec<(RowKey, &Outcome)> = flight.rows.iter().copied().zip(outcomes).collect();
        flight.vain = self.in_vain(&flight, &answer.outcomes, now);
        let order = |row: RowKey| self.rows.get(&row).map(|slot| slot.row.order);
        // What is absent goes back in line only if nothing behind it in its subject is left open: that would overtake it.
        let decided =
            |class| matches!(class, Class::Found | Class::KeyClash | Class::Unresolvable | Class::NotAttempted);
        let left: HashMap<_, RowKey> =
            said.iter().filter(|(_, o)| !decided(o.class)).map(|(row, _)| (order(*row), *row)).collect();
        let goes: BTreeSet<RowKey> = said
            .iter()
            .filter(|(row, o)| o.class == Class::NotAttempted && left.get(&order(*row)).is_none_or(|last| last < row))
            .map(|(row, _)| *row)
            .collect();
        for (row, outcome) in said {
            match outcome.class {
                Class::Found => {
                    self.goods += 1;
                    self.end(row);
                    actions.push(settled(row, Class::Found, outcome, false));
                }
                Class::KeyClash | Class::Unresolvable => self.reject(row, outcome.clone(), true, actions),
                Class::NotAttempted if flight.absence_counts && flight.poison => {
                    self.reject(row, Self::poisoned(outcome), false, actions);
                }
                Class::NotAttempted if flight.absence_counts && flight.again == Again::Replayed => {
                    self.reject(row, replayed(), false, actions);
                }
                Class::NotAttempted if flight.absence_counts && goes.contains(&row) => drop(self.again(row, now, now)),
                class => {
                    accepted |= class == Class::Accepted;
                    open.push(row);
                }
            }
        }
        flight.left_with(open, &self.config);
        flight.looks = flight.looks.saturating_add(1);
        if flight.again == Again::Unasked {
            flight.again = Again::Allowed;
        }
        if flight.accepted.as_ref().is_none_or(|accepted| accepted.job.is_none()) {
            self.taken_over(&mut flight, accepted, None, now);
            if !accepted {
                flight.give_up_if_silent(now);
            }
        }
        let tries = flight.looks;
        self.go_on(batch, flight, (tries, self.config.retry_first_ms), None, now, actions);
    }

    /// What is known of lookups that tell nothing, after one more with these outcomes. An outage is no such thing: then others of the
    /// lane aren't posted either.
    fn in_vain(&self, flight: &Flight, said: &[Outcome], now: Millis) -> Option<Vain> {
        let tells =
            |o: &Outcome| matches!(o.class, Class::Found | Class::KeyClash | Class::NotAttempted | Class::Accepted);
        let last = said.iter().find(|o| !tells(o))?;
        if said.iter().any(tells) {
            return None;
        }
        let (since, goods) = flight.vain.as_ref().map_or((now, self.goods), |vain| (vain.since, vain.goods));
        let away = matches!(last.class, Class::Transient | Class::Throttled | Class::Auth);
        Some(Vain { since, goods, up: !away || self.goods > goods, words: last.reason.clone() })
    }

    /// The batch goes on with the rows that are left in it: asked for if it is accepted, else after as many tries, and not
    /// before so many milliseconds.
    pub(super) fn go_on(
        &mut self,
        batch: u64,
        mut flight: Flight,
        pause: (u32, u64),
        later: Option<&Later>,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        if flight.rows.is_empty() {
            actions.push(Action::Close { batch });
            return;
        }
        if flight.accepted.is_some() {
            flight.ask_later(later, now);
        } else {
            let (tries, least) = pause;
            let least = later.and_then(|later| later.after_ms).unwrap_or(least).max(least);
            flight.resend_at = Some(now.plus(self.backoff(tries).max(least)));
        }
        actions.push(flight.remains(batch));
        self.flights.insert(batch, flight);
    }

    /// Judges whether the answer speaks of the way or the target rather than of rows; then the lane pauses, but for a row that
    /// fails alone.
    pub(super) fn note_trouble(&mut self, answer: &Answer, isolated: bool, now: Millis) -> bool {
        let wide = |class| {
            matches!(class, Class::Transient | Class::Throttled | Class::Auth | Class::Contract | Class::Unknown)
        };
        let trouble = answer.whole && answer.outcomes.iter().all(|o| wide(o.class));
        if let Some(ms) = answer.retry_after_ms {
            self.away_until = self.away_until.max(now.plus(ms));
        }
        if trouble && !isolated {
            self.failures = self.failures.saturating_add(1);
            let throttled = answer.outcomes.first().is_some_and(|o| o.class == Class::Throttled);
            match (throttled, answer.retry_after_ms) {
                (true, Some(_)) => {}
                (true, None) => {
                    let pause = (THROTTLED_MS << (self.failures - 1).min(10)).min(THROTTLED_MOST_MS);
                    self.away_until = self.away_until.max(now.plus(pause));
                }
                (false, _) => {
                    let pause = self.backoff(self.failures);
                    self.pause_until = self.pause_until.max(now.plus(pause));
                }
            }
        } else if !trouble {
            self.failures = 0;
        }
        trouble
    }

    /// Full jitter between nothing and a bound that doubles.
    pub(super) fn backoff(&mut self, attempt: u32) -> u64 {
        let doubled = self.config.retry_first_ms.saturating_mul(1 << attempt.saturating_sub(1).min(30));
        self.jitter.u64(0..=doubled.min(self.config.retry_max_ms))
    }

    /// Puts a row back in line, not before `until`; `false` where it need not wait. It is `ready` on disk again once its batch
    /// is closed or without it.
    pub(super) fn again(&mut self, row: RowKey, until: Millis, now: Millis) -> bool {
        let Some(slot) = self.rows.get(&row).copied() else { return false };
        if self.is_behind_parked(&slot.row) {
            self.remove(row);
            return false;
        }
        let waits = until > now;
        if waits {
            self.set_state(row, State::Waiting(until), until);
        } else {
            self.set_state(row, State::Queued, now);
        }
        waits
    }

    /// Counts the row's trouble. Whether that has lasted, so that a person is needed.
    fn is_spent(&mut self, row: RowKey, class: Class, now: Millis) -> bool {
        let Some(slot) = self.rows.get_mut(&row) else { return false };
        let counted = class != Class::NotAttempted;
        if counted && slot.failed != Some(class) {
            (slot.failed, slot.tries) = (Some(class), 0); // another trouble has tries and a time of its own
        }
        if slot.tries == 0 {
            slot.since = now;
        }
        slot.tries = slot.tries.saturating_add(u32::from(counted));
        match class {
            Class::Conflict => self.config.replays_errors || slot.tries >= CONFLICT_TRIES,
            Class::Reference => self.config.replays_errors || now.since(slot.since) >= self.config.reference_grace_ms,
            _ => false,
        }
    }

    /// A row that had trouble of its own waits, or needs a person when that has lasted.
    pub(super) fn again_later(
        &mut self,
        row: RowKey,
        class: Class,
        outcome: &Outcome,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        if self.is_spent(row, class, now) {
            self.reject(row, outcome.clone(), false, actions);
            return;
        }
        let Some(slot) = self.rows.get(&row) else { return };
        let (tries, since, waits) = (slot.tries, slot.since, slot.tries.max(slot.put_off).max(1));
        let pause =
            self.backoff(waits).clamp(self.config.retry_first_ms, ROW_RETRY_MAX_MS.max(self.config.retry_first_ms));
        let until = now.plus(pause);
        if self.again(row, until, now) {
            let outcome = Outcome { class, ..outcome.clone() };
            actions.push(Action::Wait { row, until, outcome, tries, since });
        }
    }

    fn reject(&mut self, key: RowKey, outcome: Outcome, maybe: bool, actions: &mut Vec<Action>) {
        self.needs_person(key, Action::Reject { row: key, outcome, maybe, answered: true }, actions);
    }

    /// A row that no answer is the reason for.
    pub(super) fn set_apart(&mut self, key: RowKey, outcome: Outcome, maybe: bool, actions: &mut Vec<Action>) {
        self.needs_person(key, Action::Reject { row: key, outcome, maybe, answered: false }, actions);
    }

    fn needs_person(&mut self, key: RowKey, reject: Action, actions: &mut Vec<Action>) {
        let Some(slot) = self.rows.get(&key).copied() else { return };
        self.end(key);
        self.park(slot.row);
        actions.push(reject);
    }

    /// These rows never leave; the rest of their batch does.
    pub(super) fn unsendable(&mut self, batch: u64, rows: &[RowKey], outcome: &Outcome, actions: &mut Vec<Action>) {
        let Some(mut flight) = self.flights.remove(&batch) else { return };
        let never_sent = flight.attempt == 1 && flight.way == Way::Post;
        for row in rows {
            self.set_apart(*row, outcome.clone(), !never_sent, actions);
        }
        flight.rows.retain(|row| !rows.contains(row));
        if self.config.is_frozen() && !never_sent {
            for row in std::mem::take(&mut flight.rows) {
                self.set_apart(row, Self::broken_up(), true, actions);
            }
        }
        if never_sent {
            // What is behind a parked row waits with it.
            let behind = |row: &RowKey| self.rows.get(row).is_some_and(|slot| self.is_behind_parked(&slot.row));
            let (waits, goes) = flight.rows.iter().copied().partition(behind);
            flight.rows = goes;
            let waits: Vec<RowKey> = waits;
            for row in waits {
                self.remove(row);
            }
        } else if !flight.rows.is_empty() {
            actions.push(flight.remains(batch)); // the batch is a smaller one from here on
        }
        if flight.rows.is_empty() {
            actions.push(Action::Close { batch });
            return;
        }
        let (rows, attempt, first_sent) = (flight.rows.clone(), flight.attempt, flight.first_sent);
        let job = flight.accepted.as_ref().and_then(|accepted| accepted.job.clone()).unwrap_or_default();
        actions.push(match flight.way {
            Way::Post => Action::Send { batch, rows, attempt, first_sent },
            Way::Look => Action::Look { batch, rows, first_sent },
            Way::Poll => Action::Poll { batch, rows, first_sent, job },
        });
        self.flights.insert(batch, flight);
    }
}

fn replayed() -> Outcome {
    let reason = "the target answers its key with the error that it gave first; it was looked up and is not there: `retry` \
                  sends it under a new key";
    Outcome { code: Some(Outcome::REPLAYED.to_owned()), ..Outcome::new(Class::Validation, reason) }
}

/// A definite word against the whole batch, which one row of it may have caused.
fn refuses(class: Class) -> bool {
    !class.has_effect() && !matches!(class, Class::Accepted | Class::NotAttempted | Class::Unknown)
}

/// The row has its effect. A first attempt that finds its step done already was not the one who did it.
fn settled(row: RowKey, class: Class, outcome: &Outcome, first: bool) -> Action {
    let done = first && class == Class::Duplicate && outcome.code.as_deref() == Some(Outcome::ALREADY_DONE);
    let suspect = done.then(|| outcome.reason.clone());
    Action::Settle { row, class, reference: outcome.reference.clone(), suspect }
}

#[cfg(test)]
mod tests;
