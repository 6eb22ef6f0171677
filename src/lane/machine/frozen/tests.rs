use super::*;
use crate::event::Millis;
use crate::lane::machine::{Action, Input, Row, RowKey, SavedBatch};
use crate::lane::{Config, KeyScope, Later};

mod parts;

const NOW: Millis = Millis(1_000_000);
/// Past every pause of the example's.
const LATER: Millis = Millis(1_060_000);

fn config() -> Config {
    Config { key_scope: KeyScope::Request, ..Config::example() }
}

/// A lane whose first batch holds the rows 1 to `n`, of a subject each.
fn sent(n: i64, config: Config) -> Lane {
    let mut lane = Lane::new(config, 1);
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    let actions = lane.step(Input::Loaded { rows: (1..=n).map(row).collect(), more: false }, NOW);
    assert_eq!(batches(&actions), [(1, (1..=n).collect())]);
    lane
}

fn answer(classes: &[Class], whole: bool) -> Answer {
    let outcomes = classes.iter().map(|class| Outcome::new(*class, "as planned")).collect();
    Answer { status: Some(200), excerpt: String::new(), outcomes, whole, retry_after_ms: None, later: None }
}

fn answered(lane: &mut Lane, batch: u64, classes: &[Class], whole: bool) -> Vec<Action> {
    lane.step(Input::Answered { batch, answer: answer(classes, whole) }, NOW)
}

/// Batches that leave: number and rows.
fn batches(actions: &[Action]) -> Vec<(u64, Vec<i64>)> {
    let left = |action: &Action| match action {
        Action::Send { batch, rows, .. } => Some((*batch, rows.iter().map(|row| row.seq).collect())),
        _ => None,
    };
    actions.iter().filter_map(left).collect()
}

fn rejected(actions: &[Action]) -> Vec<(i64, bool)> {
    let parked = |action: &Action| match action {
        Action::Reject { row, maybe, .. } => Some((row.seq, *maybe)),
        _ => None,
    };
    actions.iter().filter_map(parked).collect()
}

/// A target that is all or nothing does not answer so; one that does has said nothing that can be relied on.
#[test]
fn a_word_that_is_not_one_for_the_whole_request_leaves_all_of_it_to_be_resent_as_it_was() {
    for said in [&[Class::Delivered, Class::Unknown][..], &[Class::Delivered, Class::Validation], &[Class::Delivered]] {
        let mut lane = sent(2, config());
        let told = answered(&mut lane, 1, said, false);
        assert_eq!((rejected(&told), batches(&told)), (vec![], vec![]), "{said:?}");
        assert_eq!(batches(&lane.step(Input::Tick, LATER)), [(1, vec![1, 2])], "{said:?}");
    }
}

#[test]
fn one_refusal_parks_its_row_and_the_others_go_at_once_in_another_request() {
    let mut lane = sent(3, config());
    let told = answered(&mut lane, 1, &[Class::NotAttempted, Class::Validation, Class::NotAttempted], false);
    assert_eq!(rejected(&told), [(2, false)]);
    assert_eq!(batches(&told), [(2, vec![1, 3])]);
}

/// A lane that has sent the rows 1 and 2 once more, the first attempt long over by then.
fn sent_again(config: Config) -> Lane {
    let mut lane = sent(2, config);
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    assert_eq!(batches(&lane.step(Input::Tick, LATER)), [(1, vec![1, 2])]);
    lane
}

/// What is rejected, and what leaves.
type Told = (Vec<(i64, bool)>, Vec<(u64, Vec<i64>)>);

fn told(lane: &mut Lane, outcomes: Vec<Outcome>, whole: bool, now: Millis) -> Told {
    let answer = Answer { outcomes, ..answer(&[], whole) };
    let told = lane.step(Input::Answered { batch: 1, answer }, now);
    (rejected(&told), batches(&told))
}

/// Locked, changed or not there yet may be so by the attempt before, and what a target without keys refuses says nothing of that one.
#[test]
fn what_the_attempt_before_may_have_caused_keeps_the_request_whole() {
    let back = || Outcome::new(Class::NotAttempted, "");
    let of_state = |code: &str| Outcome { code: Some(code.to_owned()), ..Outcome::new(Class::Validation, "") };
    let refusals = [
        Outcome::new(Class::Conflict, ""),
        Outcome::new(Class::Reference, ""),
        of_state(Outcome::ETAG_CHANGED),
        of_state(Outcome::ETAG_MISSING),
    ];
    for refused in refusals {
        let mut lane = sent_again(config());
        assert_eq!(told(&mut lane, vec![refused.clone(), back()], false, LATER), (vec![], vec![]), "{refused:?}");
        let mut lane = sent_again(config());
        assert_eq!(told(&mut lane, vec![refused.clone(); 2], true, LATER), (vec![], vec![]), "{refused:?}");
    }
    let own = || vec![Outcome::new(Class::Validation, ""), back()];
    let mut lane = sent_again(Config { idempotency: Idempotency::Natural, ..config() });
    assert_eq!(told(&mut lane, own(), false, LATER), (vec![], vec![]), "nobody has looked under its key");
}

#[test]
fn a_refusal_of_a_resend_says_nothing_while_the_attempt_before_may_be_at_work() {
    let own = || vec![Outcome::new(Class::Validation, ""), Outcome::new(Class::NotAttempted, "")];
    let mut lane = sent(2, config());
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    let soon = NOW.plus(9_999);
    assert_eq!(batches(&lane.step(Input::Tick, soon)), [(1, vec![1, 2])]);
    assert_eq!(told(&mut lane, own(), false, soon), (vec![], vec![]), "twice the timeout is not over");
    assert_eq!(batches(&lane.step(Input::Tick, LATER)), [(1, vec![1, 2])]);
    assert_eq!(told(&mut lane, own(), false, LATER), (vec![(1, true)], vec![(2, vec![2])]), "and then it counts");
}

/// The target has looked at the request under its key, so that nothing of it can have had effect before.
#[test]
fn a_refusal_of_a_resend_sets_the_others_free() {
    let mut lane = sent(2, config());
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    assert_eq!(batches(&lane.step(Input::Tick, LATER)), [(1, vec![1, 2])]);
    let told = lane
        .step(Input::Answered { batch: 1, answer: answer(&[Class::Validation, Class::NotAttempted], false) }, LATER);
    assert_eq!(rejected(&told), [(1, true)], "a person looks whether it is there");
    assert_eq!(batches(&told), [(2, vec![2])]);
}

#[test]
fn a_request_refused_without_a_word_on_whose_fault_it_is_is_halved_under_keys_of_their_own() {
    let mut lane = sent(4, config());
    let told = answered(&mut lane, 1, &[Class::Validation; 4], true);
    assert_eq!((rejected(&told), batches(&told)), (vec![], vec![(2, vec![1, 2])]));
}

/// Full, refused or not let in: that says nothing of the attempt before.
#[test]
fn a_resend_that_is_not_looked_at_stays_whole() {
    for class in [Class::Throttled, Class::Transient, Class::Auth, Class::Contract] {
        let mut lane = sent(2, config());
        answered(&mut lane, 1, &[Class::Unknown; 2], true);
        lane.step(Input::Tick, LATER);
        let refused = Answer { status: Some(429), ..answer(&[class; 2], true) };
        let told = lane.step(Input::Answered { batch: 1, answer: refused }, LATER);
        assert_eq!((rejected(&told), batches(&told)), (vec![], vec![]));
        assert_eq!(batches(&lane.step(Input::Tick, LATER.plus(3_600_000))), [(1, vec![1, 2])], "{class:?}");
    }
}

/// Where each posting has its key a batch is cut to find the one that fails alone; here the request stays what it was.
#[test]
fn a_frozen_batch_is_never_cut() {
    let mut lane = sent(2, config());
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    let mut actions = Vec::new();
    assert_eq!((lane.cut(1, 1, &mut actions), actions), (None, vec![]));
}

/// A lane that has a request of the rows 1 and 2 that nobody answered, and asks for it, now.
fn asking() -> Lane {
    let mut lane = sent(2, Config { settle_ms: Some(10_000), dedup_horizon_ms: 20_000, ..config() });
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    let looks = lane.step(Input::Tick, LATER);
    assert!(matches!(looks[..], [Action::Look { batch: 1, .. }]), "past the horizon it is asked for: {looks:?}");
    lane
}

/// Batches that leave, with their rows.
type Leaving = Vec<(u64, Vec<i64>)>;

fn looked(lane: &mut Lane, said: &[Class], now: Millis) -> (usize, Vec<(i64, bool)>, Leaving) {
    let told = lane.step(Input::Looked { batch: 1, answer: answer(said, false) }, now);
    let settled = told.iter().filter(|action| matches!(action, Action::Settle { .. })).count();
    (settled, rejected(&told), batches(&told))
}

#[test]
fn a_lookup_that_does_not_tell_of_each_row_tells_nothing() {
    for said in [&[Class::Found, Class::Unknown][..], &[Class::NotAttempted, Class::Accepted], &[Class::NotAttempted]] {
        let mut lane = asking();
        assert_eq!(looked(&mut lane, said, LATER), (0, vec![], vec![]), "{said:?}");
    }
    assert_eq!(looked(&mut asking(), &[Class::Found; 2], LATER), (2, vec![], vec![]));
    assert_eq!(looked(&mut asking(), &[Class::NotAttempted; 2], LATER), (0, vec![], vec![(2, vec![1, 2])]));
}

/// The lookup may have come in between, or lag: what is not there beside what is there counts a settle delay later only.
#[test]
fn a_part_that_is_there_is_asked_for_once_more_and_then_the_rest_is_a_person_s() {
    let mut lane = asking();
    assert_eq!(looked(&mut lane, &[Class::Found, Class::NotAttempted], LATER), (0, vec![], vec![]));
    assert_eq!(lane.step(Input::Tick, LATER.plus(9_999)), []);
    let again = LATER.plus(10_000);
    assert!(matches!(lane.step(Input::Tick, again)[..], [Action::Look { batch: 1, .. }]));
    assert_eq!(looked(&mut lane, &[Class::Found, Class::NotAttempted], again), (1, vec![(2, true)], vec![]));
}

fn outdated() -> Answer {
    let later = Some(Later { by: By::LookupOnly, after_ms: None });
    Answer { status: Some(412), later, ..answer(&[Class::Unknown; 2], true) }
}

/// By its clock it left too long ago, and it has never left before: it can have no effect, and it is nobody's dead letter.
#[test]
fn a_request_called_too_old_when_it_is_sent_first_goes_again_under_another_key() {
    let mut lane = sent(2, config());
    let told = lane.step(Input::Answered { batch: 1, answer: outdated() }, NOW);
    assert!(matches!(told[..], [Action::Close { batch: 1 }]), "{told:?}");
    assert_eq!(batches(&lane.step(Input::Tick, LATER)), [(2, vec![1, 2])]);
}

#[test]
fn a_request_that_is_outdated_is_never_sent_again_after_a_start_neither() {
    let mut lane = sent(2, config());
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    lane.step(Input::Tick, LATER);
    let told = lane.step(Input::Answered { batch: 1, answer: outdated() }, LATER);
    assert!(matches!(told[..], [Action::Unknown { outdated: true, .. }]), "{told:?}");
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    for (outdated, leaves) in [(true, 0), (false, 1)] {
        let mut lane = Lane::new(config(), 1);
        let rows = vec![row(1), row(2)];
        let saved = SavedBatch { batch: 1, rows, attempt: 2, first_sent: NOW, accepted: None, outdated, age_ms: None };
        lane.restore(vec![saved], vec![], 2, None, LATER);
        let told = lane.step(Input::Loaded { rows: vec![], more: false }, LATER);
        assert_eq!(batches(&told).len(), leaves);
        assert_eq!(rejected(&told).is_empty(), !outdated, "{told:?}");
    }
}

#[test]
fn a_request_with_a_damaged_row_that_was_sent_before_is_a_person_s_as_a_whole() {
    let mut lane = sent(2, config());
    answered(&mut lane, 1, &[Class::Unknown; 2], true);
    lane.step(Input::Tick, LATER);
    let outcome = Outcome::new(Class::Corrupt, "damaged");
    let told = lane.step(Input::Unsendable { batch: 1, rows: vec![RowKey { seq: 1, tx: 1 }], outcome }, LATER);
    assert_eq!((rejected(&told), batches(&told)), (vec![(1, true), (2, true)], vec![]));
}
