//! `[[alarm]]`: a condition that lasts is raised, and cleared once it is gone for long enough. `watchdog`: a value that
//! must move.

use super::{Carried, Kept, State, Told, View, event, word};
use crate::event::{DeviceEvent, Fields};
use crate::tagmap::points::condition::Condition;
use crate::tagmap::points::value::Ref;

/// One `[[alarm]]`.
#[derive(Debug, Clone)]
pub(in crate::tagmap::points) struct Alarm {
    pub(in crate::tagmap::points) name: String,
    pub(in crate::tagmap::points) when: Condition,
    /// Milliseconds.
    pub(in crate::tagmap::points) on_delay: u64,
    /// Milliseconds.
    pub(in crate::tagmap::points) off_delay: u64,
    pub(in crate::tagmap::points) severity: &'static str,
    /// It stands until this has held: a person has seen it.
    pub(in crate::tagmap::points) ack: Option<Condition>,
    pub(in crate::tagmap::points) text: Option<String>,
    /// Kind of the event when it is raised …
    pub(in crate::tagmap::points) event: String,
    /// … and when it is cleared.
    pub(in crate::tagmap::points) clear_event: String,
    pub(in crate::tagmap::points) carried: Carried,
}

impl Alarm {
    pub(super) fn step(&self, state: &mut State, view: &View<'_>) -> Option<Told> {
        let (raised, seen, stands_since) = match state.kept {
            Kept::Alarm { raised, seen, since } => (raised, seen, since),
            _ => (false, false, None),
        };
        let seen = seen || (raised && self.acknowledged(view));
        if raised {
            state.kept = Kept::Alarm { raised, seen, since: stands_since };
        }
        let holds = self.when.holds(&|at| view.good(at));
        let turns = holds.is_some_and(|holds| holds != raised);
        if !turns {
            state.since = None; // unknown, too: what is not known does not last
            return None;
        }
        let since = *state.since.get_or_insert(view.mono);
        let delay = if raised { self.off_delay } else { self.on_delay };
        if !view.lasted(&self.when, since, delay) || (raised && self.ack.is_some() && !seen) {
            return None;
        }
        let stands_since = (!raised).then_some(view.wall);
        (state.kept, state.since) = (Kept::Alarm { raised: !raised, seen: false, since: stands_since }, None);
        let kind = if raised { &self.clear_event } else { &self.event };
        let mut own: Fields = vec![word("alarm", &self.name), word("severity", self.severity)];
        own.extend(self.text.as_ref().map(|text| word("text", text)));
        Some(match self.carried.event(kind, own, view) {
            Ok(event) => Told::Event(event),
            Err(why) => Told::Refused(format!("{kind} is not told: {why}")),
        })
    }
}

impl Alarm {
    /// A person says so, at a button of the device.
    fn acknowledged(&self, view: &View<'_>) -> bool {
        self.ack.as_ref().and_then(|ack| ack.holds(&|at| view.good(at))) == Some(true)
    }
}

/// A tag's `watchdog`.
#[derive(Debug, Clone, Copy)]
pub(in crate::tagmap::points) struct Watchdog {
    pub(in crate::tagmap::points) tag: usize,
    /// Milliseconds in which it must move.
    pub(in crate::tagmap::points) within: u64,
}

impl Watchdog {
    /// `Flag` says that the device is stale.
    pub(super) fn step(&self, state: &mut State, view: &View<'_>) -> Option<DeviceEvent> {
        let stale = state.kept == Kept::Flag(true);
        let moved = view.latest[self.tag].moved;
        if view.good(Ref { tag: self.tag, bit: None }).is_none() {
            state.since = None; // a link that is down is no device that stands still
            return None;
        }
        let since = *state.since.get_or_insert(view.mono);
        let now_stale = if moved { false } else { stale || view.passed(since) >= self.within };
        if moved {
            state.since = Some(view.mono);
        }
        state.kept = Kept::Flag(now_stale);
        let name = &view.tags[self.tag].name;
        (now_stale != stale)
            .then(|| event(if now_stale { "device.stale" } else { "device.live" }, vec![word("tag", name)]))
    }
}
