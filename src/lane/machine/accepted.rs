//! Batches that the target has taken over and will give their effect later: they are asked for, and never sent again while
//! the target is at work on them (docs/erp-contract.md, "Answering later").
//!
//! Asking is not sending: the count of attempts stays as it is, and so does what waits behind these rows. Other subjects of
//! the lane go on; what the target has accepted is no request under way, so that `max_in_flight` does not count it.

use serde::{Deserialize, Serialize};

use super::{Action, Again, Flight, Lane, Way};
use crate::event::Millis;
use crate::lane::{Answer, By, Class, KeyScope, Later};

/// Without a word of the target, the first question comes after this long …
pub(super) const FIRST_MS: u64 = 5_000;
/// … and later ones after twice the time each, up to this.
const MOST_MS: u64 = 5 * 60_000;
/// The longest time that a target may ask us to wait.
const RETRY_AFTER_MOST_MS: u64 = 3_600_000;
/// After this long the keys are looked up as well; and a target that has said nothing for so long is not waited for.
const DEADLINE_MS: u64 = 30 * 60_000;

/// A batch that the target has taken over: as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Where it is asked for; `None`: by lookup.
    pub job: Option<String>,
    /// When it was accepted first.
    pub since: Millis,
    /// When it is asked for next.
    pub ask_at: Millis,
}

/// Rows that the target has been at work on for more than half an hour, as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// How many.
    pub rows: usize,
    /// When the first of them were accepted.
    pub since: Millis,
}

impl Accepted {
    fn is_overdue(&self, now: Millis) -> bool {
        now.since(self.since) >= DEADLINE_MS
    }

    /// When a start asks for it, whatever the clock has done meanwhile.
    pub(super) fn asked_after_start(&self, now: Millis) -> Millis {
        self.ask_at.max(now).min(now.plus(RETRY_AFTER_MOST_MS))
    }
}

impl Flight {
    /// What is to be done next to learn of an accepted batch: its job is asked, past the deadline in turn with a lookup.
    pub(super) fn ask(&mut self, batch: u64, settle_ms: Option<u64>, now: Millis) -> Option<Action> {
        let accepted = self.accepted.as_ref()?;
        let turn = accepted.is_overdue(now) && settle_ms.is_some() && self.way == Way::Poll;
        let (rows, first_sent) = (self.rows.clone(), self.first_sent);
        self.resend_at = None;
        if let Some(job) = accepted.job.clone().filter(|_| !turn) {
            self.way = Way::Poll;
            return Some(Action::Poll { batch, rows, first_sent, job });
        }
        self.way = Way::Look;
        // While a job is at work, and while nobody knows how late it is, that something is absent says nothing.
        let settled = settle_ms.is_some_and(|settle| now >= self.last_sent.plus(settle));
        self.absence_counts = settled && accepted.job.is_none() && !self.doubtful;
        Some(Action::Look { batch, rows, first_sent })
    }

    /// The target says that it is at work on it: whatever it says to be absent is so long after this only.
    fn at_work(&mut self, now: Millis) {
        self.last_sent = now;
    }
}

impl Lane {
    /// What the target has accepted and does not come to an end with.
    pub(in crate::lane) fn overdue(&self, now: Millis) -> Option<Overdue> {
        let late = |flight: &Flight| {
            let accepted = flight.accepted.as_ref().filter(|accepted| accepted.is_overdue(now))?;
            Some((accepted.since, flight.rows.len()))
        };
        let late: Vec<(Millis, usize)> = self.flights.values().filter_map(late).collect();
        let since = late.iter().map(|(since, _)| *since).min()?;
        Some(Overdue { rows: late.iter().map(|(_, rows)| rows).sum(), since })
    }

    /// Takes the target's word that it has taken rows of the batch over, or how else it wants to be asked.
    pub(super) fn taken_over(&self, flight: &mut Flight, accepted: bool, later: Option<&Later>, now: Millis) {
        let by = later.map(|later| &later.by);
        let job = by.and_then(|by| if let By::Job(job) = by { Some(job.clone()) } else { None });
        if accepted {
            flight.at_work(now);
        }
        if accepted && (job.is_some() || self.config.settle_ms.is_some()) {
            let since = flight.accepted.as_ref().map_or(now, |accepted| accepted.since);
            flight.looks = if flight.accepted.is_some() { flight.looks } else { 0 };
            flight.accepted = Some(Accepted { job, since, ask_at: now });
            return;
        }
        match by {
            Some(By::LookupOnly) => flight.again = Again::Never,
            Some(By::Lookup) => flight.unasked(),
            _ => {}
        }
    }

    /// What the target says of a batch that it had accepted, or why it says nothing.
    pub(super) fn polled(&mut self, batch: u64, answer: &Answer, now: Millis, actions: &mut Vec<Action>) {
        let Some(mut flight) = self.flights.remove(&batch) else { return };
        if !answer.whole {
            self.note_trouble(answer, false, now);
            // Of a request with one key its job alone tells, for as long as an answer may come late.
            let asks_on = self.config.key_scope == KeyScope::Parts;
            flight.accepted = flight.accepted.filter(|accepted| asks_on && !accepted.is_overdue(now));
            flight.looks = flight.looks.saturating_add(1);
            flight.unasked();
            self.judge(batch, flight, answer, (false, false), now, actions);
            return;
        }
        match answer.outcomes.first().map_or(Class::Unknown, |outcome| outcome.class) {
            Class::Accepted => flight.at_work(now),
            // The job is not known: the keys are.
            Class::Unknown => {
                flight.accepted = None;
                flight.unasked();
            }
            class => {
                if matches!(class, Class::Transient | Class::Throttled | Class::Auth) {
                    self.note_trouble(answer, false, now);
                }
                flight.give_up_if_silent(now);
            }
        }
        flight.looks = flight.looks.saturating_add(1);
        let attempt = flight.attempt;
        self.go_on(batch, flight, (attempt, 0), answer.later.as_ref(), now, actions);
    }
}

impl Flight {
    /// The next question of an accepted batch: when the target says, else after a time that doubles.
    pub(super) fn ask_later(&mut self, later: Option<&Later>, now: Millis) {
        let doubled = FIRST_MS.saturating_mul(1 << self.looks.min(10)).min(MOST_MS);
        let pause = later.and_then(|later| later.after_ms).unwrap_or(doubled);
        let at = now.plus(pause);
        self.resend_at = Some(at);
        if let Some(accepted) = &mut self.accepted {
            accepted.ask_at = at;
        }
    }

    /// For so long nobody has answered for it: it is unknown, like anything else without an answer.
    pub(super) fn give_up_if_silent(&mut self, now: Millis) {
        if self.accepted.is_some() && now.since(self.last_sent) >= DEADLINE_MS {
            self.accepted = None;
            self.unasked();
        }
    }

    /// It may be sent again as far as the target goes, and is looked up first where it can be.
    fn unasked(&mut self) {
        if !matches!(self.again, Again::Never | Again::Apart) {
            self.again = Again::Unasked;
        }
    }

    /// What remains of it, for the disk.
    pub(super) fn remains(&self, batch: u64) -> Action {
        let rows = self.rows.clone();
        match self.accepted.clone() {
            Some(accepted) => Action::Accepted { batch, rows, accepted },
            None => Action::Unknown { batch, rows, outdated: self.again == Again::Never },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::machine::{Exception, Input, Row, RowKey, SavedBatch};
    use crate::lane::{Config, Outcome};

    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;

    fn config(settle_ms: Option<u64>) -> Config {
        Config { max_events: 4, settle_ms, ..Config::example() }
    }

    fn row(seq: i64, order: i64) -> Row {
        Row { key: RowKey { seq, tx: 1 }, order, size: 10, held: false }
    }

    /// A lane that has sent a row of subject 1, with another one of it behind.
    fn sent(settle_ms: Option<u64>) -> Lane {
        let mut lane = Lane::new(config(settle_ms), 1);
        let actions = lane.step(Input::Loaded { rows: vec![row(1, 1), row(2, 1)], more: false }, Millis(0));
        assert!(matches!(&actions[..], [Action::Send { batch: 1, rows, .. }] if rows.len() == 1), "{actions:?}");
        lane
    }

    fn says(class: Class, code: Option<&str>, later: Option<Later>) -> Answer {
        let outcomes = vec![Outcome { code: code.map(str::to_owned), ..Outcome::new(class, "said") }];
        Answer { status: Some(200), excerpt: String::new(), outcomes, whole: true, retry_after_ms: None, later }
    }

    fn job(after_ms: Option<u64>) -> Later {
        Later { by: By::Job("http://erp/jobs/7".to_owned()), after_ms }
    }

    fn accepted(lane: &mut Lane, later: Later, now: Millis) -> Vec<Action> {
        lane.step(Input::Answered { batch: 1, answer: says(Class::Accepted, None, Some(later)) }, now)
    }

    fn polled(lane: &mut Lane, class: Class, later: Option<Later>, now: Millis) -> Vec<Action> {
        lane.step(Input::Polled { batch: 1, answer: says(class, None, later) }, now)
    }

    /// When the lane does something by itself next, and what.
    fn next(lane: &mut Lane) -> (Millis, Vec<Action>) {
        let at = lane.wake_at().expect("something is due");
        assert_eq!(lane.step(Input::Tick, at.minus(1)), [], "not before its time");
        (at, lane.step(Input::Tick, at))
    }

    #[test]
    fn what_is_accepted_is_asked_for_and_never_sent_again() {
        let mut lane = sent(None);
        let stored = accepted(&mut lane, job(Some(7 * SECOND)), Millis(0));
        assert!(matches!(&stored[..], [Action::Accepted { accepted, .. }] if accepted.ask_at == Millis(7_000)));
        let mut at = Millis(7_000);
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            let (due, actions) = next(&mut lane);
            assert!(due == at && matches!(&actions[..], [Action::Poll { job, .. }] if job == "http://erp/jobs/7"));
            polled(&mut lane, Class::Accepted, None, at);
            at = at.plus(pause * SECOND);
        }
        next(&mut lane);
        let done = says(Class::Delivered, None, None);
        let done = lane.step(Input::Polled { batch: 1, answer: Answer { whole: false, ..done } }, at);
        assert!(matches!(
            &done[..],
            [Action::Settle { .. }, Action::Close { batch: 1 }, Action::Send { batch: 2, attempt: 1, .. }]
        ));
    }

    /// It is no request under way: other subjects go on, and the later rows of its own wait.
    #[test]
    fn what_is_accepted_keeps_its_own_subject_waiting_and_nobody_else() {
        let mut lane = sent(None);
        accepted(&mut lane, job(None), Millis(0));
        let rows = vec![row(3, 2), row(4, 1)];
        let actions = lane.step(Input::Captured { rows, since: Millis(1) }, Millis(1));
        assert!(matches!(&actions[..], [Action::Send { rows, .. }] if rows[..] == [RowKey { seq: 3, tx: 1 }]));
    }

    #[test]
    fn a_start_asks_again_and_does_not_send() {
        let taken = Accepted { job: Some("http://erp/jobs/7".to_owned()), since: Millis(0), ask_at: Millis(9_000) };
        for (now, asked) in [(Millis(5_000), Millis(9_000)), (Millis(20_000), Millis(20_000))] {
            let mut lane = Lane::new(config(None), 1);
            let saved = SavedBatch {
                age_ms: None,
                batch: 1,
                rows: vec![row(1, 1)],
                attempt: 1,
                first_sent: Millis(0),
                accepted: Some(taken.clone()),
                outdated: false,
            };
            let booted = Some(now); // even where nobody knows how long it was off
            lane.restore(vec![saved], vec![(row(9, 9), Exception::Parked)], 2, booted, now);
            lane.step(Input::Loaded { rows: vec![], more: false }, now.minus(1));
            assert_eq!(lane.wake_at(), Some(asked));
            assert!(matches!(lane.step(Input::Tick, asked)[..], [Action::Poll { batch: 1, .. }]));
        }
    }

    #[test]
    fn a_job_that_is_not_known_is_looked_up_or_sent_again() {
        for (settle_ms, looks) in [(Some(SECOND), true), (None, false)] {
            let mut lane = sent(settle_ms);
            accepted(&mut lane, job(None), Millis(0));
            next(&mut lane);
            let gone = polled(&mut lane, Class::Unknown, None, Millis(60_000));
            assert!(matches!(gone[0], Action::Unknown { .. }), "{gone:?}");
            let then = lane.step(Input::Tick, Millis(120_000));
            assert_eq!(matches!(then[..], [Action::Look { .. }]), looks, "{then:?}");
            assert_eq!(matches!(then[..], [Action::Send { attempt: 2, .. }]), !looks, "{then:?}");
        }
    }

    #[test]
    fn after_half_an_hour_keys_are_looked_up_in_turn_and_absence_says_nothing_while_the_job_is_at_work() {
        let mut lane = sent(Some(SECOND));
        accepted(&mut lane, job(None), Millis(0));
        next(&mut lane);
        let late = Millis(0).plus(31 * MINUTE);
        polled(&mut lane, Class::Accepted, None, late);
        let (at, turn) = next(&mut lane);
        assert!(matches!(turn[..], [Action::Look { .. }]), "{turn:?}");
        let absent = lane.step(Input::Looked { batch: 1, answer: says(Class::NotAttempted, None, None) }, at);
        assert!(matches!(absent[..], [Action::Accepted { .. }]), "{absent:?}");
        let (_, turn) = next(&mut lane);
        assert!(matches!(turn[..], [Action::Poll { .. }]), "{turn:?}");
        let overdue = |minutes| lane.overdue(Millis(0).plus(minutes * MINUTE));
        assert_eq!(overdue(29), None);
        assert_eq!(overdue(30), Some(Overdue { rows: 1, since: Millis(0) }), "people hear of it");
    }

    #[test]
    fn a_target_that_says_nothing_for_half_an_hour_is_not_waited_for() {
        let mut lane = sent(None);
        accepted(&mut lane, job(None), Millis(0));
        next(&mut lane);
        let silent = polled(&mut lane, Class::Contract, None, Millis(0).plus(29 * MINUTE));
        assert!(matches!(silent[..], [Action::Accepted { .. }]), "{silent:?}");
        next(&mut lane);
        let silent = polled(&mut lane, Class::Contract, None, Millis(0).plus(35 * MINUTE));
        assert!(matches!(silent[..], [Action::Unknown { .. }]), "{silent:?}");
    }

    #[test]
    fn without_a_way_to_ask_it_is_unknown_and_not_sent_again_at_once() {
        let mut lane = sent(None);
        let outstanding = accepted(&mut lane, Later { by: By::Lookup, after_ms: None }, Millis(0));
        assert!(matches!(outstanding[..], [Action::Unknown { .. }]), "{outstanding:?}");
        let (at, actions) = next(&mut lane);
        assert!(at >= Millis(5_000) && matches!(actions[..], [Action::Send { attempt: 2, .. }]), "{actions:?}");
    }

    /// HTTP 412: the target has forgotten that it saw the key.
    #[test]
    fn what_a_target_no_longer_tells_is_looked_up_or_for_a_person() {
        for settle_ms in [Some(SECOND), None] {
            let mut lane = sent(settle_ms);
            let later = Some(Later { by: By::LookupOnly, after_ms: None });
            lane.step(Input::Answered { batch: 1, answer: says(Class::Unknown, None, later) }, Millis(0));
            let then = lane.step(Input::Tick, Millis(60_000));
            match settle_ms {
                Some(_) => assert!(matches!(then[..], [Action::Look { .. }]), "{then:?}"),
                None => assert!(matches!(then[0], Action::Reject { maybe: true, .. }), "{then:?}"),
            }
        }
    }

    #[test]
    fn a_batch_that_is_too_large_makes_all_later_ones_smaller() {
        let mut lane = Lane::new(config(None), 1);
        let rows: Vec<Row> = (1..=8).map(|n| row(n, n)).collect();
        lane.step(Input::Loaded { rows, more: false }, Millis(0));
        let large = Outcome { code: Some(Outcome::TOO_LARGE.to_owned()), ..Outcome::new(Class::NotAttempted, "") };
        let outcomes = vec![large; 4];
        let answer = Answer { outcomes, ..says(Class::NotAttempted, None, None) };
        let mut actions = lane.step(Input::Answered { batch: 1, answer }, Millis(0));
        for batch in 2..6 {
            let sent = actions
                .iter()
                .any(|a| matches!(a, Action::Send { batch: n, rows, .. } if *n == batch && rows.len() == 2));
            assert!(sent, "{actions:?}");
            let answer =
                Answer { outcomes: vec![Outcome::new(Class::Delivered, ""); 2], ..says(Class::Delivered, None, None) };
            actions = lane.step(Input::Answered { batch, answer }, Millis(0));
        }
    }

    #[test]
    fn a_step_that_somebody_has_done_already_is_told_at_the_first_attempt_only() {
        for (attempts, told) in [(1, true), (2, false)] {
            let mut lane = sent(None);
            let mut now = Millis(0);
            for _ in 1..attempts {
                lane.step(Input::Answered { batch: 1, answer: says(Class::Unknown, None, None) }, now);
                now = next(&mut lane).0;
            }
            let done = says(Class::Duplicate, Some(Outcome::ALREADY_DONE), None);
            let actions = lane.step(Input::Answered { batch: 1, answer: Answer { whole: false, ..done } }, now);
            let suspect = matches!(&actions[0], Action::Settle { suspect: Some(_), .. });
            assert_eq!(suspect, told, "{actions:?}");
        }
    }

    #[test]
    fn a_target_that_throttles_without_a_time_is_left_alone_for_half_a_minute_and_longer() {
        let mut lane = sent(None);
        let mut now = Millis(0);
        for (batch, pause) in [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 600), (7, 600)] {
            let throttled = says(Class::Throttled, None, None);
            lane.step(Input::Answered { batch, answer: throttled }, now);
            let (at, _) = next(&mut lane);
            assert_eq!(at.since(now), pause * SECOND, "batch {batch}");
            now = at;
        }
    }
}
