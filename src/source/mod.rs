//! Where samples come from: MQTT brokers and Modbus PLCs.
//!
//! A source reads bytes, has its map decode them, hands the samples to the outbox, and acknowledges to the device only
//! after the commit. It knows nothing of business.

pub mod modbus;
pub mod mqtt;

use std::time::Duration;

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
