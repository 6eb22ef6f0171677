//! What persons have stopped.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;

use crate::outbox::StorageError;
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
    /// Whether a row of that lane, system and subject waits for it.
    pub fn keeps(&self, lane: &str, system: &str, subject: &str) -> bool {
        self.name
            == match self.scope.as_str() {
                "lane" => lane,
                "system" => system,
                _ => subject,
            }
    }
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
        Ok(Held { scope: r.get(0)?, name: r.get(1)?, at: r.get(2)?, actor: r.get(3)?, reason: r.get(4)? })
    })
}
