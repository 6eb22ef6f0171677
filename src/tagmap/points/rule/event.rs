//! `[[event]]`: an edge, a change, a state that lasts, a count.
//!
//! While a condition or `when` depends on a value that is not there, nothing is decided: the edge is told once it is.

use super::{Carried, Kept, State, Told, View, event, word};
use crate::event::{DeviceEvent, Fields, Position, Value};
use crate::tagmap::points::condition::Condition;
use crate::tagmap::points::tag::{Counter, UNPROVEN};
use crate::tagmap::points::value::{Datum, Ref};

/// One `[[event]]`.
#[derive(Debug, Clone)]
pub(in crate::tagmap::points) struct Event {
    pub(in crate::tagmap::points) kind: String,
    pub(in crate::tagmap::points) on: On,
    pub(in crate::tagmap::points) when: Option<Condition>,
    /// `at_once`: a change is decided when it is seen; otherwise it waits until `when` holds.
    pub(in crate::tagmap::points) turn: Option<Turn>,
    pub(in crate::tagmap::points) seq: Option<Seq>,
    pub(in crate::tagmap::points) carried: Carried,
}

/// Its place among the events that one change decides: the first whose `when` holds takes it.
#[derive(Debug, Clone, Default)]
pub(in crate::tagmap::points) struct Turn {
    /// Of those before it.
    pub(in crate::tagmap::points) before: Vec<Condition>,
    /// Another one stands behind it; what none of several takes is told by the last.
    pub(in crate::tagmap::points) followed: bool,
}

/// What becomes of a change.
enum Decision {
    /// It waits.
    Open,
    /// It is this event.
    Taken,
    /// Another event's, or told by another one.
    Others,
    /// The map has no event for it, and wants none.
    Left,
    /// It can't be decided, or nothing takes it; in words.
    Refused(String),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tagmap::points) struct Seq {
    pub(in crate::tagmap::points) tag: usize,
    /// Width in bits.
    pub(in crate::tagmap::points) bits: u8,
    pub(in crate::tagmap::points) epoch: Epoch,
}

/// What tells one run of the device from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tagmap::points) enum Epoch {
    /// Nothing: a number that goes back is a new run, and the gateway numbers the events.
    Gateway,
    /// A register with so many hex digits.
    Tag { tag: usize, digits: usize },
}

impl On {
    pub(in crate::tagmap::points) fn refs(&self) -> Vec<Ref> {
        match self {
            Self::Rising(condition) | Self::Falling(condition) | Self::Held(condition, _) => condition.refs(),
            Self::Change(at, _) => vec![*at],
            Self::Count(tag, _) => vec![Ref { tag: *tag, bit: None }],
        }
    }
}

/// What an event is to carry beside the map's fields: `None`, nothing happened.
type Happened = Option<Fields>;

impl Event {
    pub(in crate::tagmap::points) fn refs(&self) -> Vec<Ref> {
        let mut refs = self.on.refs();
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
        let most = counter.max_step.or((reset && !restarted).then_some(UNPROVEN));
        let beyond = most.filter(|most| count > *most);
        let counted = if beyond.is_some() { 0 } else { count };
        let mut fields = vec![("count".to_owned(), number(counted)), ("total".to_owned(), number(now))];
        if reset {
            fields.push(("reset".to_owned(), Value::Bool(true)));
        }
        let Some(most) = beyond else { return self.told(Some(fields), view) };
        fields.push(("uncounted".to_owned(), number(count)));
        let mut told = self.told(Some(fields), view);
        let name = &view.tags[tag].name;
        told.push(Told::Refused(format!(
            "{} counts nothing of {count}: {name} went from {last} to {now}, and a step may be {most} (counter.max_step)",
            self.kind
        )));
        told
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
        if value == before {
            return Vec::new();
        }
        let decision = self.decision(when, view);
        match decision {
            Decision::Open => return Vec::new(),
            Decision::Others => {
                state.kept = now;
                return Vec::new();
            }
            Decision::Taken | Decision::Left | Decision::Refused(_) => {}
        }
        let mut told = Vec::new();
        let mut own = Fields::new();
        if let (Some(Seq { bits, epoch: Epoch::Gateway, .. }), Some(seq)) = (self.seq, *seq) {
            own.push(("seq".to_owned(), number(seq)));
            told.extend(last.and_then(|last| missing(last, seq, bits)).map(|gap| Told::Event(gap_event(gap, view))));
        }
        let counted = self.seq.zip(*seq).zip(epoch.as_ref()).map(|((own, seq), epoch)| counted(own, seq, epoch));
        state.kept = now;
        match (decision, counted) {
            (Decision::Refused(why), _) => told.push(Told::Refused(why)),
            (Decision::Left, counted) => told.extend(counted.map(Told::Passed)),
            (_, counted) => match (self.told(Some(own), view).pop(), counted) {
                (Some(Told::Event(event)), Some(position)) => told.push(Told::Counted(position, event)),
                (other, _) => told.extend(other),
            },
        }
        told
    }

    /// What becomes of a change that is seen now.
    fn decision(&self, when: Option<bool>, view: &View<'_>) -> Decision {
        let Some(turn) = &self.turn else {
            return if when == Some(true) { Decision::Taken } else { Decision::Open };
        };
        if turn.before.iter().any(|before| before.holds(&|at| view.good(at)) != Some(false)) {
            return Decision::Others; // told there, also that it is not known
        }
        match when {
            Some(true) => Decision::Taken,
            Some(false) if turn.followed => Decision::Others,
            Some(false) if turn.before.is_empty() => Decision::Left,
            Some(false) => Decision::Refused(format!(
                "{} is not told, nor is an event before it that the same change may be: no `when` of them holds",
                self.kind
            )),
            None => {
                let refs = self.when.iter().flat_map(Condition::refs);
                let unknown = refs.into_iter().find(|at| view.good(*at).is_none());
                let why =
                    unknown.map_or_else(String::new, |at| format!(": {} {}", view.name(at), view.latest[at.tag].why()));
                Decision::Refused(format!("{} is not told: its `when` can't be decided{why}", self.kind))
            }
        }
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
    /// range, or one, and no more than `max_step` (docs/adr/0008).
    pub(in crate::tagmap::points) fn passed(self, last: u64, now: u64) -> (u64, bool) {
        if now >= last {
            return (now - last, false);
        }
        let across = self.wraps_at.saturating_sub(last).saturating_add(now);
        let short = if self.wraps_at < 16 { 1 } else { self.wraps_at / 8 };
        let short = self.max_step.map_or(short, |most| short.min(most));
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
