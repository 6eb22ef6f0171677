//! `[[link]]` of a Modbus kind: a connection or a serial port, its times, and what is done about units that don't answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Reading;
use crate::config::bounds::{DAY, HOUR, SECOND, duration, number, span_text};
use crate::config::budget;
use crate::config::link::{MS, backoff, host_port, no_address};
use crate::config::port;
use crate::form::{self, Entry, Kind as Form, Table};
use crate::source::modbus;
use crate::source::modbus::wire::{CharSize, Framing, Parity, Place, Serial, StopBits, Timing};

const PORT: u16 = 502;
/// Baud rates that UARTs and adapters agree on.
const BAUDS: [u32; 9] = [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400];
/// The silence between two frames above 19,200 baud (Modbus over Serial Line 1.02, 2.5.1.1) …
const SILENCE: Duration = Duration::from_micros(1_750);
/// … and below: 3.5 characters of 11 bits, in bits.
const SILENT_BITS: f64 = 38.5;

/// What a link of Modbus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Rtu,
    RtuOverTcp,
}

/// Reads a link; `ports` are the serial ports of the links before it.
pub(super) fn read(
    table: &Table<'_>,
    reading: &Reading,
    id: &str,
    kind: Kind,
    ports: &mut BTreeMap<String, String>,
) -> Option<modbus::Config> {
    let framing = if kind == Kind::Tcp { Framing::Tcp } else { Framing::Rtu };
    let (place, standby) = if kind == Kind::Rtu {
        for key in ["address", "standby", "connect_timeout"].into_iter().filter(|key| table.entry(key).is_some()) {
            table.refuse_key(key, "is for links over TCP", "remove it: a serial line is named by `serial`");
        }
        (serial(table, reading, ports).map(Place::Serial), None)
    } else {
        if table.entry("serial").is_some() {
            table.refuse_key("serial", "is for kind = \"modbus-rtu\"", "remove it, or write that kind");
        }
        let place =
            table.required_entry_as("address", "write address = \"host:502\"").and_then(|entry| address(&entry));
        let standby = table.entry("standby").and_then(|entry| {
            let standby = address(&entry)?;
            if place.as_ref() == Some(&standby) {
                entry.refuse("is the link's address once more", "write the address of the other PLC or port");
            }
            Some(standby)
        });
        let tcp = |address| Place::Tcp(address, framing);
        (place.map(tcp), standby.map(tcp))
    };
    let connect =
        if kind == Kind::Rtu { SECOND } else { duration(table, "connect_timeout", SECOND * 2, MS * 10..=SECOND * 60) };
    let timing = Timing {
        connect,
        request: duration(table, "request_timeout", MS * 500, MS * 10..=SECOND * 60),
        pause_after_connect: duration(table, "pause_after_connect", Duration::ZERO, Duration::ZERO..=SECOND * 60),
        pause_between: pause_between(table, place.as_ref()),
    };
    let retries = number(table, "retries", 0, 0..=5);
    budget::answer_time(table);
    let idle_close = table.entry("idle_close").is_some();
    let idle_close = idle_close.then(|| duration(table, "idle_close", SECOND, MS * 100..=HOUR));
    fixed_answers(table, kind);
    let (reconnect, quarantine) = (backoff(table), quarantine(table));
    Some(modbus::Config {
        link: id.into(),
        place: place?,
        standby,
        timing,
        retries,
        idle_close,
        reconnect,
        quarantine,
        devices: Vec::new(),
    })
}

/// Keys that other gateways have, and that have one answer here.
fn fixed_answers(table: &Table<'_>, kind: Kind) {
    if let Some(entry) = table.entry("max_in_flight")
        && entry.read_of::<u32>(|| Form::Numeral(1)).is_some_and(|most| most != 1)
    {
        let message = if kind == Kind::Tcp {
            "several requests at once are not in this version"
        } else {
            "a serial line carries one request at a time: two would destroy each other"
        };
        entry.refuse(message, "remove it, or write 1");
    }
    if let Some(entry) = table.entry("check_transaction_id")
        && entry.read::<bool>() == Some(false)
    {
        let help = "remove it; a gateway that does not echo the id is spoken to as modbus-rtu-over-tcp if it can that, or its \
                    devices get quirks = [\"no-transaction-echo\"]";
        entry.refuse("would take late answers for the next request's values", help);
    }
    let after = if kind == Kind::Tcp { "reconnect" } else { "drain" };
    if let Some(entry) = table.entry("after_timeout") {
        entry.choice(&[(after, ())]);
    }
}

fn address(entry: &Entry<'_>) -> Option<String> {
    let text: String = entry.read()?;
    let address = modbus_address(&text);
    if address.is_none() {
        entry.refuse(&no_address(&text, "not the address of a Modbus server"), "write \"host:502\"");
    }
    address
}

/// `host` or `host:port` of a Modbus server, with the port; `None`: it is none.
pub fn modbus_address(text: &str) -> Option<String> {
    let (host, port) = host_port(text, PORT)?;
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn serial(table: &Table<'_>, reading: &Reading, ports: &mut BTreeMap<String, String>) -> Option<Serial> {
    let table = &table.required_table("serial")?;
    let port = port::read(table, reading, ports);
    port::no_transceiver(table);
    let known: Vec<String> = BAUDS.iter().map(ToString::to_string).collect();
    let bauds = BAUDS.map(|baud| (i64::from(baud), baud));
    let help = format!("one of {}", known.join(", "));
    let baud = table.required_entry("baud").and_then(|entry| entry.number_of(&bauds, &help));
    table.entry("data_bits").map(|entry| entry.number_of(&[(8, ())], "write 8: what RTU has"));
    let parities = [("even", Parity::Even), ("odd", Parity::Odd), ("none", Parity::None)];
    let parity = table.required_choice("parity", &parities);
    let stops = [(1, StopBits::One), (2, StopBits::Two)];
    let stop_bits = table.entry("stop_bits").map_or(Some(StopBits::One), |e| e.number_of(&stops, "write 1 or 2"));
    Some(Serial { port: port?, baud: baud?, data_bits: CharSize::Bits8, parity: parity?, stop_bits: stop_bits? })
}

/// The pause between requests; a serial line needs at least the silence that ends a frame.
fn pause_between(table: &Table<'_>, place: Option<&Place>) -> Duration {
    let least = match place {
        Some(Place::Serial(serial)) if serial.baud <= 19_200 => {
            Duration::from_secs_f64(SILENT_BITS / f64::from(serial.baud.max(1)))
        }
        Some(Place::Serial(_)) => SILENCE,
        _ => Duration::ZERO,
    };
    duration(table, "pause_between_requests", Duration::ZERO, Duration::ZERO..=SECOND * 10).max(least)
}

fn quarantine(table: &Table<'_>) -> modbus::Quarantine {
    let (after_failures, first, max) = (3, SECOND * 30, SECOND * 600);
    let Some(table) = table.table("quarantine") else { return modbus::Quarantine { after_failures, first, max } };
    let form::Duration(given) = table.or("for", form::Duration(first));
    let made = modbus::Quarantine {
        after_failures: number(&table, "after_failures", after_failures, 1..=1_000),
        first: duration(&table, "for", first, MS * 100..=DAY),
        max: duration(&table, "max", max.max(given), MS * 100..=DAY),
    };
    if made.first > made.max {
        let message = format!("is {}, less than for = {}", span_text(made.max), span_text(made.first));
        table.refuse_key("max", &message, "write a max that is not below for");
    }
    made
}

/// Objects of a device's identification (Modbus Application Protocol 1.1b3, 6.21).
const OBJECTS: [(&str, u8); 7] = [
    ("vendor_name", 0),
    ("product_code", 1),
    ("revision", 2),
    ("vendor_url", 3),
    ("product_name", 4),
    ("model_name", 5),
    ("user_application_name", 6),
];

/// `identity_check` of a device.
pub(super) fn identity(device: &Table<'_>) -> Option<modbus::Identity> {
    let table = device.table("identity_check")?;
    let object = table
        .required_entry_as("object", "write object = \"vendor_name\" and the like")
        .and_then(|entry| entry.choice(&OBJECTS));
    let equals = table.required::<String>("equals");
    Some(modbus::Identity { object: object?, equals: equals? })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::told;

    /// The shipped configuration with its Modbus link replaced by these lines.
    fn link(lines: &str) -> String {
        let shipped = "kind = \"modbus-tcp\"\naddress = \"10.20.0.21:502\"\nconnect_timeout = \"2s\"";
        told(&[(shipped, lines)])
    }

    #[test]
    fn a_serial_line_is_one_port_with_a_name_that_stays() {
        let good =
            "kind = \"modbus-rtu\"\nserial = { port = \"/dev/serial/by-path/x\", baud = 19200, parity = \"even\" }";
        insta::assert_snapshot!(link(good), @"");
        insta::assert_snapshot!(link("kind = \"modbus-rtu\"\nserial = { port = \"/dev/ttyUSB0\", baud = 19201, parity = \"mark\", data_bits = 7, stop_bits = 3 }"), @r#"
        gateway.toml:36:42: link[2].serial.baud: is 19201 (one of 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
        gateway.toml:36:58: link[2].serial.parity: "mark" is not known here (one of "even", "odd", "none")
        gateway.toml:36:78: link[2].serial.data_bits: is 7 (write 8: what RTU has)
        gateway.toml:36:93: link[2].serial.stop_bits: is 3 (write 1 or 2)
        warning: gateway.toml:36:19: link[2].serial.port: /dev/ttyUSB0 may be another adapter after the next start (write the name below /dev/serial/by-path that `ls -l /dev/serial/by-path` shows for it)
        "#);
        insta::assert_snapshot!(link("kind = \"modbus-rtu\"\naddress = \"10.0.0.1\""), @"
        gateway.toml:33:1: link[2].serial: is missing (add `serial = { … }` here)
        gateway.toml:36:11: link[2].address: is for links over TCP (remove it: a serial line is named by `serial`)
        ");
        let twice = format!("{good}\n[[link]]\nid = \"second\"\n{good}");
        insta::assert_snapshot!(link(&twice), @r"
    gateway.toml:40:19: link[3].serial.port: /dev/serial/by-path/x is also the port of link[2].serial (two readers would each get a part; one link carries all units of a Modbus line)
    warning: gateway.toml:38:6: link[3].id: no device uses this link (remove it, or add its devices)
    ");
    }

    #[test]
    fn a_serial_line_has_units_from_1_to_247() {
        let line =
            "kind = \"modbus-rtu\"\nserial = { port = \"/dev/serial/by-path/x\", baud = 19200, parity = \"even\" }";
        let shipped = "kind = \"modbus-tcp\"\naddress = \"10.20.0.21:502\"\nconnect_timeout = \"2s\"";
        let of = |unit: &str| told(&[(shipped, line), ("unit = 1", unit)]);
        insta::assert_snapshot!(of("unit = 0"), @"gateway.toml:48:8: device[2].unit: is 0, which means all units of a serial line, and none answers (write 1 to 247)");
        insta::assert_snapshot!(of("unit = 248"), @"gateway.toml:48:8: device[2].unit: is 248, which no unit of a serial line can have (write 1 to 247)");
        assert_eq!(of("unit = 247"), "");
        assert_eq!(told(&[("unit = 1", "unit = 0")]), "", "many servers on TCP answer as unit 0, or 255");
    }

    #[test]
    fn a_bus_carries_one_request_at_a_time_and_ids_are_checked() {
        let rtu = "kind = \"modbus-rtu-over-tcp\"\naddress = \"10.0.0.1:4001\"\nmax_in_flight = 2\nafter_timeout = \"reconnect\"\ncheck_transaction_id = true";
        insta::assert_snapshot!(link(rtu), @r#"
        gateway.toml:37:17: link[2].max_in_flight: a serial line carries one request at a time: two would destroy each other (remove it, or write 1)
        gateway.toml:38:17: link[2].after_timeout: "reconnect" is not known here (one of "drain")
        "#);
        let tcp = "kind = \"modbus-tcp\"\naddress = \"10.0.0.1\"\nmax_in_flight = 2\ncheck_transaction_id = false\nserial = {}";
        insta::assert_snapshot!(link(tcp), @r#"
        gateway.toml:37:17: link[2].max_in_flight: several requests at once are not in this version (remove it, or write 1)
        gateway.toml:38:24: link[2].check_transaction_id: would take late answers for the next request's values (remove it; a gateway that does not echo the id is spoken to as modbus-rtu-over-tcp if it can that, or its devices get quirks = ["no-transaction-echo"])
        gateway.toml:39:10: link[2].serial: is for kind = "modbus-rtu" (remove it, or write that kind)
        "#);
    }

    #[test]
    fn times_and_quarantine_have_bounds() {
        let lines = "kind = \"modbus-tcp\"\naddress = \"10.0.0.1\"\nstandby = \"10.0.0.1:502\"\nretries = 9\nidle_close = \"1ms\"\n\
                     quarantine = { after_failures = 0, for = \"5m\", max = \"1m\" }";
        insta::assert_snapshot!(link(lines), @r#"
        gateway.toml:37:11: link[2].standby: is the link's address once more (write the address of the other PLC or port)
        gateway.toml:38:11: link[2].retries: is 9 (write at least 0 and at most 5)
        gateway.toml:39:14: link[2].idle_close: is 1ms (write at least 100ms and at most 1h)
        gateway.toml:40:33: link[2].quarantine.after_failures: is 0 (write at least 1 and at most 1000)
        gateway.toml:40:54: link[2].quarantine.max: is 1m, less than for = 5m (write a max that is not below for)
        "#);
        let whole = "kind = \"modbus-tcp\"\naddress = \"10.0.0.1\"\nstandby = \"10.0.0.2\"\nretries = 1\nidle_close = \"5s\"\n\
                     connect_timeout = \"1s\"\npause_after_connect = \"100ms\"\n\
                     pause_between_requests = \"5ms\"\nquarantine = { after_failures = 2, for = \"10s\", max = \"20m\" }";
        insta::assert_snapshot!(link(whole), @"");
    }

    #[test]
    fn quirks_are_those_that_a_link_can_have() {
        let with = |quirks: &str| told(&[("unit = 1", &format!("unit = 1\nquirks = {quirks}"))]);
        insta::assert_snapshot!(with("[\"coils-from-zero\", \"one-request-per-tag\", \"close-after-cycle\", \"string-byte-low\"]"), @"");
        insta::assert_snapshot!(with("[\"close-after-cylce\", \"string-byte-low\", \"string-byte-high\"]"), @r#"
        gateway.toml:50:10: device[2].quirks: has the characters of texts in both bytes (keep one of string-byte-low and string-byte-high)
        gateway.toml:50:11: device[2].quirks[1]: "close-after-cylce" is not known here (did you mean `close-after-cycle`? One of "coils-from-zero", "one-request-per-tag", "close-after-cycle", "no-transaction-echo", "string-byte-low", "string-byte-high")
        "#);
        insta::assert_snapshot!(with("\"close-after-cycle\""), @r#"gateway.toml:50:10: device[2].quirks: is the text "close-after-cycle" (write a list: ["…", "…"])"#);
        insta::assert_snapshot!(with("[\"no-transaction-echo\"]"), @r#"warning: gateway.toml:50:10: device[2].quirks: no-transaction-echo: an answer of another id is taken, so that a late one, or one to another client of the same gateway, passes for this one's if unit, function and size are the same (keep it to devices of which floorgate status names "wrong transaction id", and request_timeout above their slowest answer)"#);
        let line =
            "kind = \"modbus-rtu\"\nserial = { port = \"/dev/serial/by-path/x\", baud = 19200, parity = \"even\" }";
        let shipped = "kind = \"modbus-tcp\"\naddress = \"10.20.0.21:502\"\nconnect_timeout = \"2s\"";
        let quirks = "unit = 1\nquirks = [\"no-transaction-echo\", \"close-after-cycle\"]";
        insta::assert_snapshot!(told(&[(shipped, line), ("unit = 1", quirks)]), @r"
        gateway.toml:49:10: device[2].quirks: close-after-cycle is for links over TCP: nobody else waits for a serial line (remove it)
        gateway.toml:49:10: device[2].quirks: no-transaction-echo is for modbus-tcp: modbus-rtu has no transaction ids (remove it)
        ");
        insta::assert_snapshot!(told(&[("map = \"hand-scanner@1\"", "map = \"hand-scanner@1\"\nquirks = []")]), @"gateway.toml:44:10: device[1].quirks: means nothing with MQTT (remove it)");
    }

    #[test]
    fn a_device_can_be_asked_who_it_is() {
        let unit = "unit = 1";
        let check = |with: &str| told(&[(unit, &format!("{unit}\nidentity_check = {with}"))]);
        insta::assert_snapshot!(check("{ object = \"vendor_name\", equals = \"ACME\" }"), @"");
        insta::assert_snapshot!(check("{ object = \"vendor\" }"), @r#"
        gateway.toml:50:18: device[2].identity_check.equals: is missing (add `equals = …` here)
        gateway.toml:50:29: device[2].identity_check.object: "vendor" is not known here (one of "vendor_name", "product_code", "revision", "vendor_url", "product_name", "model_name", "user_application_name")
        "#);
    }
}
