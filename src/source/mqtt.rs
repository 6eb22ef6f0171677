//! MQTT 3.1.1 and 5: persistent session, PUBACK after the commit.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::outbox::Outbox;
use crate::source::Backoff;
use crate::tagmap::Map;

/// Protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1
    V311,
    /// MQTT 5
    V5,
}

/// An MQTT link, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Link id.
    pub link: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protocol version.
    pub version: Version,
    /// Client id: names the session at the broker.
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Messages received and not yet acknowledged.
    pub max_in_flight: u16,
    /// How long the broker keeps the session (MQTT 5).
    pub session_expiry: Duration,
    /// Keep alive.
    pub keep_alive: Duration,
    /// Largest packet taken from the broker, bytes.
    pub max_packet: usize,
    /// Reconnecting.
    pub reconnect: Backoff,
    /// Devices behind this link, with their maps.
    pub devices: Vec<(Arc<str>, Map)>,
}

/// Runs the link until `stop`.
pub async fn run(_config: Config, _outbox: Outbox, stop: CancellationToken) {
    stop.cancelled().await;
}
