//! `floorgate dead retry`, `edit`, `repost`, `resolve` and `skip`: what a person decides, carried out by the gateway.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::filter::Filter;
use super::{entry, named, needs};
use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, ago, clean, without_control};
use crate::cli::{decided, request_id};
use crate::control::Request;
use crate::event::{Id, Millis};
use crate::lane::{Act, Change};
use crate::outbox::read::parked::{self, Deed, Need};
use crate::outbox::read::wanted::Wanted;
use crate::outbox::{Acted, Named, Order};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Do {
    /// Keys, #NUMBERs, subjects or their barcodes
    #[arg(value_name = "KEY", required_unless_present = "all")]
    words: Vec<String>,
    /// All that the filters leave: the oldest 1,000 of them
    #[arg(long, conflicts_with = "words")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Why: the audit keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do not ask before more than one, or with --all any, is changed; take a name that was decided a moment ago for the next of its name
    #[arg(long)]
    yes: bool,
    /// Names the command: with the same id again nothing is done twice [default: a new one]
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print a JSON array: what came of each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Resolve {
    /// The number of its document at the target
    #[arg(long, value_name = "TEXT")]
    pub(super) reference: String,
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
const RECENT_DEEDS: u32 = 20 * Order::MOST as u32;

pub(super) fn act(act: Act, args: &Do, reference: Option<String>, changes: Vec<Change>) -> ExitCode {
    let (dir, needs, now) = match needs(&args.place) {
        Ok(found) => found,
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    };
    if let Some(why) = args.filter.unknown_lane(&args.place, &dir) {
        return print::refuse(args.json, &why, Exit::Usage);
    }
    let order = |keys| Order {
        id: args.request.clone().unwrap_or_else(request_id),
        act,
        keys,
        reason: args.reason.clone(),
        reference,
        changes,
    };
    if let Some(before) = repeated(&dir, args) {
        let keys = before.iter().map(|deed| Named { key: deed.key.clone(), seen: None }).collect();
        let number = |key: &str| before.iter().find(|deed| deed.key == key).map(|deed| deed.seq);
        let new = args.all && needs.iter().any(|need| args.filter.takes(need));
        return carried_out(&dir, order(keys), args.json, number, |_| if new { NEW.to_owned() } else { String::new() });
    }
    // Without them nothing was decided.
    let deeds = LazyCell::new(|| parked::audit(&dir, None, RECENT_DEEDS).unwrap_or_default());
    let (mut chosen, mut keys) = (Vec::new(), Vec::new());
    for word in &args.words {
        let found = named(&needs, word);
        if let Some(why) = ambiguous(word, &found) {
            return print::refuse(args.json, &why, Exit::Usage);
        }
        match Id::parse(word) {
            // Perhaps a command that is asked for again: the gateway knows.
            Some(_) if found.is_empty() => keys.push(Named { key: word.clone(), seen: None }),
            None if found.is_empty() => {
                return print::refuse(args.json, &super::nothing_of(word), Exit::No);
            }
            None if !args.yes && !word.starts_with('#') => {
                if let Some(why) = another(&deeds, &found, now) {
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
    let mut met = HashSet::new();
    chosen.retain(|need| args.filter.takes(need) && met.insert(&need.key));
    let left = if args.all { cut(act, &mut chosen) } else { 0 };
    keys.extend(chosen.iter().map(|need| need.named()));
    if keys.is_empty() {
        return print::refuse(args.json, &Filter::none_of(needs.len()), Exit::No);
    }
    let order = order(keys);
    if let Some(why) = order.fault() {
        return print::refuse(args.json, &why, Exit::Usage);
    }
    if (args.all || order.keys.len() > 1) && !args.yes && !agreed(act, &chosen, left, now) {
        return print::refuse(args.json, "nothing was done: --yes does it without asking", Exit::Usage);
    }
    let number = |key: &str| chosen.iter().find(|need| need.key == key).map(|need| need.seq);
    carried_out(&dir, order, args.json, number, |refused| more(act, left, args.request.is_some(), refused))
}

/// Has it done, and tells what came of it; `more`: what else is to be said where so many were refused.
fn carried_out(
    dir: &Path,
    order: Order,
    as_json: bool,
    number: impl Fn(&str) -> Option<i64>,
    more: impl Fn(usize) -> String,
) -> ExitCode {
    match decided::<Vec<Acted>>(dir, Request::Operate(order)) {
        Ok(acted) => {
            let refused = acted.iter().filter(|acted| !acted.done).count();
            print::out(&if as_json { print::json(&acted) } else { said(&acted, number) });
            print::err(&more(refused));
            if refused == 0 { Exit::Clean.into() } else { Exit::No.into() }
        }
        Err((why, exit)) => print::refuse(as_json, &why, exit),
    }
}

/// Where a command is repeated, and others need a person now.
const NEW: &str = "that is what this request did before: what needs a person now wants another --request\n";

/// What a command with an id that came before did then: of its postings none may need a person any more. `None`: the id is new, or the
/// words name others as well.
fn repeated(dir: &Path, args: &Do) -> Option<Vec<Deed>> {
    // Where they can't be read, the gateway still knows.
    let deeds = parked::requested(dir, args.request.as_ref()?).ok().filter(|deeds| !deeds.is_empty())?;
    if args.all {
        return Some(deeds);
    }
    let named = |word: &String| {
        let wanted = Wanted::parse(word);
        let of_it = deeds.iter().filter(|deed| deed.is(&wanted)).cloned().collect::<Vec<_>>();
        (!of_it.is_empty()).then_some(of_it)
    };
    args.words.iter().map(named).collect::<Option<Vec<_>>>().map(|named| named.concat())
}

/// A line for each.
fn said(acted: &[Acted], number: impl Fn(&str) -> Option<i64>) -> String {
    let line = |Acted { key, done, text }: &Acted| {
        let number = number(key).map_or(String::new(), |seq| format!("#{seq}  "));
        format!("{number}{key}  {}{}\n", if *done { "" } else { "NOT DONE: " }, without_control(text))
    };
    acted.iter().map(line).collect()
}

/// A word that names several things is not acted on.
fn ambiguous(word: &str, found: &[&Need]) -> Option<String> {
    let subjects: BTreeSet<String> = found.iter().map(|need| clean(&need.subject)).collect();
    let named = subjects.into_iter().collect::<Vec<_>>();
    (named.len() > 1).then(|| format!("{} may be {}: write it whole", clean(word), named.join(" or ")))
}

/// The oldest of all that one command takes, first those that it can be done of; returns how many are left.
fn cut(act: Act, chosen: &mut Vec<&Need>) -> usize {
    chosen.sort_by_key(|need| !need.may.contains(&act.name()));
    let left = chosen.len().saturating_sub(Order::MOST);
    chosen.truncate(Order::MOST);
    left
}

/// What is left of all, and how to come by it. `named`: the person gave the command its id. `refused`: of so many it was not done.
fn more(act: Act, left: usize, named: bool, refused: usize) -> String {
    if left == 0 {
        return String::new();
    }
    let again = if named { "the same command with another --request" } else { "the same command again" };
    let when = if act == Act::Repost { " when another user has said it of these" } else { "" };
    let first = match refused {
        0 => String::new(),
        1 => "; the one that it was not done of may come first again: leave it out by --lane, --class or --code"
            .to_owned(),
        n => format!(
            "; the {n} that it was not done of may come first again: leave them out by --lane, --class or --code"
        ),
    };
    format!("{left} more are left: {again} takes the next{when}{first}\n")
}

/// A name means what needs a person now. Right after a decision that may be the next one of the same name, which the same
/// command was not meant for.
fn another(deeds: &[Deed], found: &[&Need], now: Millis) -> Option<String> {
    let before = |need: &&Need| {
        let mut of_it = deeds.iter().filter(|deed| deed.subject == need.subject && !deed.key.is_empty());
        of_it
            .find(|deed| (deed.seq, &deed.lane) != (need.seq, &need.lane) && now.0 - deed.at < RECENT_MS)
            .map(|deed| (need.seq, deed))
    };
    let (number, deed) = found.iter().find_map(before)?;
    let ago = ago(deed.at, now);
    Some(format!(
        "#{number} is another one than {}, which had `{}` {ago}: name it '#{number}', or write --yes",
        deed.key, deed.act
    ))
}

/// Shows what would be changed, and asks; nobody at the terminal is no.
fn agreed(act: Act, chosen: &[&Need], left: usize, now: Millis) -> bool {
    let mut text = String::new();
    for need in chosen {
        entry(&mut text, &clean(&need.sentence), need, now);
    }
    print::err(&text);
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let of = if left == 0 { String::new() } else { format!(", the oldest of {}", chosen.len() + left) };
    let these = if chosen.len() == 1 { "this one".to_owned() } else { format!("these {}", chosen.len()) };
    print::err(&format!("{} {these}{of}? [y/N] ", act.name()));
    drop(std::io::stderr().flush()); // who does not see it says no
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok_and(|_| answer.trim().eq_ignore_ascii_case("y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_may_be_several_subjects_is_not_acted_on() {
        let of = ["shipment/77", "po/77", "po/77"];
        let needs: Vec<Need> = (1..).zip(of).map(|(seq, subject)| Need::example(seq, subject, &[])).collect();
        assert_eq!(
            ambiguous("77", &named(&needs, "77")).as_deref(),
            Some("77 may be po/77 or shipment/77: write it whole")
        );
        assert_eq!(ambiguous("po/77", &named(&needs, "po/77")), None, "two postings of one");
    }

    /// A correction has another key and is the same posting.
    #[test]
    fn a_name_that_was_decided_a_moment_ago_means_no_other_posting() {
        let now = Millis(1_763_906_709_412);
        let need = Need::example(7, "shipment/SH-1", &[]);
        let (actor, act, lane) = ("anna".to_owned(), "edit".to_owned(), need.lane.clone());
        let deed = Deed {
            at: now.0 - 60_000,
            actor,
            act,
            lane,
            seq: 7,
            subject: need.subject.clone(),
            key: "5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1".to_owned(),
            reason: String::new(),
            outcome: String::new(),
            request: String::new(),
        };
        let told = |deed: &Deed| another(std::slice::from_ref(deed), &[&need], now);
        assert_eq!(told(&deed), None);
        insta::assert_snapshot!(told(&Deed { seq: 6, ..deed.clone() }).expect("it is"), @"#7 is another one than 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1, which had `edit` 60 s ago: name it '#7', or write --yes");
        assert_eq!(told(&Deed { seq: 6, at: deed.at - RECENT_MS, ..deed }), None, "long ago");
    }

    #[test]
    fn all_is_the_oldest_thousand_and_the_next_with_the_same_command() {
        let may = |seq: i64| if seq <= 10 { &["skip"][..] } else { &["retry", "skip"] };
        let needs: Vec<Need> = (1..=1_500).map(|seq| Need::example(seq, "a", may(seq))).collect();
        let first = |act, needs: &[&Need]| {
            let mut chosen = needs.to_vec();
            let left = cut(act, &mut chosen);
            (left, chosen[0].seq, chosen[chosen.len() - 1].seq)
        };
        let all: Vec<&Need> = needs.iter().collect();
        assert_eq!(first(Act::Skip, &all), (500, 1, 1_000));
        assert_eq!(first(Act::Retry, &all), (500, 11, 1_010), "what can't be retried is in nobody's way");
        let next: Vec<&Need> = needs.iter().filter(|need| !(11..=1_010).contains(&need.seq)).collect();
        assert_eq!(first(Act::Retry, &next), (0, 1_011, 10));
        assert_eq!(more(Act::Skip, 500, false, 0), "500 more are left: the same command again takes the next\n");
        assert_eq!(more(Act::Skip, 0, true, 3), "");
    }

    /// An id names the postings that were taken the first time.
    #[test]
    fn the_next_of_all_want_a_command_of_their_own() {
        insta::assert_snapshot!(more(Act::Retry, 5, true, 0), @"5 more are left: the same command with another --request takes the next");
        insta::assert_snapshot!(more(Act::Repost, 5, false, 0), @"5 more are left: the same command again takes the next when another user has said it of these");
        insta::assert_snapshot!(more(Act::Edit, 5, false, 2), @"5 more are left: the same command again takes the next; the 2 that it was not done of may come first again: leave them out by --lane, --class or --code");
    }
}
