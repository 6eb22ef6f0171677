//! Numbers of counted sources that never came, behind what was taken off: when one comes at last it is no duplicate.
//!
//! Where events are stored they say themselves which numbers came. When the oldest are taken off, what is missing between them is
//! kept, as far behind as a source sends again, so that there are no more than [`BEHIND`] of an epoch.

use std::collections::HashSet;

use rusqlite::{Connection, params};

type Sql<T> = Result<T, rusqlite::Error>;

/// So far behind its last number a source still sends one: the ring of a counted topic.
const BEHIND: i64 = 1_024;

/// Remembers what is missing of an epoch before its floor rises to `floor`.
pub(super) fn keep(db: &Connection, epoch: i64, floor: i64) -> Sql<()> {
    let sql = "SELECT floor FROM epoch WHERE id = ? AND (text LIKE 'd:%' OR text LIKE 'g:%')";
    let before: Vec<i64> = db.prepare_cached(sql)?.query_map([epoch], |r| r.get(0))?.collect::<Sql<_>>()?;
    let Some(before) = before.first() else { return Ok(()) };
    let from = (before + 1).max(floor - BEHIND).max(0);
    let stored: HashSet<i64> = db
        .prepare_cached("SELECT pos FROM event WHERE epoch = ? AND pos >= ? AND pos <= ?")?
        .query_map([epoch, from, floor], |r| r.get(0))?
        .collect::<Sql<_>>()?;
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO hole(epoch, pos) VALUES (?, ?)")?;
    for missing in (from..=floor).filter(|pos| !stored.contains(pos)) {
        insert.execute([epoch, missing])?;
    }
    db.prepare_cached("DELETE FROM hole WHERE epoch = ? AND pos < ?")?.execute([epoch, floor - BEHIND])?;
    Ok(())
}

/// Forgets those of epochs that are gone.
pub(super) fn forget(db: &Connection) -> Sql<()> {
    db.execute("DELETE FROM hole WHERE NOT EXISTS (SELECT 1 FROM epoch WHERE epoch.id = hole.epoch)", [])?;
    Ok(())
}

/// The number behind the floor never came.
pub(super) fn is_missing(db: &Connection, epoch: i64, pos: i64) -> Sql<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM hole WHERE epoch = ? AND pos = ?)";
    db.prepare_cached(sql)?.query_row(params![epoch, pos], |r| r.get(0))
}

/// It has come.
pub(super) fn fill(db: &Connection, epoch: i64, pos: i64) -> Sql<()> {
    db.prepare_cached("DELETE FROM hole WHERE epoch = ? AND pos = ?")?.execute([epoch, pos])?;
    Ok(())
}
