//! The bytes below the library's framing: a socket or a serial line that remembers what went over it.
//!
//! tokio-modbus clears its own buffer before a request, but not what waits in the socket's. So the line looks before it
//! sends: bytes that nobody asked for are an answer that came late, and the request is not sent at all. What is
//! remembered lets [`super::judge()`] name what came instead of an answer. Bounded: [`MOST`] bytes a request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serial2_tokio::SerialPort;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Bytes remembered for a request: two of the largest frames.
const MOST: usize = 600;
/// An answer is handed on from this many bytes on; no frame is shorter. tokio-modbus gives an RTU answer of function 43 up
/// when it sees the first two bytes alone, as serial lines bring them.
const HEAD: usize = 3;

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Serial(SerialPort),
}

/// A line; all clones are one. Its lock is never held over an await.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    traffic: Traffic,
    /// The beginning of an answer, not handed on yet.
    head: Vec<u8>,
}

/// What went over the line since the request began.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic {
    pub(super) sent: Vec<u8>,
    pub(super) got: Vec<u8>,
    /// Bytes waited before the request was sent: it was not sent.
    pub(super) stale: bool,
    /// The other side closed.
    pub(super) closed: bool,
}

/// What came while nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// From the beginning to the first byte.
    pub(super) first: Option<Duration>,
    /// The line was quiet at the end.
    pub(super) quiet: bool,
}

impl Traffic {
    /// What came carries the id that was asked for, for whom ids say nothing.
    pub(super) fn id_as_asked(&mut self) {
        if let ([high, low, ..], [asked_high, asked_low, ..]) = (&mut self.got[..], &self.sent[..]) {
            (*high, *low) = (*asked_high, *asked_low);
        }
    }
}

impl Line {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream, traffic: Traffic::default(), head: Vec::new() })))
    }

    /// A new request begins.
    pub(super) fn begin(&self) {
        let mut inner = self.lock();
        inner.head.clear();
        inner.traffic.sent.clear();
        inner.traffic.got.clear();
        inner.traffic.stale = false;
    }

    /// What went over the line since then.
    pub(super) fn traffic(&self) -> Traffic {
        self.lock().traffic.clone()
    }

    /// Reads and throws away until nothing came for `quiet`, at most `longest`.
    pub(super) async fn drain(&self, quiet: Duration, longest: Duration) -> Heard {
        let begun = Instant::now();
        let mut heard = Heard { first: None, quiet: true };
        loop {
            match timeout(quiet, std::future::poll_fn(|cx| self.lock().discard(cx))).await {
                Err(_) => return heard,
                Ok(Ok(bytes)) if bytes > 0 => drop(heard.first.get_or_insert_with(|| begun.elapsed())),
                Ok(_) => return Heard { quiet: false, ..heard }, // closed or broken: the next request says so
            }
            if begun.elapsed() >= longest {
                return Heard { quiet: false, ..heard };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Serial(port) => Pin::new(port).poll_read(cx, buf),
        }
    }

    /// How many bytes came; 0: the other side closed.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; MOST];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(self.poll_read(cx, &mut buf))?;
        self.traffic.closed |= buf.filled().is_empty();
        remember(&mut self.traffic.got, buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Looks for bytes that nobody asked for, before the first byte of a request is sent.
    fn look(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.traffic.sent.is_empty() {
            return Ok(());
        }
        match self.discard(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Ready(Ok(_)) => {
                self.traffic.stale = true;
                Err(io::Error::other("bytes came that nobody asked for"))
            }
            Poll::Ready(Err(e)) => Err(e),
        }
    }
}

fn remember(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&bytes[..bytes.len().min(MOST.saturating_sub(to.len()))]);
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        let start = buf.filled().len();
        let held = inner.head.len().min(buf.remaining());
        buf.put_slice(&inner.head[..held]);
        inner.head.drain(..held);
        while buf.remaining() > 0 {
            let before = buf.filled().len();
            if inner.poll_read(cx, buf)?.is_pending() {
                inner.head.extend_from_slice(&buf.filled()[start..]);
                buf.set_filled(start);
                return Poll::Pending;
            }
            let came = &buf.filled()[before..];
            inner.traffic.closed |= came.is_empty();
            remember(&mut inner.traffic.got, came);
            if came.is_empty() || inner.traffic.got.len() >= HEAD {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        inner.look(cx)?;
        let sent = ready!(match &mut inner.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Serial(port) => Pin::new(port).poll_write(cx, buf),
        })?;
        remember(&mut inner.traffic.sent, &buf[..sent]);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Serial(port) => Pin::new(port).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Serial(port) => Pin::new(port).poll_shutdown(cx),
        }
    }
}
