use std::sync::Arc;
use std::time::Duration;

use super::parts::note;
use super::*;
use crate::cli::trouble::Kept;
use crate::lane::{Late, Overdue, Standing, Stopped, Storm, System, Trouble, Why};
use crate::outbox::read::{Count, Held, LaneStatus, Sent};
use crate::source::health::{Cause, Health, State};
use crate::tagmap::points::{Standing as Alarm, Stands};

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
    let help = "look whether the ERP runs".to_owned();
    let trouble = Trouble { since: ago(61), at: ago(11), why: Why::Failing, words, help, seq: None };
    let open = Standing::Open { trouble, next_try: Some(ago(-19)) };
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
    let mut report = Report::of(dir.path(), None, Ok(gateway()), false, NOW);
    report.data_dir = "/var/lib/floorgate".to_owned();
    report.outbox_error = None;
    report.outbox = Some(Outbox {
        pending: 17,
        oldest_at: Some(ago(300).0),
        need_a_person: 54,
        full: true,
        full_by: Some(crate::cli::outbox::Full::Disk),
        fill: Some(0.96),
        dead_letters: 2,
        behind: 51,
        accepted: 0,
        held: 1,
        holds: Vec::new(),
        gaps: vec![Count { source: "hand-A1".to_owned(), what: "gap".to_owned(), n: 2, last_at: ago(60).0 }],
        unanswered: vec![outbox::Unanswered { system: "tms".to_owned(), since: ago(12).0, timeout_ms: Some(60_000) }],
        lanes: vec![Kept {
            lane: "outbound".to_owned(),
            system: "erp".to_owned(),
            trouble: "STOPPED, 2 subjects are parked: `floorgate dead list` shows why".to_owned(),
            since: None,
            help: None,
            seq: None,
            wide: None,
        }],
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
    system erp: breaker open for 61 s, failing, the last time 11 s ago: not sent: tcp connect error: Connection refused (os error 111)
      one row is sent in 19 s, to find out; when three in a row are answered well, everything goes
      what helps: look whether the ERP runs
    lane display: STOPPED, 21 rows were rejected (validation unknown_item): the ERP says: unknown_item: no such item
      one row is sent in 30 s, to find out; when three are posted, the lane goes on
      what helps: correct what they have in common, then free one of them: `floorgate dead retry KEY --reason …`
    outbox: 17 pending, the oldest 5 min old; 54 need a person (dead letters: 2, held: 1, behind these: 51); FULL, the disk has no room: devices are not acknowledged
      what helps: make room on the file system of /var/lib/floorgate; a gateway sees that within seconds
      tms has not answered a request for 12 s (timeout 60 s)
      lane outbound: STOPPED, 2 subjects are parked: `floorgate dead list` shows why
      hand-A1: 2 gaps in its numbers since the outbox was made, the last 60 s ago: `floorgate trace hand-A1` tells which numbers are missing
    "#);
    let read: serde_json::Value = serde_json::from_str(&print::json(&report)).expect("it is JSON");
    assert_eq!(read["gateway"]["devices"][1]["errors"]["timeout"], 1);
    assert_eq!((&read["outbox"]["full"], &read["outbox"]["lanes"][0]["lane"]), (&true.into(), &"outbound".into()));
}

fn system_told(standing: Standing, holds: &[Held]) -> String {
    let (system, stopped, late) = ("erp".to_owned(), Vec::new(), Vec::new());
    let mut text = String::new();
    target(&mut text, &System { system, standing, per_minute: None, stopped, late }, holds, NOW);
    text
}

#[test]
fn a_breaker_that_closes_says_what_is_true_by_now() {
    let trouble = |why| Trouble {
        since: ago(540),
        at: ago(22),
        why,
        words: "the ERP does not accept our credentials (HTTP 401)".to_owned(),
        help: "correct the file".to_owned(),
        seq: Some(4_711),
    };
    let told = |why, good: u32, next_try| {
        let good_since = (good > 0).then(|| ago(12));
        let standing = Standing::HalfOpen { trouble: trouble(why), next_try, good_since, good, closes_at: 3 };
        system_told(standing, &[])
    };
    insta::assert_snapshot!(told(Why::Auth, 0, Some(ago(1))) + &told(Why::Auth, 1, None), @r"
    system erp: is being tried again, its breaker was open for 9 min, auth, the last time 22 s ago: the ERP does not accept our credentials (HTTP 401)
      one row at a time is sent, to find out; when 3 in a row are answered well, everything goes
      what helps: correct the file
      `floorgate trace '#4711'` shows the answer
    system erp: accepts our credentials again, for 12 s: 1 row is answered well of the 3 that close its breaker
      nothing has to be done: the next rows go one by one, then everything goes
      it was open for 9 min, auth, the last time 22 s ago: the ERP does not accept our credentials (HTTP 401)
    ");
    assert!(
        told(Why::Failing, 2, None)
            .starts_with("system erp: answers again, for 12 s: 2 rows are answered well of the 3")
    );
}

/// Asked to be left alone while single rows find out, or stopped by a person: nobody waits for a row that is not sent.
#[test]
fn when_a_system_is_tried_next_is_told_and_that_it_is_not_while_a_person_holds_it() {
    let (words, help) = ("the ERP asks for fewer requests (HTTP 429)".to_owned(), String::new());
    let trouble = Trouble { since: ago(540), at: ago(5), why: Why::Throttled, words, help, seq: Some(7) };
    let standing = |good: u32, next_try| Standing::HalfOpen {
        trouble: trouble.clone(),
        next_try,
        good_since: (good > 0).then(|| ago(12)),
        good,
        closes_at: 3,
    };
    let [scope, name, actor, reason] = ["system", "erp", "root", "ERP update"].map(str::to_owned);
    let hold = [Held { scope, name, at: ago(90).0, actor, reason }];
    let open = |next_try| Standing::Open { trouble: trouble.clone(), next_try };
    let lines = [
        system_told(standing(0, Some(ago(-20))), &[]),
        system_told(standing(0, Some(ago(-20))), &hold),
        system_told(standing(1, Some(ago(-20))), &[]),
        system_told(standing(1, None), &hold),
        system_told(open(Some(ago(-20))), &hold),
        system_told(open(None), &[]),
    ];
    insta::assert_snapshot!(lines.concat(), @r"
    system erp: breaker open for 9 min, throttled, the last time 5 s ago: the ERP asks for fewer requests (HTTP 429)
      one row is sent in 20 s, to find out; when three in a row are answered well, everything goes
      `floorgate trace '#7'` shows the answer
    system erp: breaker open for 9 min, throttled, the last time 5 s ago: the ERP asks for fewer requests (HTTP 429)
      HELD by root 90 s ago: ERP update; nothing is tried until `floorgate release system erp --reason …`
      `floorgate trace '#7'` shows the answer
    system erp: takes requests again, for 12 s: 1 row is answered well of the 3 that close its breaker
      one row is sent in 20 s, to find out
      it was open for 9 min, throttled, the last time 5 s ago: the ERP asks for fewer requests (HTTP 429)
    system erp: takes requests again, for 12 s: 1 row is answered well of the 3 that close its breaker
      HELD by root 90 s ago: ERP update; nothing is tried until `floorgate release system erp --reason …`
      it was open for 9 min, throttled, the last time 5 s ago: the ERP asks for fewer requests (HTTP 429)
    system erp: breaker open for 9 min, throttled, the last time 5 s ago: the ERP asks for fewer requests (HTTP 429)
      HELD by root 90 s ago: ERP update; nothing is tried until `floorgate release system erp --reason …`
      `floorgate trace '#7'` shows the answer
    system erp: breaker open for 9 min, throttled, the last time 5 s ago: the ERP asks for fewer requests (HTTP 429)
      no row may go now; the next one that may is sent, to find out; when three in a row are answered well, everything goes
      `floorgate trace '#7'` shows the answer
    ");
}

#[test]
fn a_stopped_lane_that_a_person_holds_waits_for_that_person() {
    let [scope, name, actor, reason] = ["lane", "display", "root", "stock count"].map(str::to_owned);
    let hold = [Held { scope, name, at: ago(90).0, actor, reason }];
    let mut text = String::new();
    for system in systems() {
        target(&mut text, &system, &hold, NOW);
    }
    let line =
        "  HELD by root 90 s ago: stock count; nothing is tried until `floorgate release lane display --reason …`\n";
    assert!(text.contains(line) && !text.contains("when three are posted"), "{text}");
    assert!(text.contains("one row is sent in 19 s"), "the other system is not held: {text}");
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
fn a_request_that_is_not_answered_for_a_while_is_told_once_for_each_system() {
    let lane = |lane: &str, system: &str, seconds| LaneStatus {
        lane: lane.to_owned(),
        system: system.to_owned(),
        sending: 1,
        oldest_sending: Some(Sent { key: "5d5f5c7d".to_owned(), sent_at: ago(seconds).0 }),
        ..LaneStatus::default()
    };
    let lanes = [lane("a", "erp", 12), lane("b", "erp", 20), lane("c", "erp", 4), lane("d", "tms", 2)];
    let bounds = Bounds { timeouts: [("b".to_owned(), 60_000)].into(), ..Bounds::default() };
    let told = outbox::unanswered(&lanes, Some(&bounds), NOW);
    let told: Vec<_> = told.iter().map(|told| (told.system.as_str(), told.since, told.timeout_ms)).collect();
    assert_eq!(told, [("erp", ago(20).0, Some(60_000))]);
}

#[test]
fn no_gateway_is_told_plainly_with_its_own_code() {
    let dir = tempfile::tempdir().expect("a temp directory");
    assert_eq!(run(&Args { device: None, place: Place::of(dir.path()), json: true }), Exit::Unavailable.into());
    std::fs::write(dir.path().join("outbox.db"), "").expect("a file");
    let gateway = Err(Unanswered::NotRunning("/d".to_owned()));
    let report = Report::of(dir.path(), None, gateway, false, crate::source::now().wall);
    let text = report.text(crate::source::now().wall);
    assert!(text.starts_with("no gateway runs on /d\nits database was last written 0 s ago, at 2"), "{text}");
    assert!(text.contains("\n  what helps: start it "), "{text}");
    let silent = Err(Unanswered::Silent { dir: "/d".to_owned(), pid: 7 });
    let text = Report::of(dir.path(), None, silent, false, NOW).text(NOW);
    assert!(text.starts_with("process 7 runs on /d") && !text.contains("start it "), "{text}");
    std::fs::write(dir.path().join("outbox.db"), "no database".repeat(999)).expect("a file");
    let text = Report::of(dir.path(), None, Err(Unanswered::NotRunning("/d".to_owned())), false, NOW).text(NOW);
    assert!(text.contains("file is not a database: it was overwritten") && !text.contains("start it "), "{text}");
}

#[test]
fn nobody_is_sent_to_start_a_gateway_on_a_copy() {
    let dir = tempfile::tempdir().expect("a temp directory");
    std::fs::write(dir.path().join("outbox.db"), "").expect("a file");
    let gateway = Err(Unanswered::NotRunning("/copy".to_owned()));
    let report = Report { last_stored: Some(ago(7_200)), ..Report::of(dir.path(), None, gateway, true, NOW) };
    let text = report.text(NOW);
    let told = "no gateway runs on /copy\nthe last event or attempt in its database was 2 h ago, at 2025-11-23T12:05:09.412Z\n";
    assert!(text.starts_with(told) && text.contains("never one on a copy: it would post again"), "{text}");
}
