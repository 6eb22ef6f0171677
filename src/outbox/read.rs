//! Reading the outbox beside its writer: read-only, from a running gateway, a stopped one, or a copy.

pub mod bad_input;
pub mod chain;
pub mod find;
pub mod holds;
pub mod instances;
mod last_answer;
pub mod names;
pub mod parked;
pub(in crate::outbox) mod search;
mod stuck;
pub mod trace;
pub mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::event::{Id, Millis};
use crate::lane::{self, Desks, Idempotency, RowKey, Storm};
use crate::outbox::StorageError;
use crate::outbox::capture::{LAST_SEQ, PENDING_BYTES};
use crate::outbox::delivery::unpack;
use crate::outbox::open::{DATABASE, LAST_WALL, at_rest, disk_bytes, reading, reserve};
use crate::outbox::trim::used_bytes;

pub use holds::Held;
pub use last_answer::LastAnswer;
pub use stuck::{HeldRow, Letter, SuspectRow, WaitingRow};

/// The database's files in the data directory.
pub const FILES: [&str; 2] = [DATABASE, "outbox.db-wal"];
/// The present rate is taken over this many of the last events.
const RATE_WINDOW: i64 = 10_000;
/// Dead letters, held rows and waiting rows listed, unless more are asked for.
pub const LISTED: u32 = 10;
/// The count of gaps in the numbers of a device.
pub const GAP: &str = "gap";
/// What orders the parked subjects of lane ?1.
const PARKED: &str =
    "SELECT order8 FROM pending INDEXED BY pending_exception WHERE lane = ?1 AND state IN (2, 3) AND state <> 0";
/// Of the rows of lane ?1 from ?2 on.
const OLDEST_TX: &str = "SELECT t.text FROM pending p CROSS JOIN name t ON t.id = p.tx
    WHERE p.lane = ?1 AND p.seq >= ?2 AND p.state < 2 ORDER BY p.seq, p.tx LIMIT 1";
/// Why a row is held, where the row itself does not say.
const HELD: &str = "a repeat of the same content that can't be told from a second scan";

/// What bounds an outbox: the configuration says so, the database does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// `outbox.max_size`, bytes of deliveries that are not at their end.
    pub max_size: u64,
    /// More subjects parked than this stop a lane; lanes that park none have no entry.
    pub max_parked: BTreeMap<String, usize>,
    /// Who looks after what needs a person.
    #[serde(default)]
    pub desks: Desks,
    /// Lanes whose target is sent nothing twice, and can't be asked: what is not answered needs a person.
    #[serde(default)]
    pub once: BTreeSet<String>,
    /// How long a target may take to answer, milliseconds, by lane.
    #[serde(default)]
    pub timeouts: BTreeMap<String, u64>,
}

impl Bounds {
    /// The bounds in a configuration.
    pub fn of(outbox: &crate::outbox::Config, lanes: &[lane::Config], desks: &Desks) -> Self {
        let parking = lanes.iter().filter(|lane| lane.parks());
        let max_parked = parking.map(|lane| (lane.id.clone(), lane.max_parked)).collect();
        let once = lanes.iter().filter(|lane| lane.idempotency == Idempotency::None && lane.settle_ms.is_none());
        Self {
            max_size: outbox.max_size,
            max_parked,
            desks: desks.clone(),
            once: once.map(|lane| lane.id.clone()).collect(),
            timeouts: lanes.iter().map(|lane| (lane.id.clone(), lane.timeout_ms)).collect(),
        }
    }

    /// Whether a rejected or held row keeps the later ones of its subject waiting in that lane.
    pub fn parks(&self, lane: &str) -> bool {
        self.max_parked.contains_key(lane)
    }

    /// The same where no configuration may be known: it parks, as is usual.
    pub fn parks_in(bounds: Option<&Self>, lane: &str) -> bool {
        bounds.is_none_or(|bounds| bounds.parks(lane))
    }

    /// Who looks after what; where no configuration is known, as it is usual.
    pub fn desks(bounds: Option<&Self>) -> &Desks {
        static USUAL: Desks = Desks(BTreeMap::new());
        bounds.map_or(&USUAL, |bounds| &bounds.desks)
    }

    /// Whether so many parked subjects stop the lane: it sends nothing new.
    pub fn stop(&self, lane: &LaneStatus) -> bool {
        let bound = self.max_parked.get(&lane.lane).and_then(|bound| i64::try_from(*bound).ok());
        bound.is_some_and(|bound| lane.parked > bound)
    }
}

/// How the outbox stands. Times are UTC milliseconds, sizes bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Rows by lane and state.
    pub lanes: Vec<LaneStatus>,
    /// Bytes of deliveries that are not at their end: what `max_size` bounds.
    pub pending_bytes: i64,
    /// Database, WAL and index files.
    pub file_bytes: u64,
    /// Of these, bytes that hold something.
    pub used_bytes: i64,
    /// What the file system still has.
    pub disk_free_bytes: Option<u64>,
    /// What of that may be used before the disk counts as full, and devices are no longer acknowledged.
    pub disk_left_bytes: Option<u64>,
    /// Events stored, delivered ones included.
    pub events: i64,
    /// Recorded time of the newest event.
    pub newest_at: Option<i64>,
    /// Events a second over the last ones, up to `now`.
    pub rate_per_second: f64,
    /// Bytes that one event adds, about, over the same events.
    pub bytes_per_event: f64,
    /// What persons have stopped.
    pub holds: Vec<Held>,
    /// Dead letters in all.
    pub dead_letters: i64,
    /// The oldest of them.
    pub letters: Vec<Letter>,
    /// Held rows in all.
    pub held: i64,
    /// The oldest of them.
    pub held_rows: Vec<HeldRow>,
    /// Waiting rows in all: each is the first of its subject.
    pub waiting: i64,
    /// The ones that have waited longest.
    pub waiting_rows: Vec<WaitingRow>,
    /// Delivered ones that may be there twice, in all.
    pub suspects: i64,
    /// The newest of them.
    pub suspect_rows: Vec<SuspectRow>,
    /// Samples that could not be read, by source and reason, of the ones kept.
    pub bad_input: Vec<BadInput>,
    /// Troubles counted since the database was made: duplicates, gaps, late, clashes, restarts.
    pub counts: Vec<Count>,
}

/// One lane's rows by state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneStatus {
    /// Lane id.
    pub lane: String,
    /// System id.
    pub system: String,
    /// May be taken, or behind another row of its subject.
    pub ready: i64,
    /// On its way: sent, and not answered.
    pub sending: i64,
    /// The one of these whose request left first.
    pub oldest_sending: Option<Sent>,
    /// Taken over by the target, which is asked what became of it.
    pub accepted: i64,
    /// Since when, at the longest.
    pub accepted_since: Option<i64>,
    /// When it is asked for next.
    pub ask_at: Option<i64>,
    /// May have had effect: resent under its key.
    pub unknown: i64,
    /// The one of these that was sent first.
    pub oldest_unknown: Option<Sent>,
    /// Had no effect, goes again later.
    pub waiting: i64,
    /// Needs a person.
    pub rejected: i64,
    /// Not sent at all until a person decides.
    pub held: i64,
    /// Subjects that a rejected or held row keeps waiting.
    pub parked: i64,
    /// Ready rows of those subjects; some of them may be before that row, and go.
    pub behind: i64,
    /// Reached its effect.
    pub delivered: i64,
    /// Taken out by a person; in a lane that parks nothing also refused, and made idle by a later one of its subject.
    pub skipped: i64,
    /// Recorded time of the oldest row that isn't delivered.
    pub oldest_at: Option<i64>,
    /// The same of the rows that go without a person.
    pub oldest_going_at: Option<i64>,
    /// Transaction type of the oldest row that is neither rejected nor held.
    pub oldest_tx: Option<String>,
    /// What the target said last, or what kept it from saying something.
    pub last_answer: Option<LastAnswer>,
    /// It sends nothing but single rows, to find out, since too many were refused.
    pub storm: Option<Storm>,
}

/// A row that is not answered, or with nothing that tells of it.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// Key of its posting.
    pub key: String,
    /// When it was sent: of one that is under way the last time, of one that is unknown the first time.
    pub sent_at: i64,
}

impl LaneStatus {
    /// No gateway runs: nothing is under way, and of what was nobody has heard.
    pub fn rest(&mut self) {
        self.ask_at = None;
        self.unknown += std::mem::take(&mut self.sending);
        let sent = [self.oldest_unknown.take(), self.oldest_sending.take()];
        self.oldest_unknown = sent.into_iter().flatten().min_by_key(|sent| sent.sent_at);
    }

    /// Rows that go by themselves. In a lane that `parks` those behind a rejected or held one do not.
    pub fn going(&self, parks: bool) -> i64 {
        self.ready + self.sending + self.accepted + self.unknown + self.waiting - self.behind_parked(parks)
    }

    /// Rows behind a rejected or held one, in a lane that `parks`: they go when a person has decided of that.
    pub fn behind_parked(&self, parks: bool) -> i64 {
        if parks { self.behind.min(self.ready) } else { 0 }
    }

    /// It has something to send, and the last answer spoke against it. Rejected rows are told as dead letters: they keep
    /// nobody but their own subjects.
    pub fn meets_trouble(&self) -> bool {
        self.going(false) > 0 && self.last_answer.as_ref().is_some_and(LastAnswer::keeps)
    }
}

/// Samples that could not be read.
#[derive(Debug, Clone, Serialize)]
pub struct BadInput {
    /// Device or link.
    pub source: String,
    /// Why.
    pub reason: String,
    /// How many are kept.
    pub n: i64,
    /// When the last one came.
    pub last_at: i64,
}

/// One counter.
#[derive(Debug, Clone, Serialize)]
pub struct Count {
    /// Device or link.
    pub source: String,
    /// What is counted.
    pub what: String,
    /// How often.
    pub n: i64,
    /// When last.
    pub last_at: i64,
}

/// Whether what was written last may be missing in the outbox in `dir`: its gateway has not closed the database, and there is no WAL
/// beside it.
pub fn lacks_wal(dir: &Path) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE k = 'unclosed')";
    let unclosed = || reading(dir, |db| db.query_row(sql, [], |r| r.get(0))).unwrap_or(false);
    at_rest(dir) && unclosed() && at_rest(dir) // no gateway has started meanwhile
}

/// Reads the status of the outbox in `dir`. `now`: UTC milliseconds.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn status(dir: &Path, now: i64) -> Result<Status, StorageError> {
    status_with(dir, now, LISTED)
}

/// The same with at most `listed` dead letters, held rows and waiting rows.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn status_with(dir: &Path, now: i64, listed: u32) -> Result<Status, StorageError> {
    reading(dir, |db| all_of(&*db.transaction()?, dir, now, listed)) // one moment, whatever the writer does meanwhile
}

/// How many events are kept.
fn kept() -> String {
    format!("SELECT ({LAST_SEQ}) - v FROM meta WHERE k = 'trimmed'")
}

fn all_of(db: &Connection, dir: &Path, now: i64, listed: u32) -> Result<Status, rusqlite::Error> {
    let file = |suffix: &str| std::fs::metadata(dir.join(format!("{DATABASE}{suffix}"))).map_or(0, |m| m.len());
    let newest: Option<(i64, i64)> =
        first(db, "SELECT seq, recorded_at FROM event ORDER BY seq DESC LIMIT 1", |r| Ok((r.get(0)?, r.get(1)?)))?;
    let disk = disk_bytes(dir);
    let (rate_per_second, bytes_per_event) = rate(db, newest.map(|(seq, _)| seq), now)?;
    let lanes = lanes(db)?;
    Ok(Status {
        holds: holds::of(db)?,
        held: lanes.iter().map(|lane| lane.held).sum(),
        held_rows: stuck::held_rows(db, listed)?,
        waiting: lanes.iter().map(|lane| lane.waiting).sum(),
        waiting_rows: stuck::waiting_rows(db, listed)?,
        suspects: db.query_row("SELECT count(*) FROM done WHERE suspect IS NOT NULL", [], |r| r.get(0))?,
        suspect_rows: stuck::suspect_rows(db, listed)?,
        lanes,
        pending_bytes: db.query_row(PENDING_BYTES, [], |r| r.get(0))?,
        file_bytes: file("") + file("-wal") + file("-shm"),
        used_bytes: used_bytes(db)?,
        disk_free_bytes: disk.map(|(free, _)| free),
        disk_left_bytes: disk.map(|(free, total)| free.saturating_sub(reserve(total))),
        events: db.query_row(&kept(), [], |r| r.get(0))?,
        newest_at: newest.map(|(_, at)| at),
        rate_per_second,
        bytes_per_event,
        dead_letters: db.query_row("SELECT count(*) FROM letter", [], |r| r.get(0))?,
        letters: stuck::letters(db, listed)?,
        bad_input: all(
            db,
            "SELECT source, reason, count(*), max(at) FROM bad_input GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20",
            |r| Ok(BadInput { source: words(r, 0)?, reason: words(r, 1)?, n: r.get(2)?, last_at: r.get(3)? }),
        )?,
        counts: all(db, "SELECT source, what, n, at FROM tally ORDER BY source, what", |r| {
            Ok(Count { source: words(r, 0)?, what: words(r, 1)?, n: r.get(2)?, last_at: r.get(3)? })
        })?,
    })
}

/// When the last event, attempt or answer was stored; `None`: nothing was.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn last_stored(dir: &Path) -> Result<Option<Millis>, StorageError> {
    let at: i64 = reading(dir, |db| db.query_row(LAST_WALL, [], |r| r.get(0)))?;
    Ok((at > 0).then_some(Millis(at)))
}

/// The lanes of the outbox in `dir`, each with its rows by state.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn lanes_of(dir: &Path) -> Result<Vec<LaneStatus>, StorageError> {
    reading(dir, |db| lanes(db))
}

fn lanes(db: &Connection) -> Result<Vec<LaneStatus>, rusqlite::Error> {
    let named: Vec<(i64, i64, Option<i64>, i64, LaneStatus)> = all(
        db,
        "SELECT id, name, system, rows_out, good_at, rows_in, skipped, goes_from, storm FROM lane ORDER BY id",
        |r| {
            let good_at = r.get(4)?;
            let (lane, system, out, skipped): (_, _, i64, i64) = (words(r, 1)?, words(r, 2)?, r.get(3)?, r.get(6)?);
            let (pending, delivered) = (r.get::<_, i64>(5)? - out, out - skipped);
            let storm = serde_json::from_str(&words(r, 8)?).ok();
            let told = LaneStatus { lane, system, delivered, skipped, storm, ..LaneStatus::default() };
            Ok((r.get(0)?, pending, good_at, r.get(7)?, told))
        },
    )?;
    let held = holds::of(db)?;
    let mut lanes = Vec::new();
    for (id, pending, good_at, goes_from, mut lane) in named {
        let of_state = |state: i64| {
            let sql = "SELECT count(*) FROM pending WHERE lane = ? AND state = ? AND state <> 0";
            db.query_row(sql, params![id, state], |r| r.get::<_, i64>(0))
        };
        (lane.waiting, lane.rejected, lane.held) = (of_state(1)?, of_state(2)?, of_state(3)?);
        let sql = "SELECT count(DISTINCT order8) FROM pending INDEXED BY pending_exception
                   WHERE lane = ? AND state IN (2, 3) AND state <> 0";
        lane.parked = db.query_row(sql, [id], |r| r.get(0))?;
        let mut statement = db.prepare(
            "SELECT rows, unknown IS NOT NULL, accepted, ask_at, first_sent, last_sent FROM batch WHERE lane = ?",
        )?;
        let mut batches = statement.query([id])?;
        let (mut unknown_from, mut sending_from) = (None::<(i64, RowKey)>, None::<(i64, RowKey)>);
        while let Some(batch) = batches.next()? {
            // Two varints a row: the bytes without the continuation bit are the ends of numbers.
            let rows = batch.get_ref(0)?.as_blob().unwrap_or_default();
            let n = rows.iter().filter(|b| **b < 0x80).count() as i64 / 2;
            let (unknown, accepted, ask_at): (bool, Option<i64>, Option<i64>) =
                (batch.get(1)?, batch.get(2)?, batch.get(3)?);
            let (from, sent) =
                if unknown { (&mut unknown_from, batch.get(4)?) } else { (&mut sending_from, batch.get(5)?) };
            if let (None, Some(row)) = (accepted, unpack(rows).first()) {
                let this = (sent, *row);
                *from = Some(from.map_or(this, |oldest| oldest.min(this)));
            }
            *(match accepted {
                Some(_) => &mut lane.accepted,
                None if unknown => &mut lane.unknown,
                None => &mut lane.sending,
            }) += n;
            let earlier = |a: Option<i64>, b: Option<i64>| [a, b].into_iter().flatten().min();
            (lane.accepted_since, lane.ask_at) = (earlier(lane.accepted_since, accepted), earlier(lane.ask_at, ask_at));
        }
        (lane.oldest_unknown, lane.oldest_sending) = (sent(db, id, unknown_from)?, sent(db, id, sending_from)?);
        lane.ready = pending - lane.sending - lane.accepted - lane.unknown - lane.waiting - lane.rejected - lane.held;
        // A waiting row that is on its way again counts as what it is now.
        if lane.ready < 0 {
            lane.waiting += lane.ready;
            lane.ready = 0;
        }
        let sql = "SELECT recorded_at FROM event WHERE seq = (SELECT min(seq) FROM pending WHERE lane = ?)";
        lane.oldest_at = db.query_row(sql, [id], |r| r.get(0)).ok();
        lane.oldest_going_at = lane.oldest_at;
        if lane.parked > 0 {
            let sql = format!("SELECT count(*) FROM pending WHERE lane = ?1 AND state = 0 AND order8 IN ({PARKED})");
            lane.behind = db.query_row(&sql, [id], |r| r.get(0))?;
            let sql = format!(
                "SELECT recorded_at FROM event WHERE seq = (SELECT seq FROM pending
                 WHERE lane = ?1 AND seq >= ?2 AND state < 2 AND order8 NOT IN ({PARKED}) ORDER BY seq LIMIT 1)"
            );
            lane.oldest_going_at = db.query_row(&sql, [id, goes_from], |r| r.get(0)).optional()?;
        }
        lane.oldest_tx = db.query_row(OLDEST_TX, [id, goes_from], |r| words(r, 0)).optional()?;
        lane.last_answer = last_answer::of(db, id, good_at, lane.delivered > 0)?;
        if let Some(last) = lane.last_answer.as_mut().filter(|_| held.iter().any(|h| h.keeps(&lane.lane, &lane.system)))
        {
            (last.again, last.help) = (None, last.help.map(lane::while_held)); // a person says when
        }
        lanes.push(lane);
    }
    Ok(lanes)
}

/// The row of a lane that was sent then.
fn sent(db: &Connection, lane: i64, from: Option<(i64, RowKey)>) -> Result<Option<Sent>, rusqlite::Error> {
    let Some((sent_at, row)) = from else { return Ok(None) };
    let sql = "SELECT posting FROM pending WHERE lane = ? AND seq = ? AND tx = ?";
    let key = db.query_row(sql, [lane, row.seq, row.tx], |r| Ok(Id(r.get(0)?).to_string())).optional()?;
    Ok(key.map(|key| Sent { key, sent_at }))
}

/// Events a second and bytes of an event over the last ones; sequence and recorded time grow together.
fn rate(db: &Connection, newest: Option<i64>, now: i64) -> Result<(f64, f64), rusqlite::Error> {
    let Some(newest) = newest else { return Ok((0.0, 0.0)) };
    let (n, since, bytes): (i64, i64, f64) = db.query_row(
        "SELECT count(*), min(recorded_at), coalesce(avg(coalesce(length(raw), 0) + length(body) + 160), 0) FROM event WHERE seq > ?",
        [newest - RATE_WINDOW],
        |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
    )?;
    let seconds = (now - since).max(1_000) as f64 / 1_000.0;
    Ok((n as f64 / seconds, bytes))
}

/// A text as far as it can be read, and whether it is what was written: a damaged one is the trouble of its row alone.
pub(in crate::outbox) fn legible(row: &rusqlite::Row<'_>, column: usize) -> Result<(String, bool), rusqlite::Error> {
    let bytes = row.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?;
    let text = String::from_utf8_lossy(bytes);
    Ok((text.to_string(), matches!(text, std::borrow::Cow::Borrowed(_))))
}

/// A text, with U+FFFD for what damage has made illegible; empty where there is none.
pub(in crate::outbox) fn words(row: &rusqlite::Row<'_>, column: usize) -> Result<String, rusqlite::Error> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(n) => n.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// The same, where there may be none.
pub(in crate::outbox) fn said(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<String>, rusqlite::Error> {
    Ok(Some(words(row, column)?).filter(|words| !words.is_empty()))
}

/// A value of the row is damaged: the row's trouble. A damaged page is the storage's.
pub(in crate::outbox) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
    )
}

fn all<T>(
    db: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Vec<T>, rusqlite::Error> {
    db.prepare(sql)?.query_map([], read)?.collect()
}

fn first<T>(
    db: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Option<T>, rusqlite::Error> {
    db.prepare(sql)?.query_map([], read)?.next().transpose()
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// The steps of SQLite's machine that finding the oldest posting takes behind so many rejected ones, and its plan.
    fn steps(rejected: i64) -> Result<(i32, String), rusqlite::Error> {
        let db = crate::outbox::open::empty()?;
        db.execute_batch(&format!(
            "INSERT INTO name(id, text) VALUES (1, 'scan');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {rejected})
             INSERT INTO pending(lane, seq, tx, order8, posting, size, state)
             SELECT 1, i, 1, i, x'00', 1, iif(i > {rejected}, 0, 2) FROM n"
        ))?;
        let mut statement = db.prepare(OLDEST_TX)?;
        assert_eq!(statement.query_row([1, rejected], |r| r.get::<_, String>(0))?, "scan");
        let plan = db.query_row(&format!("EXPLAIN QUERY PLAN {OLDEST_TX}"), [1, 1], |r| r.get(3))?;
        Ok((statement.get_status(StatementStatus::VmStep), plan))
    }

    #[test]
    fn rejected_rows_do_not_stand_before_the_oldest_that_goes() -> Result<(), rusqlite::Error> {
        let ((few, plan), (many, _)) = (steps(2)?, steps(20_000)?);
        assert_eq!((few, plan.as_str()), (many, "SEARCH p USING PRIMARY KEY (lane=? AND seq>?)"));
        Ok(())
    }
}
