//! History has a bound in age and size: the oldest end is taken off in bites, never anything that is still open.

use rusqlite::{Connection, OptionalExtension, params};

use crate::event::Millis;
use crate::outbox::Config;

/// Events that one transaction takes off.
const BITE: i64 = 2_000;
/// Positions that aren't numbers are remembered this long.
const SEEN_MS: i64 = 90 * 86_400_000;

/// Takes one bite off the oldest end, if it is old or too much; returns the events removed.
pub(super) fn bite(
    db: &Connection,
    config: &Config,
    pending_bytes: i64,
    now: Millis,
) -> Result<usize, rusqlite::Error> {
    let oldest: Option<i64> = db.query_row("SELECT min(seq) FROM event", [], |r| r.get(0))?;
    let Some(oldest) = oldest else { return Ok(0) };
    let open = "SELECT min(seq) FROM (SELECT (SELECT min(seq) FROM pending WHERE lane = lane.id) AS seq FROM lane)";
    let open: Option<i64> = db.query_row(open, [], |r| r.get(0))?;
    let end = (oldest + BITE).min(open.unwrap_or(i64::MAX));
    let newest_of_bite: Option<i64> = db
        .query_row("SELECT recorded_at FROM event WHERE seq < ? ORDER BY seq DESC LIMIT 1", [end], |r| r.get(0))
        .optional()?;
    let Some(recorded_at) = newest_of_bite else { return Ok(0) };
    let max_age = i64::try_from(config.history_age.as_millis()).unwrap_or(i64::MAX);
    let too_old = now.0.saturating_sub(recorded_at) > max_age;
    let allowed = i64::try_from(config.history_size).unwrap_or(i64::MAX).saturating_add(2 * pending_bytes.max(0));
    if !too_old && used_bytes(db)? <= allowed {
        return Ok(0);
    }
    db.execute(
        "UPDATE epoch SET floor = max(floor, gone.pos)
         FROM (SELECT epoch, max(pos) AS pos FROM event WHERE seq < ? GROUP BY epoch) AS gone WHERE gone.epoch = epoch.id",
        [end],
    )?;
    db.execute("INSERT OR REPLACE INTO meta(k, v) SELECT 'last_seq', max(seq) FROM event", [])?;
    let removed = db.execute("DELETE FROM event WHERE seq < ?", [end])?;
    db.execute("DELETE FROM done WHERE seq < ?", [end])?;
    db.execute("DELETE FROM attempt WHERE last_seq < ?1 AND id < (SELECT max(id) FROM attempt) AND id IN (SELECT id FROM attempt ORDER BY id LIMIT ?2)", params![end, BITE])?;
    db.execute("DELETE FROM seen WHERE at < ?", [now.0.saturating_sub(SEEN_MS)])?;
    Ok(removed)
}

/// Bytes of the database that hold something.
pub(super) fn used_bytes(db: &Connection) -> Result<i64, rusqlite::Error> {
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
    Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
}
