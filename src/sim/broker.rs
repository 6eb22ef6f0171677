//! A small MQTT 3.1.1 broker for the demo: framing by rumqttc's public codec, sessions of our own.
//!
//! What it does: persistent sessions whose queue outlives the connection, QoS 1 out with packet ids inside an in-flight
//! window, redelivery of what is not acknowledged (DUP, same packet ids, same order), `+` and `#`, QoS 1 in. What it
//! does not: QoS 2, retained messages, wills, passwords, keep alive, a disk. A queue above `MAX_QUEUED` bytes drops
//! what comes, counted in [`Stats::overflowed`]. A client that breaks the protocol is disconnected.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode, UnsubAck,
};
use rumqttc::mqttbytes::{Error, QoS, matches, valid_filter, valid_topic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::sync::CancellationToken;

/// Largest packet taken, bytes.
const MAX_PACKET: usize = 1 << 20;
/// Messages sent to a client and not yet acknowledged.
const WINDOW: usize = 512;
/// Bytes of topic and payload queued for one session.
const MAX_QUEUED: usize = 256 << 20;

/// What the broker has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages sent again with DUP after a reconnect.
    pub redelivered: u64,
    /// Messages dropped because a session's queue was full.
    pub overflowed: u64,
    /// Messages dropped by sabotage, after the publisher had its PUBACK.
    pub sabotaged: u64,
}

#[derive(Debug, Clone)]
struct Message {
    topic: String,
    payload: Bytes,
}

impl Message {
    fn size(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

#[derive(Debug, Default)]
struct Session {
    /// The connection that holds it, if any.
    connection: Option<u64>,
    persistent: bool,
    filters: Vec<String>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
    in_flight: VecDeque<(u16, Message)>,
    last_id: u16,
    /// Wakes the connection: something to send, or another one took the session over.
    wake: Arc<Notify>,
}

impl Session {
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.in_flight.iter().any(|(id, _)| *id == self.last_id) {
                return self.last_id;
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Session>,
    connections: u64,
    matched: u64,
    stats: Stats,
}

/// Called with topic and payload of each message that a subscriber acknowledges.
pub type OnAck = Box<dyn Fn(&str, &[u8]) + Send + Sync>;

/// The broker.
pub struct Broker {
    state: Mutex<State>,
    drop_every: Option<u64>,
    on_ack: OnAck,
}

impl Broker {
    /// A broker; with `drop_every` it loses every so many'th message that matches a subscription.
    pub fn new(drop_every: Option<u64>, on_ack: OnAck) -> Self {
        Self { state: Mutex::default(), drop_every, on_ack }
    }

    /// Serves clients until `stop`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = clients.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => { clients.spawn(Arc::clone(&self).client(stream)); }
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                },
            }
        }
    }

    /// What has been counted so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Whether a client of that id is connected.
    pub fn connected(&self, client: &str) -> bool {
        self.lock().sessions.get(client).is_some_and(|s| s.connection.is_some())
    }

    /// Whether a client of that id has a subscription.
    pub fn subscribed(&self, client: &str) -> bool {
        self.lock().sessions.get(client).is_some_and(|s| !s.filters.is_empty())
    }

    async fn client(self: Arc<Self>, mut stream: TcpStream) {
        let mut held = None;
        // Why a client went is its own business: the session waits for it either way.
        drop(self.converse(&mut stream, &mut held).await);
        if let Some((id, connection)) = held {
            self.release(&id, connection);
        }
    }

    async fn converse(&self, stream: &mut TcpStream, held: &mut Option<(String, u64)>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let connect = loop {
            match read(&mut input)? {
                Some(Packet::Connect(connect)) => break connect,
                Some(_) => return Err(broken("the first packet is not CONNECT")),
                None => fill(stream, &mut input).await?,
            }
        };
        let (connection, wake) = self.open(&connect.client_id, !connect.clean_session, &mut output)?;
        *held = Some((connect.client_id.clone(), connection));
        loop {
            while let Some(packet) = read(&mut input)? {
                if packet == Packet::Disconnect {
                    return Ok(());
                }
                self.take(&connect.client_id, packet, &mut output)?;
            }
            if !self.send(&connect.client_id, connection, &mut output)? {
                return Ok(());
            }
            stream.write_all_buf(&mut output).await?;
            tokio::select! {
                filled = fill(stream, &mut input) => filled?,
                () = wake.notified() => {}
            }
        }
    }

    /// Opens the session: CONNACK, then everything unacknowledged once more, with DUP and its old packet ids.
    fn open(&self, client: &str, persistent: bool, output: &mut BytesMut) -> io::Result<(u64, Arc<Notify>)> {
        let mut state = self.lock();
        state.connections += 1;
        let connection = state.connections;
        if !persistent && let Some(old) = state.sessions.remove(client) {
            old.wake.notify_one();
        }
        let present = state.sessions.contains_key(client);
        let session = state.sessions.entry(client.to_owned()).or_default();
        if session.connection.replace(connection).is_some() {
            session.wake.notify_one();
            session.wake = Arc::default();
        }
        session.persistent = persistent;
        let wake = Arc::clone(&session.wake);
        put(&Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, present)), output)?;
        for (id, message) in &session.in_flight {
            put(&publish(*id, message, true), output)?;
        }
        let redelivered = session.in_flight.len() as u64;
        state.stats.redelivered += redelivered;
        Ok((connection, wake))
    }

    fn release(&self, client: &str, connection: u64) {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(client).filter(|s| s.connection == Some(connection)) else { return };
        session.connection = None;
        if !session.persistent {
            state.sessions.remove(client);
        }
    }

    fn take(&self, client: &str, packet: Packet, output: &mut BytesMut) -> io::Result<()> {
        match packet {
            Packet::Publish(publish) => self.publish(publish, output),
            Packet::PubAck(ack) => {
                self.acknowledge(client, ack.pkid);
                Ok(())
            }
            Packet::Subscribe(subscribe) => {
                let mut codes = Vec::new();
                let mut state = self.lock();
                let session = state.sessions.get_mut(client).ok_or_else(|| broken("the session was taken over"))?;
                for filter in subscribe.filters {
                    if !valid_filter(&filter.path) {
                        codes.push(SubscribeReasonCode::Failure);
                        continue;
                    }
                    if !session.filters.contains(&filter.path) {
                        session.filters.push(filter.path);
                    }
                    codes.push(SubscribeReasonCode::Success(QoS::AtLeastOnce));
                }
                put(&Packet::SubAck(SubAck::new(subscribe.pkid, codes)), output)
            }
            Packet::Unsubscribe(unsubscribe) => {
                if let Some(session) = self.lock().sessions.get_mut(client) {
                    session.filters.retain(|f| !unsubscribe.topics.contains(f));
                }
                put(&Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid)), output)
            }
            Packet::PingReq => put(&Packet::PingResp, output),
            _ => Err(broken("a packet that a client does not send, or QoS 2")),
        }
    }

    fn publish(&self, publish: Publish, output: &mut BytesMut) -> io::Result<()> {
        if publish.qos == QoS::ExactlyOnce || !valid_topic(&publish.topic) {
            return Err(broken("QoS 2, or a wildcard in a topic"));
        }
        if publish.qos == QoS::AtLeastOnce {
            put(&Packet::PubAck(PubAck::new(publish.pkid)), output)?;
        }
        let message = Message { topic: publish.topic, payload: publish.payload };
        let mut guard = self.lock();
        let state = &mut *guard;
        for session in state.sessions.values_mut() {
            if !session.filters.iter().any(|f| matches(&message.topic, f)) {
                continue;
            }
            state.matched += 1;
            if self.drop_every.is_some_and(|n| state.matched.is_multiple_of(n)) {
                state.stats.sabotaged += 1;
            } else if session.queued_bytes + message.size() > MAX_QUEUED {
                state.stats.overflowed += 1;
            } else {
                session.queued_bytes += message.size();
                session.queue.push_back(message.clone());
                session.wake.notify_one();
            }
        }
        Ok(())
    }

    fn acknowledge(&self, client: &str, id: u16) {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(client) else { return };
        let Some(index) = session.in_flight.iter().position(|(i, _)| *i == id) else { return };
        let acknowledged = session.in_flight.remove(index);
        drop(state);
        if let Some((_, message)) = acknowledged {
            (self.on_ack)(&message.topic, &message.payload);
        }
    }

    /// Fills the window from the queue; false when another connection has taken the session.
    fn send(&self, client: &str, connection: u64, output: &mut BytesMut) -> io::Result<bool> {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(client).filter(|s| s.connection == Some(connection)) else {
            return Ok(false);
        };
        while session.in_flight.len() < WINDOW
            && let Some(message) = session.queue.pop_front()
        {
            session.queued_bytes -= message.size();
            let id = session.next_id();
            put(&publish(id, &message, false), output)?;
            session.in_flight.push_back((id, message));
        }
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn publish(id: u16, message: &Message, dup: bool) -> Packet {
    let mut publish = Publish::from_bytes(message.topic.clone(), QoS::AtLeastOnce, message.payload.clone());
    publish.pkid = id;
    publish.dup = dup;
    Packet::Publish(publish)
}

fn put(packet: &Packet, output: &mut BytesMut) -> io::Result<()> {
    packet.write(output, MAX_PACKET).map(|_| ()).map_err(io::Error::other)
}

fn read(input: &mut BytesMut) -> io::Result<Option<Packet>> {
    match Packet::read(input, MAX_PACKET) {
        Ok(packet) => Ok(Some(packet)),
        Err(Error::InsufficientBytes(_)) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Reads what there is; safe to drop half-way.
async fn fill(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<()> {
    input.reserve(4096);
    match stream.read_buf(input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
