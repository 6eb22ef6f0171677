//! The outbox: one writer thread owns the SQLite database; everything else hands it commands.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::event::Sample;

/// How commits are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Commit at once.
    Fast,
    /// At most one commit in 20 ms, unless a batch waits to leave: for eMMC and SD.
    Gentle,
}

/// The outbox's part of the configuration, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory.
    pub dir: PathBuf,
    /// Site id: part of every key.
    pub site: String,
    /// Pacing.
    pub preset: Preset,
    /// Bytes of pending events; beyond, devices are no longer acknowledged.
    pub max_size: u64,
    /// Delivered history is kept this long …
    pub history_age: std::time::Duration,
    /// … and up to this many bytes.
    pub history_size: u64,
}

/// What became of a sample. Each of them is durable and may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// New: its events are stored.
    New,
    /// Stored before.
    Duplicate,
    /// Stored, but held: a repeat that can't be told from a second scan.
    Held,
    /// Not decodable: kept with its bytes.
    Bad,
}

/// Why samples were not taken: don't acknowledge them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// No room: hand them in again, in the same order, when [`Outbox::room`] says so.
    #[error("the outbox is full")]
    Full,
    /// The gateway is stopping.
    #[error("the outbox is closed")]
    Closed,
}

/// Where a source stood at its last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    /// Epoch text: `d:0003`, `g:…:1`.
    pub epoch: String,
    /// Last position, extended to 64 bits.
    pub position: i64,
}

/// The door to the writer thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    room: watch::Receiver<bool>,
}

impl Outbox {
    /// Stores samples of one source, in order, in one commit (shared with whatever else is waiting). Returns after the
    /// commit: one [`Placed`] for each sample.
    pub async fn capture(&self, _samples: Vec<Sample>) -> Result<Vec<Placed>, CaptureError> {
        Err(CaptureError::Closed)
    }

    /// Where the device stood at its last commit; `None`: never seen.
    pub async fn last_seen(&self, _device: Arc<str>) -> Result<Option<LastSeen>, CaptureError> {
        Err(CaptureError::Closed)
    }

    /// `true` while there is room.
    pub fn room(&self) -> watch::Receiver<bool> {
        self.room.clone()
    }
}
