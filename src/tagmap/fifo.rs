//! Event FIFOs in holding registers, with an acknowledge register.

use crate::form::Table;
use crate::tagmap::Context;

/// One `[[fifo]]`.
#[derive(Debug, Clone)]
pub struct Fifo {}

/// What to read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FifoPlan {}

impl Fifo {
    /// Reads one `[[fifo]]`.
    pub fn read(_table: &Table<'_>, _context: &Context<'_>) -> Option<Self> {
        None
    }
}
