//! MQTT 3.1.1 and 5: persistent session, PUBACK after the commit, in order.
//!
//! What has arrived is handed in at once, in order, and what is handed in while a commit is under way shares the next
//! one, so that one fsync serves hundreds of messages. When the outbox is full the link leaves the broker, which then holds what comes, and returns when there is
//! room. Nothing is kept over a connection: what was not acknowledged on it is sent again by the broker.

mod connection;
mod gauges;
mod listen;

use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::event::{Redelivery, Sample, Undecodable};
use crate::outbox::{CaptureError, Intake, Outbox, Placed};
use crate::source::health::{Health, State};
use crate::source::tls::Tls;
use crate::source::{Backoff, Reconnect, now, today};
use crate::tagmap::{Map, guarded};
use connection::{ACKS, Ack, Connection, Incoming, Message};
use gauges::Gauges;

pub use listen::{Stage, listen};

/// A broker's backlog has been read when nothing came for this long, with nothing left to acknowledge: a broker whose
/// window is used up is silent too.
const QUIET: Duration = Duration::from_millis(20);
/// … and its SUBACK is waited for this long.
const SUBACK: Duration = Duration::from_secs(5);
/// A backlog is called so no longer than this, however busy the link is.
const BACKLOG: Duration = Duration::from_mins(1);
/// Commands under way: what comes meanwhile goes into the next one.
const COMMITS: usize = 32;
/// While the broker stays away it is told so this often.
const REMIND: Duration = Duration::from_mins(5);
/// While connected, certificates are looked at this often.
const DAY: Duration = Duration::from_hours(24);
/// For the last PUBACKs and the DISCONNECT.
const LEAVE: Duration = Duration::from_secs(1);

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
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Protocol version.
    pub version: Version,
    /// Client id: names the session at the broker.
    pub client_id: String,
    /// Group of a shared subscription: the broker deals the messages out among its members.
    pub share: Option<String>,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Messages received and not yet acknowledged.
    pub max_in_flight: u16,
    /// How long the broker keeps the session (MQTT 5); with both versions zero is a session that ends with its connection.
    pub session_expiry: Duration,
    /// Keep alive.
    pub keep_alive: Duration,
    /// Largest payload taken, bytes; a larger one is kept cut off as bad input.
    pub max_packet: usize,
    /// Reconnecting.
    pub reconnect: Backoff,
    /// Devices behind this link, with their maps.
    pub devices: Vec<(Arc<str>, Map)>,
}

/// Why a connection ended.
enum End {
    Stop,
    Lost(String),
    Full,
}

/// Runs the link until `stop`.
pub async fn run(config: Config, outbox: Outbox, health: Health, stop: CancellationToken) {
    let gauges = Gauges::new(&config, &health);
    let mut reconnect = Reconnect::new(config.reconnect);
    let mut dice = fastrand::Rng::new();
    let mut down_since: Option<(Instant, Instant, String)> = None;
    let mut look_at_certificates = Instant::now();
    loop {
        if Instant::now() >= look_at_certificates {
            tell_ageing(&config);
            look_at_certificates = Instant::now() + DAY;
        }
        let (end, up_since) = match Link::new(&config, &gauges, &outbox) {
            Ok(mut link) => {
                let end = link.serve(&stop).await;
                if !matches!(end, End::Lost(_)) {
                    if matches!(end, End::Full) {
                        let why = "the outbox is full: left the broker, which holds what comes";
                        tracing::error!(link = &*config.link, "{why}");
                        gauges.all(State::Down, Some(why));
                    }
                    link.connection.leave(LEAVE).await;
                }
                (end, link.up_since)
            }
            Err(why) => (End::Lost(why), None),
        };
        let up = up_since.map_or(Duration::ZERO, |since| since.elapsed());
        match end {
            End::Stop => return,
            End::Full => {
                let mut room = outbox.room();
                tokio::select! {
                    () = stop.cancelled() => return,
                    room = room.wait_for(|room| *room) => if room.is_err() { return },
                }
            }
            End::Lost(why) => {
                gauges.lost(up_since.is_some(), &why);
                let at = Instant::now();
                let told = down_since.take().filter(|_| up_since.is_none());
                let since = told.as_ref().map_or(at, |(since, ..)| *since);
                let is_known =
                    told.as_ref().is_some_and(|(_, told, before)| *before == why && at.duration_since(*told) < REMIND);
                if !is_known {
                    let away_s = at.duration_since(since).as_secs();
                    tracing::warn!(link = &*config.link, why, away_s, "no connection to the broker: trying again");
                }
                let told_at = told.filter(|_| is_known).map_or(at, |(_, told, _)| told);
                down_since = Some((since, told_at, why));
                let wait = reconnect.wait(up, dice.f64());
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

/// Certificates that can't be used, or not for long.
fn tell_ageing(config: &Config) {
    for (file, why) in config.tls.iter().flat_map(|tls| tls.ageing(today())) {
        let file = file.display();
        tracing::warn!(link = &*config.link, %file, why, "renew it: the file is read again for each connection");
    }
}

type Captured = Result<Vec<Placed>, CaptureError>;
type Commit = Pin<Box<dyn Future<Output = Captured> + Send>>;

/// The end of the oldest commit under way; never, when there is none.
async fn next_commit(commits: &mut VecDeque<(Commit, Vec<Ack>)>) -> Captured {
    match commits.front_mut() {
        Some((commit, _)) => commit.as_mut().await,
        None => std::future::pending().await,
    }
}

/// One connection with what came on it.
struct Link<'a> {
    config: &'a Config,
    gauges: &'a Gauges,
    outbox: &'a Outbox,
    intake: Intake,
    connection: Connection,
    filters: Vec<String>,
    up_since: Option<Instant>,
    session_present: bool,
    /// The broker's backlog is being read: arrival times say nothing. Ends at the first quiet moment.
    backlog_until: Option<Instant>,
    gathered: Vec<Sample>,
    gathered_acks: Vec<Ack>,
    /// Handed in and not committed yet, in order.
    commits: VecDeque<(Commit, Vec<Ack>)>,
    /// Messages gathered or handed in.
    committing: usize,
    /// Committed, to be acknowledged in this order. Brokers were seen to send far more than their window at once, so
    /// that the client's own queue would not do.
    committed: VecDeque<Ack>,
    /// PUBACKs that wait in the client.
    leaving: usize,
    /// A connection may stand for longer than its certificates.
    look_at_certificates: Instant,
    /// Packets whose PUBACK has left, and those of them that left before the PINGREQ under way.
    acked: BTreeSet<u16>,
    asked: BTreeSet<u16>,
}

impl<'a> Link<'a> {
    /// `Err`: why no connection can be tried.
    fn new(config: &'a Config, gauges: &'a Gauges, outbox: &'a Outbox) -> Result<Self, String> {
        let topics = config.devices.iter().flat_map(|(_, map)| &map.topics);
        let filters = topics.map(|topic| match &config.share {
            Some(group) => format!("$share/{group}/{}", topic.filter()),
            None => topic.filter().to_owned(),
        });
        Ok(Self {
            config,
            gauges,
            outbox,
            intake: outbox.intake(),
            connection: Connection::new(config)?,
            filters: filters.collect(),
            up_since: None,
            session_present: false,
            backlog_until: None,
            gathered: Vec::new(),
            gathered_acks: Vec::new(),
            commits: VecDeque::new(),
            committing: 0,
            committed: VecDeque::new(),
            leaving: 0,
            look_at_certificates: Instant::now() + DAY,
            acked: BTreeSet::new(),
            asked: BTreeSet::new(),
        })
    }

    async fn serve(&mut self, stop: &CancellationToken) -> End {
        let mut stopping = false;
        loop {
            if !stopping && let Err(why) = self.gather().await {
                return End::Lost(why);
            }
            if !self.gathered.is_empty() && !stopping && self.commits.len() < COMMITS {
                let capture = self.intake.capture(std::mem::take(&mut self.gathered));
                self.commits.push_back((Box::pin(capture), std::mem::take(&mut self.gathered_acks)));
            }
            if stopping {
                // Not acknowledged: the broker sends it again. Kept, it could close the way to the last PUBACKs.
                self.committing -= self.gathered.len();
                self.gathered.clear();
                self.gathered_acks.clear();
                if self.commits.is_empty() && self.committed.is_empty() {
                    return End::Stop;
                }
            }
            let room = self.has_room();
            let open = self.committing + self.committed.len() + self.leaving;
            let quiet_at = self.backlog_until.filter(|_| open == 0);
            tokio::select! {
                biased;
                captured = next_commit(&mut self.commits) => {
                    let (_, acks) = self.commits.pop_front().expect("the oldest commit was just awaited");
                    self.committing -= acks.len();
                    match captured {
                        Ok(_) => {
                            self.committed.extend(acks);
                            if let Err(why) = self.acknowledge() {
                                return End::Lost(why);
                            }
                        }
                        Err(CaptureError::Full) => return End::Full,
                        Err(CaptureError::Closed) => return End::Stop,
                    }
                }
                () = stop.cancelled(), if !stopping => stopping = true,
                incoming = self.connection.next(), if room => {
                    let taken = match incoming {
                        Ok(incoming) => self.take(incoming).await,
                        Err(why) => Err(why),
                    };
                    if let Err(why) = taken {
                        return End::Lost(why);
                    }
                }
                () = tokio::time::sleep_until(self.look_at_certificates) => {
                    self.look_at_certificates += DAY;
                    tell_ageing(self.config);
                }
                () = tokio::time::sleep_until(quiet_at.unwrap_or_else(Instant::now)), if quiet_at.is_some() => {
                    self.backlog_until = None;
                }
            }
        }
    }

    /// Takes what the connection has ready, without waiting: it goes into one command.
    async fn gather(&mut self) -> Result<(), String> {
        while self.has_room() {
            let incoming = tokio::select! {
                biased;
                incoming = self.connection.next() => incoming?,
                () = std::future::ready(()) => break,
            };
            self.take(incoming).await?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.committing < usize::from(self.config.max_in_flight)
    }

    async fn take(&mut self, incoming: Incoming) -> Result<(), String> {
        match incoming {
            Incoming::Connected { session_present } => {
                self.session_present = session_present;
                if !session_present {
                    let forgotten = self.outbox.session_lost(self.config.link.clone()).await;
                    forgotten.map_err(|e| e.to_string())?;
                }
                self.backlog_until = Some(Instant::now() + SUBACK);
                if !self.filters.is_empty() {
                    self.connection.subscribe(&self.filters)?;
                }
            }
            Incoming::Subscribed { refused } => {
                let refused: Vec<&str> =
                    refused.iter().filter_map(|i| self.filters.get(*i)).map(String::as_str).collect();
                if !refused.is_empty() {
                    return Err(format!(
                        "the broker refuses to subscribe us to {}: look at its access rules",
                        refused.join(", ")
                    ));
                }
                self.up_since = Some(Instant::now());
                self.backlog_until = Some(Instant::now() + QUIET);
                self.gauges.link.session(self.session_present);
                self.gauges.all(State::Up, Some(&format!("{}:{}", self.config.host, self.config.port)));
                tracing::info!(
                    link = &*self.config.link,
                    session_present = self.session_present,
                    "connected to the broker"
                );
            }
            Incoming::Message(message) => {
                let old = self.up_since.is_some_and(|since| since.elapsed() > BACKLOG);
                let backlog = self.session_present && self.backlog_until.is_some() && !old;
                self.still_busy();
                self.committing += 1;
                if let Ack::Packet(packet) = message.ack {
                    self.acked.remove(&packet); // the identifier is another message's now
                    self.asked.remove(&packet);
                }
                self.gathered_acks.push(message.ack);
                let sample = self.sample(message, backlog);
                self.gathered.push(sample);
            }
            Incoming::Asked => self.asked.append(&mut self.acked),
            Incoming::Answered => {
                let packets: Vec<u16> = std::mem::take(&mut self.asked).into_iter().collect();
                if !packets.is_empty() {
                    let link = self.config.link.clone();
                    // Unproven they are taken for open, as they were until now.
                    if self.outbox.acknowledgements_proven(link, packets).is_err() {
                        tracing::debug!(link = &*self.config.link, "the outbox had no time for proofs");
                    }
                }
            }
            Incoming::Acknowledged(packet) => {
                self.acked.insert(packet);
                self.leaving = self.leaving.saturating_sub(1);
                self.still_busy();
                self.acknowledge()?;
            }
            Incoming::Other => {}
        }
        Ok(())
    }

    /// Something moved: if a backlog is being read, its end is not yet in sight.
    fn still_busy(&mut self) {
        if self.backlog_until.is_some() {
            self.backlog_until = Some(Instant::now() + QUIET);
        }
    }

    /// Decodes a message; whatever can't be read becomes a sample too, and is kept with its bytes.
    fn sample(&self, mut message: Message, backlog: bool) -> Sample {
        let devices = self.config.devices.iter().zip(&self.gauges.devices);
        let wanted = devices.into_iter().find_map(|((device, map), gauge)| {
            let topic = map.topics.iter().find(|topic| topic.matches(&message.topic))?;
            Some((device, gauge, topic))
        });
        let undecodable = |reason: String| Err(Undecodable { reason, panicked: false });
        let length = message.payload.len();
        let content = match wanted {
            None => undecodable("no map wants this topic".to_owned()),
            Some(_) if length > self.config.max_packet => {
                undecodable(format!("{length} bytes are more than max_packet"))
            }
            Some(_) if message.retain => {
                undecodable("a retained message: it tells of the past, and is ignored".to_owned())
            }
            Some((.., topic)) => guarded(AssertUnwindSafe(|| topic.decode(&message.topic, &message.payload))),
        };
        let at = now();
        self.gauges.message(wanted.map(|(_, gauge, _)| gauge), content.is_err(), at.wall);
        message.payload.truncate(self.config.max_packet); // also what no map wants: many may wait for one commit
        let redelivery = match message.ack {
            Ack::None => None,
            Ack::Packet(packet) => Some(Redelivery {
                link: self.config.link.clone(),
                session_present: self.session_present,
                packet,
                dup: message.dup,
                backlog,
            }),
        };
        Sample {
            source: wanted.map_or(&self.config.link, |(device, ..)| device).clone(),
            at,
            origin: message.topic.into(),
            raw: message.payload,
            content,
            redelivery,
            memory: None,
        }
    }

    /// Hands PUBACKs to the client, in the order in which the messages came.
    fn acknowledge(&mut self) -> Result<(), String> {
        while self.leaving < ACKS {
            let Some(ack) = self.committed.pop_front() else { break };
            self.leaving += usize::from(self.connection.ack(ack)?);
        }
        Ok(())
    }
}
