//! The handshake: which slots to read, which to take, what the ack register ought to be (devices/acme-sorter/README.md).
//!
//! All arithmetic is modulo 2^16. Within a known run of the PLC, reading goes on from what was committed, whatever the
//! ack register says: after an ack write that failed nothing is read twice, and nothing that was not committed is ever
//! passed. Without a restart count the ack register is the only truth, and what comes twice is told apart by the outbox.
//!
//! It never blocks: a slot that stays torn for [`TORN_POLLS`] polls is handed on as it is, and one that was overwritten
//! is told as missing.

use std::fmt;

/// Polls in which a slot may be torn before it is handed on as undecodable.
const TORN_POLLS: u8 = 3;
/// A counter that is this far ahead is behind.
const HALF: u16 = 1 << 15;

/// What the PLC says of its FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// Number of the newest complete slot.
    pub head: u16,
    /// The ack register.
    pub ack: u16,
    /// Restart count, if the PLC has one.
    pub epoch: Option<u32>,
}

/// What one poll is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FifoPlan {
    /// Number up to which everything is done: what the ack register ought to be, unless this poll commits more.
    pub base: u16,
    /// The PLC started anew: `base` is 0.
    pub restarted: bool,
    /// Slots are read after this number …
    pub after: u16,
    /// … and this many; 0: idle.
    pub count: u16,
}

/// A slot to be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its number.
    pub seq: u16,
    /// It stayed torn, for this reason: keep its bytes.
    pub torn: Option<String>,
}

/// Numbers that were overwritten before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The first one.
    pub first: u16,
    /// How many.
    pub count: u16,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first, self.first.wrapping_add(self.count).wrapping_sub(1))
    }
}

/// What was read of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// To be handed on, in order.
    pub taken: Vec<Taken>,
    /// Overrun: what lies between them and is gone.
    pub missing: Vec<Missing>,
    /// A slot that is not whole, and why: it is read again in the next poll.
    pub torn: Option<(u16, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    epoch: u32,
    seq: u16,
}

/// One FIFO's state between polls.
#[derive(Debug, Clone)]
pub struct Handshake {
    slots: u16,
    has_crc: bool,
    max_batch: u16,
    committed: Option<Stand>,
    /// A restart that one poll saw: believed when the next one sees it too. A PLC that starts may show its counters
    /// before its restart count.
    suspected: Option<Registers>,
    /// The slot that was torn in the last polls, and in how many.
    torn: Option<(Option<u32>, u16, u8)>,
}

impl Handshake {
    /// Nothing is known yet: reading starts at the ack register.
    pub fn new(slots: u16, max_batch: u16, has_crc: bool) -> Self {
        Self { slots, has_crc, max_batch, committed: None, suspected: None, torn: None }
    }

    /// Where the outbox stands: epoch text and extended position of the last commit. What this process has handed on
    /// since, and the outbox keeps without a position (undecodable slots), is not forgotten.
    pub fn resume(&mut self, epoch: &str, position: i64) {
        let epoch = epoch.strip_prefix("d:").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let Some(epoch) = epoch else { return };
        let stand = Stand { epoch, seq: (position & 0xffff) as u16 };
        let ahead = self.committed.is_some_and(|own| own.epoch == epoch && !is_behind(own.seq, stand.seq));
        if !ahead {
            self.committed = Some(stand);
        }
    }

    /// What to do in this poll; `None`: look again in the next one.
    pub fn plan(&mut self, now: Registers) -> Option<FifoPlan> {
        let base = match (now.epoch, self.committed) {
            (Some(epoch), Some(own)) if own.epoch != epoch => None,
            (Some(_), Some(own)) => Some(own.seq),
            _ => Some(now.ack),
        };
        let base = base.filter(|base| !is_behind(now.head, *base));
        if base.is_none() && self.suspected.map(|seen| seen.epoch) != Some(now.epoch) {
            self.suspected = Some(now);
            return None;
        }
        let restarted = base.is_none();
        if !restarted {
            self.suspected = None;
        }
        let base = base.unwrap_or(0);
        let distance = now.head.wrapping_sub(base);
        let after = if distance > self.slots { now.head.wrapping_sub(self.slots) } else { base };
        let count = distance.min(self.slots).min(self.max_batch);
        Some(FifoPlan { base, restarted, after, count })
    }

    /// What to take of the slots that `plan` named. `before` and `after` are the counters read before and after them,
    /// `whole` tells for each number whether its slot is complete. `None`: the PLC started anew meanwhile; plan again.
    pub fn accept(
        &mut self,
        plan: &FifoPlan,
        before: Registers,
        after: Registers,
        whole: impl Fn(u16) -> Result<(), String>,
    ) -> Option<Accepted> {
        if after.epoch != before.epoch || is_behind(after.head, before.head) {
            return None;
        }
        let mut accepted = Accepted::default();
        let mut due = plan.base.wrapping_add(1);
        for seq in (1..=plan.count).map(|i| plan.after.wrapping_add(i)) {
            let overwritten = after.head.wrapping_sub(seq) >= self.slots;
            let torn = match whole(seq) {
                Ok(()) if self.has_crc || !overwritten => None,
                _ if overwritten => continue,
                Ok(()) => None,
                Err(reason) => Some(reason),
            };
            if let Some(reason) = &torn
                && !self.stays_torn(before.epoch, seq)
            {
                accepted.torn = Some((seq, reason.clone()));
                break;
            }
            if seq != due {
                accepted.missing.push(Missing { first: due, count: seq.wrapping_sub(due) });
            }
            due = seq.wrapping_add(1);
            accepted.taken.push(Taken { seq, torn });
        }
        Some(accepted)
    }

    /// What to take of a queue's events, oldest first: their numbers, and whether they are whole. Those up to `base` are
    /// done.
    pub fn take(&mut self, base: u16, epoch: Option<u32>, events: &[(u16, Result<(), String>)]) -> Accepted {
        let mut accepted = Accepted::default();
        let mut due = base.wrapping_add(1);
        for (seq, whole) in events.iter().filter(|(seq, _)| !is_behind(*seq, base.wrapping_add(1))) {
            if is_behind(*seq, due) {
                // It comes after a newer one: no number is between the two.
                accepted.torn = Some((*seq, format!("carries number {seq} where {due} is due")));
                break;
            }
            let torn = whole.as_ref().err();
            if let Some(reason) = torn
                && !self.stays_torn(epoch, *seq)
            {
                accepted.torn = Some((*seq, reason.clone()));
                break;
            }
            if *seq != due {
                accepted.missing.push(Missing { first: due, count: seq.wrapping_sub(due) });
            }
            due = seq.wrapping_add(1);
            accepted.taken.push(Taken { seq: *seq, torn: torn.cloned() });
        }
        accepted
    }

    /// The slot was torn in this poll: has it been so for long enough?
    fn stays_torn(&mut self, epoch: Option<u32>, seq: u16) -> bool {
        let polls = match self.torn {
            Some((e, s, polls)) if (e, s) == (epoch, seq) => polls.saturating_add(1),
            _ => 1,
        };
        self.torn = Some((epoch, seq, polls));
        polls >= TORN_POLLS
    }

    /// Everything up to `seq` is durable.
    pub fn committed(&mut self, epoch: Option<u32>, seq: u16) {
        self.committed = epoch.map(|epoch| Stand { epoch, seq });
        self.suspected = None;
        self.torn = None;
    }
}

/// `seq` is before `other`, on the shorter way round.
const fn is_behind(seq: u16, other: u16) -> bool {
    seq.wrapping_sub(other) >= HALF
}

#[cfg(test)]
mod tests;
