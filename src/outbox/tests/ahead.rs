//! What is stored before there is room for it: durable before it leaves, and taken back by a stop.

use super::*;

/// Two rows a batch, one batch at a time, and a backlog.
async fn backlog(dir: &std::path::Path) -> (Outbox, Ended, mpsc::Receiver<Outgoing>) {
    let (out, work) = mpsc::channel(1);
    let lanes = vec![lane::Config { max_events: 2, ..lane() }];
    let (outbox, ended) = Outbox::open(config(dir), lanes, vec![out]).expect("the directory opens");
    let samples = (1..=20).map(|seq| counted("b1", seq, &format!("CODE-{seq}"))).collect();
    outbox.capture(samples).await.expect("committed");
    (outbox, ended, work)
}

/// The batches that are stored, and the postings that are not at their end.
fn stored(dir: &std::path::Path) -> (Vec<u64>, usize) {
    let db = open::open_read_only(dir).expect("it opens");
    let mut batches = db.prepare("SELECT id FROM batch ORDER BY id").expect("the schema is ours");
    let batches = batches.query_map([], |r| r.get::<_, i64>(0)).expect("it reads");
    let pending = db.query_row("SELECT count(*) FROM pending", [], |r| r.get::<_, i64>(0)).expect("it reads");
    let batches = batches.map(|id| id.expect("a number").unsigned_abs()).collect();
    (batches, usize::try_from(pending).expect("a count"))
}

/// Answers until one is under way and the next one stored behind it: answers may come late on a busy machine. The one under way.
async fn until_stored(dir: &std::path::Path, outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>) -> Outgoing {
    for _ in 0..8 {
        let batch = next(work).await;
        outbox.pulse().await.expect("the writer runs");
        let (batches, _) = stored(dir);
        assert!(batches.contains(&batch.batch), "{} left and is not stored", batch.batch);
        if batches == [batch.batch, batch.batch + 1] {
            return batch;
        }
        outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    }
    panic!("nothing was stored before there was room for it");
}

#[tokio::test]
async fn the_next_batch_is_durable_while_one_is_under_way_and_a_stop_takes_it_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, mut ended, mut work) = backlog(dir.path()).await;
    let batch = until_stored(dir.path(), &outbox, &mut work).await;
    assert!(work.try_recv().is_err(), "one is under way, and no more");
    let (_, pending) = stored(dir.path());
    outbox.stop();
    outbox.answered(0, batch.batch, all(&batch, Class::Delivered)).expect("the writer runs");
    let end = tokio::time::timeout(DEADLINE, ended.wait()).await;
    end.expect("in time").expect("the writer ends").expect("and no storage failed");
    assert_eq!(stored(dir.path()), (vec![], pending - 2));
}

#[tokio::test]
async fn what_a_crash_leaves_stored_is_sent_by_the_next_start_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = backlog(dir.path()).await;
    let under_way = until_stored(dir.path(), &outbox, &mut work).await;
    stop(outbox, ended).await;
    assert_eq!(stored(dir.path()).0, [under_way.batch, under_way.batch + 1]);

    let (out, mut work) = mpsc::channel(1);
    let lanes = vec![lane::Config { max_events: 2, ..lane() }];
    let (outbox, ended) = Outbox::open(config(dir.path()), lanes, vec![out]).expect("the directory opens");
    for batch in [under_way.batch, under_way.batch + 1] {
        let again = next(&mut work).await;
        assert_eq!((again.batch, again.attempt), (batch, 2), "nobody knows that it had not left");
        outbox.answered(0, batch, all(&again, Class::Delivered)).expect("the writer runs");
    }
    stop(outbox, ended).await;
}

/// A start takes what is stored for sent.
#[tokio::test]
async fn what_is_stored_and_has_not_left_is_in_line_when_a_person_hears_that_it_is_held() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = backlog(dir.path()).await;
    let under_way = until_stored(dir.path(), &outbox, &mut work).await;
    let after = 2 * under_way.batch + 2;
    for last in (after..=20).rev() {
        outbox.pulse().await.expect("the writer runs");
        let hold = holds::hold(&format!("h{last}"), Scope::Subject, &format!("CODE-{last}"), true);
        assert!(holds::told(&outbox, hold).await.0);
    }
    let left = invariants::as_a_crash_leaves_it(dir.path());
    assert_eq!(stored(left.path()).0, [under_way.batch], "of two rows one is held, and the other makes no batch");
    stop(outbox, ended).await;
}
