//! The outbox's clock: a wall clock that never goes back within one database.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::event::{Millis, Now};

/// Where a time daemon says that the clock is synchronised (systemd-timesyncd, chrony's helper).
const SYNCED: [&str; 2] = ["/run/systemd/timesync/synchronized", "/run/chrony/synchronized"];
/// The battery-backed clock, UTC seconds.
const RTC: &str = "/sys/class/rtc/rtc0/since_epoch";
/// A wall clock that goes ahead by more than this was set; by less, it runs.
const JUMP_MS: u64 = 1_000;
/// A clock that is behind what was persisted by more than this was ahead then: the time that has passed since is not known.
const BEHIND_MS: u64 = 1_000;
/// How often that is looked up.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Reads the clocks; `wall` is at least the last moment that was persisted, and goes on with the machine's uptime when the system
/// clock is set back.
#[derive(Debug)]
pub(super) struct Clock {
    /// The last moment that was persisted before the start, and the uptime when that was read.
    started: (Millis, i64),
    highest: Millis,
    highest_at: i64,
    synced: Option<(Instant, bool)>,
    /// Milliseconds by which the wall clock went ahead of the uptime, and nobody was told.
    jumped: u64,
    /// The machine has started since the database was made, and nothing says how long it was off.
    doubtful: bool,
}

impl Clock {
    /// `booted`: the database is older than the machine's last start.
    pub(super) fn new(last_persisted: Millis, booted: bool) -> Self {
        let (at, jumped) = (uptime(), 0);
        let (started, highest, highest_at) = ((last_persisted, at), last_persisted, at);
        let mut clock = Self { started, highest, highest_at, synced: None, jumped, doubtful: false };
        clock.doubtful = booted && doubtful(clock.quality() == "synced", rtc(), last_persisted);
        clock
    }

    /// Nothing says how long the machine was off, and the time daemon has not set the clock yet.
    pub(super) fn is_doubtful(&mut self) -> bool {
        self.doubtful = self.doubtful && self.quality() != "synced";
        self.doubtful
    }

    /// What was persisted before the start lies ahead: the clock was ahead and has been set since, and the time that has passed
    /// between is not known.
    pub(super) fn is_behind(&self) -> bool {
        let (persisted, at) = self.started;
        let least = persisted.plus(since(at));
        system().plus(BEHIND_MS) < least
    }

    pub(super) fn now(&mut self) -> Now {
        let elapsed = since(self.highest_at);
        let carried = self.highest.plus(elapsed);
        let wall = system().max(carried);
        let ahead = wall.since(carried);
        self.jumped += if ahead > JUMP_MS { ahead } else { 0 };
        if wall > carried || elapsed > 1_000 {
            (self.highest, self.highest_at) = (wall, self.highest_at.saturating_add_unsigned(elapsed));
        }
        Now { wall, mono: mono(instant()) }
    }

    /// Milliseconds by which the wall clock was set ahead since this was asked last: no time that has passed.
    pub(super) fn take_jump(&mut self) -> u64 {
        std::mem::take(&mut self.jumped)
    }

    /// `synced` or `unsynced`, as the machine's time daemon says.
    pub(super) fn quality(&mut self) -> &'static str {
        let at = instant();
        let fresh = self.synced.filter(|(looked, _)| at.duration_since(*looked) < LOOK_AGAIN);
        let (_, synced) =
            *self.synced.insert(fresh.unwrap_or_else(|| (at, SYNCED.iter().any(|p| Path::new(p).exists()))));
        if synced { "synced" } else { "unsynced" }
    }
}

/// A clock that nobody has set and that no battery has kept going tells nothing of the time the machine was off.
fn doubtful(synced: bool, rtc: Option<Millis>, last_persisted: Millis) -> bool {
    !synced && rtc.is_none_or(|rtc| rtc < last_persisted)
}

/// What the battery-backed clock says, if there is one.
fn rtc() -> Option<Millis> {
    let seconds: i64 = std::fs::read_to_string(RTC).ok()?.trim().parse().ok()?;
    Some(Millis(seconds.saturating_mul(1_000)))
}

#[expect(clippy::disallowed_methods, reason = "this is the writer's clock")]
pub(super) fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the writer's clock")]
fn system() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds since the machine's start, those that it slept included: a clock that nobody sets.
pub(super) fn uptime() -> i64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    since.tv_sec * 1_000 + since.tv_nsec / 1_000_000
}

/// Milliseconds since then, by that clock.
fn since(then: i64) -> u64 {
    u64::try_from(uptime() - then).unwrap_or(0)
}

fn mono(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(|| at);
    u64::try_from(at.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_battery_and_time_daemon_does_not_know_how_long_it_was_off() {
        let last = Millis(1_763_906_709_412);
        assert!(doubtful(false, None, last));
        assert!(doubtful(false, Some(Millis(0)), last), "a battery that ran out");
        assert!(!doubtful(false, Some(last.plus(1_000)), last));
        assert!(!doubtful(true, None, last));
    }

    #[test]
    fn a_jump_ahead_is_told_once() {
        let mut clock = Clock::new(system().minus(3_600_000), false);
        assert!(clock.now().wall >= system().minus(1_000));
        let (jumped, again) = (clock.take_jump(), clock.take_jump());
        assert!((3_599_000..=3_601_000).contains(&jumped) && again == 0, "{jumped} {again}");
        clock.now();
        assert_eq!(clock.take_jump(), 0);
    }

    #[test]
    fn the_wall_clock_never_goes_behind_what_was_persisted() {
        let future = system().plus(3_600_000);
        let mut clock = Clock::new(future, false);
        let first = clock.now().wall;
        assert!(first >= future);
        assert!(clock.now().wall >= first);
    }

    #[test]
    fn a_clock_behind_what_was_persisted_does_not_know_how_long_it_was_off() {
        for (persisted, behind) in [(system().plus(10_000), true), (system().plus(500), false), (Millis(0), false)] {
            assert_eq!(Clock::new(persisted, false).is_behind(), behind, "{persisted:?}");
        }
    }
}
