//! History has a bound in age and size: the oldest end is taken off in bites, never anything that is still open.

use rusqlite::{Connection, params};

use crate::event::Millis;
use crate::outbox::{Config, holes};

/// Events that one transaction takes off.
const BITE: i64 = 2_000;
/// Epochs of a source that are remembered when nothing of them is left: what comes from the wire can't grow the database
/// without bound.
const EPOCHS: i64 = 1_000;
const OLD_EPOCHS: &str = "DELETE FROM epoch WHERE id IN (
    SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY source ORDER BY id DESC) AS age FROM epoch)
    WHERE age > ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE event.epoch = id) LIMIT ?2)";
/// Of an outbox that fills up, only this much delivered history is left.
const LEAST_MS: i64 = 3_600_000;
/// Positions that aren't numbers are remembered this long.
const SEEN_MS: i64 = 90 * 86_400_000;

/// An event of which no lane has a row to deliver. The lanes are few, so each row is looked up under its key.
const CLOSED: &str = "seq > ?1 AND seq <= ?2 AND NOT EXISTS
    (SELECT 1 FROM lane CROSS JOIN pending ON pending.lane = lane.id WHERE pending.seq = event.seq)";

/// What was said of events that are gone.
const DONE: &str =
    "DELETE FROM done WHERE seq > ?1 AND seq <= ?2 AND NOT EXISTS (SELECT 1 FROM event WHERE event.seq = done.seq)";

/// What was corrected of events that are gone.
const CORRECTED: &str =
    "DELETE FROM correction WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.seq = correction.seq)";

/// Blocks of which no event is left, but for the last one: the next begins behind it.
const BLOCKS: &str = "DELETE FROM finder WHERE last <= ?1 AND last < (SELECT max(last) FROM finder) AND NOT EXISTS
    (SELECT 1 FROM event WHERE event.seq >= finder.first AND event.seq <= finder.last)";

/// What was said of rows of which no event is left between the first and the last one: what is still open can be explained.
const ATTEMPTS: &str =
    "DELETE FROM attempt WHERE last_seq <= ?1 AND id IN (SELECT id FROM attempt ORDER BY id LIMIT ?2) AND NOT EXISTS
    (SELECT 1 FROM event WHERE event.seq >= attempt.first_seq AND event.seq <= attempt.last_seq)";

/// Where nothing is left, sequences go on from here.
const LAST_GONE: &str = "INSERT OR REPLACE INTO meta(k, v)
    SELECT 'last_seq', max(?1, coalesce((SELECT v FROM meta WHERE k = 'last_seq'), 0))";

/// How far the oldest end was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trimmed {
    /// Up to here.
    to: i64,
    /// Open events that were passed over.
    passed: i64,
    /// Deliveries that had reached their end when this began at the oldest event.
    settled: i64,
}

impl Trimmed {
    /// Begins at the oldest event again, once many of those that were passed over may have been delivered.
    fn at_rest(&mut self, settled: i64) {
        if self.passed > 0 && settled - self.settled >= (self.passed / 2).max(1) {
            *self = Self { to: 0, passed: 0, settled };
        }
    }
}

/// Takes one bite off the oldest end, if it is old or too much; returns the events looked at. What is open stays, and is
/// passed over. `settled`: deliveries that have reached their end. `pressed`: the outbox fills up.
pub(super) fn bite(
    db: &Connection,
    config: &Config,
    (pending_bytes, settled): (i64, i64),
    pressed: bool,
    trimmed: &mut Trimmed,
    now: Millis,
) -> Result<i64, rusqlite::Error> {
    let bite = "SELECT count(*), max(seq), max(recorded_at) FROM
                (SELECT seq, recorded_at FROM event WHERE seq > ? ORDER BY seq LIMIT ?)";
    let (n, last, recorded_at): (i64, Option<i64>, Option<i64>) =
        db.query_row(bite, [trimmed.to, BITE], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let max_age = i64::try_from(config.history_age.as_millis()).unwrap_or(i64::MAX);
    let max_age = if pressed { max_age.min(LEAST_MS) } else { max_age };
    let allowed = i64::try_from(config.history_size).unwrap_or(i64::MAX).saturating_add(2 * pending_bytes.max(0));
    let too_old = recorded_at.is_some_and(|at| now.0.saturating_sub(at) > max_age);
    let (Some(last), true) = (last, too_old || used_bytes(db)? > allowed) else {
        trimmed.at_rest(settled);
        return Ok(0);
    };
    let closed = take_off(db, trimmed.to, last, now)?;
    trimmed.to = last;
    trimmed.passed += n - closed;
    Ok(n)
}

/// Takes off what is closed behind `after` up to `last`, with what was said of it; returns how many events. Writes nothing
/// where all is open.
fn take_off(db: &Connection, after: i64, last: i64, now: Millis) -> Result<i64, rusqlite::Error> {
    let floors = format!(
        "SELECT epoch, max(pos) FROM event JOIN epoch ON epoch.id = event.epoch WHERE {CLOSED} AND pos > floor GROUP BY epoch"
    );
    let floors: Vec<(i64, i64)> =
        db.prepare(&floors)?.query_map([after, last], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    for (epoch, floor) in floors {
        holes::keep(db, epoch, floor)?;
        db.execute("UPDATE epoch SET floor = ? WHERE id = ?", [floor, epoch])?;
    }
    let closed = db.execute(&format!("DELETE FROM event WHERE {CLOSED}"), [after, last])?;
    let closed = i64::try_from(closed).unwrap_or(i64::MAX);
    if closed == 0 {
        return Ok(0);
    }
    db.execute(LAST_GONE, [last])?;
    db.execute("UPDATE meta SET v = v + ? WHERE k = 'trimmed'", [closed])?;
    db.execute(DONE, [after, last])?;
    db.execute(CORRECTED, [])?;
    db.execute(BLOCKS, [last])?;
    db.execute(ATTEMPTS, params![last, BITE])?;
    db.execute("DELETE FROM seen WHERE at < ?", [now.0.saturating_sub(SEEN_MS)])?;
    if db.execute(OLD_EPOCHS, [EPOCHS, BITE])? > 0 {
        holes::forget(db)?;
    }
    Ok(closed)
}

/// Bytes of the database that hold something.
pub(super) fn used_bytes(db: &Connection) -> Result<i64, rusqlite::Error> {
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
    Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// While a backlog waits, the history beside it is taken off; when it has been delivered, it is history itself.
    #[test]
    fn what_was_passed_over_is_taken_off_once_it_is_delivered() -> Result<(), rusqlite::Error> {
        let db = crate::outbox::open::empty()?;
        db.execute_batch(
            "INSERT INTO lane(id, name, system) VALUES (1, 'erp', 'erp');
             INSERT INTO event SELECT n, 1, n, 0, x'00', 1, NULL, 's', 0, 'synced', NULL, 1, 0, 0, 1, NULL, '{}', 0
                 FROM (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3);
             INSERT INTO pending(lane, seq, tx, order8, posting, size) VALUES (1, 1, 1, 0, x'00', 10), (1, 2, 1, 0, x'00', 10);
             INSERT INTO finder VALUES (1, 1, x''), (3, 2, x'');
             INSERT INTO done SELECT seq, 2, 1, 0, 1, 1, 'delivered', NULL, 0, 9, 200, NULL, NULL FROM event;",
        )?;
        let config = Config {
            dir: std::path::PathBuf::new(),
            site: "dc1".to_owned(),
            preset: crate::outbox::Preset::Fast,
            max_size: 1 << 30,
            history_age: std::time::Duration::ZERO,
            history_size: 1 << 30,
            synchronous_normal: false,
        };
        let left = || {
            let events = db.query_row("SELECT count(*) FROM event", [], |r| r.get::<_, i64>(0))?;
            let done = db.query_row("SELECT count(*) FROM done", [], |r| r.get::<_, i64>(0))?;
            Ok::<_, rusqlite::Error>((events, done))
        };
        let mut trimmed = Trimmed::default();
        let mut bite = |settled| bite(&db, &config, (0, settled), false, &mut trimmed, Millis(1));
        assert_eq!((bite(0)?, left()?), (3, (2, 2)), "what is open stays, with what was said of it");
        assert_eq!((bite(0)?, bite(0)?), (0, 0), "nobody looks at the open ones again");
        db.execute("DELETE FROM pending", [])?;
        let blocks = || db.query_row("SELECT count(*) FROM finder", [], |r| r.get::<_, i64>(0));
        assert_eq!(blocks()?, 2, "of each an event is left");
        assert_eq!((bite(2)?, bite(2)?, left()?), (0, 2, (0, 0)));
        assert_eq!(blocks()?, 1, "the next block begins behind the last one");
        assert_eq!(db.query_row("SELECT v FROM meta WHERE k = 'trimmed'", [], |r| r.get::<_, i64>(0))?, 3);
        Ok(())
    }

    #[test]
    fn what_was_said_of_a_row_that_is_still_open_stays() -> Result<(), rusqlite::Error> {
        let db = crate::outbox::open::empty()?;
        db.execute_batch(
            "INSERT INTO lane(id, name, system) VALUES (1, 'erp', 'erp');
             INSERT INTO event SELECT n, 1, n, 0, x'00', 1, NULL, 's', 0, 'synced', NULL, 1, 0, 0, 1, NULL, '{}', 0
                 FROM (SELECT 1 AS n UNION SELECT 2);
             INSERT INTO pending(lane, seq, tx, order8, posting, size, state) VALUES (1, 1, 1, 0, x'00', 10, 2);
             INSERT INTO attempt(lane, batch, attempt, at, rows, first_seq, last_seq, class) VALUES
                 (1, 1, 1, 0, 1, 1, 1, 'unknown'), (1, 2, 1, 0, 1, 2, 2, 'unknown');",
        )?;
        assert_eq!(take_off(&db, 0, 2, Millis(1))?, 1);
        let left: i64 = db.query_row("SELECT first_seq FROM attempt", [], |r| r.get(0))?;
        assert_eq!(left, 1, "row 1 is a dead letter still");
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {ATTEMPTS}"))?;
        let plan: Vec<String> = plan.query_map([1, 2], |r| r.get(3))?.collect::<Result<_, _>>()?;
        assert!(plan.iter().any(|step| step.contains("SEARCH event USING INTEGER PRIMARY KEY")), "{plan:?}");
        Ok(())
    }

    #[test]
    fn a_bite_does_not_walk_the_backlog() -> Result<(), rusqlite::Error> {
        let db = crate::outbox::open::empty()?;
        let sql = format!("EXPLAIN QUERY PLAN DELETE FROM event WHERE {CLOSED}");
        let plan: Vec<String> = db.prepare(&sql)?.query_map([1, 2], |r| r.get(3))?.collect::<Result<_, _>>()?;
        assert!(plan.iter().any(|step| step.starts_with("SEARCH pending")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN pending")), "{plan:?}");
        Ok(())
    }
}
