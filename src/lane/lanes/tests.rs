//! Several lanes before one system or two, with a target that the test plays.

mod ahead;
mod invariants;

use std::collections::BTreeMap;

use super::*;
use crate::lane::{Answer, By, Class, Config, Idempotency, Later, Limits, Outcome, Row, RowKey};

fn config(id: &str, worth: Worth) -> Config {
    Config { id: id.into(), worth, dedup_horizon_ms: 30 * 86_400_000, max_parked: 10_000, ..Config::example() }
}

/// One request, as the target sees it.
#[derive(Debug, Clone)]
struct Request {
    lane: usize,
    batch: u64,
    rows: Vec<i64>,
    at: Millis,
    look: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Delivered(Class),
    Rejected(Class, bool),
}

/// What a target does with a request: `None`: it hangs.
type Target<'a> = &'a mut dyn FnMut(&Request) -> Option<Answer>;

struct Play {
    lanes: Lanes,
    now: Millis,
    flying: Vec<Request>,
    /// Stored, and not sent.
    stored: BTreeMap<(usize, u64), Vec<RowKey>>,
    requests: Vec<Request>,
    ends: BTreeMap<(usize, i64), End>,
}

const START: Millis = Millis(1_763_906_709_412);

impl Play {
    fn new(configs: Vec<Config>) -> Self {
        let lanes = Lanes::new(configs.into_iter().map(|config| Lane::new(config, 7)).collect());
        let (flying, requests) = (Vec::new(), Vec::new());
        let mut play = Self { lanes, now: START, flying, stored: BTreeMap::new(), requests, ends: BTreeMap::new() };
        for lane in 0..play.lanes.all().len() {
            play.step(lane, Input::Loaded { rows: Vec::new(), more: false });
        }
        play
    }

    /// Rows that are captured, each of a subject of its own.
    fn put(&mut self, lane: usize, seqs: impl IntoIterator<Item = i64>) {
        let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
        self.step(lane, Input::Captured { rows: seqs.into_iter().map(row).collect(), since: self.now });
    }

    fn step(&mut self, lane: usize, input: Input) {
        let actions = self.lanes.step(lane, input, self.now);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<(usize, Action)>) {
        for (lane, action) in actions {
            let at = self.now;
            let request = |batch, rows: Vec<RowKey>, look| {
                let rows = rows.iter().map(|row| row.seq).collect();
                Request { lane, batch, rows, at, look }
            };
            match action {
                Action::Send { batch, rows, .. } => self.flying.push(request(batch, rows, false)),
                Action::Store { batch, rows, .. } => drop(self.stored.insert((lane, batch), rows)),
                Action::Release { batch } => {
                    let rows = self.stored.remove(&(lane, batch)).expect("it was stored");
                    self.flying.push(request(batch, rows, false));
                }
                Action::Close { batch } => drop(self.stored.remove(&(lane, batch))),
                Action::Look { batch, rows, .. } => self.flying.push(request(batch, rows, true)),
                Action::Settle { row, class, .. } => drop(self.ends.insert((lane, row.seq), End::Delivered(class))),
                Action::Reject { row, outcome, maybe, .. } => {
                    self.ends.insert((lane, row.seq), End::Rejected(outcome.class, maybe));
                }
                Action::Load { .. } => self.step(lane, Input::Loaded { rows: Vec::new(), more: false }),
                _ => {}
            }
        }
    }

    /// Plays until then, or until nothing is left to do.
    fn run(&mut self, ms: u64, target: Target<'_>) {
        let until = self.now.plus(ms);
        let mut hanging = Vec::new();
        loop {
            if let Some(request) = self.flying.pop() {
                self.requests.push(request.clone());
                match target(&request) {
                    Some(answer) if request.look => {
                        self.step(request.lane, Input::Looked { batch: request.batch, answer });
                    }
                    Some(answer) => self.step(request.lane, Input::Answered { batch: request.batch, answer }),
                    None => hanging.push(request),
                }
                continue;
            }
            let Some(wake) = self.lanes.wake_at(self.now).filter(|at| *at <= until) else { break };
            assert!(wake > self.now || self.requests.len() < 100_000, "it spins");
            self.now = self.now.max(wake);
            let actions = self.lanes.tick(self.now);
            self.carry_out(actions);
        }
        self.flying = hanging;
        self.now = until;
    }

    fn delivered(&self, lane: usize) -> usize {
        self.ends.iter().filter(|((l, _), end)| *l == lane && matches!(end, End::Delivered(_))).count()
    }

    fn dead(&self) -> Vec<(i64, End)> {
        let dead = self.ends.iter().filter(|(_, end)| matches!(end, End::Rejected(..)));
        dead.map(|((_, seq), end)| (*seq, end.clone())).collect()
    }
}

fn each(request: &Request, class: impl Fn(i64) -> Class) -> Answer {
    let outcomes = request.rows.iter().map(|row| Outcome::new(class(*row), "test")).collect();
    Answer { status: Some(200), excerpt: String::new(), outcomes, whole: false, retry_after_ms: None, later: None }
}

#[expect(clippy::unnecessary_wraps, reason = "a target, which may hang as well")]
fn good(request: &Request) -> Option<Answer> {
    Some(each(request, |_| Class::Delivered))
}

#[expect(clippy::unnecessary_wraps, reason = "a target, which may hang as well")]
fn whole(request: &Request, class: Class) -> Option<Answer> {
    Some(Answer { status: None, whole: true, ..each(request, |_| class) })
}

const HOUR: u64 = 3_600_000;

#[test]
fn a_backlog_in_one_lane_never_delays_another() {
    let other = Config { target: 1, system: "tms".into(), ..config("tms", Worth::Document) };
    let lanes = vec![config("stalled", Worth::Ledger), config("flowing", Worth::Document), other];
    let mut play = Play::new(lanes);
    play.put(0, 1..=500);
    for n in 0..100 {
        play.put(1, [1_000 + n]);
        play.put(2, [1_000 + n]);
        play.run(10, &mut |request| if request.lane == 0 { None } else { good(request) });
    }
    assert_eq!([0, 1, 2].map(|lane| play.delivered(lane)), [0, 100, 100]);
    let late = play.requests.iter().filter(|r| r.lane > 0 && r.at > START.plus(1_000)).count();
    assert_eq!(late, 0, "none waited for anything");
}

#[test]
fn an_open_breaker_stops_all_lanes_of_its_system_and_costs_no_row_an_attempt() {
    let other = Config { target: 1, system: "tms".into(), ..config("tms", Worth::Document) };
    let mut play = Play::new(vec![config("a", Worth::Document), config("b", Worth::Document), other]);
    play.put(0, 1..=100);
    play.run(9_000, &mut |request| whole(request, Class::Transient));
    assert_eq!(play.requests.len(), 5, "it opens at five in a row");
    play.put(1, 200..300);
    play.put(2, 300..400);
    play.run(500, &mut |request| if request.lane == 2 { good(request) } else { whole(request, Class::Transient) });
    assert_eq!((play.requests.iter().filter(|r| r.lane == 1).count(), play.delivered(2)), (0, 100));
    // Back after an hour: single rows, then everything.
    play.run(HOUR, &mut |request| if request.lane == 2 { good(request) } else { whole(request, Class::Transient) });
    let tries: Vec<usize> =
        play.requests.iter().skip(5).filter(|r| r.lane != 2).map(|request| request.rows.len()).collect();
    assert!(tries.iter().all(|rows| *rows == 1) && (12..20).contains(&tries.len()), "{tries:?}");
    play.run(6 * 60_000, &mut good);
    assert_eq!((play.delivered(0), play.delivered(1), play.dead()), (100, 100, vec![]));
    assert_eq!(play.lanes.systems(play.now)[0].standing, Standing::Closed);
}

#[test]
fn each_row_that_is_answered_well_by_a_breaker_that_closes_is_told() {
    let mut play = Play::new(vec![config("a", Worth::Document)]);
    play.put(0, [1]);
    play.run(9_000, &mut |request| whole(request, Class::Auth));
    let (opened, before) = (play.lanes.systems(play.now), play.lanes.changes());
    assert!(matches!(&opened[0].standing, Standing::Open { .. }), "{opened:?}");
    play.run(60_000, &mut good);
    let stands = play.lanes.systems(play.now).remove(0).standing;
    assert!(matches!(stands, Standing::HalfOpen { good: 1, good_since: Some(_), .. }), "{stands:?}");
    assert_eq!(play.lanes.changes(), before + 2, "half open, and one row: shown anew both times");
}

/// The breaker would try after ten seconds, the lane may not for twenty, and a person may hold all of it meanwhile.
#[test]
fn when_a_system_is_tried_next_is_what_its_lanes_will_do() {
    let mut play = Play::new(vec![config("a", Worth::Document), config("b", Worth::Document)]);
    let told = |play: &Play| match play.lanes.systems(play.now).remove(0).standing {
        Standing::Open { trouble, next_try } | Standing::HalfOpen { trouble, next_try, .. } => (trouble.seq, next_try),
        Standing::Closed => (None, None),
    };
    let goes = |play: &Play| match &play.lanes.systems(play.now)[0].standing {
        Standing::Open { trouble, .. } | Standing::HalfOpen { trouble, .. } => trouble.help.contains("goes by itself"),
        Standing::Closed => true,
    };
    let refused = |request: &Request, class, status, after| {
        Some(Answer { status: Some(status), retry_after_ms: after, ..whole(request, class)? })
    };
    play.put(0, [4]);
    play.run(0, &mut |request| refused(request, Class::Auth, 401, None));
    assert_eq!(told(&play), (Some(4), Some(START.plus(10_000))));
    play.run(10_000, &mut |request| refused(request, Class::Throttled, 429, Some(20_000)));
    assert_eq!(told(&play), (Some(4), Some(START.plus(30_000))), "half open, and asked to stay away");
    let shown = play.lanes.changes();
    play.step(0, Input::Held(true));
    assert_eq!(told(&play).1, None, "a person holds what waits");
    assert!(goes(&play), "not what comes in the other lane");
    play.step(1, Input::Held(true));
    assert!(!goes(&play), "nothing goes before a person lets it go");
    play.step(1, Input::Held(false));
    play.put(1, [5]);
    assert_eq!((play.flying.len(), told(&play).1), (1, None), "the other lane was not asked to");
    play.run(0, &mut |request| refused(request, Class::Auth, 401, None));
    assert_eq!(told(&play), (Some(5), Some(START.plus(30_000))));
    assert!(play.lanes.changes() >= shown + 2, "shown anew each time");
}

#[test]
fn the_oldest_row_of_the_highest_class_finds_out_and_one_in_vain_lets_others_try() {
    let worths = [("shown", Worth::Visibility), ("doc", Worth::Document), ("books", Worth::Ledger)];
    let mut play = Play::new(worths.map(|(id, worth)| config(id, worth)).into());
    play.put(0, 1..=10);
    play.run(9_000, &mut |request| whole(request, Class::Transient));
    play.put(1, 20..30);
    play.put(2, 30..40);
    let before = play.requests.len();
    play.run(35_000, &mut |request| whole(request, Class::Transient));
    let tried: Vec<_> = play.requests[before..].iter().map(|request| (request.lane, request.rows.clone())).collect();
    assert_eq!(tried, [(2, vec![30]), (1, vec![20])]);
}

#[test]
fn a_transient_or_throttled_answer_never_makes_a_dead_letter() {
    for class in [Class::Transient, Class::Throttled] {
        let mut play = Play::new(vec![config("a", Worth::Ledger)]);
        play.put(0, 1..=30);
        play.run(8 * HOUR, &mut |request| whole(request, class));
        assert!(play.requests.len() > 45 && play.ends.is_empty(), "{class:?}: {:?}", play.ends);
        play.run(HOUR, &mut good);
        assert_eq!(play.delivered(0), 30, "{class:?}");
    }
}

#[test]
fn what_a_posting_refers_to_may_be_missing_for_the_grace_and_no_longer() {
    let grace = 20 * 60_000;
    let play_until = |there_after: u64| {
        let lane = Config { reference_grace_ms: grace, retry_max_ms: 60_000, ..config("a", Worth::Document) };
        let mut play = Play::new(vec![lane]);
        play.put(0, 1..=3);
        play.run(HOUR, &mut |request| {
            let there = request.at >= START.plus(there_after);
            Some(each(request, |row| if row == 2 && !there { Class::Reference } else { Class::Delivered }))
        });
        play
    };
    let in_time = play_until(grace - 2 * 60_000);
    assert_eq!((in_time.delivered(0), in_time.dead()), (3, vec![]));
    let never = play_until(2 * HOUR);
    assert_eq!(never.dead(), [(2, End::Rejected(Class::Reference, false))]);
    let last = never.requests.last().expect("it was sent").at.since(START);
    assert!((grace..grace + 2 * 60_000).contains(&last), "parked after {last} ms");
}

#[test]
fn during_retry_after_no_request_goes_to_that_lane() {
    let mut play = Play::new(vec![config("a", Worth::Document), config("b", Worth::Document)]);
    play.put(0, 1..=30);
    let mut first = true;
    let mut busy = |request: &Request| {
        if request.lane == 0 && std::mem::take(&mut first) {
            return Some(Answer { retry_after_ms: Some(60_000), ..whole(request, Class::Throttled)? });
        }
        good(request)
    };
    play.run(1_000, &mut busy);
    play.put(0, 40..50);
    play.put(1, 1..=30);
    play.run(58_000, &mut busy);
    assert_eq!(
        (play.delivered(0), play.delivered(1), play.requests.iter().filter(|r| r.lane == 0).count()),
        (0, 30, 1)
    );
    play.run(2_000, &mut busy);
    assert_eq!(play.delivered(0), 40);
    let again = play.requests.iter().filter(|r| r.lane == 0).nth(1).expect("it goes again");
    assert!(again.at >= START.plus(60_000), "{again:?}");
}

/// The time daemon sets the clock while a request is at work: what is absent now may be there in a moment.
#[test]
fn a_clock_that_is_set_ahead_makes_no_request_older() {
    let settle_ms = Some(10_000);
    let lane = Config { idempotency: Idempotency::Lookup, settle_ms, ..config("a", Worth::Document) };
    let mut play = Play::new(vec![lane]);
    play.put(0, [1]);
    play.run(1, &mut |request| whole(request, Class::Unknown));
    play.lanes.clock_jumped(3_600_000);
    play.now = play.now.plus(3_600_000);
    let set = play.now;
    play.run(30_000, &mut |request| request.look.then(|| each(request, |_| Class::Found)));
    let look = play.requests.iter().find(|request| request.look).expect("it is asked for");
    assert!(look.at.since(set) >= 9_000, "after {} ms", look.at.since(set));
}

#[test]
fn where_requests_are_scarce_postings_go_first_and_visibility_keeps_its_share() {
    let limits = Limits { per_minute: Some(600), burst: 1, ..Limits::default() };
    let lane = |id, worth| Config { limits, max_events: 1, ..config(id, worth) };
    let worths = [("shown", Worth::Visibility), ("doc", Worth::Document), ("books", Worth::Ledger)];
    let mut play = Play::new(worths.map(|(id, worth)| lane(id, worth)).into());
    for second in 0..200 {
        (0..3).for_each(|lane| play.put(lane, second * 10..second * 10 + 10));
        play.run(1_000, &mut good);
    }
    let [shown, doc, books] = [0, 1, 2].map(|lane| play.delivered(lane));
    assert_eq!(shown + doc + books, 1 + 1_600, "8 of 10 a second");
    assert_eq!(shown, 1 + 32, "the one that came first, and 2 %");
    assert!(books > doc && doc > 300, "the longest wait first, the books a minute ahead: {books}, {doc}");
}

#[test]
fn a_ledger_row_goes_before_a_document_that_has_not_waited_a_minute_longer() {
    let limits = Limits { max_concurrent: Some(1), ..Limits::default() };
    let lane = |id, worth| Config { limits, max_events: 1, ..config(id, worth) };
    let first_of = |longer: u64| {
        let worths = [("hold", Worth::Visibility), ("doc", Worth::Document), ("books", Worth::Ledger)];
        let mut play = Play::new(worths.map(|(id, worth)| lane(id, worth)).into());
        play.put(0, [1]); // under way, so that the others wait
        play.run(1, &mut |_| None);
        play.put(1, [2]);
        play.run(longer, &mut |_| None);
        play.put(2, [3]);
        let waited = play.flying[0].batch;
        let answer = good(&play.flying[0]).expect("an answer");
        play.flying.clear();
        play.step(0, Input::Answered { batch: waited, answer });
        play.flying[0].rows[0]
    };
    assert_eq!((first_of(59_000), first_of(61_000)), (3, 2));
}

/// Row 7 has the target crash, or the connection break, whenever it is in a request.
fn with_poison(lookup: bool, class: Class, found: bool) -> Play {
    let settle_ms = lookup.then_some(10_000);
    let mut play = Play::new(vec![Config { settle_ms, ..config("a", Worth::Document) }]);
    let mut seq = 0;
    for _ in 0..120 {
        play.put(0, seq + 1..=seq + 10);
        seq += 10;
        play.run(30_000, &mut |request| match request.look {
            true if found => Some(each(request, |_| Class::Found)),
            true => Some(each(request, |_| Class::NotAttempted)),
            false if request.rows.contains(&7) => whole(request, class),
            false => good(request),
        });
    }
    assert_eq!(play.lanes.systems(play.now)[0].standing, Standing::Closed, "one row closes no system");
    assert!(play.delivered(0) >= 1_199, "all others are posted: {}", play.delivered(0));
    play
}

#[test]
fn a_row_that_fails_alone_while_others_are_posted_is_a_persons() {
    let poisoned = |lookup, class, found| with_poison(lookup, class, found).dead();
    let dead = |maybe| vec![(7, End::Rejected(Class::Poison, maybe))];
    assert_eq!(poisoned(false, Class::Unknown, false), dead(true), "nobody knows whether it had effect");
    assert_eq!(poisoned(false, Class::Transient, false), dead(false), "it surely had none");
    assert_eq!(poisoned(true, Class::Unknown, false), dead(false), "it was asked for, and is not there");
    let found = with_poison(true, Class::Unknown, true);
    assert_eq!((found.dead(), &found.ends[&(0, 7)]), (vec![], &End::Delivered(Class::Found)));
}

#[test]
fn nothing_is_poison_while_nothing_succeeds_or_because_the_target_puts_it_off() {
    let mut play = Play::new(vec![config("a", Worth::Document)]);
    play.put(0, 1..=40);
    play.run(24 * HOUR, &mut |request| whole(request, Class::Unknown));
    play.put(0, 100..140);
    play.run(24 * HOUR, &mut |request| {
        Some(each(request, |row| if row == 7 { Class::Transient } else { Class::Delivered }))
    });
    assert_eq!((play.delivered(0), play.dead()), (79, vec![]));
}

#[expect(clippy::unnecessary_wraps, reason = "a target, which may hang as well")]
fn mapped_wrong(request: &Request) -> Option<Answer> {
    let mut answer = each(request, |_| Class::Validation);
    answer.outcomes.iter_mut().for_each(|outcome| outcome.code = Some("unknown_item".to_owned()));
    Some(answer)
}

#[test]
fn a_wrong_mapping_is_one_trouble_of_its_lane_and_not_thousands_of_dead_letters() {
    let mut play = Play::new(vec![config("wrong", Worth::Document), config("right", Worth::Document)]);
    let mut target = |request: &Request| if request.lane == 0 { mapped_wrong(request) } else { good(request) };
    play.put(0, 1..=5_000);
    play.put(1, 1..=5_000);
    play.run(50_000, &mut target);
    assert_eq!((play.dead().len(), play.delivered(1)), (30, 5_000), "three batches of ten");
    let stopped = play.lanes.systems(play.now)[0].stopped.clone();
    assert_eq!((stopped[0].lane.as_str(), stopped[0].storm.rejected), ("wrong", 30), "{stopped:?}");
    play.run(24 * HOUR, &mut target);
    let dead = play.dead().len();
    assert!((40..65).contains(&dead), "single rows find out, seldom: {dead}");
    // It was mended at the target: found out within the hour, without a person.
    play.run(HOUR + 60_000, &mut good);
    assert_eq!(play.delivered(0), 5_000 - dead);
    assert_eq!(play.lanes.systems(play.now)[0].stopped, []);
}

#[test]
fn a_person_who_frees_a_row_has_it_found_out_at_once() {
    let mut play = Play::new(vec![config("wrong", Worth::Document)]);
    play.put(0, 1..=200);
    play.run(1_000, &mut mapped_wrong);
    assert_eq!((play.dead().len(), play.lanes.lane(0).storm().is_some()), (30, true));
    let row = Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false };
    play.step(0, Input::Freed { row, next: None });
    play.run(1_000, &mut good);
    assert_eq!((play.delivered(0), play.lanes.lane(0).storm()), (170, None));
}

#[test]
fn half_of_the_last_hundred_rows_are_a_storm_whatever_their_reasons() {
    let rejected = |of_ten: i64| {
        let mut play = Play::new(vec![config("a", Worth::Document)]);
        for n in 0..40 {
            play.put(0, n * 10..n * 10 + 10);
            play.run(30_000, &mut |request| {
                let class = |row: i64| if row % 10 < of_ten { Class::Validation } else { Class::Delivered };
                let mut answer = each(request, class);
                for (outcome, row) in answer.outcomes.iter_mut().zip(&request.rows) {
                    outcome.code = Some(format!("reason_{}", row % 10));
                }
                Some(answer)
            });
        }
        play.lanes.lane(0).storm().is_some()
    };
    assert_eq!((rejected(5), rejected(6)), (false, true));
}

/// Twelve requests a minute, and two hundred jobs of one lane that the target does not come to an end with.
#[test]
fn questions_of_what_is_accepted_take_turns_with_what_other_lanes_have_to_post() {
    let limits = Limits { per_minute: Some(12), burst: 1, ..Limits::default() };
    let of = |id: &str| Config { max_events: 1, limits, ..config(id, Worth::Document) };
    let mut lanes = Lanes::new(vec![Lane::new(of("a"), 7), Lane::new(of("b"), 8)]);
    let (mut now, mut queue, mut posted) = (START, Vec::new(), 0);
    for lane in 0..2 {
        queue.extend(lanes.step(lane, Input::Loaded { rows: Vec::new(), more: false }, now));
    }
    let row = |seq| Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false };
    let rows = |from: i64| (from..from + 200).map(row).collect();
    queue.extend(lanes.step(0, Input::Captured { rows: rows(1), since: now }, now));
    let (late, end) = (START.plus(3 * 3_600_000), START.plus(6 * 3_600_000));
    let said = |class, rows: usize, later| {
        let (status, excerpt, outcomes) = (Some(200), String::new(), vec![Outcome::new(class, ""); rows]);
        Answer { status, excerpt, outcomes, whole: class == Class::Accepted, retry_after_ms: None, later }
    };
    let job = || Some(Later { by: By::Job("http://erp/jobs/7".to_owned()), after_ms: None });
    let mut captured = false;
    while now < end {
        if now >= late && !std::mem::replace(&mut captured, true) {
            queue.extend(lanes.step(1, Input::Captured { rows: rows(1_001), since: now }, now));
        }
        if let Some((lane, action)) = queue.pop() {
            let (batch, answer) = match action {
                Action::Send { batch, rows, .. } if lane == 0 => (batch, said(Class::Accepted, rows.len(), job())),
                Action::Send { batch, rows, .. } => {
                    posted += 1;
                    (batch, said(Class::Delivered, rows.len(), None))
                }
                Action::Poll { batch, rows, .. } => {
                    let answer = said(Class::Accepted, rows.len(), None);
                    queue.extend(lanes.step(lane, Input::Polled { batch, answer }, now));
                    continue;
                }
                _ => continue,
            };
            queue.extend(lanes.step(lane, Input::Answered { batch, answer }, now));
            continue;
        }
        let Some(at) = lanes.wake_at(now) else { break };
        now = at.max(now.plus(1));
        queue.extend(lanes.tick(now));
    }
    assert_eq!(posted, 200);
}

/// A person holds a shipment, whose postings are ordered in several ways, or a system with several lanes. A row of it that is due just
/// then does not leave between the parts of the command.
#[test]
fn nothing_leaves_before_all_of_a_hold_is_known() {
    let of = |id| Config { linger_ms: 20, max_in_flight: 2, ..config(id, Worth::Document) };
    let row = |seq, order| Row { key: RowKey { seq, tx: 1 }, order, size: 10, held: false };
    let later = START.plus(20);
    let holds = [[(1, Input::Kept(1)), (1, Input::Kept(5))], [(0, Input::Held(true)), (1, Input::Held(true))]];
    for hold in holds {
        let mut lanes = Lanes::new(vec![Lane::new(of("a"), 7), Lane::new(of("b"), 7)]);
        lanes.step(0, Input::Loaded { rows: vec![], more: false }, START);
        let first = lanes.step(1, Input::Loaded { rows: vec![row(1, 9)], more: false }, START);
        assert!(matches!(first[..], [(1, Action::Send { .. })]), "{first:?}");
        let lingers = lanes.step(1, Input::Captured { rows: vec![row(2, 5)], since: START }, START);
        assert!(lingers.is_empty() && lanes.wake_at(START) == Some(later), "{lingers:?}");
        let told = lanes.step_all(hold, later);
        assert!(!told.iter().any(|(_, action)| matches!(action, Action::Send { .. })), "{told:?}");
    }
}

/// While a breaker is open, a few rows take turns to find out whether the system is back. Where it is those rows that it can't take, others
/// find out.
#[test]
fn rows_that_can_not_be_posted_keep_nobody_from_finding_out() {
    for bad in 3..=6 {
        let mut play = Play::new(vec![Config { retry_max_ms: 60_000, ..config("a", Worth::Document) }]);
        let odd = || Outcome::new(Class::Unknown, format!("{}\"banana\"", Outcome::ODD_STATUS));
        let mut erp = |request: &Request| {
            let outcome = |row: &i64| if *row <= bad { odd() } else { Outcome::new(Class::Delivered, "test") };
            let outcomes: Vec<Outcome> = request.rows.iter().map(outcome).collect();
            let whole = outcomes.iter().all(|o| o.class == Class::Unknown);
            Some(Answer { outcomes, whole, ..each(request, |_| Class::Unknown) })
        };
        play.put(0, 1..=bad);
        play.run(3_600_000, &mut erp);
        assert!(!matches!(play.lanes.systems(play.now)[0].standing, Standing::Closed), "{bad}: nothing is posted");
        play.put(0, 11..=30);
        play.run(4 * 3_600_000, &mut erp);
        assert_eq!(play.delivered(0), 20, "{bad}: {:?}", play.lanes.systems(play.now)[0].standing);
    }
}
