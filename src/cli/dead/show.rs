//! `floorgate dead show`: one posting that needs a person, whole.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::{deed_line, entry, named, needs};
use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, age, clean, line, without_control};
use crate::event::Millis;
use crate::outbox::StorageError;
use crate::outbox::read::parked::{self, Deed, Need};

/// Show one: the sentence, the answer, what waits behind it, what was done before
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A key, #NUMBER, or a subject or its barcode
    word: String,
    #[command(flatten)]
    place: Place,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate dead show SH-88121
  floorgate dead show '#4711' --json";

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    need: &'a Need,
    behind: i64,
    behind_since: Option<i64>,
    audit: Vec<Deed>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, needs, now) = match needs(&args.place) {
        Ok(found) => found,
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    };
    let found = named(&needs, &args.word);
    if found.is_empty() {
        return print::refuse(args.json, &super::nothing_of(&args.word), Exit::No);
    }
    let shown: Result<Vec<Shown<'_>>, _> = found.into_iter().map(|need| of(&dir, need)).collect();
    match shown {
        Ok(shown) if args.json => print::out(&print::json(&shown)),
        Ok(shown) => print::out(&shown.iter().map(|shown| shown.text(now)).collect::<String>()),
        Err(e) => return print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
    Exit::Clean.into()
}

fn of<'a>(dir: &Path, need: &'a Need) -> Result<Shown<'a>, StorageError> {
    let (behind, behind_since) = parked::behind(dir, need)?;
    Ok(Shown { need, behind, behind_since, audit: parked::history(dir, need)? })
}

impl Shown<'_> {
    fn text(&self, now: Millis) -> String {
        let mut text = String::new();
        let Need { kind, tx_type, system, class, answer, status, .. } = self.need;
        entry(&mut text, &without_control(&self.need.sentence), self.need, now);
        line(&mut text, &format!("  {kind}, to be posted to {system} as {tx_type}; class {class}"));
        if self.need.maybe_posted {
            line(&mut text, "  an attempt may have had effect");
        }
        if let Some(answer) = answer {
            let http = status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
            line(&mut text, &format!("  the answer{http}: {}", clean(answer)));
        }
        let since = self.behind_since.map_or_else(String::new, |at| format!(", the oldest for {}", age(at, now)));
        line(&mut text, &format!("  behind it: {}{since}", self.behind));
        line(&mut text, &format!("  what helps: {}", self.need.action));
        for deed in &self.audit {
            deed_line(&mut text, deed, now);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_told_whole() {
        let sentence = format!("Nobody knows whether it is there: {}: look in the target.", "x".repeat(400));
        let mut need = Need::example(1, "SH-1", &[]);
        need.sentence = sentence;
        let shown = Shown { need: &need, behind: 0, behind_since: None, audit: Vec::new() };
        assert!(shown.text(Millis(0)).contains(": look in the target.\n"));
    }
}
