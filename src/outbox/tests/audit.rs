//! The audit: what was done to it shows.

use rusqlite::Connection;

use super::*;
use crate::outbox::read::chain::{Broken, Chain, verified};

/// An outbox at rest, with three rows in its audit: a lane was held, released and held again.
async fn three(dir: &std::path::Path) -> Connection {
    let (outbox, ended, _work) = open(config(dir));
    for (request, on) in [("r1", true), ("r2", false), ("r3", true)] {
        hold(&outbox, request, on).await;
    }
    stop(outbox, ended).await;
    Connection::open(dir.join(open::DATABASE)).expect("it opens")
}

async fn hold(outbox: &Outbox, request: &str, on: bool) {
    let (id, name, reason) = (request.to_owned(), "outbound".to_owned(), "a change".to_owned());
    let hold = Hold { id, scope: Scope::Lane, name, on, reason };
    assert!(outbox.hold(hold, "anna".to_owned()).await.expect("the writer runs").done);
}

fn verify(dir: &std::path::Path, noted: Option<&str>) -> Result<Chain, Broken> {
    verified(dir, noted).expect("it reads")
}

/// The first wrong row, where there is one.
fn wrong(dir: &std::path::Path) -> Option<i64> {
    verify(dir, None).err().and_then(|broken| broken.row())
}

#[tokio::test]
async fn whatever_is_done_to_the_audit_names_the_first_row_that_is_wrong() {
    for (done, row, told) in [
        (
            "UPDATE audit SET actor = 'ben' WHERE id = 2",
            2,
            "row 2 of the audit (release by ben: lane outbound) is not as",
        ),
        ("UPDATE audit SET reason = CAST(x'ff' AS TEXT) WHERE id = 2", 2, "row 2 of the audit"),
        ("DELETE FROM audit WHERE id = 2", 2, "row 2 of the audit is gone"),
        ("DELETE FROM audit WHERE id = 1", 1, "row 1 of the audit is gone"),
        ("DELETE FROM audit WHERE id = 3", 3, "row 3 of the audit is gone: 3 were written"),
        ("DELETE FROM audit WHERE id > 1", 2, "row 2 of the audit is gone, and all behind it: 3 were written"),
        ("DELETE FROM audit", 1, "row 1 of the audit is gone, and all behind it: 3 were written"),
        (
            "UPDATE audit SET hash = x'ff00' WHERE id = 2",
            2,
            "row 2 of the audit (release by anna: lane outbound) is not as",
        ),
        (
            "UPDATE meta SET v = 'x' WHERE k = 'audit_rows'",
            1,
            "row 1 of the audit is not the gateway's: 0 were written",
        ),
        (
            "UPDATE meta SET v = x'ff' WHERE k = 'audit_head'",
            3,
            "row 3 of the audit (hold by anna: lane outbound) is not as",
        ),
        ("UPDATE meta SET v = 2 WHERE k = 'audit_rows'", 3, "row 3 of the audit is not the gateway's: 2 were written"),
        ("DELETE FROM meta WHERE k LIKE 'audit%'", 1, "row 1 of the audit is not the gateway's: 0 were written"),
        (
            "UPDATE meta SET v = '' WHERE k = 'audit_head'",
            3,
            "row 3 of the audit (hold by anna: lane outbound) is not as",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let db = three(dir.path()).await;
        assert!(verify(dir.path(), None).is_ok_and(|chain| chain.rows == 3), "{done}");
        db.execute(done, []).expect("the schema is ours");
        let broken = verify(dir.path(), None).expect_err(done);
        assert_eq!(broken.row(), Some(row), "{done}");
        assert!(broken.to_string().starts_with(told), "{done}: {broken}");
    }
}

/// What is done next does not cover it.
#[tokio::test]
async fn an_end_that_was_taken_off_shows_behind_the_next_row_too() {
    for (done, row) in [("DELETE FROM audit WHERE id > 1", 2), ("DELETE FROM audit", 1)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        three(dir.path()).await.execute(done, []).expect("the schema is ours");
        let (outbox, ended, _work) = open(config(dir.path()));
        for (request, on) in [("r4", false), ("r5", true), ("r6", false)] {
            hold(&outbox, request, on).await;
        }
        stop(outbox, ended).await;
        assert_eq!(wrong(dir.path()), Some(row), "{done}");
    }
}

/// A person's command is carried out, and the damage shows.
#[tokio::test]
async fn a_damaged_end_of_the_audit_stops_no_command() {
    for (done, row) in [
        ("UPDATE meta SET v = 'x' WHERE k = 'audit_rows'", 2),
        ("UPDATE meta SET v = x'ff' WHERE k = 'audit_head'", 4),
        ("UPDATE audit SET hash = x'ff' WHERE id = 3", 3),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        three(dir.path()).await.execute(done, []).expect("the schema is ours");
        let (outbox, ended, _work) = open(config(dir.path()));
        hold(&outbox, "r4", false).await;
        stop(outbox, ended).await;
        assert_eq!(wrong(dir.path()), Some(row), "{done}");
    }
}

/// Whoever can write the file can write a chain anew: only a head that was noted elsewhere tells.
#[tokio::test]
async fn a_head_that_was_noted_is_found_as_long_as_the_audit_is_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = three(dir.path()).await;
    let noted = verify(dir.path(), None).expect("it is as it was written").head;
    drop(db);
    let (outbox, ended, _work) = open(config(dir.path()));
    hold(&outbox, "r4", false).await;
    stop(outbox, ended).await;
    let chain = verify(dir.path(), Some(&noted.to_uppercase())).expect("it is there");
    assert_eq!((chain.rows, chain.noted), (4, Some(3)));
    assert_ne!(chain.head, noted);

    let db = Connection::open(dir.path().join(open::DATABASE)).expect("it opens");
    db.execute_batch(
        "DELETE FROM audit WHERE id > 2;
         UPDATE meta SET v = 2 WHERE k = 'audit_rows';
         UPDATE meta SET v = (SELECT hash FROM audit WHERE id = 2) WHERE k = 'audit_head';",
    )
    .expect("the schema is ours");
    assert!(verify(dir.path(), None).is_ok_and(|chain| chain.rows == 2), "it is a chain");
    assert_eq!(verify(dir.path(), Some(&noted)), Err(Broken::OtherHead(noted)));
}

/// An older version kept no end: that is what is there when the new one starts.
#[tokio::test]
async fn a_database_of_an_older_version_gets_the_end_of_its_audit() {
    let (dir, older) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    drop(three(dir.path()).await);
    let db = Connection::open(older.path().join(open::DATABASE)).expect("it opens");
    open::MIGRATIONS[..10].iter().try_for_each(|sql| db.execute_batch(sql)).expect("version 9");
    db.execute("ATTACH ? AS now", [dir.path().join(open::DATABASE).to_string_lossy()]).expect("it attaches");
    db.execute("INSERT INTO audit SELECT * FROM now.audit", []).expect("the rows fit");
    db.execute("DETACH now", []).expect("it was attached");
    open::MIGRATIONS[10..].iter().try_for_each(|sql| db.execute_batch(sql)).expect("it migrates");
    db.pragma_update(None, "user_version", open::MIGRATIONS.len().to_string()).expect("it is of this version");
    let before = verify(dir.path(), None);
    assert!(before.is_ok(), "{before:?}");
    assert_eq!(verify(older.path(), None), before);
}
