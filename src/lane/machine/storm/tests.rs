use super::*;
use crate::lane::machine::{Input, Row, RowKey};
use crate::lane::{Answer, By, Config, Later, Outcome};

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

/// Nobody hears of it any more, and its key is forgotten: a person's. Others find out.
#[test]
fn the_row_that_was_to_find_out_and_is_given_up_keeps_no_other_from_it() {
    let mut lane = Lane::new(Config { max_events: 50, max_parked: 1_000, ..Config::example() }, 1);
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    let mut actions = lane.step(Input::Loaded { rows: (1..=60).map(row).collect(), more: false }, Millis(0));
    let (mut now, mut tried, mut given_up) = (Millis(0), Vec::new(), 0);
    while tried.len() < 2 {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::Send { batch, rows, .. } => {
                    let stormed = lane.storm().is_some();
                    if stormed && !tried.contains(&rows[0]) {
                        tried.push(rows[0]);
                    }
                    let class = if stormed { Class::Unknown } else { Class::Validation };
                    let answer = Answer { later: None, ..answer(class, rows.len(), stormed) };
                    next.extend(lane.step(Input::Answered { batch, answer }, now));
                }
                Action::Reject { outcome, .. } => given_up += usize::from(outcome.class == Class::Unresolvable),
                _ => {}
            }
        }
        if next.is_empty() {
            now = lane.wake_at().expect("the next one finds out").max(now);
            next = lane.step(Input::Tick, now);
        }
        actions = next;
    }
    assert_eq!(given_up, 1);
}
