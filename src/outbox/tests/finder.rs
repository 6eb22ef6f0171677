//! Names lead to their events through blocks of prints, over restarts and undone writes; what no block has is walked.

use super::*;
use crate::outbox::open::open_read_only;
use crate::outbox::read::search::{Hits, Walk, search};
use crate::outbox::read::wanted::Wanted;

fn hits(dir: &std::path::Path, word: &str) -> Hits {
    let db = open_read_only(dir).expect("it reads beside the writer");
    let walk = &mut Walk { limit: 10, bite: 1_000_000, progress: &mut |_| {} };
    search(&db, &Wanted::parse(word), walk).expect("it reads")
}

/// 2,500 events, two stops between them, and now and then a capture that is undone, once with the block that it wrote.
async fn filled(dir: &std::path::Path) -> Vec<Id> {
    let mut keys = Vec::new();
    for part in [1_u64..1_025, 1_025..1_500, 1_500..2_501] {
        let (outbox, ended, _work) = open(config(dir));
        for n in part {
            let sample = counted("1", n, &format!("shipment/SH-{n}"));
            if n.is_multiple_of(400) || n == 2_049 {
                let mut planted = sample.clone();
                if let Ok(decoded) = &mut planted.content {
                    decoded.events.push(event("planted.panic", "p"));
                }
                let placed = outbox.capture(vec![planted]).await;
                assert!(matches!(placed.as_deref(), Ok([Placed::Refused(_)])), "its first event is undone: {placed:?}");
            }
            outbox.capture(vec![sample]).await.expect("there is room");
            let id = crate::event::device_event_id("dc1", "scanner", "d:1", &n.to_string(), 0);
            keys.push(crate::event::posting_id(id, "erp", "scan.item", 0));
        }
        stop(outbox, ended).await;
    }
    keys
}

#[tokio::test]
async fn a_name_leads_to_its_event_without_a_walk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keys = filled(dir.path()).await;
    let nobody = hits(dir.path(), "nobody");
    assert_eq!((nobody.seqs, nobody.looked_at), (vec![], 2_500), "all were looked at, it may be a reference");
    let walked_anyway = hits(dir.path(), "SH-1").looked_at - 1;
    assert!(walked_anyway < 1_024, "{walked_anyway} are in no block yet");
    for n in [1_usize, 700, 1_024, 1_025, 1_499, 1_500, 2_048, 2_049, 2_500] {
        let id = crate::event::device_event_id("dc1", "scanner", "d:1", &n.to_string(), 0).to_string();
        for word in [format!("shipment/SH-{n}"), format!("SH-{n}"), id, keys[n - 1].to_string()] {
            let found = hits(dir.path(), &word);
            assert_eq!(found.seqs.len(), 1, "{word}: {found:?}");
            assert!(found.looked_at <= walked_anyway + 1, "{word}: {} events were looked at", found.looked_at);
        }
    }
}

#[tokio::test]
async fn events_of_a_version_without_blocks_are_walked() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    filled(dir.path()).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("nobody runs on it");
    db.execute("DELETE FROM finder", []).expect("as a version left it that knew no blocks");
    drop(db);
    let (outbox, ended, _work) = open(config(dir.path()));
    let last = [counted("1", 2_501, "shipment/SH-2501")].to_vec();
    outbox.capture(last).await.expect("there is room");
    for word in ["SH-1", "SH-2501", "shipment/SH-2000"] {
        assert_eq!(hits(dir.path(), word).seqs.len(), 1, "{word}");
    }
    assert!(hits(dir.path(), "SH-1").looked_at > 2_500, "all of them");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_block_of_events_that_are_not_there_is_damage() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "SH-1")]).await.expect("there is room");
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("nobody runs on it");
    for last in [2, 9_999, i64::MAX] {
        db.execute("INSERT INTO finder(last, first, prints) VALUES (?1, ?1, x'000000000000')", [last]).expect("ours");
    }
    drop(db);
    assert_eq!(hits(dir.path(), "SH-1").seqs, [1]);
    let (outbox, ended, _work) = open(config(dir.path()));
    let placed = outbox.capture(vec![counted("1", 2, "SH-2")]).await;
    assert_eq!(placed.as_deref(), Ok(&[Placed::New][..]));
    for (seq, word) in [(1, "SH-1"), (2, "SH-2")] {
        assert_eq!(hits(dir.path(), word).seqs, [seq], "{word}");
    }
    stop(outbox, ended).await;
}
