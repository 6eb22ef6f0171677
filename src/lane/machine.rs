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
//! Bounds: at most [`WINDOW`] rows are in memory, whatever the backlog; the rest stays on disk behind `cursor`. Where a few
//! subjects fill the memory with rows that wait for their first one, all but their first rows are set aside, so that the
//! subjects behind them on the disk go on.

mod accepted;
mod ahead;
mod answered;
mod frozen;
mod halves;
mod poison;
mod resend;
mod rows;
mod step;
mod storm;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::Millis;
pub use storm::Storm;

use crate::lane::answer::AWAY_MOST_MS;
use crate::lane::gate::Permit;
use crate::lane::{Class, Config};

pub use accepted::{Accepted, Overdue};
pub use step::{Action, Exception, Input, Row, RowKey, SavedBatch};

/// Rows of one lane in memory.
pub const WINDOW: usize = 8_192;
/// A batch that can only be looked up is a person's when no lookup has told anything of it for so long.
const VAIN_MS: u64 = 24 * 3_600_000;

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
    /// Tries of this class in a row, and the first of them.
    failed: Option<Class>,
    tries: u32,
    since: Millis,
    /// How often it was not tried without another one before it: no try, and longer and longer to wait.
    put_off: u32,
    /// Failures with all of its request, with a success of another row between them; and of these, alone since it is suspect.
    strikes: u8,
    alone: u8,
    /// [`Lane::goods`] at the last of them.
    struck_at: u64,
    /// How often it was sent to find out whether the system is back.
    probed: u32,
}

impl Slot {
    fn queued(row: Row, ready_at: Millis) -> Self {
        Self {
            row,
            state: State::Queued,
            ready_at,
            failed: None,
            tries: 0,
            since: ready_at,
            put_off: 0,
            strikes: 0,
            alone: 0,
            struck_at: 0,
            probed: 0,
        }
    }
}

/// Which rows were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Those behind `cursor`.
    Ahead,
    /// Those of subjects that were set aside, from this row on.
    Back(RowKey),
}

#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what is known of a batch, each by itself")]
struct Flight {
    rows: Vec<RowKey>,
    attempt: u32,
    first_sent: Millis,
    /// When the last one left, or the target said last that it is at work on it.
    last_sent: Millis,
    /// When the last one left that nobody has heard the end of: it may be at work.
    unheard: Option<Millis>,
    /// By how much it is older than the wall clock says.
    older_ms: u64,
    /// `None`: sent or asked for, and not answered. Otherwise unknown or accepted, and resent or asked for then.
    resend_at: Option<Millis>,
    /// Nobody knows how long ago it was sent: it waits for the clock …
    doubtful: bool,
    /// … which never came.
    ageless: bool,
    /// What it is out for, or was out for last.
    way: Way,
    /// It was asked for so often in vain.
    looks: u32,
    /// That a lookup does not find a row means that it is not there.
    absence_counts: bool,
    again: Again,
    /// The target has taken it over.
    accepted: Option<Accepted>,
    /// Sent to find out whether the system is back.
    probe: bool,
    /// Of one row, which fails alone: it is asked for and not sent again.
    poison: bool,
    /// Frozen, and a lookup has found a part of it.
    torn: bool,
    /// Stored, and not sent yet.
    ahead: bool,
    /// Sent again, it was refused so often in a row as a whole.
    refusals: u8,
    /// No lookup has told what became of it.
    vain: Option<Vain>,
}

/// Lookups in a row that told nothing.
#[derive(Debug, Clone)]
struct Vain {
    /// The first of them.
    since: Millis,
    /// [`Lane::goods`] then.
    goods: u64,
    /// The target as a whole was not away at the last of them.
    up: bool,
    /// The words of that.
    words: String,
}

impl Flight {
    /// When something is to be done for it, if nothing is under way.
    fn due_at(&self) -> Option<Millis> {
        self.resend_at.filter(|_| !self.doubtful || self.accepted.is_some())
    }

    /// Since when it waits for its turn. What the target is at work on waits for a question, and not since it left.
    fn waits_since(&self) -> Millis {
        self.accepted.as_ref().map_or(self.first_sent, |accepted| accepted.ask_at)
    }

    fn is_due(&self, now: Millis) -> bool {
        self.due_at().is_some_and(|at| at <= now)
    }
}

/// What a batch is out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// To be posted.
    #[default]
    Post,
    /// To be looked up by its keys.
    Look,
    /// To be asked for where it was accepted.
    Poll,
}

/// Whether an unknown batch may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Again {
    /// As the target is configured.
    #[default]
    Allowed,
    /// The same, but looked up first where it can be.
    Unasked,
    /// Never: the target no longer tells its key.
    Never,
    /// Never: the target gives the error again that it has kept with the key.
    Replayed,
    /// Never: others of its request have come to their end.
    Apart,
}

/// One lane's delivery state.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a condition of its own, and any of them may hold with any other"
)]
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
    /// The one of them that is stored and leaves when there is room.
    ahead: Option<u64>,
    /// The last answer was no trouble, and came soon.
    prompt: bool,
    parked: HashMap<i64, RowKey>,
    /// Rows up to here are known: in memory, parked or set aside; the ones behind are on disk if `more`.
    cursor: RowKey,
    more: bool,
    /// Subjects with rows before `cursor` that are on disk only: the first of them.
    aside: HashMap<i64, RowKey>,
    /// Of these, the ones with no row left in memory, by that first row.
    hungry: BTreeSet<(RowKey, i64)>,
    /// Rows that have come to their end and may be read once more, before the disk knows; and what orders them.
    ended: BTreeMap<RowKey, i64>,
    loading: Option<Load>,
    window: usize,
    next_batch: u64,
    /// Attempts in a row that met a lane-wide trouble.
    failures: u32,
    /// Rows that had their effect since the start.
    goods: u64,
    /// Rows of a status that nobody knows, while `goods` was so many.
    odd: (u64, Vec<RowKey>),
    /// The target has asked us to stay away (Retry-After).
    away_until: Millis,
    /// Our own pause after trouble.
    pause_until: Millis,
    /// What was read was of no use: the next rows wait for a tick, so that other work comes between.
    idle_read: bool,
    /// Halves of batches that were refused as a whole, the next one last.
    halves: Vec<Vec<RowKey>>,
    /// Most rows of a batch, as the target has taught.
    most: usize,
    stopped: bool,
    /// A person holds it.
    held: bool,
    guard: storm::Guard,
}

impl Lane {
    /// A lane that knows nothing of its rows yet; the first step asks for them.
    pub fn new(config: Config, jitter_seed: u64) -> Self {
        Self {
            most: config.max_events,
            config,
            jitter: fastrand::Rng::with_seed(jitter_seed),
            rows: BTreeMap::new(),
            subjects: HashMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            flights: BTreeMap::new(),
            ahead: None,
            prompt: false,
            parked: HashMap::new(),
            cursor: RowKey::default(),
            more: true,
            aside: HashMap::new(),
            hungry: BTreeSet::new(),
            ended: BTreeMap::new(),
            loading: None,
            window: WINDOW,
            next_batch: 1,
            failures: 0,
            goods: 0,
            odd: (0, Vec::new()),
            away_until: Millis::default(),
            pause_until: Millis::default(),
            idle_read: false,
            halves: Vec::new(),
            stopped: false,
            held: false,
            guard: storm::Guard::default(),
        }
    }

    /// The same with another number of rows in memory: what a test needs to see its bound.
    #[must_use]
    pub fn with_window(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// Takes back what was stored: batches that were `sending` are unknown now, and are resent first.
    ///
    /// `booted`: the machine has started then, and its clock can't be trusted, so that nobody knows how long ago the batches
    /// were sent that left before. They wait for [`Input::ClockSet`] or [`Input::ClockUnknown`], whatever the wall clock does
    /// meanwhile: it jumps before anybody says so.
    pub fn restore(
        &mut self,
        batches: Vec<SavedBatch>,
        exceptions: Vec<(Row, Exception)>,
        next_batch: u64,
        booted: Option<Millis>,
        now: Millis,
    ) {
        self.next_batch = next_batch;
        for saved in batches {
            let rows = saved.rows.iter().map(|row| row.key).collect();
            for row in saved.rows {
                self.insert(Slot { state: State::Flying, ..Slot::queued(row, now) });
            }
            let doubtful = saved.age_ms.is_none() && booted.is_some_and(|booted| saved.first_sent <= booted);
            let older_ms = saved.age_ms.map_or(0, |age| age.saturating_sub(now.since(saved.first_sent)));
            let (attempt, first_sent) = (saved.attempt, saved.first_sent);
            let accepted = saved.accepted;
            let resend_at = Some(accepted.as_ref().map_or(now, |accepted| accepted.asked_after_start(now)));
            // It may be at work, and nobody knows what the clock has done since it left: now, for what the target calls absent.
            let (last_sent, unheard) = (now, Some(now));
            let again = if saved.outdated { Again::Never } else { Again::Allowed };
            let known = Flight { rows, attempt, first_sent, last_sent, unheard, older_ms, ..Flight::default() };
            let flight = Flight { resend_at, doubtful, again, accepted, ..known };
            self.flights.insert(saved.batch, flight);
        }
        let mut parked = Vec::new();
        for (row, exception) in exceptions {
            match exception {
                Exception::Waiting { until, class: failed, tries, since } => {
                    if let Some(flying) = self.rows.get_mut(&row.key) {
                        // It had waited, and was under way again when the gateway stopped: its batch goes first.
                        (flying.failed, flying.tries, flying.since) = (failed, tries, since);
                    } else {
                        let state = State::Waiting(until);
                        self.insert(Slot { state, failed, tries, since, ..Slot::queued(row, until) });
                    }
                }
                Exception::Parked => parked.push(row),
            }
        }
        self.park_all(parked);
    }

    /// Takes back what a person had stopped: the lane itself, and what is ordered by these.
    pub fn restore_holds(&mut self, held: bool, kept: &[i64]) {
        self.held = held;
        for order in kept {
            self.keep(*order);
        }
    }

    /// Whether a person keeps all of it.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Takes back until when the target has asked us to stay away: no longer than it may ask, whatever the clock has done.
    pub fn restore_away(&mut self, until: Millis, now: Millis) {
        self.away_until = until.min(now.plus(AWAY_MOST_MS));
    }

    /// Until when the target has asked us to stay away.
    pub fn away_until(&self) -> Millis {
        self.away_until
    }

    /// Number of the row before which none goes without a person; some of those from it on may not either.
    pub fn goes_from(&self) -> i64 {
        let known = self.rows.keys().next().into_iter().chain(self.aside.values());
        known.fold(self.cursor, |first, row| first.min(*row)).seq
    }

    fn keep(&mut self, order: i64) {
        self.park(Row { key: RowKey::default(), order, size: 0, held: true });
    }

    /// What this lane was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Subjects that a person has to free.
    pub fn parked(&self) -> usize {
        self.parked.values().filter(|first| **first != RowKey::default()).count()
    }

    /// Too many subjects are parked: nothing new leaves until a person has looked.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// When something of a batch that is not resolved leaves again, as far as is known now; of one that is, when the lane goes on.
    pub fn again_at(&self, batch: u64) -> Option<Millis> {
        let paused = self.pause_until.max(self.away_until);
        let resend = self.flights.get(&batch).map(|flight| flight.resend_at);
        let pause = (paused > Millis::default()).then_some(paused);
        resend.map_or(pause, |at| at.map(|at| at.max(paused)))
    }

    /// Takes one input and says what is to be done, but for what leaves: that is [`Lane::leave`], and then [`Lane::refill`].
    pub(super) fn take(&mut self, input: Input, now: Millis) -> Vec<Action> {
        let mut actions = Vec::new();
        let answered = match input {
            Input::Answered { batch, .. } | Input::Looked { batch, .. } | Input::Polled { batch, .. } => Some(batch),
            _ => None,
        };
        let known = self.rows.len();
        let loaded = matches!(input, Input::Loaded { .. });
        match input {
            Input::Captured { rows, since } => self.captured(rows, since.min(now)),
            Input::Loaded { rows, more } => self.loaded(rows, more, now),
            Input::Answered { batch, answer } => self.answered(batch, &answer, now, &mut actions),
            Input::Looked { batch, answer } => self.looked(batch, &answer, now, &mut actions),
            Input::Polled { batch, answer } => self.polled(batch, &answer, now, &mut actions),
            Input::Unsendable { batch, rows, outcome } if self.ahead == Some(batch) => {
                self.unstorable(&rows, &outcome, now, &mut actions);
            }
            Input::Unsendable { batch, rows, outcome } => self.unsendable(batch, &rows, &outcome, &mut actions),
            Input::Freed { row, next } => {
                self.guard.freed(now);
                self.freed(row, next);
            }
            Input::Held(held) => self.held = held,
            Input::CalledBack => {
                self.away_until = Millis::default();
                self.calm(now);
            }
            Input::Kept(order) => {
                self.give_back(now, &mut actions);
                self.keep(order);
            }
            Input::ClockSet => self.clock_set(now),
            Input::ClockUnknown => self.clock_unknown(now),
            Input::Tick => {}
        }
        self.watch(answered, &actions, now);
        self.review_ahead(Permit::Batch, now, &mut actions);
        self.idle_read = loaded && self.rows.len() == known; // of parked subjects only
        self.promote(now);
        actions
    }

    /// As if there were no gate.
    #[cfg(test)]
    fn step(&mut self, input: Input, now: Millis) -> Vec<Action> {
        let mut actions = self.take(input, now);
        while let Some(action) = self.leave(Permit::Batch, now, &mut actions) {
            actions.push(action);
        }
        actions.extend(self.refill());
        actions
    }

    /// The same.
    #[cfg(test)]
    fn wake_at(&self) -> Option<Millis> {
        [self.sends_at(), self.reads_at()].into_iter().flatten().min()
    }

    /// Makes room in memory, and asks for rows to fill it.
    pub(super) fn refill(&mut self) -> Option<Action> {
        self.make_room();
        if std::mem::take(&mut self.idle_read) { None } else { self.load() }
    }

    /// When rows are to be read, if nothing else happens before.
    pub(super) fn reads_at(&self) -> Option<Millis> {
        self.wants_load().map(|_| Millis(0))
    }

    /// When something may leave as far as the lane goes, if nothing else happens before; `None`: an answer comes first, or
    /// there is nothing.
    pub(super) fn sends_at(&self) -> Option<Millis> {
        if self.held {
            return None;
        }
        if self.flying() >= self.allowed_in_flight() {
            return None;
        }
        let resend = self.flights.values().filter_map(Flight::due_at).min();
        let waiting = self.due.first().map(|(at, _)| *at);
        let new = self.new_rows_at();
        let ready = self.ready.first().and_then(|key| Some(self.leaves_at(*key).max(new?)));
        let paused = self.pause_until.max(self.away_until);
        [resend, waiting, ready, self.ahead_since()].into_iter().flatten().min().map(|at| at.max(paused))
    }

    /// Something may leave now: since when the oldest of it waits.
    pub(super) fn wants(&self, now: Millis) -> Option<Millis> {
        if self.held || now < self.pause_until.max(self.away_until) || self.flying() >= self.allowed_in_flight() {
            return None;
        }
        let due = self.flights.values().filter(|f| f.is_due(now)).map(Flight::waits_since).min();
        due.or_else(|| self.ahead_since()).or_else(|| {
            let first = *self.ready.first().filter(|_| self.has_new_rows(now))?;
            let full = self.ready.len() >= self.most || !self.halves.is_empty();
            (full || self.leaves_at(first) <= now).then(|| self.rows[&first].ready_at)
        })
    }

    /// What all lanes of the target waited for is over, or is to be found out: their own pauses are of before.
    pub(super) fn calm(&mut self, now: Millis) {
        (self.failures, self.pause_until) = (0, Millis::default());
        let own_pause = |flight: &&mut Flight| !flight.doubtful && flight.accepted.is_none();
        for flight in self.flights.values_mut().filter(own_pause) {
            flight.resend_at = flight.resend_at.map(|at| at.min(now));
        }
    }

    /// What left before the clock was set ahead is as old as it was, and so is a row's trouble, and the target's word to stay away.
    pub(super) fn clock_jumped(&mut self, ms: u64) {
        self.away_until = self.away_until.plus(ms);
        for slot in self.rows.values_mut() {
            slot.since = slot.since.plus(ms);
        }
        // What is stored and has not left goes back in line by it: its times are those of another clock.
        for flight in self.flights.values_mut().filter(|flight| !flight.ahead) {
            flight.last_sent = flight.last_sent.plus(ms);
            flight.unheard = flight.unheard.map(|left| left.plus(ms));
            if let Some(accepted) = &mut flight.accepted {
                accepted.since = accepted.since.plus(ms);
            }
            if let Some(vain) = &mut flight.vain {
                vain.since = vain.since.plus(ms);
            }
        }
    }

    /// Number of the first row of a batch that is not resolved.
    pub(super) fn first_of(&self, batch: u64) -> Option<i64> {
        self.flights.get(&batch)?.rows.first().map(|row| row.seq)
    }

    /// Whether the batch is under way.
    pub(super) fn is_flying(&self, batch: u64) -> bool {
        self.flights.get(&batch).is_some_and(|flight| flight.resend_at.is_none())
    }

    fn leaves_at(&self, key: RowKey) -> Millis {
        let ready_at = self.rows.get(&key).map_or(Millis(0), |slot| slot.ready_at);
        if self.flying() == 0 { ready_at } else { ready_at.plus(self.config.linger_ms) }
    }

    /// Requests under way.
    pub(super) fn flying(&self) -> usize {
        self.flights.values().filter(|f| f.resend_at.is_none() && !f.ahead).count()
    }

    /// While the target is in trouble one request at a time finds out whether it is back.
    fn allowed_in_flight(&self) -> usize {
        if self.failures > 0 { 1 } else { self.config.max_in_flight }
    }

    /// The next request, if there is one; what else comes of looking for it goes into `actions`.
    pub(super) fn leave(&mut self, permit: Permit, now: Millis, actions: &mut Vec<Action>) -> Option<Action> {
        self.wants(now)?;
        self.review_ahead(permit, now, actions);
        let resend = self.next_resend(permit, now, actions);
        resend.or_else(|| self.release(now)).or_else(|| self.next_batch(permit, now))
    }

    /// When rows that were never sent may leave; `None`: a person comes first.
    fn new_rows_at(&self) -> Option<Millis> {
        (!self.stopped).then(|| self.guard.opens_at(|batch| self.flights.contains_key(&batch)))
    }

    fn has_new_rows(&self, now: Millis) -> bool {
        !self.ready.is_empty() && self.new_rows_at().is_some_and(|at| at <= now)
    }

    /// What waited for the clock goes on by it. What was said before, by another clock, is no age.
    fn clock_set(&mut self, now: Millis) {
        for flight in self.flights.values_mut().filter(|flight| flight.doubtful) {
            flight.doubtful = false;
            if flight.accepted.is_some() {
                flight.last_sent = now;
            }
        }
    }

    /// What waited for the clock goes on without one: it is not sent again by its age.
    fn clock_unknown(&mut self, now: Millis) {
        for flight in self.flights.values_mut().filter(|flight| flight.doubtful) {
            (flight.doubtful, flight.ageless, flight.last_sent) = (false, true, now);
        }
    }

    fn next_batch(&mut self, permit: Permit, now: Millis) -> Option<Action> {
        let single = permit == Permit::Probe || self.guard.storm().is_some();
        let most = if single { 1 } else { self.most };
        let first = *self.ready.first().filter(|_| self.has_new_rows(now))?;
        if self.ready.len() < most && self.halves.is_empty() && self.leaves_at(first) > now {
            return None;
        }
        let half = self.next_half();
        let mut rows = Vec::new();
        let mut bytes = 0;
        let heads: Box<dyn Iterator<Item = &RowKey>> = if permit == Permit::Probe {
            Box::new(self.ready.iter().min_by_key(|key| (self.rows[*key].probed, **key)).into_iter())
        } else if half.is_empty() {
            Box::new(self.ready.iter())
        } else {
            Box::new(half.iter().filter(|row| self.ready.contains(row)))
        };
        for head in heads {
            let suspect = self.is_suspect(*head);
            if suspect && !rows.is_empty() {
                continue; // it goes alone
            }
            let subject = &self.subjects[&self.rows[head].row.order];
            let together = if self.config.ordered_batch && !suspect { most } else { 1 };
            for key in subject.iter().take(together) {
                let slot = &self.rows[key];
                let fits = rows.is_empty() || bytes + slot.row.size as usize <= self.config.max_bytes;
                let is_next = half.is_empty() || half.binary_search(key).is_ok() || permit == Permit::Probe;
                if slot.state != State::Queued || rows.len() >= most || !fits || !is_next {
                    break;
                }
                bytes += slot.row.size as usize;
                rows.push(*key);
            }
            if suspect || rows.len() >= most || bytes >= self.config.max_bytes {
                break;
            }
        }
        rows.sort_unstable();
        self.leaves_of(half, &rows);
        for key in &rows {
            self.set_state(*key, State::Flying, now);
            if let Some(slot) = self.rows.get_mut(key) {
                slot.probed += u32::from(permit == Permit::Probe);
            }
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        let probe = permit == Permit::Probe;
        let flight =
            Flight { rows: rows.clone(), attempt: 1, first_sent: now, last_sent: now, probe, ..Flight::default() };
        self.flights.insert(batch, flight);
        self.guard.left(batch, now);
        Some(Action::Send { batch, rows, attempt: 1, first_sent: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{Answer, Idempotency, Outcome, Worth};

    fn config() -> Config {
        Config { max_in_flight: 4, ..Config::example() }
    }

    #[test]
    fn a_row_that_had_waited_and_was_under_way_at_a_crash_is_in_one_batch_only() {
        let (now, row) = (Millis(10_000), Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false });
        let batch = SavedBatch {
            batch: 7,
            rows: vec![row],
            attempt: 1,
            first_sent: Millis(9_000),
            accepted: None,
            outdated: false,
            age_ms: None,
        };
        let waited = Exception::Waiting { until: Millis(8_000), class: None, tries: 1, since: Millis(7_000) };
        let mut lane = Lane::new(config(), 1);
        lane.restore(vec![batch], vec![(row, waited)], 8, None, now);
        let sent: Vec<u64> = [Input::Tick, Input::Loaded { rows: vec![row], more: false }, Input::Tick]
            .into_iter()
            .flat_map(|input| lane.step(input, now))
            .filter_map(|action| if let Action::Send { batch, .. } = action { Some(batch) } else { None })
            .collect();
        assert_eq!(sent, [7]);
    }

    /// The time daemon steps the clock over the days that the machine was off, and it takes a minute to hear of it.
    #[test]
    fn a_clock_that_jumps_before_it_is_told_decides_nothing() {
        let (sent, booted) = (Millis(1_763_906_709_412), Millis(1_763_906_800_000));
        let row = Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false };
        let restored = || {
            let mut lane = Lane::new(config(), 1);
            let saved = SavedBatch {
                batch: 1,
                rows: vec![row],
                attempt: 1,
                first_sent: sent,
                accepted: None,
                outdated: false,
                age_ms: None,
            };
            lane.restore(vec![saved], vec![], 2, Some(booted), booted);
            lane.step(Input::Loaded { rows: vec![], more: false }, booted);
            assert_eq!(lane.step(Input::Tick, booted.plus(20 * 60_000)), [], "nothing before somebody says so");
            assert_eq!((lane.sends_at(), lane.reads_at()), (None, None));
            lane
        };
        let set = restored().step(Input::ClockSet, booted.plus(21 * 60_000));
        assert!(matches!(set[..], [Action::Send { batch: 1, attempt: 2, .. }]), "{set:?}");
        let unknown = restored().step(Input::ClockUnknown, booted.plus(21 * 60_000));
        assert!(matches!(unknown[..], [Action::Reject { maybe: true, .. }, Action::Close { batch: 1 }]), "{unknown:?}");
    }

    /// A clock that was set ahead by a week since it left has let no time pass.
    #[test]
    fn what_was_sent_before_a_start_is_absent_a_settle_delay_after_the_start_only() {
        let row = Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false };
        let mut lane = Lane::new(Config { settle_ms: Some(120_000), idempotency: Idempotency::Lookup, ..config() }, 1);
        let (rows, first_sent) = (vec![row], Millis(1_000));
        let saved =
            SavedBatch { batch: 1, rows, attempt: 1, first_sent, accepted: None, outdated: false, age_ms: None };
        let start = Millis(6_000).plus(7 * 86_400_000);
        lane.restore(vec![saved], vec![], 2, None, start);
        lane.step(Input::Loaded { rows: vec![], more: false }, start);
        assert_eq!(lane.step(Input::Tick, start.plus(119_999)), []);
        assert!(matches!(lane.step(Input::Tick, start.plus(120_000))[..], [Action::Look { .. }]));
    }

    /// A target that has asked for an hour is not asked by the next start, and one whose clock was set back not for years.
    #[test]
    fn a_start_stays_away_as_long_as_the_target_has_asked_and_no_longer_than_it_may() {
        for (asked, waits) in [(0, 0), (600_000, 600_000), (86_400_000, AWAY_MOST_MS)] {
            let mut lane = Lane::new(config(), 1);
            let (start, row) = (Millis(5_000), Row { key: RowKey { seq: 1, tx: 1 }, order: 1, size: 10, held: false });
            lane.restore(vec![], vec![], 1, None, start);
            lane.restore_away(start.plus(asked), start);
            let mut sent = lane.step(Input::Loaded { rows: vec![row], more: false }, start);
            if waits > 0 {
                assert_eq!((sent, lane.sends_at()), (vec![], Some(start.plus(waits))), "asked for {asked} ms");
                sent = lane.step(Input::Tick, start.plus(waits));
            }
            assert!(matches!(sent[..], [Action::Send { .. }]), "asked for {asked} ms: {sent:?}");
        }
    }

    /// Behind a request in flight rows linger; what has waited so long for the commit before goes with its own.
    #[test]
    fn what_a_slow_disk_made_wait_leaves_with_its_commit() {
        let sent_with = |since: u64| {
            let mut lane = Lane::new(Config { linger_ms: 5, ..config() }, 1);
            let row = |seq| vec![Row { key: RowKey { seq, tx: 1 }, order: seq, size: 10, held: false }];
            lane.step(Input::Loaded { rows: row(1), more: false }, Millis(0));
            let actions = lane.step(Input::Captured { rows: row(2), since: Millis(100).minus(since) }, Millis(100));
            actions.iter().filter(|action| matches!(action, Action::Send { batch: 2, .. })).count()
        };
        assert_eq!((sent_with(4), sent_with(5)), (0, 1));
    }

    /// A row that a target in order did not try because of a rejected one before it goes by itself where nothing parks.
    #[test]
    fn what_stands_behind_a_rejected_row_of_a_visibility_lane_goes_again() {
        let config = Config { worth: Worth::Visibility, ordered_batch: true, ..config() };
        let mut lane = Lane::new(config, 1);
        let rows = [1, 2].map(|seq| Row { key: RowKey { seq, tx: 1 }, order: 1, size: 10, held: false });
        let sent = lane.step(Input::Loaded { rows: rows.to_vec(), more: false }, Millis(0));
        assert!(matches!(&sent[..], [Action::Send { rows, .. }] if rows.len() == 2), "{sent:?}");
        let outcomes = vec![Outcome::new(Class::Validation, ""), Outcome::new(Class::NotAttempted, "")];
        let answer =
            Answer { status: None, excerpt: String::new(), outcomes, whole: false, retry_after_ms: None, later: None };
        let then = lane.step(Input::Answered { batch: 1, answer }, Millis(10));
        let again = then
            .iter()
            .any(|a| matches!(a, Action::Send { batch: 2, rows, .. } if rows[..] == [RowKey { seq: 2, tx: 1 }]));
        assert!(again, "{then:?}");
    }
}
