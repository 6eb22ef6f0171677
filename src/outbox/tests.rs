//! The outbox through its door, on real SQLite in a temporary directory.

mod accepted;
mod ahead;
mod audit;
mod clock;
mod compared;
mod damage;
mod days;
mod fill;
mod find;
mod finder;
mod holds;
mod holes;
mod invariants;
mod keys;
mod last_answer;
mod left_out;
mod operate;
mod regrouped;
mod unclosed;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::event::{Decoded, DeviceEvent, Id, Millis, Now, Position, Redelivery, Repeat, Undecodable, Value};
use crate::lane::{Class, Format, KeyScope, Outcome, Worth};

const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn config(dir: &std::path::Path) -> Config {
    Config {
        dir: dir.to_owned(),
        site: "dc1".to_owned(),
        preset: Preset::Fast,
        max_size: 1 << 30,
        history_age: Duration::from_hours(24),
        history_size: 1 << 30,
        synchronous_normal: false,
    }
}

pub(super) fn lane() -> lane::Config {
    lane::Config {
        id: "outbound".to_owned(),
        target: 0,
        system: "erp".to_owned(),
        business_unit: "main".to_owned(),
        elsewhere: std::collections::BTreeSet::new(),
        worth: Worth::Document,
        take: vec!["scan.*".to_owned(), "planted.*".to_owned()],
        format: Format::JsonArray { wrap: Some("events".to_owned()) },
        ordered_batch: false,
        key_scope: KeyScope::Item,
        max_events: 50,
        max_bytes: 1 << 20,
        linger_ms: 5,
        max_in_flight: 1,
        idempotency: lane::Idempotency::Key,
        replays_errors: false,
        dedup_horizon_ms: 86_400_000,
        settle_ms: None,
        timeout_ms: 1_000,
        retry_first_ms: 1,
        retry_max_ms: 20,
        reference_grace_ms: 900_000,
        max_parked: 500,
        limits: lane::Limits { breaker_first_ms: 20, breaker_max_ms: 20, ..Default::default() },
    }
}

fn open(config: Config) -> (Outbox, Ended, mpsc::Receiver<Outgoing>) {
    let (out, work) = mpsc::channel(8);
    let (outbox, ended) = Outbox::open(config, vec![lane()], vec![out]).expect("a fresh directory opens");
    (outbox, ended, work)
}

fn event(kind: &str, subject: &str) -> DeviceEvent {
    let fields = vec![("code".to_owned(), Value::Text(subject.to_owned()))];
    DeviceEvent { kind: kind.to_owned(), subject: Some(subject.to_owned()), fields, device_time: None }
}

fn sample(position: Position, events: Vec<DeviceEvent>, raw: &str) -> Sample {
    Sample {
        source: "scanner".into(),
        at: Now { wall: Millis(1_763_906_709_412), mono: 5 },
        origin: "floor/scan".into(),
        raw: raw.into(),
        content: Ok(Decoded {
            device: "scanner".into(),
            position,
            events,
            unread: Vec::new(),
            map: "scanner@1".into(),
        }),
        redelivery: None,
        memory: None,
    }
}

pub(super) fn counted(boot: &str, seq: u64, raw: &str) -> Sample {
    let position = Position::Counted { boot: Some(boot.to_owned()), seq, bits: 16, ring: 32 };
    sample(position, vec![event("scan.item", raw)], raw)
}

fn plain(content: &str, redelivery: Option<Redelivery>) -> Sample {
    let repeat = Repeat { window_ms: 0, max_burst_ms: 0, once: false };
    let position = Position::Content { content: content.into(), repeat };
    Sample { redelivery, ..sample(position, vec![event("scan.item", content)], content) }
}

async fn next(work: &mut mpsc::Receiver<Outgoing>) -> Outgoing {
    tokio::time::timeout(DEADLINE, work.recv()).await.expect("a batch leaves in time").expect("the writer runs")
}

pub(super) fn all(batch: &Outgoing, class: Class) -> Answer {
    let outcomes = batch.keys.iter().map(|_| Outcome::new(class, "test")).collect();
    Answer {
        status: Some(200),
        excerpt: "test".to_owned(),
        outcomes,
        whole: class == Class::Unknown,
        retry_after_ms: None,
        later: None,
    }
}

/// Stops the gateway as a crash would: nothing more is written, the batch under way is not answered.
async fn stop(outbox: Outbox, mut ended: Ended) {
    drop(outbox);
    let end = tokio::time::timeout(DEADLINE, ended.wait()).await;
    end.expect("nobody else holds it").expect("the writer ends").expect("and no storage failed");
}

/// An edge that the gateway saw itself, with what its source must remember of it.
fn edge(value: &str) -> Sample {
    let memory = Some(crate::event::Memory { name: "eye-1/io".into(), bytes: value.into() });
    Sample { memory, ..sample(Position::Own, vec![event("scan.edge", value)], value) }
}

#[tokio::test]
async fn each_business_unit_has_lanes_and_order_keys_of_its_own() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let only = |id: &str, unit: &str, elsewhere: &str| lane::Config {
        id: id.to_owned(),
        business_unit: unit.to_owned(),
        elsewhere: [elsewhere.to_owned()].into(),
        ..lane()
    };
    let (out, mut work) = mpsc::channel(8);
    let lanes = vec![only("ours", "main", "their-scanner"), only("theirs", "b2b", "scanner")];
    let (outbox, ended) = Outbox::open(config(dir.path()), lanes, vec![out]).expect("a fresh directory opens");
    let here = counted("b1", 1, "CODE");
    let mut there = Sample { source: "their-scanner".into(), ..counted("b1", 1, "CODE") };
    there.content.as_mut().expect("decoded").device = "their-scanner-7".into();
    outbox.capture(vec![here, there]).await.expect("committed");
    for _ in 0..2 {
        let batch = next(&mut work).await;
        let body = String::from_utf8_lossy(batch.body()).into_owned();
        let (unit, source) =
            if batch.lane == 0 { ("main", "/devices/scanner\"") } else { ("b2b", "their-scanner-7\"") };
        assert_eq!(batch.keys.len(), 1, "{body}");
        assert!(body.contains(&format!("dc1/{unit}/")) && body.contains(source), "{unit}: {body}");
    }
    assert!(work.try_recv().is_err(), "one event, one lane");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_the_gateway_saw_itself_is_numbered_and_remembered_in_one_commit() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert_eq!(outbox.memory("eye-1/io".into()).await, Ok(None));
    assert_eq!(outbox.capture(vec![edge("on"), edge("off"), edge("on")]).await, Ok(vec![Placed::New; 3]));
    next(&mut work).await;
    stop(outbox, ended).await;
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert_eq!(outbox.memory("eye-1/io".into()).await, Ok(Some(b"on".to_vec())));
    assert_eq!(outbox.capture(vec![edge("off")]).await, Ok(vec![Placed::New]), "its numbers go on");
    next(&mut work).await;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    let sql = "SELECT ep.text, e.pos FROM event e JOIN epoch ep ON ep.id = e.epoch ORDER BY e.seq";
    let mut rows = db.prepare(sql).expect("the schema is ours");
    let rows = rows.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?))).expect("it reads");
    let (epochs, positions): (Vec<String>, Vec<i64>) = rows.map(|row| row.expect("a row")).unzip();
    assert_eq!(positions, [1, 2, 3, 4]);
    assert!(epochs.iter().all(|e| e.starts_with("o:") && *e == epochs[0]), "{epochs:?}");
}

/// A baseline, say: nothing to tell, and still to be remembered.
#[tokio::test]
async fn a_sample_without_events_is_captured_for_its_memory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let content = Decoded {
        device: "scanner".into(),
        position: Position::Own,
        events: vec![],
        unread: Vec::new(),
        map: "scanner@1".into(),
    };
    let baseline = Sample { content: Ok(content), ..edge("on") };
    assert_eq!(outbox.capture(vec![baseline]).await, Ok(vec![Placed::New]));
    assert_eq!(outbox.memory("eye-1/io".into()).await, Ok(Some(b"on".to_vec())));
    assert_eq!(outbox.capture(vec![edge("off")]).await, Ok(vec![Placed::New]));
    next(&mut work).await;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    let events: i64 = db.query_row("SELECT count(*) FROM event", [], |r| r.get(0)).expect("the schema is ours");
    assert_eq!(events, 1);
}

#[tokio::test]
async fn a_pulse_comes_after_the_commit_of_what_was_handed_in_before() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(Config { preset: Preset::Gentle, ..config(dir.path()) });
    for n in 1..=50 {
        let captured = outbox.capture(vec![counted("1", n, "a")]);
        let pulse = outbox.pulse().await.expect("the writer answers");
        let captured = tokio::time::timeout(Duration::ZERO, captured).await;
        assert_eq!(captured, Ok(Ok(vec![Placed::New])), "sample {n} still waits after {pulse:?}");
    }
    next(&mut work).await;
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_captured_event_leaves_at_once_and_settles() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, mut ended, mut work) = open(config(dir.path()));
    assert_eq!(outbox.capture(vec![counted("1", 1, "a")]).await, Ok(vec![Placed::New]));
    let batch = next(&mut work).await;
    let body = String::from_utf8(batch.body().to_vec()).expect("a body is UTF-8");
    let status = read::status(dir.path(), 0).expect("it reads beside the writer");
    assert_eq!((status.lanes[0].sending, status.lanes[0].ready), (1, 0), "durably sending before it leaves");
    assert!(body.contains(&batch.keys[0].to_string()) && body.contains("\"code\":\"a\""), "{body}");
    outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    outbox.stop();
    ended.wait().await.expect("the writer ends").expect("cleanly");
    let status = read::status(dir.path(), 0).expect("it reads after the writer");
    assert_eq!((status.lanes[0].delivered, status.lanes[0].sending, status.pending_bytes), (1, 0, 0));
}

#[tokio::test]
async fn what_was_sending_is_resent_byte_for_byte_after_a_crash() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let samples = vec![counted("1", 1, "a"), counted("1", 2, "b"), counted("1", 3, "a")];
    outbox.capture(samples).await.expect("there is room");
    let first = next(&mut work).await;
    assert_eq!(first.keys.len(), 2, "the second row of subject a waits for the first");
    stop(outbox, ended).await;

    let (outbox, ended, mut work) = open(config(dir.path()));
    let again = next(&mut work).await;
    assert_eq!(
        (again.batch, again.attempt, again.body(), again.first_sent),
        (first.batch, 2, first.body(), first.first_sent)
    );
    outbox.answered(0, again.batch, all(&again, Class::Duplicate)).expect("the writer runs");
    let last = next(&mut work).await;
    assert_eq!((last.attempt, last.keys.len()), (1, 1));
    stop(outbox, ended).await;
}

/// A number that came again with other content.
fn clash(boot: &str, seq: u64) -> Placed {
    Placed::Refused(format!("number {seq} of epoch d:{boot} is stored with other content").into())
}

#[tokio::test]
async fn the_same_happening_is_stored_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let placed = outbox
        .capture(vec![counted("1", 7, "a"), counted("1", 7, "a"), counted("1", 7, "b"), counted("2", 7, "a")])
        .await;
    assert_eq!(placed, Ok(vec![Placed::New, Placed::Duplicate, clash("1", 7), Placed::New]));
    stop(outbox, ended).await;
    let (outbox, ended, _work) = open(config(dir.path()));
    assert_eq!(outbox.capture(vec![counted("2", 7, "a"), counted("1", 7, "a")]).await, Ok(vec![Placed::Duplicate; 2]));
    assert_eq!(outbox.last_seen("scanner".into()).await, Ok(Some(LastSeen { epoch: "d:2".to_owned(), position: 7 })));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_gap_becomes_an_event_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 5, "b")]).await.expect("there is room");
    let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
    let (body, kind): (String, String) = db
        .query_row("SELECT e.body, k.text FROM event e JOIN name k ON k.id = e.kind WHERE e.ordinal = -1", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .expect("the gap is stored");
    assert_eq!(kind, "sequence_gap");
    assert!(body.contains("\"from\":2,\"to\":4"), "{body}");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_true_second_scan_is_two_and_a_redelivery_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let message =
        |packet, dup| Some(Redelivery { link: "broker".into(), session_present: true, packet, dup, backlog: false });
    let placed = outbox.capture(vec![plain("x", message(1, false)), plain("x", message(2, false))]).await;
    assert_eq!(placed, Ok(vec![Placed::New, Placed::New]));
    stop(outbox, ended).await;
    // Killed between the commit and the PUBACKs: the broker sends both again, and one that had not arrived.
    let (outbox, ended, _work) = open(config(dir.path()));
    let again = vec![plain("x", message(1, true)), plain("x", message(2, true)), plain("x", message(3, true))];
    assert_eq!(outbox.capture(again).await, Ok(vec![Placed::Duplicate, Placed::Duplicate, Placed::New]));
    // The broker is proven to have the first PUBACK: under its packet comes another scan, or a broker that forgot.
    outbox.acknowledgements_proven("broker".into(), vec![1]).expect("the writer runs");
    let again = vec![plain("x", message(1, true)), plain("x", message(2, true))];
    assert_eq!(outbox.capture(again).await, Ok(vec![Placed::Held, Placed::Duplicate]), "never decided silently");
    let lost = Some(Redelivery { link: "broker".into(), session_present: false, packet: 9, dup: true, backlog: false });
    assert_eq!(outbox.capture(vec![plain("x", lost)]).await, Ok(vec![Placed::Held]), "never decided silently");
    // In a new session packet identifiers begin again: what was committed under them before says nothing.
    outbox.session_lost("broker".into()).await.expect("the writer runs");
    assert_eq!(outbox.capture(vec![plain("x", message(1, true))]).await, Ok(vec![Placed::New]));
    stop(outbox, ended).await;
}

/// What was handed in before the broker's new session belongs to the old one, committed yet or not.
#[tokio::test]
async fn a_new_session_does_not_overtake_what_was_handed_in_before_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(Config { preset: Preset::Gentle, ..config(dir.path()) });
    let message =
        |dup| Some(Redelivery { link: "broker".into(), session_present: true, packet: 1, dup, backlog: false });
    outbox.capture(vec![counted("1", 1, "a commit just now")]).await.expect("there is room");
    let before = outbox.capture(vec![plain("x", message(false))]);
    outbox.session_lost("broker".into()).await.expect("the writer runs");
    assert_eq!(before.await, Ok(vec![Placed::New]));
    assert_eq!(outbox.capture(vec![plain("x", message(true))]).await, Ok(vec![Placed::New]), "another scan");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_device_may_number_some_of_its_scans_and_not_others() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let mixed =
        vec![counted("1", 1, "a"), plain("x", None), counted("1", 2, "b"), plain("x", None), counted("1", 3, "c")];
    assert_eq!(outbox.capture(mixed).await, Ok(vec![Placed::New; 5]), "neither takes the other's numbers");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.events, status.counts.len()), (5, 0), "and no gap: {:?}", status.counts);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_panic_in_interpretation_loses_its_own_sample_only() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let mut planted = counted("1", 2, "p");
    if let Ok(decoded) = &mut planted.content {
        decoded.events.push(event("planted.panic", "p"));
    }
    let placed = outbox.capture(vec![counted("1", 1, "a"), planted, counted("1", 3, "c")]).await;
    let Ok([Placed::New, Placed::Refused(why), Placed::New]) = placed.as_deref() else { panic!("{placed:?}") };
    assert!(why.contains("planted panic"), "{why}");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!(status.events, 3, "two events, and the gap that the kept sample leaves; nothing of the panicked one");
    assert!(status.bad_input[0].reason.contains("planted panic"), "{:?}", status.bad_input);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_no_map_reads_is_kept_with_its_bytes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let mut bad = counted("1", 1, "\u{1}?");
    bad.content = Err(Undecodable { reason: "not JSON".to_owned(), panicked: false });
    assert_eq!(outbox.capture(vec![bad]).await, Ok(vec![Placed::Bad]));
    let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
    let kept: (String, Vec<u8>) =
        db.query_row("SELECT reason, bytes FROM bad_input", [], |r| Ok((r.get(0)?, r.get(1)?))).expect("it is kept");
    assert_eq!(kept, ("not JSON".to_owned(), b"\x01?".to_vec()));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_full_outbox_stops_taking_and_goes_on_draining() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(Config { max_size: 1_000, ..config(dir.path()) });
    let mut taken = 0;
    while outbox.capture(vec![counted("1", taken + 1, "a")]).await.is_ok() {
        taken += 1;
        assert!(taken < 100, "it fills up");
    }
    assert_eq!(outbox.capture(vec![counted("1", taken + 1, "a")]).await, Err(CaptureError::Full));
    let mut room = outbox.room();
    for _ in 0..taken {
        let batch = next(&mut work).await;
        outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    }
    tokio::time::timeout(DEADLINE, room.wait_for(|room| *room))
        .await
        .expect("room comes back")
        .expect("the writer runs");
    assert_eq!(outbox.capture(vec![counted("1", taken + 1, "a")]).await, Ok(vec![Placed::New]), "with no gap");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_comes_behind_a_refused_capture_does_not_overtake_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(Config { max_size: 300, ..config(dir.path()) });
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    outbox.capture(vec![counted("1", 2, "a")]).await.expect("there is room");
    let intake = outbox.intake();
    assert_eq!(intake.capture(vec![counted("1", 3, "a")]).await, Err(CaptureError::Full));
    let mut room = outbox.room();
    for _ in 0..2 {
        let batch = next(&mut work).await;
        outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    }
    tokio::time::timeout(DEADLINE, room.wait_for(|room| *room))
        .await
        .expect("room comes back")
        .expect("the writer runs");
    assert_eq!(intake.capture(vec![counted("1", 4, "a")]).await, Err(CaptureError::Full), "3 comes before 4");
    drop(intake);
    let both = outbox.intake().capture(vec![counted("1", 3, "a"), counted("1", 4, "a")]).await;
    assert_eq!(both, Ok(vec![Placed::New, Placed::New]));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn one_lanes_trouble_never_delays_another() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (to_erp, mut erp) = mpsc::channel(8);
    let (to_tms, mut tms) = mpsc::channel(8);
    let second = lane::Config { id: "carrier".to_owned(), target: 1, system: "tms".to_owned(), ..lane() };
    let (outbox, ended) =
        Outbox::open(config(dir.path()), vec![lane(), second], vec![to_erp, to_tms]).expect("it opens");
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let silent = next(&mut erp).await; // never answered
    for seq in 2..20 {
        let batch = next(&mut tms).await;
        assert_ne!(batch.keys, silent.keys, "each system has keys of its own");
        outbox.answered(1, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
        outbox.capture(vec![counted("1", seq, "a")]).await.expect("there is room");
    }
    assert!(erp.try_recv().is_err(), "the first lane waits for its answer");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.lanes[0].sending, status.lanes[0].ready), (1, 18));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn reading_never_writes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    stop(outbox, ended).await;
    let content = || std::fs::read(dir.path().join(open::DATABASE)).expect("it is there");
    let before = content();
    read::status(dir.path(), 0).expect("it reads");
    let db = open::open_read_only(dir.path()).expect("it opens");
    db.execute("DELETE FROM event", []).expect_err("a reader can't write");
    assert_eq!(content(), before);
}

#[tokio::test]
async fn a_damaged_row_never_leaves_and_parks_its_subject_only() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "first")]).await.expect("there is room");
    let held_back = next(&mut work).await; // one batch in flight: what follows waits on disk
    outbox.capture(vec![counted("1", 2, "a"), counted("1", 3, "b")]).await.expect("there is room");
    let db = rusqlite::Connection::open(dir.path().join(open::DATABASE)).expect("it opens");
    db.execute("UPDATE event SET body = replace(body, 'a', 'x') WHERE pos = 2", []).expect("a bit flips");
    outbox.answered(0, held_back.batch, all(&held_back, Class::Delivered)).expect("the writer runs");
    let batch = next(&mut work).await;
    let body = String::from_utf8(batch.body().to_vec()).expect("UTF-8");
    assert!(batch.keys.len() == 1 && body.contains("\"code\":\"b\""), "{body}");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.letters[0].class.as_str(), status.dead_letters), ("corrupt", 1));
    stop(outbox, ended).await;
}

/// Whatever a bit flips in: the row is a dead letter, or goes as it was; the rest of the lane goes on, and so does the next start.
#[tokio::test]
async fn a_row_with_a_flipped_bit_stops_no_other_and_no_start() {
    for (done, parked) in [
        ("UPDATE event SET body = CAST(x'7b22e1227d' AS TEXT) WHERE pos = 2", true),
        ("UPDATE event SET subject = CAST(x'e1' AS TEXT) WHERE pos = 2", true),
        ("UPDATE event SET quality = CAST(x'e1' AS TEXT) WHERE pos = 2", true),
        ("UPDATE event SET id = x'00' WHERE pos = 2", true),
        ("UPDATE event SET subject = CAST(x'e1' AS TEXT), id = 'text' WHERE pos = 1", false),
        ("UPDATE done SET rev = -1", false),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = open(config(dir.path()));
        outbox.capture(vec![counted("1", 1, "first")]).await.expect("there is room");
        let before = next(&mut work).await;
        outbox.capture(vec![counted("1", 2, "a"), counted("1", 3, "b")]).await.expect("there is room");
        outbox.answered(0, before.batch, all(&before, Class::Delivered)).expect("the writer runs");
        let under_way = next(&mut work).await;
        stop(outbox, ended).await;
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        db.execute(done, []).expect("a bit flips");
        drop(db);

        let (outbox, ended, mut work) = open(config(dir.path()));
        let again = next(&mut work).await;
        assert_eq!(again.keys, under_way.keys[usize::from(parked)..], "{done}");
        outbox.answered(0, again.batch, all(&again, Class::Delivered)).expect("the writer runs");
        outbox.capture(vec![counted("1", 4, "c")]).await.expect("there is room");
        let later = next(&mut work).await;
        outbox.answered(0, later.batch, all(&later, Class::Delivered)).expect("the writer runs");
        outbox.pulse().await.expect("the writer runs");
        let needs = read::parked::needs(dir.path(), None, Millis(0)).expect("it reads");
        assert_eq!(
            needs.iter().map(|need| need.class.as_str()).collect::<Vec<_>>(),
            vec!["corrupt"; usize::from(parked)],
            "{done}"
        );
        let wanted = read::wanted::Wanted::parse("#2");
        assert_eq!(
            read::trace::trace(dir.path(), &wanted, 9, None, &mut |_| {}).expect("it reads").events.len(),
            1,
            "{done}"
        );
        for need in &needs {
            let key = Id::parse(&need.key).expect("a key");
            let acted = outbox.operate(operate::order("r1", lane::Act::Skip, &[key]), "anna".to_owned()).await;
            assert!(acted.expect("the writer runs")[0].done, "{done}");
        }
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn a_damaged_row_of_a_resend_is_left_out_and_the_rest_goes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox
        .capture(vec![counted("1", 1, "a"), counted("1", 2, "b"), counted("1", 3, "c")])
        .await
        .expect("there is room");
    assert_eq!(next(&mut work).await.keys.len(), 3);
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join(open::DATABASE)).expect("it opens");
    db.execute("UPDATE event SET raw = x'00' WHERE pos = 2", []).expect("a bit flips");
    drop(db);
    let (outbox, ended, mut work) = open(config(dir.path()));
    let again = next(&mut work).await;
    let body = String::from_utf8(again.body().to_vec()).expect("UTF-8");
    assert!(again.keys.len() == 2 && body.contains("\"a\"") && body.contains("\"c\""), "{body}");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.letters[0].class.as_str(), status.letters[0].maybe_posted), ("corrupt", true));
    assert_eq!(status.dead_letters, 1, "{:?}", status.letters);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_held_repeat_does_not_hold_back_what_came_before() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "x")]).await.expect("there is room");
    let under_way = next(&mut work).await; // a request in flight: what follows waits
    let lost =
        |packet| Some(Redelivery { link: "broker".into(), session_present: false, packet, dup: true, backlog: false });
    let placed = outbox.capture(vec![plain("y", None), plain("y", lost(7))]).await;
    assert_eq!(placed, Ok(vec![Placed::New, Placed::Held]));
    outbox.answered(0, under_way.batch, all(&under_way, Class::Delivered)).expect("the writer runs");
    assert_eq!(next(&mut work).await.keys.len(), 1, "the first y goes");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.lanes[0].sending, status.lanes[0].held), (1, 1));
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_target_with_another_id_is_refused_while_rows_wait_for_the_old_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    stop(outbox, ended).await;
    let renamed = lane::Config { system: "erp2".to_owned(), ..lane() };
    let (out, _work) = mpsc::channel(1);
    let refused = Outbox::open(config(dir.path()), vec![renamed], vec![out]).expect_err("keys would change");
    assert!(refused.to_string().contains("erp2"), "{refused}");
}

#[tokio::test]
async fn a_second_gateway_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let (out, _work2) = mpsc::channel(1);
    let refused = Outbox::open(config(dir.path()), vec![lane()], vec![out]).expect_err("the directory is taken");
    assert!(refused.to_string().contains("another floorgate already runs on"), "{refused}");
    let ours = format!(", process {}: stop it first", std::process::id());
    assert!(refused.to_string().contains(&ours), "{refused}");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn history_is_trimmed_from_its_oldest_end_and_never_what_is_open() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(Config { history_age: Duration::ZERO, ..config(dir.path()) });
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let batch = next(&mut work).await;
    let mut answer = all(&batch, Class::Delivered);
    answer.outcomes[0] = Outcome::new(Class::Validation, "wrong");
    outbox.answered(0, batch.batch, answer).expect("the writer runs");
    stop(outbox, ended).await;
    let (outbox, ended, _work) = open(Config { history_age: Duration::ZERO, ..config(dir.path()) });
    let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
    let left = || db.query_row("SELECT group_concat(pos) FROM event", [], |r| r.get::<_, String>(0)).expect("it reads");
    let deadline = tokio::time::Instant::now() + DEADLINE;
    // The first is rejected and stays, the second is delivered and goes: one dead letter does not keep all history.
    while left() != "1" {
        assert!(tokio::time::Instant::now() < deadline, "the delivered one goes: {}", left());
        tokio::task::yield_now().await;
    }
    assert_eq!(
        outbox.capture(vec![counted("1", 1, "a")]).await,
        Ok(vec![Placed::Duplicate]),
        "what was purged isn't new"
    );
    stop(outbox, ended).await;
}

/// A database of version 1, in the middle of its work: nothing of it is lost or forgotten, and its numbers go on.
#[tokio::test]
async fn a_database_of_an_earlier_version_is_taken_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let first = next(&mut work).await;
    outbox.answered(0, first.batch, all(&first, Class::Delivered)).expect("the writer runs");
    outbox.capture(vec![counted("1", 2, "b"), counted("1", 3, "c")]).await.expect("there is room");
    let left = next(&mut work).await;
    stop(outbox, ended).await;
    // The same rows as version 1 kept them: one delivered, two in a batch under way.
    let before = tempfile::tempdir().expect("a temporary directory");
    let old = before.path().join(open::DATABASE);
    let db = rusqlite::Connection::open(&old).expect("it opens");
    db.execute_batch(open::MIGRATIONS[0]).expect("version 1");
    db.pragma_update(None, "user_version", 1).expect("it writes");
    db.execute("ATTACH ? AS now", [dir.path().join(open::DATABASE).to_string_lossy()]).expect("it attaches");
    db.execute_batch(
        "INSERT INTO meta SELECT k, v FROM now.meta WHERE k NOT IN ('trimmed', 'audit_rows', 'audit_head');
         INSERT INTO name SELECT * FROM now.name;
         INSERT INTO source SELECT * FROM now.source;
         INSERT INTO epoch(id, source, text, last, rows_in, bytes_in)
             SELECT id, source, text, 3, 3, 1000 + (SELECT sum(size) FROM now.pending) FROM now.epoch;
         INSERT INTO event SELECT * FROM now.event;
         INSERT INTO lane(id, name, system, rows_out, bytes_out) SELECT id, name, system, 1, 1000 FROM now.lane;
         INSERT INTO pending SELECT lane, seq, tx, order8, posting, rev, size, state, tries, since, not_before, why FROM now.pending;
         INSERT INTO batch SELECT lane, id, attempt, first_sent, last_sent, unknown, renderer, sum, rows FROM now.batch;
         UPDATE batch SET id = 7;
         INSERT INTO attempt VALUES (5, 1, 4, 1, 1000, 200, 1, 1, 1, 'delivered', NULL);
         INSERT INTO done VALUES (1, 1, (SELECT tx FROM pending LIMIT 1), 5, 'delivered', 'GI-1');",
    )
    .expect("the rows fit");
    let pending: i64 = db.query_row("SELECT sum(size) FROM pending", [], |r| r.get(0)).expect("two rows");
    drop(db);

    let (outbox, ended, mut work) = open(config(before.path()));
    let status = read::status(before.path(), 0).expect("it reads");
    let last = status.lanes[0].last_answer.as_ref().map(|a| (a.at, a.class.as_str()));
    assert_eq!((status.lanes[0].delivered, status.pending_bytes, last), (1, pending, Some((1_000, "delivered"))));
    let resent = next(&mut work).await;
    assert_eq!((resent.batch, resent.attempt, resent.body()), (7, 2, left.body()));
    outbox.answered(0, resent.batch, all(&resent, Class::Delivered)).expect("the writer runs");
    let again = vec![counted("1", 2, "b"), counted("1", 3, "c"), counted("1", 4, "d")];
    let placed = [Placed::Duplicate, Placed::Duplicate, Placed::New];
    assert_eq!(outbox.capture(again).await, Ok(placed.to_vec()), "what was stored is known");
    assert_eq!(next(&mut work).await.batch, 8, "numbers go on");
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(&old).expect("it opens");
    let done = db.query_row("SELECT at, batch, attempt, ref FROM done WHERE seq = 1", [], |r| {
        Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?, r.get::<_, String>(3)?))
    });
    assert_eq!(done.expect("one row"), (1_000, 4, 1, "GI-1".to_owned()));
}

/// Two lanes of one event each keep their own count; an epoch of which nothing is left keeps its last position; what was
/// delivered without a trace of its attempt stays delivered.
#[test]
fn a_migration_loses_nothing_that_was_counted_elsewhere() -> Result<(), rusqlite::Error> {
    let db = rusqlite::Connection::open_in_memory()?;
    db.execute_batch(open::MIGRATIONS[0])?;
    db.execute_batch(
        "INSERT INTO meta VALUES ('last_seq', 8);
         INSERT INTO epoch(id, source, text, last, floor) VALUES (1, 1, 'd:1', 40, 12), (2, 1, 'd:2', 2, -1);
         INSERT INTO event SELECT n, 2, n - 8, 0, randomblob(16), 1, NULL, 's', 0, 'synced', NULL, 1, 0, 0, 1, NULL, '{}', 0
             FROM (SELECT 9 AS n UNION SELECT 10);
         INSERT INTO lane(id, name, system, rows_out, bytes_out) VALUES (1, 'erp', 'erp', 5, 500), (2, 'wms', 'wms', 0, 0);
         INSERT INTO pending(lane, seq, tx, order8, posting, size) VALUES
             (1, 10, 1, 0, x'00', 100), (2, 9, 1, 0, x'00', 70), (2, 10, 1, 0, x'00', 80);
         INSERT INTO attempt VALUES (7, 2, 7, 1, 1000, 503, 1, 9, 9, 'transient', 'later');
         INSERT INTO done VALUES (9, 1, 1, 3, 'delivered', 'GI-1');",
    )?;
    db.execute_batch(open::MIGRATIONS[1])?;
    let text = |sql: &str| {
        let mut statement = db.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |r| {
            (0..columns).map(|i| r.get::<_, rusqlite::types::Value>(i)).collect::<Result<Vec<_>, _>>()
        })?;
        rows.map(|row| row.map(|values| format!("{values:?}"))).collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(
        text("SELECT rows_in, rows_out, bytes_in, bytes_out, batches, good_at FROM lane ORDER BY id")?,
        [
            "[Integer(6), Integer(5), Integer(600), Integer(500), Integer(7), Null]",
            "[Integer(2), Integer(0), Integer(150), Integer(0), Integer(7), Null]"
        ]
    );
    assert_eq!(text("SELECT floor FROM epoch ORDER BY id")?, ["[Integer(40)]", "[Integer(-1)]"]);
    assert_eq!(
        text("SELECT at, batch, attempt, how FROM done")?,
        ["[Integer(0), Integer(0), Integer(1), Text(\"delivered\")]"]
    );
    assert_eq!(text("SELECT v FROM meta WHERE k = 'trimmed'")?, ["[Integer(8)]"]);
    Ok(())
}

/// What an older version had as a dead letter is as old as that says.
#[test]
fn a_dead_letter_of_an_older_version_opened_its_exception() -> Result<(), rusqlite::Error> {
    let db = rusqlite::Connection::open_in_memory()?;
    open::MIGRATIONS[..10].iter().try_for_each(|sql| db.execute_batch(sql))?;
    db.execute_batch(
        "INSERT INTO pending(lane, seq, tx, order8, posting, size, state) VALUES
             (1, 1, 1, 0, x'00', 10, 2), (1, 2, 1, 0, x'00', 10, 0), (2, 1, 1, 0, x'00', 10, 3);
         INSERT INTO letter(lane, seq, tx, at, class, maybe, reason) VALUES (1, 1, 1, 7000, 'validation', 0, 'no');",
    )?;
    db.execute_batch(open::MIGRATIONS[10])?;
    let mut statement = db.prepare("SELECT opened FROM pending ORDER BY lane, seq")?;
    let opened: Vec<Option<i64>> = statement.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    assert_eq!(opened, [Some(7_000), None, None]);
    Ok(())
}

/// A database of a later version is left alone.
#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = rusqlite::Connection::open(dir.path().join(open::DATABASE)).expect("it opens");
    db.pragma_update(None, "user_version", 99).expect("it writes");
    let (out, _work) = mpsc::channel(1);
    let refused = Outbox::open(config(dir.path()), vec![lane()], vec![out]).expect_err("it is newer");
    assert!(refused.to_string().contains("schema 99"), "{refused}");
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Outbox>>();
};

/// What a random run does.
#[derive(Debug, Clone)]
enum Act {
    /// Sends number `seq` of boot `boot` with content `content`, whether it was sent before or not.
    Capture { boot: u8, seq: u8, content: u8 },
    /// Answers the batch under way: each row by its own class.
    Answer(Vec<u8>),
    /// Stops and starts again.
    Reopen,
}

fn acts() -> impl proptest::strategy::Strategy<Value = Vec<Act>> {
    use proptest::prelude::*;
    let capture = (0..2_u8, 1..12_u8, 0..3_u8).prop_map(|(boot, seq, content)| Act::Capture { boot, seq, content });
    let answer = proptest::collection::vec(0..4_u8, 8).prop_map(Act::Answer);
    proptest::collection::vec(prop_oneof![6 => capture, 3 => answer, 1 => Just(Act::Reopen)], 1..40)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, ..Default::default() })]

    /// The outbox against a model that is a map and two sets: whatever is sent, answered and restarted, a happening is
    /// stored once, its key is sent until it is answered, and never again after it was delivered or rejected.
    #[test]
    fn random_runs_agree_with_a_model(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let mut stored = std::collections::HashMap::new();
            let (mut settled, mut rejected) = (std::collections::HashSet::new(), 0);
            let (mut outbox, mut ended, mut work) = open(config(dir.path()));
            for act in acts {
                match act {
                    Act::Capture { boot, seq, content } => {
                        let raw = format!("subject-{content}");
                        let expected = match stored.get(&(boot, seq)) {
                            None => Placed::New,
                            Some(before) if *before == raw => Placed::Duplicate,
                            Some(_) => clash(&boot.to_string(), seq.into()),
                        };
                        let placed = outbox.capture(vec![counted(&boot.to_string(), u64::from(seq), &raw)]).await;
                        assert_eq!(placed, Ok(vec![expected]), "boot {boot}, number {seq}");
                        stored.entry((boot, seq)).or_insert(raw);
                    }
                    Act::Answer(classes) => {
                        let Ok(Some(batch)) = tokio::time::timeout(Duration::from_millis(60), work.recv()).await else { continue };
                        let mut answer = all(&batch, Class::Delivered);
                        for (i, key) in batch.keys.iter().enumerate() {
                            assert!(!settled.contains(key), "a key that was settled is sent again");
                            let class = match classes[i % classes.len()] {
                                0 => Class::Unknown,
                                1 if batch.attempt == 1 => Class::Validation,
                                2 => Class::Duplicate,
                                _ => Class::Delivered,
                            };
                            answer.outcomes[i] = Outcome::new(class, "random");
                            rejected += i64::from(class == Class::Validation);
                            if class != Class::Unknown {
                                settled.insert(*key);
                            }
                        }
                        outbox.answered(0, batch.batch, answer).expect("the writer runs");
                    }
                    Act::Reopen => {
                        stop(outbox, ended).await;
                        (outbox, ended, work) = open(config(dir.path()));
                    }
                }
            }
            drop(work);
            stop(outbox, ended).await;
            let status = read::status(dir.path(), 0).expect("it reads");
            let lane = &status.lanes[0];
            let gaps = status.counts.iter().filter(|c| c.what == "gap").map(|c| c.n).sum::<i64>();
            assert_eq!(status.events, stored.len() as i64 + gaps, "each happening once");
            assert_eq!(lane.delivered + lane.rejected, settled.len() as i64, "each answer once");
            assert_eq!(lane.rejected, rejected);
            let open = lane.ready + lane.sending + lane.unknown + lane.waiting;
            assert_eq!(open + settled.len() as i64, stored.len() as i64, "and nothing is lost on the way");
        });
    }
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn others_can_read_nothing_of_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("data");
    let (outbox, ended, mut work) = open(config(&dir));
    assert_eq!(mode(&dir) & !0o750, 0, "{:o}", mode(&dir));
    assert_eq!(outbox.capture(vec![counted("1", 1, "a")]).await, Ok(vec![Placed::New]));
    next(&mut work).await;
    let check = |names: &[&str]| {
        for name in names {
            let mode = mode(&dir.join(name));
            assert_eq!(mode & !0o640, 0, "{name}: {mode:o}");
        }
    };
    check(&["outbox.db", "outbox.db-wal", "outbox.db-shm", "lock"]);
    stop(outbox, ended).await;
    // As an earlier version, or a restored copy, may have left them.
    for name in ["outbox.db", "lock"] {
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o666)).expect("our own file");
    }
    let (outbox, ended, _work) = open(config(&dir));
    check(&["outbox.db", "outbox.db-wal", "outbox.db-shm", "lock"]);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn what_waits_for_a_person_is_listed_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let lost = Some(Redelivery { link: "broker".into(), session_present: false, packet: 7, dup: true, backlog: false });
    let placed = outbox.capture(vec![plain("A", None), plain("A", lost)]).await;
    assert_eq!(placed, Ok(vec![Placed::New, Placed::Held]));
    let batch = next(&mut work).await;
    let bad = || Sample {
        raw: b"\xff\x00".to_vec(),
        content: Err(Undecodable { reason: "not JSON".to_owned(), panicked: false }),
        ..counted("1", 1, "")
    };
    assert_eq!(outbox.capture(vec![bad(), bad()]).await, Ok(vec![Placed::Bad; 2]));
    outbox.answered(batch.lane, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    stop(outbox, ended).await;
    let status = read::status(dir.path(), 0).expect("it reads");
    let held = &status.held_rows[0];
    assert_eq!(
        (status.held, held.lane.as_str(), held.kind.as_str(), held.subject.as_str()),
        (1, "outbound", "scan.item", "A")
    );
    assert!(held.reason.contains("second scan") && held.at > 0, "{held:?}");
    assert_eq!(status.lanes[0].parked, 1);
    let bounds = |most| read::Bounds {
        max_size: 1,
        max_parked: [("outbound".to_owned(), most)].into(),
        ..read::Bounds::default()
    };
    assert_eq!((bounds(0).stop(&status.lanes[0]), bounds(1).stop(&status.lanes[0])), (true, false));
    assert!(!read::Bounds::default().stop(&status.lanes[0]), "a lane without a bound does not stop");

    let kept = read::bad_input::kept(dir.path(), Some("scanner"), 1).expect("it reads");
    let [kept] = kept.as_slice() else { panic!("the newest one alone: {kept:?}") };
    assert_eq!((kept.id, kept.length, kept.reason.as_str(), kept.origin.as_str()), (2, 2, "not JSON", "floor/scan"));
    assert_eq!(read::bad_input::raw(dir.path(), 1).expect("it reads"), Some(b"\xff\x00".to_vec()));
    assert_eq!(read::bad_input::raw(dir.path(), 3).expect("it reads"), None);
    assert_eq!(read::bad_input::kept(dir.path(), Some("other"), 9).expect("it reads"), []);
}

#[tokio::test]
async fn what_an_instance_contradicts_is_kept_under_its_name_and_found_by_its_familys() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let of = |instance: &str, text| {
        let mut sample = counted("1", 7, text);
        sample.content.iter_mut().for_each(|decoded| decoded.device = instance.into());
        sample
    };
    let placed =
        outbox.capture(vec![of("scanner-A1", "a"), of("scanner-A1", "b"), of("scanner2", "a"), of("scanner2", "b")]);
    assert_eq!(placed.await, Ok(vec![Placed::New, clash("1", 7), Placed::New, clash("1", 7)]));
    stop(outbox, ended).await;
    let kept = |source| {
        let kept = read::bad_input::kept(dir.path(), Some(source), 9).expect("it reads");
        kept.into_iter().map(|kept| kept.source).collect::<Vec<_>>()
    };
    assert_eq!((kept("scanner-A1"), kept("scanner")), (vec!["scanner-A1".to_owned()], vec!["scanner-A1".to_owned()]));
    assert_eq!((kept("scanner-A"), kept("scan")), (vec![], vec![]), "neither is one of them");
    let known = read::names::sources(dir.path()).expect("it reads");
    assert_eq!(Vec::from_iter(known), ["scanner-A1", "scanner2"]);
    assert_eq!(Vec::from_iter(read::names::lanes(dir.path()).expect("it reads")), ["outbound"]);
}

/// Who sends under ever other names finds no place at some time: it is told of, under the name of its device, and takes no more room.
#[tokio::test]
async fn instances_past_the_limit_count_as_their_device() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096) INSERT INTO source(name) SELECT 's' || i FROM n",
    )
    .expect("the schema is ours");
    for n in 0..3 {
        let mut scan = counted("1", n, "a");
        scan.content.iter_mut().for_each(|decoded| decoded.device = format!("scanner-{n}").into());
        let placed = outbox.capture(vec![scan]).await.expect("the writer runs");
        assert!(matches!(&placed[0], Placed::Refused(why) if why.contains("4096 devices")), "{placed:?}");
    }
    let status = read::status(dir.path(), 0).expect("it reads");
    let counts: Vec<_> = status.counts.iter().map(|count| (count.source.as_str(), count.n)).collect();
    assert_eq!(counts, [("scanner", 3)]);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_database_of_something_else_is_no_outbox_and_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("outbox.db");
    let other = rusqlite::Connection::open(&path).expect("it is made");
    other.execute_batch("CREATE TABLE t (a)").expect("it is made");
    let refused = Outbox::open(config(dir.path()), vec![lane()], vec![mpsc::channel(1).0]).map(drop);
    for refused in [refused, fits(&config(dir.path()), &[lane()])] {
        let why = refused.expect_err("it is none of ours").to_string();
        assert!(
            why.starts_with(&format!("{} is a database of something else, and no outbox", path.display())),
            "{why}"
        );
    }
    let mode = other.pragma_query_value(None, "journal_mode", |r| r.get::<_, String>(0)).expect("it is told");
    assert_eq!(mode, "delete", "it is as it was");
}
