//! What is stored before there is room for it.

use super::*;

/// A lane of batches of two, one of them under way at a time, whose first one was answered soon: the second one is under way, and
/// the third one is stored.
fn begun(change: impl FnOnce(&mut Config)) -> Play {
    let mut config = Config { max_events: 2, ..config("outbound", Worth::Document) };
    change(&mut config);
    let mut play = Play::new(vec![config]);
    play.put(0, 1..=20);
    play.now = play.now.plus(20);
    play.answer(Class::Delivered);
    play
}

impl Play {
    /// Everything under way is answered so; whole, where it has no effect.
    fn answer(&mut self, class: Class) {
        for request in std::mem::take(&mut self.flying) {
            let answer = Answer { whole: !class.has_effect(), ..each(&request, |_| class) };
            self.step(request.lane, Input::Answered { batch: request.batch, answer });
        }
    }

    fn tick(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        let actions = self.lanes.tick(self.now);
        self.carry_out(actions);
    }

    fn under_way(&self) -> Vec<i64> {
        self.flying.iter().flat_map(|request| request.rows.clone()).collect()
    }

    fn stored_rows(&self) -> Vec<i64> {
        self.stored.values().flatten().map(|row| row.seq).collect()
    }
}

#[test]
fn the_next_batch_is_stored_while_one_is_under_way_and_leaves_at_its_answer() {
    let mut play = begun(|_| ());
    for first in [3, 5, 7] {
        assert_eq!((play.under_way(), play.stored_rows()), (vec![first, first + 1], vec![first + 2, first + 3]));
        play.answer(Class::Delivered);
    }
}

#[test]
fn nothing_is_stored_for_a_target_that_can_t_tell_by_its_key_or_bounds_its_requests() {
    let limits = Limits { per_minute: Some(6_000), burst: 5, ..Limits::default() };
    for change in [
        |config: &mut Config, _: Limits| config.idempotency = Idempotency::None,
        |config: &mut Config, _: Limits| config.idempotency = Idempotency::Lookup,
        |config: &mut Config, limits: Limits| config.limits = limits,
    ] {
        let play = begun(|config| change(config, limits));
        assert_eq!((play.under_way(), play.stored_rows()), (vec![3, 4], vec![]));
    }
}

#[test]
fn nothing_is_stored_that_is_not_full_or_whose_answers_come_late() {
    let play = begun(|config| config.max_events = 10);
    assert_eq!((play.under_way().len(), play.stored_rows()), (10, vec![]));
    let mut play = begun(|_| ());
    play.tick(251);
    play.answer(Class::Delivered);
    play.answer(Class::Delivered); // of the stored one, which was sent late: it is prompt again
    assert_eq!((play.under_way(), play.stored_rows()), (vec![7, 8], vec![9, 10]));
    play.tick(251);
    play.answer(Class::Delivered);
    assert_eq!((play.under_way(), play.stored_rows()), (vec![9, 10], vec![]));
}

#[test]
fn what_is_stored_goes_back_in_line_at_trouble() {
    for class in [Class::Transient, Class::Unknown, Class::Throttled, Class::Auth] {
        let mut play = begun(|_| ());
        play.answer(class);
        assert_eq!((play.under_way(), play.stored_rows()), (vec![], vec![]), "{class:?}");
        play.run(HOUR, &mut good);
        assert_eq!(play.delivered(0), 20, "{class:?}");
    }
}

#[test]
fn what_is_stored_goes_back_in_line_when_it_is_not_its_turn_for_a_second() {
    let mut play = begun(|_| ());
    play.tick(999);
    assert_eq!(play.stored_rows(), [5, 6]);
    assert_eq!(play.lanes.wake_at(play.now), Some(play.now.plus(1)));
    play.tick(1);
    assert_eq!((play.under_way(), play.stored_rows()), (vec![3, 4], vec![]));
    play.tick(1_000);
    assert!(play.stored_rows().is_empty(), "it is not stored again and again while one hangs");
    play.answer(Class::Delivered);
    assert_eq!(play.under_way(), [5, 6]);
}

/// Its first send would be of before, and the system might seem to have forgotten its key.
#[test]
fn what_is_stored_goes_back_in_line_when_the_clock_is_set() {
    let mut play = begun(|_| ());
    play.now = play.now.plus(HOUR);
    play.lanes.clock_jumped(HOUR);
    play.answer(Class::Delivered);
    assert_eq!(play.under_way(), [5, 6]);
    assert_eq!(play.flying[0].batch, 4, "another one than was stored");
}

#[test]
fn a_person_who_holds_something_and_a_stop_take_back_what_is_stored() {
    let mut play = begun(|_| ());
    play.step(0, Input::Held(true));
    assert!(play.stored_rows().is_empty());

    let mut play = begun(|_| ());
    play.step(0, Input::Kept(5));
    assert_eq!(play.stored_rows(), [6, 7], "what is held is not among it");

    let mut play = begun(|_| ());
    let actions = play.lanes.stop(play.now);
    play.carry_out(actions);
    assert_eq!((play.under_way(), play.stored_rows()), (vec![3, 4], vec![]));
}

#[test]
fn a_damaged_row_of_what_is_stored_is_rejected_and_the_others_go_on() {
    let mut play = begun(|_| ());
    let (_, batch) = *play.stored.keys().next().expect("one is stored");
    let rows = vec![RowKey { seq: 5, tx: 1 }];
    play.step(0, Input::Unsendable { batch, rows, outcome: Outcome::new(Class::Corrupt, "") });
    assert_eq!(play.dead(), [(5, End::Rejected(Class::Corrupt, false))]);
    assert_eq!(play.stored_rows(), [6, 7]);
}
