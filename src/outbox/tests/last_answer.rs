//! What the target of a lane said last, and since when it keeps the lane.

use std::path::Path;

use super::*;
use crate::lane::{AnswerShape, Head, Reply, classify};
use crate::outbox::read::LastAnswer;
use crate::outbox::read::find::Delivery;
use crate::outbox::read::parked;
use crate::outbox::read::wanted::Wanted;

/// What an ERP says of each item of a batch, in this order.
fn says(batch: &Outgoing, items: &[&str]) -> Answer {
    let results = batch.keys.iter().zip(items).map(|(key, more)| format!(r#"{{"key":"{key}",{more}}}"#));
    let body = format!(r#"{{"results":[{}]}}"#, results.collect::<Vec<_>>().join(","));
    let [items, key, status, reason, reference] =
        ["/results", "/key", "/status", "/reason", "/reference"].map(str::to_owned);
    let shape = AnswerShape { items: Some(items), key, status, reason, reference, ..AnswerShape::default() };
    classify(&Reply::Http { status: 200, head: Box::new(Head::default()), body: body.into() }, &shape, &batch.keys)
}

/// Of the only lane.
fn last_of(dir: &Path) -> LastAnswer {
    read::lanes_of(dir).expect("it reads").remove(0).last_answer.expect("there is one")
}

fn delivery(dir: &Path, seq: &str) -> Delivery {
    let mut found = read::find::find(dir, &Wanted::parse(seq), 1, None).expect("it reads");
    found.events.remove(0).deliveries.remove(0)
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_told_of_its_item_and_hides_no_other() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    let three = vec![counted("1", 1, "a"), counted("1", 2, "b"), counted("1", 3, "c")];
    outbox.capture(three).await.expect("there is room");
    let sent = next(&mut work).await;
    assert_eq!(sent.keys.len(), 3);
    let (posted, odd) = (r#""status":"posted""#, r#""status":"banana""#);
    outbox.answered(0, sent.batch, says(&sent, &[posted, odd, posted])).expect("the writer runs");
    let again = next(&mut work).await;
    let last = last_of(dir.path());
    let said = last.said.expect("it is told");
    assert!(said.starts_with("1 of 3 items, 2 are booked: the ERP gave this item the status \"banana\""), "{said}");
    assert!(said.contains("posted, duplicate, rejected or retry"), "{said}");
    assert_eq!((last.since, last.help), (None, None), "the target keeps nobody");

    outbox.answered(0, again.batch, says(&again, &[odd])).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let last = last_of(dir.path());
    assert_eq!((last.since, last.help), (None, None), "and so it is where the item is alone: {last:?}");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn an_answer_that_tells_its_items_apart_keeps_nobody_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let answer = says(&sent, &[r#""status":"banana""#, r#""status":"accepted""#]);
    outbox.answered(0, sent.batch, answer).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let last = last_of(dir.path());
    assert!(last.said.as_ref().is_some_and(|said| said.starts_with("1 of 2 items: the ERP gave")), "{last:?}");
    assert_eq!((last.since, last.help), (None, None), "{last:?}");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_target_of_which_every_status_is_strange_is_for_its_team() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let sent = next(&mut work).await;
    outbox.answered(0, sent.batch, says(&sent, &[r#""status":"banana""#])).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let last = last_of(dir.path());
    assert!(last.help.is_some_and(|help| help.contains("the ERP team") && !help.contains("web page")), "{last:?}");
    assert!(last.since.is_some(), "{last:?}");
    stop(outbox, ended).await;
}

#[tokio::test]
async fn a_row_of_which_nothing_is_known_says_why() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let answer = says(&sent, &[r#""status":"posted""#, r#""status":"banana""#]);
    outbox.answered(0, sent.batch, answer).expect("the writer runs");
    next(&mut work).await;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute("UPDATE batch SET unknown = last_sent", []).expect("it is there");
    let told = delivery(dir.path(), "#2");
    assert!(told.reason.as_ref().is_some_and(|why| why.contains("\"banana\"")), "{told:?}");
}

#[tokio::test]
async fn what_is_kept_of_an_answer_with_a_refused_row_is_its_own_part() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let refused = r#""status":"rejected","reason":"no_stock""#;
    outbox.answered(0, sent.batch, says(&sent, &[r#""status":"posted""#, refused])).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    let part = format!(r#"{{"key":"{}",{refused}}}"#, sent.keys[1]);
    assert_eq!(needs[0].answer.as_ref(), Some(&part));

    outbox.capture(vec![counted("1", 3, "c")]).await.expect("there is room");
    let sent = next(&mut work).await;
    outbox.answered(0, sent.batch, all(&sent, Class::Validation)).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
    assert_eq!(needs[1].answer.as_deref(), Some("test"), "it has no part of its own: the beginning of all");
    stop(outbox, ended).await;
}

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
    let last = || last_of(dir.path());
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
    let again = || last_of(dir.path()).again;
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

/// Items that are not posted yet are nobody's outage: that begins when the target says nothing of any.
#[tokio::test]
async fn an_outage_is_as_old_as_its_first_answer_and_no_word_for_an_item() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let (posted, later) = (r#""status":"posted""#, r#""status":"retry","reason":"order_on_hold""#);
    outbox.answered(0, sent.batch, says(&sent, &[posted, later])).expect("the writer runs");
    let sent = next(&mut work).await;
    outbox.answered(0, sent.batch, says(&sent, &[later])).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let last = last_of(dir.path());
    let said = last.said.as_deref().unwrap_or_default();
    assert!(said.starts_with("its one item: ") && last.since.is_none() && last.help.is_none(), "{last:?}");
    assert_eq!(last.seq, Some(2));
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute("UPDATE attempt SET at = at - 3600000", []).expect("they are there");
    db.execute("UPDATE lane SET good_at = good_at - 7200000", []).expect("it is there");
    drop(db);

    let (outbox, ended, mut work) = open(config(dir.path()));
    let sent = next(&mut work).await;
    outbox.answered(0, sent.batch, Answer { status: None, ..all(&sent, Class::Unknown) }).expect("the writer runs");
    outbox.pulse().await.expect("it is stored");
    let last = last_of(dir.path());
    assert_eq!(last.since, Some(last.at), "{last:?}");
    stop(outbox, ended).await;
}
