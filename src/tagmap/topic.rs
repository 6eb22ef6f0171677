//! MQTT topics: filters with captures, payloads with JSON paths.

use crate::form::Table;
use crate::tagmap::Context;

/// One `[[topic]]`.
#[derive(Debug, Clone)]
pub struct Topic {}

impl Topic {
    /// Reads one `[[topic]]`.
    pub fn read(_table: &Table<'_>, _context: &Context<'_>) -> Option<Self> {
        None
    }
}
