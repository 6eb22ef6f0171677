//! Random days of the real writer, on a real database: two lanes of a system, persons and what they hold, lost answers, restarts.
//!
//! `FLOORGATE_SEED` repeats one day; `FLOORGATE_DAYS` runs more of them. A day that fails has printed its seed and its course.

#![expect(clippy::print_stdout, reason = "a day that fails shows its course")]

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::lane::Act;
use crate::outbox::read::{chain, parked};

const SUBJECTS: u8 = 5;
/// Each lane takes scans of its own kind.
const LANES: [(&str, &str); 2] = [("items", "scan.item"), ("edges", "scan.edge")];

/// A row as the target sees it.
struct Item {
    key: Id,
    n: i64,
    subject: String,
}

struct Day {
    rng: fastrand::Rng,
    dir: tempfile::TempDir,
    lanes: Vec<lane::Config>,
    /// Captured so far, by number: lane and subject.
    captured: BTreeMap<i64, (usize, String)>,
    flying: Vec<Outgoing>,
    /// What was sent under each key.
    sent: BTreeMap<Id, serde_json::Value>,
    /// What the target has, by number and by key.
    posted: BTreeMap<i64, Id>,
    skipped: BTreeSet<i64>,
    held: BTreeSet<(&'static str, String)>,
    commands: u32,
    /// The target takes everything, and persons release and drop nothing.
    calm: bool,
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut of = |(id, kind): (&str, &str)| lane::Config {
            id: id.to_owned(),
            take: vec![kind.to_owned()],
            max_events: rng.usize(1..6),
            max_in_flight: rng.usize(1..3),
            ordered_batch: rng.bool(),
            linger_ms: 1,
            retry_max_ms: 1,
            reference_grace_ms: 20,
            limits: lane::Limits { breaker_first_ms: 1, breaker_max_ms: 1, ..Default::default() },
            ..lane()
        };
        let lanes = LANES.map(&mut of).to_vec();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (posted, skipped, held) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let (captured, flying, sent) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { rng, dir, lanes, captured, flying, sent, posted, skipped, held, commands: 0, calm: false }
    }

    fn subject(&mut self) -> String {
        format!("s{}", self.rng.u8(0..SUBJECTS))
    }

    // ---- the target

    fn items(batch: &Outgoing) -> Vec<(Item, serde_json::Value)> {
        let body: serde_json::Value = serde_json::from_slice(batch.body()).expect("a body is JSON");
        let text = |row: &serde_json::Value, name: &str| row[name].as_str().expect("a text").to_owned();
        let item = |row: &serde_json::Value| Item {
            key: Id::parse(&text(row, "key")).expect("a key"),
            n: text(row, "seq").parse().expect("a number"),
            subject: text(row, "subject"),
        };
        body["events"].as_array().expect("a list").iter().map(|row| (item(row), row.clone())).collect()
    }

    /// What has left since it was looked at last: nothing of a held lane, and nothing new of a held subject.
    fn look(&mut self, work: &mut mpsc::Receiver<Outgoing>) {
        while let Ok(batch) = work.try_recv() {
            let items = Self::items(&batch);
            let numbers: Vec<i64> = items.iter().map(|(item, _)| item.n).collect();
            println!("{} {} leaves, attempt {}: {numbers:?}", LANES[batch.lane].0, batch.batch, batch.attempt);
            let holds = |scope: Scope, name: &str| self.held.contains(&(scope.name(), name.to_owned()));
            assert!(!holds(Scope::System, "erp") && !holds(Scope::Lane, LANES[batch.lane].0), "it is held");
            for (item, row) in items {
                assert!(batch.attempt > 1 || !holds(Scope::Subject, &item.subject), "{} is held", item.subject);
                assert_eq!(self.sent.entry(item.key).or_insert_with(|| row.clone()), &row, "the same in every attempt");
            }
            self.flying.push(batch);
        }
    }

    /// Once, and behind all others of its subject.
    fn post(&mut self, Item { key, n, subject }: &Item) {
        let known = self.posted.insert(*n, *key);
        assert!(known.is_none_or(|known| known == *key), "{n} is posted twice");
        let lane = self.captured[n].0;
        let before = self.captured.range(..n).filter(|(_, of)| **of == (lane, subject.clone())).map(|(m, _)| m);
        let open: Vec<_> = before.filter(|m| !self.posted.contains_key(m) && !self.skipped.contains(m)).collect();
        assert!(open.is_empty(), "{n} is posted before {open:?}");
    }

    fn answer(&mut self, outbox: &Outbox) {
        if self.flying.is_empty() {
            return;
        }
        let batch = self.flying.remove(self.rng.usize(0..self.flying.len()));
        let mut answer = all(&batch, Class::Delivered);
        let whole = |class| Answer { whole: true, ..all(&batch, class) };
        match if self.calm { 99 } else { self.rng.u8(0..14) } {
            0 => {
                let some = self.rng.usize(0..=batch.keys.len());
                Self::items(&batch).iter().take(some).for_each(|(item, _)| self.post(item));
                answer = Answer { status: None, ..whole(Class::Unknown) };
            }
            1 => answer = Answer { status: None, ..whole(Class::Transient) },
            2 => answer = Answer { retry_after_ms: Some(self.rng.u64(1..9)), ..whole(Class::Throttled) },
            3 if batch.keys.len() > 1 => answer = Answer { status: Some(422), ..whole(Class::Validation) },
            4 if batch.keys.len() > 1 => {
                answer = Answer { status: Some(413), ..whole(Class::NotAttempted) };
                answer.outcomes[0].code = Some(Outcome::TOO_LARGE.to_owned());
            }
            _ => {
                let mut stopped = BTreeSet::new();
                for ((item, _), outcome) in Self::items(&batch).iter().zip(&mut answer.outcomes) {
                    outcome.class = match if self.calm { 99 } else { self.rng.u8(0..16) } {
                        _ if self.posted.get(&item.n) == Some(&item.key) => Class::Duplicate,
                        _ if stopped.contains(&item.subject) => Class::NotAttempted,
                        0 | 1 => Class::Validation,
                        2 | 3 => Class::Reference,
                        4 => Class::Transient,
                        5 => Class::KeyClash,
                        6 => Class::Unknown,
                        _ => Class::Delivered,
                    };
                    if outcome.class == Class::Delivered || (outcome.class == Class::Unknown && self.rng.bool()) {
                        self.post(item);
                    } else if outcome.class != Class::Duplicate {
                        stopped.insert(item.subject.clone());
                    }
                }
            }
        }
        let said: Vec<Class> = answer.outcomes.iter().map(|outcome| outcome.class).collect();
        println!("{} {} is answered: {said:?}", LANES[batch.lane].0, batch.batch);
        outbox.answered(batch.lane, batch.batch, answer).expect("the writer runs");
    }

    // ---- persons

    /// What had left before a hold was told is there when it is answered; a moment later nothing more of it comes.
    async fn hold(
        &mut self,
        outbox: &Outbox,
        work: &mut mpsc::Receiver<Outgoing>,
        (scope, name): (Scope, &str),
        on: bool,
    ) {
        self.look(work);
        self.commands += 1;
        let (id, reason) = (format!("r{}", self.commands), "stock count".to_owned());
        let hold = Hold { id, scope, name: name.to_owned(), on, reason };
        let said = outbox.hold(hold, "anna".to_owned()).await.expect("the writer runs");
        self.look(work);
        println!("{name} held: {on}, {}", said.text);
        let named = (scope.name(), name.to_owned());
        if on {
            self.held.insert(named);
        } else {
            self.held.remove(&named);
        }
    }

    /// One looks at a row that needs a person: in the target first, and again with a second one where it takes two.
    async fn decide(&mut self, outbox: &Outbox) {
        let needs = parked::needs(self.dir.path(), None, Millis(0)).expect("it reads");
        let Some(need) = needs.get(self.rng.usize(0..needs.len().max(1))) else { return };
        let db = open::open_read_only(self.dir.path()).expect("it opens beside the writer");
        let n: i64 =
            db.query_row("SELECT pos FROM event WHERE seq = ?", [need.seq], |r| r.get(0)).expect("it is there");
        let act = match () {
            () if self.posted.contains_key(&n) => Act::Resolve,
            () if !self.calm && self.rng.u8(0..6) == 0 => Act::Skip,
            () if need.may.contains(&"retry") => Act::Retry,
            () => Act::Repost,
        };
        for actor in ["anna", "ben"].into_iter().take(if act == Act::Repost { 2 } else { 1 }) {
            self.commands += 1;
            let (id, keys) = (format!("r{}", self.commands), vec![need.named()]);
            let reference = (act == Act::Resolve).then(|| "D1".to_owned());
            let order = Order { id, act, keys, reason: "looked at".to_owned(), reference, changes: Vec::new() };
            let said = outbox.operate(order, actor.to_owned()).await.expect("the writer runs");
            println!("{actor}: {} {n}: {}", act.name(), said[0].text);
            assert!(said[0].done || actor == "anna" && act == Act::Repost, "{}", said[0].text);
        }
        if act == Act::Skip {
            self.skipped.insert(n);
        }
    }

    // ---- the day

    async fn act(&mut self, outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>) {
        match self.rng.u8(0..24) {
            0..6 => {
                let mut samples = Vec::new();
                for _ in 0..self.rng.usize(1..5) {
                    let (n, lane, subject) = (self.captured.len() as u64 + 1, self.rng.usize(0..2), self.subject());
                    let event = event(LANES[lane].1, &subject);
                    let position = Position::Counted { boot: Some("1".to_owned()), seq: n, bits: 16, ring: 32 };
                    samples.push(sample(position, vec![event], &subject));
                    self.captured.insert(n.cast_signed(), (lane, subject));
                }
                let new = vec![Placed::New; samples.len()];
                assert_eq!(outbox.capture(samples).await, Ok(new));
            }
            6..16 => self.answer(outbox),
            16..19 => self.decide(outbox).await,
            dice => {
                let subject = self.subject();
                let what = *self.rng.choice([(Scope::Lane, "items"), (Scope::System, "erp")].iter()).expect("two");
                let what = if self.rng.u8(0..3) == 0 { what } else { (Scope::Subject, &*subject) };
                self.hold(outbox, work, what, dice < 21).await;
            }
        }
        self.look(work);
    }

    async fn comes_to_rest(&mut self, outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>) {
        self.calm = true;
        for (scope, name) in self.held.clone() {
            let scope = Scope::ALL.into_iter().find(|known| known.name() == scope).expect("one of them");
            self.hold(outbox, work, (scope, &name), false).await;
        }
        let dir = self.dir.path().to_owned();
        let open = || {
            let db = open::open_read_only(&dir).expect("it opens beside the writer");
            db.query_row("SELECT EXISTS (SELECT 1 FROM pending)", [], |r| r.get::<_, bool>(0)).expect("it reads")
        };
        while open() {
            self.answer(outbox);
            self.decide(outbox).await;
            outbox.pulse().await.expect("the writer runs");
            self.look(work);
        }
    }

    /// Some runs of the gateway: what a stop leaves unanswered has its effect, or has not.
    async fn run(&mut self) {
        for last in [false, false, false, true] {
            let (out, mut work) = mpsc::channel(64);
            let config = Config { synchronous_normal: true, ..config(self.dir.path()) };
            let (outbox, ended) = Outbox::open(config, self.lanes.clone(), vec![out]).expect("it opens");
            for _ in 0..self.rng.usize(1..60) {
                self.act(&outbox, &mut work).await;
            }
            if last {
                let rest = self.comes_to_rest(&outbox, &mut work);
                tokio::time::timeout(DEADLINE, rest).await.expect("nothing stands still");
            }
            stop(outbox, ended).await;
            println!("stopped");
            self.look(&mut work);
            for batch in std::mem::take(&mut self.flying) {
                if self.rng.bool() {
                    Self::items(&batch).iter().for_each(|(item, _)| self.post(item));
                }
            }
        }
    }

    fn verdict(&self) {
        let status = read::status(self.dir.path(), 0).expect("it reads");
        for (index, lane) in status.lanes.iter().enumerate() {
            let of_it = |n: &&i64| self.captured[*n].0 == index;
            let (posted, skipped) =
                (self.posted.keys().filter(of_it).count(), self.skipped.iter().filter(of_it).count());
            assert_eq!((lane.delivered, lane.skipped), (posted as i64, skipped as i64), "each row is counted once");
            assert_eq!((lane.ready, lane.sending, lane.unknown, lane.waiting, lane.rejected), (0, 0, 0, 0, 0));
        }
        assert_eq!(self.posted.len() + self.skipped.len(), self.captured.len(), "nothing is lost");
        assert_eq!(status.pending_bytes, 0);
        let chain = chain::verified(self.dir.path(), None).expect("it reads").expect("the audit is whole");
        assert!(chain.rows <= i64::from(self.commands));
    }
}

#[tokio::test]
async fn random_days_with_persons_holds_and_restarts_post_each_row_once_and_in_order() {
    let number =
        |name| std::env::var_os(name).map(|text| text.to_str().and_then(|n| n.parse().ok()).expect("a number"));
    let first: Option<u64> = number("FLOORGATE_SEED");
    let days = first.map_or(number("FLOORGATE_DAYS").unwrap_or(8), |_| 1);
    for seed in (0..days).map(|i| first.unwrap_or(0) + i) {
        println!("FLOORGATE_SEED={seed}");
        let mut day = Day::new(seed);
        day.run().await;
        day.verdict();
    }
}
