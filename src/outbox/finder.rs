//! Where an event lies by its id, its subject, or the key of one of its postings, without an index that is written with each of
//! them: an entry at a random place would cost a page of flash for each event.
//!
//! Each name leaves a print, four bytes of its hash beside the event's place in its block. Prints are gathered in memory, and a
//! full block rides on the commit of the next event: 6 bytes a name, written in one piece. A print says where to look and no
//! more; whoever follows it looks at the event. What is not in a block yet, or older than the first one, is walked.

use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use crate::event::{Id, posting_id, short_hash};
use crate::lane::RowKey;
use crate::outbox::attempts::id_at;
use crate::outbox::read::{is_damage, words};

/// Events of a block.
const BLOCK: i64 = 1_024;
const PRINT: usize = 6;

type Sql<T> = Result<T, rusqlite::Error>;

/// Four bytes of a hash.
pub(super) type Print = [u8; 4];

/// Of an id or a key, which is a hash itself.
pub(super) fn of_id(id: &[u8]) -> Print {
    let mut print = Print::default();
    print.iter_mut().zip(id).for_each(|(print, byte)| *print = *byte);
    print
}

/// Of a subject: `shipment/SH-1` is found as `SH-1`, too.
pub(super) fn of_subject(subject: &str) -> Print {
    of_id(&short_hash(tail(subject).as_bytes()))
}

/// A subject without its class.
pub(super) fn tail(subject: &str) -> &str {
    subject.split_once('/').map_or(subject, |(_, tail)| tail)
}

/// The block that is being gathered.
pub(super) struct Finder {
    /// Its first event.
    first: i64,
    /// Its events so far.
    n: i64,
    prints: Vec<u8>,
    /// Writes were undone: what is stored says what is in it.
    stale: bool,
}

impl Finder {
    /// What is stored and in no block yet, before the event `next`.
    pub(super) fn open(db: &Connection, next: i64) -> Sql<Self> {
        let mut finder = Self { first: next, n: 0, prints: Vec::new(), stale: false };
        // Damage: nothing is stored there yet.
        db.prepare_cached("DELETE FROM finder WHERE last >= ?")?.execute([next])?;
        let last: i64 = db.query_row("SELECT coalesce(max(last), 0) FROM finder", [], |r| r.get(0))?;
        // More than a full block are those of a version that kept none: they are walked.
        if next - 1 - last <= BLOCK {
            finder.gather(db, last + 1, next)?;
        }
        Ok(finder)
    }

    fn gather(&mut self, db: &Connection, first: i64, next: i64) -> Sql<()> {
        (self.first, self.n) = (first, next - first);
        let mut events = db.prepare("SELECT seq, id, subject FROM event WHERE seq >= ? AND seq < ?")?;
        let mut rows = events.query([first, next])?;
        while let Some(row) = rows.next()? {
            let place = row.get::<_, i64>(0)? - first;
            self.push(place, of_id(row.get_ref(1)?.as_bytes().unwrap_or_default())); // a damaged id is nobody's
            self.push(place, of_subject(&words(row, 2)?));
        }
        let mut open = db.prepare(
            "SELECT p.seq, p.posting FROM lane l CROSS JOIN pending p ON p.lane = l.id WHERE p.seq >= ? AND p.seq < ?",
        )?;
        let mut rows = open.query([first, next])?;
        while let Some(row) = rows.next()? {
            self.push(row.get::<_, i64>(0)? - first, of_id(row.get_ref(1)?.as_bytes().unwrap_or_default()));
        }
        for ended in ended(db, first, next)? {
            self.push(ended.row.seq - first, of_id(&ended.key.0));
        }
        Ok(())
    }

    /// An event is stored; a full block before it is written.
    pub(super) fn event(&mut self, db: &Connection, seq: i64, id: Id, subject: &str) -> Sql<()> {
        if self.stale {
            *self = Self::open(db, seq)?;
        }
        if self.n >= BLOCK {
            db.prepare_cached("INSERT OR REPLACE INTO finder(last, first, prints) VALUES (?, ?, ?)")?
                .execute(params![self.first + self.n - 1, self.first, self.prints])?;
            *self = Self { first: seq, n: 0, prints: Vec::with_capacity(self.prints.len()), stale: false };
        }
        let place = seq - self.first;
        self.n = place + 1;
        self.push(place, of_id(&id.0));
        self.push(place, of_subject(subject));
        Ok(())
    }

    /// It has a posting with this key.
    pub(super) fn key(&mut self, posting: Id) {
        self.push(self.n - 1, of_id(&posting.0));
    }

    /// Writes were undone.
    pub(super) fn undo(&mut self) {
        self.stale = true;
    }

    fn push(&mut self, place: i64, print: Print) {
        let place = u16::try_from(place).expect("a block has fewer than 65,536 events");
        self.prints.extend_from_slice(&print);
        self.prints.extend_from_slice(&place.to_le_bytes());
    }
}

/// A delivery that has come to its end.
pub(super) struct Ended {
    pub(super) lane: i64,
    pub(super) row: RowKey,
    /// 0: it ended without an attempt.
    pub(super) batch: i64,
    pub(super) attempt: i64,
    /// What the target knows that by, where it does not follow from the rows.
    pub(super) request: Option<Id>,
    /// It isn't stored any more, but follows from the event, or from what a person corrected of it.
    pub(super) key: Id,
}

/// The deliveries of the events from `low` to before `high` that have come to their end; without those of which damage leaves no key.
pub(super) fn ended(db: &Connection, low: i64, high: i64) -> Sql<Vec<Ended>> {
    let mut statement = db.prepare_cached(
        "SELECT d.seq, d.lane, d.tx, d.batch, coalesce(c.id, e.id), l.system, t.text, d.rev, d.attempt, d.request
         FROM done d JOIN event e ON e.seq = d.seq JOIN lane l ON l.id = d.lane JOIN name t ON t.id = d.tx
              LEFT JOIN correction c ON c.lane = d.lane AND c.seq = d.seq AND c.tx = d.tx
         WHERE d.seq >= ? AND d.seq < ?",
    )?;
    let found = statement.query_map([low, high], |r| {
        let (system, tx) = (r.get_ref(5)?.as_str()?, r.get_ref(6)?.as_str()?);
        Ok(Ended {
            lane: r.get(1)?,
            row: RowKey { seq: r.get(0)?, tx: r.get(2)? },
            batch: r.get(3)?,
            attempt: r.get(8)?,
            request: id_at(r, 9)?,
            key: posting_id(Id(r.get(4)?), system, tx, r.get(7)?),
        })
    })?;
    found.filter(|ended| !ended.as_ref().is_err_and(is_damage)).collect()
}

/// Events up to the `newest` that may have one of these prints, the newest first, and the ones that all blocks together speak of. A
/// block that speaks of others is damaged.
pub(super) fn places(db: &Connection, prints: &[Print], newest: i64) -> Sql<(Vec<i64>, Option<RangeInclusive<i64>>)> {
    let sql = "SELECT first, last, prints FROM finder WHERE first BETWEEN 1 AND last AND last <= ? ORDER BY last DESC";
    let mut statement = db.prepare(sql)?;
    let (mut seqs, mut covered) = (Vec::new(), None);
    let mut blocks = statement.query([newest])?;
    while let Some(block) = blocks.next()? {
        let (first, last): (i64, i64) = (block.get(0)?, block.get(1)?);
        let newest = covered.map_or(last, |range: RangeInclusive<i64>| *range.end());
        covered = Some(first..=newest);
        let known = seqs.len();
        for entry in block.get_ref(2)?.as_blob()?.chunks_exact(PRINT) {
            if prints.iter().any(|print| entry[..4] == *print) {
                seqs.push(first + i64::from(u16::from_le_bytes([entry[4], entry[5]])));
            }
        }
        seqs[known..].sort_unstable_by(|a, b| b.cmp(a));
    }
    seqs.dedup();
    Ok((seqs, covered))
}
