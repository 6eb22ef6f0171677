//! Systems that take nothing, and lanes that are stopped.

use crate::cli::print::{age, clean, line};
use crate::event::Millis;
use crate::lane::{Late, Overdue, Standing, Stopped, Storm, System, Trouble, Why};

/// How a system stands that does not take everything, and what helps; the same of each of its lanes that is stopped.
pub(in crate::cli) fn target(text: &mut String, System { system, standing, stopped, late, .. }: &System, now: Millis) {
    for Late { lane, overdue: Overdue { rows, since } } in late {
        let since = age(since.0, now);
        line(
            text,
            &format!("lane {lane}: {rows} postings are accepted for {since} and not booked: what does {system} do?"),
        );
    }
    match standing {
        Standing::Closed => {}
        Standing::Open { trouble, next_try } => {
            line(text, &format!("system {system}: breaker open for {}", told(trouble, now)));
            line(text, &format!("  {}; when three in a row are answered well, everything goes", tried(*next_try, now)));
            helps(text, &trouble.help);
        }
        Standing::HalfOpen { trouble, good_since: None, closes_at, .. } => {
            line(
                text,
                &format!("system {system}: is being tried again, its breaker was open for {}", told(trouble, now)),
            );
            line(
                text,
                &format!(
                    "  one row at a time is sent, to find out; when {closes_at} in a row are answered well, everything goes"
                ),
            );
            helps(text, &trouble.help);
        }
        Standing::HalfOpen { trouble, good_since: Some(at), good, closes_at } => {
            let again = match trouble.why {
                Why::Auth => "accepts our credentials again",
                Why::Contract => "takes what is sent again",
                Why::Failing => "answers again",
            };
            let (since, rows) = (age(at.0, now), if *good == 1 { "row is" } else { "rows are" });
            line(
                text,
                &format!(
                    "system {system}: {again}, for {since}: {good} {rows} answered well of the {closes_at} that close its breaker"
                ),
            );
            line(text, "  nothing has to be done: the next rows go one by one, then everything goes");
            line(text, &format!("  it was open for {}", told(trouble, now)));
        }
    }
    for Stopped { lane, storm } in stopped {
        let Storm { class, code, words, rejected, next_try, .. } = storm;
        let code = code.as_ref().map_or_else(String::new, |code| format!(" {}", clean(code)));
        let why = format!("{rejected} rows were rejected ({class}{code}): {}", clean(words));
        line(text, &format!("lane {lane}: STOPPED, {why}"));
        line(text, &format!("  {}; when three are posted, the lane goes on", tried(*next_try, now)));
        helps(text, "correct what they have in common, then free one of them: `floorgate dead retry KEY --reason …`");
    }
}

fn told(Trouble { since, why, words, .. }: &Trouble, now: Millis) -> String {
    format!("{}, {}: {}", age(since.0, now), why.name(), clean(words))
}

fn tried(at: Millis, now: Millis) -> String {
    if at > now {
        format!("one row is sent in {}, to find out", age(now.0, at))
    } else {
        "the next row is sent at once, to find out".to_owned()
    }
}

pub(in crate::cli) fn helps(text: &mut String, what: &str) {
    if !what.is_empty() {
        line(text, &format!("  what helps: {what}"));
    }
}
