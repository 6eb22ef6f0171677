//! Devices that depart from the protocol: each quirk against a peer that has it, on pymodbus or bare sockets. Without the
//! quirk in the configuration the same peer brings nothing, or refuses: the tests say so where it takes no waiting.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use floorgate::source::health::State;
use serde_json::Value;

use crate::world::{Database, Links, PATIENCE, Plc, Site, python, run_to_end, wait_for};

const MAP: &str = r#"
schema = 1
[map]
id = "test-lane"
version = 1
protocol = "modbus"
addresses = "zero"
[poll.io]
every = "50ms"
[[tag]]
name = "full"
area = "coil"
at = 9
type = "bool"
poll = "io"
[[tag]]
name = "jam"
area = "coil"
at = 40
type = "bool"
poll = "io"
[[tag]]
name = "cartons"
area = "input"
at = 100
type = "u32"
order = "CDAB"
poll = "io"
counter = { wraps_at = 4294967296, reset = "detect" }
[[tag]]
name = "mode"
area = "holding"
at = 10
type = "u16"
poll = "io"
[[tag]]
name = "speed"
area = "holding"
at = 11
type = "u16"
poll = "io"
[[event]]
name = "lane.full"
on = { rising = "full" }
[[event]]
name = "lane.entered"
on = { count = "cartons" }
[[event]]
name = "lane.mode"
on = { change = "mode" }
fields = { mode = "mode", speed = "speed" }
[[write]]
name = "enable"
area = "coil"
at = 3
type = "bool"
allow = ["role:fitter"]
"#;

/// One device with that map behind `port`; `quirks` of the device.
fn site(port: u16, map: &str, quirks: &str) -> Site {
    let site = Site::new().erp("http://127.0.0.1:9/").links(&format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\n\
         reconnect = {{ min = \"50ms\", max = \"200ms\" }}\n\
         [[device]]\nid = \"odd-1\"\nlink = \"net\"\nunit = 1\nmap = \"test-lane@1\"\nquirks = [{quirks}]\n"
    ));
    site.map("test-lane", map);
    site
}

fn has(site: &Site, kind: &str) -> bool {
    Database::committed(site.data()).iter().any(|event| event.kind == kind)
}

/// The requests that the device was asked since the last time, without their unit.
fn asked(plc: &mut Plc) -> BTreeSet<String> {
    let told = plc.tell("requests");
    let requests = told.as_object().expect("counts by request").keys();
    requests.map(|request| request.strip_prefix("1/").unwrap_or(request).to_owned()).collect()
}

/// What `map explain` says of these: `function/address/count`.
fn explained(site: &Site, quirks: &[&str]) -> BTreeSet<String> {
    let map = site.dir().join("devices/test-lane").display().to_string();
    let quirks = quirks.iter().flat_map(|quirk| ["--quirk", quirk]);
    let output = run_to_end(&["map", "explain", &map, "--json"].into_iter().chain(quirks).collect::<Vec<_>>());
    let told: Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
    let requests = told["polls"][0]["requests"].as_array().expect("a list of requests");
    requests.iter().map(|of| format!("{}/{}/{}", of["function"], of["at"], of["count"])).collect()
}

/// The link reads that device until all its tables are known, then these change.
fn changes_are_seen(plc: &mut Plc, site: &Site) -> Links {
    let links = Links::start(site);
    wait_for("the tags to be read", || links.device("odd-1").requests > 20);
    let told = links.device("odd-1");
    assert!(told.errors.is_empty(), "{told:?}");
    plc.tell("coil 1 9 1");
    plc.tell("count 1 100 3");
    plc.tell("word 1 10 7");
    wait_for("the coil", || has(site, "lane.full"));
    wait_for("the cartons", || has(site, "lane.entered"));
    wait_for("the mode", || has(site, "lane.mode"));
    plc.tell("requests");
    let so_far = links.device("odd-1").requests;
    wait_for("two more cycles", || links.device("odd-1").requests > so_far + 12);
    links
}

#[test]
fn coils_are_read_from_0_as_is_explained_and_read_back_so() {
    let Some(python) = python() else { return };
    let quirk = "coils-from-zero";
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--quirk", quirk]);
    let of_the_map = MAP.replace("addresses = \"zero\"", "addresses = \"zero\"\nquirks = [\"coils-from-zero\"]");
    let site = site(plc.port, &of_the_map, "");
    let links = changes_are_seen(&mut plc, &site);
    let wire = asked(&mut plc);
    assert!(wire.contains("1/0/41"), "both coils from 0: {wire:?}");
    assert_eq!(wire, explained(&site, &[]));
    drop(links);
    asked(&mut plc);
    let config = site.write().display().to_string();
    let output = run_to_end(&["modbus", "write", "--config", &config, "odd-1", "enable", "true", "--yes"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "written and read back\n");
    assert_eq!(asked(&mut plc), ["5/3/1", "1/0/4"].map(str::to_owned).into());
}

#[test]
fn each_tag_has_its_own_request_as_is_explained() {
    let Some(python) = python() else { return };
    let quirk = "one-request-per-tag";
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--quirk", quirk]);
    let site = site(plc.port, MAP, "\"one-request-per-tag\"");
    let _links = changes_are_seen(&mut plc, &site);
    let wire = asked(&mut plc);
    assert_eq!(wire, ["1/9/1", "1/40/1", "3/10/1", "3/11/1", "4/100/2"].map(str::to_owned).into());
    assert_eq!(wire, explained(&site, &[quirk]));
    assert_ne!(wire, explained(&site, &[]));
}

#[test]
fn answers_under_other_ids_are_taken_where_the_device_is_known_for_them() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--quirk", "no-transaction-echo"]);
    let site = site(plc.port, MAP, "\"no-transaction-echo\"");
    drop(changes_are_seen(&mut plc, &site));
    let config = site.write().display().to_string();
    let output = run_to_end(&["modbus", "write", "--config", &config, "odd-1", "enable", "true", "--yes"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "written and read back\n");
    let address = format!("127.0.0.1:{}", plc.port);
    let output = run_to_end(&["modbus", "read", &address, "--holding", "10"]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(69) && why.contains("no-transaction-echo"), "{why}");
}

/// A PLC with one connection: a person with a laptop gets in between two polls, and the events come.
#[test]
fn a_connection_that_is_closed_leaves_room_for_another_client() {
    let Some(python) = python() else { return };
    let mut bus = Plc::start_peer(&python, "bus.py", &["--units", "1", "--single"]);
    let site = Site::new().erp("http://127.0.0.1:9/").links(&format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{}\"\n\
         [[device]]\nid = \"s1\"\nlink = \"net\"\nunit = 1\nmap = \"sorter@1\"\nquirks = [\"close-after-cycle\"]\n",
        bus.port
    ));
    let links = Links::start(&site);
    bus.tell("unit 1 push 5");
    wait_for("the PLC to be acknowledged", || bus.tell("unit 1 state")["ack"] == 5);
    let mut laptop = TcpStream::connect(("127.0.0.1", bus.port)).expect("its backlog takes us");
    laptop.set_read_timeout(Some(PATIENCE)).expect("a timeout above 0");
    laptop.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 100, 0, 1]).expect("it is sent");
    let mut answer = [0; 11];
    laptop.read_exact(&mut answer).expect("the gateway closes, and the PLC turns to us");
    drop(laptop);
    bus.tell("unit 1 push 5");
    wait_for("five more", || bus.tell("unit 1 state")["ack"] == 10);
    let before = bus.tell("connections")["connections"].as_u64().expect("a number");
    wait_for("a connection for each cycle", || {
        bus.tell("connections")["connections"].as_u64().is_some_and(|now| now > before + 3)
    });
    assert_eq!((links.link().state, links.device("s1").state), (State::Up, State::Up));
}

/// "AB12" with one character a register; the other byte says nothing.
fn text_is_read(map: &str, quirks: &str, [first, second]: [&str; 2]) {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    let site = site(plc.port, map, quirks);
    let links = Links::start(&site);
    let write = |plc: &mut Plc, words: &str| {
        for (at, word) in words.split(' ').enumerate() {
            let word = u16::from_str_radix(word, 16).expect("a word in hexadecimal");
            plc.tell(&format!("word 1 {} {word}", 20 + at));
        }
    };
    write(&mut plc, first);
    wait_for("the text to be read", || links.device("odd-1").requests > 8);
    write(&mut plc, second);
    wait_for("the whole text", || Database::committed(site.data()).iter().any(|event| event.body["code"] == "AB12"));
}

const TEXT: &str = r#"
[[tag]]
name = "code"
area = "holding"
at = 20
type = "string"
words = 4
poll = "io"
[[event]]
name = "code.read"
on = { change = "code" }
fields = { code = "code" }
"#;

#[test]
fn texts_with_one_character_in_a_register_are_read() {
    let high = MAP.replace("addresses = \"zero\"", "addresses = \"zero\"\nquirks = [\"string-byte-high\"]");
    text_is_read(&format!("{high}{TEXT}"), "", ["5800 5800 5800 5800", "41ff 42ff 31ff 32ff"]);
    // At the device the quirk says more than the map does.
    let written = TEXT.replace("words = 4", "words = 4\nbytes = \"high-first\"");
    let low = "\"string-byte-low\"";
    text_is_read(&format!("{MAP}{written}"), low, ["0058 0058 0058 0058", "ff41 ff42 ff31 ff32"]);
}
