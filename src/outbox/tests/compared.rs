//! A format that was changed while a batch was unresolved.

use super::*;
use crate::outbox::read::parked;

/// Its job has told of one of its rows: the rest is compared with what left, and not with itself.
#[tokio::test]
async fn what_is_left_of_a_batch_is_not_sent_again_in_another_format() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let start = |wrap: &str| {
        let (out, work) = mpsc::channel(8);
        let format = Format::JsonArray { wrap: Some(wrap.to_owned()) };
        let lanes = vec![lane::Config { format, ..lane() }];
        let (outbox, ended) = Outbox::open(config(dir.path()), lanes, vec![out]).expect("it opens");
        (outbox, ended, work)
    };
    let (outbox, ended, mut work) = start("events");
    outbox.capture(vec![counted("1", 1, "a"), counted("1", 2, "b")]).await.expect("captured");
    assert_eq!(next(&mut work).await.keys.len(), 2);
    stop(outbox, ended).await;
    let db = rusqlite::Connection::open(dir.path().join("outbox.db")).expect("it opens");
    let accepted = "UPDATE batch SET accepted = last_sent, job = 'http://erp/jobs/7', ask_at = 0";
    assert_eq!(db.execute(accepted, []), Ok(1));
    drop(db);

    let (outbox, ended, mut work) = start("items");
    let asked = next(&mut work).await;
    let outcomes = [Class::Delivered, Class::Unknown].map(|class| Outcome::new(class, "said")).to_vec();
    let partly = Answer { outcomes, whole: false, ..all(&asked, Class::Unknown) };
    outbox.answered(0, asked.batch, partly).expect("the writer runs");
    let needs = loop {
        outbox.pulse().await.expect("the writer runs");
        assert!(work.try_recv().is_err(), "it is not sent");
        let needs = parked::needs(dir.path(), None, Millis(0)).expect("it reads");
        if !needs.is_empty() {
            break needs;
        }
    };
    assert_eq!(needs.iter().map(|need| need.class.as_str()).collect::<Vec<_>>(), ["unresolvable"]);
    stop(outbox, ended).await;
}
