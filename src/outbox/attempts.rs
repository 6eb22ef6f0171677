//! Attempts that were not all good: what was said of which rows, for whoever follows a shipment later.
//!
//! One row an attempt, written in the commit of its answer; the newest [`KEPT`] are kept, and none longer than the events of its
//! rows. A delivery that reached its end says itself by which attempt, so that a good answer adds no row.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::event::{Id, Millis, batch_id, request_id};
use crate::lane::{Answer, Class, Outcome, RowKey, Way};
use crate::outbox::capture::Route;
use crate::outbox::delivery::{Cause, Flight, unpack};
use crate::outbox::read::{is_damage, said, words};
use crate::outbox::varint::{push, take};

/// Attempts that are kept.
const KEPT: i64 = 10_000;
/// Bytes of words that one attempt keeps; past that a row is told with its class alone.
const WORDS: usize = 4_096;
/// The class of an attempt whose answer nobody was there to hear.
pub(super) const UNHEARD: &str = "unheard";
/// Of this posting, and of one of which that is not written yet.
pub(super) const NOBODY_HEARD: &str = "unheard: the gateway ended before an answer came";
/// The same where a copy is looked at, perhaps.
pub(super) const NOTHING_CAME: &str = "unheard: no answer is here";

type Sql<T> = Result<T, rusqlite::Error>;

/// Writes the attempt that an answer ended, when there is something to explain. `again`: when the lane tries again, as far as it
/// knows now.
pub(super) fn write(
    db: &Connection,
    route: &mut Route,
    flight: &Flight,
    answer: &Answer,
    cause: &Cause,
    again: Option<Millis>,
) -> Sql<()> {
    let worst = answer.outcomes.iter().map(|o| o.class).max().unwrap_or(Class::Unknown);
    let at = cause.answered.0;
    if worst.has_effect() {
        route.counters.good_at = Some(at);
        return Ok(());
    }
    if worst == Class::Accepted && flight.way != Way::Post {
        return Ok(()); // it is still at work: nothing has come of it
    }
    let batch = i64::try_from(cause.batch).unwrap_or(i64::MAX);
    let rows = rows_of(db, route.id, batch)?;
    let said = |(row, outcome): (&RowKey, &Outcome)| {
        (!outcome.class.has_effect()).then(|| (*row, format!("{}: {}", outcome.class.name(), outcome.reason)))
    };
    let told: Vec<(RowKey, String)> = rows.iter().zip(&answer.outcomes).filter_map(said).collect();
    db.prepare_cached(
        "INSERT INTO attempt(lane, batch, attempt, at, status, rows, first_seq, last_seq, class, excerpt, sent, again, key, told, whole)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        route.id,
        batch,
        flight.attempt,
        at,
        answer.status,
        i64::try_from(flight.rows).unwrap_or(i64::MAX),
        flight.first_seq,
        flight.last_seq,
        worst.name(),
        answer.excerpt,
        flight.sent.0,
        again.filter(|again| again.0 > at).map(|again| again.0),
        flight.id.0,
        pack(&told),
        answer.whole,
    ])?;
    forget(db)
}

/// Takes off the oldest of more than are kept.
fn forget(db: &Connection) -> Sql<()> {
    db.prepare_cached("DELETE FROM attempt WHERE id <= (SELECT max(id) FROM attempt) - ?")?.execute([KEPT])?;
    Ok(())
}

/// Writes that nobody heard what came of the batches that are stored as `sending`: a start finds them so.
pub(super) fn unheard(db: &Connection, routes: &[Route]) -> Sql<()> {
    let sql = "SELECT lane, id, attempt, last_sent, rows, request, first_sent FROM batch
               WHERE unknown IS NULL AND accepted IS NULL";
    let mut statement = db.prepare(sql)?;
    let mut batches = statement.query([])?;
    while let Some(batch) = batches.next()? {
        let (lane, number, attempt, sent): (i64, i64, i64, i64) =
            (batch.get(0)?, batch.get(1)?, batch.get(2)?, batch.get(3)?);
        let rows = unpack(batch.get_ref(4)?.as_blob().unwrap_or_default());
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        let told: Vec<(RowKey, String)> = rows.iter().map(|row| (*row, NOBODY_HEARD.to_owned())).collect();
        let stored = id_at(batch, 5)?;
        let mut key = sent_as(db, lane, stored, &rows)?;
        if stored.is_none() && routes.iter().any(|route| route.id == lane && route.config.is_frozen()) {
            // Of a version that did not store it.
            let first_sent = Millis(batch.get(6)?);
            key = key.map(|id| request_id(id, first_sent));
        }
        // When the gateway ended is not known: a clock that is not set yet must not say it.
        db.execute(
            "INSERT INTO attempt(lane, batch, attempt, at, rows, first_seq, last_seq, class, sent, told, key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?4, ?9, ?10)",
            params![
                lane,
                number,
                attempt,
                sent,
                rows.len() as i64,
                first.seq,
                last.seq,
                UNHEARD,
                pack(&told),
                key.map(|id| id.0)
            ],
        )?;
    }
    forget(db)
}

/// What the target knows the batch by that these rows are under way in: as stored with it, or as it follows from them; nothing, where
/// one of them is missing or damaged.
pub(super) fn sent_as(db: &Connection, lane: i64, request: Option<Id>, rows: &[RowKey]) -> Sql<Option<Id>> {
    if request.is_some() {
        return Ok(request);
    }
    let mut key = db.prepare_cached("SELECT posting FROM pending WHERE lane = ? AND seq = ? AND tx = ?")?;
    let keys = rows.iter().map(|row| key.query_row([lane, row.seq, row.tx], |r| r.get(0).map(Id)));
    match keys.collect::<Sql<Vec<Id>>>() {
        Ok(keys) => Ok(Some(batch_id(&keys))),
        Err(e) if e == rusqlite::Error::QueryReturnedNoRows || is_damage(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// An id that may be missing, or damaged.
pub(super) fn id_at(row: &rusqlite::Row<'_>, column: usize) -> Sql<Option<Id>> {
    Ok(row.get_ref(column)?.as_bytes_or_null().ok().flatten().and_then(Id::from_slice))
}

fn rows_of(db: &Connection, lane: i64, batch: i64) -> Sql<Vec<RowKey>> {
    let mut find = db.prepare_cached("SELECT rows FROM batch WHERE lane = ? AND id = ?")?;
    let rows = find.query_row([lane, batch], |r| Ok(unpack(r.get_ref(0)?.as_blob().unwrap_or_default())));
    Ok(rows.optional()?.unwrap_or_default())
}

/// An attempt, as it concerns one row. Times are UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) batch: i64,
    /// 0 of a question.
    pub(super) attempt: i64,
    pub(super) sent: Option<i64>,
    pub(super) at: i64,
    pub(super) status: Option<u16>,
    /// Class and words, of this row.
    pub(super) said: String,
    pub(super) excerpt: Option<String>,
    pub(super) again: Option<i64>,
    pub(super) key: Option<Id>,
}

impl Tried {
    /// It came to the target, or may have come there; a question is none.
    pub(super) fn left(&self) -> bool {
        let words = self.said.split_once(": ").map_or("", |(_, words)| words);
        let stayed = [Outcome::NOT_SENT, Outcome::NOT_LET_IN].iter().any(|why| words.starts_with(why));
        self.attempt > 0 && !stayed
    }
}

/// The attempts that spoke of this row and were no good for it, in their order.
pub(super) fn of_row(db: &Connection, lane: i64, row: RowKey) -> Sql<Vec<Tried>> {
    let mut statement = db.prepare_cached(
        "SELECT batch, attempt, sent, at, status, class, excerpt, again, key, told FROM attempt
         WHERE lane = ?1 AND first_seq <= ?2 AND last_seq >= ?2 ORDER BY id",
    )?;
    let mut found = statement.query([lane, row.seq])?;
    let mut tried = Vec::new();
    while let Some(r) = found.next()? {
        let said_of_it = match r.get_ref(9)?.as_blob_or_null()? {
            Some(told) => said_of(told, row),
            // Of a version that kept no rows: that the row was in it is likely, and no more.
            None => Some(format!("{}: of a batch between whose rows this one lies", words(r, 5)?)),
        };
        let Some(said_of_it) = said_of_it else { continue };
        tried.push(Tried {
            batch: r.get(0)?,
            attempt: r.get(1)?,
            sent: r.get(2)?,
            at: r.get(3)?,
            status: r.get(4)?,
            said: said_of_it,
            excerpt: said(r, 6)?,
            again: r.get(7)?,
            key: id_at(r, 8)?,
        });
    }
    Ok(tried)
}

/// Each text once, and behind them the rows: distance of the sequence from the one before, transaction type, which text.
fn pack(told: &[(RowKey, String)]) -> Vec<u8> {
    let (mut texts, mut numbers, mut left) = (Vec::<&str>::new(), HashMap::new(), WORDS);
    let mut rows = Vec::with_capacity(told.len() * 4);
    let mut before = 0;
    for (row, text) in told {
        let class = text.split(": ").next().unwrap_or_default();
        let text = if numbers.contains_key(text.as_str()) || text.len() <= left { text.as_str() } else { class };
        let number = *numbers.entry(text).or_insert_with(|| {
            left = left.saturating_sub(text.len());
            texts.push(text);
            texts.len() - 1
        });
        push(&mut rows, (row.seq - before).unsigned_abs());
        push(&mut rows, row.tx.unsigned_abs());
        push(&mut rows, number as u64);
        before = row.seq;
    }
    let mut out = Vec::with_capacity(rows.len() + WORDS - left + 8);
    push(&mut out, texts.len() as u64);
    for text in texts {
        push(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&rows);
    out
}

/// What an attempt told of rows of one class.
pub(super) struct OfClass {
    /// The first of them.
    pub(super) first: RowKey,
    /// Its words.
    pub(super) words: Option<String>,
    /// How many they are.
    pub(super) rows: i64,
    /// Of how many rows anything was told: the others have their effect.
    pub(super) told: i64,
}

impl OfClass {
    /// `None` where none was of this class.
    pub(super) fn of(told: &[u8], class: &str) -> Option<Self> {
        let mut of_class: Option<Self> = None;
        let mut all = 0;
        for (row, text) in rows_told(told)? {
            all += 1;
            let text = String::from_utf8_lossy(text);
            let Some(words) = text.strip_prefix(class).filter(|rest| rest.is_empty() || rest.starts_with(": ")) else {
                continue;
            };
            let words = words.strip_prefix(": ").map(str::to_owned);
            of_class.get_or_insert(Self { first: row, words, rows: 0, told: 0 }).rows += 1;
        }
        of_class.map(|found| Self { told: all, ..found })
    }
}

/// The rows of which something was told.
pub(super) fn told_of(told: &[u8]) -> impl Iterator<Item = RowKey> {
    rows_told(told).into_iter().flatten().map(|(row, _)| row)
}

/// What was told of this row, if it is among them. Damaged bytes tell nothing.
fn said_of(told: &[u8], row: RowKey) -> Option<String> {
    let (_, text) = rows_told(told)?.find(|(told, _)| *told == row)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Each row, and what was told of it, up to the first that can't be read.
fn rows_told(mut told: &[u8]) -> Option<impl Iterator<Item = (RowKey, &[u8])>> {
    let texts = texts(&mut told)?;
    let mut seq = 0_i64;
    Some(std::iter::from_fn(move || {
        seq = seq.checked_add(i64::try_from(take(&mut told)?).ok()?)?;
        let (tx, number) = (i64::try_from(take(&mut told)?).ok()?, usize::try_from(take(&mut told)?).ok()?);
        Some((RowKey { seq, tx }, *texts.get(number)?))
    }))
}

/// The texts before the rows.
fn texts<'t>(told: &mut &'t [u8]) -> Option<Vec<&'t [u8]>> {
    let mut texts = Vec::new();
    for _ in 0..take(told)? {
        let length = usize::try_from(take(told)?).ok()?;
        let (text, rest) = told.split_at_checked(length)?;
        texts.push(text);
        *told = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_was_told_of_each_row_reads_back(
            rows in proptest::collection::vec((1_i64..1_000_000_000, 1_i64..100_000, "[a-c]: [a-z ]{0,9}"), 0..50),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
        ) {
            let mut seq = 0;
            let told: Vec<_> = rows.into_iter().map(|(step, tx, text)| { seq += step; (RowKey { seq, tx }, text) }).collect();
            let packed = pack(&told);
            for (row, text) in &told {
                proptest::prop_assert_eq!(said_of(&packed, *row), Some(text.clone()));
            }
            proptest::prop_assert_eq!(said_of(&packed, RowKey { seq: seq + 1, tx: 1 }), None);
            said_of(&bytes, RowKey { seq: 1, tx: 1 }); // whatever the disk says, it doesn't panic
        }
    }

    /// A gateway that is started again and again, and hears nothing.
    #[test]
    fn attempts_that_nobody_heard_have_a_bound() -> Sql<()> {
        let db = crate::outbox::open::empty()?;
        db.execute(
            "INSERT INTO batch(lane, id, attempt, first_sent, last_sent, renderer, sum, rows) VALUES (1, 1, 1, 1, 1, 1, 0, ?)",
            [vec![1_u8, 1]],
        )?;
        db.execute(&format!("INSERT INTO attempt(id, lane, batch, attempt, at, rows, first_seq, last_seq, class) VALUES ({KEPT}, 1, 1, 1, 1, 1, 1, 1, 'auth')"), [])?;
        let oldest = || db.query_row("SELECT min(id) FROM attempt", [], |r| r.get::<_, i64>(0));
        unheard(&db, &[])?;
        assert_eq!(oldest()?, KEPT);
        (0..KEPT).try_for_each(|_| unheard(&db, &[]))?;
        assert_eq!(oldest()?, KEPT + 2);
        Ok(())
    }

    #[test]
    fn words_have_a_bound_and_classes_stay() {
        let told: Vec<_> = (1..=500).map(|seq| (RowKey { seq, tx: 1 }, format!("transient: {seq:0>100}"))).collect();
        let packed = pack(&told);
        assert!(packed.len() < WORDS + 500 * 4, "{}", packed.len());
        assert_eq!(said_of(&packed, told[0].0), Some(told[0].1.clone()));
        assert_eq!(said_of(&packed, told[499].0).as_deref(), Some("transient"));
    }
}
