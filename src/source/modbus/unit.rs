//! One unit of a bus: whether it may be asked now. Pure: time is handed in.
//!
//! Each request to a dead unit costs the whole bus a timeout. After some failures in a row it is left alone for a while,
//! then asked again; each time it fails then, the while doubles.

use std::time::Duration;

use tokio::time::Instant;

/// When a unit is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Failures in a row.
    pub after_failures: u32,
    /// How long at first …
    pub first: Duration,
    /// … and at most.
    pub max: Duration,
}

/// A unit's record.
#[derive(Debug)]
pub(super) struct Unit {
    quarantine: Quarantine,
    retries: u32,
    /// Attempts at the present poll that failed.
    tries: u32,
    failures: u32,
    /// How long it is left alone next.
    next: Duration,
    until: Option<Instant>,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same poll again, at once.
    Retry,
    /// Go on with the next poll.
    Failed,
    /// Leave it alone until then.
    Quarantined(Instant),
}

impl Unit {
    pub(super) const fn new(quarantine: Quarantine, retries: u32) -> Self {
        Self { quarantine, retries, tries: 0, failures: 0, next: quarantine.first, until: None }
    }

    /// It answered; whether that ended a quarantine.
    pub(super) fn answered(&mut self) -> bool {
        (self.tries, self.failures, self.next) = (0, 0, self.quarantine.first);
        self.until.take().is_some()
    }

    /// It did not answer, or not rightly. `shared`: others wait behind it.
    pub(super) fn failed(&mut self, now: Instant, shared: bool) -> Verdict {
        // A unit that comes out of quarantine is asked once.
        if self.until.is_none() && self.tries < self.retries {
            self.tries += 1;
            return Verdict::Retry;
        }
        self.tries = 0;
        self.failures += 1;
        if !shared || (self.until.is_none() && self.failures < self.quarantine.after_failures) {
            return Verdict::Failed;
        }
        Verdict::Quarantined(self.leave_alone(now))
    }

    /// Leaves it alone, whatever it did.
    pub(super) fn leave_alone(&mut self, now: Instant) -> Instant {
        let until = now + self.next;
        self.until = Some(until);
        self.next = self.next.saturating_mul(2).min(self.quarantine.max);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const QUARANTINE: Quarantine = Quarantine { after_failures: 3, first: SECOND, max: SECOND.saturating_mul(5) };

    /// What failures at second 0 mean, as words.
    fn failures(unit: &mut Unit, start: Instant, count: usize) -> Vec<String> {
        let word = |verdict| match verdict {
            Verdict::Quarantined(until) => format!("{} s", until.duration_since(start).as_secs()),
            other => format!("{other:?}"),
        };
        (0..count).map(|_| word(unit.failed(start, true))).collect()
    }

    #[test]
    fn the_quarantine_doubles_to_its_most_and_an_answer_ends_it() {
        let (mut unit, start) = (Unit::new(QUARANTINE, 0), Instant::now());
        assert_eq!(failures(&mut unit, start, 2), ["Failed", "Failed"]);
        assert!(!unit.answered(), "it was in none");
        assert_eq!(failures(&mut unit, start, 7), ["Failed", "Failed", "1 s", "2 s", "4 s", "5 s", "5 s"]);
        assert!(unit.answered());
        assert_eq!(failures(&mut unit, start, 3), ["Failed", "Failed", "1 s"]);
        unit.answered();
        assert_eq!(
            (0..9).map(|_| unit.failed(start, false)).collect::<Vec<_>>(),
            [Verdict::Failed; 9],
            "alone on its link"
        );
    }

    #[test]
    fn a_poll_is_tried_again_but_not_out_of_quarantine() {
        let (mut unit, start) = (Unit::new(QUARANTINE, 1), Instant::now());
        let expected = ["Retry", "Failed", "Retry", "Failed", "Retry", "1 s", "2 s"];
        assert_eq!(failures(&mut unit, start, 7), expected);
    }
}
