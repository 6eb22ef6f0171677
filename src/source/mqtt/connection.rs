//! One connection to the broker, in the words that both protocol versions share.
//!
//! A connection is one client of its own. We only subscribe, so the session lives at the broker, and an acknowledgement
//! can never reach another connection than the one its message came on.

use std::error::Error;
use std::time::Duration;

use rumqttc::v5::mqttbytes as v5;
use rumqttc::{TlsConfiguration, Transport, mqttbytes as v4, v5 as mqtt5};

use crate::source::mqtt::{Config, Version};
use crate::source::tls::Tls;
use crate::source::today;

/// The protocol's own limit. Below the broker's, a larger message would end every connection on which it is sent again;
/// what is too large for a map is refused by its decoder.
const MAX_PACKET: u32 = 268_435_455;
/// Acknowledgements that may wait in the client.
pub(super) const ACKS: usize = 1_024;
/// Requests that may wait beside them.
const REQUESTS: usize = 8;
/// Publishes of ours that may be under way: none are, and the client reserves room for each (MQTT 5: 65,535 if not told).
const PUBLISHES: u16 = 16;
/// What the client says of a connection that the broker closed.
const CLOSED: &str = "Mqtt state: Connection closed by peer abruptly";
/// How what it says begins where the broker refuses us; the broker's reason stands behind it.
const REFUSED: &str = "Connection refused, return code: ";
/// The shortest keep alive that the client takes with MQTT 5; it panics below.
const KEEP_ALIVE_V5: Duration = Duration::from_secs(5);

/// What the broker said.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The connection stands; whether the broker kept the session.
    Connected { session_present: bool },
    /// The subscription stands; the filters that were refused, by index.
    Subscribed { refused: Vec<usize> },
    /// A message.
    Message(Message),
    /// A PUBACK of ours has left.
    Acknowledged(u16),
    /// A PINGREQ of ours has left, behind all that left before.
    Asked,
    /// Its answer: the broker has all that left before it was asked.
    Answered,
    /// Nothing to act on.
    Other,
}

/// A publish.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) ack: Ack,
}

/// Names a message to the broker; QoS 0 needs none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ack {
    None,
    Packet(u16),
}

pub(super) struct Connection {
    client: Client,
    tls: Option<Tls>,
    host: String,
    port: u16,
    client_id: String,
}

enum Client {
    V4(rumqttc::AsyncClient, Box<rumqttc::EventLoop>),
    V5(mqtt5::AsyncClient, Box<mqtt5::EventLoop>),
}

impl Connection {
    /// A connection to be made by the first [`Connection::next`], with the certificates as they are now.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let transport = match &config.tls {
            Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.client()?)),
            None => Transport::Tcp,
        };
        let (tls, host, client_id) = (config.tls.clone(), config.host.clone(), config.client_id.clone());
        Ok(Self { client: Client::new(config, transport), tls, host, port: config.port, client_id })
    }

    /// The next thing the broker says; an error ends the connection.
    pub(super) async fn next(&mut self) -> Result<Incoming, String> {
        let (tls, host, port, client_id) = (self.tls.as_ref(), &self.host, self.port, &self.client_id);
        let words = |cause: &(dyn Error + 'static), text: String, in_handshake: bool| {
            let explained = tls.and_then(|tls| tls.explain(cause, host, today()));
            let text = explained.unwrap_or_else(|| match text.as_str() {
                _ if in_handshake => format!("{text}; no TLS came about: is it the broker's TLS port?"),
                CLOSED => format!("closed; if it is again and again, another client connects as \"{client_id}\""),
                _ if text.starts_with(REFUSED) => {
                    let reason = text[REFUSED.len()..].trim_matches('`');
                    format!("the broker refuses us ({reason}): look at username and password_file, and at the broker's own rules")
                }
                _ if text.to_lowercase().contains("timeout") => format!("{text}: no answer, is it a broker's port?"),
                _ => text,
            });
            format!("{host}:{port}: {text}")
        };
        match &mut self.client {
            Client::V4(_, events) => match events.poll().await.map_err(|e| {
                let in_handshake = matches!(e, rumqttc::ConnectionError::Tls(_));
                words(&e, e.to_string(), in_handshake)
            })? {
                rumqttc::Event::Incoming(packet) => Ok(of_v4(packet)),
                rumqttc::Event::Outgoing(packet) => Ok(of_outgoing(&packet)),
            },
            Client::V5(_, events) => match events.poll().await.map_err(|e| {
                let in_handshake = matches!(e, mqtt5::ConnectionError::Tls(_));
                words(cause_of(&e), e.to_string(), in_handshake)
            })? {
                mqtt5::Event::Incoming(packet) => Ok(of_v5(packet)),
                mqtt5::Event::Outgoing(packet) => Ok(of_outgoing(&packet)),
            },
        }
    }

    /// Subscribes to all filters at QoS 1: enough for publishers of QoS 2 too, since the keys drop repeats.
    pub(super) fn subscribe(&self, filters: &[String]) -> Result<(), String> {
        match &self.client {
            Client::V4(client, _) => {
                let filters =
                    filters.iter().map(|f| rumqttc::SubscribeFilter::new(f.clone(), rumqttc::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).map_err(|e| e.to_string())
            }
            Client::V5(client, _) => {
                // What a broker has kept tells of the past, and would come at each connection.
                let retain_forward_rule = v5::v5::RetainForwardRule::Never;
                let filter = |f: &String| v5::v5::Filter {
                    retain_forward_rule: retain_forward_rule.clone(),
                    ..v5::v5::Filter::new(f.clone(), v5::QoS::AtLeastOnce)
                };
                let filters = filters.iter().map(filter);
                client.try_subscribe_many(filters).map_err(|e| e.to_string())
            }
        }
    }

    /// Queues a PUBACK, which leaves with one of the next [`Connection::next`]; `false` when none is due.
    pub(super) fn ack(&self, ack: Ack) -> Result<bool, String> {
        let Ack::Packet(packet) = ack else { return Ok(false) };
        match &self.client {
            Client::V4(client, _) => {
                let mut publish = rumqttc::Publish::new("", rumqttc::QoS::AtLeastOnce, Vec::new());
                publish.pkid = packet;
                client.try_ack(&publish).map(|()| true).map_err(|e| e.to_string())
            }
            Client::V5(client, _) => {
                let mut publish = v5::v5::Publish::new("", v5::QoS::AtLeastOnce, Vec::new(), None);
                publish.pkid = packet;
                client.try_ack(&publish).map(|()| true).map_err(|e| e.to_string())
            }
        }
    }

    /// Sends what is queued, then a DISCONNECT: the broker keeps the session.
    pub(super) async fn leave(mut self, patience: Duration) {
        let asked = match &self.client {
            Client::V4(client, _) => client.try_disconnect().is_ok(),
            Client::V5(client, _) => client.try_disconnect().is_ok(),
        };
        // The loop reports an error once the DISCONNECT is out and the broker has closed the connection.
        let out = async { while asked && self.next().await.is_ok() {} };
        if tokio::time::timeout(patience, out).await.is_err() {
            tracing::debug!("the broker did not close the connection in time");
        }
    }
}

impl Client {
    fn new(config: &Config, transport: Transport) -> Self {
        let capacity = ACKS + REQUESTS;
        let clean = config.session_expiry.is_zero();
        match config.version {
            Version::V311 => {
                let mut options = rumqttc::MqttOptions::new(&config.client_id, &config.host, config.port);
                options.set_clean_session(clean).set_manual_acks(true).set_keep_alive(config.keep_alive);
                options.set_inflight(PUBLISHES);
                options.set_max_packet_size(MAX_PACKET as usize, MAX_PACKET as usize);
                options.set_transport(transport);
                if let Some((user, password)) = &config.login {
                    options.set_credentials(user, password);
                }
                let (client, mut events) = rumqttc::AsyncClient::new(options, capacity);
                let mut network = events.network_options();
                network.set_tcp_nodelay(true);
                events.set_network_options(network);
                Self::V4(client, Box::new(events))
            }
            Version::V5 => {
                let mut options = mqtt5::MqttOptions::new(&config.client_id, &config.host, config.port);
                options.set_clean_start(clean).set_manual_acks(true);
                options.set_keep_alive(config.keep_alive.max(KEEP_ALIVE_V5));
                options.set_outgoing_inflight_upper_limit(PUBLISHES);
                let expiry = u32::try_from(config.session_expiry.as_secs()).unwrap_or(u32::MAX);
                options.set_session_expiry_interval(Some(expiry));
                options.set_receive_maximum(Some(config.max_in_flight));
                options.set_max_packet_size(Some(MAX_PACKET));
                options.set_transport(transport);
                if let Some((user, password)) = &config.login {
                    options.set_credentials(user, password);
                }
                let mut network = options.network_options();
                network.set_tcp_nodelay(true);
                options.set_network_options(network);
                let (client, events) = mqtt5::AsyncClient::new(options, capacity);
                Self::V5(client, Box::new(events))
            }
        }
    }
}

/// The cause of an error that the client does not tell as such.
fn cause_of(error: &mqtt5::ConnectionError) -> &(dyn Error + 'static) {
    match error {
        mqtt5::ConnectionError::MqttState(mqtt5::StateError::Deserialization(cause)) => cause,
        other => other,
    }
}

fn of_outgoing(packet: &rumqttc::Outgoing) -> Incoming {
    match packet {
        rumqttc::Outgoing::PubAck(packet) => Incoming::Acknowledged(*packet),
        rumqttc::Outgoing::PingReq => Incoming::Asked,
        _ => Incoming::Other,
    }
}

fn of_v4(packet: rumqttc::Packet) -> Incoming {
    match packet {
        rumqttc::Packet::ConnAck(ack) => Incoming::Connected { session_present: ack.session_present },
        rumqttc::Packet::SubAck(ack) => {
            Incoming::Subscribed { refused: refused(&ack.return_codes, |c| *c == v4::v4::SubscribeReasonCode::Failure) }
        }
        rumqttc::Packet::Publish(p) => Incoming::Message(Message {
            topic: p.topic,
            payload: p.payload.into(),
            retain: p.retain,
            dup: p.dup,
            ack: if p.qos == rumqttc::QoS::AtMostOnce { Ack::None } else { Ack::Packet(p.pkid) },
        }),
        rumqttc::Packet::PingResp => Incoming::Answered,
        _ => Incoming::Other,
    }
}

fn of_v5(packet: v5::v5::Packet) -> Incoming {
    match packet {
        v5::v5::Packet::ConnAck(ack) => Incoming::Connected { session_present: ack.session_present },
        v5::v5::Packet::SubAck(ack) => Incoming::Subscribed {
            refused: refused(&ack.return_codes, |c| !matches!(c, v5::v5::SubscribeReasonCode::Success(_))),
        },
        v5::v5::Packet::Publish(p) => Incoming::Message(Message {
            topic: String::from_utf8_lossy(&p.topic).into_owned(),
            payload: p.payload.into(),
            retain: p.retain,
            dup: p.dup,
            ack: if p.qos == v5::QoS::AtMostOnce { Ack::None } else { Ack::Packet(p.pkid) },
        }),
        v5::v5::Packet::PingResp(_) => Incoming::Answered,
        _ => Incoming::Other,
    }
}

fn refused<C>(codes: &[C], is_refusal: impl Fn(&C) -> bool) -> Vec<usize> {
    codes.iter().enumerate().filter_map(|(i, code)| is_refusal(code).then_some(i)).collect()
}
