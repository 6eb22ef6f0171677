//! `[[link]]` with `kind = "tcp"` or `"serial"`: a scanner that sends a stream of bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Reading;
use crate::config::bounds::{SECOND, duration, number};
use crate::config::link::{backoff, host_port, no_address};
use crate::config::port;
use crate::form::Table;
use crate::source::serial::{CharSize, Parity, Serial, StopBits};
use crate::source::socket::{Config, Place};

const MS: Duration = Duration::from_millis(1);

/// A scanner's socket: we connect, or it does.
pub(super) fn read_tcp(table: &Table<'_>, id: &str) -> Option<Config> {
    let place = match (table.entry("address"), table.entry("listen")) {
        (Some(_), Some(listen)) => {
            listen.refuse("stands beside `address`", "one of the two: who of both connects?");
            None
        }
        (None, None) => {
            table.refuse_key("address", "is missing", "write address = \"host:port\", or listen = \"0.0.0.0:port\"");
            None
        }
        (Some(_), None) => host(table, "address").map(Place::Connect),
        (None, Some(_)) => host(table, "listen").map(Place::Listen),
    };
    let connect_timeout = duration(table, "connect_timeout", SECOND * 2, MS * 10..=SECOND * 60);
    let reconnect = backoff(table);
    Some(Config { link: id.into(), place: place?, connect_timeout, reconnect, device: None })
}

/// A scanner on a serial port.
pub(super) fn read_serial(
    table: &Table<'_>,
    reading: &Reading,
    id: &str,
    ports: &mut BTreeMap<String, String>,
) -> Option<Config> {
    let serial = table.required_table("serial").and_then(|serial| read_port(&serial, reading, ports));
    let reconnect = backoff(table);
    Some(Config { link: id.into(), place: Place::Serial(serial?), connect_timeout: SECOND, reconnect, device: None })
}

/// `{ port, baud, data_bits, parity, stop_bits }`; `ports`: those that other links have.
fn read_port(table: &Table<'_>, reading: &Reading, ports: &mut BTreeMap<String, String>) -> Option<Serial> {
    let port = port::read(table, reading, ports);
    port::no_transceiver(table);
    let baud = number(table, "baud", 9_600, 50..=4_000_000);
    let sizes = [(7, CharSize::Bits7), (8, CharSize::Bits8)];
    let data_bits = table.entry("data_bits").map_or(Some(CharSize::Bits8), |e| e.number_of(&sizes, "write 7 or 8"));
    let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = table.entry("parity").map_or(Some(Parity::None), |entry| entry.choice(&parities));
    let stops = [(1, StopBits::One), (2, StopBits::Two)];
    let stop_bits = table.entry("stop_bits").map_or(Some(StopBits::One), |e| e.number_of(&stops, "write 1 or 2"));
    Some(Serial { port: port?, baud, data_bits: data_bits?, parity: parity?, stop_bits: stop_bits? })
}

fn host(table: &Table<'_>, key: &str) -> Option<String> {
    let entry = table.entry(key)?;
    let text: String = entry.read()?;
    // There is no usual port: 0 stands for the one that is missing.
    let parsed = host_port(&text, 0).filter(|(_, port)| *port > 0);
    let Some((host, port)) = parsed else {
        entry.refuse(&no_address(&text, "no address with a port"), "write \"host:port\"");
        return None;
    };
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}
