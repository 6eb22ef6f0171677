//! `[[event]]`: an edge, a change, a state that lasts, a count.
//!
//! While a condition or `when` depends on a value that is not there, nothing is decided: the edge is told once it is.

use super::{Carried, Kept, State, Told, View, event, word};
use crate::event::{DeviceEvent, Fields, Position, Value};
use crate::tagmap::points::condition::Condition;
use crate::tagmap::points::tag::Counter;
use crate::tagmap::points::value::{Datum, Ref};

/// One `[[event]]`.
#[derive(Debug, Clone)]
pub(in crate::tagmap::points) struct Event {
    pub(in crate::tagmap::points) kind: String,
    pub(in crate::tagmap::points) on: On,
    pub(in crate::tagmap::points) when: Option<Condition>,
    pub(in crate::tagmap::points) seq: Option<Seq>,
    pub(in crate::tagmap::points) carried: Carried,
}

/// What makes it.
#[derive(Debug, Clone)]
pub(in crate::tagmap::points) enum On {
    /// The condition begins to hold.
    Rising(Condition),
    /// It holds no longer.
    Falling(Condition),
    /// It has held for so many milliseconds.
    Held(Condition, u64),
    /// The value is another one. It waits until `when` holds. A value that was seen with another [`Tag::digest`] is no
    /// measure: what is read first is taken as seen.
    ///
    /// [`Tag::digest`]: crate::tagmap::points::tag::Tag::digest
    Change(Ref, u64),
    /// The counter has moved.
    Count(usize, Counter),
}

/// The device numbers its happenings.
#[derive(Debug, Clone, Copy)]
pub(in crate::tagmap::points) struct Seq {
    pub(in crate::tagmap::points) tag: usize,
    /// Width in bits.
    pub(in crate::tagmap::points) bits: u8,
    pub(in crate::tagmap::points) epoch: Epoch,
}

/// What tells one run of the device from the next.
#[derive(Debug, Clone, Copy)]
pub(in crate::tagmap::points) enum Epoch {
    /// Nothing: a number that goes back is a new run, and the gateway numbers the events.
    Gateway,
    /// A register with so many hex digits.
    Tag { tag: usize, digits: usize },
}

/// What an event is to carry beside the map's fields: `None`, nothing happened.
type Happened = Option<Fields>;

impl Event {
    pub(in crate::tagmap::points) fn refs(&self) -> Vec<Ref> {
        let mut refs = match &self.on {
            On::Rising(condition) | On::Falling(condition) | On::Held(condition, _) => condition.refs(),
            On::Change(at, _) => vec![*at],
            On::Count(tag, _) => vec![Ref { tag: *tag, bit: None }],
        };
        refs.extend(self.when.iter().flat_map(Condition::refs));
        if let On::Count(_, Counter { epoch: Some(tag), .. }) = self.on {
            refs.push(Ref { tag, bit: None });
        }
        if let Some(seq) = self.seq {
            refs.push(Ref { tag: seq.tag, bit: None });
            if let Epoch::Tag { tag, .. } = seq.epoch {
                refs.push(Ref { tag, bit: None });
            }
        }
        refs
    }

    pub(in crate::tagmap::points) fn step(&self, state: &mut State, view: &View<'_>) -> Vec<Told> {
        let good = |at| view.good(at);
        let when = self.when.as_ref().map_or(Some(true), |when| when.holds(&good));
        match &self.on {
            On::Rising(condition) => self.edge(condition.holds(&good), true, when, state, view),
            On::Falling(condition) => self.edge(condition.holds(&good), false, when, state, view),
            On::Held(condition, ms) => self.held(condition, *ms, when, state, view),
            On::Change(at, digest) => self.change(*at, *digest, when, state, view),
            On::Count(tag, counter) => self.count(*tag, *counter, when, state, view),
        }
    }

    fn edge(&self, now: Option<bool>, to: bool, when: Option<bool>, state: &mut State, view: &View<'_>) -> Vec<Told> {
        let (Some(now), Some(when)) = (now, when) else { return Vec::new() };
        let before = std::mem::replace(&mut state.kept, Kept::Flag(now));
        let happened = now == to && before == Kept::Flag(!to) && when;
        self.told(happened.then(Fields::new), view)
    }

    fn held(
        &self,
        condition: &Condition,
        ms: u64,
        when: Option<bool>,
        state: &mut State,
        view: &View<'_>,
    ) -> Vec<Told> {
        let now = condition.holds(&|at| view.good(at));
        let (Some(now), Some(when)) = (now, when) else {
            state.since = None;
            return Vec::new();
        };
        if !now {
            (state.kept, state.since) = (Kept::Flag(false), None);
            return Vec::new();
        }
        let since = *state.since.get_or_insert(view.mono);
        if state.kept == Kept::Flag(true) || !view.lasted(condition, since, ms) {
            return Vec::new();
        }
        state.kept = Kept::Flag(true);
        self.told(when.then(Fields::new), view)
    }

    fn count(&self, tag: usize, counter: Counter, when: Option<bool>, state: &mut State, view: &View<'_>) -> Vec<Told> {
        let now = view.good(Ref { tag, bit: None }).and_then(Datum::number).and_then(|n| u64::try_from(n).ok());
        let (Some(now), Some(when)) = (now, when) else { return Vec::new() };
        let Some(kept) = counted_to(now, tag, counter, view) else { return Vec::new() };
        let before = std::mem::replace(&mut state.kept, kept);
        let (last, at) = match &before {
            Kept::Count(count) => (*count, None),
            Kept::CountAt { count, at } => (*count, Some(at)),
            Kept::CountOf { count, at, .. } => (*count, at.as_ref()),
            _ => return Vec::new(),
        };
        if at.is_some_and(|at| *at != view.tags[tag].place()) {
            return Vec::new(); // other registers: what is read first is taken as seen
        }
        let restarted = match (&before, &state.kept) {
            (Kept::CountOf { run, said_by, .. }, Kept::CountOf { run: in_run, said_by: by, .. }) => {
                said_by == by && run != in_run
            }
            _ => false,
        };
        let (count, reset) = if restarted { (now, true) } else { counter.passed(last, now) };
        if (count == 0 && !reset) || !when {
            return Vec::new();
        }
        let mut fields = vec![("count".to_owned(), number(count)), ("total".to_owned(), number(now))];
        if reset {
            fields.push(("reset".to_owned(), Value::Bool(true)));
        }
        self.told(Some(fields), view)
    }

    fn change(&self, at: Ref, digest: u64, when: Option<bool>, state: &mut State, view: &View<'_>) -> Vec<Told> {
        let main = |tag| view.good(Ref { tag, bit: None });
        let Some(value) = view.good(at).cloned() else { return Vec::new() };
        let (mut seq, mut epoch) = (None, None);
        if let Some(own) = self.seq {
            seq = main(own.tag).and_then(Datum::number).and_then(|n| u64::try_from(n).ok());
            if let Epoch::Tag { tag, .. } = own.epoch {
                epoch = main(tag).cloned();
                if epoch.is_none() {
                    return Vec::new();
                }
            }
            if seq.is_none() {
                return Vec::new();
            }
        }
        let place = view.tags[at.tag].place();
        let same =
            |of: Option<u64>, at: Option<&String>| of.is_none_or(|of| of == digest) && at.is_none_or(|at| *at == place);
        let now = Kept::Seen { value, seq, epoch, digest: Some(digest), at: Some(place.clone()) };
        let (before, last, run) = match &mut state.kept {
            Kept::Seen { value, seq, epoch, digest: of, at } if same(*of, at.as_ref()) => {
                (*of, *at) = (Some(digest), Some(place));
                (&*value, *seq, &*epoch)
            }
            _ => {
                state.kept = now;
                return Vec::new();
            }
        };
        let Kept::Seen { value, seq, epoch, .. } = &now else { return Vec::new() };
        // A device that has just started has told nothing yet: its number is 0, or still that of the run before.
        let is_new_run = epoch != run || last.zip(*seq).is_some_and(|(last, seq)| self.went_back(last, seq));
        if is_new_run && (value == before || *seq == Some(0)) {
            state.kept = now;
            return Vec::new();
        }
        if value == before || when != Some(true) {
            return Vec::new();
        }
        let mut told = Vec::new();
        let mut own = Fields::new();
        if let (Some(Seq { bits, epoch: Epoch::Gateway, .. }), Some(seq)) = (self.seq, *seq) {
            own.push(("seq".to_owned(), number(seq)));
            told.extend(last.and_then(|last| missing(last, seq, bits)).map(|gap| Told::Event(gap_event(gap, view))));
        }
        let counted = self.seq.zip(*seq).zip(epoch.as_ref()).map(|((own, seq), epoch)| counted(own, seq, epoch));
        state.kept = now;
        match (self.told(Some(own), view).pop(), counted) {
            (Some(Told::Event(event)), Some(position)) => told.push(Told::Counted(position, event)),
            (Some(other), _) => told.push(other),
            (None, _) => {}
        }
        told
    }

    /// Nothing but the number tells one run of the device from the next, and it says so.
    fn went_back(&self, last: u64, seq: u64) -> bool {
        let Some(Seq { bits, epoch: Epoch::Gateway, .. }) = self.seq else { return false };
        ahead(last, seq, bits) > mask(bits) / 2
    }

    fn told(&self, happened: Happened, view: &View<'_>) -> Vec<Told> {
        let Some(own) = happened else { return Vec::new() };
        vec![match self.carried.event(&self.kind, own, view) {
            Ok(event) => Told::Event(event),
            Err(why) => Told::Refused(format!("{} is not told: {why}", self.kind)),
        }]
    }
}

impl Counter {
    /// How far it has moved in one run of the device, and whether it began again in between; then what it counted before
    /// that is not known.
    ///
    /// A step back is a wrap where it can be nothing else, or where it is a short way across it: at most an eighth of the
    /// range, or one (docs/adr/0008).
    pub(in crate::tagmap::points) const fn passed(self, last: u64, now: u64) -> (u64, bool) {
        if now >= last {
            return (now - last, false);
        }
        let across = self.wraps_at.saturating_sub(last).saturating_add(now);
        let short = if self.wraps_at < 16 { 1 } else { self.wraps_at / 8 };
        if self.may_reset && across > short { (now, true) } else { (across, false) }
    }
}

/// What is remembered of a count; `None`: the run that it belongs to is not known now.
fn counted_to(count: u64, tag: usize, counter: Counter, view: &View<'_>) -> Option<Kept> {
    let at = view.tags[tag].place();
    let Some(tag) = counter.epoch else { return Some(Kept::CountAt { count, at }) };
    let run = view.good(Ref { tag, bit: None })?.clone();
    // A map that takes another register for it says nothing of the run that was seen.
    let of = &view.tags[tag];
    Some(Kept::CountOf { count, run, said_by: format!("{} {} {}", of.name, of.area.word(), of.at), at: Some(at) })
}

/// First and last of the numbers between `last` and `seq`, if any are missing; a number that goes back is a new run.
fn missing(last: u64, seq: u64, bits: u8) -> Option<(u64, u64)> {
    let mask = mask(bits);
    let is_gap = (2..=mask / 2).contains(&ahead(last, seq, bits));
    is_gap.then(|| (last.wrapping_add(1) & mask, seq.wrapping_sub(1) & mask))
}

const fn ahead(last: u64, seq: u64, bits: u8) -> u64 {
    seq.wrapping_sub(last) & mask(bits)
}

const fn mask(bits: u8) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// A whole number; as text where it is beyond 63 bits.
fn number(n: u64) -> Value {
    i64::try_from(n).map_or_else(|_| Value::Text(n.to_string()), Value::Int)
}

/// The same event as the outbox tells of numbers that it misses.
fn gap_event((from, to): (u64, u64), view: &View<'_>) -> DeviceEvent {
    let text = format!("numbers {from} to {to} of {} have no event: they passed between two reads", view.device);
    event(
        "sequence_gap",
        vec![
            word("device", view.device),
            word("code", "sequence_gap"),
            word("severity", "high"),
            ("from".to_owned(), number(from)),
            ("to".to_owned(), number(to)),
            word("text", &text),
        ],
    )
}

/// The register shows the newest number only, so the device can send none again: its ring is 1.
fn counted(own: Seq, seq: u64, epoch: &Datum) -> Position {
    let digits = if let Epoch::Tag { digits, .. } = own.epoch { digits } else { 0 };
    let boot = match epoch {
        Datum::Number(number) => format!("{:0digits$X}", u64::try_from(*number).unwrap_or_default()),
        other => other.text(),
    };
    Position::Counted { boot: Some(boot), seq, bits: own.bits, ring: 1 }
}
