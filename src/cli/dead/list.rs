//! `floorgate dead list`: what needs a person, and the systems and lanes that stand still.

use std::path::Path;
use std::process::ExitCode;

use super::filter::Filter;
use super::{entry, needs};
use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, line};
use crate::cli::status::target;
use crate::cli::trouble::{Kept, told};
use crate::control::{self, Request};
use crate::lane::{Standing, System};
use crate::outbox::read;

/// List what needs a person
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// Print at most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate dead list
  floorgate dead list --lane outbound --category shipment_blocked
  floorgate dead list --json | jq -r '.needs[] | [.category, .subject, .sentence] | @tsv'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, mut needs, now) = match needs(&args.place) {
        Ok(found) => found,
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    };
    if let Some(why) = args.filter.unknown_lane(&args.place, &dir) {
        return print::refuse(args.json, &why, Exit::Usage);
    }
    let waiting = needs.len();
    needs.retain(|need| args.filter.takes(need));
    let all = needs.len();
    needs.truncate(args.limit);
    let systems = troubled(&dir);
    let lanes = match read::lanes_of(&dir) {
        Ok(lanes) => lanes,
        Err(e) => return print::refuse(args.json, &e.to_string(), Exit::Storage),
    };
    let lanes: Vec<Kept> = lanes.iter().filter_map(|lane| Kept::of(lane, now)).filter(|l| l.help.is_some()).collect();
    if args.json {
        let found = serde_json::json!({ "needs": needs, "all": all, "systems": systems, "lanes": lanes });
        print::out(&print::json(&found));
        return Exit::Clean.into();
    }
    let mut text = String::new();
    for system in &systems {
        target(&mut text, system, now);
    }
    told(&mut text, &lanes, &systems, "");
    for need in &needs {
        entry(&mut text, need, now);
    }
    match all - needs.len() {
        0 if waiting == 0 && !(systems.is_empty() && lanes.is_empty()) => {
            line(&mut text, "no single posting needs a person");
        }
        0 if all == 0 => line(&mut text, &Filter::none_of(waiting)),
        0 => line(&mut text, "`floorgate dead show KEY` tells more of one"),
        left => line(&mut text, &format!("and {left} more: --limit lists them")),
    }
    print::out(&text);
    Exit::Clean.into()
}

/// Systems that take nothing, and those with lanes that are stopped: one exception each, however many rows wait for it. Only a
/// running gateway knows.
fn troubled(dir: &Path) -> Vec<System> {
    let said = control::ask(dir, Request::Status).ok();
    let mut systems = said.map_or_else(Vec::new, |gateway: control::Status| gateway.systems);
    systems
        .retain(|system| system.standing != Standing::Closed || !system.stopped.is_empty() || !system.late.is_empty());
    systems
}
