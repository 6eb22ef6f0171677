//! What needs a person or waits, row by row, and what could not be read.

use crate::cli::print::{age, ago, clean, line, next, quoted};
use crate::event::Millis;
use crate::outbox::read::{self, BadInput, Count, GAP, HeldRow, Letter, Status, WaitingRow};

pub(super) fn letters(text: &mut String, status: &Status, now: Millis) {
    if status.dead_letters == 0 {
        return;
    }
    let shown = status.letters.len();
    line(text, &format!("dead letters: {}, the oldest {shown}:", status.dead_letters));
    for letter in &status.letters {
        let Letter { lane, seq, kind, subject, class, .. } = letter;
        let http = letter.status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
        let maybe = if letter.maybe_posted { "; an attempt may have had effect" } else { "" };
        let (subject, reason) = (clean(subject), clean(&letter.reason));
        line(
            text,
            &format!(
                "  {lane} #{seq} {kind} {subject}, {}: {class}: {reason}{http}{maybe}",
                ago(letter.opened_at, now)
            ),
        );
        line(text, &format!("    key {}", letter.key));
    }
    more(text, status.dead_letters, shown);
}

/// Where the numbers stand that are missing of a device.
pub(in crate::cli) fn missing(source: &str) -> String {
    format!("`floorgate trace {}` tells which numbers are missing", quoted(source))
}

/// Says how many a list has left out.
fn more(text: &mut String, all: i64, shown: usize) {
    let left = all.saturating_sub(i64::try_from(shown).unwrap_or(i64::MAX));
    if left > 0 {
        line(text, &format!("  and {left} more: --limit lists them"));
    }
}

pub(super) fn held(text: &mut String, status: &Status, now: Millis) {
    if status.held == 0 {
        return;
    }
    let shown = status.held_rows.len();
    line(text, &format!("held until a person decides: {}, the oldest {shown}:", status.held));
    for HeldRow { lane, seq, kind, subject, key, at, reason } in &status.held_rows {
        let (subject, reason) = (clean(subject), clean(reason));
        line(text, &format!("  {lane} #{seq} {kind} {subject}, for {}: {reason}", age(*at, now)));
        line(text, &format!("    key {key}"));
    }
    more(text, status.held, shown);
}

pub(super) fn waiting(text: &mut String, status: &Status, now: Millis) {
    let shown = status.waiting_rows.len();
    if shown == 0 {
        return;
    }
    line(
        text,
        &format!("waiting, and the later ones of their subjects behind them: {}, the longest {shown}:", status.waiting),
    );
    for WaitingRow { lane, seq, kind, subject, key, reason, tries, since, next_at } in &status.waiting_rows {
        let (subject, reason, next) = (clean(subject), clean(reason), next(*next_at, now));
        line(
            text,
            &format!("  {lane} #{seq} {kind} {subject}, for {}, {tries} tries{next}: {reason}", age(*since, now)),
        );
        line(text, &format!("    key {key}"));
    }
    more(text, status.waiting, shown);
}

pub(super) fn suspects(text: &mut String, status: &Status, now: Millis) {
    if status.suspects == 0 {
        return;
    }
    let shown = status.suspect_rows.len();
    let what = "delivered, and their target had them before, not from us: are they there twice?";
    line(text, &format!("{what} {}, the newest {shown}:", status.suspects));
    for read::SuspectRow { lane, seq, kind, subject, at, reference, reason } in &status.suspect_rows {
        let reference = reference.as_ref().map_or_else(String::new, |text| format!(", reference {}", clean(text)));
        let (subject, reason) = (clean(subject), clean(reason));
        line(text, &format!("  {lane} #{seq} {kind} {subject}, {}{reference}: {reason}", ago(*at, now)));
    }
    more(text, status.suspects, shown);
}

pub(super) fn bad_input(text: &mut String, bad: &[BadInput], now: Millis) {
    if !bad.is_empty() {
        line(text, "bad input, kept with its bytes (`floorgate outbox bad` shows them):");
    }
    for bad in bad {
        let (source, reason) = (clean(&bad.source), clean(&bad.reason));
        line(text, &format!("  {source}: {} x {reason}, the last {} ago", bad.n, age(bad.last_at, now)));
    }
}

pub(super) fn counts(text: &mut String, counts: &[Count], now: Millis) {
    if !counts.is_empty() {
        line(text, "counted since the outbox was made:");
    }
    for count in counts {
        let Count { source, what, n, last_at } = count;
        let shown = if what == GAP { format!(": {}", missing(source)) } else { String::new() };
        line(text, &format!("  {}: {n} {what}, the last {} ago{shown}", clean(source), age(*last_at, now)));
    }
}
