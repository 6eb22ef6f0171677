//! A queue of events that function 24 shows without taking from it (Modbus Application Protocol 1.1b3, 6.18).
//!
//! The PLC keeps whole events in it, oldest first, each with its own number, and removes those up to `ack`. What can be
//! seen at once is bounded by the function: 31 registers.

use super::{Registers, Span, epoch_of, epoch_words, span_of};
use crate::tagmap::registers::Order;

/// Most registers of one answer.
pub(super) const MOST_WORDS: u16 = 31;

/// Where a queue and its registers are: holding registers, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The address that function 24 is asked for.
    pub at: u16,
    /// Registers of one event.
    pub words: u16,
    /// The number of the last event that is committed: ours.
    pub ack: u16,
    /// `ack` is read back after it was written.
    pub verify: bool,
    /// The restart count; a number of two registers has an order.
    pub epoch: Option<(u16, Option<Order>)>,
}

impl Queue {
    /// Events that one answer can hold.
    pub const fn slots(&self) -> u16 {
        MOST_WORDS / self.words
    }

    /// Ack and epoch, read in one request.
    pub fn status(&self) -> Span {
        let counters = [Some((self.ack, 1)), self.epoch.map(|e| (e.0, epoch_words(e)))];
        span_of(counters.into_iter().flatten())
    }

    /// What the registers of [`Queue::status`] say, and the number of the newest event that was seen; `None` when they
    /// are fewer.
    pub fn registers(&self, status: &[u16], newest: Option<u16>) -> Option<Registers> {
        let first = self.status().at;
        let word = |at: u16| status.get(usize::from(at.wrapping_sub(first))).copied();
        let epoch = match self.epoch {
            None => None,
            Some(epoch) => Some(epoch_of(epoch, word)?),
        };
        let ack = word(self.ack)?;
        Some(Registers { head: newest.unwrap_or(ack), ack, epoch })
    }

    /// The events of an answer; `None`: it holds a part of one.
    pub fn events<'w>(&self, words: &'w [u16]) -> Option<Vec<&'w [u16]>> {
        let size = usize::from(self.words);
        words.len().is_multiple_of(size).then(|| words.chunks(size).collect())
    }
}

/// The number of each event. One that is torn has that of its place: the numbers of a queue follow each other. `ack` is the
/// number before the first one, as far as anybody knows when none is whole.
pub(super) fn numbers(own: &[Option<u16>], ack: u16) -> Vec<u16> {
    let place = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
    let before = own.iter().enumerate().find_map(|(index, own)| Some(own.as_ref()?.wrapping_sub(place(index))));
    let mut next = before.unwrap_or(ack.wrapping_add(1));
    let mut numbers = Vec::with_capacity(own.len());
    for own in own {
        let number = own.unwrap_or(next);
        numbers.push(number);
        next = number.wrapping_add(1);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Queue = Queue { at: 300, words: 10, ack: 101, verify: true, epoch: Some((103, None)) };

    #[test]
    fn counters_are_read_together_and_events_are_whole() {
        assert_eq!(QUEUE.status(), Span { at: 101, words: 3 });
        assert_eq!(QUEUE.registers(&[7, 0, 3], Some(9)), Some(Registers { head: 9, ack: 7, epoch: Some(3) }));
        assert_eq!(QUEUE.registers(&[7, 0, 3], None), Some(Registers { head: 7, ack: 7, epoch: Some(3) }));
        assert_eq!(QUEUE.registers(&[7, 0], None), None);
        assert_eq!(QUEUE.slots(), 3);
        assert_eq!(QUEUE.events(&[0; 20]).map(|events| events.len()), Some(2));
        assert_eq!(QUEUE.events(&[0; 21]), None);
    }

    #[test]
    fn a_torn_event_has_the_number_of_its_place() {
        assert_eq!(numbers(&[Some(7), None, Some(9)], 6), [7, 8, 9]);
        assert_eq!(numbers(&[None, Some(0)], 9), [65_535, 0]);
        assert_eq!(numbers(&[None, None], 65_535), [0, 1]);
        assert_eq!(numbers(&[Some(7), Some(9)], 6), [7, 9], "a number that is missing stays missing");
        assert!(numbers(&[], 6).is_empty());
    }
}
