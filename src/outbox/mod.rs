//! The outbox: one writer thread owns the SQLite database; everything else hands it commands.
//!
//! What is captured is durable when the caller hears of it: WAL, `synchronous=FULL`, one commit for whatever is waiting.
//! The same commit freezes the next batch of a lane that may send. An error of the storage ends the process with its own
//! code, and the next start finds out what was committed; nothing is guessed in between.

mod attempts;
mod audit;
mod capture;
mod clock;
mod delivery;
mod fill;
mod finder;
mod hold;
mod holes;
mod open;
mod operate;
mod place;
pub mod read;
mod tap;
#[cfg(test)]
mod tests;
mod trim;
mod varint;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use crate::event::Sample;
use crate::lane::{self, Answer, Outgoing, System};
use crate::outbox::writer::Writer;

pub use hold::{Hold, Scope};
pub use open::{StorageError, fits};
pub use operate::{Acted, Named, Order, Seen};
pub use place::{DEFAULT_DIR, doubts, user};
pub use tap::{Committed, Polled, Sight, Tap, Tapped, Watch};

/// Commands that may wait for the writer: each source and each request in flight has one at most.
const QUEUE: usize = 4_096;

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
    /// Bytes of pending events; beyond 95 % of them devices are no longer acknowledged.
    pub max_size: u64,
    /// Delivered history is kept this long …
    pub history_age: std::time::Duration,
    /// … and up to this many bytes.
    pub history_size: u64,
    /// A fault that tests plant: commits that a power cut takes back. Never set by a configuration file.
    pub synchronous_normal: bool,
}

/// What became of a sample. Each of them is durable and may be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// New: its events are stored.
    New,
    /// Stored before.
    Duplicate,
    /// Stored, but held: a repeat that can't be told from a second scan.
    Held,
    /// Not decodable: kept with its bytes.
    Bad,
    /// It reads, and contradicts what is stored: kept with its bytes, for this reason.
    Refused(Arc<str>),
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

/// What the writer says of itself when it is asked whether it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Commits since the start.
    pub commits: u64,
    /// Bytes of pending events.
    pub pending_bytes: u64,
    /// Devices are acknowledged.
    pub room: bool,
}

type CaptureReply = oneshot::Sender<Result<Vec<Placed>, CaptureError>>;

enum Command {
    Capture { at: Instant, samples: Vec<Sample>, refused: Arc<AtomicBool>, reply: CaptureReply },
    LastSeen { device: Arc<str>, reply: oneshot::Sender<Option<LastSeen>> },
    Proven { link: Arc<str>, packets: Vec<u16> },
    Memory { name: Arc<str>, reply: oneshot::Sender<Option<Vec<u8>>> },
    SessionLost { link: Arc<str>, reply: oneshot::Sender<()> },
    Pulse { reply: oneshot::Sender<Pulse> },
    Operate { order: Order, actor: String, reply: oneshot::Sender<Vec<Acted>> },
    Hold { hold: Hold, actor: String, reply: oneshot::Sender<Acted> },
    Answered { lane: usize, batch: u64, answer: Answer },
    Stop,
}

/// The door to the writer thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    commands: SyncSender<Command>,
    room: watch::Receiver<bool>,
    systems: watch::Receiver<Vec<System>>,
    tap: Tap,
}

/// The writer thread's end, for whoever supervises it.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<Result<(), StorageError>>);

impl Ended {
    /// Waits for the writer to end: `Ok` after [`Outbox::stop`], an error when the storage failed. A writer that
    /// panicked shows as `None`.
    pub async fn wait(&mut self) -> Option<Result<(), StorageError>> {
        (&mut self.0).await.ok()
    }
}

impl Outbox {
    /// Opens the database, takes back what was under way, and starts the writer thread. Batches leave through `out`,
    /// one channel a target, which must have room for all that its lanes may have in flight.
    ///
    /// # Errors
    /// When the directory is taken or can't be used, or the database is of a later version.
    pub fn open(
        config: Config,
        lanes: Vec<lane::Config>,
        out: Vec<mpsc::Sender<Outgoing>>,
    ) -> Result<(Self, Ended), StorageError> {
        let (commands, inbox) = std::sync::mpsc::sync_channel(QUEUE);
        let (room_tx, room) = watch::channel(true);
        let (systems_tx, systems) = watch::channel(Vec::new());
        let (ended_tx, ended) = oneshot::channel();
        let dir = config.dir.clone();
        let tap = Tap::default();
        let mut writer = Writer::open(config, lanes, out, inbox, (room_tx, systems_tx, tap.clone()))
            .map_err(|e| e.of_start(&dir))?;
        let thread = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || {
            let result = writer.run();
            drop(writer); // whoever hears of the end may open the directory again
            if ended_tx.send(result).is_err() {
                tracing::debug!("the writer ended after its supervisor");
            }
        });
        thread.map_err(|e| StorageError::Directory("a thread".to_owned(), e))?;
        Ok((Self { commands, room, systems, tap }, Ended(ended)))
    }

    /// A way in for a source that hands in more before it has heard of the last.
    pub fn intake(&self) -> Intake {
        Intake { outbox: self.clone(), refused: Arc::default() }
    }

    /// Stores samples of one source, in order, in one commit (shared with whatever else is waiting). They are handed in
    /// at once; the future is ready after the commit, with one [`Placed`] for each sample.
    pub fn capture(
        &self,
        samples: Vec<Sample>,
    ) -> impl Future<Output = Result<Vec<Placed>, CaptureError>> + Send + use<> {
        self.intake().capture(samples)
    }

    /// Where the device stood at its last commit; `None`: never seen.
    pub async fn last_seen(&self, device: Arc<str>) -> Result<Option<LastSeen>, CaptureError> {
        let (reply, found) = oneshot::channel();
        self.hand_in(Command::LastSeen { device, reply })?;
        found.await.map_err(|_| CaptureError::Closed)
    }

    /// What [`Sample::memory`] of that name was committed last.
    pub async fn memory(&self, name: Arc<str>) -> Result<Option<Vec<u8>>, CaptureError> {
        let (reply, found) = oneshot::channel();
        self.hand_in(Command::Memory { name, reply })?;
        found.await.map_err(|_| CaptureError::Closed)
    }

    /// The broker has begun a new session: packet identifiers begin again. Hand this in before the first message of it.
    pub async fn session_lost(&self, link: Arc<str>) -> Result<(), CaptureError> {
        let (reply, forgotten) = oneshot::channel();
        self.hand_in(Command::SessionLost { link, reply })?;
        forgotten.await.map_err(|_| CaptureError::Closed)
    }

    /// The broker has our PUBACKs of these packets: if one of them comes again, it may be another message.
    pub fn acknowledgements_proven(&self, link: Arc<str>, packets: Vec<u16>) -> Result<(), CaptureError> {
        self.hand_in(Command::Proven { link, packets })
    }

    /// Ready when the writer thread has gone round and nothing that was handed in before waits for a commit: commits
    /// move. A writer that hangs, in its disk or in itself, never answers.
    pub async fn pulse(&self) -> Result<Pulse, CaptureError> {
        let (reply, pulse) = oneshot::channel();
        self.hand_in(Command::Pulse { reply })?;
        pulse.await.map_err(|_| CaptureError::Closed)
    }

    /// Carries out what a person has decided; durable when the answer is there, one for each key.
    pub async fn operate(&self, order: Order, actor: String) -> Result<Vec<Acted>, CaptureError> {
        let (reply, acted) = oneshot::channel();
        self.hand_in(Command::Operate { order, actor, reply })?;
        acted.await.map_err(|_| CaptureError::Closed)
    }

    /// Holds something or releases it; durable when the answer is there.
    pub async fn hold(&self, hold: Hold, actor: String) -> Result<Acted, CaptureError> {
        let (reply, acted) = oneshot::channel();
        self.hand_in(Command::Hold { hold, actor, reply })?;
        acted.await.map_err(|_| CaptureError::Closed)
    }

    /// Hands in what came of an attempt.
    pub fn answered(&self, lane: usize, batch: u64, answer: Answer) -> Result<(), CaptureError> {
        self.hand_in(Command::Answered { lane, batch, answer })
    }

    /// Nothing new leaves; what is in flight is settled if its answer comes in time. [`Ended::wait`] tells when.
    pub fn stop(&self) {
        if self.hand_in(Command::Stop).is_err() {
            tracing::debug!("the writer had ended before");
        }
    }

    /// `true` while there is room.
    pub fn room(&self) -> watch::Receiver<bool> {
        self.room.clone()
    }

    /// How the systems stand that are posted to, a second or two ago.
    pub fn systems(&self) -> watch::Receiver<Vec<System>> {
        self.systems.clone()
    }

    /// Where what is committed can be watched.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    fn hand_in(&self, command: Command) -> Result<(), CaptureError> {
        self.commands.try_send(command).map_err(|e| match e {
            TrySendError::Full(_) => CaptureError::Full,
            TrySendError::Disconnected(_) => CaptureError::Closed,
        })
    }
}

/// One source's way in. Its calls commit in their order, and after one that was refused all later ones are: what comes
/// behind it may not overtake it. A source begins anew with a fresh one.
#[derive(Debug, Clone)]
pub struct Intake {
    outbox: Outbox,
    refused: Arc<AtomicBool>,
}

impl Intake {
    /// As [`Outbox::capture`], without waiting for the calls before.
    pub fn capture(
        &self,
        samples: Vec<Sample>,
    ) -> impl Future<Output = Result<Vec<Placed>, CaptureError>> + Send + use<> {
        let (reply, committed) = oneshot::channel();
        let refused = self.refused.clone();
        let handed_in =
            self.outbox.hand_in(Command::Capture { at: clock::instant(), samples, refused: refused.clone(), reply });
        if handed_in.is_err() {
            refused.store(true, Ordering::SeqCst);
        }
        async move {
            handed_in?;
            committed.await.unwrap_or(Err(CaptureError::Closed))
        }
    }
}
