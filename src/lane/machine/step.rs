//! What goes into a step of delivery, and what comes out of it.

use super::Accepted;
use crate::event::Millis;
use crate::lane::{Answer, Class, Outcome};

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
    /// How long ago that is by a clock that nobody sets, where there is one that has run on.
    pub age_ms: Option<u64>,
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
    /// A person says that the target's word to stay away is over.
    CalledBack,
    /// A person holds what is ordered by this: nothing of it leaves that is not under way, until [`Input::Freed`].
    Kept(i64),
    /// The wall clock can be trusted again: [`Lane::restore`](super::Lane::restore)'s doubt is over.
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
        /// The answer that was handed in says so.
        answered: bool,
    },
}
