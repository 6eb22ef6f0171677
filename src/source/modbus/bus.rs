//! What is behind one link: its devices, their units, and what is due on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::schedule::{self, Schedule};
use super::station::{Next, Station, is_refusal};
use super::tags::{Group, Pool, Tags};
use super::unit::{Unit, Verdict};
use super::wire::{Trouble, Wire};
use super::{Config, Device, Identity, until_taken};
use crate::event::Sample;
use crate::outbox::{CaptureError, LastSeen, Placed, Tap};
use crate::source::health::{Cause, Gauge, Health, State};
use crate::source::now;
use crate::tagmap::Quirk;
use crate::tagmap::points::Points;

/// Everything behind a link.
pub(super) struct Bus {
    devices: Vec<Behind>,
    units: BTreeMap<u8, Unit>,
    fifos: Vec<Station>,
    tags: Pool,
    schedule: Schedule,
    /// What the schedule's jobs are.
    work: Vec<Work>,
    idle_close: Option<Duration>,
    /// Units whose answers have ids of their own.
    any_id: BTreeSet<u8>,
    /// When what was refused was tried again last …
    released: Instant,
    /// … and after how long it is tried once more.
    release_after: Duration,
}

/// One job of the schedule.
struct Work {
    unit: u8,
    /// The devices it is for.
    devices: Vec<usize>,
    part: Part,
    /// What its last answer says of each of them, and why; nothing since the unit was away.
    says: Vec<(State, Option<String>)>,
    /// Why its last request had no answer; nothing since the unit was away.
    silent: Option<String>,
}

impl Work {
    const fn new(unit: u8, devices: Vec<usize>, part: Part) -> Self {
        Self { unit, devices, part, says: Vec::new(), silent: None }
    }

    /// The unit is away: what it said is over.
    fn forget(&mut self) {
        self.says.clear();
        self.silent = None;
    }

    /// What it says of that device.
    fn says_of(&self, device: usize) -> Option<&(State, Option<String>)> {
        self.says.get(self.devices.iter().position(|own| *own == device)?)
    }
}

/// What of a device's parts is told of it: the worst.
const fn gravity(state: State) -> u8 {
    match state {
        State::Refused => 2,
        State::Stuck => 1,
        _ => 0,
    }
}

/// What is polled.
enum Part {
    Fifo(usize),
    Tags(Group),
}

/// One device.
struct Behind {
    id: Arc<str>,
    unit: u8,
    gauge: Gauge,
    identity: Option<Identity>,
    /// It is the device of the configuration, or nobody has to ask.
    known: bool,
    /// Its trouble was told and is not over.
    told: bool,
    /// Jobs of its tags that it refuses, and how often in a row; FIFOs tell of themselves.
    refusals: BTreeMap<usize, u32>,
    /// … and that was told.
    refusal_told: bool,
}

/// Refused so often in a row is news: a device that is busy now and then is none.
const REFUSED: u32 = 3;

/// Why a connection is left.
#[derive(Debug)]
pub(super) enum End {
    /// The gateway stops, or the outbox is closed.
    Stop,
    /// The first address can be reached again.
    Home,
    /// Nothing is due before then.
    Idle(Instant),
    /// It can't be used any more.
    Lost(Trouble),
}

impl Bus {
    pub(super) fn new(config: &Config, health: &Health, tap: Tap) -> Self {
        let start = Instant::now();
        let mut bus = Self {
            devices: Vec::new(),
            units: BTreeMap::new(),
            fifos: Vec::new(),
            tags: Pool::new(tap),
            schedule: Schedule::default(),
            work: Vec::new(),
            idle_close: if config.closes_each_cycle() { Some(Duration::ZERO) } else { config.idle_close },
            any_id: config.devices.iter().filter(|d| d.has(Quirk::NoTransactionEcho)).map(|d| d.unit).collect(),
            released: start,
            release_after: config.quarantine.max,
        };
        for device in &config.devices {
            bus.units.entry(device.unit).or_insert_with(|| Unit::new(config.quarantine, config.retries));
            let gauge = health.device(&config.link, &device.id);
            let number = bus.devices.len();
            for fifo in &device.map.fifos {
                bus.schedule.add(fifo.every, fifo.priority, start);
                let part = Part::Fifo(bus.fifos.len());
                bus.work.push(Work::new(device.unit, vec![number], part));
                bus.fifos.push(Station::new(Arc::clone(&device.id), device.unit, fifo.clone()));
            }
            if let Some(points) = &device.map.points {
                bus.add_tags(device, number, points, &gauge, start);
            }
            bus.devices.push(Behind {
                id: Arc::clone(&device.id),
                unit: device.unit,
                gauge,
                known: device.identity.is_none(),
                identity: device.identity.clone(),
                told: false,
                refusals: BTreeMap::new(),
                refusal_told: false,
            });
        }
        bus
    }

    /// Each poll joins the group of its unit and period, or begins one.
    fn add_tags(&mut self, device: &Device, number: usize, points: &Points, gauge: &Gauge, start: Instant) {
        let tags = self.tags.tags.len();
        for (index, poll) in points.polls().iter().enumerate() {
            let same = |job: usize, group: &Group| {
                group.unit == device.unit && self.schedule.period(job) == (poll.every, poll.priority)
            };
            let open = self.work.iter_mut().enumerate().find_map(|(job, work)| match &mut work.part {
                Part::Tags(group) if same(job, group) => Some((group, &mut work.devices)),
                _ => None,
            });
            if let Some((group, devices)) = open {
                group.members.push((tags, index));
                devices.push(number);
                continue;
            }
            let mut group = Group::new(device.unit);
            group.members.push((tags, index));
            self.schedule.add(poll.every, poll.priority, start);
            self.work.push(Work::new(device.unit, vec![number], Part::Tags(group)));
        }
        self.tags.tags.push(Tags::new(Arc::clone(&device.id), gauge.clone(), points.clone()));
    }

    /// A new connection: who the devices are is asked again.
    pub(super) fn begin(&mut self, wire: &mut Wire) {
        wire.take_any_id_of(self.any_id.clone());
        self.devices.iter_mut().for_each(|device| device.known = device.identity.is_none());
    }

    /// The connection before was lost: asks the outbox where each device stood at its last commit, and tries again what the
    /// devices refused.
    pub(super) async fn resume<L>(&mut self, last_seen: impl Fn(Arc<str>) -> L) -> Result<(), CaptureError>
    where
        L: Future<Output = Result<Option<LastSeen>, CaptureError>>,
    {
        self.release();
        for station in &mut self.fifos {
            if let Some(last) = until_taken(|| last_seen(Arc::clone(&station.device))).await? {
                station.resume(&last.epoch, last.position);
            }
        }
        Ok(())
    }

    /// A device that refused an address may have been given it meanwhile: a program is loaded, a module put in.
    fn release(&mut self) {
        self.released = Instant::now();
        self.tags.tags.iter().for_each(Tags::release);
        self.work.iter_mut().for_each(|work| match &mut work.part {
            Part::Tags(group) => group.release(),
            Part::Fifo(_) => {}
        });
    }

    /// Nothing can be said of the devices.
    pub(super) fn link_down(&mut self) {
        self.work.iter_mut().for_each(Work::forget);
        self.devices.iter().for_each(|device| device.gauge.is(State::Down, Some("its link is down")));
    }

    /// Does what is due over one connection until it is to be left.
    pub(super) async fn serve<C>(
        &mut self,
        wire: &mut Wire,
        capture: &impl Fn(Vec<Sample>) -> C,
        stop: &CancellationToken,
        leave: &CancellationToken,
    ) -> End
    where
        C: Future<Output = Result<Vec<Placed>, CaptureError>> + Send + 'static,
    {
        loop {
            if stop.is_cancelled() {
                return End::Stop;
            }
            if leave.is_cancelled() {
                return End::Home;
            }
            if self.released.elapsed() >= self.release_after {
                self.release();
            }
            match self.schedule.next(Instant::now()) {
                schedule::Next::Run(job) => {
                    if let Some(end) = self.run(job, wire, capture).await {
                        return end;
                    }
                }
                schedule::Next::Wait(until) => {
                    let idle = until.duration_since(Instant::now());
                    if self.idle_close.is_some_and(|limit| idle >= limit) {
                        return End::Idle(until);
                    }
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = leave.cancelled() => {}
                        () = sleep_until(until) => {}
                    }
                }
                schedule::Next::Nothing => {
                    stop.cancelled().await;
                }
            }
        }
    }

    /// Does one job; `Some`: the connection is to be left.
    async fn run<C>(&mut self, job: usize, wire: &mut Wire, capture: &impl Fn(Vec<Sample>) -> C) -> Option<End>
    where
        C: Future<Output = Result<Vec<Placed>, CaptureError>> + Send + 'static,
    {
        let begun = Instant::now();
        let polled = self.poll(job, wire, capture).await;
        let at = Instant::now();
        match polled {
            Ok(Next::Stop) => Some(End::Stop),
            Ok(next) => {
                // A refused request is made smaller: what is left of it is known with the next poll.
                let is_split = next == Next::Again && matches!(self.work[job].part, Part::Tags(_));
                if !is_split {
                    self.says(job, None);
                    self.devices_of(job).for_each(|device| device.taken(job));
                }
                self.answered(job, at - begun);
                if next == Next::Again {
                    self.schedule.again(job, at);
                } else {
                    self.done(job, at);
                }
                None
            }
            Err(refusal) if is_refusal(&refusal) => {
                self.says(job, Some(&refusal.words));
                self.answered(job, at - begun);
                if matches!(self.work[job].part, Part::Tags(_)) {
                    self.devices_of(job).for_each(|device| device.refuses(job, &refusal));
                }
                self.done(job, at);
                None
            }
            Err(trouble) => {
                self.failed(job, &trouble, at);
                (!trouble.usable).then_some(End::Lost(trouble))
            }
        }
    }

    async fn poll<C>(
        &mut self,
        job: usize,
        wire: &mut Wire,
        capture: &impl Fn(Vec<Sample>) -> C,
    ) -> Result<Next, Trouble>
    where
        C: Future<Output = Result<Vec<Placed>, CaptureError>> + Send + 'static,
    {
        let Work { devices, part, .. } = &mut self.work[job];
        for device in devices {
            let device = &mut self.devices[*device];
            wire.for_devices([device.gauge.clone()]);
            if !device.known {
                device.identify(wire).await?;
                device.known = true;
            }
        }
        match part {
            Part::Fifo(station) => self.fifos[*station].poll(wire, capture).await,
            Part::Tags(group) => group.poll(&mut self.tags, wire, capture).await,
        }
    }

    fn devices_of(&mut self, job: usize) -> impl Iterator<Item = &mut Behind> {
        let Self { work, devices, .. } = self;
        let of = &work[job].devices;
        devices.iter_mut().enumerate().filter_map(|(number, device)| of.contains(&number).then_some(device))
    }

    fn done(&mut self, job: usize, at: Instant) {
        let missed = self.schedule.done(job, at);
        if missed > 0 {
            self.work[job].devices.iter().for_each(|device| self.devices[*device].gauge.missed(missed));
        }
    }

    /// What an answer, or a refusal, says of the devices that it is for.
    fn says(&mut self, job: usize, refusal: Option<&str>) {
        let Work { devices, part, .. } = &self.work[job];
        let state = |member: usize| match (refusal, part) {
            (Some(words), _) => (State::Refused, Some(words.to_owned())),
            (None, Part::Fifo(station)) if self.fifos[*station].is_stuck() => {
                (State::Stuck, Some("events wait in its FIFO and nothing is committed".to_owned()))
            }
            (None, Part::Tags(group)) if self.tags.tags[group.members[member].0].is_stale() => {
                (State::Stuck, Some("it answers, but its watchdog value does not move".to_owned()))
            }
            _ => (State::Up, None),
        };
        self.work[job].says = (0..devices.len()).map(state).collect();
    }

    /// The unit answers, with what it is asked for or with a refusal.
    fn answered(&mut self, job: usize, took: Duration) {
        self.work[job].silent = None;
        let unit = self.work[job].unit;
        for work in self.work.iter_mut().filter(|work| work.unit == unit) {
            if let Some(words) = &work.silent {
                let words = format!("it answers, but not to each poll: {words}");
                work.says = vec![(State::Stuck, Some(words)); work.devices.len()];
            }
        }
        let Work { unit, devices, .. } = &self.work[job];
        let ended = self.units.get_mut(unit).is_some_and(Unit::answered);
        let grave = |work: &&Work| work.says.iter().any(|(state, _)| gravity(*state) > 0);
        let grave: Vec<&Work> = self.work.iter().filter(grave).collect();
        for number in devices {
            let device = &mut self.devices[*number];
            let worst = grave.iter().filter_map(|work| work.says_of(*number)).max_by_key(|(state, _)| gravity(*state));
            let (state, detail) = worst.map_or((State::Up, None), |(state, detail)| (*state, detail.as_deref()));
            device.gauge.is(state, detail);
            device.gauge.polled(took);
            let is_silent = |work: &Work| work.silent.is_some() && work.devices.contains(number);
            if !self.work.iter().any(is_silent) && std::mem::take(&mut device.told) || ended {
                tracing::info!(device = %device.id, unit, "the unit answers again");
            }
        }
    }

    /// The unit gave no right answer, or is another device.
    fn failed(&mut self, job: usize, trouble: &Trouble, at: Instant) {
        let shared = self.units.len() > 1;
        let number = self.work[job].unit;
        let foreign = trouble.cause == Cause::WrongDevice;
        let Some(unit) = self.units.get_mut(&number) else { return };
        let verdict = if foreign { Verdict::Quarantined(unit.leave_alone(at)) } else { unit.failed(at, shared) };
        match verdict {
            Verdict::Retry => {}
            Verdict::Failed => {
                let work = &mut self.work[job];
                let others_answer = work.silent.replace(trouble.words.clone()).is_some() && !work.says.is_empty();
                if !others_answer {
                    self.tell(number, State::Down, trouble);
                }
                self.done(job, at);
            }
            Verdict::Quarantined(until) => {
                let for_ms = u64::try_from((until - at).as_millis()).unwrap_or(u64::MAX);
                let until_wall = now().wall.plus(for_ms);
                let state = if foreign { State::Refused } else { State::Quarantined { until: until_wall } };
                self.tell(number, state, trouble);
                tracing::warn!(unit = number, for_ms, cause = %trouble.cause,
                    "the unit is left alone for a while, the others of its link go on");
                let of_unit = self.work.iter_mut().enumerate().filter(|(_, work)| work.unit == number);
                for (job, work) in of_unit {
                    work.forget();
                    self.schedule.hold(job, until);
                }
            }
        }
    }

    fn tell(&mut self, unit: u8, state: State, trouble: &Trouble) {
        self.work.iter_mut().filter(|work| work.unit == unit).for_each(|work| work.says.clear());
        for device in self.devices.iter_mut().filter(|device| device.unit == unit) {
            device.gauge.is(state, Some(&trouble.words));
            if !std::mem::replace(&mut device.told, true) {
                tracing::warn!(device = %device.id, unit, cause = %trouble.cause, why = %trouble, hint = trouble.cause.hint(),
                    "no right answer from the unit");
            }
        }
    }
}

impl Behind {
    /// A poll of its tags was refused: told once, when it lasts.
    fn refuses(&mut self, job: usize, refusal: &Trouble) {
        let times = self.refusals.entry(job).or_default();
        *times = times.saturating_add(1);
        if *times >= REFUSED && !std::mem::replace(&mut self.refusal_told, true) {
            tracing::warn!(device = %self.id, unit = self.unit, cause = %refusal.cause, why = %refusal,
                hint = refusal.cause.hint(), "the device refuses what it is asked");
        }
    }

    /// A poll was answered: told when none is refused any more.
    fn taken(&mut self, job: usize) {
        let was = self.refusals.remove(&job).is_some();
        if was && self.refusals.is_empty() && std::mem::take(&mut self.refusal_told) {
            tracing::info!(device = %self.id, unit = self.unit, "the device takes what it is asked again");
        }
    }

    /// Asks the device who it is.
    async fn identify(&self, wire: &mut Wire) -> Result<(), Trouble> {
        let Some(Identity { object, equals }) = &self.identity else { return Ok(()) };
        let said = match wire.identity(self.unit, *object).await {
            Ok(Some(said)) if said == *equals => return Ok(()),
            Ok(Some(said)) => format!("says \"{said}\""),
            Ok(None) => "does not say".to_owned(),
            Err(trouble) if is_refusal(&trouble) => format!("refuses to say ({})", trouble.cause),
            Err(trouble) => return Err(trouble),
        };
        let words = format!(
            "unit {} {said} where its identification object {object} should be \"{equals}\": another device behind the \
             address, or a wrong identity_check",
            self.unit
        );
        self.gauge.troubled(Cause::WrongDevice, &words, now().wall);
        tracing::error!(device = %self.id, "{words}");
        Err(Trouble { cause: Cause::WrongDevice, words, usable: true })
    }
}
