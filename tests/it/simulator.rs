//! Delivery under a seeded world: simulated time, network, ERP and crashes drive the very step function of the gateway.
//!
//! One run is one day of one lane. Every seed is repeatable; a failing one prints the command that repeats it. The
//! negative controls break one rule of the driver or of a declared capability, and have to be caught.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use floorgate::event::Millis;
use floorgate::lane::{
    Accepted, Action, Answer, By, Class, Config, Exception, Format, Idempotency, Input, KeyScope, Lane, Lanes, Later,
    Limits, Outcome, Row, RowKey, SavedBatch, WINDOW, Worth,
};

mod holds;
mod requests;

use holds::Hold;
use requests::Requests;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const TIMEOUT: u64 = 30 * SECOND;
/// A request whose client gave up may still take effect this long after it was sent.
const LATE: u64 = 50 * SECOND;
const HORIZON: u64 = 40 * MINUTE;
/// A batch may be stored so long before it leaves.
const AHEAD: u64 = SECOND;
/// How long a gateway waits for a clock to trust.
const HOLD_UNSYNCED: u64 = 15 * MINUTE;

/// The rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The batch is not stored before its first byte leaves.
    NoDurableSending,
    /// The lane believes that the target remembers keys for ever.
    HorizonIgnored,
    /// A resend carries other bytes.
    RenderedAnew,
    /// Rows of one subject share a batch on a target that doesn't stop at the first error.
    OrderDeclaredFalsely,
    /// Rejected rows don't park their subject, and a person's retry comes later.
    NoParking,
    /// A timeout is taken for "no effect".
    TimeoutIsNo,
    /// A lookup that finds nothing is believed at once, while the request may still be at work.
    AbsentBelieved,
    /// The clock of a machine that was off, and that nobody has set since, is believed.
    ClockBelieved,
    /// The wall clock is believed over the one that nobody sets.
    WallBelieved,
    /// A restart forgets until when the target has asked to be left alone.
    AwayForgotten,
    /// What the target has accepted is sent again instead of being asked for.
    AcceptedIsResent,
    /// What the target has accepted is taken for posted.
    AcceptedIsDone,
    /// A restart forgets what was accepted.
    HandleForgotten,
    /// An open breaker never tries the system again.
    NeverHalfOpen,
    /// The gate knows nothing of what the system allows.
    BucketIgnored,
    /// A row that fails alone is rejected as if it surely had no effect.
    PoisonTakenForNo,
    /// Nothing stops a lane of which every row is rejected.
    StormGuardOff,
    /// What is to be stored before there is room for it leaves without having been.
    AheadUnwritten,
    /// The key is one for the request, and the lane believes that each row has its own.
    GroupedAnew,
    /// A resend says that it leaves for the first time, and so has another key.
    KeyRefreshed,
    /// A request that the target calls outdated is sent again.
    OutdatedIsResent,
    /// A restart forgets that the target calls a request outdated.
    OutdatedForgotten,
    /// A request without an answer is taken for refused, and halved.
    SilenceIsRefusal,
    /// The parts of a person's command are told one by one.
    HoldToldInParts,
    /// A restart forgets what a person holds.
    HoldForgotten,
    /// What waits behind a row that a person lets go stays stored as waiting.
    NotLinedUp,
    /// That a request is too large is not understood.
    TooLargeUnread,
}

impl Broken {
    /// The target answers some batches later, and the rule that is broken is about those.
    fn is_of_later(self) -> bool {
        matches!(self, Self::AcceptedIsResent | Self::AcceptedIsDone | Self::HandleForgotten)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Ready,
    /// A repeat that a person has to judge: it and what is behind it never leave.
    Held,
    Waiting {
        until: Millis,
        class: Option<Class>,
        tries: u32,
        since: Millis,
    },
    Rejected(Class, bool),
    Done,
    /// A person took it out.
    Skipped,
}

impl Stored {
    fn parks(self) -> bool {
        matches!(self, Self::Rejected(..) | Self::Held)
    }
}

/// What survives a crash.
#[derive(Default)]
struct Disk {
    rows: BTreeMap<RowKey, (Row, Stored)>,
    batches: BTreeMap<u64, Stays>,
    next_batch: u64,
    /// Until when the ERP has asked us to stay away.
    away_until: Millis,
    /// When a row was rejected.
    rejected: HashMap<RowKey, u64>,
    holds: BTreeSet<Hold>,
}

/// A batch under way.
#[derive(Clone)]
struct Stays {
    rows: Vec<RowKey>,
    attempt: u32,
    first_sent: Millis,
    /// The same by the time that there is.
    left: u64,
    accepted: Option<Accepted>,
    outdated: bool,
}

/// What the ERP has taken over and works on later.
struct Job {
    request: Request,
    /// When it was taken over. What was known then, or since, is not forgotten before it is done.
    begun: u64,
    /// What came of it, once it is done.
    results: Option<Vec<(RowKey, Class)>>,
}

#[derive(Clone)]
struct Request {
    batch: u64,
    attempt: u32,
    rows: Vec<RowKey>,
    first_sent: Millis,
}

enum Event {
    Arrive,
    Effect(Request),
    Answer {
        run: u32,
        batch: u64,
        answer: Answer,
    },
    /// What a lookup finds, now.
    Look {
        run: u32,
        batch: u64,
        rows: Vec<RowKey>,
    },
    Looked {
        run: u32,
        batch: u64,
        answer: Answer,
    },
    /// The ERP comes to a job, or has lost it.
    JobEnds {
        job: u64,
        lost: bool,
    },
    /// What a job's address says, now.
    Poll {
        run: u32,
        batch: u64,
        job: String,
        rows: Vec<RowKey>,
    },
    Polled {
        run: u32,
        batch: u64,
        answer: Answer,
    },
    /// Somebody sets the clock, which is ahead by so much now.
    ClockSetBy(u64),
    /// The time daemon has set the clock, and nobody has noticed yet.
    ClockJumps,
    ClockLookedAt {
        run: u32,
    },
    /// A person looks at what is parked.
    Person,
    /// A person holds something, or releases it.
    Hold(Hold, bool),
    /// What made every row wrong is mended.
    Mended,
}

/// The ERP: applies each key once, as long as it remembers it.
#[derive(Default)]
struct Erp {
    documents: BTreeMap<RowKey, u32>,
    order: HashMap<i64, Vec<i64>>,
    keys: HashMap<RowKey, (u64, u64)>,
    /// In the days of [`requests`].
    requests: Requests,
    /// It can be asked what it has; if `keyless`, it does not tell a key again by itself.
    keyless: bool,
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    /// Rows that jobs will come to.
    at_work: BTreeMap<RowKey, u64>,
}

impl Erp {
    /// The content that it has seen under that key.
    fn knows(&self, now: u64, key: &RowKey) -> Option<u64> {
        let known = self.keys.get(key).filter(|(first, _)| !self.keyless && now.saturating_sub(*first) < HORIZON);
        known.map(|(_, print)| *print)
    }

    /// `begun`: when the request came.
    fn apply(&mut self, (now, begun): (u64, u64), row: &Row, print: u64, bad: bool) -> Class {
        if let Some(known) = self.knows(begun, &row.key) {
            return if known == print { Class::Duplicate } else { Class::KeyClash };
        }
        if bad {
            return Class::Validation;
        }
        self.keys.insert(row.key, (now, print));
        *self.documents.entry(row.key).or_default() += 1;
        self.order.entry(row.order).or_default().push(row.key.seq);
        Class::Delivered
    }
}

#[expect(clippy::struct_excessive_bools, reason = "a day has some of these troubles and not others")]
struct World {
    rng: fastrand::Rng,
    broken: Broken,
    now: u64,
    disk: Disk,
    lanes: Lanes,
    window: usize,
    run: u32,
    erp: Erp,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    bad: BTreeSet<RowKey>,
    outages: Vec<(u64, u64)>,
    /// What the devices hold, in order, until it is captured.
    floor: VecDeque<Vec<Row>>,
    down_until: u64,
    /// When the gateway went down last.
    down_at: u64,
    /// How far the wall clock is behind: machines without a battery stand still while they are off.
    lag: u64,
    booted: Option<Millis>,
    /// On some days somebody sets the clock ahead, and right again: how far it is ahead …
    ahead_by: u64,
    /// … and how far the gateway's own is, which never goes back.
    lead: u64,
    misset: bool,
    sends: u64,
    visibility: bool,
    /// The ERP answers some batches, and some items, later.
    later: bool,
    /// A row needed a person because nobody knew what had become of it.
    given_up: bool,
    /// Batches that the gateway knows to be accepted, and when it may ask for them.
    accepted: BTreeMap<u64, u64>,
    /// Requests in a minute that the ERP allows.
    quota: Option<u32>,
    /// When requests left since the start.
    left: VecDeque<u64>,
    /// It takes effect, and its request is never answered.
    poison: Option<RowKey>,
    /// Every row is wrong for some hours, of a mapping; nothing else happens on such a day.
    storm: bool,
    /// Batches stored and not sent, and since when.
    ahead: BTreeMap<u64, (Request, u64)>,
    /// Of these, how many have left so far.
    released: u64,
    /// The key is one for the request ([`requests`]) …
    whole: bool,
    /// … and each of its rows has its own end.
    parts: bool,
    /// Batches of which the gateway knows, or will know then, that the ERP calls them outdated.
    outdated: BTreeSet<u64>,
    outdated_at: BTreeMap<u64, u64>,
    /// Persons hold things.
    holds: bool,
    /// Most rows that the ERP takes at once, from some time on.
    takes: Option<(usize, u64)>,
    /// From when to when it answers a row, or all rows, with a status that nobody knows.
    odd: Vec<(u64, u64, Option<RowKey>)>,
    /// The first thing seen that may never be.
    wrong: Option<String>,
}

/// How the ERP of that day tells what it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Keys,
    /// Keys, and it can be asked.
    KeysAndLookup,
    Lookup,
}

/// Requests that the ERP allows at once.
const BURST: u32 = 5;

/// `narrow`: rows queue up behind small batches, one at a time.
fn config(
    (broken, narrow): (Broken, bool),
    (ordered_batch, scope): (bool, KeyScope),
    visibility: bool,
    memory: Memory,
    limits: Limits,
) -> Config {
    let scope = if broken == Broken::GroupedAnew { KeyScope::Item } else { scope };
    Config {
        id: "outbound".to_owned(),
        target: 0,
        system: "erp".to_owned(),
        business_unit: "main".to_owned(),
        elsewhere: BTreeSet::new(),
        worth: if visibility || broken == Broken::NoParking { Worth::Visibility } else { Worth::Document },
        take: vec!["*".to_owned()],
        format: Format::Ndjson,
        key_scope: scope,
        ordered_batch: ordered_batch || broken == Broken::OrderDeclaredFalsely,
        max_events: if narrow { 2 } else { 6 },
        max_bytes: 10_000,
        linger_ms: 20,
        max_in_flight: if narrow { 1 } else { 3 },
        idempotency: if memory == Memory::Lookup { Idempotency::Lookup } else { Idempotency::Key },
        settle_ms: (memory != Memory::Keys).then_some(if broken == Broken::AbsentBelieved { 0 } else { 2 * TIMEOUT }),
        replays_errors: false,
        dedup_horizon_ms: if broken == Broken::HorizonIgnored { 100 * DAY } else { HORIZON },
        timeout_ms: TIMEOUT,
        retry_first_ms: 500,
        retry_max_ms: 5 * MINUTE,
        reference_grace_ms: 15 * MINUTE,
        max_parked: 500,
        limits,
    }
}

impl World {
    fn new(seed: u64, broken: Broken, scope: Option<KeyScope>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let scope = scope.unwrap_or_else(|| match rng.u8(0..8) {
            0 => KeyScope::Request,
            1 => KeyScope::Parts,
            _ => KeyScope::Item,
        });
        let (whole, parts) = (scope != KeyScope::Item, scope == KeyScope::Parts);
        let ordered_batch = matches!(broken, Broken::Nothing | Broken::NotLinedUp) && !whole && rng.bool();
        let visibility = broken == Broken::Nothing && rng.u8(0..4) == 0;
        let memory = match broken {
            Broken::Nothing => {
                *rng.choice([Memory::Keys, Memory::KeysAndLookup, Memory::Lookup].iter()).expect("three")
            }
            Broken::AbsentBelieved | Broken::AcceptedIsResent => Memory::Lookup,
            Broken::OutdatedForgotten => Memory::KeysAndLookup,
            _ => Memory::Keys,
        };
        let later = broken.is_of_later() || (broken == Broken::Nothing && rng.bool());
        // Most days overflow the memory of the lane; some have subjects with most of the rows.
        let window = *rng.choice([16, 24, 48, WINDOW].iter()).expect("four windows");
        let subjects = *rng.choice([1_i64, 3, 6, 40].iter()).expect("four numbers");
        let quota = match broken {
            Broken::Nothing => *rng.choice([None, Some(2), Some(60)].iter()).expect("three quotas"),
            Broken::BucketIgnored => Some(2),
            _ => None,
        };
        let storm = broken == Broken::StormGuardOff || (broken == Broken::Nothing && rng.u8(0..10) == 0);
        let limits = Limits {
            per_minute: quota.filter(|_| broken != Broken::BucketIgnored),
            burst: BURST,
            max_concurrent: (broken == Broken::Nothing && rng.bool()).then(|| rng.usize(1..4)),
            breaker_first_ms: if broken == Broken::NeverHalfOpen { 100 * DAY } else { 10 * SECOND },
            storm_guard: broken != Broken::StormGuardOff,
            ..Limits::default()
        };
        let narrow = broken == Broken::AheadUnwritten || (broken == Broken::Nothing && rng.bool());
        let lane = Lane::new(config((broken, narrow), (ordered_batch, scope), visibility, memory, limits), rng.u64(..));
        let keyless = memory == Memory::Lookup;
        let requests = Requests::new(&mut rng, broken, keyless);
        let mut world = Self {
            lanes: Lanes::new(vec![lane.with_window(window)]),
            window,
            broken,
            now: 0,
            disk: Disk { next_batch: 1, ..Disk::default() },
            run: 0,
            erp: Erp { requests, keyless, ..Erp::default() },
            events: BTreeMap::new(),
            next_event: 0,
            bad: BTreeSet::new(),
            outages: Vec::new(),
            floor: VecDeque::new(),
            down_until: 0,
            down_at: 0,
            lag: 0,
            booted: None,
            ahead_by: 0,
            lead: 0,
            misset: broken == Broken::WallBelieved || (broken == Broken::Nothing && rng.u8(0..4) == 0),
            sends: 0,
            visibility,
            later,
            given_up: false,
            accepted: BTreeMap::new(),
            quota,
            left: VecDeque::new(),
            poison: None,
            storm,
            ahead: BTreeMap::new(),
            released: 0,
            whole,
            parts,
            outdated: BTreeSet::new(),
            outdated_at: BTreeMap::new(),
            holds: false,
            takes: None,
            odd: Vec::new(),
            wrong: None,
            rng,
        };
        if storm {
            world.all_wrong();
            return world;
        }
        let mut seq = 0;
        let mut at = 0;
        let busy = broken == Broken::PoisonTakenForNo || (broken == Broken::Nothing && world.rng.u8(0..4) == 0);
        let pause = if busy { MINUTE } else { 40 * MINUTE };
        for _ in 0..world.rng.usize(5..60) {
            at += world.rng.u64(0..pause).min(world.rng.u64(0..pause));
            let rows: Vec<Row> = (0..world.rng.usize(1..6))
                .map(|_| {
                    seq += 1;
                    let key = RowKey { seq, tx: 1 };
                    if world.rng.u8(0..10) == 0 {
                        world.bad.insert(key);
                    } else if seq > 5 && matches!(broken, Broken::Nothing | Broken::PoisonTakenForNo) {
                        world.poison.get_or_insert(key);
                    }
                    let held = broken == Broken::Nothing && world.rng.u8(0..50) == 0;
                    let order = world.rng.i64(0..subjects).min(world.rng.i64(0..subjects));
                    Row { key, order, size: world.rng.u32(100..4_000), held }
                })
                .collect();
            world.floor.push_back(rows);
            world.schedule(at.min(DAY), Event::Arrive);
        }
        if matches!(broken, Broken::Nothing | Broken::NotLinedUp) {
            for _ in 0..world.rng.usize(0..30) {
                let at = world.rng.u64(0..DAY + 4 * HOUR);
                world.schedule(at, Event::Person);
            }
        }
        if world.misset {
            let set = world.rng.u64(0..DAY);
            let by = *world.rng.choice([10 * MINUTE, 100 * MINUTE, 5 * HOUR].iter()).expect("three lengths");
            let right = set + world.rng.u64(0..6 * HOUR);
            world.schedule(set, Event::ClockSetBy(by));
            world.schedule(right, Event::ClockSetBy(0));
        }
        for _ in 0..world.rng.usize(0..4) {
            let start = world.rng.u64(0..DAY);
            let length =
                *world.rng.choice([20 * SECOND, 5 * MINUTE, 50 * MINUTE, 3 * HOUR].iter()).expect("four lengths");
            world.outages.push((start, start + length));
        }
        let holds = matches!(broken, Broken::HoldToldInParts | Broken::HoldForgotten | Broken::NotLinedUp);
        if holds || (broken == Broken::Nothing && world.rng.bool()) {
            world.holds = true;
            world.hold_some(subjects);
        }
        if broken == Broken::TooLargeUnread || (broken == Broken::Nothing && world.rng.u8(0..3) == 0) {
            world.takes = Some((world.rng.usize(1..4), world.rng.u64(0..DAY / 2)));
        }
        while broken == Broken::Nothing && world.rng.u8(0..3) == 0 {
            let (start, length) = (world.rng.u64(0..DAY), world.rng.u64(0..3 * HOUR));
            let row = RowKey { seq: world.rng.i64(1..=seq), tx: 1 };
            world.odd.push((start, start + length, world.rng.bool().then_some(row)));
        }
        world
    }

    /// A mapping is wrong: a row each second is rejected, until it is mended some hours later.
    fn all_wrong(&mut self) {
        for seq in 1..=200 {
            let key = RowKey { seq, tx: 1 };
            self.bad.insert(key);
            self.floor.push_back(vec![Row { key, order: seq, size: 100, held: false }]);
            self.schedule(seq.unsigned_abs() * SECOND, Event::Arrive);
        }
        let mended = self.rng.u64(HOUR..6 * HOUR);
        self.schedule(mended, Event::Mended);
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    fn wall(&self) -> Millis {
        Millis(i64::try_from(self.now + self.lead - self.lag).expect("a day of milliseconds fits"))
    }

    fn feed(&mut self, input: Input, fresh: &[Row]) {
        self.feed_all(vec![input], fresh);
    }

    /// One step of the gateway: the actions become durable, or the gateway dies first; then the batches leave.
    fn feed_all(&mut self, inputs: Vec<Input>, fresh: &[Row]) {
        // Within the transaction: what is loaded in this step sees it.
        for row in fresh {
            self.disk.rows.insert(row.key, (*row, if row.held { Stored::Held } else { Stored::Ready }));
        }
        let answered = if let [Input::Answered { batch, .. }] = inputs[..] { Some(batch) } else { None };
        let decided = matches!(inputs[..], [Input::Freed { .. } | Input::Kept(_) | Input::Held(_), ..]);
        let (mut actions, now) = (Vec::new(), self.wall());
        let inputs = inputs.into_iter().map(|input| (0, input));
        let mut told = VecDeque::from(match self.broken {
            Broken::HoldToldInParts => inputs.flat_map(|(lane, input)| self.lanes.step(lane, input, now)).collect(),
            _ => self.lanes.step_all(inputs, now),
        });
        while let Some((lane, action)) = told.pop_front() {
            if let Action::Load { after, limit } = action {
                let behind = self.disk.rows.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
                let open = |s: &Stored| matches!(s, Stored::Ready | Stored::Waiting { .. });
                let rows: Vec<Row> = behind.filter(|(_, (_, s))| open(s)).map(|(_, (r, _))| *r).take(limit).collect();
                let more = rows.len() == limit;
                told.extend(self.lanes.step(lane, Input::Loaded { rows, more }, now));
            } else {
                actions.push(action);
            }
        }
        let crashes = !self.storm;
        // What a person decides is stored before the lane hears of it.
        let often = (!fresh.is_empty() || decided) && self.rng.u8(0..40) == 0;
        if crashes && (often || self.rng.u16(0..400) == 0) {
            self.crash(); // before the commit: the device sends again
            if let Some(batch) = answered {
                self.outdated.remove(&batch); // nobody has heard it
            }
            for row in fresh {
                self.disk.rows.remove(&row.key);
            }
            if !fresh.is_empty() {
                self.floor.push_front(fresh.to_vec());
                self.schedule(self.down_until + 1, Event::Arrive);
            }
            return;
        }
        let mut leaving = Vec::new();
        for action in actions {
            self.commit(action, &mut leaving);
        }
        self.disk.away_until = self.disk.away_until.max(self.lanes.lane(0).away_until());
        if crashes && self.rng.u16(0..300) == 0 {
            self.crash(); // after the commit, before the first byte
            return;
        }
        for request in leaving {
            self.send(&request);
        }
        if crashes && self.rng.u16(0..300) == 0 {
            self.crash(); // with the requests out
        }
    }

    fn commit(&mut self, action: Action, leaving: &mut Vec<Request>) {
        self.look_for_held(&action);
        let now = self.wall();
        let disk = &mut self.disk;
        match action {
            Action::Load { .. } => unreachable!("loads are answered at once"),
            Action::Send { batch, rows, attempt, first_sent } => {
                let twice = disk
                    .batches
                    .iter()
                    .find(|(other, theirs)| **other != batch && rows.iter().any(|row| theirs.rows.contains(row)));
                if let Some((other, _)) = twice {
                    self.wrong.get_or_insert(format!("a row of batch {batch} is in batch {other} too"));
                }
                if self.accepted.contains_key(&batch) {
                    self.wrong.get_or_insert(format!("batch {batch} was accepted and is sent again"));
                }
                if self.broken != Broken::NoDurableSending {
                    let rows = rows.clone();
                    let left = disk.batches.get(&batch).map_or(self.now, |before| before.left);
                    let stays = Stays { rows, attempt, first_sent, left, accepted: None, outdated: false };
                    disk.batches.insert(batch, stays);
                }
                disk.next_batch = disk.next_batch.max(batch + 1);
                let refreshed = self.broken == Broken::KeyRefreshed;
                let first_sent = if refreshed { self.wall() } else { first_sent };
                leaving.push(Request { batch, attempt, rows, first_sent });
            }
            Action::Store { batch, rows, first_sent } => {
                let request = Request { batch, attempt: 1, rows: rows.clone(), first_sent };
                if !matches!(self.broken, Broken::NoDurableSending | Broken::AheadUnwritten) {
                    let left = self.now;
                    let stays = Stays { rows, attempt: 1, first_sent, left, accepted: None, outdated: false };
                    disk.batches.insert(batch, stays);
                }
                disk.next_batch = disk.next_batch.max(batch + 1);
                let order = disk.rows[&request.rows[0]].0.order;
                self.ahead.insert(batch, (request, self.now));
                if self.holds && !self.visibility && self.rng.u8(0..4) == 0 {
                    self.schedule(self.now + 1, Event::Hold(Hold::Subject(order), true));
                }
            }
            Action::Release { batch } => {
                let (request, stored) = self.ahead.remove(&batch).expect("the lane releases what it had stored");
                if !disk.batches.contains_key(&batch) && self.broken != Broken::NoDurableSending {
                    self.wrong.get_or_insert(format!("batch {batch} leaves and is not stored"));
                }
                if self.now - stored > AHEAD {
                    self.wrong.get_or_insert(format!("batch {batch} leaves {} ms late", self.now - stored));
                }
                self.released += 1;
                leaving.push(request);
            }
            Action::Look { batch, rows, .. } => {
                self.counted();
                let (run, at) = (self.run, self.now + self.rng.u64(1..SECOND));
                self.schedule(at, Event::Look { run, batch, rows });
            }
            Action::Poll { batch, rows, job, first_sent } => {
                if self.accepted.get(&batch).is_none_or(|at| self.now < *at) {
                    self.wrong.get_or_insert(format!("batch {batch} is asked for before its time"));
                }
                if self.broken == Broken::AcceptedIsResent {
                    let attempt = disk.batches[&batch].attempt + 1;
                    leaving.push(Request { batch, attempt, rows, first_sent });
                    return;
                }
                let (run, at) = (self.run, self.now + self.rng.u64(1..SECOND));
                self.schedule(at, Event::Poll { run, batch, job, rows });
            }
            Action::Accepted { batch, rows, accepted } => {
                let pause = accepted.ask_at.since(now);
                self.accepted.insert(batch, self.now + pause);
                if let Some(stored) = disk.batches.get_mut(&batch) {
                    (stored.rows, stored.accepted) = (rows, Some(accepted));
                }
            }
            Action::Cut { batch, keep, new, off } => {
                if let Some(stored) = disk.batches.get_mut(&batch) {
                    let part = Stays { rows: off, ..stored.clone() };
                    stored.rows = keep;
                    disk.batches.insert(new, part);
                }
                disk.next_batch = disk.next_batch.max(new + 1);
            }
            Action::Unknown { batch, rows, outdated } => {
                self.accepted.remove(&batch);
                if let Some(stored) = disk.batches.get_mut(&batch) {
                    (stored.rows, stored.accepted) = (rows, None);
                    stored.outdated |= outdated; // whatever else is known of it since
                }
            }
            Action::Close { batch } => {
                self.accepted.remove(&batch);
                self.ahead.remove(&batch);
                disk.batches.remove(&batch);
            }
            Action::Settle { row, .. } => disk.set(row, Stored::Done),
            Action::Wait { row, until, outcome, tries, since } => {
                let class = Some(outcome.class);
                disk.set(row, Stored::Waiting { until, class, tries, since });
            }
            Action::Reject { row, outcome, maybe, .. } => {
                let maybe = maybe && !(self.broken == Broken::PoisonTakenForNo && outcome.class == Class::Poison);
                disk.set(row, Stored::Rejected(outcome.class, maybe));
                disk.rejected.insert(row, self.now);
                self.given_up |= outcome.class == Class::Unresolvable;
                if self.broken == Broken::NoParking && outcome.class == Class::Validation {
                    // A person mends it an hour later; without parking others of its subject went ahead meanwhile.
                    self.bad.remove(&row);
                    disk.set(row, Stored::Done);
                    let at = self.now + HOUR;
                    self.schedule(
                        at,
                        Event::Effect(Request { batch: 0, attempt: 0, rows: vec![row], first_sent: Millis(0) }),
                    );
                }
            }
        }
    }

    fn crash(&mut self) {
        self.run += 1;
        self.ahead.clear();
        self.down_at = self.now;
        self.down_until = self.now + self.rng.u64(SECOND..10 * MINUTE);
        if self.rng.u8(0..20) == 0 {
            self.down_until += 2 * HOUR;
        }
    }

    fn restart(&mut self) {
        self.left.clear();
        let config = self.lanes.lane(0).config().clone();
        let mut lane = Lane::new(config, self.rng.u64(..)).with_window(self.window);
        let row = |key: &RowKey| self.disk.rows[key].0;
        let batches = self.disk.batches.iter().map(|(batch, stored)| SavedBatch {
            batch: *batch,
            rows: stored.rows.iter().map(row).collect(),
            attempt: stored.attempt,
            first_sent: stored.first_sent,
            accepted: stored.accepted.clone().filter(|_| self.broken != Broken::HandleForgotten),
            outdated: stored.outdated && self.broken != Broken::OutdatedForgotten,
            age_ms: (self.misset && self.broken != Broken::WallBelieved).then(|| self.now - stored.left),
        });
        let exceptions = self.disk.rows.values().filter_map(|(row, stored)| match *stored {
            Stored::Waiting { until, class, tries, since } => {
                Some((*row, Exception::Waiting { until, class, tries, since }))
            }
            Stored::Rejected(..) | Stored::Held => Some((*row, Exception::Parked)),
            Stored::Ready | Stored::Done | Stored::Skipped => None,
        });
        let (batches, exceptions) = (batches.collect(), exceptions.collect());
        // The gateway's clock goes on from what was stored by it.
        let stored = self.down_at + self.lead;
        self.lead = self.ahead_by.max(stored.saturating_sub(self.now));
        if self.now + self.lead > stored + (self.now - self.down_at) {
            self.accepted.values_mut().for_each(|at| *at = self.now); // it was set ahead meanwhile
        }
        let behind = self.now + self.ahead_by + SECOND < stored && self.lag == 0;
        let dead_battery = match self.broken {
            Broken::Nothing => !self.misset && self.rng.u8(0..6) == 0,
            broken => broken == Broken::ClockBelieved,
        };
        if dead_battery {
            self.lag += self.now - self.down_at;
            let set = self.now + self.rng.u64(0..40 * MINUTE);
            self.schedule(set, Event::ClockJumps);
            self.booted = Some(self.wall());
        }
        let booted = self.booted.filter(|_| self.lag > 0 && self.broken != Broken::ClockBelieved);
        let doubtful = booted.or_else(|| behind.then(|| self.wall()));
        lane.restore(batches, exceptions, self.disk.next_batch, doubtful, self.wall());
        if self.broken != Broken::HoldForgotten {
            lane.restore_holds(self.disk.is_held(), &self.disk.kept());
        }
        if self.broken != Broken::AwayForgotten {
            lane.restore_away(self.disk.away_until, self.wall());
        }
        self.lanes = Lanes::new(vec![lane]);
        if behind {
            self.feed(Input::ClockUnknown, &[]);
        } else if booted.is_some() {
            let patience = self.now + HOLD_UNSYNCED;
            self.schedule(patience, Event::ClockLookedAt { run: self.run });
        }
        self.feed(Input::Tick, &[]);
    }

    /// A person deals with one row that was rejected or held: mends what is wrong and sends it again, books what is there
    /// already, or takes it out.
    fn person(&mut self) {
        // Whoever looks in the ERP looks when requests and jobs of before are surely over.
        let over = |row: &Row| {
            self.disk.rejected.get(&row.key).is_none_or(|at| self.now >= at + 2 * TIMEOUT)
                && !self.erp.at_work.contains_key(&row.key)
        };
        let parked = self.disk.rows.values().filter(|(row, s)| s.parks() && over(row));
        let parked: Vec<(Row, Stored)> = parked.copied().collect();
        let Some((row, stored)) = parked.get(self.rng.usize(0..parked.len().max(1))).copied() else { return };
        let posted = self.erp.documents.contains_key(&row.key);
        let decided = match stored {
            Stored::Rejected(_, true) if posted => Stored::Done,
            // In a lane that parks nothing others of its subject have gone on: sent again it would come behind them.
            _ if self.visibility => Stored::Skipped,
            _ if self.rng.u8(0..4) == 0 => Stored::Skipped,
            _ => Stored::Ready,
        };
        if decided == Stored::Ready && self.rng.bool() {
            self.bad.remove(&row.key);
        }
        self.disk.set(row.key, decided);
        let freed = self.let_go(row);
        self.feed(freed, &[]);
    }

    // ---- the network and the ERP

    /// A request leaves: not while the ERP has asked to be left alone, and not more than it allows, but for a fifth that is not for
    /// postings. A clock that is set is taken for time that has passed.
    fn counted(&mut self) {
        if self.wall() < self.disk.away_until {
            self.wrong.get_or_insert("a request leaves while the ERP has asked to be left alone".to_owned());
        }
        self.left.push_back(self.now);
        while self.left.front().is_some_and(|at| self.now - at > MINUTE) {
            self.left.pop_front();
        }
        let Some(quota) = self.quota else { return };
        let most = f64::from(quota + 2 * BURST) * 0.8 + 1.0;
        if self.left.len() as f64 > most {
            self.wrong.get_or_insert(format!("quota: {} requests in a minute", self.left.len()));
        }
    }

    fn send(&mut self, request: &Request) {
        self.sends += 1;
        self.counted();
        if self.whole {
            self.send_whole(request);
            return;
        }
        let rows = request.rows.len();
        let dice = self.rng.u8(0..100);
        let out = self.outages.iter().any(|(from, to)| (*from..*to).contains(&self.now));
        let whole = |class, retry_after_ms| Answer {
            status: None,
            excerpt: String::new(),
            outcomes: vec![Outcome::new(class, ""); rows],
            whole: true,
            retry_after_ms,
            later: None,
        };
        let silence = if self.broken == Broken::TimeoutIsNo { Class::Transient } else { Class::Unknown };
        let soon = self.now + self.rng.u64(5..500);
        let stay_away = self.rng.u64(0..2 * MINUTE);
        let bad = request.rows.iter().any(|row| self.bad.contains(row));
        let large = self.is_too_large(request);
        match dice {
            _ if out => self.answer(soon, request, whole(Class::Transient, None)),
            0..50 if self.storm && self.later => {
                let answer = Answer { later: Some(self.take_over(request)), ..whole(Class::Accepted, None) };
                self.answer(soon, request, answer);
            }
            _ if self.storm => {
                let answer = Answer {
                    whole: false,
                    outcomes: self.apply(request, self.now, false),
                    ..whole(Class::Delivered, None)
                };
                self.answer(soon, request, answer);
            }
            _ if !large && self.poison.is_some_and(|row| request.rows.contains(&row)) => {
                self.apply(request, self.now, false);
                self.answer(soon, request, whole(silence, None));
            }
            0..6 => self.answer(soon, request, whole(Class::Transient, None)),
            6..11 => self.answer(self.now + TIMEOUT, request, whole(silence, None)),
            _ if large => self.answer(soon, request, self.too_large(rows)),
            11..16 => {
                let at = self.now + self.rng.u64(1..LATE);
                self.schedule(at, Event::Effect(request.clone()));
                self.answer(self.now + TIMEOUT, request, whole(silence, None));
            }
            16..20 => self.answer(soon, request, whole(Class::Unknown, Some(stay_away))),
            20..23 => self.answer(soon, request, whole(Class::Throttled, Some(stay_away))),
            23..33 if bad && rows > 1 => self.answer(soon, request, whole(Class::Validation, None)),
            _ => {
                let answer = if self.later && self.rng.u8(0..3) == 0 {
                    Answer { later: Some(self.take_over(request)), ..whole(Class::Accepted, None) }
                } else {
                    Answer {
                        whole: false,
                        outcomes: self.apply(request, self.now, true),
                        ..whole(Class::Delivered, None)
                    }
                };
                if self.rng.u8(0..100) < 8 {
                    self.answer(self.now + TIMEOUT, request, whole(silence, None));
                } else {
                    self.answer(soon, request, answer);
                }
            }
        }
    }

    fn is_too_large(&self, request: &Request) -> bool {
        self.takes.is_some_and(|(most, since)| request.rows.len() > most && self.now >= since)
    }

    fn too_large(&self, rows: usize) -> Answer {
        let code = (self.broken != Broken::TooLargeUnread).then(|| Outcome::TOO_LARGE.to_owned());
        let outcomes = vec![Outcome { code, ..Outcome::new(Class::NotAttempted, "") }; rows];
        let (status, excerpt) = (Some(413), String::new());
        Answer { status, excerpt, outcomes, whole: true, retry_after_ms: None, later: None }
    }

    // ---- what the ERP does later

    /// The ERP takes a request over and says where it is asked for it, if it has jobs that can be asked.
    fn take_over(&mut self, request: &Request) -> Later {
        let open = |erp: &Erp| erp.at_work.get(&request.rows[0]).copied();
        let known = open(&self.erp).filter(|job| self.erp.jobs[job].request.rows == request.rows && !self.erp.keyless);
        let known = if self.whole { self.erp.at_work_as(request) } else { known };
        let job = known.unwrap_or_else(|| self.begin(request.clone()));
        let after_ms = (self.rng.bool()).then(|| self.rng.u64(SECOND..2 * MINUTE));
        let by = if self.rng.u8(0..4) == 0 { By::Lookup } else { By::Job(job.to_string()) };
        Later { by, after_ms }
    }

    fn begin(&mut self, request: Request) -> u64 {
        let job = self.erp.next_job;
        self.erp.next_job += 1;
        for row in &request.rows {
            self.erp.at_work.entry(*row).or_insert(job);
        }
        self.erp.jobs.insert(job, Job { request, begun: self.now, results: None });
        let longest = [SECOND, 20 * SECOND, 3 * MINUTE, 20 * MINUTE, HOUR];
        let longest = *self.rng.choice(longest.iter()).expect("five lengths");
        let at = self.now + self.rng.u64(1..=longest);
        let lost = self.rng.u8(0..10) == 0;
        self.schedule(at, Event::JobEnds { job, lost });
        job
    }

    fn job_ends(&mut self, job: u64, lost: bool) {
        self.erp.at_work.retain(|_, of| *of != job);
        // Another job may be at work on the same row.
        for (other, running) in self.erp.jobs.iter().filter(|(other, of)| **other != job && of.results.is_none()) {
            for row in &running.request.rows {
                self.erp.at_work.entry(*row).or_insert(*other);
            }
        }
        let request = self.erp.jobs[&job].request.clone();
        if lost {
            self.erp.jobs.remove(&job);
            return;
        }
        let begun = self.erp.jobs[&job].begun;
        let outcomes = if self.whole {
            let answer = self.do_whole(&request, begun, false);
            if answer.whole {
                self.erp.jobs.remove(&job); // it is told to who sends the request again
                return;
            }
            answer.outcomes
        } else {
            self.apply(&request, begun, false)
        };
        let results = request.rows.iter().copied().zip(outcomes.into_iter().map(|o| o.class)).collect();
        if let Some(job) = self.erp.jobs.get_mut(&job) {
            job.results = Some(results);
        }
    }

    fn poll(&mut self, job: &str, rows: &[RowKey]) -> (u64, Answer) {
        let out = self.outages.iter().any(|(from, to)| (*from..*to).contains(&self.now));
        let lost = out || self.rng.u8(0..100) < 10;
        let job = self.erp.jobs.get(&job.parse::<u64>().expect("a number of ours"));
        let all = |class| (true, vec![Outcome::new(class, ""); rows.len()]);
        let (whole, outcomes) = match job.map(|job| job.results.as_ref()) {
            _ if lost => all(Class::Transient),
            None => all(Class::Unknown),
            Some(None) => all(Class::Accepted),
            Some(Some(results)) => {
                let said =
                    |row: &RowKey| results.iter().find(|(key, _)| key == row).map_or(Class::Unknown, |(_, c)| *c);
                (false, rows.iter().map(|row| Outcome::new(said(row), "")).collect())
            }
        };
        let after_ms = self.rng.bool().then(|| self.rng.u64(SECOND..2 * MINUTE));
        let later = outcomes.iter().any(|o| o.class == Class::Accepted).then_some(Later { by: By::Lookup, after_ms });
        let status = self.whole.then_some(200);
        let answer = Answer { status, excerpt: String::new(), outcomes, whole, retry_after_ms: None, later };
        (self.now + self.rng.u64(1..SECOND), answer)
    }

    /// The ERP is asked what it has. The answer, or its loss, comes a little later.
    fn look(&mut self, rows: &[RowKey]) -> (u64, Answer) {
        let out = self.outages.iter().any(|(from, to)| (*from..*to).contains(&self.now));
        let lost = out || self.rng.u8(0..100) < 10;
        let mut outcome = |row: &RowKey| {
            let class = match self.erp.documents.contains_key(row) {
                _ if lost => Class::Transient,
                _ if self.rng.u8(0..100) < 5 => Class::Unknown,
                true => Class::Found,
                false if self.erp.at_work.contains_key(row) => Class::Accepted,
                false => Class::NotAttempted,
            };
            Outcome::new(class, "")
        };
        let outcomes = rows.iter().map(&mut outcome).collect();
        let answer =
            Answer { status: None, excerpt: String::new(), outcomes, whole: lost, retry_after_ms: None, later: None };
        (self.now + self.rng.u64(1..SECOND), answer)
    }

    fn answer(&mut self, at: u64, request: &Request, mut answer: Answer) {
        if self.broken == Broken::AcceptedIsDone {
            for outcome in answer.outcomes.iter_mut().filter(|o| o.class == Class::Accepted) {
                outcome.class = Class::Delivered;
            }
        }
        if !answer.whole {
            let odd = |row: &RowKey| {
                let of = |(from, to, who): &(u64, u64, Option<RowKey>)| {
                    (*from..*to).contains(&self.now) && who.is_none_or(|who| who == *row)
                };
                self.odd.iter().any(of)
            };
            for (_, outcome) in request.rows.iter().zip(&mut answer.outcomes).filter(|(row, _)| odd(row)) {
                *outcome = Outcome::new(Class::Unknown, format!("{}\"banana\"", Outcome::ODD_STATUS));
            }
            answer.whole = answer.outcomes.iter().all(|outcome| outcome.class == Class::Unknown);
        }
        let (run, batch) = (self.run, request.batch);
        self.schedule(at, Event::Answer { run, batch, answer });
    }

    /// The ERP works through a request; with `moody` it leaves items out, or out of the answer.
    fn apply(&mut self, request: &Request, begun: u64, moody: bool) -> Vec<Outcome> {
        let mut stopped = BTreeSet::new();
        let mut outcomes = Vec::new();
        let stops = self.lanes.lane(0).config().ordered_batch && self.broken != Broken::OrderDeclaredFalsely;
        for key in &request.rows {
            let row = self.disk.rows[key].0;
            let class = if stops && stopped.contains(&row.order) {
                Class::NotAttempted
            } else if self.erp.at_work.contains_key(key) && !self.erp.keyless {
                Class::Accepted
            } else if moody && self.later && self.rng.u8(0..100) < 10 {
                self.begin(Request { rows: vec![*key], ..request.clone() });
                Class::Accepted
            } else if moody && self.rng.u8(0..100) < 4 {
                *self.rng.choice([Class::Transient, Class::Conflict, Class::Reference].iter()).expect("three classes")
            } else {
                let print = if self.broken == Broken::RenderedAnew { u64::from(request.attempt) } else { 0 };
                self.erp.apply((self.now, begun), &row, print, self.bad.contains(key))
            };
            if !matches!(class, Class::Delivered | Class::Duplicate) {
                stopped.insert(row.order);
            }
            let unsaid = moody && self.rng.u8(0..100) < 3;
            outcomes.push(Outcome::new(if unsaid { Class::Unknown } else { class }, ""));
        }
        outcomes
    }

    // ---- the day

    fn wakes_at(&self) -> Option<u64> {
        let wake = self.lanes.wake_at(self.wall())?;
        Some((wake.0.unsigned_abs().saturating_add(self.lag)).saturating_sub(self.lead))
    }

    fn run(&mut self) {
        self.feed(Input::Tick, &[]);
        for _ in 0..200_000 {
            let gateway_up = self.now >= self.down_until;
            let wake = if gateway_up { self.wakes_at() } else { Some(self.down_until) };
            let event = self.events.keys().next().map(|(at, _)| *at);
            let Some(next) = [wake, event].into_iter().flatten().min() else { return };
            if next > 2 * DAY {
                return;
            }
            self.now = self.now.max(next);
            if !gateway_up && self.now >= self.down_until {
                self.restart();
                continue;
            }
            if event != Some(next) {
                self.feed(Input::Tick, &[]);
                continue;
            }
            let (_, event) = self.events.pop_first().expect("an event is due");
            match event {
                Event::Arrive if self.now < self.down_until => self.schedule(self.down_until + 1, Event::Arrive),
                Event::Arrive => {
                    let rows = self.floor.pop_front().expect("an arrival for each group that the floor holds");
                    let since = self.wall().minus(self.rng.u64(0..50));
                    self.feed(Input::Captured { rows: rows.clone(), since }, &rows);
                }
                Event::Effect(request) if self.whole => drop(self.do_whole(&request, self.now, false)),
                Event::Effect(request) => drop(self.apply(&request, self.now, false)),
                Event::Answer { run, batch, answer } if run == self.run && self.now >= self.down_until => {
                    let outdated = self.outdated_at.get(&batch) == Some(&self.now) && answer.status == Some(412);
                    let large = self.disk.batches.get(&batch).filter(|_| answer.status == Some(413));
                    let large = large.map(|stays| stays.rows.clone()).filter(|rows| self.can_be_cut(rows));
                    self.feed(Input::Answered { batch, answer }, &[]);
                    // A crash in between may have come before it was stored.
                    if outdated && run == self.run {
                        self.outdated.insert(batch);
                    }
                    let now = self.disk.batches.get(&batch).map(|stays| &stays.rows);
                    if run == self.run && large.is_some() && now == large.as_ref() {
                        self.wrong.get_or_insert(format!("batch {batch} is too large and stays as it is"));
                    }
                }
                Event::Look { run, batch, rows } => {
                    let (at, answer) = self.look(&rows);
                    self.schedule(at, Event::Looked { run, batch, answer });
                }
                Event::Looked { run, batch, answer } if run == self.run && self.now >= self.down_until => {
                    self.feed(Input::Looked { batch, answer }, &[]);
                }
                Event::JobEnds { job, lost } => self.job_ends(job, lost),
                Event::Poll { run, batch, job, rows } => {
                    let (at, answer) = self.poll(&job, &rows);
                    self.schedule(at, Event::Polled { run, batch, answer });
                }
                Event::Polled { run, batch, answer } if run == self.run && self.now >= self.down_until => {
                    self.feed(Input::Polled { batch, answer }, &[]);
                }
                Event::ClockSetBy(by) => {
                    self.ahead_by = by;
                    if self.now >= self.down_until && by > self.lead {
                        self.lanes.clock_jumped(by - self.lead);
                        self.accepted.values_mut().for_each(|at| *at = self.now);
                        self.lead = by;
                    }
                }
                Event::ClockJumps => {
                    self.lanes.clock_jumped(self.lag);
                    self.accepted.values_mut().for_each(|at| *at = self.now);
                    self.lag = 0;
                    let noticed = self.now + self.rng.u64(0..MINUTE);
                    self.schedule(noticed, Event::ClockLookedAt { run: self.run });
                }
                Event::ClockLookedAt { run } if run == self.run && self.now >= self.down_until => {
                    self.feed(if self.lag == 0 { Input::ClockSet } else { Input::ClockUnknown }, &[]);
                }
                Event::Person if self.now >= self.down_until => self.person(),
                Event::Hold(hold, on) => self.hold(hold, on),
                Event::Mended => {
                    // What is refused already stays refused, whoever has heard of it.
                    let results = self.erp.jobs.values().filter_map(|job| job.results.as_ref()).flatten();
                    let refused = results.filter(|(_, class)| *class == Class::Validation).map(|(row, _)| *row);
                    let refused: BTreeSet<RowKey> = refused.chain(self.erp.requests.refused()).collect();
                    let rejected = |row: &RowKey| matches!(self.disk.rows[row].1, Stored::Rejected(..));
                    self.bad.retain(|row| rejected(row) || refused.contains(row));
                }
                // Whoever asked is gone.
                Event::Answer { .. }
                | Event::Looked { .. }
                | Event::Polled { .. }
                | Event::ClockLookedAt { .. }
                | Event::Person => {}
            }
        }
        panic!("the day never came to rest");
    }

    fn can_be_cut(&self, rows: &[RowKey]) -> bool {
        let order = |row: &RowKey| self.disk.rows[row].0.order;
        !self.whole && rows.iter().any(|row| order(row) != order(&rows[0]))
    }

    fn verdict(&self) -> Result<(), String> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        // What is told later is known too late.
        if self.storm && !self.later && !self.parts && self.disk.rejected.len() > 85 {
            return Err(format!("storm: {} dead letters", self.disk.rejected.len()));
        }
        let (mut parked, mut wrong) = (BTreeSet::new(), BTreeSet::new());
        for (key, (row, stored)) in &self.disk.rows {
            if self.visibility {
                (parked, wrong) = (BTreeSet::new(), BTreeSet::new()); // nothing of a visibility lane keeps others waiting
            }
            let n = self.erp.documents.get(key).copied().unwrap_or(0);
            let bad = self.bad.contains(key);
            match *stored {
                _ if n > 1 => return Err(format!("duplicate: row {} has {n} documents", key.seq)),
                _ if bad && n > 0 => return Err(format!("row {} is wrong and was posted", key.seq)),
                Stored::Done if n == 0 => return Err(format!("lost: row {} is settled and has no document", key.seq)),
                // Past a lock, a missing reference or the horizon a person has looked; past a wrong row nobody goes.
                Stored::Done if wrong.contains(&row.order) => {
                    return Err(format!("order: row {} went past a wrong one", key.seq));
                }
                Stored::Skipped if n > 0 => return Err(format!("row {} was taken out and is posted", key.seq)),
                Stored::Done | Stored::Skipped => {}
                Stored::Held if n > 0 => return Err(format!("row {} was held and is posted", key.seq)),
                Stored::Held => {
                    parked.insert(row.order);
                    wrong.insert(row.order);
                }
                Stored::Rejected(Class::Validation, _) if bad => {
                    parked.insert(row.order);
                    wrong.insert(row.order);
                }
                // Past the horizon, and a lock or a missing reference that lasts: a person's.
                Stored::Rejected(Class::Poison, false) if n > 0 => {
                    return Err(format!("row {} was rejected as without effect and is posted", key.seq));
                }
                Stored::Rejected(Class::Unresolvable | Class::Poison, true)
                | Stored::Rejected(Class::Conflict | Class::Reference, _) => {
                    parked.insert(row.order);
                }
                Stored::Rejected(class, _) => return Err(format!("row {} was rejected as {}", key.seq, class.name())),
                Stored::Ready | Stored::Waiting { .. } if parked.contains(&row.order) => {}
                Stored::Ready | Stored::Waiting { .. } => return Err(format!("stuck: row {} is {stored:?}", key.seq)),
            }
        }
        if !self.disk.batches.is_empty() {
            return Err(format!("{} batches never ended", self.disk.batches.len()));
        }
        // Nobody knew what had become of a row, and nothing waits for it there: a job may have come to it late.
        if self.visibility && self.later && self.given_up {
            return Ok(());
        }
        for (order, seqs) in &self.erp.order {
            // What a visibility lane has given up nobody waits for, and it may take effect late.
            let given_up = |seq: &i64| self.visibility && self.disk.rejected.contains_key(&RowKey { seq: *seq, tx: 1 });
            if !seqs.iter().filter(|seq| !given_up(seq)).is_sorted() {
                return Err(format!("order: subject {order} was posted as {seqs:?}"));
            }
        }
        Ok(())
    }
}

impl Disk {
    fn set(&mut self, row: RowKey, stored: Stored) {
        self.rows.get_mut(&row).expect("a lane acts on stored rows only").1 = stored;
    }
}

/// Requests, and those of them that were stored before there was room for them.
fn day(seed: u64, broken: Broken, scope: Option<KeyScope>) -> Result<(u64, u64), String> {
    let mut world = World::new(seed, broken, scope);
    world.run();
    world.verdict().map(|()| (world.sends, world.released))
}

/// `FLOORGATE_SEED` repeats one day; `FLOORGATE_DAYS` runs more of them.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn every_good_row_is_posted_once_in_order_and_wrong_ones_never() {
    days(None, 4_000, "simulator::every_good_row");
}

fn days(scope: Option<KeyScope>, most: u64, test: &str) {
    let first = number("FLOORGATE_SEED");
    let days = first.map_or(number("FLOORGATE_DAYS").unwrap_or(most), |_| 1);
    let (mut sends, mut ahead) = (0, 0);
    for seed in (0..days).map(|i| first.unwrap_or(0) + i) {
        match day(seed, Broken::Nothing, scope) {
            Ok((n, released)) => (sends, ahead) = (sends + n, ahead + released),
            Err(why) => panic!(
                "seed {seed}: {why}\nrepeat it with: FLOORGATE_SEED={seed} cargo test --release --test it {test}"
            ),
        }
    }
    assert!(sends > days, "the days are not empty");
    assert!(ahead > 0 || first.is_some(), "some are stored before there is room for them");
    println!("{days} days, {sends} requests, {ahead} of them stored before there was room for them");
}

/// Days of their own, none of which may show one of these: a rule of `tests/invariants.txt` by its sentence.
fn never(first: u64, signs: &[&str]) {
    for seed in first..first + 500 {
        let Err(why) = day(seed, Broken::Nothing, None) else { continue };
        assert!(!signs.iter().any(|sign| why.contains(sign)), "seed {seed}: {why}");
    }
}

#[test]
fn the_number_of_erp_documents_per_posting_id_is_0_or_1_and_1_for_every_delivered_row() {
    never(10_000, &["duplicate", "lost", "is posted", "and was posted"]);
}

#[test]
fn at_quiescence_every_row_is_terminal_rejected_held_or_ready_behind_an_open_row_of_its_order_key() {
    never(20_000, &["stuck", "never ended"]);
}

#[test]
fn for_one_order_key_erp_effects_appear_in_commit_seq_order() {
    never(30_000, &["order: subject"]);
}

fn control(broken: Broken, sign: &str) {
    control_of(KeyScope::Item, broken, sign);
}

fn control_of(scope: KeyScope, broken: Broken, sign: &str) {
    let caught: Vec<String> = (0..1_500).filter_map(|seed| day(seed, broken, Some(scope)).err()).collect();
    println!("{broken:?}, {scope:?}: {} of 1500 days fail", caught.len());
    assert!(caught.iter().any(|why| why.contains(sign)), "{broken:?} shows as \"{sign}\": {:?}", caught.first());
}

#[test]
fn without_a_durable_mark_rows_double() {
    control(Broken::NoDurableSending, "duplicate");
}

#[test]
fn what_leaves_next_without_a_durable_mark_is_seen() {
    control(Broken::AheadUnwritten, "leaves and is not stored");
}

#[test]
fn resending_past_the_horizon_doubles() {
    control(Broken::HorizonIgnored, "duplicate");
}

#[test]
fn a_body_rendered_anew_is_refused() {
    control(Broken::RenderedAnew, "key_clash");
}

#[test]
fn an_unordered_target_declared_ordered_breaks_order() {
    control(Broken::OrderDeclaredFalsely, "order");
}

#[test]
fn without_parking_order_breaks() {
    control(Broken::NoParking, "order");
}

#[test]
fn a_clock_that_stood_still_and_is_believed_doubles() {
    control(Broken::ClockBelieved, "duplicate");
}

#[test]
fn a_clock_that_was_ahead_and_is_believed_doubles() {
    control(Broken::WallBelieved, "duplicate");
}

#[test]
fn an_absence_that_is_believed_at_once_doubles() {
    control(Broken::AbsentBelieved, "duplicate");
}

#[test]
fn a_timeout_taken_for_no_doubles() {
    control(Broken::TimeoutIsNo, "duplicate");
}

#[test]
fn what_is_sent_again_while_it_is_accepted_doubles() {
    control(Broken::AcceptedIsResent, "duplicate");
}

#[test]
fn what_is_accepted_and_taken_for_posted_lets_others_overtake() {
    control(Broken::AcceptedIsDone, "order");
}

#[test]
fn a_restart_that_forgets_what_was_accepted_sends_it_again() {
    control(Broken::HandleForgotten, "was accepted and is sent again");
}

#[test]
fn a_breaker_that_never_tries_again_keeps_everything() {
    control(Broken::NeverHalfOpen, "stuck");
}

#[test]
fn a_bucket_that_is_not_asked_sends_more_than_the_system_allows() {
    control(Broken::BucketIgnored, "quota");
}

#[test]
fn a_restart_that_forgets_retry_after_asks_too_soon() {
    control(Broken::AwayForgotten, "asked to be left alone");
}

#[test]
fn a_row_that_fails_alone_and_is_taken_for_without_effect_is_posted() {
    control(Broken::PoisonTakenForNo, "rejected as without effect");
}

#[test]
fn a_request_whose_size_is_refused_and_that_is_not_cut_stays_as_it_is() {
    control(Broken::TooLargeUnread, "too large and stays");
}

#[test]
fn without_a_storm_guard_a_wrong_mapping_makes_a_dead_letter_of_each_row() {
    control(Broken::StormGuardOff, "storm");
}
