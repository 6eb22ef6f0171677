//! A line without transaction ids, and a unit that takes its time.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::source::health::Health;

const TIMEOUT: Duration = Duration::from_millis(8);

fn with_crc(body: &[u8]) -> Vec<u8> {
    [body, &crc::Crc::<u16>::new(&crc::CRC_16_MODBUS).checksum(body).to_le_bytes()].concat()
}

/// A unit behind a device server: each register holds its own address, requests are answered in order, each after
/// another while.
async fn slow_unit(listener: TcpListener, mut dice: fastrand::Rng) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut request = [0; 8];
        while stream.read_exact(&mut request).await.is_ok() {
            let [unit, function, at_high, at_low, _, count, ..] = request;
            if dice.f64() < 0.4 {
                sleep(TIMEOUT.mul_f64(dice.f64() * 4.0)).await;
            }
            let at = u16::from_be_bytes([at_high, at_low]);
            let words = (at..at + u16::from(count)).flat_map(u16::to_be_bytes);
            let body: Vec<u8> = [unit, function, count * 2].into_iter().chain(words).collect();
            stream.write_all(&with_crc(&body)).await?;
        }
    }
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_another_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("it is bound").to_string(), Framing::Rtu);
    let timing = Timing {
        connect: Duration::from_secs(5),
        request: TIMEOUT,
        pause_after_connect: Duration::ZERO,
        pause_between: Duration::ZERO,
    };
    let reads = async {
        let (mut wire, mut right, mut failed) = (None, 0, BTreeMap::new());
        for at in (0..150).map(|n| n * 10) {
            let open = match wire.take() {
                Some(wire) => Ok(wire),
                None => Wire::open(&place, timing, Gauge::default()).await,
            };
            let mut open = open.expect("the unit listens");
            match open.read(1, Span { at, words: 1 }).await {
                Ok(words) => {
                    assert_eq!(words, [at], "an answer to another request");
                    right += 1;
                    wire = Some(open);
                }
                Err(trouble) => {
                    *failed.entry(trouble.cause).or_insert(0) += 1;
                    wire = trouble.usable.then_some(open);
                }
            }
        }
        (right, failed)
    };
    let (right, failed) = tokio::select! {
        done = reads => done,
        _ = slow_unit(listener, fastrand::Rng::with_seed(7)) => panic!("the unit ended"),
    };
    assert!(right > 20 && failed.contains_key(&Cause::Late), "{right} right, {failed:?}");
}

/// As serial lines bring them: byte by byte.
#[tokio::test]
async fn an_identity_may_come_in_pieces() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("it is bound").to_string(), Framing::Rtu);
    let timing = Timing {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(5),
        pause_after_connect: Duration::ZERO,
        pause_between: Duration::ZERO,
    };
    let unit = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP option");
        loop {
            stream.read_exact(&mut [0; 7]).await.expect("a request");
            for byte in with_crc(b"\x01\x2b\x0e\x01\x02\x00\x00\x01\x00\x04ACME") {
                stream.write_all(&[byte]).await.expect("it listens");
                sleep(Duration::from_millis(2)).await;
            }
        }
    };
    let asked = async {
        // Opening listens for what is under way: as long as a request may take.
        let short = Timing { request: TIMEOUT, ..timing };
        let mut wire = Wire::open(&place, short, Gauge::default()).await.expect("the unit listens");
        wire.timing = timing;
        (wire.identity(1, 0).await, wire.identity(1, 0).await)
    };
    let (first, second) = tokio::select! {
        asked = asked => asked,
        () = unit => panic!("the unit ended"),
    };
    assert_eq!((first.ok().flatten().as_deref(), second.ok().flatten().as_deref()), (Some("ACME"), Some("ACME")));
}

/// Unit 2 says what it owes right behind an answer of unit 1: the read is asked again, a write is not, and it is the link's
/// trouble alone.
#[tokio::test]
async fn a_late_answer_behind_another_units_answer_is_no_garbage_of_that_unit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("it is bound").to_string(), Framing::Rtu);
    let request = Duration::from_millis(100);
    let (pause_after_connect, pause_between) = (Duration::ZERO, Duration::ZERO);
    let timing = Timing { connect: Duration::from_secs(5), request, pause_after_connect, pause_between };
    let late = with_crc(&[2, 3, 2, 0, 7]);
    let (health, writes) = (Health::default(), std::cell::Cell::new(0));
    let bus = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut asked, mut owed) = ([0; 8], false);
        loop {
            stream.read_exact(&mut asked).await.expect("a request");
            let [unit, function, at, low, ..] = asked;
            let right = match (unit, function) {
                (2, _) => {
                    owed = true;
                    continue;
                }
                (_, 3) => [vec![1, 3, asked[5] * 2], [at, low].repeat(asked[5].into())].concat(),
                _ => {
                    writes.set(writes.get() + 1);
                    asked[..6].to_vec()
                }
            };
            let behind = if std::mem::take(&mut owed) { &late[..] } else { &[] };
            stream.write_all(&[&with_crc(&right), behind].concat()).await.expect("it listens");
        }
    };
    let asks = async {
        let (id, device) = ("bus".into(), "first".into());
        let first = health.device(&id, &device);
        let mut wire = Wire::open(&place, timing, health.link(&id)).await.expect("the bus listens");
        let span = Span { at: 5, words: 1 };
        assert_eq!(wire.read(2, span).await.map_err(|trouble| trouble.cause), Err(Cause::Timeout));
        wire.for_devices([first.clone()]);
        let read = wire.read(1, span).await;
        wire.for_devices([]);
        assert_eq!(wire.read(2, span).await.map_err(|trouble| trouble.cause), Err(Cause::Timeout));
        wire.for_devices([first]);
        let written = wire.put(1, 5, &Put::Register(9)).await;
        (read, written)
    };
    let (read, written) = tokio::select! {
        asked = asks => asked,
        () = bus => panic!("the bus ended"),
    };
    assert_eq!(read, Ok(vec![5]));
    let words = "writing 9 to holding register 5 of unit 1: a late answer of unit 2 came between";
    assert_eq!(written, Err(Trouble { cause: Cause::Late, words: words.to_owned(), usable: true }));
    assert_eq!(writes.get(), 1, "never twice");
    let told = health.snapshot();
    assert_eq!((&told.devices[0].errors, told.links[0].errors["late"]), (&BTreeMap::new(), 2));
}
