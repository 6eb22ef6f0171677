//! What devices send, shown to people as it happens: samples once they are committed, and the polls of cyclic tags, which
//! mostly make none. Costs nothing while nobody looks, and never waits for who does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

use crate::event::{Millis, Sample};
use crate::outbox::Placed;
use crate::tagmap::points::Cycle;

/// What waits for somebody who looks and is slow; what comes then is lost to them.
const WAITING: usize = 256;
/// Bytes of a sample that are shown.
const SHOWN: usize = 4_096;

/// What can be seen of a device.
#[derive(Debug, Clone)]
pub enum Tapped {
    /// A sample that was committed.
    Sample(Arc<Committed>),
    /// One poll of its tags, whether it made an event or not.
    Cycle(Arc<Polled>),
}

/// A sample that was committed, and what became of it.
#[derive(Debug)]
pub struct Committed {
    /// The sample, its bytes cut to 4,096, without its memory.
    pub sample: Sample,
    /// Bytes that came.
    pub length: usize,
    /// It has a memory to be stored.
    pub remembers: bool,
    /// What became of it.
    pub placed: Placed,
}

/// One poll of a device's tags.
#[derive(Debug)]
pub struct Polled {
    /// The device.
    pub device: Arc<str>,
    /// When it was read.
    pub at: Millis,
    /// What came, and what it says.
    pub cycle: Cycle,
}

/// Where devices can be watched; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<Watcher>>>);

#[derive(Debug)]
struct Watcher {
    device: String,
    to: mpsc::Sender<Tapped>,
    missed: Arc<AtomicU64>,
}

/// Somebody who looks.
#[derive(Debug)]
pub struct Watch {
    from: mpsc::Receiver<Tapped>,
    missed: Arc<AtomicU64>,
}

/// What a [`Watch`] sees next.
#[derive(Debug)]
pub enum Sight {
    /// Something of its device.
    Tapped(Tapped),
    /// So many of its device came faster than they were taken.
    Missed(u64),
}

impl Tap {
    /// What comes from now on of the device, of an instance of it (`hand-p07` of `hand`), or of a link.
    pub fn watch(&self, device: &str) -> Watch {
        let (to, from) = mpsc::channel(WAITING);
        let missed = Arc::<AtomicU64>::default();
        let watcher = Watcher { device: device.to_owned(), to, missed: Arc::clone(&missed) };
        self.watchers().push(watcher);
        Watch { from, missed }
    }

    /// Shows committed samples to whoever looks. Never waits.
    pub(crate) fn tell(&self, samples: Vec<Sample>, placed: &[Placed]) {
        let mut watchers = self.watchers();
        for (mut sample, placed) in samples.into_iter().zip(placed) {
            if !watchers.iter().any(|watcher| watcher.wants(&sample)) {
                continue;
            }
            let (length, remembers) = (sample.raw.len(), sample.memory.is_some());
            sample.raw.truncate(SHOWN);
            sample.raw.shrink_to_fit();
            sample.memory = None;
            let shown = Arc::new(Committed { sample, length, remembers, placed: placed.clone() });
            watchers
                .retain(|watcher| !watcher.wants(&shown.sample) || watcher.take(Tapped::Sample(Arc::clone(&shown))));
        }
    }

    /// Shows a poll of a device's tags to whoever looks at it; it is put together only for them. Never waits.
    pub(crate) fn polled(&self, device: &Arc<str>, at: Millis, cycle: impl FnOnce() -> Cycle) {
        let mut watchers = self.watchers();
        if watchers.iter().any(|watcher| watcher.device == **device) {
            let shown = Arc::new(Polled { device: Arc::clone(device), at, cycle: cycle() });
            watchers.retain(|watcher| watcher.device != **device || watcher.take(Tapped::Cycle(Arc::clone(&shown))));
        }
    }

    /// Nothing is left half done by a panic in between.
    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Whether a sample is of its device, or of the instance that it asks for.
    fn wants(&self, sample: &Sample) -> bool {
        *sample.source == *self.device || sample.content.as_ref().is_ok_and(|decoded| *decoded.device == *self.device)
    }

    /// `false`: it has gone.
    fn take(&self, tapped: Tapped) -> bool {
        match self.to.try_send(tapped) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Watch {
    /// What comes next; `None`: the gateway ends. What was missed is told once all that waits was taken.
    pub async fn next(&mut self) -> Option<Sight> {
        match self.from.try_recv() {
            Ok(tapped) => return Some(Sight::Tapped(tapped)),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => self.from.recv().await.map(Sight::Tapped),
            missed => Some(Sight::Missed(missed)),
        }
    }
}
