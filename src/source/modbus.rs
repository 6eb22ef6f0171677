//! Modbus TCP: holding registers and the event FIFO handshake.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::outbox::Outbox;
use crate::source::Backoff;
use crate::tagmap::Map;

/// A Modbus TCP link, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Link id.
    pub link: Arc<str>,
    /// `host:port`.
    pub address: String,
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// Until the answer of one request is there; then the connection is dropped.
    pub request_timeout: Duration,
    /// Reconnecting.
    pub reconnect: Backoff,
    /// Devices behind this link.
    pub devices: Vec<Device>,
}

/// One unit behind the link.
#[derive(Debug, Clone)]
pub struct Device {
    /// Device id: part of every key.
    pub id: Arc<str>,
    /// Unit id.
    pub unit: u8,
    /// Its map.
    pub map: Map,
}

/// Runs the link until `stop`.
pub async fn run(_config: Config, _outbox: Outbox, stop: CancellationToken) {
    stop.cancelled().await;
}
