//! Rules of delivery, each test named after its sentence (`tests/invariants.txt`).

use super::*;
use crate::lane::{By, Later};

/// A row of a subject.
fn row(seq: i64, order: i64) -> Row {
    Row { key: RowKey { seq, tx: 1 }, order, size: 10, held: false }
}

impl Play {
    fn captured(&mut self, rows: Vec<Row>) {
        self.step(0, Input::Captured { rows, since: self.now });
    }

    /// Requests that post, in order.
    fn posts(&self) -> Vec<&Request> {
        self.requests.iter().filter(|request| !request.look).collect()
    }
}

#[test]
fn a_row_behind_an_unresolved_row_of_its_order_key_is_never_sent() {
    use Class::{
        Accepted, Auth, Conflict, Contract, NotAttempted, Reference, Throttled, Transient, Unknown, Validation,
    };
    let sent_behind = |held: bool, class: Class, alike: bool| {
        let mut play = Play::new(vec![config("a", Worth::Document)]);
        play.captured(vec![Row { held, ..row(1, 1) }, row(2, 1), row(3, 2)]);
        let mut target = |request: &Request| match request.rows.contains(&1) {
            true if alike => whole(request, class),
            true => Some(each(request, |row| if row == 1 { class } else { Class::Delivered })),
            false => good(request),
        };
        play.run(HOUR / 2, &mut target);
        play.captured(vec![row(4, 1)]);
        play.run(HOUR / 2, &mut target);
        let asked = play.requests.iter().any(|request| request.rows.contains(&1));
        assert_eq!(asked, !held, "{class:?}");
        play.requests.iter().any(|request| request.rows.contains(&2) || request.rows.contains(&4))
    };
    for class in
        [Accepted, Auth, Conflict, Contract, NotAttempted, Reference, Throttled, Transient, Unknown, Validation]
    {
        assert!(!sent_behind(false, class, false) && !sent_behind(false, class, true), "{class:?}");
    }
    assert!(!sent_behind(true, Validation, false), "it is held");
    assert!(sent_behind(false, Class::Delivered, false), "and it goes once that one is resolved");
}

#[test]
fn a_rejected_row_does_not_delay_any_other_order_key_by_more_than_one_batch() {
    let batch_of = |bad: &[i64]| {
        let mut play = Play::new(vec![config("a", Worth::Document)]);
        play.captured((1..=60).map(|seq| row(seq, seq % 30)).collect());
        play.run(HOUR, &mut |request| {
            Some(each(request, |row| if bad.contains(&row) { Class::Validation } else { Class::Delivered }))
        });
        let batches: BTreeMap<i64, usize> =
            play.requests.iter().enumerate().flat_map(|(n, r)| r.rows.iter().map(move |row| (*row, n))).collect();
        batches
    };
    let smooth = batch_of(&[]);
    let bad = [4, 5, 17];
    let rough = batch_of(&bad);
    for (row, batch) in &smooth {
        if bad.iter().any(|bad| row % 30 == bad % 30 && row > bad) {
            assert_eq!(rough.get(row), None, "row {row} waits behind a rejected one");
        } else {
            assert!(rough.get(row).is_some_and(|n| *n <= batch + 1), "row {row}: {:?}, not {batch}", rough.get(row));
        }
    }
}

#[test]
fn on_a_key_target_a_resend_without_lookup_happens_only_inside_the_dedup_horizon_counted_from_the_first_send() {
    for settle_ms in [None, Some(10_000)] {
        let lane = Config { dedup_horizon_ms: HOUR, settle_ms, ..config("a", Worth::Document) };
        let mut play = Play::new(vec![lane]);
        play.put(0, 1..=3);
        play.run(12 * HOUR, &mut |request| whole(request, Class::Unknown));
        for row in 1..=3 {
            let sends = play.posts().into_iter().filter(|request| request.rows.contains(&row));
            let at: Vec<u64> = sends.map(|request| request.at.since(START)).collect();
            assert!(at.len() > 5 && at.iter().all(|at| *at < HOUR - 10_000), "row {row}: {at:?}");
        }
        let unresolved = (1..=3).map(|seq| (seq, End::Rejected(Class::Unresolvable, true)));
        if settle_ms.is_none() {
            assert_eq!(play.dead(), unresolved.collect::<Vec<_>>(), "then a person decides");
        } else {
            let look = play.requests.iter().find(|request| request.look).expect("then it is asked for");
            assert!(look.at.since(START) >= HOUR - 10_000, "{look:?}");
        }
    }
}

#[test]
fn a_lookup_absent_leads_to_a_resend_only_after_settle_delay_since_the_last_send() {
    let settle = 40_000;
    // Whether the target says that its keys are to be looked up, which is done at once.
    for told in [false, true] {
        let lane = Config { idempotency: Idempotency::Lookup, settle_ms: Some(settle), ..config("a", Worth::Document) };
        let mut play = Play::new(vec![lane]);
        play.put(0, [1]);
        play.run(HOUR, &mut |request| {
            if request.look {
                return Some(each(request, |_| Class::NotAttempted));
            }
            let later = told.then_some(Later { by: By::Lookup, after_ms: Some(1_000) });
            let class = if told { Class::Accepted } else { Class::Unknown };
            Some(Answer { later, ..whole(request, class)? })
        });
        let posts = play.posts();
        assert!(posts.len() > 3, "it goes again: {}", posts.len());
        for pair in posts.windows(2) {
            assert!(pair[1].at.since(pair[0].at) >= settle, "{pair:?}");
        }
        let looked = |pair: &[&Request]| {
            play.requests.iter().any(|r| r.look && r.at >= pair[0].at.plus(settle) && r.at <= pair[1].at)
        };
        assert!(posts.windows(2).all(looked), "each time after it was asked for");
        let early = play.requests.iter().find(|r| r.look).expect("it is asked for").at < START.plus(settle);
        assert_eq!(early, told);
    }
}

#[test]
fn a_validation_answer_is_never_retried_without_a_person() {
    let mut play = Play::new(vec![config("a", Worth::Document)]);
    play.put(0, 1..=5);
    play.run(100 * HOUR, &mut |request| Some(each(request, |_| Class::Validation)));
    assert_eq!((play.requests.len(), play.dead().len()), (1, 5));
    // A person frees one of them: it alone is read again, and sent.
    let freed = play.lanes.step(0, Input::Freed { row: row(2, 2), next: None }, play.now);
    assert!(matches!(freed[..], [(0, Action::Load { .. })]), "{freed:?}");
    play.step(0, Input::Loaded { rows: vec![row(2, 2)], more: false });
    play.run(HOUR, &mut good);
    let again: Vec<_> = play.requests.iter().skip(1).map(|request| request.rows.clone()).collect();
    assert_eq!(again, [[2]]);
}

/// Most requests for `b` bad rows of `n`: each bad one costs two halves a level.
fn most_sends(n: i64, b: i64) -> usize {
    let levels = (0..63).find(|levels| 1_i64 << levels >= n).expect("a small number");
    usize::try_from(2 * b * levels + 1).expect("few")
}

#[test]
fn bisecting_n_rows_with_b_bad_ones_rejects_exactly_those_b() {
    let mut dice = fastrand::Rng::with_seed(19);
    for n in [1, 2, 3, 5, 7, 8, 16, 33, 64] {
        for (b, again) in (0..=8.min(n)).flat_map(|b| (0..20).map(move |again| (b, again))) {
            let mut bad: Vec<i64> = dice.choose_multiple(1..=n, usize::try_from(b).expect("few"));
            if again == 0 {
                bad = (1..=b).collect(); // side by side
            }
            bad.sort_unstable();
            let mut play = Play::new(vec![Config { max_events: 64, ..config("a", Worth::Document) }]);
            play.put(0, 1..=n);
            play.run(HOUR, &mut |request| {
                if request.rows.iter().any(|row| bad.contains(row)) {
                    whole(request, Class::Validation)
                } else {
                    good(request)
                }
            });
            let expected: Vec<_> = bad.iter().map(|row| (*row, End::Rejected(Class::Validation, false))).collect();
            assert_eq!(play.dead(), expected, "{b} of {n}");
            assert_eq!(play.delivered(0), usize::try_from(n - b).expect("few"), "{b} of {n}");
            let sends = play.posts().len();
            assert!(sends <= most_sends(n, b), "{bad:?} of {n}: {sends} sends, not {} at most", most_sends(n, b));
            // What comes first is settled before what comes behind it, and no row leaves after its end.
            let ends: Vec<i64> = play.posts().iter().filter_map(|request| request.rows.first().copied()).collect();
            assert!(ends.is_sorted(), "{bad:?} of {n}: {ends:?}");
        }
    }
}

/// Where a target takes several rows of one order key in a batch, a half may end between two of them: the later ones wait for the
/// bad one, and nobody else is sent more often.
#[test]
fn bisecting_keeps_to_its_bound_where_rows_of_an_order_key_share_a_batch() {
    let mut dice = fastrand::Rng::with_seed(19);
    for again in 0..200 {
        let (n, b) = (48, dice.i64(1..=4));
        let bad: Vec<i64> = dice.choose_multiple(1..=n, usize::try_from(b).expect("few"));
        let mut play = Play::new(vec![Config { max_events: 64, ordered_batch: true, ..config("a", Worth::Document) }]);
        play.captured((1..=n).map(|seq| row(seq, seq % 12)).collect());
        play.run(HOUR, &mut |request| {
            let wrong = request.rows.iter().any(|row| bad.contains(row));
            if wrong { whole(request, Class::Validation) } else { good(request) }
        });
        let is_behind = |row: i64| bad.iter().any(|bad| bad % 12 == row % 12 && *bad < row);
        let mut dead: Vec<i64> = bad.iter().copied().filter(|bad| !is_behind(*bad)).collect();
        dead.sort_unstable();
        assert_eq!(play.dead().into_iter().map(|(row, _)| row).collect::<Vec<_>>(), dead, "{again}");
        for row in 1..=n {
            let posted = play.ends.get(&(0, row)) == Some(&End::Delivered(Class::Delivered));
            assert_eq!(posted, !bad.contains(&row) && !is_behind(row), "row {row}, bad are {bad:?}");
        }
        let sends = play.posts().len();
        assert!(sends <= most_sends(n, b), "{bad:?}: {sends} sends");
    }
}
