//! What a system allows us in requests: a token for each, which come back at its rate.
//!
//! A fifth of the rate and of the burst is kept for validation calls and is never given to postings, whether there are
//! validation calls or not. When the system asks for fewer the rate is halved, and comes back by a hundredth of what is
//! configured each minute.

use crate::event::Millis;

/// The part of the tokens that postings may have; the rest is for validation calls.
const POSTINGS: f64 = 0.8;
/// The lowest part of the configured rate that halving leads to: it comes back from there within 100 minutes.
const LEAST: f64 = 1.0 / 64.0;
/// What comes back of the configured rate each minute.
const RECOVERY: f64 = 0.01;
const MINUTE_MS: f64 = 60_000.0;
/// Answers of requests that were under way together are one word: it is halved once in this time.
const ONE_WORD_MS: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Bucket {
    per_minute: f64,
    burst: f64,
    /// Tokens at `at`.
    tokens: f64,
    /// Part of the rate that is left, at `at`.
    part: f64,
    at: Millis,
    shrunk: Option<Millis>,
}

impl Bucket {
    pub(super) fn new(per_minute: u32, burst: u32) -> Self {
        let burst = (f64::from(burst) * POSTINGS).max(1.0);
        let per_minute = f64::from(per_minute) * POSTINGS;
        Self { per_minute, burst, tokens: burst, part: 1.0, at: Millis::default(), shrunk: None }
    }

    /// Brings it up to `now`; a clock that steps back adds nothing.
    fn fill(&mut self, now: Millis) {
        (self.tokens, self.part) = self.at(now);
        self.at = now;
    }

    /// Tokens and part of the rate. What is filled between two looks is reckoned with the rate before.
    fn at(&self, now: Millis) -> (f64, f64) {
        let minutes = now.since(self.at) as f64 / MINUTE_MS;
        let tokens = (self.tokens + minutes * self.per_minute * self.part).min(self.burst);
        (tokens, (self.part + minutes * RECOVERY).min(1.0))
    }

    pub(super) fn take(&mut self, now: Millis) {
        self.fill(now);
        self.tokens -= 1.0;
    }

    /// When there is a token.
    pub(super) fn fills_at(&self, now: Millis) -> Millis {
        let (tokens, part) = self.at(now);
        if tokens >= 1.0 {
            return now;
        }
        let minutes = (1.0 - tokens) / (self.per_minute * part);
        now.plus((minutes * MINUTE_MS).ceil().max(1.0) as u64)
    }

    /// The system asks for fewer.
    pub(super) fn shrink(&mut self, now: Millis) {
        if self.shrunk.is_some_and(|at| now.since(at) < ONE_WORD_MS) {
            return;
        }
        self.fill(now);
        self.shrunk = Some(now);
        self.part = (self.part / 2.0).max(LEAST);
        self.tokens = self.tokens.min(1.0);
    }

    pub(super) fn per_minute(&self, now: Millis) -> u32 {
        (self.per_minute * self.at(now).1).round() as u32
    }
}
