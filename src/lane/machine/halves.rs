//! A batch that the target refused as a whole, until the bad row of it is alone: it goes again in two, what comes first first.
//!
//! With `b` bad rows of `n` that is at most `2 * b * ceil(log2 n) + 1` requests in all. No row of an order key leaves before the
//! earlier ones of it are settled, wherever a half ends.

use super::{Lane, RowKey, State};

impl Lane {
    /// These rows of a batch are in line again, and leave in two halves before anything else does.
    pub(super) fn halve(&mut self, rows: &[RowKey]) {
        let (left, right) = rows.split_at(rows.len().div_ceil(2));
        self.halves.extend([right.to_vec(), left.to_vec()]);
    }

    /// The next half of which something may leave, but for what has gone otherwise meanwhile; empty: there is none.
    pub(super) fn next_half(&mut self) -> Vec<RowKey> {
        while let Some(mut half) = self.halves.pop() {
            half.retain(|row| self.rows.get(row).is_some_and(|slot| slot.state == State::Queued));
            if half.iter().any(|row| self.ready.contains(row)) {
                return half;
            }
        }
        Vec::new()
    }

    /// These rows of it leave; the others are next.
    pub(super) fn leaves_of(&mut self, mut half: Vec<RowKey>, rows: &[RowKey]) {
        half.retain(|row| rows.binary_search(row).is_err());
        if !half.is_empty() {
            self.halves.push(half);
        }
    }
}
