//! Starts with a clock that does not tell how long the gateway was off.

use super::*;
use crate::outbox::read::parked;

/// A batch without an answer, and what was done to the database before the next start: whether it is sent again by its age.
async fn is_sent_again_after(change: &str) -> bool {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("captured");
    let first = next(&mut work).await;
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    db.execute_batch(change).expect("it is changed");
    drop(db);
    let (outbox, ended, mut work) = open(config(dir.path()));
    let again = loop {
        outbox.pulse().await.expect("the writer runs");
        if let Ok(again) = work.try_recv() {
            assert_eq!(again.keys, first.keys);
            break true;
        }
        let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
        if !needs.is_empty() {
            let told: Vec<&str> = needs.iter().map(|letter| letter.class.as_str()).collect();
            assert_eq!(told, ["unresolvable"], "a person looks");
            break false;
        }
    };
    stop(outbox, ended).await;
    again
}

/// The clock was hours ahead when the batch left, and is right since.
const AHEAD: &str = "UPDATE batch SET first_sent = first_sent + 28800000, last_sent = last_sent + 28800000;";
/// What a start of the machine makes of it.
const STARTED: &str = "UPDATE batch SET uptime = NULL;";

#[tokio::test]
async fn what_left_by_a_clock_that_was_ahead_has_no_age_once_the_machine_has_started_anew() {
    assert!(is_sent_again_after("").await);
    assert!(is_sent_again_after(STARTED).await);
    assert!(!is_sent_again_after(&format!("{STARTED} {AHEAD}")).await);
}

/// The clock that nobody sets knows it, as long as the machine runs.
#[tokio::test]
async fn what_left_is_as_old_as_the_older_of_two_clocks_says() {
    assert!(is_sent_again_after(AHEAD).await, "it left a moment ago");
    let long_ago = |column: &str| format!("UPDATE batch SET {column} = {column} - 30 * 86400000;");
    assert!(!is_sent_again_after(&long_ago("uptime")).await, "past the horizon, which the wall clock does not say");
    assert!(!is_sent_again_after(&long_ago("first_sent")).await, "nor the other one, which may have stood still");
}
