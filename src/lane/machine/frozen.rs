//! Batches whose key is one for the request: frozen from their first send until it is known what came of them.
//!
//! Where such a request has its effect wholly or not at all, what is said of its rows is one word. A word that is not keeps all of
//! it unknown: resent as it was, never grouped anew. What one row of it was refused for, looked at as a whole under its key, says
//! that nothing of it has had effect, now or before; then the others are free, and go under other keys.
//!
//! Where its rows have their effect each by itself, a job does the request once, whatever comes again under its key. So what the
//! job says of a row is all that became of it, in earlier attempts too. A row of which it says nothing is asked for on; it is
//! never sent without the others, which would be another request.

use std::borrow::Cow;

use super::{Again, Flight, Lane, RowKey};
use crate::lane::{Answer, Class, Config, KeyScope, Outcome};

impl Lane {
    /// What the answer says of the batch, and whether what it refuses had no effect in an earlier attempt either.
    pub(super) fn of_one_piece<'a>(&self, flight: &Flight, answer: &'a Answer) -> (Cow<'a, Answer>, bool) {
        let first = flight.attempt == 1;
        match self.config.key_scope {
            KeyScope::Item => return (Cow::Borrowed(answer), first),
            KeyScope::Parts if !answer.whole => return (Cow::Borrowed(answer), true),
            KeyScope::Request | KeyScope::Parts => {}
        }
        let said = &answer.outcomes;
        let looked_at = said.iter().any(|o| refused(o.class)) && (!answer.whole || answer.status < Some(400));
        let all = |is: fn(Class) -> bool| said.len() == flight.rows.len() && said.iter().all(|o| is(o.class));
        if answer.whole || all(Class::has_effect) || all(|class| class == Class::Accepted) {
            return (Cow::Borrowed(answer), first || (looked_at && answer.status.is_some()));
        }
        if all(without_effect) && (first || looked_at) {
            return (Cow::Borrowed(answer), true);
        }
        (Cow::Owned(unknown(answer, flight.rows.len())), first)
    }

    /// What a lookup says of a frozen batch: one word for all of it, or none.
    pub(super) fn of_one_voice<'a>(&self, answer: &'a Answer) -> Cow<'a, Answer> {
        let said = &answer.outcomes;
        let differ = said.iter().any(|outcome| outcome.class != said[0].class);
        if differ && self.config.is_atomic() {
            return Cow::Owned(unknown(answer, said.len()));
        }
        Cow::Borrowed(answer)
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

/// A refusal of one row's own, which a target finds only when it looks at the request.
fn refused(class: Class) -> bool {
    matches!(class, Class::Validation | Class::KeyClash | Class::Reference | Class::Conflict)
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
