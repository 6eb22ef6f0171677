//! Rules of keys and delivery, each test named after its sentence (`tests/invariants.txt`).

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::outbox::delivery::unpack;

/// Ids of the events of samples, by the order of their commit.
fn ids(dir: &std::path::Path) -> BTreeMap<i64, [u8; 16]> {
    let db = open::open_read_only(dir).expect("it opens beside the writer");
    let mut ids = db.prepare("SELECT seq, id FROM event WHERE ordinal >= 0").expect("the schema is ours");
    let ids = ids.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).expect("it reads");
    ids.collect::<Result<_, _>>().expect("an id has 16 bytes")
}

fn number(dir: &std::path::Path, sql: &str) -> i64 {
    let db = open::open_read_only(dir).expect("it opens beside the writer");
    db.query_row(sql, [], |r| r.get(0)).expect("the schema is ours")
}

/// What a start finds after a kill at this moment: the files as they are, with nothing written behind. A power cut, which
/// loses what was not synced, is seen in tests/it/powercut.rs.
pub(super) fn as_a_crash_leaves_it(dir: &std::path::Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().expect("a temporary directory");
    for name in ["outbox.db", "outbox.db-wal"] {
        std::fs::copy(dir.join(name), left.path().join(name)).expect("it can be copied");
    }
    left
}

#[tokio::test]
async fn every_acknowledged_samples_events_exist_after_a_crash_at_any_acknowledgement() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    for seq in 1..=20 {
        let two = vec![counted("1", 2 * seq, &format!("s{seq}")), counted("2", seq, "b")];
        outbox.capture(two).await.expect("there is room");
        let left = as_a_crash_leaves_it(dir.path());
        let (again, ended, _work) = open(config(left.path()));
        again.pulse().await.expect("it runs");
        assert_eq!(ids(left.path()).len() as u64, 2 * seq);
        stop(again, ended).await;
    }
    stop(outbox, ended).await;
}

#[tokio::test]
async fn no_acknowledgement_leaves_before_the_commit_that_holds_its_events() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
    let mut stored = db.prepare("SELECT count(*) FROM event WHERE ordinal >= 0").expect("the schema is ours");
    for seq in 1..=100_i64 {
        outbox.capture(vec![counted("1", seq.unsigned_abs(), "a")]).await.expect("there is room");
        // Another connection sees what is committed, and nothing else.
        assert_eq!(stored.query_row([], |r| r.get::<_, i64>(0)).expect("it reads"), seq);
    }
    stop(outbox, ended).await;
}

#[tokio::test]
async fn the_same_device_epoch_and_seq_sent_n_times_yields_the_same_event_ids_and_adds_no_row_after_the_first() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rows = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM pending) + (SELECT count(*) FROM done)";
    let mut first = None;
    for n in 0..4 {
        let (outbox, ended, mut work) = open(config(dir.path()));
        for times in 0..3 {
            let placed = outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await;
            let expected = if (n, times) == (0, 0) { Placed::New } else { Placed::Duplicate };
            assert_eq!(placed, Ok(vec![expected; 2]));
            let now = (ids(dir.path()), number(dir.path(), rows));
            assert_eq!(*first.get_or_insert_with(|| now.clone()), now, "sent {} times", 3 * n + times + 1);
        }
        if n == 1 {
            // Also once it is posted.
            let batch = next(&mut work).await;
            outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
            outbox.pulse().await.expect("it is stored");
        }
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn two_different_samples_of_a_sequenced_source_never_share_an_event_id_across_restarts_and_wraps() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut outbox, mut ended, mut work) = open(config(dir.path()));
    let nameless = |seq, raw: &str| {
        let position = Position::Counted { boot: None, seq, bits: 16, ring: 32 };
        sample(position, vec![event("scan.item", raw)], raw)
    };
    let mut samples: u32 = 0;
    // A PLC that starts anew, twice; its counter wraps twice in each life; the gateway starts anew between.
    for boot in [Some("1"), Some("2"), None] {
        for lap in [[0_u64, 1, 2], [65_533, 65_534, 65_535], [0, 1, 2], [30_000, 60_000, 65_535], [0, 1, 2]] {
            for seq in lap {
                samples += 1;
                let raw = format!("s{samples}");
                let new = boot.map_or_else(|| nameless(seq, &raw), |boot| counted(boot, seq, &raw));
                assert_eq!(outbox.capture(vec![new]).await, Ok(vec![Placed::New]), "{boot:?} {seq}");
            }
            stop(outbox, ended).await;
            (outbox, ended, work) = open(config(dir.path()));
        }
    }
    // And one without a boot id, which begins at 1 again with other content.
    samples += 1;
    assert_eq!(outbox.capture(vec![nameless(1, "other")]).await, Ok(vec![Placed::New]));
    let ids: Vec<[u8; 16]> = ids(dir.path()).into_values().collect();
    assert_eq!(ids.len(), samples as usize);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), samples as usize, "each has an id of its own");
    drop(work);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn re_decoding_with_another_tag_map_never_changes_the_keys_of_committed_samples() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let other = || {
        let mut sample = counted("1", 1, "a");
        if let Ok(decoded) = &mut sample.content {
            decoded.map = "scanner@2".into();
            decoded.events = vec![event("scan.carton", "other")];
        }
        sample
    };
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert_eq!(outbox.capture(vec![counted("1", 1, "a")]).await, Ok(vec![Placed::New]));
    let sent = next(&mut work).await;
    let before = ids(dir.path());
    stop(outbox, ended).await;
    // The next version of the map reads it, from a device that sends it again.
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert_eq!(outbox.capture(vec![other()]).await, Ok(vec![Placed::Duplicate]));
    assert_eq!(ids(dir.path()), before);
    let again = next(&mut work).await;
    assert_eq!((again.keys, again.id), (sent.keys.clone(), sent.id));
    stop(outbox, ended).await;
    // And had that version read it first, it would be the same event.
    let fresh = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(fresh.path()));
    assert_eq!(outbox.capture(vec![other()]).await, Ok(vec![Placed::New]));
    assert_eq!(ids(fresh.path()), before);
    stop(outbox, ended).await;
}

#[tokio::test]
async fn every_event_with_a_posting_rule_has_exactly_one_delivery_row_per_configured_lane_and_tx_type() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let takes = |id: &str, take: &[&str]| lane::Config {
        id: id.to_owned(),
        system: id.to_owned(),
        take: take.iter().map(|kind| (*kind).to_owned()).collect(),
        ..lane()
    };
    let lanes = vec![takes("all", &["*"]), takes("scans", &["scan.*"]), takes("cartons", &["scan.carton", "weight.*"])];
    let kinds = [("scan.item", 2), ("scan.carton", 3), ("weight.carton", 2), ("alarm.jam", 1)];
    let (out, _work) = mpsc::channel(64);
    let (outbox, ended) = Outbox::open(config(dir.path()), lanes, vec![out]).expect("it opens");
    for times in 0..2 {
        for (boot, (kind, _)) in kinds.iter().enumerate() {
            for seq in 1..=3 {
                let position = Position::Counted { boot: Some(boot.to_string()), seq, bits: 16, ring: 32 };
                let events = vec![event(kind, "a"), event(kind, "b")];
                let placed = outbox.capture(vec![sample(position, events, "a")]).await;
                assert_eq!(placed, Ok(vec![if times == 0 { Placed::New } else { Placed::Duplicate }]));
            }
        }
    }
    let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
    for (kind, lanes) in kinds {
        let sql = "SELECT count(p.seq), count(DISTINCT p.lane), count(DISTINCT p.posting) FROM event e
                   JOIN name k ON k.id = e.kind LEFT JOIN pending p ON p.seq = e.seq WHERE k.text = ? GROUP BY e.seq";
        let mut rows = db.prepare(sql).expect("the schema is ours");
        let rows = rows.query_map([kind], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?])).expect("it reads");
        let rows: Vec<[i64; 3]> = rows.collect::<Result<_, _>>().expect("numbers");
        assert_eq!(rows, vec![[lanes; 3]; 6], "{kind}");
    }
    stop(outbox, ended).await;
}

#[tokio::test]
async fn no_byte_goes_to_a_target_before_its_rows_are_durably_sending() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut seq = 0;
    for _start in 0..3 {
        let (outbox, ended, mut work) = open(config(dir.path()));
        let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
        let mut stored = db.prepare("SELECT attempt, rows FROM batch WHERE id = ?").expect("the schema is ours");
        let mut key = db.prepare("SELECT posting FROM pending WHERE seq = ? AND tx = ?").expect("the schema is ours");
        for n in 0..10 {
            seq += 2;
            let two = vec![counted("1", seq, &format!("a{seq}")), counted("1", seq + 1, &format!("b{seq}"))];
            outbox.capture(two).await.expect("there is room");
            let batch = next(&mut work).await;
            let number = i64::try_from(batch.batch).expect("few");
            let (attempt, rows): (u32, Vec<u8>) = stored
                .query_row([number], |r| Ok((r.get(0)?, r.get(1)?)))
                .expect("another connection sees it: it is committed");
            let rows = unpack(&rows);
            let keys = rows.iter().map(|row| key.query_row([row.seq, row.tx], |r| Ok(Id(r.get(0)?))));
            assert_eq!((attempt, keys.collect::<Result<Vec<_>, _>>()), (batch.attempt, Ok(batch.keys.clone())));
            // Some are never heard of, and the last one is under way at the stop.
            let class = if n % 3 == 1 { Class::Unknown } else { Class::Delivered };
            if n < 9 {
                outbox.answered(0, batch.batch, all(&batch, class)).expect("the writer runs");
            }
        }
        stop(outbox, ended).await;
    }
}

#[tokio::test]
async fn bytes_sent_for_one_posting_id_are_identical_in_every_attempt() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut outbox, mut ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let first = next(&mut work).await;
    assert_eq!(first.keys.len(), 2);
    for attempt in 2..=6 {
        if attempt % 2 == 0 {
            outbox.answered(0, first.batch, all(&first, Class::Unknown)).expect("the writer runs");
        } else {
            stop(outbox, ended).await;
            (outbox, ended, work) = open(config(dir.path()));
        }
        let again = next(&mut work).await;
        assert_eq!((again.attempt, again.id, again.body()), (attempt, first.id, first.body()));
    }
    // Of the one that is left alone of its batch, its own bytes are the same.
    let mut half = Answer { whole: false, ..all(&first, Class::Unknown) };
    half.outcomes[0] = Outcome::new(Class::Delivered, "");
    outbox.answered(0, first.batch, half).expect("the writer runs");
    let alone = next(&mut work).await;
    assert_eq!(alone.keys, first.keys[1..]);
    let text = |batch: &Outgoing| String::from_utf8(batch.body().to_vec()).expect("UTF-8");
    let frame = "{\"events\":[";
    let (own, both) = (text(&alone), text(&first));
    let own = own.strip_prefix(frame).expect("the format of the lane");
    assert!(both.ends_with(own), "{own} is not the end of {both}");
    stop(outbox, ended).await;
    // Where the configuration would make other bytes of it, none are sent.
    let changed = lane::Config { format: Format::Ndjson, ..lane() };
    let (out, mut work) = mpsc::channel(8);
    let (outbox, ended) = Outbox::open(config(dir.path()), vec![changed], vec![out]).expect("it opens");
    outbox.pulse().await.expect("it runs");
    assert!(work.try_recv().is_err(), "nothing leaves");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.letters[0].class.as_str(), status.letters[0].maybe_posted), ("unresolvable", true));
    stop(outbox, ended).await;
}
