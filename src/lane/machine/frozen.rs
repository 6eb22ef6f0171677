//! Batches whose key is one for the request: frozen from their first send until it is known what came of them.
//!
//! Where such a request has its effect wholly or not at all, what is said of its rows is one word. A word that is not keeps all of
//! it unknown: resent as it was, never grouped anew. What one row of it was refused for when it left first says that nothing of it
//! has had effect; then the others are free, and go under other keys. Of one that was sent again only a refusal for what the row
//! itself is says so, where the target looks at requests under their keys, and when no earlier attempt can be at work any more.
//!
//! Where its rows have their effect each by itself, a job does the request once, whatever comes again under its key. So what the
//! job says of a row is all that became of it, in earlier attempts too. A row of which it says nothing is asked for on; it is
//! never sent without the others, which would be another request.

use std::borrow::Cow;

use super::{Again, Flight, Lane, RowKey};
use crate::event::Millis;
use crate::lane::{Answer, By, Class, Config, Idempotency, KeyScope, Outcome};

impl Lane {
    /// What the answer says of the batch, and whether what it refuses had no effect in an earlier attempt either.
    pub(super) fn of_one_piece<'a>(&self, flight: &Flight, answer: &'a Answer, now: Millis) -> (Cow<'a, Answer>, bool) {
        let first = flight.attempt == 1;
        match self.config.key_scope {
            KeyScope::Item => return (Cow::Borrowed(answer), first),
            KeyScope::Parts if !answer.whole => return (Cow::Borrowed(answer), true),
            KeyScope::Request | KeyScope::Parts => {}
        }
        let said = &answer.outcomes;
        let looked_at = self.is_looked_at(flight, answer, now);
        let all = |is: fn(Class) -> bool| said.len() == flight.rows.len() && said.iter().all(|o| is(o.class));
        if answer.whole || all(Class::has_effect) || all(|class| class == Class::Accepted) {
            return (Cow::Borrowed(answer), first || looked_at);
        }
        if all(without_effect) && (first || looked_at) {
            return (Cow::Borrowed(answer), true);
        }
        (Cow::Owned(unknown(answer, flight.rows.len())), first)
    }

    /// The target has looked at the request under its key, and would have given its first answer again if there had been one. While
    /// an earlier attempt may be at work it can't know, and what it calls changed, locked or missing may be so by that one.
    fn is_looked_at(&self, flight: &Flight, answer: &Answer, now: Millis) -> bool {
        let at_work = self.may_be_at_work_until(flight) > now;
        let spoken = answer.status.is_some_and(|status| !answer.whole || status < 400);
        self.config.idempotency == Idempotency::Key && !at_work && spoken && answer.outcomes.iter().any(is_its_own)
    }

    /// An earlier attempt, of which nobody has heard, may have its effect until then.
    fn may_be_at_work_until(&self, flight: &Flight) -> Millis {
        let settle_ms = self.config.settle_ms.unwrap_or(2 * self.config.timeout_ms);
        flight.unheard.map_or(Millis(0), |left| left.plus(settle_ms))
    }

    /// How long to wait until an answer like this one decides of the batch; milliseconds.
    pub(super) fn too_early(&self, flight: &Flight, answer: &Answer, clean: bool, now: Millis) -> u64 {
        let refused = self.config.is_atomic() && !clean && answer.outcomes.iter().any(is_its_own);
        if refused { self.may_be_at_work_until(flight).since(now) } else { 0 }
    }

    /// What a lookup says of a batch whose rows have their effect together: nothing, unless it tells of each of them. A part that
    /// is there may say only that the lookup came in between, or lags: that counts when it is seen twice, a settle delay apart.
    /// Then what is there is there, and what is not is a person's.
    pub(super) fn of_one_voice<'a>(&self, flight: &mut Flight, answer: &'a Answer, now: Millis) -> Cow<'a, Answer> {
        if !self.config.is_atomic() {
            return Cow::Borrowed(answer);
        }
        let (said, rows) = (&answer.outcomes, flight.rows.len());
        let there = |outcome: &&Outcome| matches!(outcome.class, Class::Found | Class::KeyClash);
        let absent = |outcome: &&Outcome| outcome.class == Class::NotAttempted && flight.absence_counts;
        let (present, missing) = (said.iter().filter(there).count(), said.iter().filter(absent).count());
        if present + missing != rows {
            return Cow::Owned(unknown(answer, rows));
        }
        if present == 0 || missing == 0 {
            return Cow::Borrowed(answer);
        }
        if !std::mem::replace(&mut flight.torn, true) {
            flight.last_sent = now;
            return Cow::Owned(unknown(answer, rows));
        }
        let each = |outcome: &Outcome| if there(&outcome) { outcome.clone() } else { Self::torn_off() };
        Cow::Owned(Answer { outcomes: said.iter().map(each).collect(), ..answer.clone() })
    }

    /// Why a row is given up that is not there, while others of its request are.
    fn torn_off() -> Outcome {
        let reason = "the target has others of its request, which has its effect wholly or not at all, and does not have it: \
                      look in the target whether it was posted";
        Outcome::new(Class::Unresolvable, reason)
    }

    /// The target calls a request too old at its very first attempt: it has no effect, and the clocks disagree.
    pub(super) fn is_never_taken(&self, flight: &Flight, answer: &Answer) -> bool {
        let too_old = answer.later.as_ref().is_some_and(|later| later.by == By::LookupOnly);
        self.config.is_frozen() && too_old && answer.whole && flight.attempt == 1
    }

    /// What that says of its rows: nothing, and of the way, that somebody has to look.
    pub(super) fn never_taken(answer: &Answer) -> Answer {
        let reason = |said: &str| {
            format!(
                "{said}, and it was sent for the first time: is the clock of this gateway right, and `dedup_horizon`?"
            )
        };
        let outcome = |outcome: &Outcome| Outcome::new(Class::Contract, reason(&outcome.reason));
        Answer { outcomes: answer.outcomes.iter().map(outcome).collect(), later: None, ..answer.clone() }
    }

    /// Why rows are given up whose request can't be sent again.
    pub(super) fn broken_up() -> Outcome {
        let reason = "it was sent in one request with a row that is damaged now, so that the request can't be sent again as it \
                      was: look in the target whether it was posted";
        Outcome::new(Class::Unresolvable, reason)
    }
}

impl Flight {
    /// These rows of it are left.
    pub(super) fn left_with(&mut self, rows: Vec<RowKey>, config: &Config) {
        if rows.len() < self.rows.len() && config.only_whole() {
            self.again = Again::Apart;
        }
        self.rows = rows;
    }
}

/// A refusal for what a row is, whatever the state of the target.
fn is_its_own(outcome: &Outcome) -> bool {
    let of_state = matches!(outcome.code.as_deref(), Some(Outcome::ETAG_CHANGED | Outcome::ETAG_MISSING));
    matches!(outcome.class, Class::Validation | Class::KeyClash) && !of_state
}

fn without_effect(class: Class) -> bool {
    !class.has_effect() && !matches!(class, Class::Accepted | Class::Unknown)
}

fn unknown(answer: &Answer, rows: usize) -> Answer {
    let first = answer.outcomes.iter().find(|outcome| !outcome.class.has_effect());
    let words = first.map_or("the answer does not speak of all of it", |outcome| outcome.reason.as_str());
    let outcome = Outcome::new(Class::Unknown, format!("the answer gives no one word for the whole request: {words}"));
    Answer { outcomes: vec![outcome; rows], ..answer.clone() }
}

#[cfg(test)]
mod tests;
