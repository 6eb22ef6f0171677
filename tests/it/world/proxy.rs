//! A TCP proxy between the gateway and the broker that reads the MQTT packets as they pass.
//!
//! It knows from outside which messages the gateway was given and which PUBACKs the broker got, and can hold PUBACKs
//! back: what the gateway sent and the broker never saw is "between commit and PUBACK".

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::PATIENCE;

#[derive(Default)]
struct Seen {
    /// Connections that got a SUBACK.
    subscribed: usize,
    /// Messages that went to the gateway on the present connection and whose PUBACK the broker does not have.
    open: HashMap<u16, Vec<u8>>,
    /// PUBLISH packets to the gateway with the DUP flag.
    redelivered: usize,
    /// All PUBLISH packets to the gateway.
    published: usize,
    /// PUBACKs that went to the broker.
    acknowledged: usize,
    /// PUBACKs that were held back.
    withheld: usize,
    withhold: bool,
    streams: Vec<TcpStream>,
}

/// A running proxy; its threads end with the process.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

impl Proxy {
    /// Listens on a free port and passes each connection on to `broker`.
    pub(crate) fn start(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the listener has an address").port();
        let shared = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let proxy = Self { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for gateway in listener.incoming() {
                let Ok(gateway) = gateway else { return };
                let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                connect(&shared, &gateway, &broker);
            }
        });
        proxy
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().expect("the proxy's threads do not panic")
    }

    /// How often the gateway has subscribed.
    pub(crate) fn subscribed(&self) -> usize {
        self.seen().subscribed
    }

    /// PUBLISH packets that went to the gateway, and those of them with the DUP flag.
    pub(crate) fn published(&self) -> (usize, usize) {
        let seen = self.seen();
        (seen.published, seen.redelivered)
    }

    /// PUBACKs that the broker got.
    pub(crate) fn acknowledged(&self) -> usize {
        self.seen().acknowledged
    }

    /// Messages (topic and payload) that the gateway was given and the broker still holds.
    pub(crate) fn open(&self) -> Vec<Vec<u8>> {
        self.seen().open.values().cloned().collect()
    }

    /// From now on PUBACKs do not reach the broker.
    pub(crate) fn withhold(&self) {
        let mut seen = self.seen();
        seen.withhold = true;
        seen.withheld = 0;
    }

    /// Waits until the gateway has sent a PUBACK that was held back; `false` after `patience`.
    pub(crate) fn wait_withheld(&self, patience: Duration) -> bool {
        let wait = self.shared.1.wait_timeout_while(self.seen(), patience, |seen| seen.withheld == 0);
        wait.expect("the proxy's threads do not panic").0.withheld > 0
    }

    /// Cuts the present connections and lets PUBACKs pass again.
    pub(crate) fn cut(&self) {
        let mut seen = self.seen();
        seen.withhold = false;
        for stream in seen.streams.drain(..) {
            // The peer may be gone already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Waits for the next SUBACK after `before` of them.
    #[track_caller]
    pub(crate) fn wait_subscribed(&self, before: usize) {
        let wait = self.shared.1.wait_timeout_while(self.seen(), PATIENCE, |seen| seen.subscribed <= before);
        let (seen, timeout) = wait.expect("the proxy's threads do not panic");
        drop(seen);
        assert!(!timeout.timed_out(), "the gateway did not subscribe");
    }
}

fn connect(shared: &Arc<(Mutex<Seen>, Condvar)>, gateway: &TcpStream, broker: &TcpStream) {
    {
        let mut seen = shared.0.lock().expect("the proxy's threads do not panic");
        seen.open.clear();
        seen.streams = [gateway, broker].iter().filter_map(|s| s.try_clone().ok()).collect();
    }
    for (from, to, from_gateway) in [(gateway, broker, true), (broker, gateway, false)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        drop(from.set_nodelay(true));
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let (mut from, mut to) = (from, to);
            while let Some(packet) = read_packet(&mut from) {
                if passes(&shared, &packet, from_gateway) && to.write_all(&packet.bytes).is_err() {
                    break;
                }
            }
            // One side is gone: so is the other.
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
}

struct Packet {
    bytes: Vec<u8>,
    /// Where the body begins.
    body: usize,
}

fn read_packet(from: &mut TcpStream) -> Option<Packet> {
    let mut bytes = vec![0; 2];
    from.read_exact(&mut bytes).ok()?;
    let (mut length, mut shift) = (usize::from(bytes[1] & 127), 7);
    while bytes[bytes.len() - 1] & 128 != 0 {
        let mut digit = [0];
        from.read_exact(&mut digit).ok()?;
        bytes.push(digit[0]);
        length |= usize::from(digit[0] & 127) << shift;
        shift += 7;
    }
    let body = bytes.len();
    bytes.resize(body + length, 0);
    from.read_exact(&mut bytes[body..]).ok()?;
    Some(Packet { bytes, body })
}

/// Notes the packet; `false`: it is held back.
fn passes(shared: &(Mutex<Seen>, Condvar), packet: &Packet, from_gateway: bool) -> bool {
    let mut seen = shared.0.lock().expect("the proxy's threads do not panic");
    let body = &packet.bytes[packet.body..];
    let id = |at: usize| body.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    match (packet.bytes[0] >> 4, from_gateway) {
        (3, false) if packet.bytes[0] & 0b110 != 0 => {
            let topic = usize::from(id(0).unwrap_or_default()) + 2;
            seen.published += 1;
            seen.redelivered += usize::from(packet.bytes[0] & 8 != 0);
            // Topic, packet id, properties and payload as they are: the tests look for text inside.
            seen.open.insert(id(topic).unwrap_or_default(), body.to_vec());
        }
        (4, true) if seen.withhold => {
            seen.withheld += 1;
            shared.1.notify_all();
            return false;
        }
        (4, true) => {
            seen.acknowledged += 1;
            seen.open.remove(&id(0).unwrap_or_default());
        }
        (9, false) => {
            seen.subscribed += 1;
            shared.1.notify_all();
        }
        _ => {}
    }
    true
}
