//! The two clocks of the core, both handed in from outside.

use std::fmt;

/// A wall-clock moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// This moment, `ms` milliseconds later (saturating).
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// This moment, `ms` milliseconds earlier (saturating).
    #[must_use]
    pub fn minus(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this moment; 0 when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// RFC 3339 in UTC with milliseconds, as the wire and the log want it.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// One reading of both clocks.
///
/// `wall` never goes back within one outbox, whatever the system clock does: the shell takes the larger of the system
/// clock and the last persisted moment, and moves on with the monotonic clock. `mono` is milliseconds since the process
/// started and measures windows and ages within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall clock, for what is stored and shown.
    pub wall: Millis,
    /// Monotonic milliseconds since the process started, for windows.
    pub mono: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_rfc_3339_with_milliseconds() {
        assert_eq!(Millis(1_763_906_709_412).to_string(), "2025-11-23T14:05:09.412Z");
        assert_eq!(Millis(0).plus(5).since(Millis(2)), 3);
        assert_eq!(Millis(0).since(Millis(2)), 0);
    }
}
