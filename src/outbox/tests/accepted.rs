//! Batches that are booked later: what the disk knows of them, and what it says when they are done.

use super::*;
use crate::lane::{By, Errand, Later};
use crate::outbox::read::find::find;
use crate::outbox::read::wanted::Wanted;

#[tokio::test]
async fn what_is_accepted_is_asked_for_after_a_restart_and_not_sent() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (outbox, ended, mut work) = open(config(dir.path()));
    outbox.capture(vec![counted("1", 1, "a")]).await.expect("there is room");
    let sent = next(&mut work).await;
    let job = Errand::Poll("http://erp/jobs/7".to_owned());
    let later = Some(Later { by: By::Job("http://erp/jobs/7".to_owned()), after_ms: Some(0) });
    let answer = Answer { whole: true, later, ..all(&sent, Class::Accepted) };
    outbox.answered(0, sent.batch, answer).expect("the writer runs");
    assert_eq!(next(&mut work).await.errand, job);
    let found = find(dir.path(), &Wanted::parse("#1"), 1, None).expect("it reads beside the writer");
    let told = &found.events[0].deliveries[0];
    assert_eq!((told.state, told.attempts), ("accepted", Some(1)));
    assert!(told.reason.as_ref().is_some_and(|reason| reason.ends_with("asked at http://erp/jobs/7")), "{told:?}");
    let lane = &read::status(dir.path(), 0).expect("it reads").lanes[0];
    assert_eq!((lane.accepted, lane.unknown, lane.sending, lane.ready), (1, 0, 0, 0));
    stop(outbox, ended).await;

    let (outbox, ended, mut work) = open(config(dir.path()));
    let asked = next(&mut work).await;
    assert_eq!((asked.errand, asked.keys, asked.batch), (job, sent.keys.clone(), sent.batch));
    let mut done = Answer { whole: false, ..all(&sent, Class::Duplicate) };
    done.outcomes[0].code = Some(Outcome::ALREADY_DONE.to_owned());
    outbox.answered(0, sent.batch, done).expect("the writer runs");
    outbox.pulse().await.expect("the writer answers");
    let status = read::status(dir.path(), 0).expect("it reads");
    assert_eq!((status.lanes[0].accepted, status.lanes[0].delivered), (0, 1));
    assert_eq!((status.suspects, status.suspect_rows[0].reason.as_str()), (1, "test"));
    stop(outbox, ended).await;
}
