//! `floorgate hold` and `floorgate release`: stop a lane, a system or a subject, and let it go again.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, ago, clean, line, quoted, without_control};
use crate::control::Request;
use crate::event::Millis;
use crate::milestone::{order, orders};
use crate::outbox::read::find::{Event, Found, named};
use crate::outbox::read::holds::{self, Held};
use crate::outbox::read::wanted::Wanted;
use crate::outbox::{Acted, Hold, Scope};

/// Stop a lane, a system or a subject: nothing of it is sent until it is released
///
/// What is captured is kept and waits; devices notice nothing. What is under way is answered as ever, and what may have had
/// effect is not sent again while its lane or system is held: a long hold may outlast the time for which the target remembers
/// keys. `--list` lists what is held.
///
/// A subject that no posting has is refused, and the command ends with 1, where the name seems to mean another one: a barcode, or a
/// subject without its class. --yes holds it as it is written; a name of which nothing has come yet is held without it.
#[derive(Debug, clap::Args)]
#[command(after_help = HOLD)]
pub(super) struct Args {
    /// What is stopped
    #[arg(value_parser = scope, requires = "name")]
    scope: Option<Scope>,
    /// Its id; of a subject the whole text, as `floorgate outbox find` prints it
    name: Option<String>,
    /// Why: the audit keeps it
    #[arg(long, value_name = "TEXT", required_unless_present = "list")]
    reason: Option<String>,
    /// Hold the subject by this text as it is, although events that it may mean have another
    #[arg(long)]
    yes: bool,
    /// List what is held
    #[arg(long, conflicts_with = "scope")]
    list: bool,
    #[command(flatten)]
    command: Command,
}

/// Let a held lane, system or subject go again
///
/// A lane or system that is not held, and whose target has asked to be left alone (Retry-After, RateLimit), is tried again at once: for
/// one that asked for too long by mistake.
#[derive(Debug, clap::Args)]
#[command(after_help = RELEASE)]
pub(super) struct Release {
    /// What goes again
    #[arg(value_parser = scope)]
    scope: Scope,
    /// Its id; of a subject the whole text
    name: String,
    /// Why: the audit keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Command {
    /// Names the command: with the same id again nothing is done twice [default: a new one]
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const HOLD: &str = "\
Examples:
  floorgate hold lane outbound --reason 'stock count until 06:00'
  floorgate hold system erp --reason 'ERP update'
  floorgate hold subject shipment/SH-88121 --reason 'carton is back at the packing place'
  floorgate hold --list";

const RELEASE: &str = "\
Examples:
  floorgate release lane outbound --reason 'stock count is done'
  floorgate release system erp --reason 'its Retry-After of an hour was a mistake'
  floorgate release subject shipment/SH-88121 --reason 'packed anew'";

fn scope(text: &str) -> Result<Scope, String> {
    Scope::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| "write lane, system or subject".to_owned())
}

pub(super) fn run(args: &Args) -> ExitCode {
    match (args.scope, &args.name, &args.reason) {
        (Some(scope), Some(name), Some(reason)) => {
            if let Some(why) = (scope == Scope::Subject && !args.yes).then(|| misnamed(&args.command, name)).flatten() {
                return print::refuse(args.command.json, &why, Exit::No);
            }
            tell(&args.command, scope, name, reason, true)
        }
        _ => list(&args.command),
    }
}

pub(super) fn release(args: &Release) -> ExitCode {
    tell(&args.command, args.scope, &args.name, &args.reason, false)
}

/// Why that name holds nothing of what it seems to mean: a barcode, or a subject without its class or with one. A name of which
/// nothing has come yet holds what comes.
fn misnamed(command: &Command, name: &str) -> Option<String> {
    let (dir, _) = command.place.find().ok()?; // what is wrong is told by the command itself
    let wanted = Wanted::parse(name);
    let mut found = named(&dir, &wanted, SHOWN).ok()?;
    if let Some((_, bare)) = name.split_once('/').filter(|_| found.events.is_empty()) {
        found = named(&dir, &Wanted::parse(bare), SHOWN).ok()?;
    }
    misses(name, &wanted, &found)
}

fn misses(name: &str, wanted: &Wanted, found: &Found) -> Option<String> {
    let fits = |event: &Event| {
        event.subject == name
            || event
                .deliveries
                .iter()
                .any(|d| orders(name, &d.lane).contains(&order(&d.tx_type, &event.subject, &d.lane)))
    };
    let others: BTreeSet<&str> = found.events.iter().map(|event| event.subject.as_str()).collect();
    let meant = others
        .into_iter()
        .chain(found.events.is_empty().then(|| wanted.named()).into_iter().flatten().map(String::as_str));
    let meant: Vec<String> = meant.map(|other| format!("`floorgate hold subject {}`", quoted(other))).collect();
    (!meant.is_empty() && !found.events.iter().any(fits)).then(|| {
        format!(
            "subject {}: NOT DONE: no posting has this subject: did you mean {}? --yes holds it as it is written",
            clean(name),
            meant.join(" or ")
        )
    })
}

/// Events whose subjects are looked at.
const SHOWN: usize = 20;

fn tell(command: &Command, scope: Scope, name: &str, reason: &str, on: bool) -> ExitCode {
    let dir = match command.place.find() {
        Ok((dir, _)) => dir,
        Err(why) => return print::refuse(command.json, &why, Exit::Config),
    };
    let id = command.request.clone().unwrap_or_else(super::request_id);
    let hold = Hold { id, scope, name: name.to_owned(), on, reason: reason.to_owned() };
    if let Some(why) = hold.fault() {
        return print::refuse(command.json, &why, Exit::Usage);
    }
    match super::decided::<Acted>(&dir, Request::Hold(hold)) {
        Ok(acted) if acted.done => {
            let mut text = format!("{}: {}\n", clean(&acted.key), without_control(&acted.text));
            if on {
                line(&mut text, &format!("{} lets it go again", release_of(scope.name(), name)));
            }
            print::out(&if command.json { print::json(&acted) } else { text });
            Exit::Clean.into()
        }
        Ok(acted) => {
            let listed = if on { "" } else { "; `floorgate hold --list` shows what is held" };
            print::refuse(
                command.json,
                &format!("{}: NOT DONE: {}{listed}", clean(&acted.key), without_control(&acted.text)),
                Exit::No,
            )
        }
        Err((why, exit)) => print::refuse(command.json, &why, exit),
    }
}

fn list(command: &Command) -> ExitCode {
    let found = command.place.find().map_err(|why| (why, Exit::Config));
    let read = |dir: &Path| holds::holds(dir).map_err(|e| (e.to_string(), Exit::Storage));
    match found.and_then(|(dir, _)| read(&dir)) {
        Ok(holds) if command.json => print::out(&print::json(&serde_json::json!({ "holds": holds }))),
        Ok(holds) => {
            let mut text = String::new();
            told(&mut text, &holds, crate::source::now().wall);
            if holds.is_empty() {
                line(&mut text, "nothing is held");
            }
            print::out(&text);
        }
        Err((why, exit)) => return print::refuse(command.json, &why, exit),
    }
    Exit::Clean.into()
}

/// A line for each hold.
pub(super) fn told(text: &mut String, holds: &[Held], now: Millis) {
    for hold in holds {
        line(text, &format!("  {}", sentence(hold, now)));
    }
}

/// Who has stopped what, when and why.
pub(super) fn sentence(Held { scope, name, at, actor, reason }: &Held, now: Millis) -> String {
    format!("{scope} {}: HELD by {actor} {}: {}", clean(name), ago(*at, now), clean(reason))
}

/// What a hold says of that lane: its own, or one of its system.
pub(super) fn by(Held { scope, name, at, actor, reason }: &Held, lane: &str, now: Millis) -> String {
    let own = scope == "lane" && name == lane;
    let system = if own { String::new() } else { format!(" with {scope} {}", clean(name)) };
    format!("HELD{system} by {actor} {}: {}", ago(*at, now), clean(reason))
}

/// What a hold does to what would be tried otherwise, and what ends it.
pub(super) fn ends(hold: &Held, now: Millis) -> String {
    let Held { scope, name, at, actor, reason } = hold;
    let (since, reason, release) = (ago(*at, now), clean(reason), release_of(scope, name));
    format!("HELD by {actor} {since}: {}; nothing is tried until {release}", reason.trim_end_matches('.'))
}

fn release_of(scope: &str, name: &str) -> String {
    format!("`floorgate release {scope} {} --reason …`", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_763_906_709_412);

    fn hold(scope: &str, name: &str) -> Held {
        let (actor, reason) = ("root".to_owned(), "stock count until 06:00".to_owned());
        Held { scope: scope.to_owned(), name: name.to_owned(), at: NOW.0 - 3_000, actor, reason }
    }

    #[test]
    fn a_blank_reason_is_refused_before_anybody_is_asked() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let command = Command { request: None, place: Place::of(dir.path()), json: true };
        assert_eq!(tell(&command, Scope::Lane, "outbound", " ", true), Exit::Usage.into());
        assert_eq!(tell(&command, Scope::Lane, "outbound", "stock count", true), Exit::Unavailable.into());
    }

    #[test]
    fn a_subject_of_which_no_lane_has_taken_an_event_is_held_by_its_name() {
        let event = Event { subject: "SH-1".to_owned(), ..Event::default() };
        let found = Found { events: vec![event], looked_at: 1, more: false };
        let misses = |name| misses(name, &Wanted::parse(name), &found);
        assert_eq!(misses("SH-1"), None);
        assert!(misses("carton/SH-1").is_some_and(|why| why.contains("`floorgate hold subject SH-1`")));
    }

    #[test]
    fn a_hold_is_one_phrase_wherever_it_is_told() {
        let mut text = String::new();
        told(&mut text, &[hold("lane", "outbound"), hold("system", "erp"), hold("subject", "shipment/SH-1")], NOW);
        insta::assert_snapshot!(text, @r"
          lane outbound: HELD by root 3 s ago: stock count until 06:00
          system erp: HELD by root 3 s ago: stock count until 06:00
          subject shipment/SH-1: HELD by root 3 s ago: stock count until 06:00
        ");
        let update = Held { reason: "Update till six.".to_owned(), ..hold("system", "erp") };
        assert!(ends(&update, NOW).contains(": Update till six; nothing is tried until `"), "{}", ends(&update, NOW));
        let of = |scope, name| format!("lane outbound: {}", by(&hold(scope, name), "outbound", NOW));
        assert_eq!(of("lane", "outbound"), "lane outbound: HELD by root 3 s ago: stock count until 06:00");
        assert_eq!(of("system", "erp"), "lane outbound: HELD with system erp by root 3 s ago: stock count until 06:00");
    }
}
