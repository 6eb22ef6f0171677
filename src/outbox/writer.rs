//! The writer thread: takes commands, groups them into commits, drives the lanes.
//!
//! A commit is made at once when a batch waits to leave or (preset `fast`) a sample waits for its acknowledgement; at the
//! pace of the preset otherwise; and a settled batch alone rides on the next commit, [`LAZY`] later at most. A crash
//! before that only causes a resend, which the key absorbs.

mod persons;
mod told;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use self::told::{tell_batches, tell_orphans};
use crate::event::{Id, Millis, Now, Sample};
use crate::lane::{self, Action, Answer, Class, Input, Lane, Lanes, Outgoing, Row, RowKey, System, Way};
use crate::outbox::capture::Capture;
use crate::outbox::clock::{Clock, instant};
use crate::outbox::delivery::{Cause, Flight, Frozen, apply, compare, freeze, load, named, question, saved};
use crate::outbox::fill::Fill;
use crate::outbox::hold;
use crate::outbox::open::{self, StorageError};
use crate::outbox::operate::auto_resolve;
use crate::outbox::{CaptureError, CaptureReply, Command, Config, Placed, Preset, Pulse, Tap, attempts, trim};

/// `gentle`: at most one commit in this time.
const PACE: Duration = Duration::from_millis(20);
/// A settled batch waits this long for a commit to ride on.
const LAZY: Duration = Duration::from_millis(40);
/// Without a clock to trust, what was sent before the machine started waits so long for one.
const HOLD_UNSYNCED: Duration = Duration::from_mins(15);
/// Samples that one commit takes.
const GROUP: usize = 2_048;
/// How often history is trimmed and the disk looked at, when nothing else happens.
const HOUSEKEEPING: Duration = Duration::from_secs(2);

struct Waiting {
    /// When it was handed in.
    at: Instant,
    samples: Vec<Sample>,
    refused: Arc<AtomicBool>,
    reply: CaptureReply,
}

impl Waiting {
    /// Nothing of it is stored, and nothing behind it will be.
    fn refuse(self) {
        self.refused.store(true, Ordering::SeqCst);
        answer(self.reply, Err(CaptureError::Full));
    }
}

/// What a lane decided and the database does not know yet.
struct Todo {
    lane: usize,
    action: Action,
    cause: Cause,
}

struct Ended {
    lane: usize,
    flight: Flight,
    answer: Answer,
    cause: Cause,
    /// When the lane tries again, as far as it knows.
    again: Option<Millis>,
}

pub(super) struct Writer {
    db: Connection,
    _lock: File,
    dir: PathBuf,
    config: Config,
    clock: Clock,
    /// Since when lanes have batches that wait for a clock to trust.
    doubtful: Option<Instant>,
    capture: Capture,
    lanes: Lanes,
    out: Vec<mpsc::Sender<Outgoing>>,
    inbox: Receiver<Command>,
    room: watch::Sender<bool>,
    /// How the systems stand, as told last.
    systems: watch::Sender<Vec<System>>,
    told_changes: u64,
    fill: Fill,
    tap: Tap,

    waiting: Vec<Waiting>,
    waiting_samples: usize,
    /// Whoever asked whether commits move.
    asked: Vec<oneshot::Sender<Pulse>>,
    commits: u64,
    ended: Vec<Ended>,
    todo: Vec<Todo>,
    /// Batches sent and not answered.
    flying: HashMap<(usize, u64), Flight>,
    /// Batches that are stored as `sending` and have not left …
    ahead: HashMap<(usize, u64), (Flight, Outgoing)>,
    /// … and those that are with the commit which is under way: they can't leave before it.
    uncommitted: HashMap<(usize, u64), (Flight, Outgoing)>,
    /// The oldest settled thing not yet committed.
    lazy_since: Option<Instant>,
    last_commit: Instant,
    last_housekeeping: Instant,
    disk_full: bool,
    stopping: bool,
    /// What keeps a lane's target from taking postings, as told last.
    troubles: HashMap<usize, (Option<u16>, Class)>,
    /// Lanes whose target answers lookups and tells nothing in them.
    puzzled: HashSet<usize>,
    /// Lanes that were told to have stopped.
    told_stopped: BTreeSet<usize>,
    /// History that has been looked at for trimming.
    trimmed: trim::Trimmed,
}

impl Writer {
    pub(super) fn open(
        config: Config,
        lanes: Vec<lane::Config>,
        out: Vec<mpsc::Sender<Outgoing>>,
        inbox: Receiver<Command>,
        (room, systems, tap): (watch::Sender<bool>, watch::Sender<Vec<System>>, Tap),
    ) -> Result<Self, StorageError> {
        let opened = open::open(&config.dir, &config.site, config.synchronous_normal)?;
        let db = opened.db;
        let mut clock = Clock::new(opened.last_wall, opened.booted.is_some());
        let waits = opened.booted.filter(|_| clock.is_doubtful());
        let now = clock.now();
        let doubtful = waits.or_else(|| clock.is_behind().then_some(now.wall));
        clock.take_jump(); // from what was persisted to now: no lane has decided anything yet
        let capture =
            Capture::new(&db, config.site.clone(), opened.incarnation, (opened.run, opened.last_wall), &lanes)?;
        attempts::unheard(&db, &capture.routes)?;
        db.execute("UPDATE batch SET unknown = unixepoch() * 1000 WHERE unknown IS NULL", [])?;
        let mut states = Vec::new();
        for (route, config) in capture.routes.iter().zip(lanes) {
            compare(&db, &capture.site, route)?;
            let (batches, exceptions) = saved(&db, route)?;
            let next = 1 + route.counters.batches.unsigned_abs();
            tell_batches(&config.id, &batches, waits.is_some(), doubtful.is_some());
            let mut lane = Lane::new(config, opened.run.unsigned_abs());
            lane.restore(batches, exceptions, next, doubtful, now.wall);
            lane.restore_away(Millis(route.counters.away_until), now.wall);
            lane.restore_storm(route.storm.clone(), now.wall);
            hold::restore(&db, &capture.site, route, &mut lane)?;
            states.push(lane);
        }
        tell_orphans(&db, &states)?;
        open::unclosed(&db)?;
        let at = instant();
        Ok(Self {
            db,
            _lock: opened.lock,
            dir: config.dir.clone(),
            config,
            clock,
            doubtful: doubtful.map(|_| at),
            capture,
            lanes: Lanes::new(states),
            out,
            inbox,
            room,
            systems,
            told_changes: 0,
            fill: Fill::Room,
            tap,
            waiting: Vec::new(),
            waiting_samples: 0,
            asked: Vec::new(),
            commits: 0,
            ended: Vec::new(),
            todo: Vec::new(),
            flying: HashMap::new(),
            ahead: HashMap::new(),
            uncommitted: HashMap::new(),
            lazy_since: None,
            last_commit: at,
            last_housekeeping: at,
            disk_full: false,
            stopping: false,
            troubles: HashMap::new(),
            puzzled: HashSet::new(),
            told_stopped: BTreeSet::new(),
            trimmed: trim::Trimmed::default(),
        })
    }

    /// Runs until [`Command::Stop`] has been served or everyone who could hand in commands is gone.
    pub(super) fn run(&mut self) -> Result<(), StorageError> {
        self.housekeeping()?;
        self.tick()?;
        loop {
            if self.commit_due() {
                self.commit()?;
            }
            if !self.has_work() {
                self.tell_pulse();
            }
            if self.stopping && self.flying.is_empty() && self.ended.is_empty() && self.todo.is_empty() {
                return Ok(open::close(&self.db)?);
            }
            let timeout = self.next_deadline().saturating_duration_since(instant());
            match self.inbox.recv_timeout(timeout) {
                Ok(command) => {
                    self.take(command)?;
                    while self.waiting_samples < GROUP {
                        let Ok(command) = self.inbox.try_recv() else { break };
                        self.take(command)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.commit()?;
                    return Ok(open::close(&self.db)?);
                }
            }
            self.tick()?;
        }
    }

    fn take(&mut self, command: Command) -> Result<(), StorageError> {
        match command {
            Command::Capture { reply, .. } if self.stopping => answer(reply, Err(CaptureError::Closed)),
            Command::Capture { at, samples, refused, reply } => {
                let waiting = Waiting { at, samples, refused, reply };
                if self.is_full() || waiting.refused.load(Ordering::SeqCst) {
                    waiting.refuse();
                } else {
                    self.waiting_samples += waiting.samples.len();
                    self.waiting.push(waiting);
                }
            }
            Command::LastSeen { device, reply } => {
                let found = self.capture.last_seen(&self.db, &device)?;
                drop(reply.send(found)); // the source may have stopped meanwhile
            }
            Command::Proven { link, packets } => self.proven(&link, &packets)?,
            Command::Memory { name, reply } => {
                let found = open::memory(&self.db, &name)?;
                drop(reply.send(found)); // the source may have stopped meanwhile
            }
            Command::SessionLost { link, reply } => {
                // What came before it is remembered first, to be forgotten with the rest.
                if !self.waiting.is_empty() {
                    self.commit()?;
                }
                self.db.execute("DELETE FROM unacked WHERE link = ?", [&*link])?;
                if reply.send(()).is_err() {
                    tracing::debug!(link = &*link, "the source stopped meanwhile");
                }
            }
            Command::Pulse { reply } => self.asked.push(reply),
            Command::Operate { order, actor, reply } => {
                let acted = self.operate(&order, &actor)?;
                drop(reply.send(acted)); // whoever asked may have lost patience
            }
            Command::Hold { hold, actor, reply } => {
                let acted = self.hold(&hold, &actor)?;
                drop(reply.send(acted)); // whoever asked may have lost patience
            }
            Command::Answered { lane, batch, answer } => self.answered(lane, batch, answer)?,
            Command::Stop => {
                let now = self.lanes_now();
                let actions = self.lanes.stop(now);
                self.carry_out(actions, None, &Cause::default())?;
                self.stopping = true;
            }
        }
        Ok(())
    }

    /// Only messages without a number of their own are remembered by packet; most links have none.
    fn proven(&mut self, link: &str, packets: &[u16]) -> Result<(), StorageError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM unacked WHERE link = ?)";
        if !self.db.prepare_cached(sql)?.query_row([link], |r| r.get::<_, bool>(0))? {
            return Ok(());
        }
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut mark = tx.prepare_cached("UPDATE unacked SET proven = 1 WHERE link = ? AND packet = ?")?;
            for packet in packets {
                mark.execute(rusqlite::params![link, packet])?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    fn answered(&mut self, lane: usize, batch: u64, answer: Answer) -> Result<(), StorageError> {
        let Some(flight) = self.flying.remove(&(lane, batch)) else { return Ok(()) };
        let good = answer.outcomes.iter().all(|o| o.class.has_effect());
        self.tell_trouble(lane, &answer, flight.way != Way::Post);
        if flight.way == Way::Look && !answer.whole {
            self.tell_puzzle(lane, &answer);
        }
        let answered = self.clock.now().wall;
        if answer.excerpt.starts_with(Answer::STRANGE) {
            let id = &self.capture.routes[lane].config.id;
            tracing::warn!(
                lane = id,
                batch,
                answer = answer.excerpt,
                "the target answers for keys that it was not sent"
            );
        }
        let cause = Cause {
            batch,
            attempt: flight.attempt,
            status: answer.status,
            excerpt: (!good).then(|| answer.excerpt.clone()),
            answered,
            took: i64::try_from(answered.since(flight.sent)).unwrap_or(i64::MAX),
        };
        let said = answer.clone();
        let input = match flight.way {
            Way::Post => Input::Answered { batch, answer: said },
            Way::Look => Input::Looked { batch, answer: said },
            Way::Poll => Input::Polled { batch, answer: said },
        };
        self.lazy_since.get_or_insert_with(instant);
        self.step(lane, input, &cause)?;
        let again = self.lanes.lane(lane).again_at(batch);
        self.ended.push(Ended { lane, flight, answer, cause, again });
        Ok(())
    }

    /// Hands an input to a lane; what it wants to read is read at once, the rest waits for the commit.
    fn step(&mut self, lane: usize, input: Input, cause: &Cause) -> Result<(), StorageError> {
        let now = self.lanes_now();
        let actions = self.lanes.step(lane, input, now);
        self.carry_out(actions, Some(lane), cause)
    }

    /// The same with what a person has decided: nothing leaves before all lanes have heard all of it.
    fn step_all(&mut self, inputs: Vec<(usize, Input)>) -> Result<(), StorageError> {
        let now = self.lanes_now();
        let actions = self.lanes.step_all(inputs, now);
        self.carry_out(actions, None, &Cause::default())
    }

    /// The time for lanes, which hear first of a clock that was set: what left shortly before is not older by that.
    fn lanes_now(&mut self) -> Millis {
        let now = self.clock.now().wall;
        let jumped = self.clock.take_jump();
        if jumped > 0 {
            self.lanes.clock_jumped(jumped);
        }
        now
    }

    /// `cause`: what this came of, to lane `of`. What another lane does meanwhile comes of something else.
    fn carry_out(
        &mut self,
        actions: Vec<(usize, Action)>,
        of: Option<usize>,
        cause: &Cause,
    ) -> Result<(), StorageError> {
        let mut actions = VecDeque::from(actions);
        while let Some((lane, action)) = actions.pop_front() {
            match action {
                Action::Load { after, limit } => {
                    let (rows, more) = load(&self.db, &self.capture.routes[lane], after, limit)?;
                    let now = self.lanes_now();
                    actions.extend(self.lanes.step(lane, Input::Loaded { rows, more }, now));
                }
                // Nothing new leaves any more: on disk the rows stay as they are.
                action if self.stopping && leaves(&action) => {}
                Action::Release { batch } if self.ahead.contains_key(&(lane, batch)) => {
                    let released = self.released(lane, batch);
                    self.send(released.into_iter().collect());
                }
                action => {
                    let cause = if of == Some(lane) { cause.clone() } else { Cause::default() };
                    self.todo.push(Todo { lane, action, cause });
                }
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), StorageError> {
        if self.last_housekeeping.elapsed() >= HOUSEKEEPING {
            self.housekeeping()?;
        }
        if let Some(since) = self.doubtful {
            let decided = !self.clock.is_doubtful();
            if decided || since.elapsed() >= HOLD_UNSYNCED {
                let set = decided && !self.clock.is_behind();
                self.doubtful = None;
                tracing::info!(set, "batches of before the start no longer wait for the clock");
                for lane in 0..self.lanes.all().len() {
                    let input = if set { Input::ClockSet } else { Input::ClockUnknown };
                    self.step(lane, input, &Cause::default())?;
                }
            }
        }
        let now = self.lanes_now();
        if !self.stopping {
            let actions = self.lanes.tick(now);
            self.carry_out(actions, None, &Cause::default())?;
        }
        if self.told_changes != self.lanes.changes() {
            self.tell_systems();
        }
        Ok(())
    }

    fn wants_to_send(&self) -> bool {
        self.todo.iter().any(|todo| leaves(&todo.action))
    }

    fn pace(&self) -> Duration {
        match self.config.preset {
            Preset::Fast => Duration::ZERO,
            Preset::Gentle => PACE,
        }
    }

    fn commit_due(&self) -> bool {
        let captures =
            !self.waiting.is_empty() && (self.waiting_samples >= GROUP || self.last_commit.elapsed() >= self.pace());
        let lazy = self.lazy_since.is_some_and(|since| since.elapsed() >= LAZY);
        let hurry = self.stopping || !self.asked.is_empty();
        captures || lazy || self.wants_to_send() || (hurry && self.has_work())
    }

    fn has_work(&self) -> bool {
        !(self.waiting.is_empty() && self.todo.is_empty() && self.ended.is_empty())
    }

    fn tell_pulse(&mut self) {
        let pending_bytes = u64::try_from(self.capture.pending_bytes()).unwrap_or(0);
        let pulse = Pulse { commits: self.commits, pending_bytes, room: !self.is_full() };
        for reply in self.asked.drain(..) {
            drop(reply.send(pulse.clone())); // whoever asked may have lost patience
        }
    }

    fn next_deadline(&mut self) -> Instant {
        let mut deadline = self.last_housekeeping + HOUSEKEEPING;
        if !self.waiting.is_empty() {
            deadline = deadline.min(self.last_commit + self.pace());
        }
        if let Some(since) = self.lazy_since {
            deadline = deadline.min(since + LAZY);
        }
        let now = self.clock.now().wall;
        if let Some(wake) = self.lanes.wake_at(now).filter(|_| !self.stopping) {
            deadline = deadline.min(instant() + Duration::from_millis(wake.since(now)));
        }
        deadline
    }

    // ---- the commit

    fn commit(&mut self) -> Result<(), StorageError> {
        self.look_for_room();
        let mut waiting = std::mem::take(&mut self.waiting);
        self.waiting_samples = 0;
        if self.disk_full {
            waiting.drain(..).for_each(Waiting::refuse);
        }
        match self.transaction(&waiting) {
            Ok((placed, outgoing)) => {
                for (waiting, placed) in waiting.into_iter().zip(placed) {
                    self.tap.tell(waiting.samples, &placed);
                    answer(waiting.reply, Ok(placed));
                }
                self.send(outgoing);
                Ok(())
            }
            Err(StorageError::NoRoom) => {
                // Nothing of it is stored. What is captured stays with the devices; what was settled goes by itself.
                self.disk_is_full("while capturing");
                waiting.into_iter().for_each(Waiting::refuse);
                let (_, outgoing) = self.transaction(&[])?;
                self.send(outgoing);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// One transaction for all that waits. After an error nothing of it is stored, and the lanes' decisions still wait.
    fn transaction(&mut self, waiting: &[Waiting]) -> Result<(Vec<Vec<Placed>>, Vec<Outgoing>), StorageError> {
        let now = self.clock.now();
        let quality = self.clock.quality();
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let before = self.capture.mark();
        let captured = self.capture_all(waiting, now, quality);
        let (placed, rows) = match captured {
            Ok(captured) => captured,
            Err(e) => {
                self.db.execute_batch("ROLLBACK").ok(); // SQLite may have rolled back by itself
                self.capture.undo(&before);
                return Err(StorageError::of_capture(e));
            }
        };
        let waited = waiting.first().map_or(Duration::ZERO, |waiting| waiting.at.elapsed());
        let since = now.wall.minus(u64::try_from(waited.as_millis()).unwrap_or(0));
        for (lane, rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            self.step(lane, Input::Captured { rows, since }, &Cause::default())?;
        }
        let outgoing = self.apply_all(now)?;
        for (route, lane) in self.capture.routes.iter_mut().zip(self.lanes.all()) {
            (route.counters.away_until, route.counters.goes_from) = (lane.away_until().0, lane.goes_from());
            route.keep_storm(&self.db, lane.storm())?;
        }
        self.capture.flush(&self.db)?;
        self.db.prepare_cached("COMMIT")?.execute([])?;
        self.ahead.extend(self.uncommitted.drain());
        self.commits += 1;
        self.last_commit = instant();
        self.lazy_since = None;
        self.tell_room();
        Ok((placed, outgoing))
    }

    #[expect(clippy::type_complexity, reason = "what became of each sample, and the rows of each lane")]
    fn capture_all(
        &mut self,
        waiting: &[Waiting],
        now: Now,
        quality: &str,
    ) -> Result<(Vec<Vec<Placed>>, Vec<Vec<Row>>), rusqlite::Error> {
        let mut rows = Vec::new();
        let mut placed = Vec::with_capacity(waiting.len());
        for waiting in waiting {
            placed.push(self.capture.samples(&self.db, &waiting.samples, now, quality, &mut rows)?);
        }
        let mut by_lane = vec![Vec::new(); self.lanes.all().len()];
        for (lane, row) in rows {
            by_lane[lane].push(row);
        }
        Ok((placed, by_lane))
    }

    /// Writes what the lanes decided; returns the batches that may leave after the commit.
    fn apply_all(&mut self, now: Now) -> Result<Vec<Outgoing>, StorageError> {
        for ended in std::mem::take(&mut self.ended) {
            let route = &mut self.capture.routes[ended.lane];
            attempts::write(&self.db, route, &ended.flight, &ended.answer, &ended.cause, ended.again)?;
        }
        let mut outgoing = Vec::new();
        let mut index = 0;
        // Refusing rows that must not leave makes the lane add to the list.
        while index < self.todo.len() {
            let (lane, cause) = (self.todo[index].lane, self.todo[index].cause.clone());
            index += 1;
            if let Some((batch, flight, frozen)) = self.frozen(lane, index - 1, now)? {
                match frozen {
                    Frozen::Ready(ready) => {
                        let counters = &mut self.capture.routes[lane].counters;
                        counters.batches = counters.batches.max(i64::try_from(batch).unwrap_or(i64::MAX));
                        let flight = Flight { id: ready.id, ..flight };
                        if matches!(self.todo[index - 1].action, Action::Store { .. }) {
                            self.uncommitted.insert((lane, batch), (flight, ready));
                        } else {
                            self.flying.insert((lane, batch), flight);
                            outgoing.push(ready);
                        }
                    }
                    Frozen::Unsendable { rows, outcome } => {
                        tracing::error!(
                            lane = self.capture.routes[lane].config.id,
                            rows = rows.len(),
                            reason = outcome.reason,
                            "rows need a person"
                        );
                        self.step(lane, Input::Unsendable { batch, rows, outcome }, &cause)?;
                    }
                }
                continue;
            }
            match self.todo[index - 1].action {
                Action::Release { batch } => outgoing.extend(self.released(lane, batch)),
                Action::Close { batch } => {
                    self.ahead.remove(&(lane, batch));
                    self.uncommitted.remove(&(lane, batch));
                }
                _ => {}
            }
            let action = &self.todo[index - 1].action;
            let route = &self.capture.routes[lane];
            let (idle, idle_bytes) = match action {
                Action::Settle { row, .. } => auto_resolve(&self.db, route, *row, now.wall)?,
                _ => (0, 0),
            };
            let bytes = apply(&self.db, &self.capture.site, route, action, &cause, now.wall)?;
            if let Action::Reject { row, outcome, .. } = action {
                let (subject, key) = named(&self.db, route, *row)?;
                tracing::warn!(
                    lane = route.config.id,
                    seq = row.seq,
                    subject,
                    key,
                    class = outcome.class.name(),
                    reason = outcome.reason,
                    "rejected: its subject is parked"
                );
            }
            let counters = &mut self.capture.routes[lane].counters;
            match &self.todo[index - 1].action {
                Action::Settle { row, suspect, .. } => {
                    counters.rows_out += 1 + idle;
                    counters.bytes_out += bytes + idle_bytes;
                    counters.skipped += idle;
                    if let Some(reason) = suspect {
                        tracing::warn!(
                            lane = self.capture.routes[lane].config.id,
                            seq = row.seq,
                            reason,
                            "delivered, and the target had it before: is it there twice? `floorgate outbox status` lists them"
                        );
                    }
                }
                Action::Cut { new, .. } => {
                    counters.batches = counters.batches.max(i64::try_from(*new).unwrap_or(i64::MAX));
                }
                _ => {}
            }
        }
        self.todo.clear();
        self.tell_stopped();
        Ok(outgoing)
    }

    /// What is to leave by the action at `index`, if it is one that lets something leave.
    fn frozen(&self, lane: usize, index: usize, now: Now) -> Result<Option<(u64, Flight, Frozen)>, rusqlite::Error> {
        let (db, site, route) = (&self.db, &self.capture.site, &self.capture.routes[lane]);
        let flight = |way, attempt, rows: &[RowKey]| Flight {
            way,
            attempt,
            rows: rows.len(),
            first_seq: rows.first().map_or(0, |r| r.seq),
            last_seq: rows.last().map_or(0, |r| r.seq),
            sent: now.wall,
            id: Id::default(),
        };
        Ok(match &self.todo[index].action {
            Action::Send { batch, rows, attempt, first_sent } => {
                let frozen = freeze(db, site, lane, route, (*batch, *attempt, *first_sent), rows, now.wall)?;
                Some((*batch, flight(Way::Post, *attempt, rows), frozen))
            }
            Action::Store { batch, rows, first_sent } => {
                let frozen = freeze(db, site, lane, route, (*batch, 1, *first_sent), rows, now.wall)?;
                Some((*batch, flight(Way::Post, 1, rows), frozen))
            }
            Action::Look { batch, rows, first_sent } => {
                let frozen = question(db, site, lane, route, (*batch, *first_sent, None), rows)?;
                Some((*batch, flight(Way::Look, 0, rows), frozen))
            }
            Action::Poll { batch, rows, first_sent, job } => {
                let frozen = question(db, site, lane, route, (*batch, *first_sent, Some(job.as_str())), rows)?;
                Some((*batch, flight(Way::Poll, 0, rows), frozen))
            }
            _ => None,
        })
    }

    /// A stored batch, as it leaves now, or with the commit that stores it.
    fn released(&mut self, lane: usize, batch: u64) -> Option<Outgoing> {
        let name = (lane, batch);
        let (flight, ready) = self.ahead.remove(&name).or_else(|| self.uncommitted.remove(&name))?;
        self.flying.insert((lane, batch), Flight { sent: self.clock.now().wall, ..flight });
        Some(ready)
    }

    fn send(&mut self, outgoing: Vec<Outgoing>) {
        for batch in outgoing {
            let target = self.lanes.lane(batch.lane).config().target;
            if let Err(e) = self.out[target].try_send(batch) {
                // The dispatcher has ended, so the process is about to: the batch is `sending` and resent at the next start.
                tracing::debug!(error = %e, "a batch found no way out");
            }
        }
    }

    // ---- room

    fn is_full(&self) -> bool {
        !*self.room.borrow()
    }

    fn tell_room(&mut self) {
        let limit = i64::try_from(self.config.max_size).unwrap_or(i64::MAX);
        let pending = self.capture.pending_bytes();
        let (before, fill) = (self.fill, self.fill.next(pending, limit, self.disk_full));
        if fill == before {
            return;
        }
        (self.fill, self.capture.fill) = (fill, fill);
        let disk_full = self.disk_full;
        if fill > before {
            tracing::error!(pending_bytes = pending, max_size = limit, disk_full, "{}", fill.words());
        } else if before == Fill::Full {
            tracing::info!(pending_bytes = pending, "the outbox has room again: devices are acknowledged");
        } else {
            tracing::info!(pending_bytes = pending, "{}", fill.words());
        }
        self.room.send_replace(fill < Fill::Full);
    }

    /// What housekeeping saw may be seconds old, and a COMMIT that finds no room ends the process.
    fn look_for_room(&mut self) {
        if !self.disk_full && open::disk_bytes(&self.dir).is_some_and(open::is_short) {
            self.disk_is_full("before a commit");
        }
    }

    fn disk_is_full(&mut self, seen: &str) {
        let freed = open::drop_ballast(&self.dir);
        tracing::error!(seen, ballast_freed = freed, "the disk is full");
        self.disk_full = true;
        self.tell_room();
    }

    fn housekeeping(&mut self) -> Result<(), StorageError> {
        self.last_housekeeping = instant();
        self.tell_systems();
        let disk = open::disk_bytes(&self.dir).unwrap_or((u64::MAX, u64::MAX));
        let (free, total) = disk;
        if self.disk_full && !open::is_short((free / 2, total)) {
            open::keep_ballast(&self.dir);
            self.disk_full = false;
        } else if !self.disk_full && open::is_short(disk) {
            self.disk_is_full("now and then");
        }
        self.tell_room();
        if self.stopping {
            return Ok(());
        }
        let now = self.clock.now().wall;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let load = (self.capture.pending_bytes(), self.capture.settled());
        let trimmed = trim::bite(&tx, &self.config, load, self.fill >= Fill::Trim, &mut self.trimmed, now)?;
        if trimmed > 0 {
            tx.commit()?;
            self.capture.forget();
            self.last_housekeeping -= HOUSEKEEPING; // there may be another bite
            tracing::debug!(events = trimmed, "history trimmed");
        }
        Ok(())
    }
}

/// Something leaves by it, or as soon as it is stored.
fn leaves(action: &Action) -> bool {
    matches!(
        action,
        Action::Send { .. } | Action::Store { .. } | Action::Release { .. } | Action::Look { .. } | Action::Poll { .. }
    )
}

fn answer(reply: CaptureReply, result: Result<Vec<Placed>, CaptureError>) {
    drop(reply.send(result)); // the source may have stopped meanwhile; what was committed stays committed
}

#[cfg(test)]
mod tests;
