//! `floorgate outbox status`: the backlog, the room left, and what needs a person.

use std::path::Path;
use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::hold;
use crate::cli::place::Place;
use crate::cli::print::{self, age, ago, clean, line, next, size, span};
use crate::control::{self, Request, Unanswered};
use crate::event::Millis;
use crate::outbox::read::{self, BadInput, Bounds, Count, HeldRow, LISTED, LaneStatus, Letter, Status, WaitingRow};

/// Show the backlog, the room left, dead letters and bad input.
///
/// Rows of each lane by state: ready (may be sent, or behind another row of its subject), sending (sent, not answered),
/// unknown (may have had effect: resent under its key), waiting (had no effect, goes again later), rejected (a dead
/// letter: needs a person), held (not sent until a person decides), delivered. A lane with too many parked subjects has
/// stopped, and is named. Ends with 74 when there is no outbox or it can't be read, whether a gateway runs or not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    /// List at most so many dead letters, held rows and waiting rows
    #[arg(long, value_name = "N", default_value_t = LISTED)]
    limit: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate outbox status
  floorgate outbox status --limit 1000
  floorgate outbox status --data-dir /mnt/copy/floorgate --json | jq '.lanes[] | {lane, ready, rejected}'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, bounds) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    let gateway = control::ask(&dir, Request::Status);
    let bounds = bounds.or_else(|| gateway.as_ref().ok().map(|gateway: &control::Status| gateway.bounds.clone()));
    match read::status_with(&dir, now.0, args.limit) {
        Ok(status) => {
            let report = Report::of(&dir, &status, bounds.as_ref(), gateway.as_ref());
            print::out(&if args.json { print::json(&report) } else { report.text(now) });
            Exit::Clean.into()
        }
        Err(e) => print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
}

/// What `outbox.max_size` leaves.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct Room {
    /// `outbox.max_size`, bytes.
    max_size: u64,
    /// Part of it in use, 0 to 1 and a little more.
    fill: f64,
    /// Nothing more is taken from devices.
    pub(in crate::cli) full: bool,
    /// How long the rest lasts at the present rate when nothing is delivered; `None`: nothing comes in.
    days_left: Option<f64>,
}

impl Room {
    pub(in crate::cli) fn of(status: &Status, max_size: u64) -> Self {
        let pending = status.pending_bytes.max(0) as f64;
        let by_disk = status.disk_free_bytes.map_or(f64::MAX, |free| free as f64);
        let left = (max_size as f64 - pending).max(0.0).min(by_disk);
        let a_day = status.rate_per_second * status.bytes_per_event * 86_400.0;
        Self {
            max_size,
            fill: pending / max_size as f64,
            full: pending >= max_size as f64 || status.disk_free_bytes == Some(0),
            days_left: (a_day > 0.0).then(|| left / a_day),
        }
    }
}

/// Whether a gateway runs on the outbox, and which one.
#[derive(serde::Serialize)]
struct Gateway {
    /// `None`: it can't be told.
    running: Option<bool>,
    pid: Option<u32>,
    since: Option<Millis>,
    /// Why it can't be asked.
    error: Option<String>,
}

impl Gateway {
    fn of(gateway: Result<&control::Status, &Unanswered>) -> Self {
        let nothing = Self { running: None, pid: None, since: None, error: None };
        match gateway {
            Ok(status) => Self { running: Some(true), pid: Some(status.pid), since: Some(status.since), ..nothing },
            Err(Unanswered::NotRunning(_)) => Self { running: Some(false), ..nothing },
            Err(why) => Self { error: Some(why.to_string()), ..nothing },
        }
    }
}

#[derive(serde::Serialize)]
struct Report<'a> {
    data_dir: String,
    gateway: Gateway,
    #[serde(flatten)]
    room: Option<Room>,
    /// Lanes that send nothing new: too many subjects are parked.
    stopped: Vec<&'a str>,
    #[serde(flatten)]
    status: &'a Status,
}

impl<'a> Report<'a> {
    fn of(
        dir: &Path,
        status: &'a Status,
        bounds: Option<&Bounds>,
        gateway: Result<&control::Status, &Unanswered>,
    ) -> Self {
        Self {
            data_dir: dir.display().to_string(),
            gateway: Gateway::of(gateway),
            room: bounds.map(|bounds| Room::of(status, bounds.max_size)),
            stopped: bounds.map(|bounds| stopped(status, bounds)).unwrap_or_default(),
            status,
        }
    }

    fn text(&self, now: Millis) -> String {
        let Self { status, .. } = self;
        let mut text = String::new();
        let newest = status.newest_at.map_or_else(String::new, |at| format!(", the newest {} old", age(at, now)));
        line(&mut text, &format!("outbox in {}: {} events{newest}", self.data_dir, status.events));
        let Gateway { running, pid, since, error } = &self.gateway;
        match (running, pid, since) {
            (Some(true), Some(pid), Some(since)) => {
                line(&mut text, &format!("a gateway runs on it: process {pid}, for {}", age(since.0, now)));
            }
            (Some(false), ..) => line(&mut text, "no gateway runs on it: nothing is read and nothing is posted"),
            _ => line(&mut text, error.as_deref().unwrap_or_default()),
        }
        lanes(&mut text, &status.lanes, now);
        stops(&mut text, &self.stopped, &status.lanes);
        hold::told(&mut text, &status.holds, now);
        troubles(&mut text, &status.lanes, now);
        storage(&mut text, status, self.room.as_ref());
        letters(&mut text, status, now);
        held(&mut text, status, now);
        waiting(&mut text, status, now);
        bad_input(&mut text, &status.bad_input, now);
        counts(&mut text, &status.counts, now);
        text
    }
}

/// Lanes that send nothing new.
pub(in crate::cli) fn stopped<'a>(status: &'a Status, bounds: &Bounds) -> Vec<&'a str> {
    status.lanes.iter().filter(|lane| bounds.stop(lane)).map(|lane| lane.lane.as_str()).collect()
}

fn stops(text: &mut String, stopped: &[&str], lanes: &[LaneStatus]) {
    for lane in lanes.iter().filter(|lane| stopped.contains(&lane.lane.as_str())) {
        let (id, parked) = (&lane.lane, lane.parked);
        line(
            text,
            &format!("  {id}: STOPPED: {parked} subjects are parked, more than max_parked: nothing new is sent"),
        );
        line(
            text,
            "    look at its dead letters: one reason for all is a mapping to correct, here or at the target;\n    \
             with max_parked raised and a restart the other subjects go on",
        );
    }
}

/// What keeps the lanes that have something to send.
fn troubles(text: &mut String, lanes: &[LaneStatus], now: Millis) {
    for lane in lanes.iter().filter(|lane| lane.meets_trouble()) {
        let Some(last) = &lane.last_answer else { continue };
        let status = last.status.map_or_else(|| "no answer".to_owned(), |status| format!("HTTP {status}"));
        let excerpt: String = last.excerpt.as_deref().unwrap_or_default().chars().take(120).collect();
        line(
            text,
            &format!("  {}: last answer {} ago: {status}, {}: {excerpt}", lane.lane, age(last.at, now), last.class),
        );
    }
}

fn lanes(text: &mut String, lanes: &[LaneStatus], now: Millis) {
    let mut rows = vec![
        ["lane", "system", "ready", "sending", "unknown", "waiting", "rejected", "held", "delivered", "oldest"]
            .map(str::to_owned),
    ];
    for lane in lanes {
        let n = |n: i64| n.to_string();
        rows.push([
            lane.lane.clone(),
            lane.system.clone(),
            n(lane.ready),
            n(lane.sending),
            n(lane.unknown),
            n(lane.waiting),
            n(lane.rejected),
            n(lane.held),
            n(lane.delivered),
            lane.oldest_at.map_or_else(|| "-".to_owned(), |at| age(at, now)),
        ]);
    }
    print::table(text, &rows, 2);
}

fn storage(text: &mut String, status: &Status, room: Option<&Room>) {
    let pending = size(status.pending_bytes.max(0) as f64);
    match room {
        Some(room) => {
            let most = size(room.max_size as f64);
            line(text, &format!("pending {pending} of {most} ({:.1} %)", room.fill * 100.0));
            if room.full {
                line(text, "  FULL: devices are not acknowledged until there is room; posting goes on");
            }
        }
        None => line(text, &format!("pending {pending}")),
    }
    let free = status.disk_free_bytes.map_or_else(String::new, |free| format!(", {} free", size(free as f64)));
    let used = size(status.used_bytes.max(0) as f64);
    line(text, &format!("on disk {}, {used} of it in use{free}", size(status.file_bytes as f64)));
    let rate = status.rate_per_second;
    match room.and_then(|room| room.days_left) {
        Some(days) => {
            let left = span(days * 86_400.0);
            line(text, &format!("at {rate:.1} events/s the room left lasts {left} if nothing is posted"));
        }
        None => line(text, &format!("{rate:.1} events/s come in")),
    }
}

fn letters(text: &mut String, status: &Status, now: Millis) {
    if status.dead_letters == 0 {
        return;
    }
    let shown = status.letters.len();
    line(text, &format!("dead letters: {}, the oldest {shown}:", status.dead_letters));
    for letter in &status.letters {
        let Letter { lane, seq, kind, subject, class, .. } = letter;
        let http = letter.status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
        let maybe = if letter.maybe_posted { "; an attempt may have had effect" } else { "" };
        let (subject, reason) = (clean(subject), clean(&letter.reason));
        line(
            text,
            &format!("  {lane} #{seq} {kind} {subject}, {}: {class}: {reason}{http}{maybe}", ago(letter.at, now)),
        );
        line(text, &format!("    key {}", letter.key));
    }
    more(text, status.dead_letters, shown);
}

/// Says how many a list has left out.
fn more(text: &mut String, all: i64, shown: usize) {
    let left = all.saturating_sub(i64::try_from(shown).unwrap_or(i64::MAX));
    if left > 0 {
        line(text, &format!("  and {left} more: --limit lists them"));
    }
}

fn held(text: &mut String, status: &Status, now: Millis) {
    if status.held == 0 {
        return;
    }
    let shown = status.held_rows.len();
    line(text, &format!("held until a person decides: {}, the oldest {shown}:", status.held));
    for HeldRow { lane, seq, kind, subject, key, at, reason } in &status.held_rows {
        let (subject, reason) = (clean(subject), clean(reason));
        line(text, &format!("  {lane} #{seq} {kind} {subject}, for {}: {reason}", age(*at, now)));
        line(text, &format!("    key {key}"));
    }
    more(text, status.held, shown);
}

fn waiting(text: &mut String, status: &Status, now: Millis) {
    let shown = status.waiting_rows.len();
    if shown == 0 {
        return;
    }
    line(
        text,
        &format!("waiting, and the later ones of their subjects behind them: {}, the longest {shown}:", status.waiting),
    );
    for WaitingRow { lane, seq, kind, subject, key, reason, tries, since, next_at } in &status.waiting_rows {
        let (subject, reason, next) = (clean(subject), clean(reason), next(*next_at, now));
        line(
            text,
            &format!("  {lane} #{seq} {kind} {subject}, for {}, {tries} tries{next}: {reason}", age(*since, now)),
        );
        line(text, &format!("    key {key}"));
    }
    more(text, status.waiting, shown);
}

fn bad_input(text: &mut String, bad: &[BadInput], now: Millis) {
    if !bad.is_empty() {
        line(text, "bad input, kept with its bytes (`floorgate outbox bad` shows them):");
    }
    for bad in bad {
        let (source, reason) = (clean(&bad.source), clean(&bad.reason));
        line(text, &format!("  {source}: {} x {reason}, the last {} ago", bad.n, age(bad.last_at, now)));
    }
}

fn counts(text: &mut String, counts: &[Count], now: Millis) {
    if !counts.is_empty() {
        line(text, "counted since the outbox was made:");
    }
    for count in counts {
        line(
            text,
            &format!(
                "  {}: {} {}, the last {} ago",
                clean(&count.source),
                count.n,
                count.what,
                age(count.last_at, now)
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_763_906_709_412);

    fn status() -> Status {
        let ago = |seconds: i64| NOW.0 - seconds * 1_000;
        Status {
            holds: Vec::new(),
            lanes: vec![
                LaneStatus {
                    lane: "outbound".to_owned(),
                    system: "erp".to_owned(),
                    ready: 1_200,
                    sending: 50,
                    rejected: 1,
                    held: 1,
                    parked: 2,
                    delivered: 123_456,
                    oldest_at: Some(ago(4_000)),
                    ..LaneStatus::default()
                },
                LaneStatus { lane: "inbound".to_owned(), system: "erp".to_owned(), ..LaneStatus::default() },
            ],
            pending_bytes: 1 << 30,
            file_bytes: 3 << 30,
            used_bytes: 2 << 30,
            disk_free_bytes: Some(20 << 30),
            events: 124_707,
            newest_at: Some(ago(3)),
            rate_per_second: 10.0,
            bytes_per_event: 640.0,
            dead_letters: 45,
            letters: vec![Letter {
                lane: "outbound".to_owned(),
                seq: 77,
                kind: "divert.confirmed".to_owned(),
                subject: "395212345000000125".to_owned(),
                key: "5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1".to_owned(),
                at: ago(4_000),
                class: "validation".to_owned(),
                maybe_posted: false,
                reason: "unknown lane \u{1b}[2J".to_owned(),
                status: Some(200),
                answer: None,
            }],
            held: 1,
            held_rows: vec![HeldRow {
                lane: "outbound".to_owned(),
                seq: 81,
                kind: "scan.item".to_owned(),
                subject: "ITEM-7".to_owned(),
                key: "e7681f86-49a1-8d7c-8fac-f6c8bb7ea370".to_owned(),
                at: ago(90),
                reason: "a repeat of the same content".to_owned(),
            }],
            waiting: 1,
            waiting_rows: vec![WaitingRow {
                lane: "outbound".to_owned(),
                seq: 90,
                kind: "divert.confirmed".to_owned(),
                subject: "SH-9".to_owned(),
                key: "f20d59b5-ddf2-8a6f-91cf-4d8fbb4036ac".to_owned(),
                reason: "transient: the ERP says: not_released: SH-9 is not released".to_owned(),
                tries: 31,
                since: ago(1_800),
                next_at: NOW.0 + 20_000,
            }],
            bad_input: vec![BadInput {
                source: "hand".to_owned(),
                reason: "not JSON".to_owned(),
                n: 3,
                last_at: ago(200_000),
            }],
            counts: vec![Count { source: "hand-A1".to_owned(), what: "duplicate".to_owned(), n: 9, last_at: ago(60) }],
        }
    }

    fn bounds(max_size: u64) -> Bounds {
        Bounds { max_size, max_parked: [("outbound".to_owned(), 1)].into(), ..Bounds::default() }
    }

    fn shown(status: &Status, max_size: Option<u64>) -> String {
        let (bounds, none) = (max_size.map(bounds), Unanswered::NotRunning("/var/lib/floorgate".to_owned()));
        Report::of(Path::new("/var/lib/floorgate"), status, bounds.as_ref(), Err(&none)).text(NOW)
    }

    #[test]
    fn a_person_sees_the_backlog_and_what_needs_them() {
        insta::assert_snapshot!(shown(&status(), Some(2 << 30)), @r#"
    outbox in /var/lib/floorgate: 124707 events, the newest 3 s old
    no gateway runs on it: nothing is read and nothing is posted
      lane      system  ready  sending  unknown  waiting  rejected  held  delivered  oldest
      outbound  erp      1200       50        0        0         1     1     123456  66 min
      inbound   erp         0        0        0        0         0     0          0       -
      outbound: STOPPED: 2 subjects are parked, more than max_parked: nothing new is sent
        look at its dead letters: one reason for all is a mapping to correct, here or at the target;
        with max_parked raised and a restart the other subjects go on
    pending 1.0 GiB of 2.0 GiB (50.0 %)
    on disk 3.0 GiB, 2.0 GiB of it in use, 20.0 GiB free
    at 10.0 events/s the room left lasts 1.9 days if nothing is posted
    dead letters: 45, the oldest 1:
      outbound #77 divert.confirmed 395212345000000125, 66 min ago: validation: unknown lane �[2J (HTTP 200)
        key 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1
      and 44 more: --limit lists them
    held until a person decides: 1, the oldest 1:
      outbound #81 scan.item ITEM-7, for 90 s: a repeat of the same content
        key e7681f86-49a1-8d7c-8fac-f6c8bb7ea370
    waiting, and the later ones of their subjects behind them: 1, the longest 1:
      outbound #90 divert.confirmed SH-9, for 30 min, 31 tries, again in 20 s: transient: the ERP says: not_released: SH-9 is not released
        key f20d59b5-ddf2-8a6f-91cf-4d8fbb4036ac
    bad input, kept with its bytes (`floorgate outbox bad` shows them):
      hand: 3 x not JSON, the last 2 d ago
    counted since the outbox was made:
      hand-A1: 9 duplicate, the last 60 s ago
    "#);
    }

    #[test]
    fn a_stopped_lane_is_named_where_its_bound_is_known() {
        assert!(!shown(&status(), None).contains("STOPPED"));
        let fewer = Status { lanes: vec![LaneStatus { parked: 1, ..status().lanes[0].clone() }], ..status() };
        assert!(!shown(&fewer, Some(2 << 30)).contains("STOPPED"));
        let lane = LaneStatus { lane: "stream".to_owned(), parked: 9, ..LaneStatus::default() };
        let parks_none = Status { lanes: vec![lane], ..status() };
        assert!(!shown(&parks_none, Some(2 << 30)).contains("STOPPED"));
    }

    #[test]
    fn a_full_outbox_is_told() {
        assert!(shown(&status(), Some(1 << 30)).contains("\n  FULL: "));
        assert!(!shown(&status(), None).contains("FULL"));
        let disk_full = Status { disk_free_bytes: Some(0), ..status() };
        assert!(shown(&disk_full, Some(2 << 30)).contains("lasts 0.0 seconds"));
    }

    #[test]
    fn scripts_read_one_object() {
        let status = status();
        let none = Unanswered::NotRunning("/d".to_owned());
        let report = Report::of(Path::new("/d"), &status, Some(&bounds(2 << 30)), Err(&none));
        let read: serde_json::Value = serde_json::from_str(&print::json(&report)).expect("it is JSON");
        assert_eq!((&read["gateway"]["running"], &read["stopped"]), (&false.into(), &serde_json::json!(["outbound"])));
        assert_eq!(read["held_rows"][0]["subject"], "ITEM-7");
        assert_eq!((&read["data_dir"], &read["full"]), (&"/d".into(), &false.into()));
        assert_eq!(read["lanes"][0]["ready"], 1_200);
        assert!((1.9..2.1).contains(&read["days_left"].as_f64().expect("a number")), "{}", read["days_left"]);
    }

    #[test]
    fn no_outbox_is_told_with_its_own_code() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let args = Args { place: Place::of(dir.path()), limit: 1, json: false };
        assert_eq!(run(&args), Exit::Storage.into());
    }
}
