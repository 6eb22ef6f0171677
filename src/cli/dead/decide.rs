//! `floorgate dead retry`, `edit`, `repost`, `resolve` and `skip`: what a person decides, carried out by the gateway.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::filter::Filter;
use super::{entry, named, needs};
use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, ago};
use crate::cli::{decided, request_id};
use crate::control::Request;
use crate::event::{Id, Millis};
use crate::lane::{Act, Change};
use crate::outbox::read::parked::{self, Need};
use crate::outbox::{Acted, Order};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Do {
    /// Keys, #NUMBERs or subjects
    #[arg(value_name = "KEY", required_unless_present = "all")]
    words: Vec<String>,
    /// All that the filters leave, 1,000 at most
    #[arg(long, conflicts_with = "words")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Why: the audit keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do not ask before more than one is changed
    #[arg(long)]
    yes: bool,
    /// Names the command: with the same id again nothing is done twice [default: a new one]
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Resolve {
    /// The document's number at the target
    #[arg(long, value_name = "TEXT")]
    pub(super) reference: Option<String>,
    #[command(flatten)]
    pub(super) what: Do,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Edit {
    /// A member of its data, by its JSON pointer, and its new value
    #[arg(long, value_name = "POINTER=VALUE", value_parser = Change::parse, required_unless_present_any = ["unset", "add"])]
    pub(super) set: Vec<Change>,
    /// A member that was not there, and its value
    #[arg(long, value_name = "POINTER=VALUE", value_parser = Change::parse)]
    pub(super) add: Vec<Change>,
    /// A member that is taken out
    #[arg(long, value_name = "POINTER")]
    pub(super) unset: Vec<String>,
    #[command(flatten)]
    pub(super) what: Do,
}

/// So long after a decision a name may mean the next one of it without anybody's intent; and so many decisions are looked at.
const RECENT_MS: i64 = 600_000;
const RECENT_DEEDS: u32 = 200;

pub(super) fn act(act: Act, args: &Do, reference: Option<String>, changes: Vec<Change>) -> ExitCode {
    let (dir, needs, now) = match needs(&args.place) {
        Ok(found) => found,
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    };
    if let Some(why) = args.filter.unknown_lane(&args.place, &dir) {
        return print::refuse(args.json, &why, Exit::Usage);
    }
    let (mut chosen, mut keys) = (Vec::new(), Vec::new());
    for word in &args.words {
        let found = named(&needs, word);
        match Id::parse(word) {
            // Perhaps a command that is asked for again: the gateway knows.
            Some(_) if found.is_empty() => keys.push(word.clone()),
            None if found.is_empty() => {
                return print::refuse(args.json, &super::nothing_of(word), Exit::No);
            }
            None if !args.yes && !word.starts_with('#') => {
                if let Some(why) = another(&dir, &found, now) {
                    return print::refuse(args.json, &why, Exit::Usage);
                }
                chosen.extend(found);
            }
            _ => chosen.extend(found),
        }
    }
    if args.all {
        chosen.extend(&needs);
    }
    chosen.retain(|need| args.filter.takes(need));
    keys.extend(chosen.iter().map(|need| need.key.clone()));
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return print::refuse(args.json, &Filter::none_of(needs.len()), Exit::No);
    }
    if keys.len() > Order::MOST {
        let why = format!("{} at once: at most {}; filter with --lane, --class, --code", keys.len(), Order::MOST);
        return print::refuse(args.json, &why, Exit::Usage);
    }
    if keys.len() > 1 && !args.yes && !agreed(act, &chosen, now) {
        return print::refuse(args.json, "nothing was done: --yes does it without asking", Exit::Usage);
    }
    let order = Order {
        id: args.request.clone().unwrap_or_else(request_id),
        act,
        keys,
        reason: args.reason.clone(),
        reference,
        changes,
    };
    match decided::<Vec<Acted>>(&dir, Request::Operate(order)) {
        Ok(acted) => {
            let all = acted.iter().all(|acted| acted.done);
            print::out(&if args.json {
                print::json(&acted)
            } else {
                acted.iter().map(|acted| said(acted, &chosen)).collect()
            });
            if all { Exit::Clean.into() } else { Exit::No.into() }
        }
        Err((why, exit)) => print::refuse(args.json, &why, exit),
    }
}

fn said(acted: &Acted, chosen: &[&Need]) -> String {
    let number =
        chosen.iter().find(|need| need.key == acted.key).map_or(String::new(), |need| format!("#{}  ", need.seq));
    format!("{number}{}  {}{}\n", acted.key, if acted.done { "" } else { "NOT DONE: " }, acted.text)
}

/// A name means what needs a person now. Right after a decision that may be the next one of the same name, which the same
/// command was not meant for.
fn another(dir: &Path, found: &[&Need], now: Millis) -> Option<String> {
    let deeds = parked::audit(dir, None, RECENT_DEEDS).unwrap_or_default(); // without them nothing was decided
    let before = |need: &&Need| {
        let mut of_it = deeds.iter().filter(|deed| deed.subject == need.subject && !deed.key.is_empty());
        of_it.find(|deed| deed.key != need.key && now.0 - deed.at < RECENT_MS).map(|deed| (need.seq, deed))
    };
    let (number, deed) = found.iter().find_map(before)?;
    let ago = ago(deed.at, now);
    Some(format!(
        "#{number} is another one than {}, which had `{}` {ago}: name it '#{number}', or write --yes",
        deed.key, deed.act
    ))
}

/// Shows what would be changed, and asks; nobody at the terminal is no.
fn agreed(act: Act, chosen: &[&Need], now: Millis) -> bool {
    let mut text = String::new();
    for need in chosen {
        entry(&mut text, need, now);
    }
    print::err(&text);
    if !std::io::stdin().is_terminal() {
        return false;
    }
    print::err(&format!("{} these {}? [y/N] ", act.name(), chosen.len()));
    drop(std::io::stderr().flush()); // who does not see it says no
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok_and(|_| answer.trim().eq_ignore_ascii_case("y"))
}
