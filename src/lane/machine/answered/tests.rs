use super::*;
use crate::lane::Config;
use crate::lane::machine::poison::ODD;
use crate::lane::machine::{Input, Row, VAIN_MS};

/// A lane to a target that gives its errors again, with one row under way.
fn sent(settle_ms: Option<u64>) -> Lane {
    let config = Config { replays_errors: true, settle_ms, ..Config::example() };
    let mut lane = Lane::new(config, 1);
    let row = Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false };
    let actions = lane.step(Input::Loaded { rows: vec![row], more: false }, Millis(0));
    assert!(matches!(actions[..], [Action::Send { batch: 1, .. }]), "{actions:?}");
    lane
}

fn says(status: u16, class: Class) -> Answer {
    let outcomes = vec![Outcome::new(class, "said")];
    let (excerpt, whole) = (String::new(), status != 200);
    Answer { status: Some(status), excerpt, outcomes, whole, retry_after_ms: None, later: None }
}

/// Answers what is under way, and says what the lane does by itself then, and when.
fn then(lane: &mut Lane, status: u16, class: Class, now: Millis) -> (Vec<Action>, Millis) {
    let actions = lane.step(Input::Answered { batch: 1, answer: says(status, class) }, now);
    (actions, lane.wake_at().unwrap_or(now))
}

/// The lane after an HTTP 500, another attempt under the same key, and what comes of that; at which time.
fn resent(settle_ms: Option<u64>, status: u16) -> (Lane, Vec<Action>, Millis) {
    let mut lane = sent(settle_ms);
    let (_, at) = then(&mut lane, 500, Class::Unknown, Millis(0));
    let again = lane.step(Input::Tick, at);
    assert!(matches!(again[..], [Action::Send { attempt: 2, .. }]), "the first error may be nobody's own: {again:?}");
    let (_, at) = then(&mut lane, status, Class::Unknown, at);
    let next = lane.step(Input::Tick, at);
    (lane, next, at)
}

#[test]
fn an_error_that_comes_again_under_its_key_is_looked_up_and_then_a_persons() {
    let (mut lane, next, at) = resent(Some(0), 500);
    assert!(matches!(next[..], [Action::Look { batch: 1, .. }]), "{next:?}");
    let absent = lane.step(Input::Looked { batch: 1, answer: says(200, Class::NotAttempted) }, at);
    let [Action::Reject { outcome, maybe: false, .. }, Action::Close { .. }] = &absent[..] else {
        panic!("{absent:?}");
    };
    assert_eq!(outcome.code.as_deref(), Some("replayed_error"));
}

#[test]
fn an_error_that_comes_again_and_can_not_be_looked_up_is_a_persons_who_looks() {
    let (_, next, _) = resent(None, 500);
    let [Action::Reject { outcome, maybe: true, answered: false, .. }, Action::Close { .. }] = &next[..] else {
        panic!("{next:?}")
    };
    assert!(outcome.reason.contains("answers its key with the error that it gave first"), "{}", outcome.reason);
}

#[test]
fn a_proxy_without_its_server_has_kept_nothing() {
    let (_, next, _) = resent(Some(0), 502);
    assert!(matches!(next[..], [Action::Send { attempt: 3, .. }]), "{next:?}");
}

#[test]
fn what_is_locked_or_lacks_its_reference_stays_so_under_its_key() {
    for class in [Class::Conflict, Class::Reference] {
        let (actions, _) = then(&mut sent(None), 200, class, Millis(0));
        assert!(matches!(actions[..], [Action::Reject { maybe: false, .. }, Action::Close { .. }]), "{actions:?}");
    }
}

/// A lane to a target that knows its keys, with rows of these subjects under way in one batch, of which an answer was lost.
fn lost(settle_ms: Option<u64>, orders: &[i64]) -> (Lane, Millis) {
    lost_in(Config { settle_ms, ..Config::example() }, orders)
}

fn lost_in(config: Config, orders: &[i64]) -> (Lane, Millis) {
    let mut lane = Lane::new(config, 1);
    let row = |(n, order): (i64, &i64)| Row { key: RowKey { seq: n, tx: 1 }, order: *order, size: 10, held: false };
    let rows = (1..).zip(orders).map(row).collect();
    lane.step(Input::Loaded { rows, more: false }, Millis(0));
    let (_, at) = refused(&mut lane, orders.len(), None, Class::Unknown, Millis(0));
    (lane, at)
}

fn refused(lane: &mut Lane, rows: usize, status: Option<u16>, class: Class, now: Millis) -> (Vec<Action>, Millis) {
    let answer = Answer { status, outcomes: vec![Outcome::new(class, "said"); rows], ..says(400, class) };
    let actions = lane.step(Input::Answered { batch: 1, answer }, now);
    (actions, lane.wake_at().unwrap_or(now))
}

#[test]
fn the_refusal_of_a_request_that_is_sent_again_says_nothing_of_the_first() {
    let (mut lane, mut now) = lost(None, &[1]);
    for refusal in 1..=REFUSALS {
        let again = lane.step(Input::Tick, now);
        assert!(matches!(again[..], [Action::Send { .. }]), "{refusal}: {again:?}");
        let (actions, at) = refused(&mut lane, 1, Some(400), Class::Validation, now);
        match refusal {
            REFUSALS => assert!(matches!(actions[0], Action::Reject { maybe: true, .. }), "{actions:?}"),
            _ => assert!(matches!(actions[..], [Action::Unknown { .. }]), "{refusal}: {actions:?}"),
        }
        now = at;
    }
    let (mut lane, now) = lost(None, &[1]);
    lane.step(Input::Tick, now);
    let (actions, _) = refused(&mut lane, 1, Some(422), Class::KeyClash, now);
    assert!(matches!(actions[0], Action::Reject { maybe: true, .. }), "its key was looked at: {actions:?}");
}

#[test]
fn a_request_that_is_refused_when_it_comes_again_is_looked_up_where_it_can_be() {
    let (mut lane, now) = lost(Some(0), &[1]);
    lane.step(Input::Tick, now);
    let (_, now) = refused(&mut lane, 1, Some(400), Class::Validation, now);
    let looks = lane.step(Input::Tick, now);
    assert!(matches!(looks[..], [Action::Look { .. }]), "{looks:?}");
}

#[test]
fn a_batch_that_is_refused_whenever_it_comes_again_comes_in_halves() {
    let (mut lane, mut now) = lost(None, &[1, 2, 3, 4]);
    for refusal in 1..=REFUSALS {
        let again = lane.step(Input::Tick, now);
        assert!(matches!(&again[..], [Action::Send { rows, .. }] if rows.len() == 4), "{refusal}: {again:?}");
        let (actions, at) = refused(&mut lane, 4, Some(400), Class::Validation, now);
        let cut =
            actions.iter().any(|a| matches!(a, Action::Cut { keep, off, .. } if (keep.len(), off.len()) == (2, 2)));
        assert_eq!(cut, refusal == REFUSALS, "{refusal}: {actions:?}");
        now = at;
    }
}

/// An endpoint that says `lane_blocked` of what nothing is before would be asked as often as it can answer.
#[test]
fn what_is_not_tried_with_nothing_before_it_waits_longer_and_longer() {
    let config = Config { retry_first_ms: 100, retry_max_ms: 300_000, ..Config::example() };
    let mut lane = Lane::new(config, 1);
    let row = Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false };
    lane.step(Input::Loaded { rows: vec![row], more: false }, Millis(0));
    let mut now = Millis(0);
    for batch in 1..=200 {
        let answer = says(200, Class::NotAttempted);
        let actions = lane.step(Input::Answered { batch, answer }, now);
        let [Action::Wait { until, tries: 0, .. }, Action::Close { .. }] = &actions[..] else { panic!("{actions:?}") };
        assert!(until.since(now) <= ROW_RETRY_MAX_MS);
        now = *until;
        lane.step(Input::Tick, now);
    }
    assert!(now > Millis(60 * 60_000), "after 200 sends {now}");
}

/// Answers each question for the first row with `class` until it is given up, for three days at most: when, and how. Where
/// `others`, there is always another row, which is posted.
fn asked(class: Class, others: bool) -> Option<(Millis, Action)> {
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    let idempotency = crate::lane::Idempotency::Lookup;
    let config = Config { idempotency, settle_ms: Some(0), retry_max_ms: 600_000, ..Config::example() };
    let (mut lane, mut now, mut last) = (Lane::new(config, 1), Millis(0), 1);
    let mut actions = lane.step(Input::Loaded { rows: vec![row(1)], more: false }, now);
    while now < Millis(0).plus(3 * VAIN_MS) {
        let answers = actions.iter().filter_map(|action| match action {
            Action::Send { batch, .. } => {
                let class = if *batch == 1 { Class::Unknown } else { Class::Delivered };
                Some(Input::Answered { batch: *batch, answer: says(200, class) })
            }
            Action::Look { batch, .. } => Some(Input::Looked { batch: *batch, answer: says(500, class) }),
            _ => None,
        });
        let mut inputs: Vec<Input> = answers.collect();
        if inputs.is_empty() {
            now = lane.wake_at().unwrap_or(now).max(now.plus(1));
            last += 1;
            inputs.push(if others { Input::Captured { rows: vec![row(last)], since: now } } else { Input::Tick });
        }
        actions = inputs.into_iter().flat_map(|input| lane.step(input, now)).collect();
        if let Some(reject) = actions.iter().find(|a| matches!(a, Action::Reject { .. })) {
            return Some((now, reject.clone()));
        }
    }
    None
}

#[test]
fn lookups_that_tell_nothing_for_a_day_make_it_a_persons() {
    for class in [Class::Contract, Class::Unknown] {
        let (at, action) = asked(class, false).expect("it ends");
        assert!((VAIN_MS..VAIN_MS + 4 * 3_600_000).contains(&at.since(Millis(0))), "{at}");
        let Action::Reject { outcome, maybe: true, .. } = action else { panic!("{action:?}") };
        assert!(outcome.class == Class::Unresolvable && outcome.reason.contains("(said)"), "{outcome:?}");
    }
    assert!(asked(Class::Accepted, false).is_none(), "it is at work on it");
    assert!(asked(Class::Transient, false).is_none(), "the target is away");
    assert!(asked(Class::Transient, true).is_some(), "others are posted all the while");
}

/// "Not now, without a limit" is no conflict, and no missing reference.
#[test]
fn each_trouble_of_a_row_has_tries_and_a_time_of_its_own() {
    for last in [Class::Conflict, Class::Reference] {
        let config = Config { reference_grace_ms: 900_000, ..Config::example() };
        let mut lane = Lane::new(config, 1);
        let row = Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false };
        let mut actions = lane.step(Input::Loaded { rows: vec![row], more: false }, Millis(0));
        let mut now = Millis(0);
        for n in 0..=12 {
            let Some(Action::Send { batch, .. }) = actions.first() else { panic!("it goes again: {actions:?}") };
            let said = says(200, if n == 12 { last } else { Class::Transient });
            actions = lane.step(Input::Answered { batch: *batch, answer: said }, now);
            let waits =
                |a: &Action| matches!(a, Action::Wait { tries, .. } if *tries == if n == 12 { 1 } else { n + 1 });
            assert!(actions.iter().any(waits), "{n}: {actions:?}");
            now = now.plus(100_000);
            actions = lane.step(Input::Tick, now);
        }
    }
}

/// A target that posts others speaks the contract; one that does not is not sent all there is.
#[test]
fn a_status_that_nobody_knows_keeps_its_own_row_alone_where_others_are_posted() {
    for posts in [true, false] {
        let mut lane = Lane::new(Config::example(), 1);
        let row = |n| Row { key: RowKey { seq: n, tx: 1 }, order: n, size: 10, held: false };
        let mut sent = lane.step(Input::Loaded { rows: vec![row(1)], more: false }, Millis(0));
        let mut batch = 1;
        if posts {
            lane.step(Input::Answered { batch, answer: says(200, Class::Delivered) }, Millis(0));
            sent = lane.step(Input::Captured { rows: vec![row(2)], since: Millis(0) }, Millis(0));
            batch = 2;
        }
        assert!(matches!(sent[..], [Action::Send { attempt: 1, .. }]), "{sent:?}");
        let outcomes = vec![Outcome::new(Class::Unknown, format!("{}\"banana\"", Outcome::ODD_STATUS))];
        let odd = Answer { outcomes, whole: true, ..says(200, Class::Unknown) };
        let left = lane.step(Input::Answered { batch, answer: odd }, Millis(0));
        assert!(matches!(left[..], [Action::Unknown { .. }]), "{left:?}");
        let next = lane.step(Input::Captured { rows: vec![row(3)], since: Millis(0) }, Millis(0));
        assert_eq!(matches!(next[..], [Action::Send { .. }]), posts, "{next:?}");
    }
}

/// The breaker has to see a target that answers so for whatever it is sent; a few such rows that come again are their own trouble.
#[test]
fn a_status_that_nobody_knows_for_row_after_row_is_the_targets() {
    let mut lane = Lane::new(Config { max_events: 1, ..Config::example() }, 1);
    let row = |n| Row { key: RowKey { seq: n, tx: 1 }, order: n, size: 10, held: false };
    lane.step(Input::Loaded { rows: vec![row(1)], more: false }, Millis(0));
    lane.step(Input::Answered { batch: 1, answer: says(200, Class::Delivered) }, Millis(0));
    let odd = || {
        let outcomes = vec![Outcome::new(Class::Unknown, format!("{}\"banana\"", Outcome::ODD_STATUS))];
        Answer { outcomes, whole: true, ..says(200, Class::Unknown) }
    };
    let (odd_rows, first) = (ODD as i64, 2);
    let mut isolated = Vec::new();
    for n in first..first + odd_rows + 2 {
        let sent = lane.step(Input::Captured { rows: vec![row(n)], since: Millis(0) }, Millis(0));
        let Some(Action::Send { batch, .. }) = sent.first() else { break };
        isolated.push(lane.is_isolated(*batch, &odd()));
        lane.step(Input::Answered { batch: *batch, answer: odd() }, Millis(0));
    }
    assert_eq!(isolated, [true, true, true, false]);
}

/// The target's own word for an item ends what a lost answer has begun, as it does without one; whether there was an effect before is
/// not known.
#[test]
fn what_lacks_its_reference_or_is_locked_after_a_lost_answer_is_a_persons_in_the_end() {
    for (class, least) in [(Class::Reference, 900_000), (Class::Conflict, 0)] {
        let (mut lane, mut now) = lost(None, &[1]);
        let (start, mut sends) = (now, 0);
        let rejected = loop {
            sends += 1;
            lane.step(Input::Tick, now);
            let actions = lane.step(Input::Answered { batch: 1, answer: says(200, class) }, now);
            if !matches!(actions[..], [Action::Unknown { .. }, ..]) {
                break actions;
            }
            now = lane.wake_at().unwrap_or(now);
        };
        let [Action::Reject { outcome, maybe: true, answered: true, .. }, Action::Close { .. }] = &rejected[..] else {
            panic!("{rejected:?}")
        };
        assert_eq!(outcome.class, class);
        assert!(now.since(start) >= least && (class == Class::Reference || sends == CONFLICT_TRIES), "{sends}, {now}");
    }
    let (mut lane, now) = lost(None, &[1]);
    lane.step(Input::Tick, now);
    let (actions, _) = refused(&mut lane, 1, Some(404), Class::Reference, now);
    assert!(matches!(actions[..], [Action::Unknown { .. }]), "of the whole request it is none: {actions:?}");
}

/// Between subjects, wherever the middle is.
#[test]
fn a_batch_that_is_too_large_when_it_comes_again_comes_in_halves() {
    for (orders, parts) in [([1, 2, 3, 4], (2, 2)), ([1, 2, 2, 2], (3, 1)), ([1, 2, 1, 2], (2, 2))] {
        let (mut lane, now) = lost_in(Config { ordered_batch: true, ..Config::example() }, &orders);
        lane.step(Input::Tick, now);
        let code = Some(Outcome::TOO_LARGE.to_owned());
        let outcome = Outcome { code, ..Outcome::new(Class::NotAttempted, "said") };
        let answer = Answer { outcomes: vec![outcome; 4], ..says(413, Class::NotAttempted) };
        let actions = lane.step(Input::Answered { batch: 1, answer }, now);
        let cut = |a: &Action| matches!(a, Action::Cut { keep, off, .. } if (keep.len(), off.len()) == parts);
        assert!(actions.iter().any(cut), "{orders:?}: {actions:?}");
    }
}

/// The clock is set ahead by more than a reference may be missing.
#[test]
fn a_clock_that_is_set_ahead_makes_no_trouble_of_a_row_older() {
    for jump in [0, 3_600_000] {
        let (mut lane, now) = lost(None, &[1]);
        lane.step(Input::Tick, now);
        lane.step(Input::Answered { batch: 1, answer: says(200, Class::Reference) }, now);
        let now = lane.wake_at().unwrap_or(now).plus(jump);
        lane.clock_jumped(jump);
        lane.step(Input::Tick, now);
        let told = lane.step(Input::Answered { batch: 1, answer: says(200, Class::Reference) }, now);
        assert!(matches!(told[0], Action::Unknown { .. }), "{jump}: {told:?}");
    }
}
