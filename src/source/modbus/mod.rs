//! Modbus: TCP, serial lines, serial lines behind TCP. Event FIFOs with their handshake, and tags on a period.
//!
//! One task for a link, one request at a time: what is due on the units behind it is done in the order of `schedule`. A
//! FIFO's slot is acknowledged to the PLC only after its commit. Trouble is waited out for ever, with backoff: a link that
//! is down costs its devices' polls and nothing else, and their PLCs keep the events. A unit that does not answer is left
//! alone for a while, so that the others of its bus go on.
//!
//! Limits: after a request without a right answer a TCP connection is made anew, for all units behind it. Writes are the
//! acknowledgements of FIFOs.

mod bus;
mod schedule;
mod station;
mod tags;
mod unit;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::event::Sample;
use crate::outbox::{CaptureError, LastSeen, Outbox, Placed, Tap};
use crate::source::health::{Health, State};
use crate::source::{Backoff, Reconnect, now};
use crate::tagmap::{Map, Quirk};
use bus::{Bus, End};
use wire::{Place, Timing, Wire};

pub use schedule::worst_case;
pub use unit::Quarantine;

/// A question to the outbox that its full queue did not take is asked again after this.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A Modbus link, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Link id.
    pub link: Arc<str>,
    /// Where it is.
    pub place: Place,
    /// Used while the first place can't be reached.
    pub standby: Option<Place>,
    /// Its times.
    pub timing: Timing,
    /// How often a poll that failed is tried again at once.
    pub retries: u32,
    /// The connection is closed when nothing is due for so long.
    pub idle_close: Option<Duration>,
    /// Reconnecting.
    pub reconnect: Backoff,
    /// When a unit is left alone; on a link with one unit it never is.
    pub quarantine: Quarantine,
    /// Devices behind this link.
    pub devices: Vec<Device>,
}

impl Config {
    /// A device behind it wants no connection that stays.
    pub(crate) fn closes_each_cycle(&self) -> bool {
        self.place.is_connection() && self.devices.iter().any(|device| device.has(Quirk::CloseAfterCycle))
    }
}

/// One device behind the link.
#[derive(Debug, Clone)]
pub struct Device {
    /// Device id: part of every key.
    pub id: Arc<str>,
    /// Unit id.
    pub unit: u8,
    /// What it has to say of itself.
    pub identity: Option<Identity>,
    /// Its map.
    pub map: Map,
}

impl Device {
    /// Its map or its configuration says so.
    pub(crate) fn has(&self, quirk: Quirk) -> bool {
        self.map.quirks.contains(&quirk)
    }
}

/// What the device's identification (function 43/14) has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Object id: 0 vendor name, 1 product code, …
    pub object: u8,
    /// Its value.
    pub equals: String,
}

/// Runs the link until `stop`, or until the outbox is closed. A poll that has begun is finished first.
pub async fn run(mut config: Config, outbox: Outbox, health: Health, stop: CancellationToken) {
    for points in config.devices.iter_mut().filter_map(|device| device.map.points.as_mut()) {
        let name = points.memory_name();
        match until_taken(|| outbox.memory(Arc::clone(&name))).await {
            Ok(Some(memory)) => points.restore(&memory),
            Ok(None) => {}
            Err(_) => return,
        }
    }
    let capture = |samples| outbox.capture(samples); // handed in when it is called, not when it is awaited
    let last_seen = |device| {
        let outbox = outbox.clone();
        async move { outbox.last_seen(device).await }
    };
    link(config, (health, outbox.tap()), capture, last_seen, stop).await;
}

/// Asks the outbox, again while its queue is full.
async fn until_taken<T, F>(ask: impl Fn() -> F) -> Result<T, CaptureError>
where
    F: Future<Output = Result<T, CaptureError>>,
{
    loop {
        match ask().await {
            Err(CaptureError::Full) => sleep(ASK_AGAIN).await,
            answer => return answer,
        }
    }
}

/// Which place is tried, and when to look for the first one again.
struct Places {
    all: Vec<Place>,
    now: usize,
}

impl Places {
    /// The present one did not serve: the next. Whether it is to be tried at once.
    fn turn(&mut self) -> bool {
        self.now = (self.now + 1) % self.all.len();
        self.now > 0
    }

    fn present(&self) -> &Place {
        &self.all[self.now]
    }

    /// For people.
    fn words(&self) -> String {
        let standby = if self.now > 0 { " (standby)" } else { "" };
        format!("{}{standby}", self.present())
    }
}

/// The link, given what it needs of the outbox.
async fn link<C, L>(
    config: Config,
    (health, tap): (Health, Tap),
    capture: impl Fn(Vec<Sample>) -> C,
    last_seen: impl Fn(Arc<str>) -> L,
    stop: CancellationToken,
) where
    C: Future<Output = Result<Vec<Placed>, CaptureError>> + Send + 'static,
    L: Future<Output = Result<Option<LastSeen>, CaptureError>>,
{
    let gauge = health.link(&config.link);
    let mut bus = Bus::new(&config, &health, tap);
    let mut places = Places { all: std::iter::once(config.place).chain(config.standby).collect(), now: 0 };
    let (timing, backoff) = (config.timing, config.reconnect);
    let mut reconnect = Reconnect::new(backoff);
    let mut at_once: Option<Instant> = None;
    let mut down = false;
    // Units that do not answer end connections, too: such an end is no news of the link, nor is the next beginning.
    let mut known = false;
    // Nothing was due for a while: the connection was closed, and nothing is lost.
    let mut rested = false;
    loop {
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            wire = Wire::open(places.present(), timing, gauge.clone()) => wire,
        };
        let started = Instant::now();
        let (answered, trouble) = match opened {
            Err(trouble) => {
                rested = false;
                gauge.troubled(trouble.cause, &trouble.words, now().wall);
                (false, trouble)
            }
            Ok(mut wire) => {
                let address = places.words();
                gauge.is(State::Up, Some(&address));
                bus.begin(&mut wire);
                match (down, known) {
                    (true, _) => wire.tells_when_answered(Arc::clone(&config.link), address),
                    (false, false) => tracing::info!(link = %config.link, address, "connected"),
                    (false, true) => {}
                }
                known = true;
                if !std::mem::take(&mut rested) && bus.resume(&last_seen).await.is_err() {
                    return;
                }
                let home = (places.now > 0).then(|| &places.all[0]);
                let end = serve(&mut bus, &mut wire, &capture, &stop, home, timing, backoff.reset_after).await;
                down &= !wire.answered();
                match end {
                    End::Stop => return,
                    End::Home => {
                        tracing::info!(link = %config.link, address = %places.all[0], "the first address answers again: back to it");
                        places.now = 0;
                        continue;
                    }
                    End::Idle(until) => {
                        drop(wire);
                        rested = true;
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = sleep_until(until) => continue,
                        }
                    }
                    End::Lost(trouble) => (wire.answered(), trouble),
                }
            }
        };
        // A unit that fails costs the others no wait, unless it does so again and again.
        if answered && at_once.is_none_or(|at| at.elapsed() >= backoff.min) {
            at_once = Some(Instant::now());
            down = false;
            continue;
        }
        gauge.is(State::Down, Some(&trouble.words));
        bus.link_down();
        if !down {
            tracing::warn!(link = %config.link, address = places.words(), why = %trouble, "link down: connecting again");
            down = true;
        }
        if !answered && places.turn() {
            tracing::warn!(link = %config.link, address = places.words(), "trying the standby address");
            continue;
        }
        let up = if answered { started.elapsed() } else { Duration::ZERO };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(reconnect.wait(up, fastrand::f64())) => {}
        }
    }
}

/// Serves one connection to its end. On the standby address it ends when the first one can be reached again.
async fn serve<C>(
    bus: &mut Bus,
    wire: &mut Wire,
    capture: &impl Fn(Vec<Sample>) -> C,
    stop: &CancellationToken,
    home: Option<&Place>,
    timing: Timing,
    look_after: Duration,
) -> End
where
    C: Future<Output = Result<Vec<Placed>, CaptureError>> + Send + 'static,
{
    let back = CancellationToken::new();
    let look = async {
        let Some(first) = home else { return std::future::pending().await };
        loop {
            sleep(look_after).await;
            if Wire::reaches(first, timing.connect).await {
                back.cancel();
                return std::future::pending::<End>().await;
            }
        }
    };
    tokio::select! {
        end = bus.serve(wire, capture, stop, &back) => end,
        end = look => end,
    }
}

#[cfg(test)]
mod tests;
