//! Event FIFOs in holding registers, with an acknowledge register.
//!
//! A ring: the PLC writes event N into slot (N - 1) mod slots, then sets `head` to N; the gateway reads, commits, and
//! sets `ack` to the last number committed, which frees the slots up to it. A restart count (`epoch`) tells the numbers
//! of one run of the PLC from those of the next. [`Ring`] knows where the registers are, [`Handshake`] decides what to
//! read and what to take, [`Fifo::decode_slot`] says what a slot means. Nothing here does I/O.
//!
//! A mailbox is a ring of one slot: the PLC writes it, counts its request number up, and waits for the ack. A [`Queue`] is
//! read with function 24, which takes nothing from it; the PLC removes what `ack` says.
//!
//! Limits: 16-bit counters, at most 125 registers a slot, 31 in a queue. Faults of a map are told with their places; a
//! slot that decodes to nothing keeps its reason.

mod plan;
mod queue;
mod schema;
mod slot;

use std::sync::Arc;
use std::time::Duration;

pub use plan::{Accepted, FifoPlan, Handshake, Missing, Registers, Taken};
pub use queue::Queue;
pub(super) use schema::{text, words_for};
use slot::Slot;
pub(super) use slot::{Words, crc_of};

use crate::tagmap::registers::{Order, wide};

/// One `[[fifo]]`, bound to a device.
#[derive(Debug, Clone)]
pub struct Fifo {
    /// Its name in the map: the origin of its samples.
    pub name: Arc<str>,
    /// Time from one poll to the next.
    pub every: Duration,
    /// Events that wait this long without a commit are told.
    pub stuck_after: Duration,
    /// 0 goes first.
    pub priority: u8,
    /// Where the registers are, and how they are read.
    pub style: Style,
    slot: Slot,
    device: Arc<str>,
    map: Arc<str>,
}

/// How events wait in a PLC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// In slots that are written in turn; a mailbox is a ring of one.
    Ring(Ring),
    /// In a queue that function 24 shows.
    Queue(Queue),
}

impl Fifo {
    /// Registers of a slot.
    pub const fn words(&self) -> u16 {
        match &self.style {
            Style::Ring(ring) => ring.words,
            Style::Queue(queue) => queue.words,
        }
    }

    /// Slots that can be seen at once.
    pub const fn slots(&self) -> u16 {
        match &self.style {
            Style::Ring(ring) => ring.slots,
            Style::Queue(queue) => queue.slots(),
        }
    }

    /// Most events that one poll takes.
    pub const fn most_events(&self) -> u16 {
        match &self.style {
            Style::Ring(ring) => ring.max_batch,
            Style::Queue(queue) => queue.slots(),
        }
    }

    /// The register that is acknowledged in, and whether it is read back.
    pub const fn ack(&self) -> (u16, bool) {
        match &self.style {
            Style::Ring(ring) => (ring.ack, ring.verify),
            Style::Queue(queue) => (queue.ack, queue.verify),
        }
    }

    /// The counters, read in one request so that they fit each other.
    pub fn status(&self) -> Span {
        match &self.style {
            Style::Ring(ring) => ring.status(),
            Style::Queue(queue) => queue.status(),
        }
    }

    /// The device and the handshake alone write there: counters and slots.
    pub fn owns(&self, at: u16, words: u16) -> bool {
        let written = Span { at, words };
        let epoch = self.epoch().map(|epoch| Span { at: epoch.0, words: epoch_words(epoch) });
        let rest = match &self.style {
            Style::Ring(ring) => vec![
                Span { at: ring.head, words: 1 },
                Span { at: ring.ack, words: 1 },
                Span { at: ring.slots_at, words: ring.slots.saturating_mul(ring.words) },
            ],
            Style::Queue(queue) => vec![Span { at: queue.ack, words: 1 }],
        };
        epoch.into_iter().chain(rest).any(|own| own.overlaps(written))
    }

    /// What is decided between polls.
    pub fn handshake(&self) -> Handshake {
        match &self.style {
            Style::Ring(ring) => Handshake::new(ring.slots, self.most_events(), self.has_crc()),
            Style::Queue(queue) => Handshake::new(queue.slots(), self.most_events(), self.has_crc()),
        }
    }

    const fn epoch(&self) -> Option<(u16, Option<Order>)> {
        match &self.style {
            Style::Ring(ring) => ring.epoch,
            Style::Queue(queue) => queue.epoch,
        }
    }
}

/// Registers next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first one, counted from 0.
    pub at: u16,
    /// How many.
    pub words: u16,
}

impl Span {
    fn end(self) -> u32 {
        u32::from(self.at) + u32::from(self.words)
    }

    fn overlaps(self, other: Self) -> bool {
        u32::from(self.at) < other.end() && u32::from(other.at) < self.end()
    }
}

/// Where a ring's registers are: holding registers, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// The PLC's counter: the number of the newest complete slot.
    pub head: u16,
    /// Ours: the number of the last slot that is committed.
    pub ack: u16,
    /// `ack` is read back after it was written.
    pub verify: bool,
    /// The restart count; a number of two registers has an order.
    pub epoch: Option<(u16, Option<Order>)>,
    /// The first slot's first register.
    pub slots_at: u16,
    /// Slots: divides 65536.
    pub slots: u16,
    /// Registers of a slot.
    pub words: u16,
    /// Most registers of one request.
    pub max_words: u16,
    /// Most slots taken at once.
    pub max_batch: u16,
}

impl Ring {
    /// Head, ack and epoch, read in one request so that they fit each other.
    pub fn status(&self) -> Span {
        let counters = [Some((self.head, 1)), Some((self.ack, 1)), self.epoch.map(|e| (e.0, epoch_words(e)))];
        span_of(counters.into_iter().flatten())
    }

    /// What the registers of [`Ring::status`] say; `None` when they are fewer.
    pub fn registers(&self, status: &[u16]) -> Option<Registers> {
        let first = self.status().at;
        let word = |at: u16| status.get(usize::from(at.wrapping_sub(first))).copied();
        let epoch = match self.epoch {
            None => None,
            Some(epoch) => Some(epoch_of(epoch, word)?),
        };
        Some(Registers { head: word(self.head)?, ack: word(self.ack)?, epoch })
    }

    /// The requests that read `count` slots after number `after`, in order: split where the ring wraps and where one
    /// would be larger than allowed, never inside a slot.
    pub fn spans(&self, after: u16, count: u16) -> Vec<Span> {
        let most = (self.max_words / self.words).max(1);
        let mut spans = Vec::new();
        let (mut slot, mut left) = (after % self.slots, count);
        while left > 0 {
            let run = left.min(most).min(self.slots - slot);
            spans.push(Span { at: self.slots_at + slot * self.words, words: run * self.words });
            slot = (slot + run) % self.slots;
            left -= run;
        }
        spans
    }
}

/// One request for all of these registers: first and number of each.
fn span_of(counters: impl Iterator<Item = (u16, u16)> + Clone) -> Span {
    let first = counters.clone().map(|s| s.0).min().unwrap_or_default();
    let end = counters.map(|s| u32::from(s.0) + u32::from(s.1)).max().unwrap_or_default();
    Span { at: first, words: u16::try_from(end - u32::from(first)).unwrap_or(u16::MAX) }
}

/// The restart count, from registers by their addresses.
fn epoch_of((at, order): (u16, Option<Order>), word: impl Fn(u16) -> Option<u16>) -> Option<u32> {
    match order {
        None => Some(u32::from(word(at)?)),
        Some(order) => Some(wide(order, word(at)?, word(at + 1)?)),
    }
}

const fn epoch_words(epoch: (u16, Option<Order>)) -> u16 {
    if epoch.1.is_some() { 2 } else { 1 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::form::Document;
    use crate::tagmap::{Binding, Map};

    /// The sorter's map, as it ships.
    pub(crate) const SORTER: &str = include_str!("../../../devices/acme-sorter/map.toml");

    /// A map bound to `sorter-1`, or its faults.
    pub(crate) fn read(text: &str, accept_epoch_risk: bool) -> Result<Map, Vec<String>> {
        let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
        let binding = Binding { accept_epoch_risk, ..Binding::of("sorter-1") };
        Map::read(&document, &binding).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    pub(crate) fn sorter() -> Fifo {
        read(SORTER, false).expect("the shipped map has no fault").fifos.remove(0)
    }

    #[test]
    fn the_registers_lie_where_the_sorters_list_says() {
        let Style::Ring(ring) = sorter().style else { panic!("the sorter has a ring") };
        assert_eq!(ring.status(), Span { at: 100, words: 3 });
        assert_eq!(ring.registers(&[7, 6, 3]), Some(Registers { head: 7, ack: 6, epoch: Some(3) }));
        assert_eq!(ring.registers(&[7, 6]), None);
        assert_eq!(ring.spans(6, 1), [Span { at: 296, words: 16 }], "number 7 lies at 40297");
    }

    #[test]
    fn counters_and_slots_are_its_own() {
        let sorter = sorter();
        let own = [(100, 1), (101, 1), (99, 2), (102, 1), (200, 1), (711, 1), (700, 50)];
        assert!(own.into_iter().all(|(at, words)| sorter.owns(at, words)));
        let others = [(99, 1), (103, 97), (712, 1)];
        assert!(!others.into_iter().any(|(at, words)| sorter.owns(at, words)));
    }

    #[test]
    fn a_request_ends_at_the_ring_and_at_its_limit() {
        let Style::Ring(ring) = sorter().style else { panic!("the sorter has a ring") };
        assert_eq!(ring.spans(30, 4), [Span { at: 680, words: 32 }, Span { at: 200, words: 32 }]);
        let words: Vec<u16> = ring.spans(u16::MAX, 32).iter().map(|s| s.words).collect();
        assert_eq!(words, [16, 96, 96, 96, 96, 96, 16], "65536 is slot 32, then the ring wraps");
        assert_eq!(ring.spans(5, 0), []);
    }
}
