//! One connection after another, on a real outbox: which frame is the same one again.

use std::collections::BTreeMap;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::*;
use crate::form::Document;
use crate::lane::{Format, Outgoing, Worth};
use crate::outbox;
use crate::tagmap::{Binding, Map};

const DEADLINE: Duration = Duration::from_secs(20);
const CARTON: &str = "395212345000000125";

/// The shipped serial scanner, with an acknowledgement.
fn frame(ack: bool) -> Frame {
    let mut text = include_str!("../../../devices/acme-serial-scanner/map.toml").to_owned();
    if ack {
        text = text.replace("framing = \"line\"", "framing = \"line\"\nack = \"\\u0006\"\nnak = \"\\u0015\"");
    }
    let binding = Binding { params: BTreeMap::from([("window".to_owned(), "0s".to_owned())]), ..Binding::of("s-1") };
    let map = Map::read(&Document { name: "map.toml".to_owned(), text }, &binding).expect("the map has no fault");
    map.frame.expect("it has a frame")
}

struct World {
    dir: tempfile::TempDir,
    link: Link,
    work: mpsc::Receiver<Outgoing>,
}

impl World {
    fn new(ack: bool) -> Self {
        Self::with(ack, 1 << 30)
    }

    /// `max_size`: of pending events, bytes.
    fn with(ack: bool, max_size: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let (out, work) = mpsc::channel(8);
        let config = outbox::Config {
            dir: dir.path().to_owned(),
            site: "dc1".to_owned(),
            preset: outbox::Preset::Fast,
            max_size,
            history_age: Duration::from_hours(24),
            history_size: 1 << 30,
            synchronous_normal: false,
        };
        let lane = crate::lane::Config {
            id: "all".to_owned(),
            target: 0,
            system: "erp".to_owned(),
            business_unit: "main".to_owned(),
            elsewhere: std::collections::BTreeSet::new(),
            worth: Worth::Document,
            take: vec!["scan.*".to_owned()],
            format: Format::JsonArray { wrap: None },
            ordered_batch: false,
            key_scope: crate::lane::KeyScope::Item,
            max_events: 50,
            max_bytes: 1 << 20,
            linger_ms: 5,
            max_in_flight: 1,
            idempotency: crate::lane::Idempotency::Key,
            replays_errors: false,
            dedup_horizon_ms: 86_400_000,
            settle_ms: None,
            timeout_ms: 1_000,
            retry_first_ms: 1,
            retry_max_ms: 20,
            reference_grace_ms: 900_000,
            max_parked: 500,
            limits: crate::lane::Limits { breaker_first_ms: 20, breaker_max_ms: 20, ..Default::default() },
        };
        let (outbox, _) = Outbox::open(config, vec![lane], vec![out]).expect("a fresh directory opens");
        let frame = frame(ack);
        let doubt = if ack { Doubt::MayRepeat } else { Doubt::None };
        let (id, device) = ("line".into(), "s-1".into());
        Self {
            dir,
            link: Link { outbox, id, device, frame, doubt, acknowledged: None, gauges: Default::default() },
            work,
        }
    }

    /// One connection on which the device sends `bytes`, hears what it hears (or nothing) and hangs up.
    async fn connection(&mut self, bytes: &[u8], hears: bool) -> Vec<u8> {
        let (ours, mut theirs) = duplex(if hears { 64 } else { 1 });
        let stop = CancellationToken::new();
        let device = async {
            let mut answers = Vec::new();
            if hears {
                theirs.write_all(bytes).await.expect("we listen");
                theirs.shutdown().await.expect("it can be hung up");
                theirs.read_to_end(&mut answers).await.expect("we answer");
            } else {
                theirs.write_all(bytes).await.expect("we listen");
                drop(theirs); // before any answer: it can't be sent
            }
            answers
        };
        let served = async {
            let (serve, answers) = tokio::join!(self.link.serve(ours, pending(), &stop), device);
            assert!(matches!(serve, End::Lost(_)));
            answers
        };
        timeout(DEADLINE, served).await.expect("the connection ends")
    }

    /// Events stored, and how many of them wait for a person.
    fn stored(&self) -> (i64, i64) {
        let status = outbox::read::status(self.dir.path(), now().wall.0).expect("the outbox can be read");
        (status.events, status.lanes.iter().map(|lane| lane.held).sum())
    }
}

fn line(code: &str) -> Vec<u8> {
    format!("{code}\r\n").into_bytes()
}

#[tokio::test]
async fn frames_are_acknowledged_one_for_one_and_what_is_none_is_refused() {
    let mut world = World::new(true);
    let sent = [line("A"), line("B"), vec![b'x'; 129], line("")].concat();
    assert_eq!(world.connection(&sent, true).await, [6, 6, 0x15]);
    assert_eq!(world.stored(), (2, 0));
    let mut world = World::new(false);
    assert_eq!(world.connection(&sent, true).await, [0_u8; 0], "a device that wants no answer gets none");
    assert_eq!(world.stored(), (2, 0));
}

/// The acknowledgement could not be sent: what comes next and is equal is the same frame.
#[tokio::test]
async fn a_frame_whose_acknowledgement_did_not_leave_is_the_same_again() {
    let mut world = World::new(true);
    world.link.doubt = Doubt::None;
    assert_eq!(world.connection(&line("ITEM"), false).await, [0_u8; 0]);
    assert_eq!(world.link.doubt, Doubt::Repeats);
    assert_eq!(world.connection(&line("ITEM"), true).await, [6]);
    assert_eq!(world.stored(), (1, 0), "it is acknowledged and stored once");
    assert_eq!(world.connection(&[line("ITEM"), line("ITEM")].concat(), true).await, [6, 6]);
    assert_eq!(world.stored().0, 3, "what follows is another");
}

/// After a start nobody knows what the device has heard: a carton passes once, and items are not decided silently.
#[tokio::test]
async fn after_a_start_the_first_frame_is_in_doubt() {
    let mut world = World::new(true);
    world.connection(&[line("ITEM"), line(CARTON)].concat(), true).await;
    for (code, expected) in [(CARTON, (2, 0)), ("ITEM", (3, 1)), ("OTHER", (4, 1))] {
        world.link.doubt = Doubt::MayRepeat;
        assert_eq!(world.connection(&line(code), true).await, [6]);
        assert_eq!(world.stored(), expected, "{code}");
    }
}

/// An acknowledgement that left long before the connection ended was heard.
#[tokio::test]
async fn only_a_fresh_acknowledgement_is_in_doubt() {
    let mut world = World::new(true);
    world.connection(&line("ITEM"), true).await;
    assert_eq!(world.link.doubt, Doubt::MayRepeat, "it left just before the end");
    // A connection that the device closes itself stood till then; one that broke, or was followed by another, may have been
    // dead since, as long as the system needs to notice.
    for (ago, within, doubt) in
        [(HEARD, HEARD, Doubt::None), (HEARD, UNHEARD, Doubt::MayRepeat), (UNHEARD, UNHEARD, Doubt::None)]
    {
        world.link.doubt = Doubt::None;
        world.link.acknowledged = Instant::now().checked_sub(ago);
        world.link.ended(within);
        assert_eq!(world.link.doubt, doubt, "{ago:?} within {within:?}");
    }
    assert!(UNHEARD > Duration::from_millis(u64::from(UNHEARD_MS)), "the system has noticed before");
}

#[tokio::test]
async fn a_full_outbox_acknowledges_nothing_until_there_is_room() {
    let mut world = World::with(true, 1);
    let (ours, mut theirs) = duplex(64);
    let stop = CancellationToken::new();
    let mut room = world.link.outbox.room();
    let device = async {
        let mut answer = [0];
        theirs.write_all(&line("A")).await.expect("we listen");
        theirs.read_exact(&mut answer).await.expect("we answer");
        room.wait_for(|room| !*room).await.expect("the writer lives");
        theirs.write_all(&line("B")).await.expect("we listen");
        let silent = timeout(Duration::from_millis(300), theirs.read(&mut answer)).await.is_err();
        stop.cancel();
        (answer, silent)
    };
    let both = async { tokio::join!(world.link.serve(ours, pending(), &stop), device) };
    let (end, (answer, silent)) = timeout(DEADLINE, both).await.expect("a stop ends it");
    assert!(matches!(end, End::Stop));
    assert_eq!((answer, silent), ([6], true), "A is acknowledged, B is not");
    assert_eq!(world.stored().0, 1);
}

/// A scanner without `ack` that connects for each scan: its next connection is there before the last one was read.
#[tokio::test]
async fn a_newer_connection_does_not_throw_away_what_the_older_has_sent() {
    let mut world = World::new(false);
    let (ours, mut theirs) = duplex(64);
    theirs.write_all(&line("A")).await.expect("room");
    theirs.shutdown().await.expect("hung up");
    let (newer, _) = duplex(64);
    let stop = CancellationToken::new();
    let end = timeout(DEADLINE, world.link.serve(ours, std::future::ready(newer), &stop)).await.expect("it ends");
    assert!(matches!(end, End::Newer(_)));
    assert_eq!(world.stored().0, 1, "A was received by this machine before the newer connection was taken");
}

/// The same over real sockets, through `session`: connect, send, close; 100 scans in a row.
#[tokio::test]
async fn a_connection_for_each_scan_loses_none() {
    let mut world = World::new(false);
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let address = format!("127.0.0.1:{port}");
    let dir = world.dir.path().to_owned();
    let stop = CancellationToken::new();
    let scans = async {
        for n in 0..100 {
            let mut stream = loop {
                match TcpStream::connect(&address).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            stream.write_all(&line(&format!("SCAN{n:03}"))).await.expect("it is taken");
            stream.shutdown().await.expect("closed");
        }
        let stored = || outbox::read::status(&dir, 0).map_or(0, |status| status.events);
        let all = async {
            while stored() < 100 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        drop(timeout(DEADLINE, all).await); // how many there are is looked at below
        stop.cancel();
    };
    let mut away = Away { link: "line".into(), place: "x".to_owned(), told: None, gauges: Default::default() };
    let place = Place::Listen(address.clone());
    tokio::join!(world.link.session(&place, Duration::from_secs(1), &mut away, &stop), scans);
    assert_eq!(world.stored().0, 100);
}

/// Stop and wait, one connection. While the outbox is full the scanner repeats its frame each second; then there is room.
#[tokio::test]
async fn repeats_while_the_outbox_is_full_are_one_scan_and_one_acknowledgement() {
    use crate::lane::{Answer, Class, Outcome};
    let mut world = World::with(true, 4_000);
    world.link.doubt = Doubt::None;
    let outbox = world.link.outbox.clone();
    let (_unused, closed) = mpsc::channel(1);
    let mut work = std::mem::replace(&mut world.work, closed);
    let (ours, mut theirs) = duplex(64);
    let stop = CancellationToken::new();
    let room = world.link.outbox.room();
    let mut filled = 0;
    let device = async {
        let mut answer = [0];
        while *room.borrow() {
            theirs.write_all(&line(&format!("A{filled}"))).await.expect("we listen");
            theirs.read_exact(&mut answer).await.expect("we answer");
            filled += 1;
            assert!(filled < 500, "it fills up");
        }
        theirs.write_all(&line("B")).await.expect("we listen");
        tokio::time::sleep(IMPATIENT).await; // its patience
        theirs.write_all(&line("B")).await.expect("we listen");
        let drain = async {
            while let Some(batch) = work.recv().await {
                let outcomes = batch.keys.iter().map(|_| Outcome::new(Class::Delivered, "test")).collect();
                let answered = Answer {
                    status: Some(200),
                    excerpt: "t".to_owned(),
                    outcomes,
                    whole: false,
                    retry_after_ms: None,
                    later: None,
                };
                outbox.answered(0, batch.batch, answered).expect("the writer runs");
            }
            pending::<usize>().await
        };
        let hears = async { theirs.read(&mut answer).await.unwrap_or_default() };
        tokio::select! { heard = drain => heard, heard = hears => heard }
    };
    let served = async {
        let end = world.link.serve(ours, pending::<DuplexStream>(), &stop).await;
        assert!(matches!(end, End::Lost(_)), "it is to connect again");
    };
    let ((), heard) = timeout(DEADLINE, async { tokio::join!(served, device) }).await.expect("room ends it");
    assert_eq!(heard, 0, "no acknowledgement on that connection: it would be taken for the next frame's");
    assert_eq!(world.connection(&line("B"), true).await, [6], "its repeat is acknowledged");
    assert_eq!(world.stored().0 - filled, 1, "and is the same scan");
}
