use super::*;
use crate::lane::machine::{Input, Row, RowKey};
use crate::lane::{Answer, By, Config, Idempotency, Later, Outcome};

fn answer(class: Class, rows: usize, whole: bool) -> Answer {
    let outcomes = vec![Outcome::new(class, "said"); rows];
    let later = (whole).then(|| Later { by: By::Job("http://erp/jobs/7".to_owned()), after_ms: None });
    Answer { status: Some(200), excerpt: String::new(), outcomes, whole, retry_after_ms: None, later }
}

/// The target says later what came of each row: wrong until the storm is on, and all good from then on.
#[test]
fn a_storm_ends_at_a_target_that_answers_later_and_one_row_at_a_time_finds_out() {
    let mut lane = Lane::new(Config { max_events: 50, max_parked: 1_000, ..Config::example() }, 1);
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    let mut actions = lane.step(Input::Loaded { rows: (1..=60).map(row).collect(), more: false }, Millis(0));
    let (mut now, mut stormed, mut single, mut open) = (Millis(0), false, 0, 0);
    for _ in 0..1_000 {
        let mut next = Vec::new();
        if lane.storm().is_some() && !std::mem::replace(&mut stormed, true) {
            next.extend(lane.step(Input::Captured { rows: (101..=200).map(row).collect(), since: now }, now));
        }
        for action in actions {
            match action {
                Action::Send { batch, rows, .. } => {
                    if lane.storm().is_some() {
                        assert_eq!((rows.len(), open), (1, 0), "one finds out at a time");
                        (single, open) = (single + 1, 1);
                    }
                    let answer = answer(Class::Accepted, rows.len(), true);
                    next.extend(lane.step(Input::Answered { batch, answer }, now));
                }
                Action::Poll { batch, rows, .. } => {
                    let class = if stormed { Class::Delivered } else { Class::Validation };
                    open = 0;
                    next.extend(lane.step(Input::Polled { batch, answer: answer(class, rows.len(), false) }, now));
                }
                _ => {}
            }
        }
        if next.is_empty() {
            let Some(at) = lane.wake_at() else { break };
            now = at.max(now);
            next = lane.step(Input::Tick, now);
        }
        actions = next;
    }
    assert!(stormed && lane.storm().is_none(), "{:?}", lane.storm());
    assert_eq!(single, GOOD);
}

/// Its fate stays open however often it is sent, or booked however long: that is its own trouble, and the lane's is over.
#[test]
fn the_row_that_was_to_find_out_and_comes_to_no_end_keeps_no_other_from_it() {
    let natural = (Idempotency::Natural, Class::Unknown);
    for (idempotency, class) in [natural, (Idempotency::Key, Class::Unknown), (Idempotency::Key, Class::Accepted)] {
        let config = Config { idempotency, max_parked: 1_000, ..Config::example() };
        let mut lane = Lane::new(config, 1);
        let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
        let mut actions = lane.step(Input::Loaded { rows: (1..=60).map(row).collect(), more: false }, Millis(0));
        let (mut now, mut first, mut stormed) = (Millis(0), None, false);
        while now < Millis(0).plus(86_400_000) && !(stormed && lane.storm().is_none()) {
            let mut next = Vec::new();
            for action in actions {
                let (Action::Send { batch, rows, .. } | Action::Poll { batch, rows, .. }) = action else { continue };
                let said = if lane.storm().is_none() {
                    answer(Class::Validation, rows.len(), false)
                } else if *first.get_or_insert(rows[0]) == rows[0] {
                    answer(class, rows.len(), class == Class::Accepted)
                } else {
                    answer(Class::Delivered, rows.len(), false)
                };
                next.extend(lane.step(Input::Answered { batch, answer: said }, now));
            }
            stormed |= lane.storm().is_some();
            if stormed && first.is_none() {
                next.extend(lane.step(Input::Captured { rows: (101..=110).map(row).collect(), since: now }, now));
            }
            if next.is_empty() {
                let Some(at) = lane.wake_at() else { break };
                now = at.max(now.plus(1));
                next = lane.step(Input::Tick, now);
            }
            actions = next;
        }
        assert!(stormed && lane.storm().is_none(), "{class:?}: {:?} at {now}", lane.storm());
    }
}
