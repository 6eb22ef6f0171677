//! The writer, step by step: what has left at which moment.

use super::*;
use crate::outbox::Outbox;
use crate::outbox::open::open_read_only;
use crate::outbox::tests::{all, config, counted, lane};

/// What has left meanwhile. Each batch of it is stored at this moment.
fn left(dir: &std::path::Path, work: &mut mpsc::Receiver<Outgoing>) -> Vec<Outgoing> {
    let left: Vec<Outgoing> = std::iter::from_fn(|| work.try_recv().ok()).collect();
    let db = open_read_only(dir).expect("it opens");
    for batch in &left {
        let sql = "SELECT EXISTS (SELECT 1 FROM batch WHERE id = ? AND unknown IS NULL)";
        let stored: bool = db.query_row(sql, [batch.batch.cast_signed()], |r| r.get(0)).expect("the schema is ours");
        assert!(stored, "batch {} has left and is not stored as sending", batch.batch);
    }
    left
}

#[tokio::test]
async fn nothing_leaves_before_it_is_durable_however_many_answers_come_before_a_commit() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lanes = || vec![lane::Config { max_events: 2, max_in_flight: 2, ..lane() }];
    let (out, _) = mpsc::channel(2);
    let (outbox, mut ended) = Outbox::open(config(dir.path()), lanes(), vec![out]).expect("the directory opens");
    let samples = (1..=60).map(|seq| counted("b1", seq, &format!("CODE-{seq}"))).collect();
    outbox.capture(samples).await.expect("committed");
    drop(outbox);
    ended.wait().await.expect("the writer ends").expect("and no storage failed");

    let (out, mut work) = mpsc::channel(2);
    let (_commands, inbox) = std::sync::mpsc::sync_channel(1);
    let told = (watch::channel(true).0, watch::channel(Vec::new()).0, Tap::default());
    let mut writer = Writer::open(config(dir.path()), lanes(), vec![out], inbox, told).expect("the directory opens");
    writer.tick().expect("it reads");
    writer.commit().expect("it writes");
    let mut under_way = left(dir.path(), &mut work);
    let (mut at_once, mut with_its_commit) = (0, 0);
    for _ in 0..10 {
        for batch in std::mem::take(&mut under_way) {
            let answer = all(&batch, Class::Delivered);
            writer.take(Command::Answered { lane: 0, batch: batch.batch, answer }).expect("it reads");
            let released = left(dir.path(), &mut work);
            at_once += released.len();
            under_way.extend(released);
        }
        let stored = |todo: &Todo| matches!(todo.action, Action::Release { .. });
        with_its_commit += writer.todo.iter().filter(|todo| stored(todo)).count();
        writer.commit().expect("it writes");
        under_way.extend(left(dir.path(), &mut work));
        assert!(under_way.len() <= 2, "{} are under way", under_way.len());
    }
    assert!(at_once > 0 && with_its_commit > 0, "{at_once} left at an answer, {with_its_commit} were stored too late");
}
