//! `floorgate outbox`: looking at what is kept. Read-only: a gateway may run on it meanwhile, or none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::Exit;
use crate::cli::print;
use crate::config;
use crate::event::Millis;
use crate::outbox::read::{self, BadInput, Count, LaneStatus, Letter, Status};

/// Look at what is kept, beside a running gateway or without one.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(StatusArgs),
}

/// Show the backlog, the room left, dead letters and bad input.
///
/// Rows of each lane by state: ready (may be sent, or behind another row of its subject), sending (sent, not answered),
/// unknown (may have had effect: resent under its key), waiting (had no effect, goes again later), rejected (a dead
/// letter: needs a person), held (not sent until a person decides), delivered. Ends with 74 when there is no outbox or
/// it can't be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct StatusArgs {
    /// The configuration that names the data directory
    #[arg(long, value_name = "FILE", default_value = "/etc/floorgate/gateway.toml")]
    config: PathBuf,
    /// The data directory itself, or a copy of one; without a configuration no bound is known
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate outbox status
  floorgate outbox status --config config/gateway.toml
  floorgate outbox status --data-dir /mnt/copy/floorgate --json | jq '.lanes[] | {lane, ready, rejected}'";

/// Dead letters of one reason are cut to this many characters on the terminal; `--json` has them whole.
const REASON: usize = 160;

pub(super) fn run(args: &Args) -> ExitCode {
    let Verb::Status(args) = &args.verb;
    let (dir, max_size) = match place(args) {
        Ok(place) => place,
        Err(why) => return refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    match read::status(&dir, now.0) {
        Ok(status) => {
            let room = max_size.map(|max_size| Room::of(&status, max_size));
            print::out(&if args.json {
                json(&dir, &status, room.as_ref())
            } else {
                text(&dir, &status, room.as_ref(), now)
            });
            Exit::Clean.into()
        }
        Err(e) => refuse(args.json, &e.to_string(), Exit::Storage),
    }
}

/// The data directory, and `outbox.max_size` if a configuration says it.
fn place(args: &StatusArgs) -> Result<(PathBuf, Option<u64>), String> {
    if let Some(dir) = &args.data_dir {
        return Ok((dir.clone(), None));
    }
    match config::load(&args.config) {
        Ok(config) => Ok((config.outbox.dir, Some(config.outbox.max_size))),
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Err(format!(
                "{}\nname the data directory with --data-dir to look at it without a configuration",
                faults.join("\n")
            ))
        }
    }
}

fn refuse(as_json: bool, why: &str, exit: Exit) -> ExitCode {
    if as_json {
        print::out(&format!("{}\n", serde_json::json!({ "error": why })));
    } else {
        print::err(&format!("{why}\n"));
    }
    exit.into()
}

/// What `outbox.max_size` leaves.
#[derive(Debug, serde::Serialize)]
struct Room {
    /// `outbox.max_size`, bytes.
    max_size: u64,
    /// Part of it in use, 0 to 1 and a little more.
    fill: f64,
    /// Nothing more is taken from devices.
    full: bool,
    /// How long the rest lasts at the present rate when nothing is delivered; `None`: nothing comes in.
    days_left: Option<f64>,
}

impl Room {
    fn of(status: &Status, max_size: u64) -> Self {
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

#[derive(serde::Serialize)]
struct Report<'a> {
    data_dir: String,
    #[serde(flatten)]
    room: Option<&'a Room>,
    #[serde(flatten)]
    status: &'a Status,
}

fn json(dir: &Path, status: &Status, room: Option<&Room>) -> String {
    let report = Report { data_dir: dir.display().to_string(), room, status };
    format!("{}\n", serde_json::to_string_pretty(&report).expect("texts and numbers always make JSON"))
}

fn text(dir: &Path, status: &Status, room: Option<&Room>, now: Millis) -> String {
    let mut text = String::new();
    let newest = status.newest_at.map_or_else(String::new, |at| format!(", the newest {} old", age(at, now)));
    line(&mut text, &format!("outbox in {}: {} events{newest}", dir.display(), status.events));
    lanes(&mut text, &status.lanes, now);
    troubles(&mut text, &status.lanes, now);
    storage(&mut text, status, room);
    letters(&mut text, status, now);
    bad_input(&mut text, &status.bad_input, now);
    counts(&mut text, &status.counts, now);
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

/// What keeps the lanes that have something to send.
fn troubles(text: &mut String, lanes: &[LaneStatus], now: Millis) {
    for lane in lanes.iter().filter(|lane| lane.ready + lane.unknown + lane.waiting + lane.sending > 0) {
        let Some(last) =
            lane.last_answer.as_ref().filter(|last| last.class != "delivered" && last.class != "duplicate")
        else {
            continue;
        };
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
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 10] = std::array::from_fn(width);
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(i, (cell, width))| if i < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        line(text, &format!("  {}", cells.collect::<Vec<_>>().join("  ")));
    }
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
            line(text, &format!("at {rate:.1} events/s the room left lasts {days:.1} days if nothing is posted"));
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
            &format!("  {lane} #{seq} {kind} {subject}, {} ago: {class}: {reason}{http}{maybe}", age(letter.at, now)),
        );
    }
}

fn bad_input(text: &mut String, bad: &[BadInput], now: Millis) {
    if !bad.is_empty() {
        line(text, "bad input, kept with its bytes:");
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

/// Words of others, cut, and without what would steer a terminal.
fn clean(words: &str) -> String {
    let mut clean: String = words.chars().take(REASON).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if words.chars().nth(REASON).is_some() {
        clean.push('…');
    }
    clean
}

/// From then to now, in one unit.
fn age(at: i64, now: Millis) -> String {
    let seconds = now.since(Millis(at)) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut n = bytes;
    while n >= 1_024.0 && unit + 1 < units.len() {
        n /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n:.0} B") } else { format!("{n:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_763_906_709_412);

    fn status() -> Status {
        let ago = |seconds: i64| NOW.0 - seconds * 1_000;
        Status {
            lanes: vec![
                LaneStatus {
                    lane: "outbound".to_owned(),
                    system: "erp".to_owned(),
                    ready: 1_200,
                    sending: 50,
                    rejected: 1,
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
            dead_letters: 1,
            letters: vec![Letter {
                lane: "outbound".to_owned(),
                seq: 77,
                kind: "divert.confirmed".to_owned(),
                subject: "395212345000000125".to_owned(),
                at: ago(4_000),
                class: "validation".to_owned(),
                maybe_posted: false,
                reason: "unknown lane \u{1b}[2J".to_owned(),
                status: Some(200),
                answer: None,
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

    fn shown(status: &Status, max_size: Option<u64>) -> String {
        let room = max_size.map(|max_size| Room::of(status, max_size));
        text(Path::new("/var/lib/floorgate"), status, room.as_ref(), NOW)
    }

    #[test]
    fn a_person_sees_the_backlog_and_what_needs_them() {
        insta::assert_snapshot!(shown(&status(), Some(2 << 30)), @r#"
    outbox in /var/lib/floorgate: 124707 events, the newest 3 s old
      lane      system  ready  sending  unknown  waiting  rejected  held  delivered  oldest
      outbound  erp      1200       50        0        0         1     0     123456  66 min
      inbound   erp         0        0        0        0         0     0          0       -
    pending 1.0 GiB of 2.0 GiB (50.0 %)
    on disk 3.0 GiB, 2.0 GiB of it in use, 20.0 GiB free
    at 10.0 events/s the room left lasts 1.9 days if nothing is posted
    dead letters: 1, the oldest 1:
      outbound #77 divert.confirmed 395212345000000125, 66 min ago: validation: unknown lane �[2J (HTTP 200)
    bad input, kept with its bytes:
      hand: 3 x not JSON, the last 2 d ago
    counted since the outbox was made:
      hand-A1: 9 duplicate, the last 60 s ago
    "#);
    }

    #[test]
    fn a_full_outbox_is_told() {
        assert!(shown(&status(), Some(1 << 30)).contains("\n  FULL: "));
        assert!(!shown(&status(), None).contains("FULL"));
        let disk_full = Status { disk_free_bytes: Some(0), ..status() };
        assert!(shown(&disk_full, Some(2 << 30)).contains("lasts 0.0 days"));
    }

    #[test]
    fn scripts_read_one_object() {
        let status = status();
        let room = Room::of(&status, 2 << 30);
        let read: serde_json::Value =
            serde_json::from_str(&json(Path::new("/d"), &status, Some(&room))).expect("it is JSON");
        assert_eq!((&read["data_dir"], &read["full"]), (&"/d".into(), &false.into()));
        assert_eq!(read["lanes"][0]["ready"], 1_200);
        assert!((1.9..2.1).contains(&read["days_left"].as_f64().expect("a number")), "{}", read["days_left"]);
    }

    #[test]
    fn no_outbox_is_told_with_its_own_code() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let status = StatusArgs { config: PathBuf::new(), data_dir: Some(dir.path().to_owned()), json: false };
        assert_eq!(run(&Args { verb: Verb::Status(status) }), Exit::Storage.into());
    }
}
