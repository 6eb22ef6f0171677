//! The control socket: what a running gateway tells those who ask it on its own machine.
//!
//! A Unix socket `control.sock` in the data directory, mode 0600: one JSON request a line, one JSON answer a line, either
//! `{"ok": …}` or `{"error": "…"}`. It has a thread and a runtime of its own, so that it answers while the sources are
//! busy, and it reads what others noted: nothing asked here can hold up a commit, or a poll for longer than its values take to
//! be copied. Connections, the length of a line and the time for one are bounded (`server.rs`); those that watch are counted
//! apart, so that however many of them stand still, a question is answered.
//!
//! A gateway whose socket can't be made runs without it, tries again, and says so: capture does not depend on it.
//!
//! A new question is one more variant of [`Request`] and one arm in `View::answer`; one with many answers, such as
//! [`Request::Tap`], takes its arm in `server::converse`, which has the connection in hand.

mod client;
mod server;
mod status;
mod tap;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::outbox::{Hold, Order};

pub use client::{Unanswered, ask, watch};
pub use server::Server;
pub use status::{Status, View};
pub use tap::{Cycle, Event, Shown, TapLine};

/// The socket's name in the data directory.
const SOCKET: &str = "control.sock";

/// What can be asked: `{"request":"status"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// How the gateway, its links and its devices are doing: a [`Status`].
    Status,
    /// What the gateway knows of one device: a [`Device`](crate::source::health::Device); of the configured one, where an
    /// instance of it is asked for.
    Device {
        /// The device's id.
        device: String,
    },
    /// What a device sends, live: [`TapLine`]s until the asking side ends.
    Tap {
        /// The device's id.
        device: String,
        /// Polls in which nothing has changed, too.
        #[serde(default)]
        all: bool,
    },
    /// Carry out what a person has decided of postings: an [`Acted`](crate::outbox::Acted) for each. Who it is, the socket
    /// itself says.
    Operate(Order),
    /// Hold a lane, a system or a subject, or release it: an [`Acted`](crate::outbox::Acted).
    Hold(Hold),
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why there is none: a sentence.
    Error(String),
}

/// A place in the file system, as a socket's address.
struct Address {
    path: PathBuf,
    /// Keeps the handle that `path` goes by.
    _dir: Option<File>,
}

/// The longest path that a socket's address holds, bytes (unix(7)).
const LONGEST: usize = 107;

impl Address {
    /// `dir/name`; by a handle of the directory where that is too long.
    fn of(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path, _dir: None });
        }
        let handle = File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", handle.as_raw_fd()));
        Ok(Self { path, _dir: Some(handle) })
    }
}

#[cfg(test)]
mod tests;
