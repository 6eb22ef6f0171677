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
mod rows;
mod storm;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::Millis;
pub use storm::Storm;

use crate::lane::answer::AWAY_MOST_MS;
use crate::lane::gate::Permit;
use crate::lane::{Answer, Class, Config, Idempotency, Outcome};

pub use accepted::{Accepted, Overdue};

/// Rows of one lane in memory.
pub const WINDOW: usize = 8_192;
/// A batch that can only be looked up is a person's when no lookup has told anything of it for so long.
const VAIN_MS: u64 = 24 * 3_600_000;

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
        /// What kept it.
        class: Option<Class>,
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
    /// The target has taken it over: it is asked for, and not sent again.
    pub accepted: Option<Accepted>,
    /// The target no longer tells its key: it is not sent again.
    pub outdated: bool,
}

/// What happens to a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Rows of the events captured in this commit, in order.
    Captured {
        /// In order.
        rows: Vec<Row>,
        /// When the first of them was handed in: a slow disk has had them linger already.
        since: Millis,
    },
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
    /// What came of [`Action::Look`]: found ([`Class::Found`]), there with other content ([`Class::KeyClash`]), definitely not
    /// there ([`Class::NotAttempted`]), or nothing that tells.
    Looked {
        /// The batch.
        batch: u64,
        /// The answer.
        answer: Answer,
    },
    /// What came of [`Action::Poll`]: the results of the batch, [`Class::Accepted`] for all of it while the target is at work,
    /// [`Class::Unknown`] if the target does not know what it is asked for, or why it says nothing.
    Polled {
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
    /// A person has dealt with a row that was rejected or held. It is stored: in line again, or at its end, and the later ones
    /// of its subject are stored as in line, too, whatever they had waited for.
    Freed {
        /// The row.
        row: Row,
        /// The first row of its subject that still needs a person.
        next: Option<RowKey>,
    },
    /// A person holds the lane, or its system: nothing leaves until it is `false` again.
    Held(bool),
    /// A person holds what is ordered by this: nothing of it leaves that is not under way, until [`Input::Freed`].
    Kept(i64),
    /// The wall clock can be trusted again: [`Lane::restore`]'s doubt is over.
    ClockSet,
    /// It still can't, long after the start: a person decides of what has waited for it.
    ClockUnknown,
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
    /// Store the batch as `sending`, before there is room for it: it is not sent before [`Action::Release`].
    Store {
        /// The batch.
        batch: u64,
        /// Its rows, in order.
        rows: Vec<RowKey>,
        /// Now: it leaves a moment later.
        first_sent: Millis,
    },
    /// Send the batch that [`Action::Store`] has stored: at once if that is durable, else after its commit.
    Release {
        /// The batch.
        batch: u64,
    },
    /// Ask the target which rows of an unknown batch have their effect.
    Look {
        /// The batch.
        batch: u64,
        /// Its rows, in order.
        rows: Vec<RowKey>,
        /// When the first attempt left.
        first_sent: Millis,
    },
    /// Ask the target, at the address that it gave, what became of a batch that it has accepted.
    Poll {
        /// The batch.
        batch: u64,
        /// Its rows, in order.
        rows: Vec<RowKey>,
        /// When the first attempt left.
        first_sent: Millis,
        /// Where.
        job: String,
    },
    /// The target has taken these rows of the batch over, and is asked for them later; the others are resolved.
    Accepted {
        /// The batch.
        batch: u64,
        /// What remains of it, in order.
        rows: Vec<RowKey>,
        /// Where and when.
        accepted: Accepted,
    },
    /// The attempt is over, and what came of these rows of it is unknown; the others are resolved.
    Unknown {
        /// The batch.
        batch: u64,
        /// What remains of it, in order.
        rows: Vec<RowKey>,
        /// The target no longer tells its key: it is never sent again, after a start neither.
        outdated: bool,
    },
    /// Some rows of an unknown batch become a batch of their own, sent when it was sent.
    Cut {
        /// The batch.
        batch: u64,
        /// What remains of it, in order.
        keep: Vec<RowKey>,
        /// The lane's number of the new one.
        new: u64,
        /// Its rows, in order.
        off: Vec<RowKey>,
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
        /// Delivered, Duplicate or Found.
        class: Class,
        /// The target's reference.
        reference: Option<String>,
        /// Why somebody should look whether it is there twice.
        suspect: Option<String>,
    },
    /// The row had no effect and goes again, not before `until`.
    Wait {
        /// The row.
        row: RowKey,
        /// When it may go.
        until: Millis,
        /// Why.
        outcome: Outcome,
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
            let doubtful = booted.is_some_and(|booted| saved.first_sent <= booted);
            let (attempt, first_sent) = (saved.attempt, saved.first_sent);
            let accepted = saved.accepted;
            let resend_at = Some(accepted.as_ref().map_or(now, |accepted| accepted.asked_after_start(now)));
            // It may be at work, and nobody knows what the clock has done since it left: now, for what the target calls absent.
            let (last_sent, unheard) = (now, Some(now));
            let again = if saved.outdated { Again::Never } else { Again::Allowed };
            let known = Flight { rows, attempt, first_sent, last_sent, unheard, ..Flight::default() };
            let flight = Flight { resend_at, doubtful, again, accepted, ..known };
            self.flights.insert(saved.batch, flight);
        }
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
                Exception::Parked => self.park(row),
            }
        }
    }

    /// Takes back what a person had stopped: the lane itself, and what is ordered by these.
    pub fn restore_holds(&mut self, held: bool, kept: &[i64]) {
        self.held = held;
        for order in kept {
            self.keep(*order);
        }
    }

    /// Takes back until when the target has asked us to stay away: no longer than it may ask, whatever the clock has done.
    pub fn restore_away(&mut self, until: Millis, now: Millis) {
        self.away_until = until.min(now.plus(AWAY_MOST_MS));
    }

    /// Until when the target has asked us to stay away.
    pub fn away_until(&self) -> Millis {
        self.away_until
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

    /// What left before the clock was set ahead is as old as it was, and so is the target's word to stay away.
    pub(super) fn clock_jumped(&mut self, ms: u64) {
        self.away_until = self.away_until.plus(ms);
        // What is stored and has not left goes back in line by it: its times are those of another clock.
        for flight in self.flights.values_mut().filter(|flight| !flight.ahead) {
            flight.last_sent = flight.last_sent.plus(ms);
            flight.unheard = flight.unheard.map(|left| left.plus(ms));
            if let Some(vain) = &mut flight.vain {
                vain.since = vain.since.plus(ms);
            }
        }
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

    /// When rows that were never sent may leave; `None`: a person, or an answer, comes first.
    fn new_rows_at(&self) -> Option<Millis> {
        if self.stopped { None } else { self.guard.opens_at() }
    }

    fn has_new_rows(&self, now: Millis) -> bool {
        !self.ready.is_empty() && self.new_rows_at().is_some_and(|at| at <= now)
    }

    /// The oldest unknown batch that is due: sent again while the target surely knows its keys, asked for where that can be
    /// done, else for a person.
    fn next_resend(&mut self, permit: Permit, now: Millis, actions: &mut Vec<Action>) -> Option<Action> {
        loop {
            let mut batch = self.due_flight(permit, now)?;
            let settle_ms = self.config.settle_ms;
            if let Some(ask) = self.flights.get_mut(&batch)?.ask(batch, settle_ms, now) {
                return Some(ask);
            }
            let flight = self.flights.get(&batch)?;
            let horizon = self.config.dedup_horizon_ms.saturating_sub(2 * self.config.timeout_ms);
            // Asked for, and an earlier row of its subject is not there: sent again it would come before that one.
            let may = match flight.again {
                _ if flight.poison || (settle_ms.is_some() && self.overtakes(flight)) => false,
                Again::Allowed => true,
                Again::Unasked => settle_ms.is_none(),
                Again::Never | Again::Replayed | Again::Apart => false,
            };
            let known = may
                && match self.config.idempotency {
                    Idempotency::Key => !flight.ageless && now.since(flight.first_sent) < horizon,
                    Idempotency::Natural => true,
                    Idempotency::Lookup | Idempotency::None => false,
                };
            if known {
                if permit == Permit::Probe {
                    batch = self.cut(batch, 1, actions).unwrap_or(batch);
                }
                let flight = self.flights.get_mut(&batch)?;
                flight.probe |= permit == Permit::Probe;
                flight.attempt += 1;
                flight.resend_at = None;
                (flight.way, flight.again) = (Way::Post, Again::Allowed);
                flight.last_sent = now;
                let (rows, attempt, first_sent) = (flight.rows.clone(), flight.attempt, flight.first_sent);
                return Some(Action::Send { batch, rows, attempt, first_sent });
            }
            let flight = self.flights.get_mut(&batch)?;
            match self.config.settle_ms {
                Some(settle) if now < flight.last_sent.plus(settle) => {
                    flight.resend_at = Some(flight.last_sent.plus(settle));
                }
                Some(_) if flight.vain.as_ref().is_some_and(|vain| vain.up && now.since(vain.since) >= VAIN_MS) => {
                    let words = flight.vain.take().map_or(String::new(), |vain| vain.words);
                    let reason = format!(
                        "it was sent and never answered, and for a day no lookup has told what became of it ({words}): look in \
                         the target whether it was posted"
                    );
                    self.give_up(batch, &reason, actions);
                }
                Some(_) => {
                    flight.resend_at = None;
                    (flight.way, flight.absence_counts) = (Way::Look, true);
                    return Some(Action::Look { batch, rows: flight.rows.clone(), first_sent: flight.first_sent });
                }
                None => {
                    let reason = why_a_person(self.config.idempotency, flight.ageless, flight.again);
                    self.give_up(batch, reason, actions);
                }
            }
        }
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

    /// A row of the batch has an earlier one of its subject outside of it that is not at its end.
    fn overtakes(&self, flight: &Flight) -> bool {
        flight.rows.iter().filter_map(|row| self.rows.get(row)).any(|slot| {
            let first = self.subjects.get(&slot.row.order).and_then(BTreeSet::first);
            self.is_behind_parked(&slot.row) || first.is_some_and(|first| !flight.rows.contains(first))
        })
    }

    /// What waited for the clock goes on without one: it is not sent again by its age.
    fn clock_unknown(&mut self, now: Millis) {
        for flight in self.flights.values_mut().filter(|flight| flight.doubtful) {
            (flight.doubtful, flight.ageless, flight.last_sent) = (false, true, now);
        }
    }

    /// An unknown batch that may not be sent again: a person looks.
    fn give_up(&mut self, batch: u64, reason: &str, actions: &mut Vec<Action>) {
        for row in self.flights.remove(&batch).map(|flight| flight.rows).unwrap_or_default() {
            self.reject(row, Outcome::new(Class::Unresolvable, reason), true, actions);
        }
        actions.push(Action::Close { batch });
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
        self.guard.left(batch);
        Some(Action::Send { batch, rows, attempt: 1, first_sent: now })
    }
}

/// Why a batch without an answer can neither be sent again nor be asked for.
fn why_a_person(idempotency: Idempotency, ageless: bool, again: Again) -> &'static str {
    match (idempotency, ageless) {
        _ if again == Again::Apart => {
            "the target is done with the request that it was sent in, and says nothing of it: look in the target whether it was \
             posted"
        }
        _ if again == Again::Never => {
            "it was sent, and the target no longer tells whether it has seen its key: look in the target whether it was posted"
        }
        _ if again == Again::Replayed => {
            "it was sent, and the target answers its key with the error that it gave first: look in the target whether it \
             was posted"
        }
        (Idempotency::None, _) => {
            "it was sent and never answered, and the target can't tell a posting that it has seen before: look in the \
             target whether it was posted"
        }
        (_, true) => {
            "it was sent and never answered, and the clock is not set since the machine started, so that nobody knows how \
             long ago: look in the target whether it was posted"
        }
        (_, false) => {
            "it was sent and never answered, and the target may have forgotten its key by now: look in the target whether \
             it was posted"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Worth;

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
            let saved =
                SavedBatch { batch: 1, rows: vec![row], attempt: 1, first_sent: sent, accepted: None, outdated: false };
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
        let saved = SavedBatch { batch: 1, rows, attempt: 1, first_sent, accepted: None, outdated: false };
        let start = Millis(6_000).plus(7 * 86_400_000);
        lane.restore(vec![saved], vec![], 2, None, start);
        lane.step(Input::Loaded { rows: vec![], more: false }, start);
        assert_eq!(lane.step(Input::Tick, start.plus(119_999)), []);
        assert!(matches!(lane.step(Input::Tick, start.plus(120_000))[..], [Action::Look { .. }]));
    }

    #[test]
    fn who_has_to_look_is_told_why_in_one_line() {
        for idempotency in [Idempotency::Key, Idempotency::None] {
            for (ageless, again) in [Again::Allowed, Again::Never, Again::Replayed, Again::Apart]
                .map(|again| (false, again))
                .into_iter()
                .chain([(true, Again::Allowed)])
            {
                let why = why_a_person(idempotency, ageless, again);
                assert!(!why.contains("  ") && why.ends_with("look in the target whether it was posted"), "{why}");
            }
        }
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
