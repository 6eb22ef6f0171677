//! What persons have stopped.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::{Bounds, words};
use crate::outbox::StorageError;
use crate::outbox::capture::regrouped::known;
use crate::outbox::hold::ordered;
use crate::outbox::open::reading;

/// A hold.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// `lane`, `system`, `subject`.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// Since when, UTC milliseconds.
    pub at: i64,
    /// Who did it.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
}

impl Held {
    /// Whether that lane waits for it, or all of its system.
    pub fn keeps(&self, lane: &str, system: &str) -> bool {
        match self.scope.as_str() {
            "lane" => self.name == lane,
            "system" => self.name == system,
            _ => false,
        }
    }
}

/// How many rows of a lane wait for a held subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// As the hold names it.
    pub subject: String,
    /// Lane id.
    pub lane: String,
    /// Rows that are not at their end, and need no other person.
    pub rows: i64,
}

/// What waits for the subjects that are held, by what orders it, as they are held. Where there are some, the backlog of each lane
/// that keeps order is walked once.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn kept(dir: &Path, bounds: Option<&Bounds>) -> Result<Vec<Kept>, StorageError> {
    reading(dir, |db| {
        let mut subjects = of(db)?;
        subjects.retain(|hold| hold.scope == "subject");
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let mut lanes = super::all(db, "SELECT id, name FROM lane ORDER BY id", |r| Ok((r.get(0)?, words(r, 1)?)))?;
        lanes.retain(|(_, lane): &(i64, String)| Bounds::parks_in(bounds, lane));
        let site: String = db.query_row("SELECT v FROM meta WHERE k = 'site'", [], |r| r.get(0))?;
        let (known, mut kept) = (known(db)?, Vec::new());
        for (id, lane) in lanes {
            let unit = known.get(&lane).map(|known| known.business_unit.as_str()).unwrap_or_default();
            let orders: Vec<Vec<i64>> = subjects.iter().map(|hold| ordered(&site, (&lane, unit), &hold.name)).collect();
            let waiting = waiting(db, id, orders.concat())?;
            kept.extend(subjects.iter().zip(orders).filter_map(|(hold, orders)| {
                let rows = orders.iter().filter_map(|order| waiting.get(order)).sum();
                (rows > 0).then(|| Kept { subject: hold.name.clone(), lane: lane.clone(), rows })
            }));
        }
        Ok::<_, rusqlite::Error>(kept)
    })
}

/// How many rows of the lane that need no other person are ordered by each of these. Walks its backlog, once.
fn waiting(db: &Connection, lane: i64, orders: Vec<i64>) -> Result<HashMap<i64, i64>, rusqlite::Error> {
    let sql = "SELECT order8, count(*) FROM pending
               WHERE lane = ? AND state < 2 AND order8 IN (SELECT value FROM json_each(?)) GROUP BY order8";
    let bound = params![lane, serde_json::Value::from(orders).to_string()];
    db.prepare(sql)?.query_map(bound, |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}

/// All holds, the oldest first.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn holds(dir: &Path) -> Result<Vec<Held>, StorageError> {
    reading(dir, |db| of(db))
}

pub(super) fn of(db: &Connection) -> Result<Vec<Held>, rusqlite::Error> {
    super::all(db, "SELECT scope, name, at, actor, reason FROM hold ORDER BY at, scope, name", |r| {
        Ok(Held { scope: words(r, 0)?, name: words(r, 1)?, at: r.get(2)?, actor: words(r, 3)?, reason: words(r, 4)? })
    })
}
