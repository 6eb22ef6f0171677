//! Instances of a device (`hand-p07` of `hand`), and when each was seen last.

use std::path::Path;

use serde::Serialize;

use super::words;
use crate::outbox::StorageError;
use crate::outbox::open::reading;

/// One instance of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its id, as events name it.
    pub id: String,
    /// When its last event that is still kept was recorded, UTC milliseconds; `None`: none is kept any more.
    pub last_event_at: Option<i64>,
}

/// What has sent under the ids that begin with `device` and a hyphen, in the order of the ids.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn of(dir: &Path, device: &str) -> Result<Vec<Instance>, StorageError> {
    // The last position of each epoch is found by the index of events, however many there are.
    let sql = "SELECT s.name, max((SELECT e.recorded_at FROM event e WHERE e.epoch = p.id ORDER BY e.pos DESC LIMIT 1))
         FROM source s LEFT JOIN epoch p ON p.source = s.id
         WHERE substr(s.name, 1, length(?1) + 1) = ?1 || '-' GROUP BY s.id ORDER BY s.name";
    let instance = |r: &rusqlite::Row<'_>| Ok(Instance { id: words(r, 0)?, last_event_at: r.get(1)? });
    reading(dir, |db| db.prepare(sql)?.query_map([device], instance)?.collect::<Result<_, rusqlite::Error>>())
}
