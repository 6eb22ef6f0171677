//! The one step function of delivery: state and input in, actions out.
//!
//! The gateway drives it with a real outbox and real sockets, the seeded simulator with simulated ones. Whoever drives
//! it makes the actions of a step durable, in order and in one commit, before the first byte of a [`Action::Send`]
//! leaves; a crash before that commit is as if the step had not happened, and a crash after it leaves the batch
//! `sending`, which [`Lane::restore`] takes for unknown.
//!
//! Rules kept here, whatever the input: rows of one subject go in order, one unresolved at a time; a rejected row parks
//! its own subject only; what may have had effect is resent with the same rows until the target has spoken of each one,
//! inside the target's dedup horizon, and never after; what definitely had no effect goes back in line.
//!
//! Bounds: at most [`WINDOW`] rows are in memory, whatever the backlog; the rest stays on disk behind `cursor`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::Millis;
use crate::lane::{Answer, Class, Config, Outcome, Worth};

/// Rows of one lane in memory.
pub const WINDOW: usize = 8_192;

/// A target that is locked or lacks the reference is asked again after at most this long.
const ROW_RETRY_MAX_MS: u64 = 60_000;
/// Conflicts of one row before a person is asked.
const CONFLICT_TRIES: u32 = 10;
/// How long a missing reference may take to appear.
const REFERENCE_GRACE_MS: u64 = 15 * 60_000;

/// Names a row within its lane; rows are in commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RowKey {
    /// Commit sequence of the event.
    pub seq: i64,
    /// Transaction type, interned.
    pub tx: i64,
}

/// A row to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub key: RowKey,
    /// First 64 bits of what orders it.
    pub order: i64,
    /// Bytes it adds to a batch, about.
    pub size: u32,
    /// It waits for a person before it is sent at all.
    pub held: bool,
}

/// A row that isn't simply ready: as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// Not before `until`; `tries` times so since `since`.
    Waiting {
        /// When it may go.
        until: Millis,
        /// Tries that had no effect.
        tries: u32,
        /// The first of them.
        since: Millis,
    },
    /// A person decides; its subject is parked (but for visibility lanes).
    Parked,
}

/// A batch that was `sending` when the gateway stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedBatch {
    /// The lane's number of the batch.
    pub batch: u64,
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// Attempts so far.
    pub attempt: u32,
    /// When the first one left.
    pub first_sent: Millis,
}

/// What happens to a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Rows of the events captured in this commit, in order.
    Captured(Vec<Row>),
    /// The rows asked for by [`Action::Load`]; `more`: there are others behind them.
    Loaded {
        /// In order.
        rows: Vec<Row>,
        /// Others are behind them.
        more: bool,
    },
    /// What came of an attempt.
    Answered {
        /// The batch.
        batch: u64,
        /// The answer.
        answer: Answer,
    },
    /// Rows of a batch that was about to leave and must not: they were not sent this time.
    Unsendable {
        /// The batch.
        batch: u64,
        /// Those rows.
        rows: Vec<RowKey>,
        /// Why: [`Class::Corrupt`] or [`Class::Unresolvable`].
        outcome: Outcome,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done, durably and in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read rows behind `after` and hand them in as [`Input::Loaded`].
    Load {
        /// The last row known.
        after: RowKey,
        /// At most so many.
        limit: usize,
    },
    /// Store the batch as `sending`; after the commit, send it.
    Send {
        /// The batch.
        batch: u64,
        /// Its rows, in order.
        rows: Vec<RowKey>,
        /// From 1.
        attempt: u32,
        /// When the first attempt left.
        first_sent: Millis,
    },
    /// The attempt is over, and what came of these rows of it is unknown; the others are resolved.
    Unknown {
        /// The batch.
        batch: u64,
        /// What remains of it, in order.
        rows: Vec<RowKey>,
    },
    /// The batch is resolved.
    Close {
        /// The batch.
        batch: u64,
    },
    /// The row has its effect.
    Settle {
        /// The row.
        row: RowKey,
        /// Delivered or Duplicate.
        class: Class,
        /// The target's reference.
        reference: Option<String>,
    },
    /// The row had no effect and goes again, not before `until`.
    Wait {
        /// The row.
        row: RowKey,
        /// When it may go.
        until: Millis,
        /// Why.
        class: Class,
        /// Tries that had no effect.
        tries: u32,
        /// The first of them.
        since: Millis,
    },
    /// The row needs a person: the dead letter.
    Reject {
        /// The row.
        row: RowKey,
        /// Why.
        outcome: Outcome,
        /// An earlier attempt may have had effect.
        maybe: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Waiting(Millis),
    Flying,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    row: Row,
    state: State,
    /// When it became ready: linger counts from here.
    ready_at: Millis,
    tries: u32,
    since: Millis,
}

#[derive(Debug, Clone)]
struct Flight {
    rows: Vec<RowKey>,
    attempt: u32,
    first_sent: Millis,
    /// `None`: sent and not answered. Otherwise unknown, and resent then.
    resend_at: Option<Millis>,
}

/// One lane's delivery state.
#[derive(Debug)]
pub struct Lane {
    config: Config,
    jitter: fastrand::Rng,
    rows: BTreeMap<RowKey, Slot>,
    subjects: HashMap<i64, BTreeSet<RowKey>>,
    /// Heads of their subjects that may go now.
    ready: BTreeSet<RowKey>,
    /// Heads of their subjects that may go later.
    due: BTreeSet<(Millis, RowKey)>,
    flights: BTreeMap<u64, Flight>,
    parked: HashMap<i64, RowKey>,
    /// Rows up to here are known; the ones behind are on disk if `more`.
    cursor: RowKey,
    more: bool,
    loading: bool,
    next_batch: u64,
    /// Attempts in a row that met a lane-wide trouble.
    failures: u32,
    pause_until: Millis,
    /// A batch refused as a whole is halved until the bad row is alone.
    split: Option<usize>,
    stopped: bool,
}

impl Lane {
    /// A lane that knows nothing of its rows yet; the first step asks for them.
    pub fn new(config: Config, jitter_seed: u64) -> Self {
        Self {
            config,
            jitter: fastrand::Rng::with_seed(jitter_seed),
            rows: BTreeMap::new(),
            subjects: HashMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            flights: BTreeMap::new(),
            parked: HashMap::new(),
            cursor: RowKey::default(),
            more: true,
            loading: false,
            next_batch: 1,
            failures: 0,
            pause_until: Millis::default(),
            split: None,
            stopped: false,
        }
    }

    /// Takes back what was stored: batches that were `sending` are unknown now, and are resent first.
    pub fn restore(
        &mut self,
        batches: Vec<SavedBatch>,
        exceptions: Vec<(Row, Exception)>,
        next_batch: u64,
        now: Millis,
    ) {
        self.next_batch = next_batch;
        for saved in batches {
            let rows = saved.rows.iter().map(|row| row.key).collect();
            for row in saved.rows {
                self.insert(Slot { row, state: State::Flying, ready_at: now, tries: 0, since: now });
            }
            let flight = Flight { rows, attempt: saved.attempt, first_sent: saved.first_sent, resend_at: Some(now) };
            self.flights.insert(saved.batch, flight);
        }
        for (row, exception) in exceptions {
            match exception {
                Exception::Waiting { until, tries, since } => match self.rows.get_mut(&row.key) {
                    // It had waited, and was under way again when the gateway stopped: its batch goes first.
                    Some(flying) => (flying.tries, flying.since) = (tries, since),
                    None => self.insert(Slot { row, state: State::Waiting(until), ready_at: until, tries, since }),
                },
                Exception::Parked => self.park(row),
            }
        }
    }

    /// What this lane was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Subjects that a person has to free.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Too many subjects are parked: nothing new leaves until a person has looked.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Takes one input and says what is to be done.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Captured(rows) => self.captured(rows, now),
            Input::Loaded { rows, more } => self.loaded(rows, more, now),
            Input::Answered { batch, answer } => self.answered(batch, &answer, now, &mut actions),
            Input::Unsendable { batch, rows, outcome } => self.unsendable(batch, &rows, &outcome, &mut actions),
            Input::Tick => {}
        }
        self.promote(now);
        while let Some(action) = self.next_send(now, &mut actions) {
            actions.push(action);
        }
        if self.more && !self.loading && self.rows.len() < WINDOW / 2 && !self.stopped {
            self.loading = true;
            actions.push(Action::Load { after: self.cursor, limit: WINDOW - self.rows.len() });
        }
        actions
    }

    /// When [`Input::Tick`] is worth handing in, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Millis> {
        if self.flying() >= self.allowed_in_flight() {
            return None; // an answer comes first
        }
        let resend = self.flights.values().filter_map(|f| f.resend_at).min();
        let waiting = self.due.first().map(|(at, _)| *at);
        let ready = self.ready.first().filter(|_| !self.stopped).map(|key| self.leaves_at(*key));
        let load = (self.more && !self.loading && self.rows.len() < WINDOW / 2 && !self.stopped).then_some(Millis(0));
        let sends = [resend, waiting, ready].into_iter().flatten().min().map(|at| at.max(self.pause_until));
        [sends, load].into_iter().flatten().min()
    }

    fn leaves_at(&self, key: RowKey) -> Millis {
        let ready_at = self.rows.get(&key).map_or(Millis(0), |slot| slot.ready_at);
        if self.flying() == 0 { ready_at } else { ready_at.plus(self.config.linger_ms) }
    }

    fn flying(&self) -> usize {
        self.flights.values().filter(|f| f.resend_at.is_none()).count()
    }

    /// While the target is in trouble one request at a time finds out whether it is back.
    fn allowed_in_flight(&self) -> usize {
        if self.failures > 0 { 1 } else { self.config.max_in_flight }
    }

    // ---- rows in and out

    fn captured(&mut self, rows: Vec<Row>, now: Millis) {
        for row in rows {
            if row.held {
                self.park(row);
                continue;
            }
            if self.more || self.rows.len() >= WINDOW {
                self.more = true; // it is on disk, behind the cursor
                continue;
            }
            if row.key > self.cursor {
                self.cursor = row.key;
                self.insert(Slot { row, state: State::Queued, ready_at: now, tries: 0, since: now });
            }
        }
    }

    fn loaded(&mut self, rows: Vec<Row>, more: bool, now: Millis) {
        self.loading = false;
        self.more = more;
        for row in rows {
            self.cursor = row.key;
            if !self.rows.contains_key(&row.key) && self.parked.get(&row.order) != Some(&row.key) {
                self.insert(Slot { row, state: State::Queued, ready_at: now, tries: 0, since: now });
            }
        }
    }

    /// Adds a row, unless its subject is parked: then it stays on disk.
    fn insert(&mut self, slot: Slot) {
        let (key, order) = (slot.row.key, slot.row.order);
        if self.is_behind_parked(&slot.row) && slot.state != State::Flying {
            return;
        }
        self.unlist(order);
        self.rows.insert(key, slot);
        self.subjects.entry(order).or_default().insert(key);
        self.list(order);
    }

    fn is_behind_parked(&self, row: &Row) -> bool {
        self.parked.get(&row.order).is_some_and(|parked| row.key >= *parked)
    }

    /// Takes a subject's head out of `ready` and `due`.
    fn unlist(&mut self, order: i64) {
        let Some(head) = self.subjects.get(&order).and_then(BTreeSet::first) else { return };
        self.ready.remove(head);
        if let Some(Slot { state: State::Waiting(until), .. }) = self.rows.get(head) {
            self.due.remove(&(*until, *head));
        }
    }

    /// Puts a subject's head where its state belongs.
    fn list(&mut self, order: i64) {
        let Some(head) = self.subjects.get(&order).and_then(BTreeSet::first) else { return };
        match self.rows.get(head).map(|slot| slot.state) {
            Some(State::Queued) => drop(self.ready.insert(*head)),
            Some(State::Waiting(until)) => drop(self.due.insert((until, *head))),
            Some(State::Flying) | None => {}
        }
    }

    fn set_state(&mut self, key: RowKey, state: State, now: Millis) {
        let Some(order) = self.rows.get(&key).map(|slot| slot.row.order) else { return };
        self.unlist(order);
        if let Some(slot) = self.rows.get_mut(&key) {
            slot.state = state;
            slot.ready_at = now;
        }
        self.list(order);
    }

    /// Forgets a resolved row; the next one of its subject takes its place.
    fn remove(&mut self, key: RowKey) {
        let Some(slot) = self.rows.get(&key) else { return };
        let order = slot.row.order;
        self.unlist(order);
        self.rows.remove(&key);
        if let Some(queue) = self.subjects.get_mut(&order) {
            queue.remove(&key);
            if queue.is_empty() {
                self.subjects.remove(&order);
            }
        }
        self.list(order);
    }

    /// Parks the row's subject from this row on: what is behind it leaves the memory, but for what is under way.
    fn park(&mut self, row: Row) {
        if self.config.worth == Worth::Visibility {
            return;
        }
        let parked = self.parked.entry(row.order).or_insert(row.key);
        *parked = row.key.min(*parked);
        let parked = *parked;
        let queue = self.subjects.get(&row.order).cloned().unwrap_or_default();
        for key in queue.range(parked..).copied() {
            if self.rows.get(&key).is_some_and(|slot| slot.state != State::Flying) {
                self.remove(key);
            }
        }
        self.stopped = self.parked.len() > self.config.max_parked;
    }

    fn promote(&mut self, now: Millis) {
        while let Some((_, key)) = self.due.first().copied().filter(|(until, _)| *until <= now) {
            self.set_state(key, State::Queued, now);
        }
    }

    // ---- what leaves

    fn next_send(&mut self, now: Millis, actions: &mut Vec<Action>) -> Option<Action> {
        if now < self.pause_until || self.flying() >= self.allowed_in_flight() {
            return None;
        }
        self.next_resend(now, actions).or_else(|| self.next_batch(now))
    }

    /// The oldest unknown batch that is due. Past the horizon the target may have forgotten its keys: a person decides.
    fn next_resend(&mut self, now: Millis, actions: &mut Vec<Action>) -> Option<Action> {
        loop {
            let (&batch, flight) = self.flights.iter_mut().find(|(_, f)| f.resend_at.is_some_and(|at| at <= now))?;
            let horizon = self.config.dedup_horizon_ms.saturating_sub(2 * self.config.timeout_ms);
            if now.since(flight.first_sent) < horizon {
                flight.attempt += 1;
                flight.resend_at = None;
                let (rows, attempt, first_sent) = (flight.rows.clone(), flight.attempt, flight.first_sent);
                return Some(Action::Send { batch, rows, attempt, first_sent });
            }
            let rows = flight.rows.clone();
            self.flights.remove(&batch);
            for row in rows {
                let reason = "it was sent and never answered, and the target may have forgotten its key by now: \
                              look in the target whether it was posted";
                self.reject(row, Outcome::new(Class::Unresolvable, reason), true, actions);
            }
            actions.push(Action::Close { batch });
        }
    }

    fn next_batch(&mut self, now: Millis) -> Option<Action> {
        let most = self.split.unwrap_or(usize::MAX).min(self.config.max_events);
        let first = *self.ready.first().filter(|_| !self.stopped)?;
        if self.ready.len() < most && self.leaves_at(first) > now {
            return None;
        }
        let mut rows = Vec::new();
        let mut bytes = 0;
        for head in &self.ready {
            let subject = &self.subjects[&self.rows[head].row.order];
            let together = if self.config.ordered_batch { most } else { 1 };
            for key in subject.iter().take(together) {
                let slot = &self.rows[key];
                let fits = rows.is_empty() || bytes + slot.row.size as usize <= self.config.max_bytes;
                if slot.state != State::Queued || rows.len() >= most || !fits {
                    break;
                }
                bytes += slot.row.size as usize;
                rows.push(*key);
            }
            if rows.len() >= most || bytes >= self.config.max_bytes {
                break;
            }
        }
        rows.sort_unstable();
        for key in &rows {
            self.set_state(*key, State::Flying, now);
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        self.flights.insert(batch, Flight { rows: rows.clone(), attempt: 1, first_sent: now, resend_at: None });
        Some(Action::Send { batch, rows, attempt: 1, first_sent: now })
    }

    // ---- what an answer does

    fn answered(&mut self, batch: u64, answer: &Answer, now: Millis, actions: &mut Vec<Action>) {
        let Some(mut flight) = self.flights.remove(&batch) else { return };
        let clean = flight.attempt == 1;
        let alone = flight.rows.len() == 1;
        let refused_whole = answer.whole && !alone;
        let trouble = self.note_trouble(answer, now);
        let mut open = Vec::new();
        let mut failed = BTreeSet::new();
        let mut rejected = BTreeSet::new();
        // A row that the answer does not speak of is unknown.
        let unsaid = Outcome::new(Class::Unknown, "the answer does not speak of it");
        let outcomes = answer.outcomes.iter().chain(std::iter::repeat(&unsaid));
        for (row, outcome) in flight.rows.iter().copied().zip(outcomes) {
            let order = self.rows.get(&row).map_or(0, |slot| slot.row.order);
            // A target that applies in order and stops a subject at its first error did not try what comes behind it,
            // whether it says so or not; resent alone it would overtake.
            let behind = self.config.ordered_batch && clean && failed.contains(&order);
            let class = if behind && outcome.class == Class::Unknown { Class::NotAttempted } else { outcome.class };
            if !class.has_effect() && class != Class::Unknown {
                failed.insert(order);
            }
            // What was rejected now had no effect before, so that what is behind it was not tried before either.
            if self.config.ordered_batch && rejected.contains(&order) && !class.has_effect() {
                self.remove(row);
                continue;
            }
            if matches!(class, Class::Validation | Class::KeyClash) && !refused_whole {
                rejected.insert(order);
            }
            match class {
                Class::Delivered | Class::Duplicate => {
                    self.remove(row);
                    actions.push(Action::Settle { row, class, reference: outcome.reference.clone() });
                }
                Class::Validation | Class::KeyClash if !refused_whole => {
                    self.reject(row, outcome.clone(), !clean, actions);
                }
                Class::Unresolvable | Class::Corrupt => self.reject(row, outcome.clone(), !clean, actions),
                Class::Unknown => open.push(row),
                // Definitely no effect this time. While an earlier attempt is unresolved that says nothing of it.
                _ if !clean => open.push(row),
                class if trouble || refused_whole => self.again(row, class, now, now, actions),
                class => self.again_later(row, class, outcome, now, actions),
            }
        }
        if refused_whole && clean {
            self.split = Some(flight.rows.len().div_ceil(2));
        }
        if open.is_empty() {
            actions.push(Action::Close { batch });
            return;
        }
        actions.push(Action::Unknown { batch, rows: open.clone() });
        flight.rows = open;
        flight.resend_at = Some(now.plus(self.backoff(flight.attempt)));
        self.flights.insert(batch, flight);
    }

    /// Judges whether the answer speaks of the way or the target rather than of rows; then the lane pauses.
    fn note_trouble(&mut self, answer: &Answer, now: Millis) -> bool {
        let wide = |class| {
            matches!(class, Class::Transient | Class::Throttled | Class::Auth | Class::Contract | Class::Unknown)
        };
        let trouble = answer.whole && answer.outcomes.iter().all(|o| wide(o.class));
        if let Some(ms) = answer.retry_after_ms {
            self.pause_until = self.pause_until.max(now.plus(ms));
        }
        if trouble {
            self.failures = self.failures.saturating_add(1);
            let throttled = answer.outcomes.first().is_some_and(|o| o.class == Class::Throttled);
            if !(throttled && answer.retry_after_ms.is_some()) {
                let pause = self.backoff(self.failures);
                self.pause_until = self.pause_until.max(now.plus(pause));
            }
        } else {
            self.failures = 0;
            let doubled = self.split.map(|split| split.saturating_mul(2));
            self.split = doubled.filter(|split| *split < self.config.max_events);
        }
        trouble
    }

    /// Full jitter between nothing and a bound that doubles.
    fn backoff(&mut self, attempt: u32) -> u64 {
        let doubled = self.config.retry_first_ms.saturating_mul(1 << attempt.saturating_sub(1).min(30));
        self.jitter.u64(0..=doubled.min(self.config.retry_max_ms))
    }

    /// Puts a row back in line; it is `ready` on disk again once its batch is closed or without it.
    fn again(&mut self, row: RowKey, class: Class, until: Millis, now: Millis, actions: &mut Vec<Action>) {
        let Some(slot) = self.rows.get(&row).copied() else { return };
        if self.is_behind_parked(&slot.row) {
            self.remove(row);
            return;
        }
        if until > now {
            actions.push(Action::Wait { row, until, class, tries: slot.tries, since: slot.since });
            self.set_state(row, State::Waiting(until), until);
        } else {
            self.set_state(row, State::Queued, now);
        }
    }

    /// A row that had trouble of its own waits, or needs a person when that has lasted.
    fn again_later(&mut self, row: RowKey, class: Class, outcome: &Outcome, now: Millis, actions: &mut Vec<Action>) {
        let Some(slot) = self.rows.get_mut(&row) else { return };
        if slot.tries == 0 {
            slot.since = now;
        }
        let counted = class != Class::NotAttempted;
        slot.tries = slot.tries.saturating_add(u32::from(counted));
        let (tries, waited) = (slot.tries, now.since(slot.since));
        let spent = (class == Class::Conflict && tries >= CONFLICT_TRIES)
            || (class == Class::Reference && waited >= REFERENCE_GRACE_MS);
        if spent {
            self.reject(row, outcome.clone(), false, actions);
            return;
        }
        let pause = self
            .backoff(tries.max(1))
            .clamp(self.config.retry_first_ms, ROW_RETRY_MAX_MS.max(self.config.retry_first_ms));
        self.again(row, class, now.plus(pause), now, actions);
    }

    fn reject(&mut self, key: RowKey, outcome: Outcome, maybe: bool, actions: &mut Vec<Action>) {
        let Some(slot) = self.rows.get(&key).copied() else { return };
        self.remove(key);
        self.park(slot.row);
        actions.push(Action::Reject { row: key, outcome, maybe });
    }

    /// These rows never leave; the rest of their batch does.
    fn unsendable(&mut self, batch: u64, rows: &[RowKey], outcome: &Outcome, actions: &mut Vec<Action>) {
        let Some(mut flight) = self.flights.remove(&batch) else { return };
        for row in rows {
            self.reject(*row, outcome.clone(), flight.attempt > 1, actions);
        }
        flight.rows.retain(|row| !rows.contains(row));
        if flight.attempt == 1 {
            // Never sent: what is behind a parked row waits with it.
            let behind = |row: &RowKey| self.rows.get(row).is_some_and(|slot| self.is_behind_parked(&slot.row));
            let (waits, goes) = flight.rows.iter().copied().partition(behind);
            flight.rows = goes;
            let waits: Vec<RowKey> = waits;
            for row in waits {
                self.remove(row);
            }
        } else if !flight.rows.is_empty() {
            actions.push(Action::Unknown { batch, rows: flight.rows.clone() }); // the batch is a smaller one from here on
        }
        if flight.rows.is_empty() {
            actions.push(Action::Close { batch });
            return;
        }
        let (rows, attempt, first_sent) = (flight.rows.clone(), flight.attempt, flight.first_sent);
        self.flights.insert(batch, flight);
        actions.push(Action::Send { batch, rows, attempt, first_sent });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Format;

    #[test]
    fn a_row_that_had_waited_and_was_under_way_at_a_crash_is_in_one_batch_only() {
        let config = Config {
            id: "outbound".into(),
            target: 0,
            system: "erp".into(),
            business_unit: "main".into(),
            worth: Worth::Document,
            take: Vec::new(),
            format: Format::JsonArray { wrap: None },
            ordered_batch: false,
            max_events: 10,
            max_bytes: 10_000,
            linger_ms: 0,
            max_in_flight: 4,
            dedup_horizon_ms: 86_400_000,
            timeout_ms: 5_000,
            retry_first_ms: 100,
            retry_max_ms: 1_000,
            max_parked: 100,
        };
        let (now, row) = (Millis(10_000), Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false });
        let batch = SavedBatch { batch: 7, rows: vec![row], attempt: 1, first_sent: Millis(9_000) };
        let waited = Exception::Waiting { until: Millis(8_000), tries: 1, since: Millis(7_000) };
        let mut lane = Lane::new(config, 1);
        lane.restore(vec![batch], vec![(row, waited)], 8, now);
        let sent: Vec<u64> = [Input::Tick, Input::Loaded { rows: vec![row], more: false }, Input::Tick]
            .into_iter()
            .flat_map(|input| lane.step(input, now))
            .filter_map(|action| if let Action::Send { batch, .. } = action { Some(batch) } else { None })
            .collect();
        assert_eq!(sent, [7]);
    }
}
