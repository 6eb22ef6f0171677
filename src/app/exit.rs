//! What the process ends with. systemd does not restart on 64 and 78.

/// The exit codes, after sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Clean = 0,
    /// Done, and the answer is no: not found, not permitted, a test failed.
    No = 1,
    /// The command line was wrong.
    Usage = 64,
    /// What was given to look at is invalid.
    Data = 65,
    /// No gateway runs that could be asked.
    Unavailable = 69,
    /// A fault of ours.
    Internal = 70,
    /// The outbox can't be written or trusted.
    Storage = 74,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
