//! `[[link]]`: brokers and PLC networks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::bounds::{DAY, HOUR, Ids, SECOND, duration, number, size, span_text};
use crate::config::{Reading, files, modbus as bus, stream, tls};
use crate::form::Table;
use crate::source::{Backoff, modbus, mqtt, socket};
use crate::tagmap::Protocol;

const MQTT_PORT: u16 = 1883;
const MQTTS_PORT: u16 = 8883;
/// Longest client id, bytes. MQTT 3.1.1 promises 23; brokers in use take more.
const MAX_CLIENT_ID: usize = 128;
pub(super) const MS: Duration = Duration::from_millis(1);

/// A link of the file, whether it could be read or not, so that what refers to it is no second fault.
pub(super) struct Declared<'d> {
    pub(super) table: Table<'d>,
    pub(super) id: String,
    pub(super) protocol: Option<Protocol>,
    pub(super) link: Option<Link>,
}

pub(super) enum Link {
    Mqtt(mqtt::Config),
    Modbus(modbus::Config),
    Socket(Box<socket::Config>),
}

#[derive(Clone, Copy)]
enum Kind {
    Mqtt,
    Modbus(bus::Kind),
    Tcp,
    Serial,
}

const KINDS: [(&str, Kind); 6] = [
    ("mqtt", Kind::Mqtt),
    ("modbus-tcp", Kind::Modbus(bus::Kind::Tcp)),
    ("modbus-rtu", Kind::Modbus(bus::Kind::Rtu)),
    ("modbus-rtu-over-tcp", Kind::Modbus(bus::Kind::RtuOverTcp)),
    ("tcp", Kind::Tcp),
    ("serial", Kind::Serial),
];
/// Kinds that are not in this version.
const LATER: [&str; 3] = ["modbus-tls", "http", "file"];

pub(super) fn read_all<'d>(root: &Table<'d>, reading: &Reading, gateway: Option<&str>) -> Vec<Declared<'d>> {
    let mut ids = Ids::default();
    let mut clients = BTreeMap::new();
    let (mut ports, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    let mut links = Vec::new();
    for table in root.tables("link") {
        let id = ids.read(&table);
        let kind = kind(&table);
        let name = id.as_deref().unwrap_or_default();
        let link = match kind {
            Some(Kind::Mqtt) => {
                let link = read_mqtt(&table, reading, name, gateway.unwrap_or_default());
                unique_client(&table, link.as_ref(), &mut clients);
                link.map(Link::Mqtt)
            }
            Some(Kind::Modbus(kind)) => bus::read(&table, reading, name, kind, &mut ports).map(Link::Modbus),
            Some(Kind::Tcp) => stream::read_tcp(&table, name).map(Box::new).map(Link::Socket),
            Some(Kind::Serial) => {
                stream::read_serial(&table, reading, name, &mut ports).map(Box::new).map(Link::Socket)
            }
            // The rest of its keys can't be judged.
            None => {
                table.quiet();
                None
            }
        };
        let protocol = kind.map(|kind| match kind {
            Kind::Mqtt => Protocol::Mqtt,
            Kind::Modbus(_) => Protocol::Modbus,
            Kind::Tcp | Kind::Serial => Protocol::Socket,
        });
        if let Some(Link::Modbus(modbus)) = &link {
            one_link_an_address(&table, reading, modbus, &mut addresses);
        }
        links.extend(id.map(|id| Declared { table, id, protocol, link }));
    }
    links
}

/// Two links to one device are mostly a copy in which the address was forgotten: one device is told twice, another never.
fn one_link_an_address(
    table: &Table<'_>,
    reading: &Reading,
    link: &modbus::Config,
    seen: &mut BTreeMap<String, String>,
) {
    let modbus::wire::Place::Tcp(address, _) = &link.place else { return };
    if let Some(first) = seen.insert(address.clone(), table.path().to_owned()) {
        let message = format!("{address} is also the address of {first}");
        let help =
            "one link carries all units behind an address: put the devices behind it, or write the other address";
        reading.warn(table.fault_at("address", &message, help));
    }
}

fn kind(table: &Table<'_>) -> Option<Kind> {
    let has = KINDS.map(|(word, _)| format!("\"{word}\"")).join(", ");
    let entry = table.required_entry_as("kind", &format!("write kind = one of {has}"))?;
    let later = entry.later(&LATER, &format!("this version has {has}"));
    if later { None } else { entry.choice(&KINDS) }
}

/// Two sessions of one client id throw each other out, again and again.
fn unique_client(table: &Table<'_>, link: Option<&mqtt::Config>, clients: &mut BTreeMap<String, String>) {
    let Some(link) = link else { return };
    if let Some(first) = clients.get(&link.client_id) {
        let message = format!("\"{}\" is also the client id of {first}", link.client_id);
        table.refuse_key("client_id", &message, "give each link its own: the broker drops one for the other");
    } else {
        clients.insert(link.client_id.clone(), table.path().to_owned());
    }
}

fn read_mqtt(table: &Table<'_>, reading: &Reading, id: &str, gateway: &str) -> Option<mqtt::Config> {
    let address = mqtt_address(table);
    let versions = [(3, mqtt::Version::V311), (5, mqtt::Version::V5)];
    let version = table.entry("version");
    let version = version.map_or(Some(mqtt::Version::V5), |e| e.number_of(&versions, "write 5, or 3 for MQTT 3.1.1"));
    let client_id = client_id(table, format!("floorgate-{gateway}-{id}"));
    let login = login(table, reading);
    let tls = tls::read(table, reading, address.as_ref().map(|address| address.secure));
    let share = share(table, reading);
    let max_in_flight = number(table, "max_in_flight", 512, 1..=u16::MAX);
    let session_expiry = duration(table, "session_expiry", DAY * 7, SECOND * 60..=DAY * 3650);
    let keep_alive = duration(table, "keep_alive", SECOND * 30, SECOND..=HOUR * 18);
    if !keep_alive.as_millis().is_multiple_of(1000) {
        table.refuse_key("keep_alive", &format!("is {}", span_text(keep_alive)), "write whole seconds");
    }
    let max_packet = size(table, "max_packet", 1 << 20, 1 << 10..=16 << 20);
    let reconnect = backoff(table);
    let Address { host, port, secure } = address?;
    if !secure && !is_loopback(&host) {
        let message = format!("TLS is off, and {host} is another machine: scans and passwords can be read on the way");
        reading.warn(table.fault_at("address", &message, "write mqtts://, and tls = { ca_file = \"…\" }"));
    }
    Some(mqtt::Config {
        link: id.into(),
        host,
        port,
        tls: tls?,
        share: share?,
        version: version?,
        client_id: client_id?,
        login: login?,
        max_in_flight,
        session_expiry,
        keep_alive,
        max_packet: usize::try_from(max_packet).expect("16 MiB at most, as checked above"),
        reconnect,
        devices: Vec::new(),
    })
}

struct Address {
    host: String,
    port: u16,
    secure: bool,
}

fn mqtt_address(table: &Table<'_>) -> Option<Address> {
    let entry = table.required_entry_as("address", "write address = \"mqtt://host:1883\"")?;
    let text: String = entry.read()?;
    let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", &text));
    let help = "write \"mqtt://host:1883\", or \"mqtts://host:8883\" for TLS";
    if ["wss", "ws"].contains(&scheme) {
        entry.refuse(&format!("{scheme}:// is not in this version"), help);
        return None;
    }
    let secure = is_secure(scheme);
    let port = if secure == Some(true) { MQTTS_PORT } else { MQTT_PORT };
    let parsed = secure.and_then(|secure| host_port(rest, port).map(|(host, port)| Address { host, port, secure }));
    if parsed.is_none() && text.contains('@') {
        let help = "write the address alone, the user as `username`, and the file of the password as `password_file`";
        entry.refuse("holds a user, and perhaps a password", help);
    } else if parsed.is_none() {
        entry.refuse(&no_address(&text, "not the address of a broker"), help);
    }
    parsed
}

/// Whether a broker's address with that scheme is spoken to with TLS; `None`: there is no such scheme.
pub fn is_secure(scheme: &str) -> Option<bool> {
    match scheme {
        "mqtt" | "tcp" => Some(false),
        "mqtts" | "ssl" | "tls" => Some(true),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `Some(None)`: a session of our own. `None`: a fault was told.
#[expect(clippy::option_option, reason = "no group and no readable group differ")]
fn share(table: &Table<'_>, reading: &Reading) -> Option<Option<String>> {
    let Some(entry) = table.entry("share") else { return Some(None) };
    let group: String = entry.read()?;
    if group.is_empty() || group.len() > MAX_CLIENT_ID || group.contains(['/', '+', '#']) {
        entry.refuse(&format!("\"{group}\" is no name of a group"), "write a word without /, + and #");
        return None;
    }
    reading.warn(entry.fault(
        "the broker deals the messages of a device out among the group: their order is not kept, and a device that \
         counts shows gaps where another member got its messages",
        "leave it out where order or gaps matter; docs/mqtt.md tells what is left of them",
    ));
    Some(Some(group))
}

/// `host` or `host:port` of a broker; without a port the usual one, of TLS if it is `secure`.
pub fn broker_address(text: &str, secure: bool) -> Option<(String, u16)> {
    host_port(text, if secure { MQTTS_PORT } else { MQTT_PORT })
}

/// `host:port`, `host`, `[::1]:port`; no path, no user.
pub(super) fn host_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    let port = port.map_or(Some(default), |p| p.parse().ok().filter(|p| *p > 0))?;
    (!host.is_empty() && host.bytes().all(plain) && !is_misnumbered(host)).then(|| (host.to_owned(), port))
}

/// Digits and dots alone, and no IPv4 address: no name that a name server has either.
fn is_misnumbered(host: &str) -> bool {
    let numbers = !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    numbers && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// What is wrong with a text that [`host_port`] does not take, where `what` is wanted.
pub(super) fn no_address(text: &str, what: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(':').next().unwrap_or_default();
    if is_misnumbered(host) {
        format!("\"{host}\" is neither an address (four numbers up to 255) nor a name")
    } else {
        format!("\"{text}\" is {what}")
    }
}

fn client_id(table: &Table<'_>, default: String) -> Option<String> {
    let Some(entry) = table.entry("client_id") else { return Some(default) };
    let text: String = entry.read()?;
    if text.is_empty() || text.len() > MAX_CLIENT_ID || text.chars().any(char::is_control) {
        entry.refuse(&format!("\"{text}\" is not a client id"), "write 1 to 128 bytes without control characters");
        return None;
    }
    Some(text)
}

/// `Some(None)`: nobody logs in. `None`: a fault was told.
#[expect(clippy::option_option, reason = "no login and no readable login differ")]
fn login(table: &Table<'_>, reading: &Reading) -> Option<Option<(String, String)>> {
    if table.entry("password").is_some() {
        let help = "write it into a file that only the service may read, and `password_file = \"…\"` here";
        table.refuse_key("password", "a secret does not belong in the configuration", help);
    }
    let user: Option<String> = table.optional("username");
    let password = table.entry("password_file");
    if let (None, Some(entry)) = (&user, &password) {
        entry.refuse("has no `username` beside it", "add `username = \"…\"`");
    }
    let Some(entry) = password else { return Some(user.map(|user| (user, String::new()))) };
    let path = reading.path(&entry.read::<String>()?);
    match files::secret(&path) {
        Ok(secret) => {
            files::private(&entry, reading, &path);
            Some(user.map(|user| (user, secret)))
        }
        Err(why) => {
            entry.refuse(&format!("{}: {why}", path.display()), "name a file that holds the password and nothing else");
            None
        }
    }
}

pub(super) fn backoff(table: &Table<'_>) -> Backoff {
    let (min, max, reset_after) = (MS * 500, SECOND * 30, SECOND * 300);
    let Some(table) = table.table("reconnect") else { return Backoff { min, max, reset_after } };
    let made = Backoff {
        min: duration(&table, "min", min, MS * 10..=HOUR),
        max: duration(&table, "max", max, MS * 10..=HOUR),
        reset_after: duration(&table, "reset_after", reset_after, Duration::ZERO..=DAY),
    };
    if made.min > made.max {
        let message = format!("is {}, less than min = {}", span_text(made.max), span_text(made.min));
        table.refuse_key("max", &message, "write a max that is not below min");
    }
    made
}
