//! Random days of the real writer, on a real database: two lanes of a system, persons, what they hold, lost answers and restarts.
//!
//! `FLOORGATE_SEED` repeats one day; `FLOORGATE_DAYS` runs more of them. A day that fails shows its seed and its course.

#![expect(clippy::print_stdout, reason = "a day that fails shows its course")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;
use crate::lane::Act;
use crate::outbox::read::{chain, parked};

/// Each lane takes scans of its own kind.
const LANES: [(&str, &str); 2] = [("items", "scan.item"), ("edges", "scan.edge")];

/// What the target may have against a row; else it posts it.
const MOODS: [Class; 6] =
    [Class::Validation, Class::KeyClash, Class::Reference, Class::Reference, Class::Transient, Class::Unknown];

#[derive(Default)]
struct Day {
    rng: fastrand::Rng,
    dir: PathBuf,
    /// Lane and subject of each scan.
    scans: BTreeMap<i64, (usize, String)>,
    /// What has left and is not answered.
    flying: Vec<Outgoing>,
    /// What the target has, and under which key.
    posted: BTreeMap<i64, Id>,
    skipped: BTreeSet<i64>,
    /// What first left later than this is held.
    held: BTreeMap<(&'static str, String), i64>,
    commands: u32,
    /// The target takes everything, and nobody skips.
    calm: bool,
}

/// The rows of a batch: each with its scan.
fn rows(batch: &Outgoing) -> Vec<(Id, i64)> {
    let body: serde_json::Value = serde_json::from_slice(batch.body()).expect("a body is JSON");
    let seqs = body["events"].as_array().expect("a list").iter().map(|event| event["seq"].as_str().expect("a text"));
    batch.keys.iter().copied().zip(seqs.map(|seq| seq.parse().expect("a number"))).collect()
}

impl Day {
    /// What has left since: nothing of a held lane or system, and nothing new of a held subject.
    fn look(&mut self, work: &mut mpsc::Receiver<Outgoing>) {
        while let Ok(batch) = work.try_recv() {
            println!("{} {} leaves, attempt {}: {:?}", batch.lane, batch.batch, batch.attempt, rows(&batch));
            let since = |scope: Scope, name: &str| self.held.get(&(scope.name(), name.to_owned()));
            let is_held = |scope, name| since(scope, name).is_some_and(|since| batch.first_sent.0 > *since);
            assert!(!is_held(Scope::System, "erp") && !is_held(Scope::Lane, LANES[batch.lane].0), "it is held");
            let kept = rows(&batch).iter().any(|(_, n)| is_held(Scope::Subject, &self.scans[n].1));
            assert!(batch.attempt > 1 || !kept, "its subject is held");
            self.flying.push(batch);
        }
    }

    /// Once, and behind all others of its subject.
    fn post(&mut self, (key, n): (Id, i64)) {
        assert_eq!(*self.posted.entry(n).or_insert(key), key, "{n} is posted twice");
        let open = |m: &i64| !self.posted.contains_key(m) && !self.skipped.contains(m);
        let first = self.scans.iter().find(|(m, of)| **of == self.scans[&n] && open(m));
        assert!(first.is_none_or(|(m, _)| *m > n), "{n} is posted before {first:?}");
    }

    fn answer(&mut self, outbox: &Outbox) {
        if self.flying.is_empty() {
            return;
        }
        let batch = self.flying.swap_remove(self.rng.usize(0..self.flying.len()));
        let whole = |class| Answer { status: None, whole: true, ..all(&batch, class) };
        let answer = match if self.calm { 99 } else { self.rng.u8(0..12) } {
            0 => {
                let some = self.rng.usize(0..=batch.keys.len());
                rows(&batch).into_iter().take(some).for_each(|row| self.post(row));
                whole(Class::Unknown)
            }
            1 => whole(Class::Transient),
            2 if batch.keys.len() > 1 => Answer { status: Some(422), ..whole(Class::Validation) },
            _ => {
                let (mut said, mut stopped) = (all(&batch, Class::Delivered), BTreeSet::new());
                for ((key, n), outcome) in rows(&batch).into_iter().zip(&mut said.outcomes) {
                    outcome.class = match if self.calm { 99 } else { self.rng.usize(0..16) } {
                        _ if self.posted.get(&n) == Some(&key) => Class::Duplicate,
                        _ if stopped.contains(&self.scans[&n]) => Class::NotAttempted,
                        dice => MOODS.get(dice).copied().unwrap_or(Class::Delivered),
                    };
                    let lost = outcome.class == Class::Unknown && self.rng.bool();
                    if outcome.class == Class::Delivered || lost {
                        self.post((key, n));
                    } else if outcome.class != Class::Duplicate {
                        stopped.insert(self.scans[&n].clone());
                    }
                }
                said
            }
        };
        let said: Vec<Class> = answer.outcomes.iter().map(|outcome| outcome.class).collect();
        println!("{} {} is answered: {said:?}", batch.lane, batch.batch);
        outbox.answered(batch.lane, batch.batch, answer).expect("the writer runs");
    }

    /// What has left when a hold is answered may have left before it was stored, by its time. What comes later did not.
    async fn hold(&mut self, outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>, scope: Scope, name: &str, on: bool) {
        self.commands += 1;
        let (id, named) = (format!("r{}", self.commands), (scope.name(), name.to_owned()));
        self.look(work);
        let (_, text) = holds::told(outbox, holds::hold(&id, scope, name, on)).await;
        println!("{named:?}, {on}: {text}");
        self.held.remove(&named);
        if on {
            let db = open::open_read_only(&self.dir).expect("it opens beside the writer");
            let sql = "SELECT at FROM hold WHERE scope = ? AND name = ?";
            let at = db.query_row(sql, [named.0, &named.1], |r| r.get(0)).expect("it is stored");
            self.held.insert(named.clone(), at);
            self.look(work);
            self.held.insert(named, 0);
        }
    }

    /// A row that needs a person is looked up in the target first. It takes a second one to post it under a new key.
    async fn decide(&mut self, outbox: &Outbox) {
        let needs = parked::needs(&self.dir, None, Millis(0)).expect("it reads");
        let Some(need) = needs.get(self.rng.usize(0..needs.len().max(1))) else { return };
        let db = open::open_read_only(&self.dir).expect("it opens beside the writer");
        let n: i64 = db.query_row("SELECT pos FROM event WHERE seq = ?", [need.seq], |r| r.get(0)).expect("it reads");
        let (act, actors) = match () {
            () if self.posted.contains_key(&n) => (Act::Resolve, &["anna"][..]),
            () if !self.calm && self.rng.u8(0..6) == 0 => (Act::Skip, &["anna"][..]),
            () if need.may.contains(&"retry") => (Act::Retry, &["anna"][..]),
            () => (Act::Repost, &["anna", "ben"][..]),
        };
        for actor in actors {
            self.commands += 1;
            let reference = (act == Act::Resolve).then(|| "D1".to_owned());
            let order = operate::order(&format!("r{}", self.commands), act, &[]);
            let order = Order { keys: vec![need.named()], reference, ..order };
            let said = outbox.operate(order, (*actor).to_owned()).await.expect("the writer runs");
            println!("{actor}, {} of {n}: {}", act.name(), said[0].text);
            assert!(said[0].done || actors.len() == 2, "{}", said[0].text);
        }
        if act == Act::Skip {
            self.skipped.insert(n);
        }
    }

    async fn act(&mut self, outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>) {
        let (subject, on) = (format!("s{}", self.rng.u8(0..5)), self.rng.u8(0..5) < 2);
        match self.rng.u8(0..24) {
            0..6 => {
                let (n, lane) = (self.scans.len() as u64 + 1, self.rng.usize(0..2));
                let position = Position::Counted { boot: Some("1".to_owned()), seq: n, bits: 16, ring: 32 };
                let scan = sample(position, vec![event(LANES[lane].1, &subject)], &subject);
                self.scans.insert(n.cast_signed(), (lane, subject));
                assert_eq!(outbox.capture(vec![scan]).await, Ok(vec![Placed::New]));
            }
            6..14 => self.answer(outbox),
            14..18 => self.decide(outbox).await,
            18 => self.hold(outbox, work, Scope::System, "erp", on).await,
            19 => self.hold(outbox, work, Scope::Lane, LANES[0].0, on).await,
            _ => self.hold(outbox, work, Scope::Subject, &subject, on).await,
        }
        self.look(work);
    }

    async fn come_to_rest(&mut self, outbox: &Outbox, work: &mut mpsc::Receiver<Outgoing>) {
        self.calm = true;
        for ((name, of), _) in self.held.clone() {
            let scope = Scope::ALL.into_iter().find(|scope| scope.name() == name).expect("one of them");
            self.hold(outbox, work, scope, &of, false).await;
        }
        let db = open::open_read_only(&self.dir).expect("it opens beside the writer");
        let open = || db.query_row("SELECT EXISTS (SELECT 1 FROM pending)", [], |r| r.get::<_, bool>(0));
        while open().expect("it reads") {
            self.answer(outbox);
            self.decide(outbox).await;
            outbox.pulse().await.expect("the writer runs");
            self.look(work);
        }
    }

    /// Some runs of the gateway. What a stop leaves without an answer has its effect, or none.
    async fn run(&mut self) {
        let mut of = |(id, kind): (&str, &str)| lane::Config {
            id: id.to_owned(),
            take: vec![kind.to_owned()],
            max_events: self.rng.usize(1..6),
            max_in_flight: self.rng.usize(1..3),
            ordered_batch: self.rng.bool(),
            linger_ms: 1,
            reference_grace_ms: 20,
            ..lane()
        };
        let lanes = LANES.map(&mut of).to_vec();
        for last in [false, false, false, true] {
            let (out, mut work) = mpsc::channel(64);
            let config = Config { synchronous_normal: true, ..config(&self.dir) };
            let (outbox, ended) = Outbox::open(config, lanes.clone(), vec![out]).expect("it opens");
            for _ in 0..self.rng.usize(1..80) {
                self.act(&outbox, &mut work).await;
            }
            if last {
                let rest = self.come_to_rest(&outbox, &mut work);
                tokio::time::timeout(DEADLINE, rest).await.expect("nothing stands still");
            }
            stop(outbox, ended).await;
            println!("stopped");
            self.look(&mut work);
            for batch in std::mem::take(&mut self.flying) {
                let some = if self.rng.bool() { batch.keys.len() } else { 0 };
                rows(&batch).into_iter().take(some).for_each(|row| self.post(row));
            }
        }
    }

    fn verdict(&self) {
        let status = read::status(&self.dir, 0).expect("it reads");
        for (index, lane) in status.lanes.iter().enumerate() {
            let of_it = |n: &&i64| self.scans[*n].0 == index;
            let ended = [self.posted.keys().filter(of_it).count(), self.skipped.iter().filter(of_it).count()];
            assert_eq!([lane.delivered, lane.skipped].map(i64::unsigned_abs), ended.map(|n| n as u64));
            assert_eq!([lane.ready, lane.sending, lane.unknown, lane.waiting, lane.rejected], [0; 5]);
        }
        assert_eq!(self.posted.len() + self.skipped.len(), self.scans.len(), "nothing is lost");
        assert_eq!(status.pending_bytes, 0);
        chain::verified(&self.dir, None).expect("it reads").expect("the audit is whole");
    }
}

#[tokio::test]
async fn random_days_with_persons_holds_and_restarts_post_each_row_once_and_in_order() {
    let number = |name| std::env::var_os(name).map(|text| text.to_string_lossy().parse::<u64>().expect("a number"));
    let (first, days) = number("FLOORGATE_SEED").map_or((0, number("FLOORGATE_DAYS").unwrap_or(8)), |seed| (seed, 1));
    for seed in first..first + days {
        println!("FLOORGATE_SEED={seed}");
        let (rng, dir) = (fastrand::Rng::with_seed(seed), tempfile::tempdir().expect("a temporary directory"));
        let mut day = Day { rng, dir: dir.path().to_owned(), ..Day::default() };
        day.run().await;
        day.verdict();
    }
}
