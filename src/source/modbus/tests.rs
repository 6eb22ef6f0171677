//! The link against a PLC of a few lines that answers wrongly on demand; sockets are real, the outbox is a closure.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::wire::Framing;
use super::*;
use crate::event::{Position, Sample};
use crate::form::Document;
use crate::tagmap::Binding;

const HEAD: usize = 100;
const ACK: usize = 101;
const EPOCH: usize = 102;
const FIRST_SLOT: usize = 200;
const WORDS: usize = 16;

/// What the PLC does to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Answers after the gateway gave up.
    Late,
    /// Answers under another transaction id.
    WrongId,
    /// Answers another function.
    WrongFunction,
    /// Answers with a register less.
    Short,
    /// Closes the connection instead of answering.
    HangUp,
    /// Answers "busy".
    Exception,
    /// Takes a write, says so, and forgets it.
    Forget,
}

struct Plc {
    registers: Vec<u16>,
    /// For the next requests, in order.
    reads: VecDeque<Fault>,
    writes: VecDeque<Fault>,
    connections: usize,
    acks: Vec<u16>,
    /// Good answers since the last fault or write.
    quiet: usize,
}

impl Plc {
    /// A PLC in its third run with `events` in its ring.
    fn new(events: u16) -> Self {
        let mut registers = vec![0; FIRST_SLOT + 32 * WORDS];
        for seq in 1..=events {
            let at = FIRST_SLOT + usize::from((seq - 1) % 32) * WORDS;
            registers[at..at + WORDS].copy_from_slice(&slot(seq));
        }
        (registers[HEAD], registers[EPOCH]) = (events, 3);
        Self { registers, reads: VecDeque::new(), writes: VecDeque::new(), connections: 0, acks: Vec::new(), quiet: 0 }
    }

    /// The answer's bytes, after the fault was done to it; empty: hang up.
    fn answer(&mut self, header: [u8; 7], request: &[u8], fault: Fault) -> Vec<u8> {
        let word = |i: usize| u16::from_be_bytes([request[i], request[i + 1]]);
        let (at, argument) = (usize::from(word(1)), word(3));
        self.quiet = if request[0] == 3 && fault == Fault::None { self.quiet + 1 } else { 0 };
        let mut answer = if request[0] == 3 {
            let count = argument - u16::from(fault == Fault::Short);
            let words = &self.registers[at..at + usize::from(count)];
            [&[3, (count * 2) as u8][..], &crate::tagmap::registers::bytes_of(words)].concat()
        } else {
            assert_eq!((request[0], at), (6, ACK), "nothing but the ack register is ever written");
            if !matches!(fault, Fault::Forget | Fault::HangUp | Fault::Exception) {
                self.registers[ACK] = argument;
                self.acks.push(argument);
            }
            request.to_vec()
        };
        match fault {
            Fault::HangUp => return Vec::new(),
            Fault::Exception => answer = vec![request[0] | 0x80, 6],
            Fault::WrongFunction => answer = vec![4, 2, 0, 0],
            _ => {}
        }
        let id = u16::from_be_bytes([header[0], header[1]]).wrapping_add(u16::from(fault == Fault::WrongId));
        let length = (answer.len() + 1) as u16;
        [&id.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[header[6]], &answer].concat()
    }
}

fn slot(seq: u16) -> [u16; WORDS] {
    let mut words = [0; WORDS];
    (words[0], words[3], words[4]) = (seq, 12, 1);
    for (word, pair) in words[5..].iter_mut().zip(b"395212345000000125".chunks(2)) {
        *word = u16::from_be_bytes([pair[0], pair[1]]);
    }
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS);
    words[15] = crc.checksum(&crate::tagmap::registers::bytes_of(&words[..15]));
    words
}

/// Serves one connection after the other.
async fn serve_plc(listener: TcpListener, plc: Rc<RefCell<Plc>>) {
    loop {
        let (stream, _) = listener.accept().await.expect("the listener lives as long as the test");
        plc.borrow_mut().connections += 1;
        drop(answer_all(stream, &plc).await);
    }
}

async fn answer_all(mut stream: TcpStream, plc: &RefCell<Plc>) -> std::io::Result<()> {
    loop {
        let mut header = [0; 7];
        stream.read_exact(&mut header).await?;
        let mut request = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
        stream.read_exact(&mut request).await?;
        let queue = |plc: &mut Plc| if request[0] == 3 { plc.reads.pop_front() } else { plc.writes.pop_front() };
        let fault = queue(&mut plc.borrow_mut()).unwrap_or(Fault::None);
        if fault == Fault::Late && stream.read(&mut [0]).await? == 0 {
            return Ok(()); // the gateway gave up; had it kept the connection, it would get this answer for its next request
        }
        let answer = plc.borrow_mut().answer(header, &request, fault);
        if answer.is_empty() {
            return Ok(());
        }
        stream.write_all(&answer).await?;
    }
}

const TIMEOUT: Duration = Duration::from_millis(60);

fn config(port: u16) -> Config {
    let text = include_str!("../../../devices/acme-sorter/map.toml").replace("\"50ms\"", "\"2ms\"");
    let binding = Binding::of("sorter-1");
    let map = Map::read(&Document { name: "map.toml".to_owned(), text }, &binding).expect("the map has no fault");
    Config {
        link: "net".into(),
        place: Place::Tcp(format!("127.0.0.1:{port}"), Framing::Tcp),
        standby: None,
        timing: Timing {
            connect: Duration::from_secs(5),
            request: TIMEOUT,
            pause_after_connect: Duration::ZERO,
            pause_between: Duration::ZERO,
        },
        retries: 0,
        idle_close: None,
        quarantine: Quarantine { after_failures: 3, first: TIMEOUT, max: TIMEOUT },
        reconnect: Backoff { min: Duration::from_millis(2), max: Duration::from_millis(4), reset_after: Duration::MAX },
        devices: vec![Device { id: "sorter-1".into(), unit: 1, identity: None, map }],
    }
}

/// The outbox: what it took, and what it answers first.
#[derive(Default)]
struct Store {
    refusals: VecDeque<CaptureError>,
    taken: Vec<Sample>,
}

impl Store {
    /// The numbers of all samples, in order.
    fn numbers(&self) -> Vec<u64> {
        let number = |sample: &Sample| match &sample.content.as_ref().expect("these slots are good").position {
            Position::Counted { seq, .. } => *seq,
            other => panic!("a FIFO counts: {other:?}"),
        };
        self.taken.iter().map(number).collect()
    }
}

/// Runs the link until the PLC's ack register is its head, nothing is left to be done wrong, and polls go on well.
async fn run_until_acknowledged(plc: Plc, refusals: &[CaptureError]) -> (Plc, Store) {
    let health = Health::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let plc = Rc::new(RefCell::new(plc));
    let store = RefCell::new(Store { refusals: refusals.iter().copied().collect(), taken: Vec::new() });
    let capture = |samples: Vec<Sample>| {
        let mut store = store.borrow_mut();
        assert!(plc.borrow().registers[ACK] <= store.taken.len() as u16, "acknowledged before the commit");
        let answer = store.refusals.pop_front().map_or(Ok(vec![Placed::New; samples.len()]), Err);
        if answer.is_ok() {
            store.taken.extend(samples);
        }
        async move { answer }
    };
    let last_seen = |_| {
        let position = store.borrow().taken.len() as i64;
        async move { Ok((position > 0).then(|| LastSeen { epoch: "d:0003".to_owned(), position })) }
    };
    let stop = CancellationToken::new();
    let done = async {
        loop {
            sleep(Duration::from_millis(1)).await;
            let plc = plc.borrow();
            let calm = plc.reads.is_empty() && plc.writes.is_empty() && plc.quiet > 3;
            if plc.registers[ACK] == plc.registers[HEAD] && calm {
                stop.cancel();
            }
        }
    };
    tokio::select! {
        () = link(config(port), (health, Tap::default()), &capture, &last_seen, stop.clone()) => {}
        () = serve_plc(listener, Rc::clone(&plc)) => {}
        () = done => {}
    }
    let plc = Rc::into_inner(plc).expect("everything else that held it has ended").into_inner();
    (plc, store.into_inner())
}

#[tokio::test]
async fn events_are_captured_in_order_and_acknowledged_once() {
    let (plc, store) = run_until_acknowledged(Plc::new(32), &[]).await;
    assert_eq!(store.numbers(), (1..=32).collect::<Vec<_>>());
    assert_eq!((plc.acks, plc.connections), (vec![32], 1));
    let first = &store.taken[0];
    assert_eq!((&*first.source, &*first.origin, first.raw.len()), ("sorter-1", "divert", 32));
}

#[tokio::test]
async fn after_a_timeout_or_an_answer_that_does_not_fit_the_connection_is_dropped() {
    use Fault::{Exception, HangUp, Late, Short, WrongFunction, WrongId};
    for (fault, connections) in [(Late, 2), (WrongId, 2), (WrongFunction, 2), (Short, 2), (HangUp, 2), (Exception, 1)] {
        for good in 0..3 {
            let mut plc = Plc::new(7);
            plc.reads = std::iter::repeat_n(Fault::None, good).chain([fault]).collect();
            let (plc, store) = run_until_acknowledged(plc, &[]).await;
            assert_eq!(plc.connections, connections, "{fault:?} after {good} good answers");
            assert_eq!(store.numbers(), (1..=7).collect::<Vec<_>>(), "{fault:?} after {good} good answers");
        }
    }
}

#[tokio::test]
async fn an_ack_that_failed_is_written_again_and_nothing_is_read_twice() {
    use Fault::{Exception, Forget, HangUp, Late, WrongId};
    for (fault, connections, acks) in [(Forget, 1, 1), (Exception, 1, 1), (HangUp, 2, 1), (Late, 2, 1), (WrongId, 2, 1)]
    {
        let mut plc = Plc::new(7);
        plc.writes = [fault].into();
        let (plc, store) = run_until_acknowledged(plc, &[]).await;
        assert_eq!((plc.connections, plc.acks.len()), (connections, acks), "{fault:?}");
        assert_eq!(store.numbers(), (1..=7).collect::<Vec<_>>(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_full_outbox_leaves_the_events_with_the_plc() {
    let (plc, store) = run_until_acknowledged(Plc::new(7), &[CaptureError::Full; 3]).await;
    assert_eq!((plc.acks, store.numbers()), (vec![7], (1..=7).collect()));
}

#[tokio::test]
async fn a_closed_outbox_ends_the_link() {
    let (plc, store) = run_until_acknowledged(Plc::new(7), &[CaptureError::Closed]).await;
    assert_eq!((plc.acks, store.taken.len()), (vec![], 0));
}

/// Compiles only if `app` can spawn it.
#[tokio::test]
async fn the_link_can_run_on_any_thread() {
    fn spawnable<T: Send + 'static>(_: &T) {}
    fn check(config: Config, outbox: Outbox) {
        spawnable(&run(config, outbox, Health::default(), CancellationToken::new()));
    }
    let _: fn(Config, Outbox) = check;
}

/// Register 5 does not exist (exception 2), function 2 is not known (exception 1): all else is answered with zeros, from
/// the 20th request on with ones.
async fn serve_tags(listener: TcpListener) -> std::io::Result<()> {
    let mut asked = 0_u32;
    loop {
        let (mut stream, _) = listener.accept().await?;
        loop {
            let mut header = [0; 7];
            if stream.read_exact(&mut header).await.is_err() {
                break;
            }
            let mut request = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
            stream.read_exact(&mut request).await?;
            asked += 1;
            let (at, count) = (request[2], request[4]);
            let value = u16::from(asked > 20);
            let answer = match request[0] {
                2 => vec![0x82, 1],
                3 if (at..at + count).contains(&5) => vec![0x83, 2],
                3 => [vec![3, count * 2], value.to_be_bytes().repeat(usize::from(count))].concat(),
                other => panic!("function {other}"),
            };
            let length = (answer.len() + 1) as u16;
            let frame = [&header[..2], &[0, 0], &length.to_be_bytes(), &[header[6]], &answer].concat();
            stream.write_all(&frame).await?;
        }
    }
}

fn tags_config(port: u16, text: &str) -> Config {
    let head = "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"zero\"\n";
    let binding = Binding::of("plc-1");
    let map = Map::read(&Document { name: "map.toml".to_owned(), text: format!("{head}{text}") }, &binding);
    let map = map.unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<String>()));
    Config { devices: vec![Device { id: "plc-1".into(), unit: 1, identity: None, map }], ..config(port) }
}

/// Events captured in `run`, by kind; `full`: so many captures are refused first.
async fn tag_events(text: &str, mut full: usize, run: Duration) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let told = std::sync::Mutex::new(Vec::new());
    let full_left = std::sync::Mutex::new(std::mem::take(&mut full));
    let capture = |samples: Vec<Sample>| {
        let mut left = full_left.lock().expect("no panic");
        let answer = if *left > 0 {
            *left -= 1;
            Err(CaptureError::Full)
        } else {
            for event in samples.iter().filter_map(|s| s.content.as_ref().ok()).flat_map(|d| &d.events) {
                told.lock().expect("no panic").push(event.kind.clone());
            }
            Ok(vec![Placed::New; samples.len()])
        };
        async move { answer }
    };
    let last_seen = |_| async { Ok(None) };
    let stop = CancellationToken::new();
    tokio::select! {
        () = link(tags_config(port, text), (Health::default(), Tap::default()), &capture, &last_seen, stop.clone()) => {}
        served = serve_tags(listener) => panic!("{served:?}"),
        () = sleep(run) => {}
    }
    told.into_inner().expect("no panic")
}

const TWO: &str = "[[tag]]\nname = \"good\"\npoll = \"a\"\narea = \"holding\"\nat = 2\ntype = \"u16\"\n\
                   [[event]]\nname = \"good.changed\"\non = { change = \"good\" }\n\
                   [[tag]]\nname = \"gone\"\npoll = \"a\"\narea = \"holding\"\nat = 5\ntype = \"u16\"\n";

#[tokio::test]
async fn control_a_refused_address_does_not_cost_its_neighbours() {
    let events = tag_events(&format!("[poll.a]\nevery = \"10ms\"\n{TWO}"), 0, Duration::from_secs(2)).await;
    assert_eq!(events, ["good.changed"]);
}

#[tokio::test]
async fn another_exception_does_not_keep_a_refused_request_whole() {
    let bit = "[[tag]]\nname = \"bit\"\npoll = \"a\"\narea = \"discrete\"\nat = 0\ntype = \"bool\"\n";
    let events = tag_events(&format!("[poll.a]\nevery = \"10ms\"\n{TWO}{bit}"), 0, Duration::from_secs(2)).await;
    assert_eq!(events, ["good.changed"], "the tag at 2 is never read, though its address is good");
}

/// One poll of a device finds no address at all, the other one is answered: which of the two came last says nothing.
#[tokio::test]
async fn a_device_that_refuses_one_of_its_polls_is_refused_and_stays_so() {
    let two_polls = TWO.replace("name = \"gone\"\npoll = \"a\"", "name = \"gone\"\npoll = \"b\"");
    let text = format!("[poll.a]\nevery = \"10ms\"\n[poll.b]\nevery = \"15ms\"\n{two_polls}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let health = Health::default();
    let capture = |samples: Vec<Sample>| async move { Ok(vec![Placed::New; samples.len()]) };
    let last_seen = |_| async { Ok(None) };
    let looks = async {
        let look = || health.snapshot().devices.first().cloned();
        let refused = loop {
            sleep(Duration::from_millis(1)).await;
            if let Some(device) = look().filter(|device| device.state == State::Refused) {
                break device;
            }
        };
        while look().is_some_and(|device| device.requests < refused.requests + 20) {
            sleep(Duration::from_millis(1)).await;
            let now = look().expect("it was there before");
            assert_eq!((now.state, now.since), (State::Refused, refused.since), "{now:?}");
        }
    };
    tokio::select! {
        () = link(tags_config(port, &text), (health.clone(), Tap::default()), &capture, &last_seen, CancellationToken::new()) => {}
        served = serve_tags(listener) => panic!("{served:?}"),
        () = looks => {}
        () = sleep(Duration::from_secs(20)) => panic!("{:?}", health.snapshot()),
    }
}

/// Two polls of one device with the same period are one group; the outbox is full when both have news.
#[tokio::test]
async fn two_polls_of_one_period_lose_nothing_to_a_full_outbox() {
    let text = "[poll.a]\nevery = \"10ms\"\n[poll.b]\nevery = \"10ms\"\n\
                [[tag]]\nname = \"first\"\npoll = \"a\"\narea = \"holding\"\nat = 2\ntype = \"u16\"\n\
                [[event]]\nname = \"first.changed\"\non = { change = \"first\" }\n\
                [[tag]]\nname = \"second\"\npoll = \"b\"\narea = \"holding\"\nat = 30\ntype = \"u16\"\n\
                [[event]]\nname = \"second.changed\"\non = { change = \"second\" }\n";
    for full in [0, 1, 2, 3] {
        let mut events = tag_events(text, full, Duration::from_secs(1)).await;
        events.sort();
        assert_eq!(events, ["first.changed", "second.changed"], "{full} captures refused");
    }
}

/// A PLC whose program is loaded anew: exception 2 to all, then it closes the connection, then all is as before.
#[tokio::test]
async fn a_refusal_does_not_outlive_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let reads = Rc::new(RefCell::new([0_u32; 2]));
    let seen = Rc::clone(&reads);
    let plc = async move {
        for connection in 0.. {
            let (mut stream, _) = listener.accept().await?;
            for n in 0.. {
                let mut frame = [0; 12];
                if stream.read_exact(&mut frame).await.is_err() || (connection == 0 && n == 6) {
                    break;
                }
                seen.borrow_mut()[connection.min(1)] += 1;
                let answer = if connection == 0 && n > 3 {
                    vec![0x83, 2]
                } else {
                    [vec![3, frame[11] * 2], vec![0; usize::from(frame[11]) * 2]].concat()
                };
                let answer = [&frame[..2], &[0, 0, 0, answer.len() as u8 + 1, frame[6]], &answer].concat();
                stream.write_all(&answer).await?;
            }
        }
        std::io::Result::Ok(())
    };
    // A second tag keeps the connection busy.
    let text = "[poll.a]\nevery = \"10ms\"\n[[tag]]\nname = \"x\"\npoll = \"a\"\narea = \"holding\"\nat = 2\ntype = \"u16\"\n\
                [[event]]\nname = \"x.changed\"\non = { change = \"x\" }\n[[tag]]\nname = \"y\"\npoll = \"a\"\narea = \"holding\"\nat = 90\ntype = \"u16\"\n";
    let capture = |samples: Vec<Sample>| async move { Ok(vec![Placed::New; samples.len()]) };
    let last_seen = |_| async { Ok(None) };
    let stop = CancellationToken::new();
    tokio::select! {
        () = link(tags_config(port, text), (Health::default(), Tap::default()), &capture, &last_seen, stop.clone()) => {}
        served = plc => panic!("{served:?}"),
        () = sleep(Duration::from_secs(2)) => {}
    }
    let [first, second] = *reads.borrow();
    assert!(second > 50, "{first} reads on the first connection, {second} on the second in 2 s of polls each 10 ms");
}

/// A gateway that says "the device behind me does not answer" (exception 11) after its own timeout: one such answer is
/// enough for a poll, others wait behind it.
#[tokio::test]
async fn a_unit_that_is_not_there_is_asked_once_a_poll() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = Rc::new(RefCell::new(0_u32));
    let seen = Rc::clone(&asked);
    let plc = async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            loop {
                let mut frame = [0; 12];
                if stream.read_exact(&mut frame).await.is_err() {
                    break;
                }
                *seen.borrow_mut() += 1;
                stream.write_all(&[frame[0], frame[1], 0, 0, 0, 3, frame[6], 0x83, 11]).await?;
            }
        }
        #[expect(unreachable_code, reason = "names the type")]
        std::io::Result::Ok(())
    };
    let tag =
        |n: u32| format!("[[tag]]\nname = \"t{n}\"\npoll = \"a\"\narea = \"holding\"\nat = 1{n}0\ntype = \"u16\"\n");
    let tags = (0..8).map(tag).collect::<Vec<_>>().concat();
    let text = format!("[poll.a]\nevery = \"1s\"\n{tags}[[event]]\nname = \"x.changed\"\non = {{ change = \"t0\" }}\n");
    let capture = |samples: Vec<Sample>| async move { Ok(vec![Placed::New; samples.len()]) };
    let last_seen = |_| async { Ok(None) };
    let stop = CancellationToken::new();
    tokio::select! {
        () = link(tags_config(port, &text), (Health::default(), Tap::default()), &capture, &last_seen, stop.clone()) => {}
        served = plc => panic!("{served:?}"),
        () = sleep(Duration::from_millis(500)) => {}
    }
    assert_eq!(*asked.borrow(), 1, "one poll");
}

/// A connection for each cycle: what the device refused before is not asked for again in each, though who it is would be.
#[tokio::test]
async fn what_was_refused_stays_aside_where_each_cycle_has_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let seen = Rc::new(RefCell::new([0_u32; 2]));
    let counts = Rc::clone(&seen);
    let plc = async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            counts.borrow_mut()[0] += 1;
            let mut frame = [0; 12];
            while stream.read_exact(&mut frame).await.is_ok() {
                let (at, count) = (frame[9], frame[11]);
                let refused = (at..at + count).contains(&5);
                counts.borrow_mut()[1] += u32::from(refused);
                let answer = if refused {
                    vec![0x83, 2]
                } else {
                    [vec![3, count * 2], vec![0; usize::from(count) * 2]].concat()
                };
                let answer = [&frame[..2], &[0, 0, 0, answer.len() as u8 + 1, frame[6]], &answer].concat();
                stream.write_all(&answer).await?;
            }
        }
        #[expect(unreachable_code, reason = "names the type")]
        std::io::Result::Ok(())
    };
    let text = format!("[poll.a]\nevery = \"10ms\"\n{TWO}");
    let mut config = tags_config(port, &text);
    config.quarantine.max = Duration::from_mins(1);
    config.devices[0].map.quirks = [Quirk::CloseAfterCycle].into();
    let capture = |samples: Vec<Sample>| async move { Ok(vec![Placed::New; samples.len()]) };
    let last_seen = |_| async { Ok(None) };
    tokio::select! {
        () = link(config, (Health::default(), Tap::default()), &capture, &last_seen, CancellationToken::new()) => {}
        served = plc => panic!("{served:?}"),
        () = async { while seen.borrow()[0] <= 20 { sleep(Duration::from_millis(5)).await } } => {}
        () = sleep(Duration::from_secs(20)) => {}
    }
    let [connections, refusals] = *seen.borrow();
    assert!(connections > 20 && refusals == 2, "{connections} connections of polls each 10 ms, {refusals} refusals");
}
