//! All lanes behind the gates of their systems: which of them may send next.
//!
//! Each input goes to its lane; then, as long as the system's gate lets something through, the lane that comes first sends. Lanes
//! of class `ledger` and `document` come before `visibility`, which keeps one request of [`SHARE`]; between the first two the
//! longest wait comes first, `ledger` with [`LEDGER_LEAD_MS`] ahead. A lane that waits for an answer, a pause or its own rows wants
//! nothing, so that it never holds up another.
//!
//! What an operator holds wants nothing either: a held system is a hold of each of its lanes.

use std::collections::BTreeSet;
use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use crate::event::Millis;
use crate::lane::gate::{Gate, Permit, Standing};
use crate::lane::{Action, Input, Lane, Overdue, Storm, Worth, while_held};

/// Of so many requests of a system, one is left to lanes of class `visibility` that want it: 2 %.
const SHARE: u32 = 50;
/// A `ledger` row goes before `document` rows that have waited up to so much longer.
const LEDGER_LEAD_MS: u64 = 60_000;

/// How a system and the way to it stand, as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Its id.
    pub system: String,
    /// Its breaker.
    #[serde(flatten)]
    pub standing: Standing,
    /// Requests in a minute that postings may make now, where the configuration bounds them.
    pub per_minute: Option<u32>,
    /// Its lanes that too many rejections have stopped.
    pub stopped: Vec<Stopped>,
    /// Its lanes with postings that it accepted and does not come to an end with.
    #[serde(default)]
    pub late: Vec<Late>,
}

/// A lane with postings that the system is at work on for too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Its id.
    pub lane: String,
    /// Which.
    #[serde(flatten)]
    pub overdue: Overdue,
}

/// A lane that sends nothing new but single rows, to find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Its id.
    pub lane: String,
    /// Why.
    #[serde(flatten)]
    pub storm: Storm,
}

/// All lanes, and the gates of their systems.
#[derive(Debug)]
pub struct Lanes {
    members: Vec<Lane>,
    /// By the index of the target.
    gates: Vec<Gate>,
    /// By the index of the target: requests since a lane of class `visibility` had one, or wanted none.
    passed: Vec<u32>,
    /// By lane: what its system does not come to an end with.
    late: Vec<Option<Overdue>>,
    changes: u64,
}

impl Lanes {
    /// These lanes, in the order by which inputs name them.
    pub fn new(lanes: Vec<Lane>) -> Self {
        let targets = lanes.iter().map(|lane| lane.config().target + 1).max().unwrap_or(0);
        let limits = |target| lanes.iter().find(|lane| lane.config().target == target).map(|l| l.config().limits);
        let gates = (0..targets).map(|target| Gate::new(limits(target).unwrap_or_default())).collect();
        let late = vec![None; lanes.len()];
        Self { members: lanes, gates, passed: vec![0; targets], late, changes: 0 }
    }

    /// One of them.
    pub fn lane(&self, lane: usize) -> &Lane {
        &self.members[lane]
    }

    /// All of them.
    pub fn all(&self) -> &[Lane] {
        &self.members
    }

    /// Takes an input to a lane and says what is to be done, by whom.
    pub fn step(&mut self, lane: usize, input: Input, now: Millis) -> Vec<(usize, Action)> {
        self.step_all([(lane, input)], now)
    }

    /// The same for inputs of one moment: nothing leaves before all of them are known.
    pub fn step_all(&mut self, inputs: impl IntoIterator<Item = (usize, Input)>, now: Millis) -> Vec<(usize, Action)> {
        let mut actions = Vec::new();
        let (mut targets, mut lanes) = (BTreeSet::new(), BTreeSet::new());
        for (lane, input) in inputs {
            actions.extend(self.take(lane, input, now));
            targets.insert(self.members[lane].config().target);
            lanes.insert(lane);
        }
        for target in targets {
            self.leave(target, now, &mut actions);
        }
        for lane in lanes {
            self.store_ahead(lane, now, &mut actions);
            actions.extend(self.members[lane].refill().map(|action| (lane, action)));
        }
        actions
    }

    /// The wall clock was set ahead by so much: no time that has passed. Call it before anything that comes with the new time.
    pub fn clock_jumped(&mut self, ms: u64) {
        self.members.iter_mut().for_each(|lane| lane.clock_jumped(ms));
    }

    /// Time has passed: what is due by it.
    pub fn tick(&mut self, now: Millis) -> Vec<(usize, Action)> {
        let is_due = |lane: &usize| self.wakes_at(*lane, now).is_some_and(|at| at <= now);
        let due: Vec<usize> = (0..self.members.len()).filter(is_due).collect();
        self.step_all(due.into_iter().map(|lane| (lane, Input::Tick)), now)
    }

    /// Nothing new leaves any more: what was stored and has not left goes back in line.
    pub fn stop(&mut self, now: Millis) -> Vec<(usize, Action)> {
        let mut actions = Vec::new();
        for (index, lane) in self.members.iter_mut().enumerate() {
            let mut told = Vec::new();
            lane.give_back(now, &mut told);
            actions.extend(told.into_iter().map(|action| (index, action)));
        }
        actions
    }

    /// When [`Lanes::tick`] is worth calling, if nothing else happens before.
    pub fn wake_at(&self, now: Millis) -> Option<Millis> {
        (0..self.members.len()).filter_map(|lane| self.wakes_at(lane, now)).min()
    }

    /// How often a breaker has changed since the start: whether [`Lanes::systems`] is worth telling again.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How the systems stand.
    pub fn systems(&self, now: Millis) -> Vec<System> {
        let system = |(target, gate): (usize, &Gate)| {
            let lane = self.members.iter().find(|lane| lane.config().target == target)?;
            let (system, standing) = (lane.config().system.clone(), self.standing(target, now));
            let stopped = |(_, lane): (usize, &Lane)| {
                let (lane, storm) = (lane.config().id.clone(), lane.storm()?.clone());
                Some(Stopped { lane, storm })
            };
            let stopped = self.of(target).filter_map(stopped).collect();
            let late = |(index, lane): (usize, &Lane)| {
                Some(Late { lane: lane.config().id.clone(), overdue: self.late[index].clone()? })
            };
            let late = self.of(target).filter_map(late).collect();
            Some(System { system, standing, per_minute: gate.per_minute(now), stopped, late })
        };
        self.gates.iter().enumerate().filter_map(system).collect()
    }

    fn of(&self, target: usize) -> impl Iterator<Item = (usize, &Lane)> {
        self.members.iter().enumerate().filter(move |(_, lane)| lane.config().target == target)
    }

    fn flying(&self, target: usize) -> usize {
        self.of(target).map(|(_, lane)| lane.flying()).sum()
    }

    /// How a system stands. What is asked of it next, and when, the lanes know, and whether a person keeps all of them.
    fn standing(&self, target: usize, now: Millis) -> Standing {
        let mut standing = self.gates[target].standing();
        if let Standing::Open { trouble, next_try } | Standing::HalfOpen { trouble, next_try, .. } = &mut standing {
            *next_try = self.of(target).filter_map(|(lane, _)| self.sends_at(lane, now)).min();
            if self.of(target).all(|(_, lane)| lane.is_held()) {
                trouble.help = while_held(&trouble.help).to_owned();
            }
        }
        standing
    }

    fn sends_at(&self, lane: usize, now: Millis) -> Option<Millis> {
        let target = self.members[lane].config().target;
        let (sends, opens) = (self.members[lane].sends_at()?, self.gates[target].opens_at(self.flying(target), now)?);
        Some(sends.max(opens))
    }

    fn wakes_at(&self, lane: usize, now: Millis) -> Option<Millis> {
        let sends = self.sends_at(lane, now);
        [sends, self.members[lane].reads_at(), self.members[lane].gives_back_at()].into_iter().flatten().min()
    }

    fn take(&mut self, lane: usize, input: Input, now: Millis) -> Vec<(usize, Action)> {
        let target = self.members[lane].config().target;
        let (before, storm) = (self.standing(target, now), self.members[lane].storm().cloned());
        match &input {
            Input::Answered { batch, answer } => {
                let (first, isolated) =
                    (self.members[lane].first_of(*batch), self.members[lane].is_isolated(*batch, answer));
                self.gates[target].answered((lane, *batch), first, answer, isolated, now);
            }
            Input::Looked { batch, answer } | Input::Polled { batch, answer } => {
                self.gates[target].heard(self.members[lane].first_of(*batch), answer, now);
            }
            _ => {}
        }
        let actions = self.members[lane].take(input, now).into_iter().map(|action| (lane, action)).collect();
        let late = self.members[lane].overdue(now);
        if late != self.late[lane] {
            self.late[lane] = late;
            self.changes += 1;
        }
        if let Some((lane, batch)) =
            self.gates[target].probe().filter(|(lane, batch)| !self.members[*lane].is_flying(*batch))
        {
            self.gates[target].gone(lane, batch); // it was not to leave after all
        }
        self.changes += u64::from(self.members[lane].storm() != storm.as_ref());
        if discriminant(&self.gates[target].standing()) != discriminant(&before) {
            self.members.iter_mut().filter(|lane| lane.config().target == target).for_each(|lane| lane.calm(now));
        }
        self.changes += u64::from(self.standing(target, now) != before);
        actions
    }

    /// Stores what leaves next, where nothing but room is wanting. A system that bounds its requests is no faster by it.
    fn store_ahead(&mut self, lane: usize, now: Millis, actions: &mut Vec<(usize, Action)>) {
        let member = &mut self.members[lane];
        if self.gates[member.config().target].is_open() {
            actions.extend(member.store_ahead(now).map(|action| (lane, action)));
        }
    }

    /// Lets leave what may.
    fn leave(&mut self, target: usize, now: Millis, actions: &mut Vec<(usize, Action)>) {
        let mut idle = BTreeSet::new();
        loop {
            let flying = self.flying(target);
            let begins = self.gates[target].wake(now);
            self.changes += u64::from(begins);
            let Some(permit) = self.gates[target].permit(flying, now) else { return };
            let Some(lane) = self.next(target, permit, &idle, now) else { return };
            let mut told = Vec::new();
            let sent = self.members[lane].leave(permit, now, &mut told);
            actions.extend(told.into_iter().map(|action| (lane, action)));
            match &sent {
                Some(Action::Send { batch, .. } | Action::Release { batch }) => {
                    self.gates[target].left(lane, *batch, true, now);
                }
                Some(Action::Look { batch, .. } | Action::Poll { batch, .. }) => {
                    self.gates[target].left(lane, *batch, false, now);
                }
                _ => drop(idle.insert(lane)),
            }
            if let Some(sent) = sent {
                actions.push((lane, sent));
            }
        }
    }

    /// The lane that sends next.
    fn next(&mut self, target: usize, permit: Permit, idle: &BTreeSet<usize>, now: Millis) -> Option<usize> {
        let wanting: Vec<(usize, Worth, Millis)> = self
            .of(target)
            .filter(|(index, _)| !idle.contains(index))
            .filter_map(|(index, lane)| Some((index, lane.config().worth, lane.wants(now)?)))
            .collect();
        if permit == Permit::Probe {
            // The oldest row of the highest class; a lane that was tried in vain lets others try.
            let tried = self.gates[target].tried();
            let first =
                wanting.iter().min_by_key(|(index, worth, since)| (Some(*index) == tried, rank(*worth), *since));
            return first.map(|(index, ..)| *index);
        }
        let shows = |(_, worth, _): &&(usize, Worth, Millis)| *worth == Worth::Visibility;
        let shown = wanting.iter().filter(shows).min_by_key(|(.., since)| *since);
        let ahead = |worth| if worth == Worth::Ledger { LEDGER_LEAD_MS } else { 0 };
        let booked =
            wanting.iter().filter(|lane| !shows(lane)).min_by_key(|(_, worth, since)| since.minus(ahead(*worth)));
        let passed = &mut self.passed[target];
        let (first, _, _) = match (booked, shown) {
            (Some(booked), Some(_)) if *passed + 1 < SHARE => {
                *passed += 1;
                booked
            }
            (booked, shown) => {
                *passed = 0;
                shown.or(booked)?
            }
        };
        Some(*first)
    }
}

/// Classes in the order in which a system is tried with their rows.
fn rank(worth: Worth) -> u8 {
    match worth {
        Worth::Ledger => 0,
        Worth::Document => 1,
        Worth::Visibility => 2,
    }
}

#[cfg(test)]
mod tests;
