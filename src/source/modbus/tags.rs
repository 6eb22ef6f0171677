//! Cyclic points: a poll reads, observes, captures, and lets go. There is nothing to acknowledge.
//!
//! Devices behind one unit with the same period are polled together: their reads share requests.

use std::sync::Arc;

use super::station::Next;
use super::wire::{Trouble, Wire};
use crate::event::Sample;
use crate::outbox::{CaptureError, Placed};
use crate::source::health::{Cause, Gauge};
use crate::source::now;
use crate::tagmap::points::{Got, Joint, Limits, Points, Read, join};

/// "Illegal data address".
const NO_SUCH_ADDRESS: Cause = Cause::Exception(2);

/// The points of one device.
pub(super) struct Tags {
    device: Arc<str>,
    gauge: Gauge,
    points: Points,
    /// It was told that the outbox is full.
    full: bool,
}

/// Polls of one period behind one unit.
pub(super) struct Group {
    pub(super) unit: u8,
    /// Which tags, and which of their polls.
    pub(super) members: Vec<(usize, usize)>,
    /// The unit refused a request that several of them shared: each asks for itself, until the one that was refused is
    /// found …
    apart: bool,
    /// … or for good, when what lies between theirs is refused as well.
    refusals: u8,
}

/// One read of a member.
struct Asked {
    member: usize,
    read: usize,
}

impl Tags {
    pub(super) const fn new(device: Arc<str>, gauge: Gauge, points: Points) -> Self {
        Self { device, gauge, points, full: false }
    }

    /// What the device refused is tried again.
    pub(super) fn release(&mut self) {
        self.points.release();
    }

    fn refused(&mut self, poll: usize, read: usize) {
        let before = self.points.quarantined().count();
        self.points.refused(poll, read);
        for tag in self.points.quarantined().skip(before) {
            tracing::error!(device = %self.device, tag = tag.tag, address = tag.at,
                "the device has no such address: the tag is not read; compare the map with the device's list");
        }
    }

    fn committed(&mut self) {
        self.points.committed();
        if std::mem::take(&mut self.full) {
            tracing::info!(device = %self.device, "the outbox takes events again");
        }
    }

    fn undo(&mut self) {
        self.points.undo();
        if !std::mem::replace(&mut self.full, true) {
            tracing::error!(device = %self.device,
                "the outbox is full: what the tags do meanwhile is told when there is room, as far as it still holds");
        }
    }
}

impl Group {
    pub(super) const fn new(unit: u8) -> Self {
        Self { unit, members: Vec::new(), apart: false, refusals: 0 }
    }

    /// Shared requests are tried again.
    pub(super) fn release(&mut self) {
        (self.apart, self.refusals) = (false, 0);
    }

    /// One poll. `Err`: the unit did not answer, or refused; what it answered is observed all the same.
    pub(super) async fn poll<F>(
        &mut self,
        all: &mut [Tags],
        wire: &mut Wire,
        capture: &impl Fn(Vec<Sample>) -> F,
    ) -> Result<Next, Trouble>
    where
        F: Future<Output = Result<Vec<Placed>, CaptureError>>,
    {
        let (asked, reads) = self.reads(all);
        let joints = self.joints(all, &reads);
        let mut answers: Vec<Option<Got>> = vec![None; reads.len()];
        let (mut failed, mut refused) = (None, Vec::new());
        for joint in &joints {
            self.note(all, &asked, joint, wire);
            match wire.get(self.unit, &joint.read).await {
                Ok(got) => joint.parts.iter().for_each(|part| answers[*part] = got.part(&joint.read, &reads[*part])),
                Err(trouble) if trouble.cause == NO_SUCH_ADDRESS => refused.push(joint),
                Err(trouble) if matches!(trouble.cause, Cause::Exception(_)) => failed = failed.or(Some(trouble)),
                Err(trouble) => {
                    failed = Some(trouble);
                    break;
                }
            }
        }
        if failed.is_none() && !refused.is_empty() {
            self.split(all, &asked, &refused);
            return Ok(Next::Again);
        }
        self.apart &= failed.is_some() || self.refusals > 1;
        match (self.observe(all, &asked, answers, capture).await, failed) {
            (Next::Stop, _) => Ok(Next::Stop),
            (_, Some(trouble)) => Err(trouble),
            (next, None) => Ok(next),
        }
    }

    /// All reads of the members, each with whose it is.
    fn reads(&self, all: &[Tags]) -> (Vec<Asked>, Vec<Read>) {
        let each = self.members.iter().enumerate().flat_map(|(member, (tags, poll))| {
            let reads = all[*tags].points.polls()[*poll].reads.iter().enumerate();
            reads.map(move |(read, what)| (Asked { member, read }, *what))
        });
        each.unzip()
    }

    fn joints(&self, all: &[Tags], reads: &[Read]) -> Vec<Joint> {
        if self.apart || self.members.len() == 1 {
            return reads.iter().enumerate().map(|(part, read)| Joint { read: *read, parts: vec![part] }).collect();
        }
        let limits = self.members.iter().map(|(tags, _)| all[*tags].points.limits()).reduce(|a, b| Limits {
            gap_words: a.gap_words.min(b.gap_words),
            gap_bits: a.gap_bits.min(b.gap_bits),
            max_words: a.max_words.min(b.max_words),
            max_bits: a.max_bits.min(b.max_bits),
        });
        join(reads, &limits.unwrap_or_default())
    }

    /// The devices that the request is for: it is noted at each.
    fn note(&self, all: &[Tags], asked: &[Asked], joint: &Joint, wire: &mut Wire) {
        let mut members: Vec<usize> = joint.parts.iter().map(|part| asked[*part].member).collect();
        members.dedup();
        wire.for_devices(members.iter().map(|member| all[self.members[*member].0].gauge.clone()));
    }

    /// The unit has not all addresses of these requests: they are made smaller. From the last on, as numbers shift.
    fn split(&mut self, all: &mut [Tags], asked: &[Asked], refused: &[&Joint]) {
        let mut single: Vec<usize> =
            refused.iter().filter(|joint| joint.parts.len() == 1).flat_map(|joint| joint.parts.clone()).collect();
        if refused.iter().any(|joint| joint.parts.len() > 1) {
            self.apart = true;
            self.refusals = self.refusals.saturating_add(1);
        }
        single.sort_unstable();
        for Asked { member, read } in single.iter().rev().map(|part| &asked[*part]) {
            let (tags, poll) = self.members[*member];
            all[tags].refused(poll, *read);
        }
    }

    async fn observe<F>(
        &self,
        all: &mut [Tags],
        asked: &[Asked],
        answers: Vec<Option<Got>>,
        capture: &impl Fn(Vec<Sample>) -> F,
    ) -> Next
    where
        F: Future<Output = Result<Vec<Placed>, CaptureError>>,
    {
        let (at, mut samples) = (now(), Vec::new());
        let mut answers = asked.iter().zip(answers).peekable();
        for (member, (tags, poll)) in self.members.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((_, answer)) = answers.next_if(|(asked, _)| asked.member == member) {
                own.push(answer);
            }
            samples.extend(all[*tags].points.observe(*poll, &own, at));
        }
        let taken = if samples.is_empty() { Ok(Vec::new()) } else { capture(samples).await };
        let members = self.members.iter().map(|(tags, _)| *tags);
        match taken {
            Ok(_) => members.for_each(|tags| all[tags].committed()),
            Err(CaptureError::Full) => members.for_each(|tags| all[tags].undo()),
            Err(CaptureError::Closed) => return Next::Stop,
        }
        Next::Wait
    }
}
