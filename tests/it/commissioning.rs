//! The first day with a laptop: what is on the bus, how a number is held, what passes at the broker; against pymodbus and
//! mosquitto.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::world::{
    Broker, Floor, Plc, Process, Pty, Scanner, Settings, Site, mosquitto, python, run_to_end, socat, wait_for,
};

/// A verb, to its end: exit code, and stdout as JSON.
fn json(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run_to_end(arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?} wrote {text:?}: {e}"));
    (output.status.code(), value)
}

/// A verb, to its end: exit code, stdout and stderr.
fn said(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run_to_end(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// 5.0 as a float lies at 100 and 101, low word first.
#[test]
fn a_number_is_found_by_its_value_and_read_as_the_map_will() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--units", "2"]);
    plc.tell("word 2 100 0");
    plc.tell("word 2 101 16544"); // 0x40A0
    let address = format!("127.0.0.1:{}", plc.port);
    let (code, units) = json(&["modbus", "scan", &address, "--units", "1..3", "--timeout", "150ms", "--json"]);
    assert_eq!(code, Some(0));
    let found: Vec<u64> = units.as_array().into_iter().flatten().filter_map(|unit| unit["unit"].as_u64()).collect();
    assert!(found.starts_with(&[1, 2]), "{units}");

    let at = ["--unit", "2", "--holding", "100"];
    let read = ["--count", "2", "--type", "f32", "--order", "CDAB", "--json"];
    let (code, reading) = json(&[&["modbus", "read", &address], &at[..], &read[..]].concat());
    assert_eq!(code, Some(0));
    assert_eq!(reading["words"], serde_json::json!([0, 16544]), "{reading}");
    assert!(reading.to_string().contains("\"5\""), "{reading}");

    let probe = |expect: &str| said(&[&["modbus", "probe", &address], &at[..], &["--expect", expect]].concat());
    let (code, lines, _) = probe("5.000");
    assert_eq!(code, Some(0), "{lines}");
    let line = "area = \"holding\", at = 100, type = \"f32\", order = \"CDAB\"";
    let first = lines.lines().find(|line| line.contains("type =")).unwrap_or_default();
    assert!(first.contains(line), "the likeliest first:\n{lines}");
    let (code, ..) = probe("5.125");
    assert_eq!(code, Some(1), "nothing holds that");

    let beyond = said(&["modbus", "read", &address, "--unit", "1", "--holding", "9000"]);
    assert_eq!(beyond.0, Some(69));
    assert!(beyond.2.contains("no such address"), "{}", beyond.2);
    let nobody = said(&["modbus", "read", "127.0.0.1:9", "--holding", "0"]);
    assert_eq!(nobody.0, Some(69));
    assert!(nobody.2.contains("right address"), "{}", nobody.2);
}

/// On a serial line: one unit says nothing, one answers in garbage, and the others are found.
#[test]
fn a_scan_goes_on_behind_a_unit_that_is_silent_and_one_that_stammers() {
    let (Some(python), Some(socat)) = (python(), socat()) else { return };
    let dir = tempfile::tempdir().expect("a temp folder");
    let pty = Pty::start(&socat, dir.path());
    let theirs = pty.theirs.display().to_string();
    let mut bus = Plc::start_peer(&python, "bus.py", &["--serial", &theirs, "--units", "1,2,3,4"]);
    bus.tell("behave 2 never");
    bus.tell("behave 3 garbage");
    let port = pty.ours.display().to_string();
    let line = ["--rtu", "--baud", "115200", "--parity", "none", "--units", "1..4", "--timeout", "150ms", "--json"];
    let (code, units) = json(&[&["modbus", "scan", &port], &line[..]].concat());
    assert_eq!(code, Some(0));
    let found: Vec<(u64, &str)> = units
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|unit| Some((unit["unit"].as_u64()?, unit["product"].as_str()?)))
        .collect();
    assert_eq!(found, [(1, "unit 1"), (4, "unit 4")], "{units}");
}

const MAP: &str = r#"
schema = 1
[map]
id = "test-lane"
version = 1
protocol = "modbus"
addresses = "zero"
[poll.io]
every = "1s"
[[tag]]
name = "speed"
area = "holding"
at = 20
type = "u16"
poll = "io"
[[event]]
name = "lane.speed"
on = { change = "speed" }
[[write]]
name = "speed"
area = "holding"
at = 20
type = "u16"
range = [10, 200]
allow = ["role:fitter"]
verify = "read-back"
"#;

#[test]
fn only_what_a_map_allows_is_written() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    let links = format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{}\"\n\
         [[device]]\nid = \"lane-1\"\nlink = \"net\"\nunit = 1\nmap = \"test-lane@1\"\n",
        plc.port
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map("test-lane", MAP);
    let config = site.write().display().to_string();
    let write = |name: &str, value: &str, yes: &[&str]| {
        said(&[&["modbus", "write", "--config", &config, "lane-1", name, value], yes].concat())
    };
    for (name, value) in [("speed", "9"), ("speed", "201"), ("speed", "fast"), ("brake", "1")] {
        let (code, _, why) = write(name, value, &["--yes"]);
        assert_eq!(code, Some(64), "{name} {value}: {why}");
    }
    assert_eq!(write("speed", "120", &[]).0, Some(64), "nobody agreed to it");
    assert_eq!(plc.tell("requests"), serde_json::json!({}), "nothing of that went out");
    let (code, how, why) = write("speed", "120", &["--yes"]);
    assert_eq!((code, how.as_str()), (Some(0), "written and read back\n"), "{why}");
    let asked = plc.tell("requests"); // pymodbus counts a write twice: it reads back for its answer
    let asked: Vec<&String> = asked.as_object().expect("counts by request").keys().collect();
    assert_eq!(asked, ["1/6/20/1", "1/3/20/1"], "written, then read back");
}

/// What devices send is shown as it is committed: what it said, what the map made of it, what became of it.
#[test]
fn a_tap_shows_what_a_device_sends_and_what_became_of_it() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    let config = floor.gateway.config();
    let tap = |device: &str| {
        let mut tap = Command::new(env!("CARGO_BIN_EXE_floorgate"));
        tap.args(["tap", device, "--config", &config, "--count", "3", "--json"]);
        tap.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tap = Process(tap.spawn().expect("it starts"));
        let mut said = BufReader::new(tap.0.stderr.take().expect("its output is ours"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says when it watches");
        assert!(line.starts_with(&format!("watching {device}")), "{line}");
        tap
    };
    let shown = |tap: &mut Process| -> Vec<Value> {
        let mut text = String::new();
        tap.0.stdout.take().expect("its output is ours").read_to_string(&mut text).expect("it wrote text");
        assert!(tap.end(Duration::from_secs(20)).success(), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    };
    let (mut hand, mut sorter) = (tap("hand"), tap("sorter-1"));
    let mut scanner = Scanner::connect(floor.broker.port, "tapped");
    let scan = br#"{"barcode":"IT-1","ts":"2026-03-03T10:00:00Z","boot":"b9","seq":7}"#;
    for payload in [&scan[..], scan, b"\x02not JSON"] {
        scanner.publish("dc1/scan/T/read", payload);
    }
    scanner.flush();
    let seen = shown(&mut hand);
    let of = |field: &str| -> Vec<&Value> { seen.iter().map(|sample| &sample[field]).collect() };
    assert_eq!(of("placed"), ["new", "duplicate", "bad"], "{seen:?}");
    assert_eq!(of("position"), [&Value::from("7 of boot b9"), &"7 of boot b9".into(), &Value::Null]);
    assert_eq!(seen[0]["text"].as_str(), std::str::from_utf8(scan).ok());
    assert_eq!(
        (&seen[0]["events"][0]["kind"], &seen[0]["events"][0]["subject"]),
        (&"scan.item".into(), &"IT-1".into())
    );
    assert_eq!((&seen[2]["hex"], &seen[2]["length"]), (&"026e6f74204a534f4e".into(), &9.into()));
    assert!(seen[2]["reason"].as_str().is_some_and(|why| why.contains("JSON")), "{seen:?}");

    floor.plc.tell("push 3");
    let diverts = shown(&mut sorter);
    assert!(diverts.iter().all(|sample| sample["placed"] == "new" && sample["hex"].is_string()), "{diverts:?}");
    assert!(diverts[0]["events"][0]["kind"].as_str().is_some_and(|kind| kind.starts_with("divert.")), "{diverts:?}");

    let (code, _, why) = said(&["tap", "hnad", "--config", &config]);
    assert_eq!(code, Some(69));
    assert!(why.contains("no device or link \"hnad\", but: hand, sorter-1"), "{why}");
    floor.gateway.kill();
    let (code, _, why) = said(&["tap", "hand", "--config", &config]);
    assert_eq!(code, Some(69));
    assert!(why.contains("no gateway runs on"), "{why}");
}

/// What is proposed is a map that the gateway reads.
#[test]
fn what_passes_at_the_broker_becomes_the_section_of_a_map() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Stock);
    let address = format!("127.0.0.1:{}", broker.port);
    let listen = ["mqtt", "sniff", "--broker", &address, "hall/+station/#", "--for", "50s", "--count", "6", "--json"];
    let mut sniff = Command::new(env!("CARGO_BIN_EXE_floorgate"));
    sniff.args(listen).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut sniff = Process(sniff.spawn().expect("it starts"));
    let mut scanner = Scanner::connect(broker.port, "scanner");
    let mut seq = 0;
    // Until it has heard enough: nobody says when it has subscribed.
    wait_for("the listener to end", || {
        seq += 1;
        for station in ["A", "B"] {
            let payload = format!(
                r#"{{"barcode":"IT-{seq}","ts":"2026-03-03T10:00:00Z","boot":"b1","seq":{seq},"weight":{seq}.250}}"#
            );
            scanner.publish(&format!("hall/{station}/read"), payload.as_bytes());
        }
        scanner.flush();
        sniff.0.try_wait().expect("our own child").is_some()
    });
    let mut text = String::new();
    sniff.0.stdout.take().expect("its output is ours").read_to_string(&mut text).expect("it wrote text");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!((&report["messages"], &report["section_of"]), (&6.into(), &6.into()), "{report}");
    let section = report["section"].as_str().expect("there is one");
    assert!(section.contains("filter = \"hall/+station/read\"") && section.contains("seq = \"seq\""), "{section}");

    let links = format!(
        "[[link]]\nid = \"broker\"\nkind = \"mqtt\"\naddress = \"mqtt://{address}\"\n\
         [[device]]\nid = \"reader\"\nlink = \"broker\"\nmap = \"sniffed-scanner@1\"\n"
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map(
        "sniffed",
        &format!("schema = 1\n[map]\nid = \"sniffed-scanner\"\nversion = 1\nprotocol = \"mqtt\"\n{section}"),
    );
    let config = site.write().display().to_string();
    let (code, lines, faults) = said(&["check", "--config", &config]);
    assert!(lines.contains("device reader: sniffed-scanner@1"), "{code:?} {lines}{faults}");

    let (code, _, why) = said(&["mqtt", "sniff", "--broker", &address, "empty/#", "--for", "300ms"]);
    assert_eq!(code, Some(69));
    assert!(why.contains("nothing came on empty/#"), "{why}");
    let (code, _, why) = said(&["mqtt", "sniff", "--broker", "127.0.0.1:9", "#", "--for", "20s"]);
    assert_eq!(code, Some(69));
    assert!(why.contains("127.0.0.1:9"), "{why}");
}
