//! `floorgate dead audit`: what persons did.

use std::path::Path;
use std::process::ExitCode;

use super::deed_line;
use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line};
use crate::outbox::read::chain::{self, Chain};
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
    /// Check that no row was changed or taken out, and print how many there are and the hash of the last; ends with 1 if one was
    #[arg(long, conflicts_with = "of")]
    verify: bool,
    /// With --verify: a hash that it printed before, and that must still be one of them
    #[arg(long, value_name = "HASH", requires = "verify")]
    head: Option<String>,
    /// Print a JSON array; with --verify one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate dead audit
  floorgate dead audit --verify
  floorgate dead audit --verify --head 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

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
    if args.verify {
        return verify(args, &dir);
    }
    let now = crate::source::now().wall;
    match parked::audit(&dir, args.of.as_deref(), args.limit) {
        Ok(deeds) if args.json => print::out(&print::json(&deeds)),
        Ok(deeds) => {
            let mut text = String::new();
            for deed in &deeds {
                let of = [clean(&deed.lane), clean(&deed.subject), clean(&deed.key)];
                let of: Vec<String> = of.into_iter().filter(|part| !part.is_empty()).collect();
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

fn verify(args: &Args, dir: &Path) -> ExitCode {
    match chain::verified(dir, args.head.as_deref()) {
        Ok(Ok(chain)) if args.json => print::out(&print::json(&chain)),
        Ok(Ok(chain)) => print::out(&told(&chain)),
        Ok(Err(broken)) if args.json => {
            print::out(&print::json(&serde_json::json!({ "error": broken.to_string(), "row": broken.row() })));
            return Exit::No.into();
        }
        Ok(Err(broken)) => return print::refuse(false, &clean(&broken.to_string()), Exit::No),
        Err(e) => return print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
    Exit::Clean.into()
}

fn told(Chain { rows, head, noted }: &Chain) -> String {
    let mut text = String::new();
    match rows {
        0 => line(&mut text, "the audit has no row"),
        1 => line(&mut text, "1 row, as it was written"),
        _ => line(&mut text, &format!("{rows} rows, each as it was written")),
    }
    if *rows > 0 {
        line(&mut text, &format!("head {head}"));
    }
    if let Some(row) = noted {
        line(&mut text, &format!("the head that was noted is that of row {row}"));
    }
    text
}
