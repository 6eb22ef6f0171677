//! What a gateway says of itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::control::{Answer, Request};
use crate::event::Millis;
use crate::form::there_is_no;
use crate::lane::System;
use crate::outbox::read::Bounds;
use crate::outbox::{CaptureError, Hold, Order, Outbox, Tap, user};
use crate::source::health::{self, Health, Snapshot, State};

/// How a running gateway is doing. Times are UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Site id.
    pub site: String,
    /// Gateway id.
    pub gateway: String,
    /// Since when it runs.
    pub since: Millis,
    /// Whether the outbox takes events; if not, devices are not acknowledged.
    pub room: bool,
    /// What bounds its outbox.
    pub bounds: Bounds,
    /// The systems that are posted to.
    pub systems: Vec<System>,
    /// Links and devices.
    #[serde(flatten)]
    pub health: Snapshot,
}

/// Where the answers come from: what the gateway is, and what its parts have noted.
#[derive(Debug, Clone)]
pub struct View {
    /// Site id.
    pub site: String,
    /// Gateway id.
    pub gateway: String,
    /// Since when it runs.
    pub since: Millis,
    /// What bounds the outbox.
    pub bounds: Bounds,
    /// Whether the outbox takes events.
    pub room: watch::Receiver<bool>,
    /// How the systems stand that are posted to.
    pub systems: watch::Receiver<Vec<System>>,
    /// What the sources note.
    pub health: Health,
    /// Ids of the devices and links.
    pub devices: Vec<String>,
    /// Where what is committed can be watched.
    pub tap: Tap,
    /// Who carries out what persons decide.
    pub outbox: Option<Outbox>,
}

/// A person's command is durable within this time, or nobody knows.
const COMMIT: Duration = Duration::from_secs(30);

impl View {
    /// The answer to one line of the user `uid`, as a line.
    pub(super) async fn answer(&self, line: &[u8], uid: Option<u32>) -> String {
        match serde_json::from_slice(line) {
            Ok(Request::Operate(order)) => self.operate(order, uid).await,
            Ok(Request::Hold(hold)) => self.hold(hold, uid).await,
            Ok(Request::Status) => written(&Answer::Ok(self.status())),
            Ok(Request::Device { device }) => {
                let family = || self.family(&device).and_then(|family| self.health.device_now(family));
                match self.health.device_now(&device).or_else(family) {
                    Some(found) => written(&Answer::Ok(found)),
                    None => refusal(&self.unknown(&device)),
                }
            }
            Ok(Request::Tap { device, .. }) => refusal(&self.unknown(&device)),
            Err(e) => refusal(&format!("this version does not know the request: {e}; ask {{\"request\":\"status\"}}")),
        }
    }

    /// The device of a line that asks to watch one that there is, or an instance of one (`hand-p07` of `hand`), and whether
    /// polls without a change are wanted.
    pub(super) fn watched(&self, line: &[u8]) -> Option<(String, bool)> {
        let Ok(Request::Tap { device, all }) = serde_json::from_slice(line) else { return None };
        self.family(&device).is_some().then_some((device, all))
    }

    /// The device or link that a name is of: its own, or that of an instance behind it.
    fn family(&self, name: &str) -> Option<&str> {
        let is =
            |known: &&String| name.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        self.devices.iter().filter(is).max_by_key(|known| known.len()).map(String::as_str)
    }

    async fn operate(&self, order: Order, uid: Option<u32>) -> String {
        if let Some(why) = order.fault() {
            return refusal(&why);
        }
        let Some(outbox) = &self.outbox else { return refusal("this gateway takes no commands") };
        stored(timeout(COMMIT, outbox.operate(order, actor(uid))).await)
    }

    async fn hold(&self, hold: Hold, uid: Option<u32>) -> String {
        if let Some(why) = hold.fault() {
            return refusal(&why);
        }
        let Some(outbox) = &self.outbox else { return refusal("this gateway takes no commands") };
        stored(timeout(COMMIT, outbox.hold(hold, actor(uid))).await)
    }

    /// How a device or link is doing that is not up.
    pub(super) fn away(&self, device: &str) -> Option<health::Status> {
        self.health.device_now(device).map(|found| found.status).filter(|part| part.state != State::Up)
    }

    fn unknown(&self, device: &str) -> String {
        there_is_no("device or link", device, &self.devices.iter().cloned().collect())
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            since: self.since,
            room: *self.room.borrow(),
            bounds: self.bounds.clone(),
            systems: self.systems.borrow().clone(),
            health: self.health.snapshot(),
        }
    }
}

/// What came of a command that had to be stored.
fn stored<T: Serialize>(done: Result<Result<T, CaptureError>, Elapsed>) -> String {
    match done {
        Ok(Ok(acted)) => written(&Answer::Ok(acted)),
        Ok(Err(why)) => refusal(&format!("nothing was done: {why}")),
        Err(_) => refusal("the disk takes too long: ask again with the same id, to hear what came of it"),
    }
}

fn actor(uid: Option<u32>) -> String {
    uid.map_or_else(|| "unknown".to_owned(), user)
}

/// A line that says why there is no answer.
pub(super) fn refusal(why: &str) -> String {
    written(&Answer::<()>::Error(why.to_owned()))
}

pub(super) fn written<T: Serialize>(answer: &Answer<T>) -> String {
    let mut line = serde_json::to_string(answer).expect("texts, numbers and maps by text always make JSON");
    line.push('\n');
    line
}
