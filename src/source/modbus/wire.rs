//! One Modbus TCP connection: reading and writing holding registers, each request under a timeout.
//!
//! After a timeout, an I/O error or an answer that does not fit its request the connection is spent: a late answer would
//! be taken for the next one's, and every one after it. The caller drops it. An exception is an answer: the connection
//! stays.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client as _, Context, tcp};
use tokio_modbus::slave::{Slave, SlaveContext as _};
use tokio_modbus::{ExceptionCode, Request, Response};

use crate::tagmap::Span;

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The connection can't be trusted any more.
    #[error("{0}")]
    Down(String),
    /// The device refuses this request.
    #[error("the device answers with exception \"{1}\" to {0}")]
    Refused(String, ExceptionCode),
}

/// A connection.
pub(super) struct Wire {
    context: Context,
    timeout: Duration,
}

impl Wire {
    /// Connects to `host:port`.
    pub(super) async fn connect(address: &str, connect: Duration, request: Duration) -> Result<Self, Trouble> {
        let stream = timeout(connect, TcpStream::connect(address)).await;
        let stream = stream.map_err(|_| Trouble::Down(format!("no connection within {connect:?}")))?;
        let stream = stream.map_err(|e| Trouble::Down(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| Trouble::Down(e.to_string()))?;
        Ok(Self { context: tcp::attach(stream), timeout: request })
    }

    /// Reads holding registers (function 3).
    pub(super) async fn read(&mut self, unit: u8, span: Span) -> Result<Vec<u16>, Trouble> {
        let what = || format!("reading {} registers from {}", span.words, span.at);
        match self.call(unit, Request::ReadHoldingRegisters(span.at, span.words), what).await? {
            Response::ReadHoldingRegisters(words) if words.len() == usize::from(span.words) => Ok(words),
            other => Err(Trouble::Down(format!("{}: the answer does not fit: {other:?}", what()))),
        }
    }

    /// Writes one holding register (function 6); `false`: the device echoes another value, so it did not take this one.
    pub(super) async fn write(&mut self, unit: u8, at: u16, value: u16) -> Result<bool, Trouble> {
        let what = || format!("writing {value} to register {at}");
        match self.call(unit, Request::WriteSingleRegister(at, value), what).await? {
            Response::WriteSingleRegister(echoed, took) if echoed == at => Ok(took == value),
            other => Err(Trouble::Down(format!("{}: the answer does not fit: {other:?}", what()))),
        }
    }

    async fn call(&mut self, unit: u8, request: Request<'_>, what: impl Fn() -> String) -> Result<Response, Trouble> {
        self.context.set_slave(Slave(unit));
        match timeout(self.timeout, self.context.call(request)).await {
            Err(_) => Err(Trouble::Down(format!("{}: no answer within {:?}", what(), self.timeout))),
            Ok(Err(e)) => Err(Trouble::Down(format!("{}: {e}", what()))),
            Ok(Ok(Err(exception))) => Err(Trouble::Refused(what(), exception)),
            Ok(Ok(Ok(response))) => Ok(response),
        }
    }
}
