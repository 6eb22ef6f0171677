//! `floorgate dead`: postings that need a person, and the way out.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, age, ago, clean, line};
use crate::cli::status::target;
use crate::control::{self, Request};
use crate::event::{Id, Millis};
use crate::form::there_is_no;
use crate::lane::{Act, Change, Standing, System};
use crate::outbox::read::parked::{self, Deed, Need};
use crate::outbox::read::{Bounds, names};
use crate::outbox::{Acted, Order};

/// Show what needs a person, and do it.
///
/// A posting that the target rejected, or of which nobody knows whether it is there, waits for a person, and the later ones of
/// its subject wait behind it. `list` and `show` read the outbox, beside a running gateway or without one; the others ask the
/// gateway, say why, and stand in the audit under the name of the user who runs them.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    List(List),
    Show(Show),
    /// Send it again under its key: what was wrong is mended at the target
    ///
    /// Only what surely had no effect; the same content goes under the same key. A held one is released.
    #[command(after_help = RETRY)]
    Retry(Do),
    /// Send it corrected, in its place: what was refused was wrong on the floor
    ///
    /// Only what surely had no effect. The members of its data that are named are changed; it goes under a key of its own, before
    /// its successors, and says which event it corrects.
    #[command(after_help = EDIT)]
    Edit(Edit),
    /// Send it under a new key: it is not at the target, two persons say so
    ///
    /// For what may have had effect and was looked for in vain. The first command is noted, the same of another user within a
    /// day carries it out.
    #[command(after_help = REPOST)]
    Repost(Do),
    /// It is there: booked by hand, or by an attempt that nobody heard of again
    #[command(after_help = RESOLVE)]
    Resolve(Resolve),
    /// Never send it, and let its successors go on
    #[command(after_help = SKIP)]
    Skip(Do),
    Audit(Audit),
}

/// So long after a decision a name may mean the next one of it without anybody's intent; and so many decisions are looked at.
const RECENT_MS: i64 = 600_000;
const RECENT_DEEDS: u32 = 200;

const LIST: &str = "\
Examples:
  floorgate dead list
  floorgate dead list --lane outbound --category shipment_blocked
  floorgate dead list --json | jq -r '.needs[] | [.category, .subject, .sentence] | @tsv'";

const SHOW: &str = "\
Examples:
  floorgate dead show SH-88121
  floorgate dead show '#4711' --json";

const EDIT: &str = "\
Examples:
  floorgate dead edit SH-88121 --set /qty=3 --reason 'one piece is broken'
  floorgate dead edit '#4711' --add /lot=L77 --unset /serials --reason 'wrong lot label'";

const REPOST: &str = "\
Examples:
  floorgate dead repost 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reason 'no document of it in the ERP'";

const RESOLVE: &str = "\
Examples:
  floorgate dead resolve 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reference GI-4711 --reason 'found in the ERP'";

const SKIP: &str = "\
Examples:
  floorgate dead skip 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reason 'test carton'";

const AUDIT: &str = "\
Examples:
  floorgate dead audit
  floorgate dead audit --verify";

const RETRY: &str = "\
Examples:
  floorgate dead retry 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1 --reason 'hold on SO-10077 cleared'
  floorgate dead retry SH-88121 --reason 'hold cleared'
  floorgate dead retry --all --code unknown_item --reason 'item A-100 created' --yes";

/// List what needs a person
#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
pub(super) struct List {
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

/// Show one: the sentence, the answer, what waits behind it, what was done before
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW)]
pub(super) struct Show {
    /// A key, #NUMBER, or a subject
    word: String,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// Only of this lane
    #[arg(long, value_name = "ID")]
    lane: Option<String>,
    /// Only of this class: validation, unresolvable, held …
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Only of this category: shipment_blocked, duplicate_suspect …
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only with this word of the target for the reason: unknown_item …
    #[arg(long, value_name = "WORD")]
    code: Option<String>,
}

impl Filter {
    /// Why nothing can fit: neither the outbox nor the configuration knows the lane.
    fn unknown_lane(&self, place: &Place, dir: &Path) -> Option<String> {
        let lane = self.lane.as_ref()?;
        let mut known = names::lanes(dir).ok()?;
        if !known.contains(lane) {
            known.extend(place.configured().into_iter().flat_map(|config| config.lanes).map(|lane| lane.id));
        }
        (!known.contains(lane)).then(|| there_is_no("lane", lane, &known))
    }

    /// That nothing is left of so many.
    fn none_of(all: usize) -> String {
        match all {
            0 => "nothing needs a person".to_owned(),
            1 => "the one that needs a person is another than was asked for: `floorgate dead list` shows it".to_owned(),
            n => format!("of {n} that need a person none is as was asked for: `floorgate dead list` shows them"),
        }
    }

    fn takes(&self, need: &Need) -> bool {
        let is = |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|asked| asked == has);
        is(&self.lane, &need.lane)
            && is(&self.class, &need.class)
            && is(&self.category, need.category.name())
            && is(&self.code, need.code.as_deref().unwrap_or_default())
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Do {
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
pub(super) struct Resolve {
    /// The document's number at the target
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    #[command(flatten)]
    what: Do,
}

#[derive(Debug, clap::Args)]
pub(super) struct Edit {
    /// A member of its data, by its JSON pointer, and its new value
    #[arg(long, value_name = "POINTER=VALUE", value_parser = Change::parse, required_unless_present_any = ["unset", "add"])]
    set: Vec<Change>,
    /// A member that was not there, and its value
    #[arg(long, value_name = "POINTER=VALUE", value_parser = Change::parse)]
    add: Vec<Change>,
    /// A member that is taken out
    #[arg(long, value_name = "POINTER")]
    unset: Vec<String>,
    #[command(flatten)]
    what: Do,
}

/// Show what persons did, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = AUDIT)]
pub(super) struct Audit {
    /// Of this posting only
    key: Option<String>,
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

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Retry(args) => act(Act::Retry, args, None, Vec::new()),
        Verb::Edit(args) => {
            let out = args.unset.iter().map(|pointer| Change { pointer: pointer.clone(), value: None, new: false });
            let added = args.add.iter().map(|change| Change { new: true, ..change.clone() });
            act(Act::Edit, &args.what, None, args.set.iter().cloned().chain(added).chain(out).collect())
        }
        Verb::Repost(args) => act(Act::Repost, args, None, Vec::new()),
        Verb::Resolve(args) => act(Act::Resolve, &args.what, args.reference.clone(), Vec::new()),
        Verb::Skip(args) => act(Act::Skip, args, None, Vec::new()),
        Verb::Audit(args) => audit(args),
    }
}

/// Where it is looked, what needs a person there, and now.
fn needs(place: &Place) -> Result<(PathBuf, Vec<Need>, Millis), (String, Exit)> {
    let (dir, bounds) = place.find().map_err(|why| (why, Exit::Config))?;
    let running = || control::ask(&dir, Request::Status).ok().map(|gateway: control::Status| gateway.bounds);
    let bounds: Option<Bounds> = bounds.or_else(running);
    let now = crate::source::now().wall;
    let needs = parked::needs(&dir, bounds.as_ref(), now).map_err(|e| (e.to_string(), Exit::Storage))?;
    Ok((dir, needs, now))
}

fn list(args: &List) -> ExitCode {
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
    if args.json {
        print::out(&print::json(&serde_json::json!({ "needs": needs, "all": all, "systems": systems })));
        return Exit::Clean.into();
    }
    let mut text = String::new();
    for system in &systems {
        target(&mut text, system, now);
    }
    for need in &needs {
        entry(&mut text, need, now);
    }
    match all - needs.len() {
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

fn entry(text: &mut String, need: &Need, now: Millis) {
    let Need { key, seq, lane, at, owner, may, .. } = need;
    let late = if need.lateness == "ok" { String::new() } else { format!(" ({})", need.lateness) };
    line(text, &clean(&need.sentence));
    line(text, &format!("  {}, {}{late}, for {owner}; {lane} #{seq}", need.category.name(), ago(*at, now)));
    let told = [("reach them", &need.contact), ("later than agreed: tell", &need.escalate)];
    for (what, whom) in told.iter().filter_map(|(what, whom)| Some((what, whom.as_deref()?))) {
        line(text, &format!("  {what}: {}", clean(whom)));
    }
    line(text, &format!("  key {key}; you may {}", may.join(", ")));
}

/// The ones that a word names.
fn named<'a>(needs: &'a [Need], word: &str) -> Vec<&'a Need> {
    let number = word.strip_prefix('#').and_then(|number| number.parse::<i64>().ok());
    let is = |need: &&Need| match number {
        Some(number) => need.seq == number,
        None => need.key == word || need.subject == word || need.subject.rsplit('/').next() == Some(word),
    };
    needs.iter().filter(is).collect()
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    need: &'a Need,
    behind: i64,
    behind_since: Option<i64>,
    audit: Vec<Deed>,
}

fn show(args: &Show) -> ExitCode {
    let (dir, needs, now) = match needs(&args.place) {
        Ok(found) => found,
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    };
    let found = named(&needs, &args.word);
    if found.is_empty() {
        let why = format!("nothing of {} needs a person: `floorgate outbox find {0}` tells where it is", args.word);
        return print::refuse(args.json, &why, Exit::No);
    }
    let shown: Result<Vec<Shown<'_>>, _> = found.into_iter().map(|need| of(&dir, need)).collect();
    match shown {
        Ok(shown) if args.json => print::out(&print::json(&shown)),
        Ok(shown) => print::out(&shown.iter().map(|shown| shown.text(now)).collect::<String>()),
        Err(e) => return print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
    Exit::Clean.into()
}

fn of<'a>(dir: &Path, need: &'a Need) -> Result<Shown<'a>, crate::outbox::StorageError> {
    let (behind, behind_since) = parked::behind(dir, need)?;
    Ok(Shown { need, behind, behind_since, audit: parked::audit(dir, Some(&need.key), 20)? })
}

impl Shown<'_> {
    fn text(&self, now: Millis) -> String {
        let mut text = String::new();
        let Need { kind, tx_type, system, class, answer, status, .. } = self.need;
        entry(&mut text, self.need, now);
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

fn deed_line(text: &mut String, deed: &Deed, now: Millis) {
    let Deed { at, actor, act, reason, outcome, .. } = deed;
    line(text, &format!("  {}: {actor}: {act}: {}: {outcome}", ago(*at, now), clean(reason)));
}

fn act(act: Act, args: &Do, reference: Option<String>, changes: Vec<Change>) -> ExitCode {
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
                return print::refuse(args.json, &format!("nothing of {word} needs a person"), Exit::No);
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
        id: args.request.clone().unwrap_or_else(super::request_id),
        act,
        keys,
        reason: args.reason.clone(),
        reference,
        changes,
    };
    match super::decided::<Vec<Acted>>(&dir, Request::Operate(order)) {
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

fn audit(args: &Audit) -> ExitCode {
    let (dir, _) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    if args.verify {
        return match parked::verified(&dir) {
            Ok(Ok(rows)) => {
                print::out(&format!("{rows} rows, each as it was written\n"));
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
    match parked::audit(&dir, args.key.as_deref(), args.limit) {
        Ok(deeds) if args.json => print::out(&print::json(&deeds)),
        Ok(deeds) => {
            let mut text = String::new();
            for deed in &deeds {
                line(&mut text, &format!("{} {} {}", deed.lane, clean(&deed.subject), deed.key));
                deed_line(&mut text, deed, now);
            }
            if deeds.is_empty() {
                line(&mut text, "nobody has done anything");
            }
            print::out(&text);
        }
        Err(e) => return print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
    Exit::Clean.into()
}
