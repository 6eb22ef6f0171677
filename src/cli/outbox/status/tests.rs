use super::*;
use crate::lane::Storm;
use crate::outbox::read::{BadInput, Count, Held, HeldRow, LaneStatus, Letter, Sent, WaitingRow};

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
                accepted: 7,
                accepted_since: Some(ago(240)),
                ask_at: Some(ago(-20)),
                unknown: 2,
                oldest_unknown: Some(Sent {
                    key: "7d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1".to_owned(),
                    sent_at: ago(300),
                }),
                rejected: 1,
                held: 1,
                parked: 2,
                behind: 3,
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
        disk_left_bytes: Some(20 << 30),
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
            opened_at: ago(4_000),
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
        suspects: 1,
        suspect_rows: vec![read::SuspectRow {
            lane: "outbound".to_owned(),
            seq: 60,
            kind: "shipment_closed".to_owned(),
            subject: "SH-5".to_owned(),
            at: ago(120),
            reference: Some("GI-4711".to_owned()),
            reason: "the ERP says: already_done: SH-5 was shipped by hand".to_owned(),
        }],
        bad_input: vec![BadInput {
            source: "hand".to_owned(),
            reason: "not JSON".to_owned(),
            n: 3,
            last_at: ago(200_000),
        }],
        counts: vec![
            Count { source: "hand-A1".to_owned(), what: "duplicate".to_owned(), n: 9, last_at: ago(60) },
            Count { source: "hand-A1".to_owned(), what: "gap".to_owned(), n: 1, last_at: ago(60) },
        ],
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
  lane      system  ready  sending  accepted  unknown  waiting  rejected  held  delivered  oldest
  outbound  erp      1200       50         7        2        0         1     1     123456  66 min
  inbound   erp         0        0         0        0        0         0     0          0       -
  outbound: STOPPED: 2 subjects are parked, more than max_parked: nothing new is sent
    look at its dead letters: one reason for all is a mapping to correct, here or at the target;
    with max_parked raised and a restart the other subjects go on
  outbound: 3 of the ready wait behind a dead letter or a held row
  outbound: 2 unknown: sent, the first 5 min ago, and nobody knows whether they are there: when a gateway is started, they are looked up, or sent again under their keys
    `floorgate trace 7d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1` tells of the first
  outbound: 7 accepted by erp, which books them later, the first 4 min ago, asked again in 20 s
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
delivered, and their target had them before, not from us: are they there twice? 1, the newest 1:
  outbound #60 shipment_closed SH-5, 2 min ago, reference GI-4711: the ERP says: already_done: SH-5 was shipped by hand
bad input, kept with its bytes (`floorgate outbox bad` shows them):
  hand: 3 x not JSON, the last 2 d ago
counted since the outbox was made:
  hand-A1: 9 duplicate, the last 60 s ago
  hand-A1: 1 gap, the last 60 s ago: `floorgate trace hand-A1` tells which numbers are missing
"#);
}

#[test]
fn what_is_sent_once_needs_a_person_where_it_is_not_answered() {
    let status = status();
    let bounds = Bounds { once: ["outbound".to_owned()].into(), ..bounds(2 << 30) };
    let told = |why: &Unanswered| Report::of(Path::new("/d"), &status, Some(&bounds), Err(why)).text(NOW);
    let stopped = told(&Unanswered::NotRunning("/d".to_owned()));
    assert!(stopped.contains("whether they are there: when a gateway is started, a person decides\n"), "{stopped}");
    let running = told(&Unanswered::Denied("/d".to_owned()));
    assert!(
        running.contains(": a person decides, their target is sent nothing twice and can't be asked\n"),
        "{running}"
    );
}

/// Neither what is held nor what may be a copy is said to go on when a gateway is started.
#[test]
fn nothing_is_promised_of_a_start_that_does_not_bring_it() {
    let storm = Storm {
        since: NOW,
        class: "validation".to_owned(),
        code: None,
        words: "no item A-1".to_owned(),
        rejected: 31,
        next_try: NOW,
    };
    let lane = LaneStatus { storm: Some(storm), ..status().lanes.remove(0) };
    let told = |holds: Vec<Held>, rest| {
        let status = Status { lanes: vec![lane.clone()], holds, ..status() };
        let none = Unanswered::NotRunning("/d".to_owned());
        Report { rest: Some(rest), ..Report::of(Path::new("/d"), &status, None, Err(&none)) }.text(NOW)
    };
    let ended = told(Vec::new(), Rest::Ended);
    assert!(ended.contains("when a gateway is started") && ended.contains("at the next start"), "{ended}");
    let copy = told(Vec::new(), Rest::Copy);
    assert!(copy.contains(": this is a copy, or the gateway has ended\n"), "{copy}");
    let [scope, name, actor, reason] = ["system", "erp", "root", "ERP update"].map(str::to_owned);
    let held = told(vec![Held { scope, name, at: NOW.0, actor, reason }], Rest::Ended);
    assert!(held.contains(": neither looked up nor sent again while that is held\n"), "{held}");
    assert!(![copy, held].iter().any(|told| told.contains("start")), "no start helps");
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

/// What is said of the room: why there is none, and what helps.
#[test]
fn a_full_outbox_is_told_with_what_fills_it() {
    let room = |told: String| {
        let (_, told) = told.split_once("GiB free\n").expect("of the disk");
        told.lines().take_while(|line| !line.starts_with("dead")).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(room(shown(&status(), Some(1 << 30))), @r"
      FULL, outbox.max_size is used up: devices are not acknowledged until there is room
      what helps: end what keeps the lanes; or raise outbox.max_size where the disk has room, and start anew
    10.0 events/s come in
    ");
    assert!(!shown(&status(), None).contains("FULL"));
    // It counts as full while some of it is free.
    let disk_full = Status { disk_left_bytes: Some(0), ..status() };
    for max_size in [Some(2 << 30), None] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(room(shown(&disk_full, max_size)), @r"
              FULL, the disk has no room: devices are not acknowledged until there is room
              what helps: make room on the file system of /var/lib/floorgate; a gateway sees that within seconds
            10.0 events/s come in
            ");
        }
    }
    let silent = Unanswered::Silent { dir: "/d".to_owned(), pid: 7 };
    let told = Report::of(Path::new("/d"), &disk_full, None, Err(&silent)).text(NOW);
    assert!(told.contains("until there is room; posting goes on\n"), "{told}");
}

#[test]
fn scripts_read_one_object() {
    let status = status();
    let none = Unanswered::NotRunning("/d".to_owned());
    let bounds = bounds(2 << 30);
    let report = Report::of(Path::new("/d"), &status, Some(&bounds), Err(&none));
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
