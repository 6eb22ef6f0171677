//! What stands between the lanes of a system and the system itself: its breaker, and what it allows us in requests.
//!
//! Pure, stepped beside the lanes by [`Lanes`](crate::lane::Lanes): asked before anything leaves, told what left and what came
//! back. A lane that has trouble of its own (Retry-After, backoff) pauses itself; the gate is for what all lanes of a system
//! have in common. Bounds: the answers of the last minute, at most [`breaker::REMEMBERED`] of them.

mod breaker;
mod bucket;

use serde::{Deserialize, Serialize};

use crate::event::Millis;
use crate::lane::{Answer, Class, advice};

pub use breaker::Why;
use breaker::{Breaker, Judged, Said};
use bucket::Bucket;

/// What a system allows, and how it is tried after trouble. The same for all lanes of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a minute that it allows in all; `None`: as many as come.
    pub per_minute: Option<u32>,
    /// Requests that it allows at once after a quiet time.
    pub burst: u32,
    /// Requests of all lanes that may be under way at a time; `None`: as many as the lanes have.
    pub max_concurrent: Option<usize>,
    /// After so many milliseconds an open breaker lets the first row through …
    pub breaker_first_ms: u64,
    /// … and, when that fails, after twice the time, up to this.
    pub breaker_max_ms: u64,
    /// Too many rejections stop a lane. A fault that tests plant where it is `false`: no configuration file says so.
    pub storm_guard: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_minute: None,
            burst: 1,
            max_concurrent: None,
            breaker_first_ms: 10_000,
            breaker_max_ms: 5 * 60_000,
            storm_guard: true,
        }
    }
}

/// What may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// A batch.
    Batch,
    /// One row, to find out whether the system takes postings again.
    Probe,
}

/// How the way to a system stands, as people are shown it. Times are UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "breaker")]
pub enum Standing {
    /// Everything goes.
    Closed,
    /// Nothing goes.
    Open {
        /// Why not.
        #[serde(flatten)]
        trouble: Trouble,
        /// When one row is sent, to find out; `None`: no row waits that may go.
        next_try: Option<Millis>,
    },
    /// One row at a time goes, to find out.
    HalfOpen {
        /// Why nothing went before.
        #[serde(flatten)]
        trouble: Trouble,
        /// When the next one is sent; `None`: one is under way, or none waits that may go.
        #[serde(default)]
        next_try: Option<Millis>,
        /// When the first row was answered well since; `None`: none was yet.
        #[serde(default)]
        good_since: Option<Millis>,
        /// How many were, in a row …
        #[serde(default)]
        good: u32,
        /// … of so many that close it.
        #[serde(default)]
        closes_at: u32,
    },
}

/// What opened a breaker, or has kept it open since. Times are UTC milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since the first opening.
    pub since: Millis,
    /// When the last answer came that was no good, or none came.
    #[serde(default)]
    pub at: Millis,
    /// Why, by that answer.
    pub why: Why,
    /// Its words, for people.
    pub words: String,
    /// What a person does about that answer.
    #[serde(default)]
    pub help: String,
    /// Number of the first posting that was answered so, where an answer came.
    #[serde(default)]
    pub seq: Option<i64>,
}

/// One system's gate.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    breaker: Breaker,
    bucket: Option<Bucket>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let bucket = limits.per_minute.map(|per_minute| Bucket::new(per_minute, limits.burst));
        Self { limits, breaker: Breaker::new(limits.breaker_first_ms, limits.breaker_max_ms), bucket }
    }

    /// Time has passed. Whether the system is to be tried from now on.
    pub(super) fn wake(&mut self, now: Millis) -> bool {
        self.breaker.wake(now)
    }

    /// What may leave now, with so many requests under way.
    pub(super) fn permit(&self, flying: usize, now: Millis) -> Option<Permit> {
        if self.opens_at(flying, now)? > now {
            return None;
        }
        Some(if self.breaker.is_closed() { Permit::Batch } else { Permit::Probe })
    }

    /// Nothing but requests under way keeps a batch from leaving.
    pub(super) fn is_open(&self) -> bool {
        self.bucket.is_none() && self.breaker.is_closed()
    }

    /// When something may leave; `None`: an answer comes first.
    pub(super) fn opens_at(&self, flying: usize, now: Millis) -> Option<Millis> {
        if self.limits.max_concurrent.is_some_and(|most| flying >= most) {
            return None;
        }
        let tried = self.breaker.opens_at()?;
        Some(self.bucket.as_ref().map_or(tried, |bucket| tried.max(bucket.fills_at(now))))
    }

    /// A request left: `posting` the rows of its batch, or only asking for them.
    pub(super) fn left(&mut self, lane: usize, batch: u64, posting: bool, now: Millis) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
        if posting {
            self.breaker.left(lane, batch);
        }
    }

    /// What came of a request that posted, the first of its rows of that number. `isolated`: it held one row that fails alone,
    /// which says nothing of the system.
    pub(super) fn answered(
        &mut self,
        (lane, batch): (usize, u64),
        seq: Option<i64>,
        answer: &Answer,
        isolated: bool,
        now: Millis,
    ) {
        let judged = judge(answer, seq);
        if matches!(judged, Judged::Throttled(..))
            && let Some(bucket) = &mut self.bucket
        {
            bucket.shrink(now);
        }
        self.breaker.answered(lane, batch, judged, isolated, now);
    }

    /// What came of a request that asked for rows, the first of them of that number.
    pub(super) fn heard(&mut self, seq: Option<i64>, answer: &Answer, now: Millis) {
        self.breaker.heard(judge(answer, seq), now);
    }

    /// The batch is no longer under way, whatever became of it.
    pub(super) fn gone(&mut self, lane: usize, batch: u64) {
        self.breaker.gone(lane, batch);
    }

    /// The lane and the batch by which it is being found out whether the system is back.
    pub(super) fn probe(&self) -> Option<(usize, u64)> {
        self.breaker.probe()
    }

    /// The lane whose row was tried last, in vain.
    pub(super) fn tried(&self) -> Option<usize> {
        self.breaker.tried()
    }

    pub(super) fn standing(&self) -> Standing {
        self.breaker.standing()
    }

    /// Requests in a minute that are left to postings now, if there is a bound.
    pub(super) fn per_minute(&self, now: Millis) -> Option<u32> {
        self.bucket.as_ref().map(|bucket| bucket.per_minute(now))
    }
}

/// What an answer says of the system rather than of rows. A 503 with a Retry-After is a word of the system's: it asks for fewer.
fn judge(answer: &Answer, seq: Option<i64>) -> Judged {
    let all = |is: fn(Class) -> bool| answer.whole && answer.outcomes.iter().all(|outcome| is(outcome.class));
    let said = || {
        let said = answer.outcomes.first();
        let help = said.and_then(|said| advice(said.class, answer.status, &said.reason)).unwrap_or_default();
        let words = said.map(|said| said.reason.clone()).unwrap_or_default();
        Said { words, help, seq: seq.filter(|_| answer.status.is_some()) }
    };
    if all(|class| class == Class::Throttled) {
        Judged::Throttled(Why::Throttled, said())
    } else if answer.retry_after_ms.is_some() && all(|class| class == Class::Unknown) {
        Judged::Throttled(Why::Failing, said())
    } else if all(|class| class == Class::Auth) {
        Judged::Bad(Why::Auth, said())
    } else if all(|class| class == Class::Contract) {
        Judged::Bad(Why::Contract, said())
    } else if all(|class| matches!(class, Class::Transient | Class::Unknown)) {
        Judged::Bad(Why::Failing, said())
    } else {
        Judged::Good
    }
}

#[cfg(test)]
mod tests;
