//! Which events are meant: by the finder's prints where there are some, by walking what it does not cover.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use super::kept;
use super::wanted::Wanted;
use super::words;
use crate::event::{Id, batch_id, manual_event_id};
use crate::lane::Act;
use crate::outbox::attempts::{id_at, sent_as, told_of};
use crate::outbox::delivery::unpack;
use crate::outbox::finder::{Ended, ended, places};
use crate::outbox::operate::given;

/// Events that one transaction looks at.
pub(super) const BITE: i64 = 50_000;

type Sql<T> = Result<T, rusqlite::Error>;

/// What a search has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::outbox) struct Hits {
    /// The newest first.
    pub(in crate::outbox) seqs: Vec<i64>,
    /// Events that were looked at.
    pub(in crate::outbox) looked_at: i64,
    /// They were named by an id or a key: there are no others.
    pub(in crate::outbox) one: bool,
    /// They have it in a field, or in the bytes that came: it is not their subject.
    pub(in crate::outbox) within: bool,
}

impl Hits {
    /// There may be others than the newest `limit`.
    pub(super) fn more(&self, limit: usize) -> bool {
        self.seqs.len() > limit || (self.seqs.len() == limit && !self.one)
    }
}

/// How a search is bounded, and who is told how far it has come.
pub(in crate::outbox) struct Walk<'a> {
    /// Events that are enough.
    pub(in crate::outbox) limit: usize,
    /// Events that one transaction looks at.
    pub(in crate::outbox) bite: i64,
    /// Hears, after each bite of what has to be walked, how many events were looked at.
    pub(in crate::outbox) progress: &'a mut dyn FnMut(i64),
}

/// The oldest event and the newest; 1 and 0: there is none.
fn ends(db: &Connection) -> Sql<(i64, i64)> {
    let sql = "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM event";
    db.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?)))
}

/// The newest events that have what is wanted, at least `limit` if there are so many. What has the form of an id and is none is
/// looked for as any other word, before all deliveries are walked for it.
pub(in crate::outbox) fn search(db: &Connection, wanted: &Wanted, walk: &mut Walk<'_>) -> Sql<Hits> {
    if let Some(seq) = wanted.seq {
        return Ok(Hits { seqs: vec![seq], looked_at: 1, one: true, within: false });
    }
    let (ends, mut looked_at) = (ends(db)?, 0);
    if wanted.is_id() {
        let mut hits = Hits { one: true, ..by_name(db, &wanted.as_id(), ends, walk)? };
        if hits.seqs.is_empty() {
            hits.seqs = renamed(db, wanted)?;
        }
        if let Some(id) = wanted.id.filter(|_| hits.seqs.is_empty()) {
            hits.seqs = of_request(db, id)?;
        }
        if !hits.seqs.is_empty() {
            return Ok(hits);
        }
        looked_at = hits.looked_at;
    }
    let mut hits = by_name(db, &wanted.as_text(), ends, walk)?;
    hits.looked_at = hits.looked_at.max(looked_at);
    if hits.seqs.is_empty() {
        let found = referred(db, wanted, ends, walk)?;
        hits = Hits { looked_at: hits.looked_at.max(found.looked_at), ..found };
    }
    if let Some(id) = wanted.id.filter(|_| hits.seqs.is_empty()) {
        hits.one = true;
        hits.seqs = delivered_batch(db, id, ends, walk, &mut hits.looked_at)?;
    }
    Ok(hits)
}

/// The newest events that have it as their subject, id or key: no deliveries are walked for what is not there.
pub(super) fn named_so(db: &Connection, wanted: &Wanted, walk: &mut Walk<'_>) -> Sql<Hits> {
    by_name(db, wanted, ends(db)?, walk)
}

/// Where the finder says, and in what it does not cover.
fn by_name(db: &Connection, wanted: &Wanted, (oldest, newest): (i64, i64), walk: &mut Walk<'_>) -> Sql<Hits> {
    let mut hits = Hits::default();
    let (candidates, covered) = places(db, &wanted.prints(), newest)?;
    let (first, last) = covered.map_or((newest + 1, newest), RangeInclusive::into_inner);
    let named = |low, high| named(db, wanted, low, high);
    walked(last.max(oldest - 1) + 1, newest, wanted.is_id(), walk, &mut hits, named)?;
    for seq in candidates {
        if is_enough(&hits, wanted.is_id(), walk.limit) {
            break;
        }
        let (n, found) = named(seq, seq + 1)?;
        hits.looked_at += n;
        hits.seqs.extend(found);
    }
    walked(oldest, first - 1, wanted.is_id(), walk, &mut hits, named)?;
    hits.seqs.dedup();
    Ok(hits)
}

/// The newest events of which a posting has it as the target's reference: all deliveries are walked, from the newest on, until there
/// are enough.
fn referred(db: &Connection, wanted: &Wanted, (oldest, newest): (i64, i64), walk: &mut Walk<'_>) -> Sql<Hits> {
    let mut hits = Hits::default();
    let Some(reference) = wanted.reference() else { return Ok(hits) };
    walked(oldest, newest, false, walk, &mut hits, |low, high| {
        let sql = "SELECT DISTINCT seq FROM done WHERE seq >= ? AND seq < ? AND ref = ? ORDER BY seq DESC";
        let mut statement = db.prepare_cached(sql)?;
        let seqs = statement.query_map(params![low, high, reference], |r| r.get(0))?;
        Ok((high - low, seqs.collect::<Sql<_>>()?))
    })?;
    // Where older ones are open and younger ones gone, fewer are kept than lie between.
    hits.looked_at = hits.looked_at.min(db.query_row(&kept(), [], |r| r.get(0))?);
    Ok(hits)
}

/// The newest events that have it as the value of a field, or within the bytes that came. All events are walked, from the newest
/// on, until there are enough.
pub(in crate::outbox) fn within(db: &Connection, wanted: &Wanted, walk: &mut Walk<'_>) -> Sql<Hits> {
    let (quoted, bytes) = wanted.fields();
    let (oldest, newest) = ends(db)?;
    let mut hits = Hits { within: true, ..Hits::default() };
    walked(oldest, newest, false, walk, &mut hits, |low, high| {
        let mut statement =
            db.prepare_cached("SELECT seq, body, raw FROM event WHERE seq >= ? AND seq < ? ORDER BY seq DESC")?;
        let (mut rows, mut n, mut seqs) = (statement.query([low, high])?, 0, Vec::new());
        while let Some(row) = rows.next()? {
            n += 1;
            let body = row.get_ref(1)?.as_str().unwrap_or_default();
            let raw = row.get_ref(2)?.as_bytes_or_null()?.unwrap_or_default();
            let has = |part: &&[u8]| raw.windows(part.len()).any(|window| window == *part);
            if quoted.iter().any(|value| body.contains(value.as_str())) || bytes.iter().any(has) {
                seqs.push(row.get(0)?);
            }
        }
        Ok((n, seqs))
    })?;
    Ok(hits)
}

fn is_enough(hits: &Hits, one: bool, limit: usize) -> bool {
    hits.seqs.len() >= if one { 1 } else { limit }
}

/// Looks at the events from `low` to `high`, the newest first, a bite at a time, until there are enough.
fn walked(
    low: i64,
    high: i64,
    one: bool,
    walk: &mut Walk<'_>,
    hits: &mut Hits,
    mut look: impl FnMut(i64, i64) -> Sql<(i64, Vec<i64>)>,
) -> Sql<()> {
    let mut below = high + 1;
    while below > low && !is_enough(hits, one, walk.limit) {
        let from = (below - walk.bite).max(low);
        let (n, found) = look(from, below)?;
        hits.looked_at += n;
        hits.seqs.extend(found);
        below = from;
        if below > low {
            (walk.progress)(hits.looked_at);
        }
    }
    Ok(())
}

/// Events from `low` to before `high` that have it as their id or subject, or as the key of a posting, the newest first; and how
/// many were looked at.
fn named(db: &Connection, wanted: &Wanted, low: i64, high: i64) -> Sql<(i64, Vec<i64>)> {
    let (mut n, mut seqs) = (0, Vec::new());
    let mut events =
        db.prepare_cached("SELECT seq, subject, id FROM event WHERE seq >= ? AND seq < ? ORDER BY seq DESC")?;
    let mut rows = events.query([low, high])?;
    while let Some(row) = rows.next()? {
        n += 1;
        // A damaged text is no subject that anybody looks for.
        let subject = row.get_ref(1)?.as_str().unwrap_or_default();
        let is_it = wanted.id.is_some_and(|id| row.get_ref(2).is_ok_and(|found| found.as_blob() == Ok(&id.0)));
        if is_it || wanted.has_subject(subject) {
            seqs.push(row.get(0)?);
        }
    }
    if let Some(key) = wanted.key {
        // By lane: `pending` is in the order of lanes, and would be walked whole for each bite.
        let mut waiting = db.prepare_cached(
            "SELECT p.seq, p.posting FROM lane l CROSS JOIN pending p ON p.lane = l.id
             WHERE substr(p.posting, 1, 6) = ?1 AND p.seq >= ?2 AND p.seq < ?3",
        )?;
        let mut rows = waiting.query(params![key, low, high])?;
        while let Some(row) = rows.next()? {
            if wanted.has_key(Id(row.get(1)?)) {
                seqs.push(row.get(0)?);
            }
        }
        if seqs.is_empty() {
            seqs = delivered(db, wanted, low, high)?;
        }
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        seqs.dedup();
    }
    Ok((n, seqs))
}

/// Events from `low` to before `high` that were delivered under the key.
fn delivered(db: &Connection, wanted: &Wanted, low: i64, high: i64) -> Sql<Vec<i64>> {
    let ended = ended(db, low, high)?.into_iter();
    Ok(ended.filter(|ended| wanted.has_key(ended.key)).map(|ended| ended.row.seq).collect())
}

/// Events of postings that a person gave another key, or corrected, the newest first: the audit names the keys before and after, and
/// the id of a correction follows from it.
fn renamed(db: &Connection, wanted: &Wanted) -> Sql<Vec<i64>> {
    let site: String = db.query_row("SELECT v FROM meta WHERE k = 'site'", [], |r| r.get(0))?;
    let is_it = |key: Option<Id>| key.is_some_and(|key| wanted.has_key(key));
    let mut statement =
        db.prepare("SELECT seq, posting, outcome, actor, act, request FROM audit WHERE seq > 0 ORDER BY seq DESC, id")?;
    let (mut rows, mut seqs) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (posting, outcome) = (words(row, 1)?, words(row, 2)?);
        let (actor, act, request) = (words(row, 3)?, words(row, 4)?, words(row, 5)?);
        let corrected = || wanted.id == Some(manual_event_id(&site, &actor, &format!("{request}/{posting}")));
        if is_it(Id::parse(&posting)) || is_it(given(&outcome)) || (act == Act::Edit.name() && corrected()) {
            seqs.push(row.get(0)?);
        }
    }
    seqs.dedup();
    Ok(seqs)
}

/// Events of a request that is under way, or met trouble, the newest first.
fn of_request(db: &Connection, id: Id) -> Sql<Vec<i64>> {
    let mut seqs = under_way(db, id)?;
    seqs.extend(in_vain(db, id)?);
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.dedup();
    Ok(seqs)
}

/// Events of a request that met trouble: those for which it was no good, whatever became of them later, and those that came to their
/// end by it.
fn in_vain(db: &Connection, id: Id) -> Sql<Vec<i64>> {
    let mut attempts =
        db.prepare("SELECT told, lane, batch, attempt, at, first_seq, last_seq FROM attempt WHERE key = ?")?;
    let mut good = db.prepare(
        "SELECT seq FROM done WHERE lane = ? AND batch = ? AND attempt = ? AND at = ? AND seq BETWEEN ? AND ?",
    )?;
    let (mut found, mut seqs) = (attempts.query([id.0])?, Vec::new());
    while let Some(r) = found.next()? {
        seqs.extend(told_of(r.get_ref(0)?.as_blob_or_null()?.unwrap_or_default()).map(|row| row.seq));
        let attempt: [i64; 6] = [r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?];
        seqs.extend(good.query_map(attempt, |r| r.get(0))?.collect::<Sql<Vec<i64>>>()?);
    }
    Ok(seqs)
}

fn under_way(db: &Connection, id: Id) -> Sql<Vec<i64>> {
    let mut batches = db.prepare("SELECT lane, rows, request FROM batch")?;
    let mut found = batches.query([])?;
    while let Some(batch) = found.next()? {
        let rows = unpack(batch.get_ref(1)?.as_blob().unwrap_or_default());
        if sent_as(db, batch.get(0)?, id_at(batch, 2)?, &rows)? == Some(id) {
            return Ok(rows.iter().map(|row| row.seq).collect());
        }
    }
    Ok(Vec::new())
}

/// Events of a batch of which all was delivered at once, the newest first. Its id stands with its deliveries, or follows from their
/// postings: they are walked, the newest first.
fn delivered_batch(
    db: &Connection,
    id: Id,
    (oldest, newest): (i64, i64),
    walk: &mut Walk<'_>,
    looked_at: &mut i64,
) -> Sql<Vec<i64>> {
    // An attempt may lie across the end of a bite: it is judged when a bite has brought no more of it. One whose rows lie further
    // apart, as after a person's `retry` of an old one, is not found.
    let mut gathered: HashMap<(i64, i64, i64), Vec<Ended>> = HashMap::new();
    let mut below = newest + 1;
    while below > oldest || !gathered.is_empty() {
        let from = (below - walk.bite).max(oldest).min(below);
        let mut fresh: HashMap<(i64, i64, i64), Vec<Ended>> = HashMap::new();
        for ended in ended(db, from, below)?.into_iter().filter(|ended| ended.batch > 0) {
            fresh.entry((ended.lane, ended.batch, ended.attempt)).or_default().push(ended);
        }
        for (attempt, mut group) in gathered.drain() {
            if let Some(more) = fresh.get_mut(&attempt) {
                more.append(&mut group);
                continue;
            }
            group.sort_unstable_by_key(|ended| ended.row);
            let keys: Vec<Id> = group.iter().map(|ended| ended.key).collect();
            if group[0].request.unwrap_or_else(|| batch_id(&keys)) == id {
                let mut seqs: Vec<i64> = group.iter().rev().map(|ended| ended.row.seq).collect();
                seqs.dedup();
                return Ok(seqs);
            }
        }
        gathered = fresh;
        *looked_at += below - from;
        below = from;
        (walk.progress)(*looked_at);
    }
    Ok(Vec::new())
}
