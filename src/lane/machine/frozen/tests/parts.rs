//! Requests whose rows have their effect each by itself, in any order, and whose end a job tells.

use super::*;
use crate::lane::machine::{Accepted, SavedBatch};
use crate::lane::{By, Idempotency, Later};

const MINUTE: u64 = 60_000;

fn parts() -> Config {
    Config { key_scope: KeyScope::Parts, ..Config::example() }
}

fn took_over() -> Answer {
    let later = Some(Later { by: By::Job("http://erp/jobs/7".to_owned()), after_ms: None });
    Answer { later, ..answer(&[Class::Accepted; 3], true) }
}

/// A lane whose first batch holds the rows 1 to 3, of a subject each, and has become a job.
fn at_work(config: Config) -> Lane {
    let mut lane = sent(3, config);
    let told = lane.step(Input::Answered { batch: 1, answer: took_over() }, NOW);
    assert!(matches!(&told[..], [Action::Accepted { rows, .. }] if rows.len() == 3), "{told:?}");
    lane
}

/// What the lane does when it asks next, told these results.
fn done(lane: &mut Lane, classes: &[Class]) -> (Millis, Vec<Action>) {
    let at = lane.wake_at().expect("it asks");
    let asked = lane.step(Input::Tick, at);
    assert!(matches!(asked[..], [Action::Poll { batch: 1, .. }]), "{asked:?}");
    (at, lane.step(Input::Polled { batch: 1, answer: answer(classes, false) }, at))
}

fn settled(actions: &[Action]) -> Vec<i64> {
    let posted = |action: &Action| if let Action::Settle { row, .. } = action { Some(row.seq) } else { None };
    actions.iter().filter_map(posted).collect()
}

#[test]
fn each_row_has_the_end_that_its_job_tells_of_it() {
    let mut lane = at_work(parts());
    let (_, told) = done(&mut lane, &[Class::Delivered, Class::Validation, Class::Delivered]);
    assert_eq!((settled(&told), rejected(&told)), (vec![1, 3], vec![(2, false)]));
    assert!(told.contains(&Action::Close { batch: 1 }), "{told:?}");
}

/// The same request came twice and became one job: what that says of a row is all that ever became of it.
#[test]
fn what_a_job_refuses_has_had_no_effect_in_an_earlier_attempt_either() {
    let mut lane = sent(3, parts());
    answered(&mut lane, 1, &[Class::Unknown; 3], true);
    assert_eq!(batches(&lane.step(Input::Tick, LATER)), [(1, vec![1, 2, 3])]);
    lane.step(Input::Answered { batch: 1, answer: took_over() }, LATER);
    let (_, told) = done(&mut lane, &[Class::Validation, Class::Delivered, Class::Conflict]);
    assert_eq!((settled(&told), rejected(&told)), (vec![2], vec![(1, false)]));
    let again = lane.step(Input::Tick, LATER.plus(10 * MINUTE));
    assert_eq!(batches(&again), [(2, vec![3])], "under another key");
}

#[test]
fn a_row_that_the_job_says_nothing_of_is_asked_for_on_and_then_is_a_person_s() {
    let mut lane = at_work(parts());
    let (_, told) = done(&mut lane, &[Class::Delivered, Class::Unknown, Class::Delivered]);
    assert_eq!((settled(&told), rejected(&told)), (vec![1, 3], vec![]));
    assert!(matches!(told.last(), Some(Action::Accepted { rows, .. }) if rows.len() == 1), "{told:?}");
    let mut at = NOW;
    while at.since(NOW) < 30 * MINUTE {
        let (asked, told) = done(&mut lane, &[Class::Unknown]);
        assert_eq!((batches(&told), rejected(&told)), (vec![], vec![]));
        at = asked;
    }
    let given_up = lane.step(Input::Tick, at.plus(10 * MINUTE));
    assert_eq!((batches(&given_up), rejected(&given_up)), (vec![], vec![(2, true)]));
}

#[test]
fn a_late_result_is_still_one() {
    let mut lane = at_work(parts());
    done(&mut lane, &[Class::Delivered, Class::Unknown, Class::Delivered]);
    let (_, told) = done(&mut lane, &[Class::Delivered]);
    assert_eq!(settled(&told), [2]);
}

/// The others of its request have come to their end: without them it would be another request, which the target has not seen.
#[test]
fn what_is_left_of_a_request_is_looked_up_and_not_sent_when_its_job_is_forgotten() {
    for settle_ms in [None, Some(10)] {
        let mut lane = at_work(Config { settle_ms, ..parts() });
        done(&mut lane, &[Class::Delivered, Class::Unknown, Class::Delivered]);
        let at = lane.wake_at().expect("it asks");
        lane.step(Input::Tick, at);
        let gone = answer(&[Class::Unknown], true);
        let told = lane.step(Input::Polled { batch: 1, answer: gone }, at);
        assert!(matches!(told[0], Action::Unknown { .. }), "{told:?}");
        let then = lane.step(Input::Tick, at.plus(10 * MINUTE));
        assert_eq!(batches(&then), [], "{then:?}");
        match settle_ms {
            None => assert_eq!(rejected(&then), [(2, true)]),
            Some(_) => assert!(matches!(then[..], [Action::Look { .. }]), "{then:?}"),
        }
    }
}

/// The whole request under its own key becomes the job that it was.
#[test]
fn a_job_that_is_forgotten_before_it_told_anything_is_found_by_the_same_request() {
    let mut lane = at_work(parts());
    let at = lane.wake_at().expect("it asks");
    lane.step(Input::Tick, at);
    lane.step(Input::Polled { batch: 1, answer: answer(&[Class::Unknown; 3], true) }, at);
    assert_eq!(batches(&lane.step(Input::Tick, at.plus(10 * MINUTE))), [(1, vec![1, 2, 3])]);
}

/// An upsert by what a posting is: it may come in any request.
#[test]
fn what_is_left_of_a_request_is_sent_again_where_that_makes_nothing_twice() {
    let mut lane = at_work(Config { idempotency: Idempotency::Natural, ..parts() });
    let mut at = done(&mut lane, &[Class::Delivered, Class::Unknown, Class::Delivered]).0;
    while at.since(NOW) < 30 * MINUTE {
        at = done(&mut lane, &[Class::Unknown]).0;
    }
    assert_eq!(batches(&lane.step(Input::Tick, at.plus(10 * MINUTE))), [(1, vec![2])]);
}

/// In one request there is no order, and in two at once neither.
#[test]
fn a_request_holds_one_row_of_a_subject_and_the_next_waits_for_its_end() {
    let row = |seq, order| Row { key: RowKey { seq, tx: 1 }, order, size: 10, held: false };
    let mut lane = Lane::new(Config { max_in_flight: 4, ..parts() }, 1);
    let rows = vec![row(1, 1), row(2, 2), row(3, 1), row(4, 3), row(5, 2)];
    let first = lane.step(Input::Loaded { rows, more: false }, NOW);
    assert_eq!(batches(&first), [(1, vec![1, 2, 4])]);
    let told = lane.step(Input::Answered { batch: 1, answer: took_over() }, NOW);
    assert_eq!(batches(&told), [], "accepted is not done");
    let (_, told) = done(&mut lane, &[Class::Delivered, Class::Validation, Class::Delivered]);
    assert_eq!(
        (batches(&told), rejected(&told)),
        (vec![(2, vec![3])], vec![(2, false)]),
        "behind a refusal nothing goes"
    );
}

#[test]
fn a_start_goes_on_asking() {
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    let taken = Accepted { job: Some("http://erp/jobs/7".to_owned()), since: NOW, ask_at: NOW };
    let rows = vec![row(1), row(2), row(3)];
    let (accepted, outdated) = (Some(taken), false);
    let saved = SavedBatch { batch: 1, rows, attempt: 1, first_sent: NOW, accepted, outdated, age_ms: None };
    let mut lane = Lane::new(parts(), 1);
    lane.restore(vec![saved], vec![], 2, None, NOW);
    lane.step(Input::Loaded { rows: vec![], more: false }, NOW.minus(1));
    assert_eq!(settled(&done(&mut lane, &[Class::Delivered; 3]).1), [1, 2, 3]);
}

#[test]
fn a_job_is_no_older_by_a_clock_that_is_set_ahead() {
    for jump in [0, 3_600_000] {
        let mut lane = at_work(parts());
        let at = lane.wake_at().expect("it asks").plus(jump);
        lane.clock_jumped(jump);
        lane.step(Input::Tick, at);
        let silent = answer(&[Class::Delivered, Class::Unknown, Class::Delivered], false);
        let told = lane.step(Input::Polled { batch: 1, answer: silent }, at);
        let then = lane.step(Input::Tick, lane.wake_at().unwrap_or(at).max(at));
        assert!(rejected(&told).is_empty() && rejected(&then).is_empty(), "{jump}: {told:?}, {then:?}");
    }
}
