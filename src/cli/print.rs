//! Writing to stdout and stderr, and the forms of what people read there. A reader that went away wants no more: that is
//! not an error.

use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

use crate::app::Exit;
use crate::event::{Legible, Millis, steers};
use crate::form::Fault;

/// Words of others are cut to this many characters on the terminal; `--json` has them whole.
const WORDS: usize = 160;

/// Writes `text` to stdout.
pub(super) fn out(text: &str) {
    bytes(text.as_bytes());
}

/// Writes `text` to stdout, for verbs that go on and on: they may end once nobody reads it any more.
pub(super) fn live(text: &str) -> ControlFlow<()> {
    if write(&mut std::io::stdout().lock(), text.as_bytes()) {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// Writes `bytes` to stdout, as they are.
pub(super) fn bytes(bytes: &[u8]) {
    write(&mut std::io::stdout().lock(), bytes);
}

/// Writes `text` to stderr.
pub(super) fn err(text: &str) {
    write(&mut std::io::stderr().lock(), text.as_bytes());
}

/// Where nobody listens, nobody can be told: what can't be written is dropped, and `false`.
fn write(to: &mut impl Write, bytes: &[u8]) -> bool {
    to.write_all(bytes).and_then(|()| to.flush()).is_ok()
}

/// Says why there is no result: to scripts as an object on stdout, to people on stderr.
pub(super) fn refuse(as_json: bool, why: &str, exit: Exit) -> ExitCode {
    if as_json {
        out(&format!("{}\n", serde_json::json!({ "error": why })));
    } else {
        err(&format!("{why}\n"));
    }
    exit.into()
}

/// Faults, a line each.
pub(super) fn faults(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A value as JSON for people and scripts.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).expect("texts, numbers and maps by text always make JSON"))
}

/// Adds a line.
pub(super) fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

/// Adds rows as a table, two spaces in; the first `left` columns are set left, the others right.
pub(super) fn table<const N: usize>(text: &mut String, rows: &[[String; N]], left: usize) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(i, (cell, width))| if i < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        line(text, format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
    }
}

/// From then to now, in one unit.
pub(super) fn age(at: i64, now: Millis) -> String {
    let seconds = now.since(Millis(at)) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago that was.
pub(super) fn ago(at: i64, now: Millis) -> String {
    format!("{} ago", age(at, now))
}

/// When a row that waits goes again.
pub(super) fn next(at: i64, now: Millis) -> String {
    if at > now.0 { format!(", again in {}", age(now.0, Millis(at))) } else { ", due now".to_owned() }
}

/// When somebody is asked again.
pub(super) fn asked(at: i64, now: Millis) -> String {
    if at > now.0 { format!(", asked again in {}", age(now.0, Millis(at))) } else { ", being asked".to_owned() }
}

/// Seconds in the unit that people would say them in.
pub(super) fn span(seconds: f64) -> String {
    let units =
        [(SECONDS_A_YEAR, "years"), (86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")];
    let unit = units.iter().find(|(length, _)| seconds >= *length).unwrap_or(&units[4]);
    format!("{:.1} {}", seconds / unit.0, unit.1)
}

const SECONDS_A_YEAR: f64 = 365.25 * 86_400.0;

/// Bytes in a unit that fits.
pub(super) fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut n = bytes;
    while n >= 1_024.0 && unit + 1 < units.len() {
        n /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n:.0} B") } else { format!("{n:.1} {}", units[unit]) }
}

/// Bytes on one line of a terminal, cut.
pub(super) fn on_one_line(bytes: &[u8]) -> String {
    match Legible::of(bytes) {
        Legible::Text(text) => clean(&text.replace('\r', "\\r").replace('\n', "\\n").replace('\t', "\\t")),
        Legible::Hex(hex) => clean(&format!("0x{hex}")),
    }
}

/// Words of others without what would steer a terminal.
pub(super) fn without_control(words: &str) -> String {
    words.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// A name as a shell takes it: `#` alone would begin a comment.
pub(super) fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
    if plain { name.to_owned() } else { format!("'{}'", clean(name)) }
}

/// Words of others, cut, and without what would steer a terminal.
pub(super) fn clean(words: &str) -> String {
    let mut clean = without_control(&words.chars().take(WORDS).collect::<String>());
    if words.chars().nth(WORDS).is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_steer_and_turn_nothing() {
        assert_eq!(clean("SH-1\u{1b}[2J\u{202e}88\u{2069} Größe"), "SH-1\u{fffd}[2J\u{fffd}88\u{fffd} Größe");
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(["shipment/SH-1", "#4711", "(00)3"].map(quoted), ["shipment/SH-1", "'#4711'", "'(00)3'"]);
    }
}
