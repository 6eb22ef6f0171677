//! Scanners: an MQTT 3.1.1 publisher at QoS 1, written against the standard and nothing of ours.
//!
//! A scan counts as produced when the broker acknowledged it; until then it is published again with DUP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{PATIENCE, sscc};

const WINDOW: usize = 100;

/// One publishing connection.
pub(crate) struct Scanner {
    stream: TcpStream,
    next_packet: u16,
    unacknowledged: Vec<u16>,
}

impl Scanner {
    pub(crate) fn connect(port: u16, client_id: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the broker listens");
        stream.set_nodelay(true).expect("a TCP option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP option");
        let mut scanner = Self { stream, next_packet: 0, unacknowledged: Vec::new() };
        let mut body = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec(); // 3.1.1, clean session, no keep alive
        push_text(&mut body, client_id.as_bytes());
        scanner.send(0x10, &body);
        let (kind, connack) = scanner.receive();
        assert_eq!((kind, connack.as_slice()), (0x20, &[0, 0][..]), "the broker refused the scanner");
        scanner
    }

    /// Publishes at QoS 1; waits only while the window is full.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        while self.unacknowledged.len() >= WINDOW {
            self.take_acknowledgement();
        }
        self.next_packet = self.next_packet.checked_add(1).unwrap_or(1);
        let mut body = Vec::new();
        push_text(&mut body, topic.as_bytes());
        body.extend_from_slice(&self.next_packet.to_be_bytes());
        body.extend_from_slice(payload);
        self.unacknowledged.push(self.next_packet);
        self.send(0x32, &body);
    }

    /// Scans of cartons with these numbers at station A; the broker has them then.
    pub(crate) fn cartons(&mut self, numbers: RangeInclusive<u32>) {
        for number in numbers {
            let payload = format!(r#"{{"barcode":"{}","boot":"b1","seq":{number}}}"#, sscc(number));
            self.publish("dc1/scan/A/read", payload.as_bytes());
        }
        self.flush();
    }

    /// Waits until the broker has everything.
    pub(crate) fn flush(&mut self) {
        while !self.unacknowledged.is_empty() {
            self.take_acknowledgement();
        }
    }

    fn take_acknowledgement(&mut self) {
        let (kind, body) = self.receive();
        assert_eq!((kind, body.len()), (0x40, 2), "the broker sent something else than a PUBACK");
        let packet = u16::from_be_bytes([body[0], body[1]]);
        self.unacknowledged.retain(|waiting| *waiting != packet);
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let mut packet = vec![kind];
        let mut rest = body.len();
        loop {
            let (digit, more) = (u8::try_from(rest % 128).expect("below 128"), rest / 128);
            packet.push(if more > 0 { digit | 128 } else { digit });
            rest = more;
            if rest == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.stream.write_all(&packet).expect("the broker takes what scanners send");
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("the broker answers");
        let mut body = vec![0; usize::from(head[1])];
        self.stream.read_exact(&mut body).expect("the broker answers");
        (head[0], body)
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        // Best effort: a broker that is gone does not care for our DISCONNECT.
        drop(self.stream.set_write_timeout(Some(Duration::from_secs(1))));
        drop(self.stream.write_all(&[0xe0, 0]));
    }
}

fn push_text(packet: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("test texts are short");
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(text);
}
