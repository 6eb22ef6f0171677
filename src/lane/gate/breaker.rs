//! The breaker of a system: open, nothing leaves, and no row is charged with an attempt.
//!
//! It opens at [`IN_A_ROW`] failures in a row, or when more than half of at least [`AT_LEAST`] answers of a minute are failures;
//! at once when the system refuses who we are, or what we send at all. Then one row at a time finds out whether it is back, each
//! failure doubling the wait; [`GOOD`] good ones in a row close it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Standing, Trouble};
use crate::event::Millis;
use crate::lane::Class;

/// Failures in a row that open it.
const IN_A_ROW: u32 = 5;
/// Answers of the last minute of which more than half open it …
const AT_LEAST: usize = 20;
/// … this long.
const SPAN_MS: u64 = 60_000;
/// Answers that are remembered at most, the newest.
pub(super) const REMEMBERED: usize = 1_024;
/// Good ones in a row that close it.
const GOOD: u32 = 3;

/// Why a breaker opened, or stays open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Too many requests brought nothing: no connection, no answer, 5xx.
    #[default]
    Failing,
    /// It refuses who we are.
    Auth,
    /// It refuses what we send: URL, method, content type.
    Contract,
    /// It opened for another reason, and is asked for fewer requests since.
    Throttled,
}

impl Why {
    /// The word in status and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Auth => "auth",
            Self::Contract => "contract",
            Self::Throttled => "throttled",
        }
    }

    /// The class of the answers that it stands for.
    pub fn class(self) -> Class {
        match self {
            Self::Failing => Class::Transient,
            Self::Auth => Class::Auth,
            Self::Contract => Class::Contract,
            Self::Throttled => Class::Throttled,
        }
    }
}

/// What an answer says of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    Good,
    /// Slow down: neither good nor a failure.
    Throttled(Why, Said),
    Bad(Why, Said),
}

/// What is told of an answer that was no good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) words: String,
    pub(super) help: &'static str,
    pub(super) seq: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Millis },
    HalfOpen { good: u32, good_since: Option<Millis>, probe: Option<(usize, u64)> },
}

#[derive(Debug)]
pub(super) struct Breaker {
    first_ms: u64,
    max_ms: u64,
    state: State,
    /// Of the answer that opened it, or of the last one since that was no good.
    trouble: Trouble,
    wait_ms: u64,
    in_a_row: u32,
    /// When, and whether it was good.
    recent: VecDeque<(Millis, bool)>,
    tried: Option<usize>,
}

impl Breaker {
    pub(super) fn new(first_ms: u64, max_ms: u64) -> Self {
        Self {
            first_ms,
            max_ms,
            state: State::Closed,
            trouble: Trouble::default(),
            wait_ms: first_ms,
            in_a_row: 0,
            recent: VecDeque::new(),
            tried: None,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When something may leave; `None`: the answer to a probe comes first.
    pub(super) fn opens_at(&self) -> Option<Millis> {
        match self.state {
            State::Closed | State::HalfOpen { probe: None, .. } => Some(Millis::default()),
            State::Open { until } => Some(until),
            State::HalfOpen { probe: Some(_), .. } => None,
        }
    }

    /// Time has passed. Whether it is half open from now on.
    pub(super) fn wake(&mut self, now: Millis) -> bool {
        let due = matches!(self.state, State::Open { until } if until <= now);
        if due {
            self.state = State::HalfOpen { good: 0, good_since: None, probe: None };
        }
        due
    }

    pub(super) fn left(&mut self, lane: usize, batch: u64) {
        if let State::HalfOpen { probe, .. } = &mut self.state {
            *probe = Some((lane, batch));
        }
    }

    pub(super) fn gone(&mut self, lane: usize, batch: u64) {
        if let State::HalfOpen { probe, .. } = &mut self.state
            && *probe == Some((lane, batch))
        {
            *probe = None;
        }
    }

    pub(super) fn probe(&self) -> Option<(usize, u64)> {
        if let State::HalfOpen { probe, .. } = self.state { probe } else { None }
    }

    pub(super) fn tried(&self) -> Option<usize> {
        self.tried
    }

    pub(super) fn answered(&mut self, lane: usize, batch: u64, judged: Judged, isolated: bool, now: Millis) {
        match self.state {
            State::Closed => self.counted(judged, isolated, now),
            // What had left before says nothing of the system as it is now.
            State::HalfOpen { good, good_since, probe } if probe == Some((lane, batch)) => {
                let (good, good_since) = match judged {
                    Judged::Good if good + 1 >= GOOD => return self.close(),
                    Judged::Good => (good + 1, good_since.or(Some(now))),
                    Judged::Throttled(why, said) => {
                        self.tell(why, said, now);
                        (good, good_since)
                    }
                    Judged::Bad(why, said) => {
                        self.tried = Some(lane);
                        self.wait_ms = self.wait_ms.saturating_mul(2).min(self.max_ms);
                        return self.open(why, said, now);
                    }
                };
                self.state = State::HalfOpen { good, good_since, probe: None };
            }
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    /// What a question was answered says nothing of postings, and is what the system said last.
    pub(super) fn heard(&mut self, judged: Judged, now: Millis) {
        if let (false, Judged::Throttled(why, said) | Judged::Bad(why, said)) = (self.is_closed(), judged) {
            self.tell(why, said, now);
        }
    }

    fn counted(&mut self, judged: Judged, isolated: bool, now: Millis) {
        let (good, said) = match judged {
            Judged::Throttled(..) => return,
            Judged::Bad(Why::Failing, _) if isolated => return,
            Judged::Bad(why @ (Why::Auth | Why::Contract), said) => {
                self.trouble.since = now;
                return self.open(why, said, now);
            }
            Judged::Bad(Why::Failing | Why::Throttled, said) => (false, said),
            Judged::Good => (true, Said::default()),
        };
        self.in_a_row = if good { 0 } else { self.in_a_row + 1 };
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((now, good));
        while self.recent.front().is_some_and(|(at, _)| now.since(*at) > SPAN_MS) {
            self.recent.pop_front();
        }
        let failed = self.recent.iter().filter(|(_, good)| !good).count();
        if self.in_a_row >= IN_A_ROW || (self.recent.len() >= AT_LEAST && failed * 2 > self.recent.len()) {
            self.trouble.since = now;
            self.open(Why::Failing, said, now);
        }
    }

    fn open(&mut self, why: Why, said: Said, now: Millis) {
        self.tell(why, said, now);
        self.in_a_row = 0;
        self.recent.clear();
        self.state = State::Open { until: now.plus(self.wait_ms) };
    }

    fn tell(&mut self, why: Why, Said { words, help, seq }: Said, now: Millis) {
        self.trouble = Trouble { since: self.trouble.since, at: now, why, words, help: help.to_owned(), seq };
    }

    fn close(&mut self) {
        self.wait_ms = self.first_ms;
        self.tried = None;
        self.state = State::Closed;
    }

    pub(super) fn standing(&self) -> Standing {
        let trouble = self.trouble.clone();
        match self.state {
            State::Closed => Standing::Closed,
            State::Open { until } => Standing::Open { trouble, next_try: Some(until) },
            State::HalfOpen { good, good_since, .. } => {
                Standing::HalfOpen { trouble, next_try: None, good_since, good, closes_at: GOOD }
            }
        }
    }
}
