//! A copy of the database alone, while a gateway runs on it, is not all of it.

use super::*;
use crate::outbox::read::lacks_wal;

#[tokio::test]
async fn a_copy_without_its_wal_says_so_and_one_of_a_gateway_that_has_ended_is_all_of_it() {
    let (dir, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let copied = |name: &str| {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("it is there");
    };
    for start in 1..3 {
        let (outbox, ended, _work) = open(config(dir.path()));
        outbox.capture(vec![counted("1", start, "a")]).await.expect("there is room");
        copied("outbox.db");
        assert!(lacks_wal(copy.path()), "without its WAL");
        copied("outbox.db-wal");
        assert!(!lacks_wal(copy.path()) && !lacks_wal(dir.path()), "with its WAL");
        std::fs::remove_file(copy.path().join("outbox.db-wal")).expect("it was copied");
        stop(outbox, ended).await;
        copied("outbox.db");
        assert!(!lacks_wal(copy.path()) && !lacks_wal(dir.path()), "all is in it");
    }
}
