//! What a map makes the gateway do: the requests of a cycle, what they cost on the wire, and what comes of them. Made by
//! the same planner that the source polls by. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::points::{Area, Read};
use super::{Addresses, Fifo, Map, Quirk, Span, Style};

/// Bytes of a Modbus TCP frame beside its function and data (Modbus Messaging on TCP/IP 1.0b, 3.1.3).
const TCP_FRAME: u32 = 7;
/// Bytes of an RTU frame beside them: unit and CRC (Modbus over Serial Line 1.02, 2.5.1).
const RTU_FRAME: u32 = 3;
/// Bits of a character: start, 8 data, parity or a second stop, stop.
const BITS: u32 = 11;
/// Characters of silence that end a frame (the same, 2.5.1.1) …
const SILENCE: f64 = 3.5;
/// … above 19,200 baud a time.
const SILENCE_MS: f64 = 1.75;
/// What a device takes to answer where nobody says: between PLCs (a cycle, 1 to 10 ms) and slow drops. The one figure that
/// `check` and `map explain` reckon with.
pub const ANSWER: Duration = Duration::from_millis(5);
/// Events that a FIFO hands over, in the case that is shown.
const ONE: u16 = 1;

/// How the device is reached.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    /// Bits a second on a serial line; `None`: Modbus TCP.
    pub baud: Option<u32>,
    /// A request without an answer costs this.
    pub timeout: Duration,
    /// From a request on the wire to its answer on the wire: what the device takes.
    pub answer: Duration,
    /// Between two requests.
    pub pause: Duration,
    /// What the connection costs that each cycle makes; 0: one stays.
    pub connect: Duration,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Request {
    /// Modbus function code.
    pub function: u8,
    /// The table.
    pub area: &'static str,
    /// First register or bit, as the map writes it (`None`: it has no number for it) …
    pub address: Option<i64>,
    /// … and as it goes on the wire, from 0.
    pub at: u16,
    /// Registers or bits.
    pub count: u16,
    /// What it is for: tags, or its part in a handshake.
    #[serde(rename = "for")]
    pub what: Vec<String>,
    /// Bytes of its frame and of the answer's.
    pub bytes: [u32; 2],
}

/// What a cycle takes, in ms.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Takes {
    /// If each request is answered as fast as was said.
    pub answered_ms: f64,
    /// If none is.
    pub worst_ms: f64,
    /// The period.
    pub every_ms: f64,
    /// The period is kept while all is answered …
    pub keeps: bool,
    /// … and even if nothing is.
    pub keeps_at_worst: bool,
}

/// What is read on one period.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Poll {
    /// `[poll.NAME]`.
    pub poll: String,
    /// 0 goes first.
    pub priority: u8,
    /// In the order in which they are sent.
    pub requests: Vec<Request>,
    /// How long all of them take.
    pub takes: Takes,
}

/// The handshake of a FIFO.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Queue {
    /// `[[fifo]] name`.
    pub fifo: String,
    /// 0 goes first.
    pub priority: u8,
    /// What is asked when nothing waits.
    pub idle: Vec<Request>,
    /// What is asked for one event; its slot is the first.
    pub with_an_event: Vec<Request>,
    /// Most events that one cycle takes.
    pub most_events: u16,
    /// Requests of such a cycle.
    pub most_requests: usize,
    /// How long one event takes.
    pub takes: Takes,
    /// Kinds of events.
    pub emits: Vec<String>,
}

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Subscription {
    /// The filter as it is subscribed to.
    pub filter: String,
    /// Quality of service.
    pub qos: u8,
    /// Kinds of events.
    pub emits: Vec<String>,
}

/// All that a map does.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Explained {
    /// `id@version`.
    pub map: String,
    /// For people.
    pub title: String,
    /// Where the device departs from the protocol.
    pub quirks: Vec<&'static str>,
    /// Tags, by period.
    pub polls: Vec<Poll>,
    /// Event FIFOs.
    pub fifos: Vec<Queue>,
    /// MQTT.
    pub topics: Vec<Subscription>,
    /// Kinds of events of a scanner's frames; `None`: it sends none.
    pub frame: Option<Vec<String>>,
    /// How much of the link's time all of it takes while the device answers and no event waits, in percent.
    pub busy_percent: f64,
    /// Kinds of events that tags make.
    pub events: Vec<String>,
    /// Alarms.
    pub alarms: Vec<String>,
}

/// What that map does, reached so.
pub fn explain(map: &Map, wire: &Wire) -> Explained {
    let connects = wire.baud.is_none() && map.quirks.contains(&Quirk::CloseAfterCycle);
    let wire = &Wire { connect: if connects { wire.connect.max(wire.answer) } else { wire.connect }, ..*wire };
    let addresses = map.addresses.unwrap_or(Addresses::Zero);
    let polls = map.points.iter().flat_map(|points| {
        points.polls().iter().enumerate().map(|(index, poll)| {
            let requests: Vec<Request> = (poll.reads.iter().enumerate())
                .map(|(read, what)| {
                    wire.read(addresses, *what, points.tags_of(index, read).map(str::to_owned).collect())
                })
                .collect();
            let takes = wire.takes(&requests, poll.every);
            Poll { poll: poll.name.to_string(), priority: poll.priority, requests, takes }
        })
    });
    let topic = |topic: &super::Topic| Subscription {
        filter: topic.filter().to_owned(),
        qos: topic.qos(),
        emits: kinds(topic.kinds().map(str::to_owned)),
    };
    let polls: Vec<Poll> = polls.collect();
    let fifos: Vec<Queue> = map.fifos.iter().map(|fifo| wire.queue(addresses, fifo)).collect();
    let idle = fifos.iter().map(|fifo| wire.takes(&fifo.idle, Duration::from_secs_f64(fifo.takes.every_ms / 1_000.0)));
    let busy = busy(polls.iter().map(|poll| poll.takes).chain(idle), wire.connect);
    Explained {
        map: map.name.to_string(),
        title: map.title.clone(),
        quirks: map.quirks.iter().map(|quirk| quirk.word()).collect(),
        polls,
        fifos,
        busy_percent: (busy * 1_000.0).round() / 10.0,
        topics: map.topics.iter().map(topic).collect(),
        frame: map.frame.as_ref().map(|frame| kinds(frame.kinds().map(str::to_owned))),
        events: map.points.as_ref().map(|points| kinds(points.kinds())).unwrap_or_default(),
        alarms: map.points.iter().flat_map(super::points::Points::alarms).map(str::to_owned).collect(),
    }
}

/// Part of a link's time that all of these take. Those of one period go over one connection.
pub(super) fn busy(all: impl Iterator<Item = Takes>, connect: Duration) -> f64 {
    let mut periods = BTreeSet::new();
    let share = |takes: Takes| {
        let shared = if periods.insert(takes.every_ms.to_bits()) { 0.0 } else { ms(connect) };
        (takes.answered_ms - shared) / takes.every_ms.max(f64::MIN_POSITIVE)
    };
    all.map(share).sum()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Each once, in their order.
fn kinds(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    all.for_each(|kind| {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    });
    kinds
}

impl Wire {
    pub(super) fn read(&self, addresses: Addresses, read: Read, what: Vec<String>) -> Request {
        let data = if read.area.is_bits() { read.count.div_ceil(8) } else { read.count * 2 };
        self.request(addresses, read.area, read.area.function(), read.at, read.count, [5, 2 + u32::from(data)], what)
    }

    #[expect(clippy::too_many_arguments, reason = "what a request is made of")]
    fn request(
        &self,
        addresses: Addresses,
        area: Area,
        function: u8,
        at: u16,
        count: u16,
        bytes: [u32; 2],
        what: Vec<String>,
    ) -> Request {
        let frame = if self.baud.is_some() { RTU_FRAME } else { TCP_FRAME };
        let (area, address) = (area.word(), addresses.written(area, at));
        Request { function, area, address, at, count, what, bytes: bytes.map(|pdu| pdu + frame) }
    }

    fn span(&self, addresses: Addresses, span: Span, what: &str) -> Request {
        let read = Read { area: Area::Holding, at: span.at, count: span.words, alone: true };
        self.read(addresses, read, vec![what.to_owned()])
    }

    pub(super) fn queue(&self, addresses: Addresses, fifo: &Fifo) -> Queue {
        let counters = || self.span(addresses, fifo.status(), "counters");
        let (ack, verify) = fifo.ack();
        let shows = |count| match &fifo.style {
            Style::Ring(ring) => {
                ring.spans(0, count).into_iter().map(|span| self.span(addresses, span, "slots")).collect()
            }
            Style::Queue(queue) => {
                // The answer says how many registers it has, and how many it shows.
                let bytes = [3, 5 + u32::from(count * queue.words) * 2];
                let what = vec!["queue".to_owned()];
                vec![self.request(addresses, Area::Holding, 24, queue.at, count * queue.words, bytes, what)]
            }
        };
        let acknowledged = || {
            let write = self.request(addresses, Area::Holding, 6, ack, 1, [5, 5], vec!["acknowledge".to_owned()]);
            std::iter::once(write).chain(verify.then(counters))
        };
        let cycle = |events| -> Vec<Request> {
            let read = std::iter::once(counters()).chain::<Vec<Request>>(shows(events)).chain([counters()]);
            read.chain(acknowledged()).collect()
        };
        let mut idle = vec![counters()];
        if matches!(fifo.style, Style::Queue(_)) {
            idle.extend::<Vec<Request>>(shows(0));
        }
        // Several events may lie on both sides of the ring's end.
        let wraps = matches!(&fifo.style, Style::Ring(ring) if ring.max_batch > 1);
        let with_an_event = cycle(ONE);
        Queue {
            fifo: fifo.name.to_string(),
            priority: fifo.priority,
            idle,
            takes: self.takes(&with_an_event, fifo.every),
            with_an_event,
            most_events: fifo.most_events(),
            most_requests: cycle(fifo.most_events()).len() + usize::from(wraps),
            emits: kinds(fifo.kinds().into_iter()),
        }
    }

    pub(super) fn takes(&self, requests: &[Request], every: Duration) -> Takes {
        let character = |baud: u32| f64::from(BITS) * 1_000.0 / f64::from(baud);
        let silence = self.baud.map_or(0.0, |baud| if baud > 19_200 { SILENCE_MS } else { character(baud) * SILENCE });
        let pauses = ms(self.pause).max(silence) * requests.len() as f64;
        let on_the_wire = |bytes: u32| self.baud.map_or(0.0, |baud| character(baud) * f64::from(bytes));
        let each = |request: &Request| on_the_wire(request.bytes.iter().sum()) + ms(self.answer);
        let answered = requests.iter().map(each).sum::<f64>() + pauses + ms(self.connect);
        let worst = ms(self.timeout) * requests.len() as f64 + pauses + ms(self.connect);
        let worst = worst.max(answered);
        let every_ms = ms(every);
        let rounded = |ms: f64| (ms * 100.0).round() / 100.0;
        Takes {
            answered_ms: rounded(answered),
            worst_ms: rounded(worst),
            every_ms,
            keeps: answered <= every_ms,
            keeps_at_worst: worst <= every_ms,
        }
    }
}
