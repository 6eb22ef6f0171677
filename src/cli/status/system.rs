//! Systems that take nothing, and lanes that are stopped.

use crate::cli::hold;
use crate::cli::print::{age, ago, clean, line};
use crate::cli::trouble::stopped_by;
use crate::event::Millis;
use crate::lane::{Late, Overdue, Standing, Stopped, System, Trouble, Why};
use crate::outbox::read::Held;

/// How a system stands that does not take everything, and what helps; the same of each of its lanes that is stopped. `holds`: what
/// persons have stopped, of which nothing is tried.
pub(in crate::cli) fn target(
    text: &mut String,
    System { system, standing, stopped, late, .. }: &System,
    holds: &[Held],
    now: Millis,
) {
    // No lane has the empty name.
    let held = |lane: &str| holds.iter().find(|hold| hold.keeps(lane, system)).map(|hold| hold::ends(hold, now));
    let later = |at: &Option<Millis>| at.is_some_and(|at| at > now);
    for Late { lane, overdue: Overdue { rows, since } } in late {
        let since = age(since.0, now);
        line(
            text,
            &format!("lane {lane}: {rows} postings are accepted for {since} and not booked: what does {system} do?"),
        );
    }
    match standing {
        Standing::Closed => {}
        Standing::HalfOpen { trouble, next_try, good_since: None, closes_at, .. }
            if !later(next_try) && held("").is_none() =>
        {
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
            shows(text, "", trouble.seq);
        }
        Standing::Open { trouble, next_try } | Standing::HalfOpen { trouble, next_try, good_since: None, .. } => {
            line(text, &format!("system {system}: breaker open for {}", told(trouble, now)));
            let next = held("").unwrap_or_else(|| {
                let next = next_try.map_or_else(|| NONE_GOES.to_owned(), |at| tried(at, now));
                format!("{next}; when three in a row are answered well, everything goes")
            });
            line(text, &format!("  {next}"));
            helps(text, &trouble.help);
            shows(text, "", trouble.seq);
        }
        Standing::HalfOpen { trouble, next_try, good_since: Some(at), good, closes_at } => {
            let again = match trouble.why {
                Why::Auth => "accepts our credentials again",
                Why::Contract => "takes what is sent again",
                Why::Throttled => "takes requests again",
                Why::Failing => "answers again",
            };
            let (since, rows) = (age(at.0, now), if *good == 1 { "row is" } else { "rows are" });
            line(
                text,
                &format!(
                    "system {system}: {again}, for {since}: {good} {rows} answered well of the {closes_at} that close its breaker"
                ),
            );
            let next = held("").or_else(|| next_try.filter(|_| later(next_try)).map(|at| tried(at, now)));
            let nothing = "nothing has to be done: the next rows go one by one, then everything goes";
            line(text, &format!("  {}", next.as_deref().unwrap_or(nothing)));
            line(text, &format!("  it was open for {}", told(trouble, now)));
        }
    }
    for Stopped { lane, storm } in stopped {
        line(text, &format!("lane {lane}: STOPPED, {}", stopped_by(Some(storm))));
        let goes_on = || format!("{}; when three are posted, the lane goes on", tried(storm.next_try, now));
        line(text, &format!("  {}", held(lane).unwrap_or_else(goes_on)));
        helps(text, "correct what they have in common, then free one of them: `floorgate dead retry KEY --reason …`");
    }
}

/// Where the breaker is open, and only rows that may not go wait behind it.
const NONE_GOES: &str = "no row may go now; the next one that may is sent, to find out";

fn told(Trouble { since, at, why, words, .. }: &Trouble, now: Millis) -> String {
    format!("{}, {}, the last time {}: {}", age(since.0, now), why.name(), ago(at.0, now), clean(words))
}

fn tried(at: Millis, now: Millis) -> String {
    if at > now {
        format!("one row is sent in {}, to find out", age(now.0, at))
    } else {
        "the next row is sent at once, to find out".to_owned()
    }
}

/// Whose history has the answer, where one came.
pub(in crate::cli) fn shows(text: &mut String, indent: &str, seq: Option<i64>) {
    if let Some(seq) = seq {
        line(text, &format!("{indent}  `floorgate trace '#{seq}'` shows the answer"));
    }
}

pub(in crate::cli) fn helps(text: &mut String, what: &str) {
    if !what.is_empty() {
        line(text, &format!("  what helps: {what}"));
    }
}
