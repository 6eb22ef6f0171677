//! How links and devices are doing: what they answered last, what went wrong and how often.
//!
//! Sources write here with each request, `snapshot` is what people are shown. A note costs a lock that nobody holds for
//! long. Bounded by the configuration: one [`Gauge`] for each link and device, and a closed set of causes. Counts begin
//! with the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Millis;
use crate::source::now;
use crate::tagmap::points::{Points, Quality, Shown, Standing};

/// Most links, and most devices, that are noted; what comes after them is not shown.
const MAX_PARTS: usize = 4096;

/// The state of all links and devices: cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    links: BTreeMap<Arc<str>, Gauge>,
    devices: BTreeMap<Arc<str>, (Arc<str>, Gauge)>,
}

/// Where one link or device is noted; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Mutex<Part>>);

#[derive(Debug, Default)]
struct Part {
    state: State,
    since: Option<Millis>,
    detail: Option<String>,
    seen: Option<Millis>,
    poll: Option<Duration>,
    requests: u64,
    failed: u64,
    errors: BTreeMap<Cause, u64>,
    last: Option<Trouble>,
    missed: u64,
    session_present: Option<bool>,
    messages: u64,
    bad: u64,
    tags: Option<Arc<Mutex<Points>>>,
}

/// What a link or device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing is known yet, or the first connection is being made.
    #[default]
    Connecting,
    /// It answers.
    Up,
    /// It does not: tried again and again.
    Down,
    /// It failed too often and is left alone until then.
    Quarantined {
        /// Wall clock, milliseconds since 1970.
        until: Millis,
    },
    /// It answers, but what it holds does not move on, or not to every poll.
    Stuck,
    /// What answers is not the device of the configuration, or refuses what is asked.
    Refused,
}

/// Why a request brought no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nothing came within the request's time.
    Timeout,
    /// An answer to an earlier request came instead of the awaited one, or after its time.
    Late,
    /// The answer carries a transaction id that was never asked for.
    WrongTransaction,
    /// Another unit answered.
    WrongUnit,
    /// The answer is for another function.
    WrongFunction,
    /// The answer holds less, or more, than was asked for.
    Short,
    /// What came is no frame: a wrong checksum, header or length.
    Garbage,
    /// What came is of another protocol: the port is another service's.
    OtherService,
    /// The connection can't be made.
    Refused,
    /// The connection broke, or the other side closed it.
    Closed,
    /// The device answers with this exception code.
    Exception(u8),
    /// Another device than the one of the configuration answers.
    WrongDevice,
}

impl Cause {
    /// What a person can look at, where the name alone does not say (Modbus Application Protocol 1.1b3, 7).
    pub const fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Exception(1) => {
                "the unit does not know this function: is it another table, and is the unit id right?"
            }
            Self::Exception(2) => {
                "the unit has no such address, or not so many from there on: compare the map with its list, and whether that \
                 counts from 0 or from 1"
            }
            Self::Exception(3) => {
                "the unit does not take this count or value: read fewer at a time; is the unit id right?"
            }
            Self::Exception(4) => {
                "the unit can't do what is asked: is the unit id right? A gateway or simulator may refuse so what it has no \
                 unit for"
            }
            Self::Exception(10 | 11) => {
                "a gateway answers, but not the unit behind it: is it powered, is the unit id right?"
            }
            Self::OtherService => "is it the right port? Modbus TCP has 502 unless the device says otherwise",
            _ => return None,
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timeout",
            Self::Late => "late",
            Self::WrongTransaction => "wrong transaction id",
            Self::WrongUnit => "wrong unit",
            Self::WrongFunction => "wrong function",
            Self::Short => "short",
            Self::Garbage => "garbage",
            Self::OtherService => "another service",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Exception(code) => return write!(f, "exception {code}"),
            Self::WrongDevice => "wrong device",
        })
    }
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Its name, as in [`Status::errors`].
    pub cause: String,
    /// A sentence.
    pub words: String,
    /// What to look at, where the cause says it.
    pub hint: Option<String>,
    /// When, milliseconds since 1970.
    pub at: Millis,
    /// The first good answer, message or connection behind it, milliseconds since 1970; `None`: none came yet.
    pub over: Option<Millis>,
}

/// One link or device, as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Id of the link or device.
    pub id: String,
    /// The device's link; `None` for links.
    pub link: Option<String>,
    /// What it is doing.
    pub state: State,
    /// Since when, milliseconds since 1970; `None`: since the start.
    pub since: Option<Millis>,
    /// More on the state: the address in use, why it is stuck.
    pub detail: Option<String>,
    /// Its last good answer, milliseconds since 1970.
    pub last_seen: Option<Millis>,
    /// How long its last poll took, microseconds.
    pub poll_us: Option<u64>,
    /// Requests since the process started.
    pub requests: u64,
    /// How many of them failed.
    pub failed_requests: u64,
    /// What went wrong, by cause: those, and what is no request (connections that can't be made, answers of others).
    pub errors: BTreeMap<String, u64>,
    /// What went wrong last.
    pub last_error: Option<Trouble>,
    /// Periods of its polls that were left out because it was late.
    pub missed_periods: u64,
    /// MQTT links: whether the broker had kept the session when this connection was made.
    pub session_present: Option<bool>,
    /// Messages that came.
    pub messages: u64,
    /// Of these or of what was read, what could not be decoded.
    pub bad: u64,
    /// Alarms of its map that stand.
    pub alarms: Vec<Standing>,
}

/// One device with all that is known of its tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// How it is doing.
    #[serde(flatten)]
    pub status: Status,
    /// Its tags as they were read last, in the order of its map; empty where it sends and is not read.
    pub tags: Vec<Shown>,
}

/// All links and devices, each in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Links.
    pub links: Vec<Status>,
    /// Devices.
    pub devices: Vec<Status>,
}

impl Health {
    /// The gauge of a link; the same one each time.
    pub fn link(&self, id: &Arc<str>) -> Gauge {
        let mut parts = locked(&self.0);
        if parts.links.len() >= MAX_PARTS && !parts.links.contains_key(id) {
            return Gauge::default();
        }
        parts.links.entry(Arc::clone(id)).or_default().clone()
    }

    /// The gauge of a device behind a link; the same one each time.
    pub fn device(&self, link: &Arc<str>, id: &Arc<str>) -> Gauge {
        let mut parts = locked(&self.0);
        if parts.devices.len() >= MAX_PARTS && !parts.devices.contains_key(id) {
            return Gauge::default();
        }
        let entry = parts.devices.entry(Arc::clone(id));
        entry.or_insert_with(|| (Arc::clone(link), Gauge::default())).1.clone()
    }

    /// A device with its tags, or a link; `None`: there is none of that name.
    pub fn device_now(&self, id: &str) -> Option<Device> {
        let parts = locked(&self.0);
        let device = parts.devices.get(id).map(|(link, gauge)| (Some(Arc::clone(link)), gauge.clone()));
        let found = device.or_else(|| parts.links.get(id).map(|gauge| (None, gauge.clone())));
        drop(parts); // one lock at a time
        found.map(|(link, gauge)| gauge.device(id, link.as_deref()))
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let parts = locked(&self.0);
        Snapshot {
            links: parts.links.iter().map(|(id, gauge)| gauge.status(id, None)).collect(),
            devices: parts.devices.iter().map(|(id, (link, gauge))| gauge.status(id, Some(link))).collect(),
        }
    }
}

impl Gauge {
    /// It is in this state now, whatever it was before.
    pub fn is(&self, state: State, detail: Option<&str>) {
        let mut part = locked(&self.0);
        if part.state != state {
            part.since = Some(now().wall);
        }
        part.state = state;
        part.detail = detail.map(str::to_owned);
        if state == State::Up && part.is_in_trouble() {
            part.over(now().wall);
        }
    }

    /// The tags that it is read for.
    pub fn shows(&self, tags: &Arc<Mutex<Points>>) {
        locked(&self.0).tags = Some(Arc::clone(tags));
    }

    /// A request is sent.
    pub fn asked(&self) {
        locked(&self.0).requests += 1;
    }

    /// A good answer came.
    pub fn answered(&self, at: Millis) {
        let mut part = locked(&self.0);
        part.seen = Some(at);
        part.over(at);
    }

    /// A request brought nothing.
    pub fn failed(&self, cause: Cause, words: &str, at: Millis) {
        locked(&self.0).failed += 1;
        self.troubled(cause, words, at);
    }

    /// Something went wrong that is no request: a connection can't be made, another unit's answer came between.
    pub fn troubled(&self, cause: Cause, words: &str, at: Millis) {
        let mut part = locked(&self.0);
        *part.errors.entry(cause).or_default() += 1;
        let (hint, words) = (cause.hint().map(str::to_owned), words.to_owned());
        part.last = Some(Trouble { cause: cause.to_string(), words, hint, at, over: None });
    }

    /// The broker has kept the session, or has begun a new one.
    pub fn session(&self, present: bool) {
        locked(&self.0).session_present = Some(present);
    }

    /// A message came, and could be read or not.
    pub fn message(&self, bad: bool, at: Millis) {
        let mut part = locked(&self.0);
        part.messages += 1;
        part.bad += u64::from(bad);
        part.seen = Some(at);
        part.over(at);
    }

    /// A whole poll was done in this time.
    pub fn polled(&self, took: Duration) {
        locked(&self.0).poll = Some(took);
    }

    /// So many periods were left out.
    pub fn missed(&self, periods: u64) {
        locked(&self.0).missed += periods;
    }

    /// What is away says nothing of its tags: what was read before is told as such.
    fn device(&self, id: &str, link: Option<&str>) -> Device {
        let tags = locked(&self.0).tags.clone();
        let mut tags = tags.map(|tags| locked(&tags).shown()).unwrap_or_default();
        let status = self.status(id, link);
        let away = match status.state {
            State::Connecting => Some("is not read: the link is being connected"),
            State::Down => Some("is not read: the device or its link is down"),
            State::Quarantined { .. } => Some("is not read: the device is left alone for a while"),
            State::Up | State::Stuck | State::Refused => None,
        };
        if let Some(why) = away {
            for tag in tags.iter_mut().filter(|tag| tag.quality != Quality::Bad) {
                tag.quality = Quality::Stale;
                tag.reason = Some(why.to_owned());
            }
        }
        Device { status, tags }
    }

    fn status(&self, id: &str, link: Option<&str>) -> Status {
        let tags = locked(&self.0).tags.clone(); // one lock at a time
        let alarms = tags.map(|tags| locked(&tags).standing().collect()).unwrap_or_default();
        let part = locked(&self.0);
        Status {
            alarms,
            id: id.to_owned(),
            link: link.map(str::to_owned),
            state: part.state,
            since: part.since,
            detail: part.detail.clone(),
            last_seen: part.seen,
            poll_us: part.poll.map(|poll| u64::try_from(poll.as_micros()).unwrap_or(u64::MAX)),
            requests: part.requests,
            failed_requests: part.failed,
            errors: part.errors.iter().map(|(cause, count)| (cause.to_string(), *count)).collect(),
            last_error: part.last.clone(),
            missed_periods: part.missed,
            session_present: part.session_present,
            messages: part.messages,
            bad: part.bad,
        }
    }
}

impl Part {
    fn is_in_trouble(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.over.is_none())
    }

    /// Something good came.
    fn over(&mut self, at: Millis) {
        if let Some(last) = &mut self.last {
            last.over.get_or_insert(at);
        }
    }
}

/// A panic while a note was made leaves a note that is a little wrong: no reason to lose all of them.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_shown() {
        let health = Health::default();
        let (link, device): (Arc<str>, Arc<str>) = ("line-1".into(), "scale-7".into());
        health.link(&link).is(State::Up, Some("10.0.0.7:502"));
        health.link(&link).session(true);
        health.link(&link).message(false, Millis(1));
        health.link(&link).message(true, Millis(2));
        let gauge = health.device(&link, &device);
        gauge.asked();
        gauge.asked();
        gauge.answered(Millis(5));
        gauge.polled(Duration::from_millis(3));
        gauge.missed(2);
        gauge.failed(Cause::Exception(2), "reading 2 registers from 7: exception 2", Millis(9));
        health.device(&link, &device).is(State::Quarantined { until: Millis(30_000) }, None);
        let mut shown = serde_json::to_value(health.snapshot()).expect("plain data");
        for part in ["links", "devices"] {
            let since = shown[part][0]["since"].take();
            assert!(since.as_i64().is_some_and(|since| since > 1_700_000_000_000), "{since}");
        }
        let expected = serde_json::json!({
            "links": [{"id": "line-1", "link": null, "state": "up", "since": null, "detail": "10.0.0.7:502", "last_seen": 2,
                "poll_us": null, "requests": 0, "failed_requests": 0, "errors": {}, "last_error": null, "missed_periods": 0,
                "session_present": true, "messages": 2, "bad": 1, "alarms": []}],
            "devices": [{"id": "scale-7", "link": "line-1", "state": {"quarantined": {"until": 30_000}}, "since": null, "detail": null,
                "last_seen": 5, "poll_us": 3000, "requests": 2, "failed_requests": 1, "errors": {"exception 2": 1},
                "last_error": {"cause": "exception 2", "words": "reading 2 registers from 7: exception 2",
                    "hint": Cause::Exception(2).hint(), "at": 9, "over": null},
                "missed_periods": 2, "session_present": null, "messages": 0, "bad": 0, "alarms": []}],
        });
        assert_eq!(shown, expected);
        let written = serde_json::to_string(&health.snapshot()).expect("plain data");
        let read: Snapshot = serde_json::from_str(&written).expect("what was written is read");
        assert_eq!(read, health.snapshot());
    }

    #[test]
    fn it_is_bounded() {
        let health = Health::default();
        for n in 0..MAX_PARTS + 10 {
            health.link(&n.to_string().into()).asked();
        }
        assert_eq!(health.snapshot().links.len(), MAX_PARTS);
    }
}
