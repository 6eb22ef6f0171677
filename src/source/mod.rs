//! Where samples come from: MQTT brokers, Modbus PLCs, scanners on sockets and serial lines.
//!
//! A source reads bytes, has its map decode them, hands the samples to the outbox, and acknowledges to the device only
//! after the commit. It knows nothing of business.

mod certificate;
pub mod health;
pub mod modbus;
pub mod mqtt;
pub mod serial;
pub mod socket;
pub mod tls;

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::event::{Millis, Now};

/// Reconnecting: full jitter between nothing and the bound, which doubles from `min` to `max` and starts again only
/// after the link was up for `reset_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// First bound.
    pub min: Duration,
    /// Largest bound.
    pub max: Duration,
    /// Time up after which the bound is `min` again.
    pub reset_after: Duration,
}

/// How long to wait before the next attempt to connect. Pure: time up and the dice are handed in.
#[derive(Debug, Clone)]
pub struct Reconnect {
    backoff: Backoff,
    bound: Duration,
}

impl Reconnect {
    /// Starts at the first bound.
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, bound: backoff.min }
    }

    /// The wait after a link that was up for `up` went down (`ZERO`: it never stood). `dice` is uniform in 0..1.
    pub fn wait(&mut self, up: Duration, dice: f64) -> Duration {
        if up >= self.backoff.reset_after {
            self.bound = self.backoff.min;
        }
        let wait = self.bound.mul_f64(dice.clamp(0.0, 1.0));
        self.bound = self.bound.saturating_mul(2).min(self.backoff.max);
        wait
    }
}

/// Both clocks of this process. The outbox corrects `wall` if the system clock stands behind what it has stored.
#[expect(clippy::disallowed_methods, reason = "the sources are a shell: here they read the clocks for the core")]
pub fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let mono = START.get_or_init(Instant::now).elapsed().as_millis();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Now { wall: Millis(i64::try_from(wall).unwrap_or(i64::MAX)), mono: u64::try_from(mono).unwrap_or(u64::MAX) }
}

/// The system's clock, for what certificates say.
#[expect(clippy::disallowed_methods, reason = "certificates are judged by the wall clock, as TLS itself does")]
pub fn today() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_bound_doubles_to_its_cap_and_starts_again_only_after_a_long_time_up() {
        let mut reconnect = Reconnect::new(Backoff { min: SECOND, max: SECOND * 5, reset_after: SECOND * 300 });
        let ups = [0, 0, 0, 0, 299, 300, 0];
        let bounds: Vec<u64> = ups.map(|up| reconnect.wait(SECOND * up, 1.0).as_secs()).to_vec();
        assert_eq!(bounds, [1, 2, 4, 5, 5, 1, 2]);
    }

    #[test]
    fn jitter_covers_the_whole_bound() {
        let waits = [0.0, 0.25, 0.999].map(|dice| {
            Reconnect::new(Backoff { min: SECOND, max: SECOND, reset_after: SECOND }).wait(Duration::ZERO, dice)
        });
        assert_eq!(waits.map(|w| w.as_millis()), [0, 250, 999]);
    }

    #[test]
    fn the_monotonic_clock_counts_from_the_start_of_the_process() {
        let (first, second) = (now(), now());
        assert!(first.mono <= second.mono && second.mono < 3_600_000);
        assert!(first.wall > Millis(1_700_000_000_000));
    }
}
