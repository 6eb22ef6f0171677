//! `floorgate status`: asks the running gateway how its links, devices and outbox are doing.

mod instances;

use std::path::Path;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::app::Exit;
use crate::cli::outbox::{Room, stopped};
use crate::cli::place::Place;
use crate::cli::print::{self, age, ago, clean, line};
use crate::cli::tap;
use crate::control::{self, Request, Unanswered};
use crate::event::Millis;
use crate::lane::{Late, Overdue, Standing, Stopped, Storm, System};
use crate::outbox::read::{self, Bounds, Held};
use crate::source::health::{self, State};
use crate::tagmap::points::{Quality, Stands};

/// Ask the running gateway how its links, devices and outbox are doing.
///
/// For each link and device: its state and since when, its last good answer or message, how long its last poll took,
/// requests and messages since the gateway started, how many of them failed, how many polls were left out because one took
/// too long, and why the last failure was, until an hour after it is over; then the alarms that stand, the
/// systems whose breaker is open and the lanes that too many rejections have stopped. With a DEVICE: its row,
/// and each of its tags as the gateway reads it: value, unit, whether it can be trusted, how old it is and why there is
/// none; in parentheses the last one that was good. Of a device with instances behind it (`hand-p07` of `hand`) it lists when
/// each has sent last; DEVICE may be one of them. Asks through control.sock in the data directory, which is the user's that runs the gateway.
///
/// Ends with 0 when the gateway has answered, whatever it has to tell; with 69 when none runs, it can't be asked or knows no
/// such device (without DEVICE it tells how the outbox stands all the same); with 74 when the gateway runs and its outbox
/// can't be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Tell of this device, instance of one, or link alone, with its tags
    device: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate status
  floorgate status --config config/gateway.toml
  floorgate status scale-1
  floorgate status hand-p07
  floorgate status scale-1 --json | jq -r '.tags[] | select(.quality != \"good\") | [.tag, .reason] | @tsv'
  floorgate status --json | jq -r '.gateway.devices[] | select(.state != \"up\") | [.id, .last_error.words] | @tsv'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, bounds) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    if let Some(device) = &args.device {
        let found = control::ask::<health::Device>(&dir, Request::Device { device: device.clone() });
        return match found.map_err(|why| why.to_string()).and_then(|found| instances::Shown::of(&dir, device, found)) {
            Ok(shown) => {
                print::out(&if args.json { print::json(&shown) } else { shown.text(now) });
                Exit::Clean.into()
            }
            Err(why) => print::refuse(args.json, &why, Exit::Unavailable),
        };
    }
    let report = Report::of(&dir, bounds, control::ask(&dir, Request::Status), now);
    print::out(&if args.json { print::json(&report) } else { report.text(now) });
    match (&report.gateway, &report.outbox_error) {
        (None, _) => Exit::Unavailable.into(),
        (Some(_), Some(_)) => Exit::Storage.into(),
        (Some(_), None) => Exit::Clean.into(),
    }
}

#[derive(Serialize)]
struct Report {
    data_dir: String,
    /// What the gateway says of itself.
    gateway: Option<control::Status>,
    /// Why it says nothing.
    gateway_error: Option<String>,
    /// When the database was last written, if no gateway says more.
    last_written: Option<Millis>,
    outbox: Option<Outbox>,
    outbox_error: Option<String>,
}

/// The outbox in short; `floorgate outbox status` has all of it.
#[derive(Serialize)]
struct Outbox {
    /// Rows that are not at their end and go by themselves, of all lanes.
    pending: i64,
    /// Recorded time of the oldest of them.
    oldest_at: Option<i64>,
    /// Rows that only a person can free: dead letters, held rows, and what waits behind them.
    need_a_person: i64,
    /// Devices are not acknowledged.
    full: bool,
    /// Share of `outbox.max_size` that is pending, where that is known: from 0.7 on something is done about it.
    fill: Option<f64>,
    dead_letters: i64,
    /// Taken over by their targets, which book them later; they count as pending.
    accepted: i64,
    held: i64,
    /// Lanes in trouble.
    lanes: Vec<Lane>,
}

#[derive(Serialize)]
struct Lane {
    lane: String,
    trouble: String,
}

impl Report {
    fn of(dir: &Path, bounds: Option<Bounds>, gateway: Result<control::Status, Unanswered>, now: Millis) -> Self {
        let (gateway, gateway_error) = match gateway {
            Ok(gateway) => (Some(gateway), None),
            Err(why) => (None, Some(why.to_string())),
        };
        let bounds = gateway.as_ref().map(|gateway| gateway.bounds.clone()).or(bounds);
        let (outbox, outbox_error) = match read::status(dir, now.0) {
            Ok(status) => (Some(Outbox::of(&status, bounds.as_ref(), gateway.as_ref(), now)), None),
            Err(e) => (None, Some(e.to_string())),
        };
        Self {
            data_dir: dir.display().to_string(),
            last_written: gateway.is_none().then(|| last_written(dir)).flatten(),
            gateway,
            gateway_error,
            outbox,
            outbox_error,
        }
    }

    fn text(&self, now: Millis) -> String {
        let mut text = String::new();
        if let Some(gateway) = &self.gateway {
            let control::Status { version, pid, site, gateway: id, since, .. } = gateway;
            let since = age(since.0, now);
            line(&mut text, &format!("gateway {id} of site {site} runs for {since}: process {pid}, version {version}"));
            parts(&mut text, &gateway.health, now);
            gateway.systems.iter().for_each(|system| target(&mut text, system, now));
        }
        if let Some(why) = &self.gateway_error {
            line(&mut text, why);
        }
        if let Some(at) = self.last_written {
            line(&mut text, &format!("its database was last written {} ago, at {at}", age(at.0, now)));
        }
        if let Some(outbox) = &self.outbox {
            outbox.text(&mut text, now);
        }
        if let Some(why) = &self.outbox_error {
            line(&mut text, why);
        }
        text
    }
}

/// When the database's files were last written.
fn last_written(dir: &Path) -> Option<Millis> {
    let written =
        read::FILES.iter().filter_map(|name| std::fs::metadata(dir.join(name)).ok()?.modified().ok()).max()?;
    let ms = written.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Millis)
}

impl Outbox {
    fn of(status: &read::Status, bounds: Option<&Bounds>, gateway: Option<&control::Status>, now: Millis) -> Self {
        // A lane that parks nothing goes on behind a rejected row.
        let behind = |lane: &read::LaneStatus| {
            if bounds.is_none_or(|bounds| bounds.parks(&lane.lane)) { lane.behind.min(lane.ready) } else { 0 }
        };
        let going = |lane: &read::LaneStatus| {
            lane.ready + lane.sending + lane.accepted + lane.unknown + lane.waiting - behind(lane)
        };
        let parked = |lane: &read::LaneStatus| lane.rejected + lane.held + behind(lane);
        let stopped = bounds.map(|bounds| stopped(status, bounds)).unwrap_or_default();
        let room = bounds.map(|bounds| Room::of(status, bounds.max_size));
        let by_size = room.as_ref().is_some_and(|room| room.full);
        let lanes = status.lanes.iter().filter_map(|lane| {
            let hold = status.holds.iter().find(|hold| hold.keeps(&lane.lane, &lane.system, ""));
            let trouble = if let Some(Held { scope, actor, at, reason, .. }) = hold {
                format!("{scope} HELD by {actor} {}: {}", ago(*at, now), clean(reason))
            } else if stopped.contains(&lane.lane.as_str()) {
                format!("stopped, {} subjects are parked", lane.parked)
            } else if let Some(last) = lane.last_answer.as_ref().filter(|_| lane.meets_trouble()) {
                let http = last.status.map_or_else(|| "no answer".to_owned(), |status| format!("HTTP {status}"));
                format!("{http} ({}) {} ago", last.class, age(last.at, now))
            } else {
                return None;
            };
            Some(Lane { lane: lane.lane.clone(), trouble })
        });
        Self {
            pending: status.lanes.iter().map(going).sum(),
            oldest_at: status.lanes.iter().filter_map(|lane| lane.oldest_going_at).min(),
            need_a_person: status.lanes.iter().map(parked).sum(),
            full: gateway.map_or(by_size, |gateway| !gateway.room),
            fill: room.map(|room| room.fill),
            dead_letters: status.dead_letters,
            accepted: status.lanes.iter().map(|lane| lane.accepted).sum(),
            held: status.held,
            lanes: lanes.collect(),
        }
    }

    fn text(&self, text: &mut String, now: Millis) {
        let oldest = self.oldest_at.map_or_else(String::new, |at| format!(", the oldest {} old", age(at, now)));
        let fills = self.fill.filter(|fill| *fill >= 0.7).map(|fill| format!("; {:.0} % full", fill * 100.0));
        let full = match fills {
            _ if self.full => "; FULL: devices are not acknowledged".to_owned(),
            fills => fills.unwrap_or_default(),
        };
        let count = |n: i64, what: &str| if n > 0 { format!("; {what}: {n}") } else { String::new() };
        let accepted = count(self.accepted, "accepted and not booked yet");
        let (letters, held) = (count(self.dead_letters, "dead letters"), count(self.held, "held"));
        let person = if self.need_a_person > 0 {
            let be = if self.need_a_person == 1 { "needs" } else { "need" };
            format!("; {} {be} a person", self.need_a_person)
        } else {
            String::new()
        };
        line(text, &format!("outbox: {} pending{oldest}{accepted}{person}{full}{letters}{held}", self.pending));
        for Lane { lane, trouble } in &self.lanes {
            line(text, &format!("  lane {lane}: {trouble}"));
        }
    }
}

/// A line for a system that takes nothing, and one for each of its lanes that is stopped.
pub(super) fn target(text: &mut String, System { system, standing, stopped, late, .. }: &System, now: Millis) {
    for Late { lane, overdue: Overdue { rows, since } } in late {
        let since = age(since.0, now);
        line(
            text,
            &format!("lane {lane}: {rows} postings are accepted for {since} and not booked: what does {system} do?"),
        );
    }
    let tried = |at: Millis| {
        if at > now { format!("one row is sent in {}, to find out", age(now.0, at)) } else { TRYING.to_owned() }
    };
    let (since, why, words, then) = match standing {
        Standing::Closed => return lanes_stopped(text, stopped, tried),
        Standing::Open { since, why, words, next_try } => (since, why, words, tried(*next_try)),
        Standing::HalfOpen { since, why, words } => (since, why, words, TRYING.to_owned()),
    };
    let (why, since, words) = (why.name(), age(since.0, now), clean(words));
    line(text, &format!("system {system}: breaker open for {since}, {why}; {then}: {words}"));
    lanes_stopped(text, stopped, tried);
}

const TRYING: &str = "one row at a time is sent, to find out";

fn lanes_stopped(text: &mut String, stopped: &[Stopped], tried: impl Fn(Millis) -> String) {
    for Stopped { lane, storm } in stopped {
        let Storm { class, code, words, rejected, next_try, .. } = storm;
        let code = code.as_ref().map_or_else(String::new, |code| format!(" {}", clean(code)));
        let then = tried(*next_try);
        line(
            text,
            &format!("lane {lane}: STOPPED, {rejected} rows were rejected ({class}{code}); {then}: {}", clean(words)),
        );
    }
}

/// One device: its row, what is wrong with it, and its tags.
fn device_text(device: &health::Device, now: Millis) -> String {
    let mut text = String::new();
    let part = &device.status;
    let (link, id) = part.link.as_deref().map_or((part.id.as_str(), "-"), |link| (link, &part.id));
    print::table(&mut text, &[HEAD.map(str::to_owned), row(link, id, part, now)], 3);
    note(&mut text, part, now);
    if device.tags.is_empty() {
        let help = format!("`floorgate tap {}` shows what it sends", part.id);
        line(&mut text, &format!("no tags are polled; {help}"));
        return text;
    }
    line(&mut text, "");
    let mut rows = vec![["tag", "value", "unit", "quality", "age", ""].map(str::to_owned)];
    rows.extend(device.tags.iter().map(|tag| {
        [
            tag.tag.clone(),
            match tag.value.as_ref().map(|value| clean(&tap::word(value))) {
                Some(value) if tag.quality == Quality::Good => value,
                Some(last) => format!("({last})"),
                None => "-".to_owned(),
            },
            tag.unit.as_ref().map(|unit| clean(unit)).unwrap_or_default(),
            tag.quality.word().to_owned(),
            tag.at.map_or_else(|| "-".to_owned(), |at| age(at.0, now)),
            tag.reason.as_ref().map(|why| clean(why)).unwrap_or_default(),
        ]
    }));
    print::table(&mut text, &rows, 6);
    text
}

const HEAD: [&str; 11] =
    ["link", "device", "state", "since", "seen", "poll", "requests", "messages", "bad", "errors", "missed"];

/// One row for each link and behind it its devices, and below a line for what is wrong with them.
fn parts(text: &mut String, health: &health::Snapshot, now: Millis) {
    let mut rows = vec![HEAD.map(str::to_owned)];
    let mut notes = String::new();
    for link in &health.links {
        rows.push(row(&link.id, "-", link, now));
        note(&mut notes, link, now);
        for device in health.devices.iter().filter(|device| device.link.as_ref() == Some(&link.id)) {
            rows.push(row(&link.id, &device.id, device, now));
            note(&mut notes, device, now);
        }
    }
    print::table(text, &rows, 3);
    text.push_str(&notes);
}

fn row(link: &str, device: &str, part: &health::Status, now: Millis) -> [String; 11] {
    let ago = |at: Option<Millis>| at.map_or_else(|| "-".to_owned(), |at| age(at.0, now));
    [
        link.to_owned(),
        device.to_owned(),
        state(part, now),
        ago(part.since),
        ago(part.last_seen),
        part.poll_us.map_or_else(|| "-".to_owned(), |us| format!("{:.1} ms", us as f64 / 1_000.0)),
        part.requests.to_string(),
        part.messages.to_string(),
        part.bad.to_string(),
        errors(part),
        part.missed_periods.to_string(),
    ]
}

fn note(notes: &mut String, part: &health::Status, now: Millis) {
    let known = part.last_error.as_ref().map(|last| &last.words);
    if let Some(detail) = part.detail.as_ref().filter(|detail| part.state != State::Up && known != Some(detail)) {
        line(notes, &format!("  {}: {}", part.id, clean(detail)));
    }
    if let Some(last) = &part.last_error {
        let (id, ago, words) = (&part.id, age(last.at.0, now), clean(&last.words));
        match last.over {
            Some(over) if now.since(over) >= FORGOTTEN => {}
            Some(over) if now.since(over) >= OVER => {
                line(notes, &format!("  {id}: was {} {ago} ago, over since {over}: {words}", last.cause));
            }
            _ => {
                line(notes, &format!("  {id}: the last error {ago} ago, {}: {words}", last.cause));
                if let Some(hint) = last.hint.as_ref().filter(|_| last.over.is_none()) {
                    line(notes, &format!("    {hint}"));
                }
            }
        }
    }
    for alarm in &part.alarms {
        let since =
            alarm.since.map_or_else(String::new, |since| format!(", raised {} ago, at {since}", age(since.0, now)));
        let how = match alarm.state {
            Stands::Active => "active",
            Stands::Acknowledged => "active, acknowledged",
            Stands::Latched => "over, but not acknowledged at the device",
        };
        let text = alarm.text.as_ref().map(|text| format!(": {}", clean(text))).unwrap_or_default();
        line(notes, &format!("  {}: alarm {} ({}), {how}{since}{text}", part.id, alarm.alarm, alarm.severity));
    }
}

/// After so many milliseconds without another an error is over: one in each tenth poll is not.
const OVER: u64 = 60_000;
/// After so many it is history: its count stays.
const FORGOTTEN: u64 = 3_600_000;

/// Its state in words.
pub(super) fn state(part: &health::Status, now: Millis) -> String {
    match part.state {
        State::Connecting => "connecting".to_owned(),
        State::Up => match part.session_present {
            Some(true) => "up, session kept".to_owned(),
            Some(false) => "up, new session".to_owned(),
            None => "up".to_owned(),
        },
        State::Down => "down".to_owned(),
        State::Quarantined { until } => format!("quarantined for {} s", until.since(now) / 1_000),
        State::Stuck => "stuck".to_owned(),
        State::Refused => "refused".to_owned(),
    }
}

/// How many errors there were, and which part of the requests failed: not each error is one of a request.
fn errors(part: &health::Status) -> String {
    let (errors, failed): (u64, u64) = (part.errors.values().sum(), part.failed_requests);
    if part.requests == 0 || failed == 0 {
        return errors.to_string();
    }
    let of = if errors == failed { "" } else { " of requests" };
    format!("{errors} ({:.1} %{of})", failed as f64 * 100.0 / part.requests as f64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::lane::Why;
    use crate::source::health::{Cause, Health};
    use crate::tagmap::points::Standing as Alarm;

    const NOW: Millis = Millis(1_763_906_709_412);

    fn ago(seconds: i64) -> Millis {
        Millis(NOW.0 - seconds * 1_000)
    }

    /// Since when a link is in its state is not ours to say: it is set back to a fixed time.
    fn gateway() -> control::Status {
        let health = Health::default();
        let (broker, line): (Arc<str>, Arc<str>) = ("broker".into(), "sorter-net".into());
        let (hand, sorter): (Arc<str>, Arc<str>) = ("hand".into(), "sorter-1".into());
        health.link(&broker).is(State::Up, Some("127.0.0.1:1883"));
        health.link(&broker).session(true);
        health.device(&broker, &hand).is(State::Up, None);
        for gauge in [health.link(&broker), health.device(&broker, &hand)] {
            gauge.message(false, ago(40));
            gauge.message(true, ago(2));
        }
        health.link(&line).is(State::Down, Some("10.20.0.21:502"));
        let gauge = health.device(&line, &sorter);
        gauge.is(State::Stuck, Some("events wait and nothing is committed"));
        (0..400).for_each(|_| gauge.asked());
        gauge.answered(ago(600));
        gauge.polled(Duration::from_micros(3_240));
        gauge.failed(Cause::Timeout, "reading 4 registers from 100: no answer within 500ms", ago(590));
        gauge.missed(3);
        let mut snapshot = health.snapshot();
        for part in snapshot.links.iter_mut().chain(&mut snapshot.devices) {
            part.since = part.since.map(|_| ago(7_000));
        }
        control::Status {
            version: "0.1.0".to_owned(),
            pid: 4_711,
            site: "dc1".to_owned(),
            gateway: "gw-7".to_owned(),
            since: ago(90_000),
            room: false,
            bounds: Bounds { max_size: 1 << 30, max_parked: [("outbound".to_owned(), 1)].into(), ..Bounds::default() },
            systems: systems(),
            health: snapshot,
        }
    }

    fn systems() -> Vec<System> {
        let words = "not sent: tcp connect error: Connection refused (os error 111)".to_owned();
        let open = Standing::Open { since: ago(61), why: Why::Failing, words, next_try: ago(-19) };
        let storm = Storm {
            since: ago(30),
            class: "validation".to_owned(),
            code: Some("unknown_item".to_owned()),
            words: "the ERP says: unknown_item: no such item".to_owned(),
            rejected: 21,
            next_try: ago(-30),
        };
        let stopped = vec![Stopped { lane: "display".to_owned(), storm }];
        let system = |system: &str, standing, stopped, late| System {
            system: system.to_owned(),
            standing,
            per_minute: None,
            stopped,
            late,
        };
        let late = vec![Late { lane: "slow".to_owned(), overdue: Overdue { rows: 3, since: ago(7_200) } }];
        vec![system("erp", open, Vec::new(), late), system("tms", Standing::Closed, stopped, Vec::new())]
    }

    #[test]
    fn a_person_sees_who_is_away_and_why() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let mut report = Report::of(dir.path(), None, Ok(gateway()), NOW);
        report.outbox_error = None;
        report.outbox = Some(Outbox {
            pending: 17,
            oldest_at: Some(ago(300).0),
            need_a_person: 54,
            full: true,
            fill: Some(0.96),
            dead_letters: 2,
            accepted: 0,
            held: 0,
            lanes: vec![Lane { lane: "outbound".to_owned(), trouble: "stopped, 2 subjects are parked".to_owned() }],
        });
        insta::assert_snapshot!(report.text(NOW), @r#"
        gateway gw-7 of site dc1 runs for 25 h: process 4711, version 0.1.0
          link        device    state               since    seen    poll  requests  messages  bad     errors  missed
          broker      -         up, session kept  116 min     2 s       -         0         2    1          0       0
          broker      hand      up                116 min     2 s       -         0         2    1          0       0
          sorter-net  -         down              116 min       -       -         0         0    0          0       0
          sorter-net  sorter-1  stuck             116 min  10 min  3.2 ms       400         0    0  1 (0.2 %)       3
          sorter-net: 10.20.0.21:502
          sorter-1: events wait and nothing is committed
          sorter-1: the last error 9 min ago, timeout: reading 4 registers from 100: no answer within 500ms
        lane slow: 3 postings are accepted for 2 h and not booked: what does erp do?
        system erp: breaker open for 61 s, failing; one row is sent in 19 s, to find out: not sent: tcp connect error: Connection refused (os error 111)
        lane display: STOPPED, 21 rows were rejected (validation unknown_item); one row is sent in 30 s, to find out: the ERP says: unknown_item: no such item
        outbox: 17 pending, the oldest 5 min old; 54 need a person; FULL: devices are not acknowledged; dead letters: 2
          lane outbound: stopped, 2 subjects are parked
        "#);
        let read: serde_json::Value = serde_json::from_str(&print::json(&report)).expect("it is JSON");
        assert_eq!(read["gateway"]["devices"][1]["errors"]["timeout"], 1);
        assert_eq!((&read["outbox"]["full"], &read["outbox"]["lanes"][0]["lane"]), (&true.into(), &"outbound".into()));
    }

    #[test]
    fn trouble_that_is_over_is_told_as_such_and_then_no_more() {
        let (link, id): (Arc<str>, Arc<str>) = ("net".into(), "scale-1".into());
        let told = |failed: i64, good: Option<i64>| {
            let health = Health::default();
            let gauge = health.device(&link, &id);
            gauge.answered(ago(9_000));
            gauge.failed(Cause::Timeout, "no answer within 500ms", ago(failed));
            for seconds in good.into_iter().flat_map(|good| [good, good - 1]) {
                gauge.answered(ago(seconds));
            }
            let mut notes = String::new();
            note(&mut notes, &health.snapshot().devices[0], NOW);
            notes
        };
        let still = "  scale-1: the last error 10 min ago, timeout: no answer within 500ms\n";
        assert_eq!(told(600, None), still);
        assert_eq!(told(600, Some(59)), still, "one in each tenth poll is not over");
        let over = "  scale-1: was timeout 10 min ago, over since 2025-11-23T13:57:49.412Z: no answer within 500ms\n";
        assert_eq!(told(600, Some(440)), over);
        assert_eq!(told(8_000, Some(3_600)), "");
    }

    #[test]
    fn alarms_are_told_with_since_when_and_who_has_seen_them() {
        let standing = |alarm: &str, state, since| Alarm {
            alarm: alarm.to_owned(),
            severity: "high".to_owned(),
            text: Some("the rope is pulled".to_owned()),
            since,
            state,
        };
        let health = Health::default();
        health.device(&"net".into(), &"lane-1".into()).is(State::Up, None);
        let mut part = health.snapshot().devices.remove(0);
        part.alarms = vec![
            standing("stop", Stands::Active, Some(ago(300))),
            standing("door", Stands::Acknowledged, None),
            standing("jam", Stands::Latched, Some(ago(60))),
        ];
        let mut notes = String::new();
        note(&mut notes, &part, NOW);
        insta::assert_snapshot!(notes, @r"
        lane-1: alarm stop (high), active, raised 5 min ago, at 2025-11-23T14:00:09.412Z: the rope is pulled
        lane-1: alarm door (high), active, acknowledged: the rope is pulled
        lane-1: alarm jam (high), over, but not acknowledged at the device, raised 60 s ago, at 2025-11-23T14:04:09.412Z: the rope is pulled
        ");
    }

    #[test]
    fn no_gateway_is_told_plainly_with_its_own_code() {
        let dir = tempfile::tempdir().expect("a temp directory");
        assert_eq!(run(&Args { device: None, place: Place::of(dir.path()), json: true }), Exit::Unavailable.into());
        std::fs::write(dir.path().join("outbox.db"), "").expect("a file");
        let gateway = Err(Unanswered::NotRunning("/d".to_owned()));
        let report = Report::of(dir.path(), None, gateway, crate::source::now().wall);
        let text = report.text(crate::source::now().wall);
        assert!(text.starts_with("no gateway runs on /d\nits database was last written 0 s ago, at 2"), "{text}");
    }
}
