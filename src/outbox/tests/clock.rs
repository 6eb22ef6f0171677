//! Starts with a clock that does not tell how long the gateway was off.

use super::*;
use crate::outbox::read::parked;

/// The clock was eight hours ahead when the batch left, and is right since.
#[tokio::test]
async fn what_left_by_a_clock_that_was_ahead_is_not_sent_again_by_its_age() {
    for (ahead_ms, again) in [(0, true), (8 * 3_600_000, false)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (outbox, ended, mut work) = open(config(dir.path()));
        outbox.capture(vec![counted("1", 1, "a")]).await.expect("captured");
        let first = next(&mut work).await;
        stop(outbox, ended).await;
        let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
        let moved =
            format!("UPDATE batch SET first_sent = first_sent + {ahead_ms}, last_sent = last_sent + {ahead_ms}");
        assert_eq!(db.execute(&moved, []), Ok(1));
        drop(db);
        let (outbox, ended, mut work) = open(config(dir.path()));
        if again {
            assert_eq!(next(&mut work).await.keys, first.keys);
        } else {
            let needs = loop {
                outbox.pulse().await.expect("the writer runs");
                let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
                if !needs.is_empty() {
                    break needs;
                }
            };
            let told: Vec<&str> = needs.iter().map(|letter| letter.class.as_str()).collect();
            assert_eq!(told, ["unresolvable"], "a person looks");
            assert!(work.try_recv().is_err(), "it is not sent again");
        }
        stop(outbox, ended).await;
    }
}
