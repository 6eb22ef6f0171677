//! Systems that take nothing, and lanes that are stopped.

use crate::cli::print::{age, clean, line};
use crate::event::Millis;
use crate::lane::{Standing, Stopped, Storm, System};

/// A line for a system that takes nothing, and one for each of its lanes that is stopped.
pub(in crate::cli) fn target(text: &mut String, System { system, standing, stopped, .. }: &System, now: Millis) {
    let tried = |at: Millis| {
        if at > now { format!("one row is sent in {}, to find out", age(now.0, at)) } else { TRYING.to_owned() }
    };
    let (since, why, words, then) = match standing {
        Standing::Closed => return lanes_stopped(text, stopped, tried),
        Standing::Open { since, why, words, next_try } => (since, why, words, tried(*next_try)),
        Standing::HalfOpen { since, why, words } => (since, why, words, TRYING.to_owned()),
    };
    let (why, since, words) = (why.name(), age(since.0, now), clean(words));
    line(text, &format!("system {system}: breaker open for {since}, {why}; {then}: {words}"));
    lanes_stopped(text, stopped, tried);
}

const TRYING: &str = "one row at a time is sent, to find out";

fn lanes_stopped(text: &mut String, stopped: &[Stopped], tried: impl Fn(Millis) -> String) {
    for Stopped { lane, storm } in stopped {
        let Storm { class, code, words, rejected, next_try, .. } = storm;
        let code = code.as_ref().map_or_else(String::new, |code| format!(" {}", clean(code)));
        let then = tried(*next_try);
        line(
            text,
            &format!("lane {lane}: STOPPED, {rejected} rows were rejected ({class}{code}); {then}: {}", clean(words)),
        );
    }
}
