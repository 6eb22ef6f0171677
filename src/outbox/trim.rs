//! History has a bound in age and size: the oldest end is taken off in bites, never anything that is still open.

use rusqlite::{Connection, params};

use crate::event::Millis;
use crate::outbox::Config;

/// Events that one transaction takes off.
const BITE: i64 = 2_000;
/// Epochs of a source that are remembered when nothing of them is left: what comes from the wire can't grow the database
/// without bound.
const EPOCHS: i64 = 1_000;
const OLD_EPOCHS: &str = "DELETE FROM epoch WHERE id IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY source ORDER BY id DESC) AS age FROM epoch)
    WHERE age > ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE event.epoch = id) LIMIT ?2)";
/// Positions that aren't numbers are remembered this long.
const SEEN_MS: i64 = 90 * 86_400_000;

/// Takes one bite off the oldest end, if it is old or too much; returns the events looked at. What is open stays, and is
/// passed over from `trimmed_to` on.
pub(super) fn bite(
    db: &Connection,
    config: &Config,
    pending_bytes: i64,
    trimmed_to: &mut i64,
    now: Millis,
) -> Result<i64, rusqlite::Error> {
    let bite = "SELECT count(*), max(seq), max(recorded_at) FROM
                (SELECT seq, recorded_at FROM event WHERE seq > ? ORDER BY seq LIMIT ?)";
    let (n, last, recorded_at): (i64, Option<i64>, Option<i64>) =
        db.query_row(bite, [*trimmed_to, BITE], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let (Some(last), Some(recorded_at)) = (last, recorded_at) else { return Ok(0) };
    let max_age = i64::try_from(config.history_age.as_millis()).unwrap_or(i64::MAX);
    let too_old = now.0.saturating_sub(recorded_at) > max_age;
    let allowed = i64::try_from(config.history_size).unwrap_or(i64::MAX).saturating_add(2 * pending_bytes.max(0));
    if !too_old && used_bytes(db)? <= allowed {
        return Ok(0);
    }
    let closed =
        "seq > ?1 AND seq <= ?2 AND NOT EXISTS (SELECT 1 FROM lane CROSS JOIN pending ON pending.lane = lane.id
                  WHERE pending.seq = event.seq)";
    let floors = format!(
        "UPDATE epoch SET floor = max(floor, gone.pos) FROM
         (SELECT epoch, max(pos) AS pos FROM event WHERE {closed} GROUP BY epoch) AS gone WHERE gone.epoch = epoch.id"
    );
    db.execute(&floors, [*trimmed_to, last])?;
    db.execute("INSERT OR REPLACE INTO meta(k, v) SELECT 'last_seq', max(seq) FROM event", [])?;
    db.execute(&format!("DELETE FROM event WHERE {closed}"), [*trimmed_to, last])?;
    db.execute("DELETE FROM done WHERE seq <= ?", [last])?;
    db.execute(
        "DELETE FROM attempt WHERE last_seq <= ?1 AND id IN (SELECT id FROM attempt ORDER BY id LIMIT ?2)",
        params![last, BITE],
    )?;
    db.execute("DELETE FROM seen WHERE at < ?", [now.0.saturating_sub(SEEN_MS)])?;
    db.execute(OLD_EPOCHS, [EPOCHS, BITE])?;
    *trimmed_to = last;
    Ok(n)
}

/// Bytes of the database that hold something.
pub(super) fn used_bytes(db: &Connection) -> Result<i64, rusqlite::Error> {
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
    Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
}
