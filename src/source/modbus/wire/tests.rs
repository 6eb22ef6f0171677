//! A line without transaction ids, and a unit that takes its time.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

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
