//! Element strings: AI and value, one behind the other, a separator where the length is not known by heart.

use super::dictionary::{Ai, find};
use super::{GROUP_SEPARATOR, Kind, Reading, Rules, Severity, suspect};

/// Reads `text` from `start` on. Separators before, behind and between element strings are passed over.
pub(super) fn read(text: &str, start: usize, rules: &Rules, reading: &mut Reading) {
    let (mut at, mut end) = (start, start);
    while at < text.len() {
        if let Some(length) = separator(&text[at..], rules) {
            at += length;
            continue;
        }
        if at >= end {
            end = next_separator(text, at, rules);
        }
        let field = &text[at..end];
        at = if let Some(found) = find(field) {
            element(text, at, end, found, rules, reading)
        } else {
            unknown(at, field, rules, reading);
            end
        };
    }
    if reading.elements.is_empty() && reading.problems.is_empty() {
        reading.refuse(Kind::NotGs1, start..text.len(), "it holds separators alone");
    }
}

/// How many bytes of a separator `text` begins with; the longest stand-in counts.
fn separator(text: &str, rules: &Rules) -> Option<usize> {
    let real = text.starts_with(GROUP_SEPARATOR).then_some(1);
    let stand_ins = rules.separators.iter().filter(|stand_in| !stand_in.is_empty() && text.starts_with(*stand_in));
    stand_ins.map(String::len).chain(real).max()
}

fn next_separator(text: &str, at: usize, rules: &Rules) -> usize {
    let mut places = text[at..].char_indices().map(|(i, _)| at + i);
    places.find(|place| separator(&text[*place..], rules).is_some()).unwrap_or(text.len())
}

/// Adds the element string at `at`, whose field ends at `end`; returns where the next begins.
fn element(
    text: &str,
    at: usize,
    end: usize,
    (ai, code): (&'static Ai, &str),
    rules: &Rules,
    reading: &mut Reading,
) -> usize {
    let from = at + code.len();
    let to =
        if ai.predefined { text[from..end].char_indices().nth(ai.max()).map_or(end, |(i, _)| from + i) } else { end };
    let before = reading.problems.len();
    reading.add(ai, code, &text[from..to], from..to, rules);
    let too_long = |p: &super::Problem| p.kind == Kind::Length && p.at.end > p.at.start && to - from > ai.max();
    if let Some(problem) = reading.problems[before..].iter_mut().find(|p| too_long(p)) {
        problem.message += "; the separator behind it may be missing";
        if let Some(hidden) = suspect::hidden(&text[from..to]) {
            problem.at = from + hidden.at..to;
            problem.message.push_str(" before ");
            problem.message.push_str(&hidden.elements);
        }
    }
    to
}

fn unknown(at: usize, field: &str, rules: &Rules, reading: &mut Reading) {
    let shown: String = field.chars().take(4).collect();
    let severity = if rules.reject_unknown_ai { Severity::Fault } else { Severity::Note };
    let skipped = if rules.reject_unknown_ai { "" } else { ", passed over up to the next separator" };
    let message = format!("no application identifier begins with \"{}\"{skipped}", shown.escape_debug());
    reading.tell(severity, Kind::UnknownAi, at..at + shown.len(), message);
}
