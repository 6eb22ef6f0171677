//! Scanners that send frames over a TCP socket or a serial line.
//!
//! One link is one device. Frames are decoded by its map and captured together, as many as came at once; the device's
//! acknowledgement is sent after the commit, one for each frame. A device that acknowledges (stop and wait: it sends a
//! frame again until it hears so) loses nothing. One that doesn't loses what was on its way when the line or the gateway
//! went down; while the outbox is full it is not read, which holds back a TCP sender.
//!
//! A frame that comes again because its acknowledgement was lost is told from a second scan where the device numbers its
//! frames. Where it doesn't, the first frame of a new connection is looked at: see `Doubt`.

use std::future::pending;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::event::{Redelivery, Sample, Undecodable};
use crate::outbox::{CaptureError, Outbox};
use crate::source::health::{Cause, Gauge, Health, State};
use crate::source::serial::Serial;
use crate::source::{Backoff, Reconnect, now};
use crate::tagmap::{Frame, Framer, Piece, guarded};

/// Bytes read at once.
const READ: usize = 4 << 10;
/// An acknowledgement that can't be sent for so long: the device is gone.
const WRITE: Duration = Duration::from_secs(5);
/// A connection that the device itself closes so long behind an acknowledgement has carried it there.
const HEARD: Duration = Duration::from_secs(5);
/// One that ends in another way may have been dead since then: see [`UNHEARD_MS`].
const UNHEARD: Duration = Duration::from_mins(1);
/// A device that waited so long for its acknowledgement may have sent the frame again meanwhile.
const IMPATIENT: Duration = Duration::from_secs(1);
/// What an older connection has sent is read until it has been silent for so long …
const REST: Duration = Duration::from_millis(200);
/// … and so often at most.
const REST_READS: usize = 64;
/// A silent connection is asked after so long whether its device is still there …
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// … so often, with this between.
const PROBES: (u32, Duration) = (3, Duration::from_secs(5));
/// What we sent and its system has not confirmed for so long (ms): it is gone too.
const UNHEARD_MS: u32 = 45_000;
/// While the device stays away it is told so this often.
const REMIND: Duration = Duration::from_mins(5);
/// Between two tries to hand frames in.
const BREATH: Duration = Duration::from_millis(20);
/// Names the last frame among what the outbox keeps of a link's deliveries: one is under way at a time.
const FRAME: u16 = 1;

/// A link to one scanner, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Link id.
    pub link: Arc<str>,
    /// Where the device is.
    pub place: Place,
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// Reconnecting.
    pub reconnect: Backoff,
    /// The device and what its frames are; `None`: no device uses the link.
    pub device: Option<(Arc<str>, Frame)>,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It listens on `host:port`.
    Connect(String),
    /// It connects to us, at this address; a newer connection takes the place of an older.
    Listen(String),
    /// It hangs on a serial port.
    Serial(Serial),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(address) => f.write_str(address),
            Self::Listen(address) => write!(f, "listening on {address}"),
            Self::Serial(serial) => f.write_str(&serial.port),
        }
    }
}

/// What the device may not have heard, of a frame that is committed: whether the first frame of the next connection is
/// the same one again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Nothing: it heard all, or sends nothing again.
    None,
    /// The acknowledgement left, or nobody knows (the gateway was started anew): the same content may be the same frame.
    MayRepeat,
    /// The acknowledgement did not leave: the same content is the same frame.
    Repeats,
}

/// Why a connection ended.
enum End<S> {
    Stop,
    Lost(String),
    /// The device has made another.
    Newer(S),
}

/// Runs the link until `stop`, or until the outbox is closed.
pub async fn run(config: Config, outbox: Outbox, health: Health, stop: CancellationToken) {
    let Some((device, frame)) = config.device else { return stop.cancelled().await };
    let gauges = [health.link(&config.link), health.device(&config.link, &device)];
    let acknowledges = frame.ack().is_some();
    let mut link = Link {
        outbox,
        id: config.link,
        device,
        doubt: if acknowledges { Doubt::MayRepeat } else { Doubt::None },
        frame,
        acknowledged: None,
        gauges: gauges.clone(),
    };
    let mut away = Away { link: Arc::clone(&link.id), place: config.place.to_string(), told: None, gauges };
    let mut reconnect = Reconnect::new(config.reconnect);
    loop {
        let begun = Instant::now();
        let session = link.session(&config.place, config.connect_timeout, &mut away, &stop).await;
        let Some((stood, why)) = session else { return };
        away.tell(&why, if stood { Cause::Closed } else { Cause::Refused });
        let up = if stood { begun.elapsed() } else { Duration::ZERO };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(reconnect.wait(up, fastrand::f64())) => {}
        }
    }
}

/// Tells that the device is away, and when it is back.
struct Away {
    link: Arc<str>,
    place: String,
    told: Option<(Instant, String)>,
    /// The link's and the device's.
    gauges: [Gauge; 2],
}

impl Away {
    fn back(&mut self) {
        self.gauges.iter().for_each(|gauge| gauge.is(State::Up, Some(&self.place)));
        tracing::info!(link = &*self.link, place = self.place, "connected to the scanner");
        self.told = None;
    }

    fn tell(&mut self, why: &str, cause: Cause) {
        self.gauges[0].troubled(cause, why, now().wall);
        self.gauges.iter().for_each(|gauge| gauge.is(State::Down, Some(why)));
        if self.told.as_ref().is_none_or(|(told, before)| told.elapsed() >= REMIND || before != why) {
            tracing::warn!(link = &*self.link, place = self.place, why, "no connection to the scanner: trying again");
            self.told = Some((Instant::now(), why.to_owned()));
        }
    }
}

/// The device, and what is known of it over its connections.
struct Link {
    outbox: Outbox,
    id: Arc<str>,
    device: Arc<str>,
    frame: Frame,
    doubt: Doubt,
    /// When the last acknowledgement left.
    acknowledged: Option<Instant>,
    /// The link's and the device's.
    gauges: [Gauge; 2],
}

impl Link {
    /// One connection from its making to its end; whether it stood, and why it ended. `None`: there is no more to do.
    async fn session(
        &mut self,
        place: &Place,
        patience: Duration,
        away: &mut Away,
        stop: &CancellationToken,
    ) -> Option<(bool, String)> {
        match place {
            Place::Connect(address) => {
                let connected = tokio::select! {
                    () = stop.cancelled() => return None,
                    connected = timeout(patience, TcpStream::connect(address)) => connected,
                };
                let stream = match connected {
                    Ok(stream) => stream.and_then(alive),
                    Err(_) => Err(io::Error::other("no answer in connect_timeout")),
                };
                let stream = match stream {
                    Ok(stream) => stream,
                    Err(e) => return Some((false, e.to_string())),
                };
                away.back();
                self.only(stream, stop).await
            }
            Place::Serial(serial) => {
                let opened = serial.open().and_then(|port| {
                    if self.frame.ack().is_some() {
                        // Sent before anyone listened, perhaps several times: answering each would confirm what comes next.
                        port.discard_input_buffer()?;
                    }
                    Ok(port)
                });
                let port = match opened {
                    Ok(port) => port,
                    Err(e) => return Some((false, e.to_string())),
                };
                away.back();
                self.only(port, stop).await
            }
            Place::Listen(address) => {
                let listener = match TcpListener::bind(address).await {
                    Ok(listener) => listener,
                    Err(e) => return Some((false, format!("can't listen: {e}"))),
                };
                let mut next = None;
                loop {
                    let stream = if let Some(stream) = next.take() {
                        stream
                    } else {
                        tokio::select! {
                            () = stop.cancelled() => return None,
                            stream = accept(&listener) => stream,
                        }
                    };
                    away.back();
                    match self.serve(stream, accept(&listener), stop).await {
                        End::Stop => return None,
                        End::Lost(why) => away.tell(&why, Cause::Closed),
                        End::Newer(stream) => {
                            tracing::info!(link = &*self.id, "the scanner connected again: the older connection ends");
                            next = Some(stream);
                        }
                    }
                }
            }
        }
    }

    async fn only<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: S,
        stop: &CancellationToken,
    ) -> Option<(bool, String)> {
        match self.serve(stream, pending::<S>(), stop).await {
            End::Lost(why) => Some((true, why)),
            End::Stop | End::Newer(_) => None,
        }
    }

    /// Reads until the connection ends. A commit that has begun is finished first, and acknowledged.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: S,
        newer: impl Future<Output = S>,
        stop: &CancellationToken,
    ) -> End<S> {
        let mut framer = self.frame.framer();
        let mut bytes = vec![0; READ];
        let mut newer = std::pin::pin!(newer);
        loop {
            let silent = framer.is_open();
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stop,
                newer = &mut newer => {
                    let mut pieces = rest(&mut stream, &mut framer).await;
                    pieces.extend(framer.cut());
                    let taken = self.take(pieces, &mut stream, stop).await;
                    self.ended(UNHEARD);
                    return if matches!(taken, Err(End::Stop)) { End::Stop } else { End::Newer(newer) };
                }
                read = stream.read(&mut bytes) => Some(read),
                () = tokio::time::sleep(self.frame.silence()), if silent => None,
            };
            let (pieces, ended) = match read {
                None => (framer.cut().into_iter().collect(), None),
                Some(Ok(0)) => {
                    self.ended(HEARD);
                    (framer.cut().into_iter().collect(), Some("the device closed the connection".to_owned()))
                }
                Some(Ok(n)) => (framer.push(&bytes[..n]), None),
                Some(Err(e)) => {
                    self.ended(UNHEARD);
                    (framer.cut().into_iter().collect(), Some(e.to_string()))
                }
            };
            if let Err(end) = self.take(pieces, &mut stream, stop).await {
                return end;
            }
            if let Some(why) = ended {
                return End::Lost(why);
            }
        }
    }

    /// Commits what came, then answers.
    async fn take<S: AsyncWrite + Unpin>(
        &mut self,
        pieces: Vec<Piece>,
        stream: &mut S,
        stop: &CancellationToken,
    ) -> Result<(), End<S>> {
        if pieces.is_empty() {
            return Ok(());
        }
        let mut answers = Vec::new();
        let mut holds_frame = false;
        let samples: Vec<Sample> = pieces
            .into_iter()
            .map(|piece| {
                let is_frame = matches!(piece, Piece::Frame(_));
                holds_frame |= is_frame;
                let answer = if is_frame { self.frame.ack() } else { self.frame.nak() };
                answers.extend(answer.unwrap_or_default());
                self.sample(piece)
            })
            .collect();
        let begun = Instant::now();
        self.commit(samples, stop).await?;
        if holds_frame && self.frame.ack().is_some() {
            self.doubt = Doubt::Repeats; // until the answer has left
            if begun.elapsed() >= IMPATIENT {
                // Its repeats wait behind this one; answering each would acknowledge what it sends next.
                return Err(End::Lost(
                    "the commit took too long to acknowledge it: the device sends it again".to_owned(),
                ));
            }
        }
        if answers.is_empty() {
            return Ok(());
        }
        match timeout(WRITE, async {
            stream.write_all(&answers).await?;
            stream.flush().await
        })
        .await
        {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(End::Lost(format!("the acknowledgement could not be sent: {e}"))),
            Err(_) => {
                return Err(End::Lost("the acknowledgement could not be sent: the device takes nothing".to_owned()));
            }
        }
        if holds_frame {
            self.doubt = Doubt::None;
            self.acknowledged = Some(Instant::now());
        }
        Ok(())
    }

    /// Waits while the outbox is full: what is not read, and not acknowledged, stays with the device.
    async fn commit<S>(&self, samples: Vec<Sample>, stop: &CancellationToken) -> Result<(), End<S>> {
        let mut is_told = false;
        loop {
            match self.outbox.capture(samples.clone()).await {
                Ok(_) => return Ok(()),
                Err(CaptureError::Closed) => return Err(End::Stop),
                Err(CaptureError::Full) => {
                    if !is_told {
                        let link = &*self.id;
                        tracing::error!(link, "the outbox is full: the scanner is neither read nor acknowledged");
                        is_told = true;
                    }
                    let mut room = self.outbox.room();
                    tokio::select! {
                        () = stop.cancelled() => return Err(End::Stop),
                        room = room.wait_for(|room| *room) => if room.is_err() { return Err(End::Stop) },
                    }
                    tokio::time::sleep(BREATH).await; // the writer may be busy rather than full
                }
            }
        }
    }

    /// The connection is at its end: an acknowledgement that left within this time before may not have been heard.
    fn ended(&mut self, within: Duration) {
        let is_fresh = self.acknowledged.take().is_some_and(|at| at.elapsed() < within);
        if is_fresh && self.doubt == Doubt::None {
            self.doubt = Doubt::MayRepeat;
        }
    }

    /// Decodes a piece; whatever can't be read becomes a sample too, and is kept with its bytes.
    fn sample(&mut self, piece: Piece) -> Sample {
        let (raw, content, redelivery) = match piece {
            Piece::Frame(raw) => {
                let content = guarded(AssertUnwindSafe(|| self.frame.decode(&raw)));
                let redelivery = self.frame.ack().map(|_| Redelivery {
                    link: Arc::clone(&self.id),
                    session_present: self.doubt != Doubt::MayRepeat,
                    packet: FRAME,
                    dup: self.doubt != Doubt::None,
                    backlog: false,
                });
                self.doubt = Doubt::None; // the next one is another: the device had to hear of this one
                (raw, content, redelivery)
            }
            Piece::Junk(raw, why) => (raw, Err(Undecodable { reason: why.to_owned(), panicked: false }), None),
        };
        let (source, at) = (Arc::clone(&self.device), now());
        self.gauges.iter().for_each(|gauge| gauge.message(content.is_err(), at.wall));
        Sample { source, at, origin: Arc::clone(&self.id), raw, content, redelivery, memory: None }
    }
}

/// What the stream still holds, of a device that has made a newer connection.
async fn rest<S: AsyncRead + Unpin>(stream: &mut S, framer: &mut Framer) -> Vec<Piece> {
    let (mut pieces, mut bytes) = (Vec::new(), vec![0; READ]);
    for _ in 0..REST_READS {
        match timeout(REST, stream.read(&mut bytes)).await {
            Ok(Ok(n @ 1..)) => pieces.extend(framer.push(&bytes[..n])),
            _ => break,
        }
    }
    pieces
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        // Errors are of one connection that ended before it began, or of too many open files: both pass.
        match listener.accept().await.and_then(|(stream, _)| alive(stream)) {
            Ok(stream) => return stream,
            Err(e) => {
                tracing::debug!(error = %e, "no connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A device that lost its power says nothing: the system asks in the silence, and ends a connection without an answer.
fn alive(stream: TcpStream) -> io::Result<TcpStream> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepcnt(&stream, PROBES.0)?;
    sockopt::set_tcp_keepintvl(&stream, PROBES.1)?;
    // The same where an acknowledgement of ours is on its way: then the system does not ask, it repeats.
    sockopt::set_tcp_user_timeout(&stream, UNHEARD_MS)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
