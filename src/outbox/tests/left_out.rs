//! A number that the map has no event for.

use super::*;

fn left_out(seq: u64) -> Sample {
    let mut sample = counted("1", seq, "");
    if let Ok(decoded) = &mut sample.content {
        decoded.events.clear();
    }
    sample
}

/// The position and the body of each event, in the order in which they were stored.
fn stored(dir: &std::path::Path) -> Vec<(i64, String)> {
    let db = open::open_read_only(dir).expect("it opens beside the writer");
    let mut rows = db.prepare("SELECT pos, body FROM event ORDER BY seq").expect("the schema is ours");
    let rows = rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).expect("it reads");
    rows.map(|row| row.expect("a row")).collect()
}

#[tokio::test]
async fn it_is_not_missing_after_a_restart_and_takes_nothing_with_it_that_comes_late() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, _work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 3, "c"), left_out(4)]).await.expect("there is room");
    stop(outbox, ended).await;
    let (outbox, ended, _work) = open(config(dir.path()));
    assert_eq!(outbox.capture(vec![counted("1", 5, "e")]).await, Ok(vec![Placed::New]));
    assert_eq!(stored(dir.path()).last().map(|(pos, body)| (*pos, body.as_str())), Some((5, r#"{"code":"e"}"#)));
    assert_eq!(stored(dir.path()).len(), 4, "the gap of number 2 and none of number 4: {:?}", stored(dir.path()));
    assert_eq!(outbox.capture(vec![left_out(6)]).await, Ok(vec![Placed::New]));
    stop(outbox, ended).await;
    // Number 2 was a gap, and comes at last.
    let (outbox, ended, _work) = open(config(dir.path()));
    let placed = outbox.capture(vec![counted("1", 2, "b"), left_out(4), left_out(6), counted("1", 8, "h")]).await;
    assert_eq!(placed, Ok(vec![Placed::New; 4]), "nothing is stored of what is left out that could come again");
    let last = stored(dir.path()).split_off(4);
    assert_eq!(last.iter().map(|(pos, _)| *pos).collect::<Vec<_>>(), [2, 8, 8]);
    assert!(last[1].1.contains(r#""from":7,"to":7"#), "{last:?}");
    stop(outbox, ended).await;
}
