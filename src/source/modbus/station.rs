//! One event FIFO of one device: a poll reads, captures, and acknowledges, in that order.
//!
//! What goes wrong is told once, when it begins, and once more when it is over; never in each poll.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::wire::{Trouble, Wire};
use crate::event::{Decoded, Sample, Undecodable};
use crate::outbox::{CaptureError, Placed};
use crate::source::health::Cause;
use crate::source::now;
use crate::tagmap::points::Put;
use crate::tagmap::registers::bytes_of;
use crate::tagmap::{Fifo, FifoPlan, Handshake, Registers, Style, Taken, guarded};

/// Exceptions by which a gateway says that the device behind it does not answer: no path, no response (Modbus
/// Application Protocol 1.1b3, 7).
const NOT_THERE: [u8; 2] = [10, 11];

/// A FIFO being polled.
pub(super) struct Station {
    pub(super) device: Arc<str>,
    unit: u8,
    pub(super) fifo: Fifo,
    handshake: Handshake,
    /// Since when events wait without a commit, monotonic milliseconds.
    waiting: Option<u64>,
    told: Told,
}

/// What a poll found.
struct Seen {
    registers: Registers,
    /// What a queue shows, oldest first.
    queue: Vec<Shown>,
}

/// One event of a queue.
struct Shown {
    seq: u16,
    whole: Result<(), String>,
    words: Vec<u16>,
}

/// What was told and is not over.
#[derive(Default)]
struct Told {
    restart: Option<Registers>,
    torn: Option<u16>,
    lasting: BTreeSet<Lasting>,
}

/// Trouble that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lasting {
    /// The outbox takes nothing.
    Full,
    /// Events wait without a commit.
    Stuck,
    /// The device answers with an exception.
    Refused,
    /// The ack register does not hold what was written.
    Unacknowledged,
}

impl Told {
    /// `trouble` is there or is over: whether that is news.
    fn changes(&mut self, trouble: Lasting, there: bool) -> bool {
        if there { self.lasting.insert(trouble) } else { self.lasting.remove(&trouble) }
    }
}

/// What to do after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Poll again when it is due.
    Wait,
    /// More is waiting: poll again at once.
    Again,
    /// The outbox is closed.
    Stop,
}

impl Station {
    pub(super) fn new(device: Arc<str>, unit: u8, fifo: Fifo) -> Self {
        let handshake = fifo.handshake();
        Self { device, unit, fifo, handshake, waiting: None, told: Told::default() }
    }

    /// Goes on from the outbox's last commit.
    pub(super) fn resume(&mut self, epoch: &str, position: i64) {
        self.handshake.resume(epoch, position);
    }

    /// Events wait and nothing is committed.
    pub(super) fn is_stuck(&self) -> bool {
        self.told.lasting.contains(&Lasting::Stuck)
    }

    /// One poll: read, commit, acknowledge. `Err`: the unit gave no right answer, or refuses.
    pub(super) async fn poll<F>(
        &mut self,
        wire: &mut Wire,
        capture: &impl Fn(Vec<Sample>) -> F,
    ) -> Result<Next, Trouble>
    where
        F: Future<Output = Result<Vec<Placed>, CaptureError>>,
    {
        let polled = self.handle(wire, capture).await;
        match &polled {
            Ok(_) if self.told.changes(Lasting::Refused, false) => {
                tracing::info!(device = %self.device, fifo = %self.fifo.name, "registers can be read again");
            }
            Err(trouble) if is_refusal(trouble) && self.told.changes(Lasting::Refused, true) => {
                tracing::error!(device = %self.device, fifo = %self.fifo.name, unit = self.unit, %trouble,
                    "the FIFO can't be read: for an illegal address compare the map with the PLC's list");
            }
            _ => {}
        }
        polled
    }

    async fn handle<F>(&mut self, wire: &mut Wire, capture: &impl Fn(Vec<Sample>) -> F) -> Result<Next, Trouble>
    where
        F: Future<Output = Result<Vec<Placed>, CaptureError>>,
    {
        let Some(seen) = self.look(wire).await? else { return Ok(Next::Wait) };
        let before = seen.registers;
        let Some(plan) = self.handshake.plan(before) else { return Ok(Next::Wait) };
        self.tell_restart(before, plan);
        let (mut done, mut next) = (plan.base, Next::Wait);
        if plan.count > 0 {
            let samples = self.read(wire, &seen, plan).await?;
            if let Some((last, samples)) = samples {
                match capture(samples).await {
                    Ok(_) => {
                        done = last;
                        self.handshake.committed(before.epoch, last);
                        self.tell_full(false);
                    }
                    Err(CaptureError::Full) => self.tell_full(true),
                    Err(CaptureError::Closed) => return Ok(Next::Stop),
                }
                let more = done != before.head || matches!(self.fifo.style, Style::Queue(_)); // it shows its beginning only
                if done != plan.base && more {
                    next = Next::Again;
                }
            }
        }
        self.tell_stuck(done != plan.base || done == before.head);
        if done != before.ack {
            self.acknowledge(wire, done).await?;
        }
        Ok(next)
    }

    /// The counters, and of a queue what it shows. `None`: the PLC started anew meanwhile.
    async fn look(&self, wire: &mut Wire) -> Result<Option<Seen>, Trouble> {
        let before = self.counters(wire, None).await?;
        let Style::Queue(queue) = &self.fifo.style else {
            return Ok(Some(Seen { registers: before, queue: Vec::new() }));
        };
        let words = wire.read_queue(self.unit, queue.at).await?;
        if words.is_empty() {
            return Ok(Some(Seen { registers: before, queue: Vec::new() }));
        }
        let Some(events) = queue.events(&words) else {
            let words = format!("the queue shows {} registers, but its events have {}", words.len(), queue.words);
            return Err(Trouble { cause: Cause::Short, words, usable: true });
        };
        let numbered = self.fifo.events(&events, before.ack);
        let newest = numbered.last().map(|(seq, _)| *seq);
        let after = self.counters(wire, newest).await?;
        let shown =
            numbered.into_iter().zip(events).map(|((seq, whole), words)| Shown { seq, whole, words: words.to_vec() });
        let queue = shown.collect();
        Ok((after.epoch == before.epoch).then_some(Seen { registers: after, queue }))
    }

    /// The counters; a queue does not say its newest number itself.
    async fn counters(&self, wire: &mut Wire, newest: Option<u16>) -> Result<Registers, Trouble> {
        let words = wire.read(self.unit, self.fifo.status()).await?;
        let registers = match &self.fifo.style {
            Style::Ring(ring) => ring.registers(&words),
            Style::Queue(queue) => queue.registers(&words, newest),
        };
        registers.ok_or_else(|| Trouble {
            cause: Cause::Short,
            words: "fewer registers than asked for".to_owned(),
            usable: false,
        })
    }

    /// The events to hand on, and the number of the last one.
    async fn read(
        &mut self,
        wire: &mut Wire,
        seen: &Seen,
        plan: FifoPlan,
    ) -> Result<Option<(u16, Vec<Sample>)>, Trouble> {
        let (accepted, slots) = match &self.fifo.style {
            Style::Queue(_) => {
                let events: Vec<_> = seen.queue.iter().map(|shown| (shown.seq, shown.whole.clone())).collect();
                let accepted = self.handshake.take(plan.base, seen.registers.epoch, &events);
                (accepted, seen.queue.iter().map(|shown| (shown.seq, shown.words.clone())).collect())
            }
            Style::Ring(ring) => {
                let mut words = Vec::with_capacity(usize::from(plan.count) * usize::from(ring.words));
                for span in ring.spans(plan.after, plan.count) {
                    words.extend(wire.read(self.unit, span).await?);
                }
                let slots: BTreeMap<u16, Vec<u16>> = (1..=plan.count)
                    .map(|n| plan.after.wrapping_add(n))
                    .zip(words.chunks(usize::from(ring.words)).map(<[u16]>::to_vec))
                    .collect();
                let after = self.counters(wire, None).await?;
                let whole = |seq| self.fifo.check_slot(seq, slots.get(&seq).map_or(&[][..], Vec::as_slice));
                match self.handshake.accept(&plan, seen.registers, after, whole) {
                    Some(accepted) => (accepted, slots),
                    None => return Ok(None),
                }
            }
        };
        for missing in &accepted.missing {
            tracing::error!(device = %self.device, fifo = %self.fifo.name, %missing, count = missing.count,
                "overrun: the PLC overwrote events before they were read");
        }
        self.tell_torn(accepted.torn);
        let Some(last) = accepted.taken.last().map(|taken| taken.seq) else { return Ok(None) };
        let at = now();
        let samples = accepted.taken.into_iter().map(|taken| {
            let words = slots.get(&taken.seq).map_or(&[][..], Vec::as_slice);
            Sample {
                source: Arc::clone(&self.device),
                at,
                origin: Arc::clone(&self.fifo.name),
                raw: bytes_of(words),
                content: self.decode(seen.registers.epoch, taken, words),
                redelivery: None,
                memory: None,
            }
        });
        Ok(Some((last, samples.collect())))
    }

    fn decode(&self, epoch: Option<u32>, taken: Taken, words: &[u16]) -> Result<Decoded, Undecodable> {
        let Taken { seq, torn } = taken;
        if let Some(reason) = torn {
            return Err(Undecodable { reason: format!("slot {seq} stays torn: it {reason}"), panicked: false });
        }
        guarded(AssertUnwindSafe(|| self.fifo.decode_slot(epoch.map(u64::from), u64::from(seq), words)))
    }

    /// Writes the ack register and reads it back. What fails short of the connection is repeated by the next poll.
    async fn acknowledge(&mut self, wire: &mut Wire, seq: u16) -> Result<(), Trouble> {
        let (register, verify) = self.fifo.ack();
        let written = match wire.put(self.unit, register, &Put::Register(seq)).await {
            Ok(true) if verify => self.counters(wire, None).await.map(|registers| registers.ack == seq),
            other => other,
        };
        match written {
            Ok(true) => drop(self.told.changes(Lasting::Unacknowledged, false)),
            Err(trouble) if !is_refusal(&trouble) => {
                tracing::warn!(device = %self.device, fifo = %self.fifo.name, seq, %trouble,
                    "the ack register was perhaps not written: it will be written again");
                return Err(trouble);
            }
            Ok(false) | Err(_) => {
                if self.told.changes(Lasting::Unacknowledged, true) {
                    tracing::error!(device = %self.device, fifo = %self.fifo.name, seq, register,
                        "the ack register does not take what is written: the PLC's FIFO will fill up");
                }
            }
        }
        Ok(())
    }

    fn tell_restart(&mut self, registers: Registers, plan: FifoPlan) {
        if !plan.restarted {
            self.told.restart = None;
        } else if self.told.restart.map(|seen| seen.epoch) != Some(registers.epoch) {
            self.told.restart = Some(registers);
            tracing::warn!(device = %self.device, fifo = %self.fifo.name, epoch = registers.epoch, head = registers.head,
                "the PLC started anew: reading from its first event");
        }
    }

    fn tell_torn(&mut self, torn: Option<(u16, String)>) {
        if let Some((seq, reason)) = torn.as_ref().filter(|(seq, _)| self.told.torn != Some(*seq)) {
            tracing::warn!(device = %self.device, fifo = %self.fifo.name, seq, reason,
                "a slot is not whole: it is read again");
        }
        self.told.torn = torn.map(|(seq, _)| seq);
    }

    fn tell_full(&mut self, full: bool) {
        match (self.told.changes(Lasting::Full, full), full) {
            (true, true) => tracing::error!(device = %self.device, fifo = %self.fifo.name,
                "the outbox is full: the PLC's events are not acknowledged and stay in its FIFO"),
            (true, false) => {
                tracing::info!(device = %self.device, fifo = %self.fifo.name, "the outbox takes events again");
            }
            _ => {}
        }
    }

    /// Told once when events wait for `stuck_after` without a commit.
    fn tell_stuck(&mut self, moved: bool) {
        if moved {
            self.waiting = None;
            self.told.changes(Lasting::Stuck, false);
            return;
        }
        let mono = now().mono;
        let since = *self.waiting.get_or_insert(mono);
        let limit = u64::try_from(self.fifo.stuck_after.as_millis()).unwrap_or(u64::MAX);
        if mono - since >= limit && self.told.changes(Lasting::Stuck, true) {
            tracing::error!(device = %self.device, fifo = %self.fifo.name, waiting_ms = mono - since,
                "stuck: events wait in the FIFO and nothing is committed");
        }
    }
}

/// The device answers, with a no.
pub(super) fn is_refusal(trouble: &Trouble) -> bool {
    matches!(trouble.cause, Cause::Exception(code) if !NOT_THERE.contains(&code))
}
