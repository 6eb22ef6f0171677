//! Listening beside a gateway, for people: a client of its own, whose session ends with it.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use super::connection::{Connection, Incoming};
use super::{Config, Version};
use crate::source::Backoff;
use crate::tagmap::propose::Heard;

impl Config {
    /// A listener at that broker: no devices, and nothing is kept for it.
    pub fn listener(host: String, port: u16, client_id: String) -> Self {
        Self {
            link: client_id.as_str().into(),
            host,
            port,
            tls: None,
            version: Version::V311,
            client_id,
            share: None,
            login: None,
            max_in_flight: 100,
            session_expiry: Duration::ZERO,
            keep_alive: Duration::from_secs(30),
            max_packet: 1 << 20,
            reconnect: Backoff { min: Duration::ZERO, max: Duration::ZERO, reset_after: Duration::ZERO },
            devices: Vec::new(),
        }
    }

    /// A listener at the broker of this link, with its certificates and credentials.
    #[must_use]
    pub fn beside(&self, client_id: String) -> Self {
        let Self { tls, version, login, .. } = self.clone();
        Self { tls, version, login, ..Self::listener(self.host.clone(), self.port, client_id) }
    }
}

/// How far a listener has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nobody has said anything that a broker says.
    #[default]
    Connecting,
    /// The broker has taken the connection.
    Connected,
    /// … and the subscription: it sends what comes.
    Subscribed,
}

/// Hands each message under `filter` to `take`, and whether the broker had kept it (then it says what was, not what
/// happens), until it breaks off. Nobody else gets less for it. `stage` is how far it has come.
///
/// # Errors
/// Why there is no connection, or no longer one, in words.
pub async fn listen(
    config: &Config,
    filter: &str,
    stage: &Cell<Stage>,
    mut take: impl FnMut(Heard, bool) -> ControlFlow<()>,
) -> Result<(), String> {
    let mut connection = Connection::new(config)?;
    let at = format!("{}:{}", config.host, config.port);
    loop {
        match connection.next().await? {
            Incoming::Connected { .. } => {
                stage.set(Stage::Connected);
                connection.subscribe(&[filter.to_owned()])?;
            }
            Incoming::Subscribed { refused } if !refused.is_empty() => {
                return Err(format!("{at}: the broker refuses the subscription to {filter}: may this user read it?"));
            }
            Incoming::Subscribed { .. } => stage.set(Stage::Subscribed),
            Incoming::Message(message) => {
                connection.ack(message.ack)?;
                let heard = Heard { topic: message.topic, payload: message.payload };
                if take(heard, message.retain).is_break() {
                    connection.leave(super::LEAVE).await;
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}
