//! What is committed, shown to people as it happens; costs nothing while nobody looks.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::event::Sample;
use crate::outbox::Placed;

/// Samples that wait for somebody who looks and is slow; older ones are lost to them.
const WAITING: usize = 256;
/// Bytes of a sample that are shown.
const SHOWN: usize = 4_096;

/// A sample that was committed, and what became of it.
#[derive(Debug)]
pub struct Tapped {
    /// The sample, its bytes cut to 4,096.
    pub sample: Sample,
    /// Bytes that came.
    pub length: usize,
    /// What became of it.
    pub placed: Placed,
}

/// Where committed samples can be watched; all clones are one.
#[derive(Debug, Clone)]
pub struct Tap(broadcast::Sender<Arc<Tapped>>);

impl Default for Tap {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Tap {
    /// What is committed from now on. Who does not keep up is told how many are lost.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Tapped>> {
        self.0.subscribe()
    }

    /// Shows committed samples to whoever looks. Never waits.
    pub(crate) fn tell(&self, samples: Vec<Sample>, placed: &[Placed]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        for (mut sample, placed) in samples.into_iter().zip(placed) {
            let length = sample.raw.len();
            sample.raw.truncate(SHOWN);
            sample.raw.shrink_to_fit();
            sample.memory = None;
            drop(self.0.send(Arc::new(Tapped { sample, length, placed: *placed }))); // they may have gone meanwhile
        }
    }
}
