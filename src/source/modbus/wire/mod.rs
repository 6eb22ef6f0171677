//! One bus: a Modbus TCP connection, a serial line, or a serial line at the other end of a TCP connection. One request at
//! a time, each under a timeout; tokio-modbus makes and reads the frames, what it hands back is checked here once more.
//!
//! What is no answer to the request is named ([`Cause`]) and never taken for values. After it:
//! - TCP: the wire can't be used any more and the caller drops it. A late answer would be taken for the next one's.
//! - RTU: the line is listened to until it has been quiet for one response timeout. A frame there has no transaction id,
//!   so an answer that is later still would fit a request of the same unit, function and size. Units answer in order:
//!   before a unit that failed is asked again, a read of another size is sent, and its answer proves that nothing older
//!   is under way.
//!
//! An exception is an answer: the wire stays.

mod fits;
mod judge;
mod line;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serial2_tokio::SerialPort;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_modbus::client::{Client as _, Context, rtu, tcp};
use tokio_modbus::prelude::ReadCode;
use tokio_modbus::slave::{Slave, SlaveContext as _};
use tokio_modbus::{Error, ExceptionCode, ProtocolError, Request, Response};

use crate::source::health::{Cause, Gauge};
use crate::source::now;
use crate::tagmap::Span;
use crate::tagmap::points::{Area, Got, Put, Read};
use judge::{Ended, judge};
use line::{Line, Stream};

pub use crate::source::serial::{CharSize, Parity, Serial, StopBits};
pub use judge::Framing;

/// A line that is not quiet after so many response timeouts is given up.
const NOISE: u32 = 10;
/// So often a read is sent again because another unit's late answer came between, and anything that was not sent because
/// of one.
const DISTURBED: u32 = 2;
/// Sizes of answers that may still come, remembered for each unit; older ones have long come or never will.
const UNSURE: usize = 8;
/// Read FIFO queue (Modbus Application Protocol 1.1b3, 6.18): tokio-modbus knows its length, but has no request for it.
const FIFO_QUEUE: u8 = 0x18;

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Trouble {
    /// Its name.
    pub cause: Cause,
    /// A sentence.
    pub words: String,
    /// The wire can be used for the next request.
    pub usable: bool,
}

/// Where a bus is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `host:port`, and what is spoken there.
    Tcp(String, Framing),
    /// A serial port.
    Serial(Serial),
}

impl Place {
    /// The kind of a link that leads there.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tcp(_, Framing::Tcp) => "modbus-tcp",
            Self::Tcp(_, Framing::Rtu) => "modbus-rtu-over-tcp",
            Self::Serial(_) => "modbus-rtu",
        }
    }

    /// Somebody else may wait for it while it is open.
    pub const fn is_connection(&self) -> bool {
        matches!(self, Self::Tcp(..))
    }

    /// Its answers carry the ids of their requests.
    pub const fn has_transactions(&self) -> bool {
        matches!(self, Self::Tcp(_, Framing::Tcp))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address, _) => f.write_str(address),
            Self::Serial(serial) => f.write_str(&serial.port),
        }
    }
}

/// Times of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until an answer is there as a whole.
    pub request: Duration,
    /// From the connection to the first request.
    pub pause_after_connect: Duration,
    /// From an answer to the next request.
    pub pause_between: Duration,
}

/// A bus that is open.
pub struct Wire {
    framing: Framing,
    line: Line,
    context: Context,
    timing: Timing,
    /// The end of the last request.
    last: Option<Instant>,
    /// Units that owe an answer on a serial line; their reads among what may still come.
    unsure: BTreeMap<u8, Vec<Request<'static>>>,
    /// Units whose answers have ids of their own.
    any_id: BTreeSet<u8>,
    /// The link, and the devices that are asked.
    gauges: Vec<Gauge>,
    answered: bool,
    /// Link and address, to be told with the first answer.
    news: Option<(Arc<str>, String)>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Wire {
    /// Connects, or opens the port; what still comes on a serial line is read away.
    ///
    /// # Errors
    /// [`Cause::Refused`] or [`Cause::Timeout`].
    pub async fn open(place: &Place, timing: Timing, link: Gauge) -> Result<Self, Trouble> {
        let (stream, framing) = match place {
            Place::Tcp(address, framing) => (Stream::Tcp(connect(address, timing.connect).await?), *framing),
            Place::Serial(serial) => (Stream::Serial(open_serial(serial)?), Framing::Rtu),
        };
        let line = Line::new(stream);
        let context = attach(framing, &line);
        sleep(timing.pause_after_connect).await;
        if framing == Framing::Rtu {
            line.drain(timing.request, timing.request * NOISE).await;
        }
        let (unsure, any_id, gauges) = (BTreeMap::new(), BTreeSet::new(), vec![link]);
        Ok(Self { framing, line, context, timing, last: None, unsure, any_id, gauges, answered: false, news: None })
    }

    /// Whether a connection can be made; it is closed again.
    pub async fn reaches(place: &Place, within: Duration) -> bool {
        match place {
            Place::Tcp(address, _) => connect(address, within).await.is_ok(),
            Place::Serial(serial) => open_serial(serial).is_ok(),
        }
    }

    /// Answers of these units are taken whatever their transaction id is: all else of them is checked as ever.
    pub fn take_any_id_of(&mut self, units: BTreeSet<u8>) {
        if self.framing == Framing::Tcp {
            self.any_id = units;
        }
    }

    /// The devices whose requests follow: where they are noted.
    pub fn for_devices(&mut self, devices: impl IntoIterator<Item = Gauge>) {
        self.gauges.truncate(1);
        self.gauges.extend(devices);
    }

    /// That the link is connected is told once somebody answers: that a connection stands is no news where none did.
    pub fn tells_when_answered(&mut self, link: Arc<str>, address: String) {
        self.news = Some((link, address));
    }

    /// Some request was answered since the bus was opened.
    pub const fn answered(&self) -> bool {
        self.answered
    }

    /// Reads registers or bits (functions 1 to 4): as many as asked for.
    pub async fn get(&mut self, unit: u8, read: &Read) -> Result<Got, Trouble> {
        let Read { area, at, count, .. } = *read;
        let request = match area {
            Area::Coil => Request::ReadCoils(at, count),
            Area::Discrete => Request::ReadDiscreteInputs(at, count),
            Area::Holding => Request::ReadHoldingRegisters(at, count),
            Area::Input => Request::ReadInputRegisters(at, count),
        };
        match self.ask(unit, request).await? {
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => Ok(Got::Words(words)),
            Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits) => {
                bits.truncate(usize::from(count)); // answers are whole bytes
                Ok(Got::Bits(bits))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Reads holding registers.
    pub async fn read(&mut self, unit: u8, span: Span) -> Result<Vec<u16>, Trouble> {
        let read = Read { area: Area::Holding, at: span.at, count: span.words, alone: true };
        match self.get(unit, &read).await? {
            Got::Words(words) => Ok(words),
            Got::Bits(_) => Ok(Vec::new()), // `get` answers in kind
        }
    }

    /// Reads a FIFO queue without taking from it (function 24): at most 31 words.
    pub async fn read_queue(&mut self, unit: u8, at: u16) -> Result<Vec<u16>, Trouble> {
        let request = Request::Custom(FIFO_QUEUE, Cow::Owned(at.to_be_bytes().to_vec()));
        match self.ask(unit, request).await? {
            // Byte count, FIFO count, then the words: checked by `fits`.
            Response::Custom(_, data) => {
                Ok(data[4..].chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// One object of the device's identification (function 43/14); `None`: the device has no such object.
    pub async fn identity(&mut self, unit: u8, object: u8) -> Result<Option<String>, Trouble> {
        let code = if object <= 2 { ReadCode::Basic } else { ReadCode::Regular };
        match self.ask(unit, Request::ReadDeviceIdentification(code, object)).await? {
            Response::ReadDeviceIdentification(answer) => {
                let found = answer.device_id_objects.into_iter().find(|o| o.id == object);
                Ok(found.map(|o| String::from_utf8_lossy(&o.value).trim_matches(['\0', ' ']).to_owned()))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Writes (functions 5, 6, 15, 16, 22); `false`: the device echoes another value, so it did not take this one.
    pub async fn put(&mut self, unit: u8, at: u16, put: &Put) -> Result<bool, Trouble> {
        let request = match put {
            Put::Coil(on) => Request::WriteSingleCoil(at, *on),
            Put::Register(value) => Request::WriteSingleRegister(at, *value),
            Put::Coils(on) => Request::WriteMultipleCoils(at, on.clone().into()),
            Put::Registers(values) => Request::WriteMultipleRegisters(at, values.clone().into()),
            Put::Mask { and, or } => Request::MaskWriteRegister(at, *and, *or),
        };
        Ok(match (self.call(unit, &request).await?, put) {
            (Response::WriteSingleCoil(_, echoed), Put::Coil(on)) => echoed == *on,
            (Response::WriteSingleRegister(_, echoed), Put::Register(value)) => echoed == *value,
            _ => true,
        })
    }

    /// Writes and reads back, from `back` to what was written at `at`; `false`: the device does not hold it.
    pub async fn put_verified(&mut self, unit: u8, at: u16, put: &Put, back: u16) -> Result<bool, Trouble> {
        let read = |area, count| Read { area, at, count, alone: true };
        let wanted = match put {
            Put::Coil(on) => Got::Bits(vec![*on]),
            Put::Coils(on) => Got::Bits(on.clone()),
            Put::Register(value) => Got::Words(vec![*value]),
            Put::Registers(values) => Got::Words(values.clone()),
            Put::Mask { and, or } => {
                let before = self.read(unit, Span { at, words: 1 }).await?;
                Got::Words(before.iter().map(|word| (word & and) | (or & !and)).collect())
            }
        };
        let part = match &wanted {
            Got::Bits(bits) => read(Area::Coil, count(bits)),
            Got::Words(words) => read(Area::Holding, count(words)),
        };
        let whole = Read { at: back, count: part.count.saturating_add(at.saturating_sub(back)), ..part };
        Ok(self.put(unit, at, put).await? && self.get(unit, &whole).await?.part(&whole, &part) == Some(wanted))
    }

    /// A read. Where another unit's late answer came between it is not guessed at which answer is whose: it is asked again.
    async fn ask(&mut self, unit: u8, request: Request<'static>) -> Result<Response, Trouble> {
        let mut asked = self.ask_once(unit, &request).await;
        for _ in 0..DISTURBED {
            match &asked {
                Err(trouble) if self.is_of_another_unit(trouble) => asked = self.ask_once(unit, &request).await,
                _ => break,
            }
        }
        asked
    }

    /// What may still come of an earlier read is told from its answer.
    async fn ask_once(&mut self, unit: u8, request: &Request<'static>) -> Result<Response, Trouble> {
        if let Some(open) = self.unsure.get(&unit) {
            if let Some(other) = fits::of_another_size(open) {
                drop(self.try_read(unit, &other).await?); // a refusal answers as well
            }
            self.unsure.remove(&unit);
        }
        match self.try_read(unit, request).await? {
            Ok(response) => Ok(response),
            Err(trouble) => Err(trouble),
        }
    }

    /// `Ok`: the unit answered, be it with an exception. `Err`: an answer may still come.
    async fn try_read(&mut self, unit: u8, request: &Request<'static>) -> Result<Result<Response, Trouble>, Trouble> {
        match self.call(unit, request).await {
            Err(trouble) if !matches!(trouble.cause, Cause::Exception(_)) => {
                if let Some(open) = self.unsure.get_mut(&unit) {
                    if open.len() == UNSURE {
                        open.remove(0);
                    }
                    open.push(request.clone());
                }
                Err(trouble)
            }
            answer => Ok(answer),
        }
    }

    /// Sends a request once: a write is never repeated here.
    async fn call(&mut self, unit: u8, request: &Request<'static>) -> Result<Response, Trouble> {
        if let Some(last) = self.last.filter(|_| !self.timing.pause_between.is_zero()) {
            sleep_until(last + self.timing.pause_between).await;
        }
        self.gauges.iter().for_each(Gauge::asked);
        let mut called = self.exchange(unit, request).await;
        for _ in 0..DISTURBED {
            match &called {
                Err(trouble) if self.was_not_sent(trouble) => {
                    self.gauges[0].troubled(trouble.cause, &trouble.words, now().wall);
                    called = self.exchange(unit, request).await;
                }
                _ => break,
            }
        }
        self.last = Some(Instant::now());
        let answered = called.as_ref().err().is_none_or(|trouble| matches!(trouble.cause, Cause::Exception(_)));
        self.answered |= answered;
        if let Some((link, address)) = self.news.take_if(|_| answered) {
            tracing::info!(%link, address, "connected");
        }
        let at = now().wall;
        match &called {
            Ok(_) => self.gauges.iter().for_each(|gauge| gauge.answered(at)),
            Err(trouble) => {
                // The unit that was asked has done nothing wrong.
                let noted = if self.is_of_another_unit(trouble) { 1 } else { self.gauges.len() };
                self.gauges[..noted].iter().for_each(|gauge| gauge.failed(trouble.cause, &trouble.words, at));
            }
        }
        if !answered && self.framing == Framing::Rtu {
            self.unsure.entry(unit).or_default();
        }
        called
    }

    /// Bytes waited on a serial line before the request was sent.
    fn was_not_sent(&self, trouble: &Trouble) -> bool {
        self.framing == Framing::Rtu && trouble.usable && self.line.traffic().stale
    }

    /// A late answer of another unit came between on a serial line.
    fn is_of_another_unit(&self, trouble: &Trouble) -> bool {
        trouble.usable && trouble.cause == Cause::Late && self.late_of().is_some()
    }

    /// The unit that it is of.
    fn late_of(&self) -> Option<u8> {
        let traffic = self.line.traffic();
        let owes = |unit| self.framing == Framing::Rtu && self.unsure.contains_key(&unit);
        judge::late_of(&traffic.sent, &traffic.got, owes)
    }

    async fn exchange(&mut self, unit: u8, request: &Request<'static>) -> Result<Response, Trouble> {
        self.line.begin();
        self.context.set_slave(Slave(unit));
        let ended = match timeout(self.timing.request, self.context.call(request.clone())).await {
            Err(_) => Ended::TimedOut,
            Ok(Ok(Ok(response))) if self.fits(request, &response) => return Ok(response),
            Ok(Ok(Err(exception))) => return self.exception(unit, request, exception).await,
            Ok(Err(Error::Protocol(ProtocolError::HeaderMismatch { result, .. }))) if self.another_id_alone(unit) => {
                match result {
                    Ok(response) if fits::fits(request, &response) => return Ok(response),
                    Err(e) if e.function.value() == request.function_code().value() => {
                        return self.exception(unit, request, e.exception).await;
                    }
                    _ => Ended::Unfit,
                }
            }
            // The library knows function 24 by two names, and takes its exceptions for another's.
            Ok(Err(Error::Protocol(ProtocolError::FunctionCodeMismatch { request: asked, result: Err(e) })))
                if asked.value() == e.function.value() =>
            {
                return self.exception(unit, request, e.exception).await;
            }
            Ok(Ok(Ok(_)) | Err(Error::Protocol(_))) => Ended::Unfit,
            Ok(Err(Error::Transport(_))) => Ended::Failed,
        };
        Err(self.failed(unit, request, ended).await)
    }

    /// The answer is one to this request; on a line without transaction ids it is also all that came.
    fn fits(&self, request: &Request<'_>, response: &Response) -> bool {
        let alone = self.framing == Framing::Tcp
            || fits::rtu_length(response).is_none_or(|length| self.line.traffic().got.len() == length);
        alone && fits::fits(request, response)
    }

    /// The answer differs from a right one by nothing but its id, and this unit's may.
    fn another_id_alone(&self, unit: u8) -> bool {
        let traffic = self.line.traffic();
        self.any_id.contains(&unit) && !traffic.stale && judge::is_one_frame_of(unit, &traffic.got)
    }

    async fn exception(
        &mut self,
        unit: u8,
        request: &Request<'_>,
        exception: ExceptionCode,
    ) -> Result<Response, Trouble> {
        if self.framing == Framing::Rtu && self.line.traffic().got.len() != fits::RTU_EXCEPTION {
            return Err(self.failed(unit, request, Ended::Unfit).await); // more bytes than that
        }
        let code = u8::from(exception);
        let words = format!("{} of unit {unit}: exception {code} ({exception})", fits::what(request));
        Err(Trouble { cause: Cause::Exception(code), words, usable: true })
    }

    /// Names what happened, and listens to what may still come.
    async fn failed(&mut self, unit: u8, request: &Request<'_>, ended: Ended) -> Trouble {
        let mut traffic = self.line.traffic();
        if self.any_id.contains(&unit) {
            traffic.id_as_asked();
        }
        let (mut cause, mut words) = judge(self.framing, &traffic, ended);
        let within = self.timing.request;
        let mut usable = false;
        if self.framing == Framing::Rtu && cause != Cause::Closed {
            // A unit whose answers lag behind is listened to longer each time, until it has caught up.
            let lag = if cause == Cause::Timeout { 0 } else { self.unsure.get(&unit).map_or(0, Vec::len) };
            let quiet = within.saturating_mul(1 + u32::try_from(lag).unwrap_or(u32::MAX));
            let heard = self.line.drain(quiet, quiet + within * NOISE).await;
            usable = heard.quiet;
            self.context = attach(self.framing, &self.line); // a request may be stuck half-way in the old one
            if let (Cause::Timeout, Some(after)) = (cause, heard.first) {
                (cause, words) = late(after);
            }
            if let Some(other) = self.late_of() {
                (cause, words) = (Cause::Late, format!("a late answer of unit {other} came between"));
            }
        } else if cause == Cause::Timeout {
            let heard = self.line.drain(within, Duration::ZERO).await;
            if let Some(after) = heard.first {
                (cause, words) = late(after);
            }
        }
        let what = fits::what(request);
        let within = if cause == Cause::Timeout { format!(" within {within:?}") } else { String::new() };
        let words = format!("{what} of unit {unit}: {words}{within}");
        Trouble { cause, words, usable }
    }
}

fn late(after: Duration) -> (Cause, String) {
    (Cause::Late, format!("the answer came {after:.0?} after its time was over"))
}

fn count<T>(items: &[T]) -> u16 {
    u16::try_from(items.len()).unwrap_or(u16::MAX)
}

/// Can't happen: [`fits::fits`] compares the kinds.
fn unexpected(response: &Response) -> Trouble {
    Trouble { cause: Cause::WrongFunction, words: format!("an answer of another kind: {response:?}"), usable: false }
}

fn attach(framing: Framing, line: &Line) -> Context {
    match framing {
        Framing::Tcp => tcp::attach(line.clone()),
        Framing::Rtu => rtu::attach(line.clone()),
    }
}

async fn connect(address: &str, within: Duration) -> Result<TcpStream, Trouble> {
    let trouble = |cause, words| Trouble { cause, words, usable: false };
    let stream = timeout(within, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| trouble(Cause::Timeout, format!("{address}: no connection within {within:?}")))?;
    let stream = stream.map_err(|e| trouble(Cause::Refused, format!("{address}: {e}")))?;
    stream.set_nodelay(true).map_err(|e| trouble(Cause::Refused, format!("{address}: {e}")))?;
    Ok(stream)
}

fn open_serial(serial: &Serial) -> Result<SerialPort, Trouble> {
    let words = |e: std::io::Error| format!("{}: {e}", serial.port);
    serial.open().map_err(|e| Trouble { cause: Cause::Refused, words: words(e), usable: false })
}

#[cfg(test)]
mod tests;
