//! What the service manager is told (sd_notify(3)): ready, alive, stopping, and a line for `systemctl status`.
//!
//! Alive means that commits move, not that the process exists: each sign of life is an answer of the writer thread after
//! everything before it was committed. A writer that hangs, or a runtime that does, gives none, and the manager starts
//! the gateway afresh. Without `NOTIFY_SOCKET` in the environment nothing is said.

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::outbox::{Outbox, Pulse};

/// Signs of life in one period of the watchdog: two may be late.
const BEATS: u32 = 3;
/// How often the status line is renewed where no watchdog waits.
const RENEW: Duration = Duration::from_secs(10);

/// All sources have been started.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Draining has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: sources, then lanes, then the outbox")]);
}

/// Gives signs of life for as long as the writer answers; never ends.
pub(super) async fn beat(outbox: &Outbox) -> Infallible {
    let watched = sd_notify::watchdog_enabled();
    let mut beats = interval(watched.map_or(RENEW, |period| period / BEATS).max(Duration::from_millis(1)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        // A writer that has ended is told by its own end.
        let Ok(pulse) = outbox.pulse().await else { continue };
        let status = status(&pulse);
        let states = [NotifyState::Status(&status), NotifyState::Watchdog];
        tell(if watched.is_some() { &states } else { &states[..1] });
    }
}

fn status(pulse: &Pulse) -> String {
    let Pulse { commits, pending_bytes, room } = pulse;
    let kib = pending_bytes.div_ceil(1024);
    if *room {
        format!("running: {kib} KiB pending, {commits} commits since the start")
    } else {
        format!("full: {kib} KiB pending, devices are not acknowledged; what is stored goes on being posted")
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::warn!(error = %e, "failed to tell the service manager: it may start the gateway afresh");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_says_what_waits() {
        let pulse = Pulse { commits: 7, pending_bytes: 1025, room: true };
        assert_eq!(status(&pulse), "running: 2 KiB pending, 7 commits since the start");
        let full = status(&Pulse { room: false, ..pulse });
        assert!(full.starts_with("full: 2 KiB pending, devices are not acknowledged"), "{full}");
    }
}
