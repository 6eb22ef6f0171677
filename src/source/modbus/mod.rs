//! Modbus TCP: holding registers and the event FIFO handshake.
//!
//! One task for a link, one request at a time: the devices behind it are polled in turn, each on its own period. A slot
//! is acknowledged to the PLC only after its commit. Trouble is waited out for ever, with backoff: a link that is down
//! costs its devices' polls and nothing else, and their PLCs keep the events.
//!
//! Limits: one unit that does not answer drops the connection for all units behind the same address.

mod station;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::event::Sample;
use crate::outbox::{CaptureError, LastSeen, Outbox, Placed};
use crate::source::{Backoff, Reconnect};
use crate::tagmap::Map;
use station::{Next, Station};
use wire::{Trouble, Wire};

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

/// Runs the link until `stop`, or until the outbox is closed. A poll that has begun is finished first.
pub async fn run(config: Config, outbox: Outbox, stop: CancellationToken) {
    let capture = |samples| {
        let outbox = outbox.clone();
        async move { outbox.capture(samples).await }
    };
    let last_seen = |device| {
        let outbox = outbox.clone();
        async move { outbox.last_seen(device).await }
    };
    link(config, capture, last_seen, stop).await;
}

/// The link, given what it needs of the outbox.
async fn link<C, L>(
    config: Config,
    capture: impl Fn(Vec<Sample>) -> C,
    last_seen: impl Fn(Arc<str>) -> L,
    stop: CancellationToken,
) where
    C: Future<Output = Result<Vec<Placed>, CaptureError>>,
    L: Future<Output = Result<Option<LastSeen>, CaptureError>>,
{
    let mut stations: Vec<Station> = Vec::new();
    for device in config.devices {
        let (id, unit) = (device.id, device.unit);
        stations.extend(device.map.fifos.into_iter().map(|fifo| Station::new(Arc::clone(&id), unit, fifo)));
    }
    let mut reconnect = Reconnect::new(config.reconnect);
    let mut down = false;
    loop {
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            wire = Wire::connect(&config.address, config.connect_timeout, config.request_timeout) => wire,
        };
        let started = Instant::now();
        let (up, why) = match connected {
            Err(why) => (Duration::ZERO, why),
            Ok(mut wire) => {
                tracing::info!(link = %config.link, address = config.address, "connected");
                down = false;
                if resume(&mut stations, &last_seen).await.is_err() {
                    return;
                }
                match serve(&mut stations, &mut wire, &capture, &stop).await {
                    Some(why) => (started.elapsed(), why),
                    None => return,
                }
            }
        };
        if !down {
            tracing::warn!(link = %config.link, address = config.address, %why, "link down: connecting again");
            down = true;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(reconnect.wait(up, fastrand::f64())) => {}
        }
    }
}

/// Asks the outbox where each device stood at its last commit.
async fn resume<L>(stations: &mut [Station], last_seen: impl Fn(Arc<str>) -> L) -> Result<(), CaptureError>
where
    L: Future<Output = Result<Option<LastSeen>, CaptureError>>,
{
    for station in stations {
        if let Some(last) = last_seen(Arc::clone(&station.device)).await? {
            station.resume(&last.epoch, last.position);
        }
    }
    Ok(())
}

/// Polls over one connection until it fails (why), or until there is nothing more to do (`None`).
async fn serve<C>(
    stations: &mut [Station],
    wire: &mut Wire,
    capture: &impl Fn(Vec<Sample>) -> C,
    stop: &CancellationToken,
) -> Option<Trouble>
where
    C: Future<Output = Result<Vec<Placed>, CaptureError>>,
{
    loop {
        let Some(station) = stations.iter_mut().min_by_key(|station| station.due) else {
            stop.cancelled().await;
            return None;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = sleep_until(station.due) => {}
        }
        match station.poll(wire, capture).await {
            Ok(Next::Wait) => station.schedule(Instant::now()),
            Ok(Next::Again) => {}
            Ok(Next::Stop) => return None,
            Err(why) => {
                station.schedule(Instant::now()); // the others come first on the next connection
                return Some(why);
            }
        }
    }
}

#[cfg(test)]
mod tests;
