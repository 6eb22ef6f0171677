//! What the target of a lane said last, and since when it keeps the lane.

use super::*;

#[tokio::test]
async fn what_may_be_there_is_counted_and_the_first_of_it_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let mut answer = all(&sent, Class::Delivered);
    answer.outcomes[1].class = Class::Unknown;
    outbox.answered(0, sent.batch, answer).expect("the writer runs");
    outbox.pulse().await.expect("the writer answers");
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute_batch("UPDATE batch SET unknown = 1").expect("it is there"); // whether it is under way again or not
    let lane = read::lanes_of(dir.path()).expect("it reads").remove(0);
    let first = lane.oldest_unknown.expect("it is named");
    assert_eq!((lane.unknown, first.key), (1, sent.keys[1].to_string()));
}

#[tokio::test]
async fn trouble_is_as_old_as_the_first_answer_after_which_none_was_good() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let sent = next(&mut work).await;
    outbox.answered(0, sent.batch, all(&sent, Class::Unknown)).expect("the writer runs");
    outbox.pulse().await.expect("the writer answers");
    let last = || read::lanes_of(dir.path()).expect("it reads").remove(0).last_answer.expect("there is one");
    let told = last();
    assert_eq!((told.said.as_deref(), told.since), (Some("test"), Some(told.at)));
    assert!(told.help.is_some_and(|help| help.contains("look what came")), "{told:?}");
    assert_eq!(told.seq, Some(1), "whose history has the answer");
    stop(outbox, ended).await;

    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute_batch("DELETE FROM attempt; UPDATE lane SET good_at = 2000").expect("it is there");
    let tried = |at: i64, class: &str| {
        let sql = "INSERT INTO attempt(lane, batch, attempt, at, rows, first_seq, last_seq, class) VALUES (1, 1, 1, ?, 1, 1, 1, ?)";
        db.execute(sql, rusqlite::params![at, class]).expect("it fits");
        let told = last();
        (told.class.clone(), told.since)
    };
    let is = |class: &str, since| (class.to_owned(), since);
    assert_eq!(tried(1_000, "unknown"), is("delivered", None), "before the last good one");
    assert_eq!(tried(3_000, "unknown"), is("unknown", Some(3_000)));
    assert_eq!(tried(4_000, "unheard"), is("unknown", Some(3_000)), "a restart says nothing of the target");
    assert_eq!(tried(5_000, "transient"), is("transient", Some(3_000)));
    assert_eq!(tried(6_000, "validation"), is("validation", None), "who refuses an item is there");
    assert_eq!(tried(7_000, "auth"), is("auth", Some(7_000)));
}

/// What it has asked for stands in the database, and a row that may go otherwise waits for it.
#[tokio::test]
async fn a_target_that_asked_us_to_stay_away_is_left_alone_over_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let busy = Answer { retry_after_ms: Some(600_000), ..all(&sent, Class::Throttled) };
    outbox.answered(0, sent.batch, busy).expect("the writer runs");
    stop(outbox, ended).await;
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 2, "b")]).await.expect("there is room");
    outbox.pulse().await.expect("the writer runs");
    assert!(work.try_recv().is_err(), "nothing leaves");
    stop(outbox, ended).await;

    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    let again = || read::lanes_of(dir.path()).expect("it reads").remove(0).last_answer.expect("there is one").again;
    assert!(again().is_some());
    db.execute("INSERT INTO hold VALUES ('system', 'erp', 1, 'root', 'update')", []).expect("it fits");
    assert_eq!(again(), None, "it goes again when a person says so");
    db.execute("DELETE FROM hold", []).expect("it is there");
    db.execute("UPDATE lane SET away_until = away_until - 600000", []).expect("it is there");
    drop(db);
    let (outbox, ended, mut work) = open(config(dir.path()));
    assert_eq!(next(&mut work).await.keys, sent.keys, "the time is over");
    stop(outbox, ended).await;
}
