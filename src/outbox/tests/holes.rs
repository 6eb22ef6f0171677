//! A number that never came, and comes after its neighbours were taken off.

use super::*;

#[tokio::test]
async fn it_is_stored_once_and_what_was_taken_off_is_a_duplicate() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let brief = || Config { history_age: Duration::ZERO, ..config(dir.path()) };
    let (outbox, ended, mut work) = open(brief());
    outbox.capture(vec![counted("1", 10, "a"), counted("1", 12, "c")]).await.expect("captured");
    let first = next(&mut work).await;
    outbox.answered(0, first.batch, all(&first, Class::Delivered)).expect("the writer runs");
    outbox.pulse().await.expect("the writer runs");
    stop(outbox, ended).await;
    // A start trims before anything comes.
    let (outbox, ended, _work) = open(brief());
    let db = open::open_read_only(dir.path()).expect("it opens beside the writer");
    outbox.pulse().await.expect("the writer runs");
    assert_eq!(db.query_row("SELECT count(*) FROM event", [], |r| r.get::<_, i64>(0)), Ok(0), "all is taken off");
    let late = || outbox.capture(vec![counted("1", 11, "b"), counted("1", 9, "z"), counted("1", 12, "c")]);
    assert_eq!(late().await, Ok(vec![Placed::New, Placed::New, Placed::Duplicate]));
    assert_eq!(late().await, Ok(vec![Placed::Duplicate; 3]));
    stop(outbox, ended).await;
}
