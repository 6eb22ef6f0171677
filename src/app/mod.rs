//! Build, run, drain.

mod exit;

pub use exit::Exit;

use crate::config::Config;

/// Runs the gateway until it is told to stop.
pub fn run(_config: Config) -> std::process::ExitCode {
    Exit::Internal.into()
}
