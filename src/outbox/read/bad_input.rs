//! What could not be read, with its bytes.

use std::path::Path;

use rusqlite::OptionalExtension as _;
use serde::Serialize;

use super::words;
use crate::outbox::StorageError;
use crate::outbox::open::reading;

/// One sample that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its number, for [`raw`].
    pub id: i64,
    /// When it came, UTC milliseconds.
    pub at: i64,
    /// Device, or instance of one, as far as it says which it is of; or link.
    pub source: String,
    /// Where it came from there: a topic, a FIFO.
    pub origin: String,
    /// Why it could not be read.
    pub reason: String,
    /// Bytes that came.
    pub length: i64,
    /// The first 4,096 of them.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// The newest `limit` kept samples, the newest first; of one source and the instances behind it (`hand-p07` of `hand`), if one
/// is named.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn kept(dir: &Path, source: Option<&str>, limit: u32) -> Result<Vec<Kept>, StorageError> {
    let sql = format!(
        "SELECT id, at, source, origin, reason, length, bytes FROM bad_input {} ORDER BY id DESC LIMIT {limit}",
        if source.is_some() { "WHERE source = ?1 OR substr(source, 1, length(?1) + 1) = ?1 || '-'" } else { "" }
    );
    let parameters: Vec<&str> = source.into_iter().collect();
    let kept = |r: &rusqlite::Row<'_>| {
        Ok(Kept {
            id: r.get(0)?,
            at: r.get(1)?,
            source: words(r, 2)?,
            origin: words(r, 3)?,
            reason: words(r, 4)?,
            length: r.get(5)?,
            bytes: r.get(6)?,
        })
    };
    reading(dir, |db| {
        let bound = rusqlite::params_from_iter(&parameters);
        db.prepare(&sql)?.query_map(bound, kept)?.collect::<Result<_, rusqlite::Error>>()
    })
}

/// The bytes of one kept sample; `None`: it is not kept, or no longer.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn raw(dir: &Path, id: i64) -> Result<Option<Vec<u8>>, StorageError> {
    reading(dir, |db| db.query_row("SELECT bytes FROM bad_input WHERE id = ?", [id], |r| r.get(0)).optional())
}
