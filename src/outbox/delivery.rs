//! What lanes decide, made rows; and batches made bytes.

use rusqlite::{Connection, OptionalExtension, params};

use crate::event::{Id, Millis, batch_id, order_key, posting_id, request_id};
use crate::lane::{
    Accepted, Action, Class, Errand, Exception, Outcome, Outgoing, Posting, RENDERER, Row, RowKey, SavedBatch, Way,
    fingerprint, render,
};
use crate::milestone::order;
use crate::outbox::capture::{Checked, Route};
use crate::outbox::clock::uptime;
use crate::outbox::operate::correction_sum;
use crate::outbox::read::{is_damage, said, words};
use crate::outbox::varint::{push, take};

type Sql<T> = Result<T, rusqlite::Error>;

/// A batch that may leave, or the rows of it that must not.
pub(super) enum Frozen {
    Ready(Outgoing),
    Unsendable { rows: Vec<RowKey>, outcome: Outcome },
}

/// What is known of a batch while it is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    /// What for.
    pub(super) way: Way,
    /// 0 of one that only asks.
    pub(super) attempt: u32,
    pub(super) rows: usize,
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
    pub(super) sent: Millis,
    /// As the target sees the batch.
    pub(super) id: Id,
}

/// Stores the batch as `sending` and renders it, or tells which rows must not leave.
pub(super) fn freeze(
    db: &Connection,
    site: &str,
    lane: usize,
    route: &Route,
    (batch, attempt, first_sent): (u64, u32, Millis),
    rows: &[RowKey],
    now: Millis,
) -> Sql<Frozen> {
    let (postings, corrupt) = postings(db, site, route, rows)?;
    if !corrupt.is_empty() {
        return Ok(Frozen::Unsendable { rows: corrupt, outcome: Outcome::new(Class::Corrupt, CORRUPT) });
    }
    let number = i64::try_from(batch).unwrap_or(i64::MAX);
    let stored: Option<(u16, i64)> = if attempt == 1 {
        None
    } else {
        let mut find = db.prepare_cached("SELECT renderer, sum FROM batch WHERE lane = ? AND id = ?")?;
        Some(find.query_row(params![route.id, number], |r| Ok((r.get(0)?, r.get(1)?)))?)
    };
    let body = render(stored.map_or(RENDERER, |(renderer, _)| renderer), &route.config.format, &postings);
    let sum = i64::from(crc32fast::hash(&body));
    let keys: Vec<Id> = postings.iter().map(|p| p.key).collect();
    let id = key_of(route, &keys, first_sent);
    let request = route.config.is_frozen().then_some(id.0);
    match stored {
        None => {
            db.prepare_cached(
                "INSERT OR REPLACE INTO batch(lane, id, attempt, first_sent, last_sent, uptime, renderer, sum, rows, request)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                route.id,
                number,
                attempt,
                first_sent.0,
                now.0,
                uptime(),
                RENDERER,
                sum,
                pack(rows),
                request
            ])?;
        }
        Some((_, stored)) if stored != sum => {
            let reason = "a resend would not be the same bytes: the target's format or the lane was changed while \
                          this was unresolved, or others of its request have come to their end. Look in the target \
                          whether it was posted";
            return Ok(Frozen::Unsendable { rows: rows.to_vec(), outcome: Outcome::new(Class::Unresolvable, reason) });
        }
        Some(_) => {
            db.prepare_cached("UPDATE batch SET attempt = ?, last_sent = ?, unknown = NULL, accepted = NULL, job = NULL, ask_at = NULL, request = ? WHERE lane = ? AND id = ?")?
                .execute(params![attempt, now.0, request, route.id, number])?;
        }
    }
    Ok(Frozen::Ready(Outgoing { errand: Errand::Post(body), lane, batch, id, attempt, first_sent, keys }))
}

/// What the target is to be asked for these rows, at the address of their `job` or by lookup; or which of them are damaged.
pub(super) fn question(
    db: &Connection,
    site: &str,
    lane: usize,
    route: &Route,
    (batch, first_sent, job): (u64, Millis, Option<&str>),
    rows: &[RowKey],
) -> Sql<Frozen> {
    let (postings, corrupt) = postings(db, site, route, rows)?;
    if !corrupt.is_empty() {
        return Ok(Frozen::Unsendable { rows: corrupt, outcome: Outcome::new(Class::Corrupt, CORRUPT) });
    }
    let keys: Vec<Id> = postings.iter().map(|p| p.key).collect();
    Ok(Frozen::Ready(Outgoing {
        errand: match job {
            Some(job) => Errand::Poll(job.to_owned()),
            None => Errand::Look(postings.iter().map(fingerprint).collect()),
        },
        lane,
        batch,
        id: key_of(route, &keys, first_sent),
        attempt: 0,
        first_sent,
        keys,
    }))
}

/// What the target knows the batch by.
fn key_of(route: &Route, keys: &[Id], first_sent: Millis) -> Id {
    let batch = batch_id(keys);
    if route.config.is_frozen() { request_id(batch, first_sent) } else { batch }
}

const CORRUPT: &str =
    "the stored event does not match its checksum: the disk or the file was damaged, and it can not be sent";

/// The postings of these rows, and the rows whose event is not what was stored.
fn postings(db: &Connection, site: &str, route: &Route, rows: &[RowKey]) -> Sql<(Vec<Posting>, Vec<RowKey>)> {
    let mut statement = db.prepare_cached(
        "SELECT e.id, k.text, t.text, s.name, e.subject, e.occurred_at, e.quality, ep.text, e.mark, e.pos, e.body,
                p.posting, p.rev, e.epoch, e.ordinal, e.raw, e.sum, c.id, c.body, c.sum
         FROM pending p JOIN event e ON e.seq = p.seq JOIN epoch ep ON ep.id = e.epoch JOIN source s ON s.id = ep.source
              JOIN name k ON k.id = e.kind JOIN name t ON t.id = p.tx
              LEFT JOIN correction c ON c.lane = p.lane AND c.seq = p.seq AND c.tx = p.tx
         WHERE p.lane = ? AND p.seq = ? AND p.tx = ?",
    )?;
    let (mut postings, mut corrupt) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let read = statement
            .query_row(params![route.id, row.seq, row.tx], |r| {
                let id = Id(r.get(0)?);
                let position: i64 = r.get(9)?;
                let marked: Option<String> = r.get(8)?;
                let mut posting = Posting {
                    key: Id(r.get(11)?),
                    event: id,
                    kind: r.get(1)?,
                    tx_type: r.get(2)?,
                    site: site.to_owned(),
                    device: r.get(3)?,
                    order_key: String::new(),
                    subject: r.get(4)?,
                    occurred_at: Millis(r.get(5)?),
                    time_quality: r.get(6)?,
                    epoch: r.get(7)?,
                    seq: marked.clone().unwrap_or_else(|| position.to_string()),
                    commit_seq: row.seq,
                    data: r.get(10)?,
                };
                let sum = Checked {
                    id,
                    epoch: r.get(13)?,
                    position,
                    ordinal: r.get(14)?,
                    kind: &posting.kind,
                    mark: marked.as_deref().unwrap_or_default(),
                    quality: &posting.time_quality,
                    subject: &posting.subject,
                    occurred_at: posting.occurred_at,
                    body: &posting.data,
                    raw: r.get_ref(15)?.as_bytes_or_null()?.unwrap_or_default(),
                }
                .sum();
                let mut whole = sum == r.get::<_, i64>(16)?;
                if let Some(corrected) = r.get::<_, Option<[u8; 16]>>(17)? {
                    (posting.event, posting.data) = (Id(corrected), r.get(18)?);
                    whole &= correction_sum(posting.event, &posting.data) == r.get::<_, i64>(19)?;
                }
                let key = posting_id(posting.event, &route.config.system, &posting.tx_type, r.get(12)?);
                whole &= key == posting.key;
                Ok(whole.then_some(posting))
            })
            .optional();
        match read {
            Ok(Some(Some(mut posting))) => {
                let config = &route.config;
                let (class, of) = order(&posting.tx_type, &posting.subject, &config.id);
                posting.order_key = order_key(site, &config.business_unit, class, of).0;
                postings.push(posting);
            }
            Err(e) if !is_damage(&e) => return Err(e),
            Ok(_) | Err(_) => corrupt.push(*row),
        }
    }
    Ok((postings, corrupt))
}

/// Writes one action; returns the bytes of deliveries that reached their end.
pub(super) fn apply(
    db: &Connection,
    site: &str,
    route: &Route,
    action: &Action,
    cause: &Cause,
    now: Millis,
) -> Sql<i64> {
    match action {
        // The writer's own.
        Action::Load { .. }
        | Action::Send { .. }
        | Action::Store { .. }
        | Action::Release { .. }
        | Action::Look { .. }
        | Action::Poll { .. } => {}
        Action::Unknown { batch, rows, outdated } => {
            remains(db, site, route, *batch, (rows, None), now)?;
            if *outdated {
                db.prepare_cached("UPDATE batch SET outdated = 1 WHERE lane = ? AND id = ?")?
                    .execute(params![route.id, i64::try_from(*batch).unwrap_or(i64::MAX)])?;
            }
        }
        Action::Accepted { batch, rows, accepted } => remains(db, site, route, *batch, (rows, Some(accepted)), now)?,
        Action::Cut { batch, keep, new, off } => cut(db, site, route, *batch, (keep, *new, off))?,
        Action::Close { batch } => {
            db.prepare_cached("DELETE FROM batch WHERE lane = ? AND id = ?")?
                .execute(params![route.id, i64::try_from(*batch).unwrap_or(i64::MAX)])?;
        }
        Action::Settle { row, class, reference, suspect } => {
            let gone: Option<(i64, u32)> = db
                .prepare_cached("DELETE FROM pending WHERE lane = ? AND seq = ? AND tx = ? RETURNING size, rev")?
                .query_row(params![route.id, row.seq, row.tx], |r| Ok((r.get(0)?, r.get(1)?)))
                .optional()?;
            let (size, rev) = gone.unwrap_or_default();
            let batch = i64::try_from(cause.batch).unwrap_or(i64::MAX);
            db.prepare_cached(
                "INSERT OR REPLACE INTO done(seq, lane, tx, at, batch, attempt, how, ref, rev, took, status, suspect, request)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, (SELECT request FROM batch WHERE lane = ?2 AND id = ?5))",
            )?
            .execute(params![
                row.seq,
                route.id,
                row.tx,
                cause.answered.0,
                batch,
                cause.attempt,
                class.name(),
                reference,
                rev,
                cause.took,
                cause.status,
                suspect
            ])?;
            return Ok(size);
        }
        Action::Wait { row, until, outcome, tries, since } => {
            let told = format!("{}: {}", outcome.class.name(), outcome.reason);
            db.prepare_cached(
                "UPDATE pending SET state = 1, not_before = ?, why = ?, tries = ?, since = ? WHERE lane = ? AND seq = ? AND tx = ?",
            )?
            .execute(params![until.0, told, tries, since.0, route.id, row.seq, row.tx])?;
        }
        Action::Reject { row, outcome, maybe, answered } => {
            let heard = answered.then_some(cause);
            db.prepare_cached(
                "UPDATE pending SET state = 2, why = ?, opened = coalesce(opened, ?) WHERE lane = ? AND seq = ? AND tx = ?",
            )?
            .execute(params![outcome.class.name(), now.0, route.id, row.seq, row.tx])?;
            db.prepare_cached(
                "INSERT OR REPLACE INTO letter(lane, seq, tx, at, class, maybe, reason, status, answer, code)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                route.id,
                row.seq,
                row.tx,
                now.0,
                outcome.class.name(),
                maybe,
                outcome.reason,
                heard.and_then(|heard| heard.status),
                outcome.part.as_ref().or(heard.and_then(|heard| heard.excerpt.as_ref())),
                outcome.code
            ])?;
        }
    }
    Ok(0)
}

/// Stores what remains of a batch whose last attempt is over, unknown or accepted. Where a part is never sent without the others
/// the sum stays that of the whole, so that no start does either.
fn remains(
    db: &Connection,
    site: &str,
    route: &Route,
    batch: u64,
    (rows, accepted): (&[RowKey], Option<&Accepted>),
    now: Millis,
) -> Sql<()> {
    let (number, packed) = (i64::try_from(batch).unwrap_or(i64::MAX), pack(rows));
    let (since, ask_at) = (accepted.map(|a| a.since.0), accepted.map(|a| a.ask_at.0));
    let job = accepted.and_then(|accepted| accepted.job.as_deref());
    let before: Option<(u16, i64, Vec<u8>)> = db
        .prepare_cached(
            "UPDATE batch SET unknown = ?, accepted = ?, job = ?, ask_at = ? WHERE lane = ? AND id = ?
             RETURNING renderer, sum, rows",
        )?
        .query_row(params![now.0, since, job, ask_at, route.id, number], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    if let Some((renderer, known, _)) = before.filter(|(.., before)| *before != packed) {
        let sum = if route.config.only_whole() { known } else { sum_of(db, site, route, (renderer, known), rows)? };
        db.prepare_cached("UPDATE batch SET rows = ?, sum = ? WHERE lane = ? AND id = ?")?
            .execute(params![packed, sum, route.id, number])?;
    }
    Ok(())
}

/// A part of an unknown batch becomes one of its own: what was sent of each row, and when, stays as it is.
fn cut(
    db: &Connection,
    site: &str,
    route: &Route,
    batch: u64,
    (keep, new, off): (&[RowKey], u64, &[RowKey]),
) -> Sql<()> {
    let number = |batch| i64::try_from(batch).unwrap_or(i64::MAX);
    let sql = "SELECT renderer, sum FROM batch WHERE lane = ? AND id = ?";
    let before = db.prepare_cached(sql)?.query_row(params![route.id, number(batch)], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let sum = |rows: &[RowKey]| sum_of(db, site, route, before, rows);
    db.prepare_cached(
        "INSERT OR REPLACE INTO batch(lane, id, attempt, first_sent, last_sent, uptime, unknown, outdated, renderer, sum, rows)
         SELECT lane, ?3, attempt, first_sent, last_sent, uptime, unknown, outdated, renderer, ?4, ?5 FROM batch WHERE lane = ?1 AND id = ?2",
    )?
    .execute(params![route.id, number(batch), number(new), sum(off)?, pack(off)])?;
    db.prepare_cached("UPDATE batch SET rows = ?, sum = ? WHERE lane = ? AND id = ?")?.execute(params![
        pack(keep),
        sum(keep)?,
        route.id,
        number(batch)
    ])?;
    Ok(())
}

/// The sum of a part of a batch, as it would be resent: none that any bytes have where the batch itself would not be the same.
fn sum_of(db: &Connection, site: &str, route: &Route, (renderer, known): (u16, i64), rows: &[RowKey]) -> Sql<i64> {
    if known < 0 {
        return Ok(OTHER);
    }
    let (postings, _) = postings(db, site, route, rows)?;
    Ok(i64::from(crc32fast::hash(&render(renderer, &route.config.format, &postings))))
}

/// The sum of a part of a batch whose bytes are no longer known.
const OTHER: i64 = i64::MIN;

/// Marks the batches that would not be the same bytes as they are configured now, before anything becomes of a part of them: their
/// sums turn negative, and back where they are the same again.
pub(super) fn compare(db: &Connection, site: &str, route: &Route) -> Sql<()> {
    let mut statement = db.prepare("SELECT id, renderer, sum, rows FROM batch WHERE lane = ? AND sum <> ?")?;
    let batches = statement.query_map([route.id, OTHER], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, unpack(r.get_ref(3)?.as_blob().unwrap_or_default())))
    })?;
    for (id, renderer, known, rows) in batches.collect::<Sql<Vec<(i64, u16, i64, Vec<RowKey>)>>>()? {
        let (postings, corrupt) = postings(db, site, route, &rows)?;
        if !corrupt.is_empty() {
            continue; // that is told when it is to leave
        }
        let first = if known < 0 { !known } else { known };
        let sum = i64::from(crc32fast::hash(&render(renderer, &route.config.format, &postings)));
        let marked = if sum == first { first } else { !first };
        db.execute("UPDATE batch SET sum = ? WHERE lane = ? AND id = ?", [marked, route.id, id])?;
    }
    Ok(())
}

/// What people and the target call a row that is not at its end: its subject, and the key of its posting.
pub(super) fn named(db: &Connection, route: &Route, row: RowKey) -> Sql<(String, String)> {
    let sql = "SELECT e.subject, p.posting FROM pending p JOIN event e ON e.seq = p.seq WHERE p.lane = ? AND p.seq = ? AND p.tx = ?";
    let named = db
        .prepare_cached(sql)?
        .query_row(params![route.id, row.seq, row.tx], |r| Ok((r.get(0)?, Id(r.get(1)?).to_string())));
    match named.optional() {
        // A damaged row is told without its name: that it is damaged is what counts.
        Err(e) if is_damage(&e) => Ok(Default::default()),
        named => named.map(Option::unwrap_or_default),
    }
}

/// The answer that an action came of.
#[derive(Debug, Clone, Default)]
pub(super) struct Cause {
    pub(super) batch: u64,
    pub(super) attempt: u32,
    pub(super) status: Option<u16>,
    pub(super) excerpt: Option<String>,
    /// When the answer was there, and how many milliseconds after it had been sent.
    pub(super) answered: Millis,
    pub(super) took: i64,
}

/// Rows behind `after`, in order, and whether there are others behind them.
pub(super) fn load(db: &Connection, route: &Route, after: RowKey, limit: usize) -> Sql<(Vec<Row>, bool)> {
    let mut statement = db.prepare_cached(
        "SELECT seq, tx, order8, size, state FROM pending WHERE lane = ? AND (seq, tx) > (?, ?) AND state < 2
         ORDER BY seq, tx LIMIT ?",
    )?;
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<Row> =
        statement.query_map(params![route.id, after.seq, after.tx, limit_sql], row)?.collect::<Result<_, _>>()?;
    let more = rows.len() == limit;
    Ok((rows, more))
}

fn row(r: &rusqlite::Row<'_>) -> Sql<Row> {
    Ok(Row {
        key: RowKey { seq: r.get(0)?, tx: r.get(1)? },
        order: r.get(2)?,
        size: r.get(3)?,
        held: r.get::<_, i64>(4)? == 3,
    })
}

/// The batches that were under way, and the rows that aren't simply ready.
type Saved = (Vec<SavedBatch>, Vec<(Row, Exception)>);

/// What a lane has to know of the time before this start.
pub(super) fn saved(db: &Connection, route: &Route) -> Sql<Saved> {
    let mut find =
        db.prepare("SELECT seq, tx, order8, size, state FROM pending WHERE lane = ? AND seq = ? AND tx = ?")?;
    let mut statement = db.prepare(
        "SELECT id, attempt, first_sent, rows, accepted, job, ask_at, outdated, uptime FROM batch
         WHERE lane = ? ORDER BY id",
    )?;
    let (mut batches, mut unreadable) = (Vec::new(), Vec::new());
    let mut found = statement.query([route.id])?;
    while let Some(r) = found.next()? {
        let (batch, sent): (i64, i64) = (r.get(0)?, r.get(2)?);
        let stored = r.get_ref(3)?.as_blob().unwrap_or_default();
        let keys = unpack(stored);
        let rows = keys.iter().map(|k| find.query_row(params![route.id, k.seq, k.tx], row).optional());
        let Some(rows) = rows.collect::<Sql<Option<Vec<Row>>>>()?.filter(|_| !keys.is_empty() && pack(&keys) == stored)
        else {
            unreadable.push((batch, Millis(sent)));
            continue;
        };
        let since: Option<i64> = r.get(4)?;
        let ask_at: Option<i64> = r.get(6)?;
        let job = said(r, 5)?;
        batches.push(SavedBatch {
            batch: batch.unsigned_abs(),
            rows,
            attempt: r.get(1)?,
            first_sent: Millis(sent),
            accepted: since.map(|since| Accepted {
                job,
                since: Millis(since),
                ask_at: Millis(ask_at.unwrap_or(since)),
            }),
            outdated: r.get(7)?,
            age_ms: r.get::<_, Option<i64>>(8)?.and_then(|then| u64::try_from(uptime() - then).ok()),
        });
    }
    for (batch, sent) in unreadable {
        hold_for(db, route, batch, sent)?;
    }
    // A rejected row of a visibility lane parks nothing: nobody asks for it again.
    let most = if route.config.parks() { 3 } else { 1 };
    let mut statement = db.prepare(
        "SELECT seq, tx, order8, size, state, not_before, tries, since, why FROM pending
         WHERE lane = ? AND state <> 0 AND state <= ? ORDER BY state, seq",
    )?;
    let exceptions = statement.query_map([route.id, most], |r| {
        let waiting = Exception::Waiting {
            until: Millis(r.get::<_, Option<i64>>(5)?.unwrap_or(0)),
            class: class_of(&words(r, 8)?),
            tries: r.get::<_, Option<u32>>(6)?.unwrap_or(0),
            since: Millis(r.get::<_, Option<i64>>(7)?.unwrap_or(0)),
        };
        Ok((row(r)?, if r.get::<_, i64>(4)? == 1 { waiting } else { Exception::Parked }))
    })?;
    Ok((batches, exceptions.collect::<Result<_, _>>()?))
}

/// A batch whose rows can't be read is given up. Any row of the lane may have been in it: none leaves until a person has looked.
fn hold_for(db: &Connection, route: &Route, batch: i64, sent: Millis) -> Sql<()> {
    let reason = format!(
        "what batch {batch} carried, sent at {sent}, can't be read: the disk or the file was damaged. Look in the target which of the \
         lane's postings it has; released, they are sent again, under the same keys"
    );
    tracing::error!(lane = route.config.id, batch, "the lane is held: {reason}");
    let tx = db.unchecked_transaction()?;
    tx.execute(
        "INSERT INTO hold(scope, name, at, actor, reason) VALUES ('lane', ?, unixepoch() * 1000, 'floorgate', ?)
         ON CONFLICT DO UPDATE SET reason = reason || '; ' || excluded.reason",
        params![route.config.id, reason],
    )?;
    tx.execute("DELETE FROM batch WHERE lane = ? AND id = ?", [route.id, batch])?;
    tx.commit()
}

/// What kept a row that waits, of the words that are stored of it: `conflict: the ERP has it locked`.
fn class_of(why: &str) -> Option<Class> {
    Class::parse(why.split_once(':')?.0)
}

/// Row names as numbers: the distance of each sequence from the one before, and the transaction type.
fn pack(rows: &[RowKey]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * 3);
    let mut before = 0;
    for row in rows {
        push(&mut out, (row.seq - before).unsigned_abs());
        push(&mut out, row.tx.unsigned_abs());
        before = row.seq;
    }
    out
}

/// The rows, up to the first that can't be read.
pub(super) fn unpack(mut bytes: &[u8]) -> Vec<RowKey> {
    let mut seq = 0_i64;
    let mut number = || take(&mut bytes).and_then(|n| i64::try_from(n).ok());
    std::iter::from_fn(|| {
        seq = seq.checked_add(number()?)?;
        Some(RowKey { seq, tx: number()? })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn row_names_read_back(
            steps in proptest::collection::vec((1_i64..1_000_000_000, 1_i64..100_000), 0..50),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
        ) {
            unpack(&bytes); // whatever the disk says, it doesn't panic
            let mut seq = 0;
            let rows: Vec<RowKey> = steps.iter().map(|(step, tx)| { seq += step; RowKey { seq, tx: *tx } }).collect();
            proptest::prop_assert_eq!(unpack(&pack(&rows)), rows);
        }
    }
}
