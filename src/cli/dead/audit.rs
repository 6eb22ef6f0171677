//! `floorgate dead audit`: what persons did.

use std::process::ExitCode;

use super::deed_line;
use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line};
use crate::outbox::read::parked;

/// Show what persons did, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Of the posting with this key only, or of those of this subject
    #[arg(value_name = "KEY")]
    of: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print at most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Check that no row was changed or taken out; ends with 1 if one was
    #[arg(long)]
    verify: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate dead audit
  floorgate dead audit --verify";

fn nothing_of(word: &str) -> String {
    let word = clean(word);
    format!(
        "nobody has done anything to {word}: name a whole key or subject; `floorgate dead audit` lists all that was done"
    )
}

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, _) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    if args.verify {
        return match parked::verified(&dir) {
            Ok(Ok(rows)) => {
                let told = format!("{rows} rows, each as it was written\n");
                print::out(&if args.json { print::json(&serde_json::json!({ "rows": rows })) } else { told });
                Exit::Clean.into()
            }
            Ok(Err(row)) => print::refuse(
                args.json,
                &format!("row {row} is not as it was written, or one before it is gone"),
                Exit::No,
            ),
            Err(e) => print::refuse(args.json, &e.to_string(), Exit::Storage),
        };
    }
    match parked::audit(&dir, args.of.as_deref(), args.limit) {
        Ok(deeds) if args.json => print::out(&print::json(&deeds)),
        Ok(deeds) => {
            let mut text = String::new();
            for deed in &deeds {
                let of = [deed.lane.as_str(), &clean(&deed.subject), &deed.key];
                let of: Vec<&str> = of.into_iter().filter(|part| !part.is_empty()).collect();
                line(&mut text, &of.join(" "));
                deed_line(&mut text, deed, now);
            }
            if deeds.is_empty() {
                line(&mut text, &args.of.as_deref().map_or_else(|| "nobody has done anything".to_owned(), nothing_of));
            }
            print::out(&text);
        }
        Err(e) => return print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
    Exit::Clean.into()
}
