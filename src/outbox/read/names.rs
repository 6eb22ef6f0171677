//! Names that an outbox knows: what tells a misspelled one from one of which there is nothing.

use std::collections::BTreeSet;
use std::path::Path;

use super::words;
use crate::outbox::StorageError;
use crate::outbox::open::reading;

/// Devices, instances of them and links that have ever sent something, readable or not.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn sources(dir: &Path) -> Result<BTreeSet<String>, StorageError> {
    names(dir, "SELECT name FROM source UNION SELECT source FROM tally UNION SELECT source FROM bad_input")
}

/// Lanes that a configuration of this outbox has, or had.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn lanes(dir: &Path) -> Result<BTreeSet<String>, StorageError> {
    names(dir, "SELECT name FROM lane")
}

fn names(dir: &Path, sql: &str) -> Result<BTreeSet<String>, StorageError> {
    reading(dir, |db| db.prepare(sql)?.query_map([], |r| words(r, 0))?.collect::<Result<_, rusqlite::Error>>())
}
