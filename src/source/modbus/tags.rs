//! Cyclic points: a poll reads, observes, captures, and lets go. There is nothing to acknowledge.
//!
//! Devices behind one unit with the same period are polled together: their reads share requests. The bus does not wait for
//! a commit: it is waited for before the same points are observed again.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::station::{Next, is_refusal};
use super::wire::{Trouble, Wire};
use crate::event::{Now, Sample};
use crate::outbox::{CaptureError, Placed, Tap};
use crate::source::health::{Cause, Gauge};
use crate::source::now;
use crate::tagmap::points::{Got, Joint, Limits, Points, Read, join};

/// "Illegal data address".
const NO_SUCH_ADDRESS: Cause = Cause::Exception(2);
const NOTHING_LEFT: &str = "the device refuses all addresses of this poll (exception 2): compare the map with the device's list; \
                            they are tried again now and then";

/// The points of one device.
pub(super) struct Tags {
    device: Arc<str>,
    gauge: Gauge,
    /// Shared with those who are shown its values; nobody holds it for longer than a look takes.
    points: Arc<Mutex<Points>>,
    /// It was told that the outbox is full.
    full: bool,
    /// Tags that were told to be refused: once, though they are tried again.
    refusals: BTreeSet<String>,
}

/// The points of all devices, and what of them is being committed.
pub(super) struct Pool {
    pub(super) tags: Vec<Tags>,
    /// At most one for each group.
    commits: Vec<(Vec<usize>, Commit)>,
    /// Where polls are shown.
    tap: Tap,
}

type Captured = Result<Vec<Placed>, CaptureError>;
type Commit = Pin<Box<dyn Future<Output = Captured> + Send>>;

impl Pool {
    pub(super) const fn new(tap: Tap) -> Self {
        Self { tags: Vec::new(), commits: Vec::new(), tap }
    }

    /// Waits for the commits of these points; `false`: the outbox is closed.
    async fn settle(&mut self, members: &[usize]) -> bool {
        while let Some((of, commit)) = self.commit_of(members) {
            let taken = commit.await;
            for tags in of {
                match taken {
                    Ok(_) => self.tags[tags].committed(),
                    Err(CaptureError::Full) => self.tags[tags].undo(),
                    Err(CaptureError::Closed) => return false,
                }
            }
        }
        true
    }

    /// The oldest commit that concerns these points.
    fn commit_of(&mut self, members: &[usize]) -> Option<(Vec<usize>, Commit)> {
        let concerns = |commit: &(Vec<usize>, Commit)| commit.0.iter().any(|tags| members.contains(tags));
        let at = self.commits.iter().position(concerns)?;
        Some(self.commits.remove(at))
    }
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
    pub(super) fn new(device: Arc<str>, gauge: Gauge, points: Points) -> Self {
        let points = Arc::new(Mutex::new(points));
        gauge.shows(&points);
        Self { device, gauge, points, full: false, refusals: BTreeSet::new() }
    }

    /// A panic while a rule looks is caught inside and leaves what was seen before it.
    fn points(&self) -> MutexGuard<'_, Points> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the answers of one poll; the samples to capture.
    fn observe(&self, poll: usize, answers: &[Option<Got>], at: Now, tap: &Tap) -> Vec<Sample> {
        let mut points = self.points();
        let samples = points.observe(poll, answers, at);
        tap.polled(&self.device, at.wall, || points.cycle(poll, answers));
        samples
    }

    /// What the device refused is tried again.
    pub(super) fn release(&self) {
        self.points().release();
    }

    /// Its watchdog does not move.
    pub(super) fn is_stale(&self) -> bool {
        self.points().is_stale()
    }

    fn refused(&mut self, poll: usize, read: usize) {
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let before = points.quarantined().count();
        points.refused(poll, read);
        for tag in points.quarantined().skip(before) {
            if !self.refusals.insert(tag.tag.to_owned()) {
                continue;
            }
            tracing::error!(device = %self.device, tag = tag.tag, address = tag.at,
                "the device has no such address: the tag is not read; compare the map with the device's list");
        }
    }

    fn committed(&mut self) {
        self.points().committed();
        if std::mem::take(&mut self.full) {
            tracing::info!(device = %self.device, "the outbox takes events again");
        }
    }

    fn undo(&mut self) {
        self.points().undo();
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
        all: &mut Pool,
        wire: &mut Wire,
        capture: &impl Fn(Vec<Sample>) -> F,
    ) -> Result<Next, Trouble>
    where
        F: Future<Output = Captured> + Send + 'static,
    {
        let members: Vec<usize> = self.members.iter().map(|(tags, _)| *tags).collect();
        let (asked, reads) = self.reads(&all.tags);
        let joints = self.joints(&all.tags, &reads);
        let mut answers: Vec<Option<Got>> = vec![None; reads.len()];
        let (mut failed, mut refused) = (None, Vec::new());
        for joint in &joints {
            self.note(&all.tags, &asked, joint, wire);
            match wire.get(self.unit, &joint.read).await {
                Ok(got) => joint.parts.iter().for_each(|part| answers[*part] = got.part(&joint.read, &reads[*part])),
                Err(trouble) if trouble.cause == NO_SUCH_ADDRESS => refused.push(joint),
                Err(trouble) if is_refusal(&trouble) => failed = failed.or(Some(trouble)),
                Err(trouble) => {
                    failed = Some(trouble);
                    break;
                }
            }
        }
        if reads.is_empty() {
            return Err(Trouble { cause: NO_SUCH_ADDRESS, words: NOTHING_LEFT.to_owned(), usable: true });
        }
        if failed.as_ref().is_none_or(is_refusal) && !refused.is_empty() {
            self.split(&mut all.tags, &asked, &refused);
            return Ok(Next::Again);
        }
        self.apart &= failed.is_some() || self.refusals > 1;
        if !all.settle(&members).await {
            return Ok(Next::Stop);
        }
        self.observe(all, &asked, answers, capture);
        failed.map_or(Ok(Next::Wait), Err)
    }

    /// All reads of the members, each with whose it is.
    fn reads(&self, all: &[Tags]) -> (Vec<Asked>, Vec<Read>) {
        let each = self.members.iter().enumerate().flat_map(|(member, (tags, poll))| {
            let reads = all[*tags].points().polls()[*poll].reads.clone();
            reads.into_iter().enumerate().map(move |(read, what)| (Asked { member, read }, what))
        });
        each.unzip()
    }

    fn joints(&self, all: &[Tags], reads: &[Read]) -> Vec<Joint> {
        if self.apart || self.members.len() == 1 {
            return reads.iter().enumerate().map(|(part, read)| Joint { read: *read, parts: vec![part] }).collect();
        }
        let limits = self.members.iter().map(|(tags, _)| all[*tags].points().limits()).reduce(|a, b| Limits {
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

    /// Hands in what the answers say. The memory of several groups of one device is committed in the order it is made.
    fn observe<F>(
        &self,
        all: &mut Pool,
        asked: &[Asked],
        answers: Vec<Option<Got>>,
        capture: &impl Fn(Vec<Sample>) -> F,
    ) where
        F: Future<Output = Captured> + Send + 'static,
    {
        let (at, mut samples) = (now(), Vec::new());
        let mut answers = asked.iter().zip(answers).peekable();
        for (member, (tags, poll)) in self.members.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((_, answer)) = answers.next_if(|(asked, _)| asked.member == member) {
                own.push(answer);
            }
            samples.extend(all.tags[*tags].observe(*poll, &own, at, &all.tap));
        }
        let members: Vec<usize> = self.members.iter().map(|(tags, _)| *tags).collect();
        if samples.is_empty() {
            for tags in members {
                all.tags[tags].committed();
            }
        } else {
            all.commits.push((members, Box::pin(capture(samples))));
        }
    }
}
