//! The gate alone: answers in, permits out.

use proptest::prelude::*;

use super::*;
use crate::event::Id;
use crate::lane::{AnswerShape, Outcome, Reply, classify};

const LANE: usize = 0;

fn whole(class: Class) -> Answer {
    let outcomes = vec![Outcome::new(class, "test"); 3];
    Answer { status: None, excerpt: String::new(), outcomes, whole: true, retry_after_ms: None, later: None }
}

fn gate() -> Gate {
    Gate::new(Limits::default())
}

/// A request leaves and is answered at once.
fn ask(gate: &mut Gate, batch: u64, class: Class, now: Millis) {
    gate.left(LANE, batch, true, now);
    gate.answered((LANE, batch), None, &whole(class), false, now);
}

fn is_open(gate: &Gate) -> bool {
    matches!(gate.standing(), Standing::Open { .. })
}

fn at(seconds: i64) -> Millis {
    Millis(1_763_906_709_412 + seconds * 1_000)
}

#[test]
fn five_failures_in_a_row_open_it_and_three_good_ones_close_it() {
    let mut gate = gate();
    for batch in 0..4 {
        ask(&mut gate, batch, if batch % 2 == 0 { Class::Transient } else { Class::Unknown }, at(0));
        assert_eq!(gate.permit(0, at(0)), Some(Permit::Batch));
    }
    ask(&mut gate, 4, Class::Unknown, at(0));
    let standing = gate.standing();
    let help = advice(Class::Unknown, None, "").unwrap_or_default().to_owned();
    let trouble = Trouble { since: at(0), at: at(0), why: Why::Failing, words: "test".to_owned(), help, seq: None };
    assert_eq!(standing, Standing::Open { trouble, next_try: Some(at(10)) });
    assert_eq!((gate.permit(0, at(9)), gate.opens_at(0, at(9))), (None, Some(at(10))));
    for (batch, second) in [(5, 10), (6, 11), (7, 12)] {
        gate.wake(at(second));
        assert_eq!(gate.permit(0, at(second)), Some(Permit::Probe), "one row finds out");
        gate.left(LANE, batch, true, at(second));
        assert_eq!((gate.permit(0, at(second)), gate.opens_at(0, at(second))), (None, None), "one at a time");
        gate.answered((LANE, batch), None, &whole(Class::Delivered), false, at(second));
    }
    assert_eq!((gate.standing(), gate.permit(0, at(13))), (Standing::Closed, Some(Permit::Batch)));
}

/// Whatever answers so, no posting goes through it.
#[test]
fn an_endpoint_that_tells_of_no_item_opens_it() {
    let shape = AnswerShape { items: Some("/results".to_owned()), ..AnswerShape::default() };
    let reply = Reply::Http { status: 200, head: Box::default(), body: br#"{"results":[]}"#.to_vec() };
    let mut gate = gate();
    for batch in 0..5 {
        assert!(!is_open(&gate));
        gate.left(LANE, batch, true, at(0));
        gate.answered((LANE, batch), None, &classify(&reply, &shape, &[Id([1; 16])]), false, at(0));
    }
    assert!(is_open(&gate));
}

#[test]
fn what_is_answered_well_since_is_told_until_it_closes() {
    let mut gate = gate();
    ask(&mut gate, 0, Class::Auth, at(0));
    gate.wake(at(10));
    let told = |gate: &Gate| match gate.standing() {
        Standing::HalfOpen { good_since, good, closes_at, .. } => Some((good_since, good, closes_at)),
        _ => None,
    };
    assert_eq!(told(&gate), Some((None, 0, 3)));
    ask(&mut gate, 1, Class::Delivered, at(11));
    ask(&mut gate, 2, Class::Validation, at(12));
    assert_eq!(told(&gate), Some((Some(at(11)), 2, 3)), "who refuses an item has let us in");
    ask(&mut gate, 3, Class::Auth, at(13));
    gate.wake(at(40));
    assert_eq!(told(&gate), Some((None, 0, 3)), "it begins again");
}

/// Whoever is told of a token at 3 o'clock looks for it, though the ERP asks for fewer requests by now.
#[test]
fn an_open_breaker_tells_the_last_answer_and_since_when_it_is_open() {
    let mut gate = gate();
    let answer = |status, class, retry_after_ms| Answer { status: Some(status), retry_after_ms, ..whole(class) };
    ask(&mut gate, 0, Class::Auth, at(0));
    let told = |gate: &Gate| match gate.standing() {
        Standing::Open { trouble, .. } | Standing::HalfOpen { trouble, .. } => trouble,
        Standing::Closed => Trouble::default(),
    };
    for (batch, asked) in [
        (1, answer(429, Class::Throttled, Some(20_000))),
        (2, answer(503, Class::Unknown, Some(20_000))),
        (3, answer(404, Class::Contract, None)),
        (4, answer(500, Class::Unknown, None)),
    ] {
        let now = at(batch * 400);
        gate.wake(now);
        let (seq, batch) = (Some(batch), batch.unsigned_abs());
        gate.left(LANE, batch, true, now);
        gate.answered((LANE, batch), seq, &asked, false, now);
        let why = [Why::Auth, Why::Throttled, Why::Failing, Why::Contract, Why::Failing];
        let why = why[usize::try_from(batch).expect("small")];
        let help =
            advice(asked.outcomes[0].class, asked.status, &asked.outcomes[0].reason).expect("there is some").to_owned();
        assert_eq!(told(&gate), Trouble { since: at(0), at: now, why, words: "test".to_owned(), help, seq });
    }
    gate.wake(at(3_000));
    gate.heard(Some(9), &answer(401, Class::Auth, None), at(3_001));
    let last = told(&gate);
    assert_eq!((last.why, last.at, last.seq), (Why::Auth, at(3_001), Some(9)), "a question is answered, too");
    assert!(gate.standing() != Standing::Closed && !is_open(&gate), "and decides nothing");
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_begins_again() {
    let mut gate = gate();
    let mut now = at(0);
    (0..5).for_each(|batch| ask(&mut gate, batch, Class::Transient, now));
    let mut waits = Vec::new();
    for batch in 5..12 {
        let opens = gate.opens_at(0, now).expect("no probe is under way");
        waits.push(opens.since(now) / 1_000);
        now = opens;
        gate.wake(now);
        ask(&mut gate, batch, Class::Transient, now);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    now = now.plus(300_000);
    gate.wake(now);
    (20..23).for_each(|batch| ask(&mut gate, batch, Class::Delivered, now));
    (30..35).for_each(|batch| ask(&mut gate, batch, Class::Transient, now));
    assert_eq!(gate.opens_at(0, now), Some(now.plus(10_000)));
}

#[test]
fn more_than_half_of_twenty_answers_of_a_minute_open_it() {
    let failing = |failures: u64, every: i64| {
        let mut gate = gate();
        for n in 0..20 {
            let class = if n % 2 == 0 && n / 2 < failures { Class::Transient } else { Class::Delivered };
            ask(&mut gate, n, class, at(i64::try_from(n).expect("small") * every));
        }
        ask(&mut gate, 20, Class::Transient, at(20 * every));
        is_open(&gate)
    };
    assert!(failing(10, 2), "11 of 21 within 42 s");
    assert!(!failing(9, 2), "10 of 21");
    assert!(!failing(10, 4), "fewer than 20 within a minute");
}

#[test]
fn being_asked_for_fewer_requests_is_no_failure() {
    let mut gate = gate();
    let busy = Answer { retry_after_ms: Some(1_000), ..whole(Class::Unknown) }; // 503 with Retry-After
    for batch in 0..50 {
        ask(&mut gate, batch, Class::Throttled, at(0));
        gate.answered((LANE, batch), None, &busy, false, at(0));
        let refused = Class::Validation;
        ask(&mut gate, batch, refused, at(0));
    }
    assert_eq!(gate.standing(), Standing::Closed);
}

#[test]
fn a_system_that_refuses_who_we_are_or_what_we_send_is_left_alone_at_once() {
    for (class, expected) in [(Class::Auth, Why::Auth), (Class::Contract, Why::Contract)] {
        let mut gate = gate();
        ask(&mut gate, 1, class, at(0));
        assert!(
            matches!(gate.standing(), Standing::Open { trouble, .. } if trouble.why == expected),
            "{:?}",
            gate.standing()
        );
    }
}

#[test]
fn what_left_before_it_opened_says_nothing_of_the_system_now() {
    let mut gate = gate();
    (0..5).for_each(|batch| ask(&mut gate, batch, Class::Transient, at(0)));
    gate.answered((LANE, 99), None, &whole(Class::Delivered), false, at(1));
    gate.wake(at(10));
    gate.answered((LANE, 98), None, &whole(Class::Transient), false, at(10));
    assert_eq!(gate.permit(0, at(10)), Some(Permit::Probe), "the probe alone decides");
}

#[test]
fn a_row_that_fails_alone_opens_nothing() {
    let mut gate = gate();
    for batch in 0..50 {
        gate.answered((LANE, batch), None, &whole(Class::Unknown), true, at(0));
    }
    assert_eq!(gate.standing(), Standing::Closed);
}

#[test]
fn a_fifth_of_the_tokens_is_never_given_to_postings() {
    let mut gate = Gate::new(Limits { per_minute: Some(60), burst: 10, ..Limits::default() });
    let mut left = 0;
    for second in 0..100 {
        while gate.permit(0, at(second)).is_some() {
            gate.left(LANE, left, true, at(second));
            left += 1;
        }
    }
    assert_eq!(left, 8 + 79, "of 10 at once and one a second, four fifths");
}

#[test]
fn the_rate_is_halved_when_fewer_are_asked_for_and_comes_back_by_a_hundredth_a_minute() {
    let mut gate = Gate::new(Limits { per_minute: Some(1_000), burst: 10, ..Limits::default() });
    ask(&mut gate, 1, Class::Throttled, at(0));
    ask(&mut gate, 2, Class::Throttled, at(0));
    assert_eq!(gate.per_minute(at(0)), Some(400), "answers that come together are one word");
    ask(&mut gate, 3, Class::Throttled, at(2));
    assert_eq!(gate.per_minute(at(2)), Some(200));
    assert_eq!(gate.per_minute(at(2 + 600)), Some(280));
    assert_eq!(gate.per_minute(at(2 + 60 * 100)), Some(800));
}

#[test]
fn no_more_are_under_way_than_the_system_takes_at_a_time() {
    let gate = Gate::new(Limits { max_concurrent: Some(2), ..Limits::default() });
    assert_eq!((gate.permit(1, at(0)), gate.permit(2, at(0))), (Some(Permit::Batch), None));
    assert_eq!(gate.opens_at(2, at(0)), None, "an answer comes first");
}

proptest! {
    /// Whatever comes back: an open breaker lets nothing through before its time, and then one at a time.
    #[test]
    fn an_open_breaker_holds_and_is_always_tried_again(days in proptest::collection::vec((0_u8..6, 0_i64..90), 1..200)) {
        let mut gate = gate();
        let (mut now, mut flying) = (at(0), Vec::new());
        for (batch, (what, seconds)) in (0_u64..).zip(days) {
            now = now.plus(seconds.unsigned_abs() * 1_000);
            gate.wake(now);
            if let Standing::Open { next_try: Some(next_try), .. } = gate.standing() {
                prop_assert!(next_try > now && next_try <= now.plus(300_000));
                prop_assert_eq!(gate.permit(0, now), None);
            }
            if let Some(permit) = gate.permit(0, now) {
                prop_assert_eq!(permit == Permit::Probe, matches!(gate.standing(), Standing::HalfOpen { .. }));
                gate.left(LANE, batch, true, now);
                flying.push(batch);
            }
            let class = [Class::Delivered, Class::Transient, Class::Unknown, Class::Throttled, Class::Auth];
            match class.get(usize::from(what)) {
                Some(class) if !flying.is_empty() => {
                    let answered = flying.swap_remove(usize::from(what) % flying.len());
                    gate.answered((LANE, answered), None, &whole(*class), false, now);
                }
                _ => {}
            }
        }
        // The system is well again, and everything is answered.
        for batch in flying {
            gate.answered((LANE, batch), None, &whole(Class::Delivered), false, now);
        }
        for batch in 1_000..1_003 {
            now = now.plus(300_000);
            gate.wake(now);
            ask(&mut gate, batch, Class::Delivered, now);
        }
        prop_assert_eq!(gate.standing(), Standing::Closed);
    }

    /// However requests come: in no time more of them leave than the burst and what has come back since.
    #[test]
    fn a_bucket_never_gives_more_than_it_has(
        per_minute in 1_u32..2_000, burst in 1_u32..50, pauses in proptest::collection::vec(0_u64..5_000, 1..300)
    ) {
        let mut gate = Gate::new(Limits { per_minute: Some(per_minute), burst, ..Limits::default() });
        let (mut now, mut left) = (at(0), Vec::new());
        for pause in pauses {
            now = now.plus(pause);
            if gate.permit(0, now).is_some() {
                gate.left(LANE, 1, true, now);
                left.push(now);
            } else {
                let opens = gate.opens_at(0, now).expect("time brings tokens");
                prop_assert!(opens > now, "nobody has to ask again at once");
            }
        }
        let burst = (f64::from(burst) * 0.8).max(1.0);
        for (i, first) in left.iter().enumerate() {
            for (n, last) in left[i..].iter().enumerate() {
                let back = last.since(*first) as f64 / 60_000.0 * f64::from(per_minute) * 0.8;
                prop_assert!((n + 1) as f64 <= burst + back + 1e-6, "{} within {} ms", n + 1, last.since(*first));
            }
        }
    }
}
