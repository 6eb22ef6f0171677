//! `floorgate dead list`: what needs a person, and the systems and lanes that stand still.

use std::process::ExitCode;
use std::slice;

use serde::Serialize;

use super::filter::Filter;
use super::{bounded, entry};
use crate::app::Exit;
use crate::cli::hold;
use crate::cli::place::Place;
use crate::cli::print::{self, clean, line};
use crate::cli::status::target;
use crate::cli::trouble::{Kept, Wide, once, told, wait};
use crate::control::{self, Request};
use crate::event::Millis;
use crate::lane::{Class, Standing, System};
use crate::outbox::StorageError;
use crate::outbox::read::holds::{self, Held};
use crate::outbox::read::parked::{self, Need};
use crate::outbox::read::{self, Bounds, LaneStatus};

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
    match List::of(args) {
        Ok(list) if args.json => print::out(&print::json(&list)),
        Ok(list) => print::out(&list.text()),
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    }
    Exit::Clean.into()
}

#[derive(Serialize)]
struct List {
    needs: Vec<Need>,
    /// How many of those that were asked for there are.
    all: usize,
    systems: Vec<Troubled>,
    /// Lanes whose system does not speak for them.
    lanes: Vec<Kept>,
    /// What persons have stopped, and rows wait for.
    holds: Vec<Waited>,
    /// How many need a person, asked for or not.
    #[serde(skip)]
    waiting: usize,
    /// Whatever persons have stopped.
    #[serde(skip)]
    held: Vec<Held>,
    /// How many systems, lanes and holds there are, asked for or not.
    #[serde(skip)]
    wide: usize,
    #[serde(skip)]
    now: Millis,
}

/// A system that takes nothing, or has lanes that are stopped: one exception, however many rows wait for it.
#[derive(Serialize)]
struct Troubled {
    #[serde(flatten)]
    system: System,
    #[serde(flatten)]
    wide: Wide,
    /// The lanes that it keeps.
    #[serde(skip)]
    lanes: Vec<String>,
}

/// A hold that rows wait for.
#[derive(Serialize)]
struct Waited {
    #[serde(flatten)]
    hold: Held,
    rows: i64,
    #[serde(skip)]
    lanes: Vec<String>,
}

impl Waited {
    fn of(hold: Held, lanes: &[LaneStatus], subjects: &[holds::Kept], bounds: Option<&Bounds>) -> Option<Self> {
        let whole = lanes.iter().filter(|lane| hold.keeps(&lane.lane, &lane.system));
        let whole = whole.map(|lane| (lane.going(Bounds::parks_in(bounds, &lane.lane)), lane.lane.clone()));
        let single = subjects.iter().filter(|kept| hold.scope == "subject" && hold.name == kept.subject);
        let single = single.map(|kept| (kept.rows, kept.lane.clone()));
        let (rows, lanes): (Vec<i64>, Vec<String>) = whole.chain(single).unzip();
        let rows = rows.iter().sum();
        (rows > 0).then_some(Self { hold, rows, lanes })
    }
}

impl List {
    fn of(args: &Args) -> Result<Self, (String, Exit)> {
        let (dir, bounds) = bounded(&args.place)?;
        if let Some(why) = args.filter.unknown_lane(&args.place, &dir) {
            return Err((why, Exit::Usage));
        }
        let (bounds, now) = (bounds.as_ref(), crate::source::now().wall);
        let unreadable = |e: StorageError| (e.to_string(), Exit::Storage);
        let needs = parked::needs(&dir, bounds, now).map_err(unreadable)?;
        let waiting = needs.len();
        let lanes = read::lanes_of(&dir).map_err(unreadable)?;
        // Only a running gateway knows how systems stand.
        let said = control::ask(&dir, Request::Status).ok();
        let mut systems = said.map_or_else(Vec::new, |gateway: control::Status| gateway.systems);
        once(&mut systems, &lanes, bounds);
        let kept = lanes.iter().filter_map(|lane| Kept::with_owner(lane, bounds, now));
        let kept: Vec<Kept> = kept.filter(|kept| !kept.is_told_by(&systems)).collect();
        let systems: Vec<Troubled> =
            systems.into_iter().filter_map(|system| troubled(system, &lanes, bounds, now)).collect();
        let held = holds::holds(&dir).map_err(unreadable)?;
        let subjects = holds::kept(&dir, bounds).map_err(unreadable)?;
        let holds = held.iter().filter_map(|hold| Waited::of(hold.clone(), &lanes, &subjects, bounds));
        let holds: Vec<Waited> = holds.collect();
        let wide = kept.len() + systems.len() + holds.len();
        let mut list = Self { needs, all: 0, systems, lanes: kept, holds, held, waiting, wide, now };
        list.ask(&args.filter);
        list.needs.truncate(args.limit);
        Ok(list)
    }

    /// Only what is asked for is left.
    fn ask(&mut self, filter: &Filter) {
        self.needs.retain(|need| filter.takes(need));
        self.all = self.needs.len();
        self.systems.retain(|system| filter.takes_wide(Some(&system.wide), &system.lanes));
        self.holds.retain(|hold| filter.takes_wide(None, &hold.lanes));
        let of = |kept: &Kept| filter.takes_wide(kept.wide.as_ref(), slice::from_ref(&kept.lane));
        self.lanes.retain(of);
    }

    fn text(&self) -> String {
        let Self { needs, all, systems, lanes, holds, held, waiting, wide, now } = self;
        let mut text = String::new();
        for Troubled { system, wide, .. } in systems {
            target(&mut text, system, held, *now);
            wide.text(&mut text, "");
        }
        let told_above = |hold: &Held| {
            let is = |Troubled { system, .. }: &Troubled| {
                hold.scope == "system" && hold.name == system.system && system.standing != Standing::Closed
            };
            systems.iter().any(is)
        };
        for Waited { hold, rows, .. } in holds.iter().filter(|waited| !told_above(&waited.hold)) {
            let (scope, name, ends) = (&hold.scope, clean(&hold.name), hold::ends(hold, *now));
            line(&mut text, &format!("{scope} {name}: {ends}; {}", wait(*rows)));
        }
        told(&mut text, lanes, &[], "");
        for need in needs {
            entry(&mut text, &clean(&need.sentence), need, *now);
        }
        let shown = systems.len() + lanes.len() + holds.len();
        match all - needs.len() {
            0 if *waiting == 0 && shown > 0 => line(&mut text, "no single posting needs a person"),
            0 if *waiting == 0 && *wide > 0 => line(
                &mut text,
                "nothing is as was asked for, but other systems, lanes or subjects stand still: `floorgate dead list` shows them",
            ),
            0 if *all == 0 => line(&mut text, &Filter::none_of(*waiting)),
            0 => line(&mut text, "`floorgate dead show KEY` tells more of one"),
            left => line(&mut text, &format!("and {left} more: --limit lists them")),
        }
        text
    }
}

/// The exception that a system is, if it is one: its open breaker keeps all its lanes; else those that are stopped, or that have
/// postings which it does not come to an end with.
fn troubled(system: System, lanes: &[LaneStatus], bounds: Option<&Bounds>, now: Millis) -> Option<Troubled> {
    let System { standing, stopped, late, .. } = &system;
    let first_stopped = stopped.iter().map(|stopped| stopped.storm.since).min();
    let (class, since) = match (standing, first_stopped) {
        (Standing::Open { trouble, .. } | Standing::HalfOpen { trouble, .. }, _) => {
            (trouble.why.class(), trouble.since)
        }
        (Standing::Closed, Some(since)) => (Class::Contract, since),
        (Standing::Closed, None) => (Class::Accepted, late.iter().map(|late| late.overdue.since).min()?),
    };
    let named: Vec<&str> =
        stopped.iter().map(|s| &s.lane).chain(late.iter().map(|l| &l.lane)).map(String::as_str).collect();
    let keeps = |lane: &&LaneStatus| {
        lane.system == system.system && (*standing != Standing::Closed || named.contains(&lane.lane.as_str()))
    };
    let lanes: Vec<&LaneStatus> = lanes.iter().filter(keeps).collect();
    let wide = Wide::of(&lanes, class, since.0, bounds, now);
    let lanes = lanes.iter().map(|lane| lane.lane.clone()).collect();
    Some(Troubled { system, wide, lanes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{Category, Desk, Desks, Late, Overdue, Stopped, Storm, Trouble, Why};

    const NOW: Millis = Millis(1_763_906_709_412);

    fn ago(minutes: u64) -> Millis {
        NOW.minus(minutes * 60_000)
    }

    /// Goods issues that wait for 50 minutes, goods receipts for 70, a display for 90.
    fn lanes() -> Vec<LaneStatus> {
        let lane = |lane: &str, ready, minutes, tx_type: &str| LaneStatus {
            lane: lane.to_owned(),
            system: "erp".to_owned(),
            ready,
            oldest_going_at: Some(ago(minutes).0),
            oldest_tx: Some(tx_type.to_owned()),
            ..LaneStatus::default()
        };
        let away = LaneStatus { system: "tms".to_owned(), ..lane("carrier", 100, 90, "manifest") };
        vec![lane("out", 3, 50, "goods_issue"), lane("in", 2, 70, "goods_receipt"), lane("board", 1, 90, "scan"), away]
    }

    fn bounds() -> Bounds {
        let [contact, escalate] = ["dial 400", "the shift lead"].map(|whom| Some(whom.to_owned()));
        let desk = Desk { contact, escalate, ..Desk::default() };
        let max_parked = ["out", "in", "carrier"].map(|lane| (lane.to_owned(), 500)).into();
        Bounds { max_size: 1, max_parked, desks: Desks([(Category::ContractBroken, desk)].into()), ..Bounds::default() }
    }

    fn found(standing: Standing, stopped: Vec<Stopped>, late: Vec<Late>) -> Option<Troubled> {
        let system = System { system: "erp".to_owned(), standing, per_minute: None, stopped, late };
        troubled(system, &lanes(), Some(&bounds()), NOW)
    }

    fn list(systems: Vec<Troubled>, held: Vec<Held>) -> List {
        let of = |subject: &str, rows| holds::Kept { subject: subject.to_owned(), lane: "in".to_owned(), rows };
        let subjects = [of("shipment/SH-1", 2)];
        let holds = held.iter().filter_map(|hold| Waited::of(hold.clone(), &lanes(), &subjects, Some(&bounds())));
        let holds: Vec<Waited> = holds.collect();
        let (needs, lanes, wide) = (Vec::new(), Vec::new(), systems.len() + holds.len());
        List { needs, all: 0, systems, lanes, holds, held, waiting: 0, wide, now: NOW }
    }

    fn text(systems: Vec<Troubled>) -> String {
        list(systems, Vec::new()).text()
    }

    fn hold(scope: &str, name: &str) -> Held {
        let [scope, name, actor, reason] = [scope, name, "root", "ERP update"].map(str::to_owned);
        Held { scope, name, at: ago(3).0, actor, reason }
    }

    fn open(why: Why, minutes: u64) -> Standing {
        let (words, help) = ("HTTP 401".to_owned(), String::new());
        let trouble = Trouble { since: ago(minutes), at: NOW.minus(5_000), why, words, help, seq: Some(7) };
        Standing::Open { trouble, next_try: Some(NOW.plus(9_000)) }
    }

    #[test]
    fn a_system_that_takes_nothing_is_one_exception_with_an_owner_and_an_age() {
        let refused = found(open(Why::Auth, 40), Vec::new(), Vec::new()).expect("it takes nothing");
        let told: serde_json::Value = serde_json::from_str(&print::json(&refused)).expect("it is JSON");
        let has = |key: &str| told[key].clone();
        assert_eq!(
            ["category", "owner", "contact", "escalate", "lateness"].map(has),
            ["contract_broken", "integration", "dial 400", "the shift lead", "breach"]
        );
        assert_eq!(["opened_at", "rows", "why"].map(has), [ago(40).0.into(), 6.into(), serde_json::json!("auth")]);
        insta::assert_snapshot!(text(vec![refused]), @r"
        system erp: breaker open for 40 min, auth, the last time 5 s ago: HTTP 401
          one row is sent in 9 s, to find out; when three in a row are answered well, everything goes
          `floorgate trace '#7'` shows the answer
          contract_broken (breach), for integration; 6 rows wait
          reach them: dial 400
          later than agreed: tell: the shift lead
        no single posting needs a person
        ");
    }

    /// Nothing is wrong with what is agreed: what waits for it is what is in trouble.
    #[test]
    fn a_system_that_is_away_is_what_its_oldest_posting_would_be() {
        let away = found(open(Why::Failing, 65), Vec::new(), Vec::new()).expect("it takes nothing");
        assert!(text(vec![away]).contains("\n  receipt_unposted, for procurement; 6 rows wait\n"));
    }

    #[test]
    fn lanes_that_are_stopped_or_not_booked_are_one_exception_of_their_own_rows() {
        let lane = "out".to_owned();
        let storm = Storm {
            since: ago(10),
            class: "validation".to_owned(),
            code: None,
            words: "no".to_owned(),
            rejected: 27,
            next_try: NOW,
        };
        let stopped = vec![Stopped { lane: lane.clone(), storm }];
        let late = vec![Late { lane, overdue: Overdue { rows: 3, since: ago(61) } }];
        let told = text(found(Standing::Closed, stopped, Vec::new()).into_iter().collect());
        assert!(
            told.contains("\n  contract_broken (warn), for integration; 3 rows wait\n  reach them: dial 400\n"),
            "{told}"
        );
        let told = text(found(Standing::Closed, Vec::new(), late).into_iter().collect());
        assert!(told.contains("\n  shipment_blocked (breach), for ERP team and warehouse; 3 rows wait\n"), "{told}");
        assert!(found(Standing::Closed, Vec::new(), Vec::new()).is_none());
    }

    #[test]
    fn what_is_asked_for_holds_for_whole_systems_too() {
        let told = |asked: &str, word: &str| {
            let of = |name: &str| (asked == name).then(|| word.to_owned());
            let filter = Filter { lane: of("lane"), class: of("class"), category: of("category"), code: of("code") };
            let open = found(open(Why::Contract, 1), Vec::new(), Vec::new());
            let mut list = list(open.into_iter().collect(), vec![hold("lane", "in")]);
            list.ask(&filter);
            (list.systems.len(), list.holds.len(), list.text().lines().last().map(str::to_owned).unwrap_or_default())
        };
        let none = "no single posting needs a person".to_owned();
        assert_eq!(told("", ""), (1, 1, none.clone()));
        assert_eq!(told("lane", "in"), (1, 1, none.clone()));
        assert_eq!(told("lane", "out"), (1, 0, none.clone()));
        assert_eq!(told("class", "contract"), (1, 0, none.clone()));
        assert_eq!(told("category", "contract_broken"), (1, 0, none));
        for (asked, word) in
            [("lane", "carrier"), ("class", "auth"), ("category", "shipment_blocked"), ("code", "unknown_item")]
        {
            let (systems, holds, last) = told(asked, word);
            assert_eq!((systems, holds), (0, 0), "{asked}");
            assert!(
                last.starts_with("nothing is as was asked for, but other systems, lanes or subjects stand still"),
                "{last}"
            );
        }
    }

    #[test]
    fn what_a_person_holds_is_told_with_what_ends_it_and_nothing_is_said_to_be_tried() {
        let open = || found(open(Why::Auth, 40), Vec::new(), Vec::new()).into_iter().collect();
        insta::assert_snapshot!(list(open(), vec![hold("system", "erp"), hold("system", "tms")]).text(), @r"
        system erp: breaker open for 40 min, auth, the last time 5 s ago: HTTP 401
          HELD by root 3 min ago: ERP update; nothing is tried until `floorgate release system erp --reason …`
          `floorgate trace '#7'` shows the answer
          contract_broken (breach), for integration; 6 rows wait
          reach them: dial 400
          later than agreed: tell: the shift lead
        system tms: HELD by root 3 min ago: ERP update; nothing is tried until `floorgate release system tms --reason …`; 100 rows wait
        no single posting needs a person
        ");
        let lanes = list(Vec::new(), vec![hold("lane", "out"), hold("lane", "idle")]).text();
        insta::assert_snapshot!(lanes, @r"
        lane out: HELD by root 3 min ago: ERP update; nothing is tried until `floorgate release lane out --reason …`; 3 rows wait
        no single posting needs a person
        ");
        let subjects =
            list(Vec::new(), vec![hold("subject", "shipment/SH-1"), hold("subject", "shipment/SH-2")]).text();
        insta::assert_snapshot!(subjects, @r"
        subject shipment/SH-1: HELD by root 3 min ago: ERP update; nothing is tried until `floorgate release subject shipment/SH-1 --reason …`; 2 rows wait
        no single posting needs a person
        ");
    }
}
