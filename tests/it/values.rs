//! What the tags of a device say, to people: `tap`, `status DEVICE` and the alarms of `status`, against pymodbus.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::{Gateway, Plc, Process, Site, python, run_to_end, wait_for};

const MAP: &str = r#"
schema = 1
[map]
id = "test-lane"
version = 1
protocol = "modbus"
addresses = "zero"
[poll.io]
every = "20ms"
[[tag]]
name = "weight"
area = "holding"
at = 20
type = "i16"
scale = 0.1
unit = "kg"
valid = { invalid = [32767] }
poll = "io"
[[tag]]
name = "stop"
area = "coil"
at = 3
type = "bool"
poll = "io"
[[tag]]
name = "button"
area = "coil"
at = 4
type = "bool"
poll = "io"
[[alarm]]
name = "emergency-stop"
when = "stop"
severity = "high"
text = "the rope is pulled"
latch = true
ack = "button"
event = "lane.stopped"
clear_event = "lane.released"
"#;

fn site(port: u16) -> Site {
    let links = format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\n\
         request_timeout = \"2s\"\nreconnect = {{ min = \"50ms\", max = \"200ms\" }}\n\
         [[device]]\nid = \"scale-1\"\nlink = \"net\"\nunit = 1\nmap = \"test-lane@1\"\n"
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map("test-lane", MAP);
    site
}

/// A verb with `--json`.
fn asked(gateway: &Gateway, verb: &[&str]) -> Value {
    let (code, said) = gateway.say(&[verb, &["--json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{verb:?} wrote {said:?}: {e}"))
}

/// `status scale-1`: a tag.
fn tag(gateway: &Gateway, name: &str) -> Value {
    let device = asked(gateway, &["status", "scale-1"]);
    let tags = device["tags"].as_array().unwrap_or_else(|| panic!("no tags in {device}"));
    tags.iter().find(|tag| tag["tag"] == name).unwrap_or_else(|| panic!("no {name} in {device}")).clone()
}

/// Somebody who watches, with the lines that come.
fn tap(gateway: &Gateway, more: &[&str]) -> (Process, impl FnMut() -> Value) {
    let mut tap = Command::new(env!("CARGO_BIN_EXE_floorgate"));
    tap.args(["tap", "scale-1", "--json", "--config", &gateway.config()]).args(more);
    tap.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tap = Process(tap.spawn().expect("it starts"));
    let mut lines = BufReader::new(tap.0.stdout.take().expect("its output is ours"));
    let next = move || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("it writes text");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    };
    (tap, next)
}

#[test]
fn a_tap_shows_polls_that_make_no_event() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    plc.tell("word 1 20 50");
    let gateway = Gateway::start(&site(plc.port));
    wait_for("the weight", || gateway.say(&["status"]).0 == Some(0) && tag(&gateway, "weight")["value"] == "5");
    let (_tap, mut next) = tap(&gateway, &[]);
    let first = next();
    assert_eq!(first["changed"], json!(["stop", "button", "weight"]), "{first}");
    let read = |cycle: &Value, area: &str| -> Value {
        let reads = cycle["reads"].as_array().cloned().unwrap_or_default();
        reads.into_iter().find(|read| read["area"] == area).unwrap_or_else(|| panic!("no {area} in {cycle}"))
    };
    assert_eq!(read(&first, "holding")["words"], json!([50]), "{first}");
    assert_eq!(read(&first, "coil")["bits"], json!([false, false]), "{first}");
    plc.tell("word 1 20 32767");
    let second = next();
    assert_eq!(second["changed"], json!(["weight"]), "a hundred polls without a change are not told: {second}");
    let weight = &read(&second, "holding")["tags"][0];
    assert_eq!((&weight["quality"], &weight["value"], &weight["unit"]), (&"bad".into(), &"5".into(), &"kg".into()));
    assert_eq!(weight["reason"], "is 32767, which the map calls invalid");

    // Each poll, if that is asked for; and for people.
    let (_all, mut each) = tap(&gateway, &["--all"]);
    let (_, second) = (each(), each());
    assert_eq!(second["changed"], json!([]), "{second}");
    let (code, text) = gateway.say(&["tap", "scale-1", "--count", "1"]);
    let expected = "  holding 20  7FFF\n    weight: bad, is 32767, which the map calls invalid; last 5 kg\n";
    assert!(code == Some(0) && text.contains("  scale-1  poll io  3 of 3 new\n") && text.contains(expected), "{text}");
    let (_, text) = gateway.say(&["tap", "scale-1", "--count", "2", "--all"]);
    assert!(text.contains("  poll io  no change\n  coil 3..4  00\n    stop = false\n"), "{text}");

    // What is stored without an event is told as such.
    plc.tell("coil 1 3 1");
    let raised = next();
    assert_eq!(raised["changed"], json!(["stop"]), "{raised}");
    let event = next();
    assert_eq!((&event["placed"], &event["events"][0]["kind"]), (&"new".into(), &"lane.stopped".into()), "{event}");
    plc.tell("coil 1 4 1");
    assert_eq!(next()["changed"], json!(["button"]));
    let seen = next();
    assert_eq!((&seen["placed"], &seen["events"]), (&"memory".into(), &json!([])), "{seen}");
}

#[test]
fn the_alarms_and_values_of_a_device_are_told_and_old_trouble_is_not() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    plc.tell("word 1 20 50");
    let site = site(plc.port);
    let gateway = Gateway::start(&site);
    wait_for("the weight", || gateway.say(&["status"]).0 == Some(0) && tag(&gateway, "weight")["value"] == "5");
    let device = || asked(&gateway, &["status"])["gateway"]["devices"][0].clone();
    assert_eq!(device()["alarms"], json!([]));
    let (code, text) = gateway.say(&["status", "scale-1"]);
    let row = |name: &str| text.lines().find(|line| line.starts_with(&format!("  {name} "))).unwrap_or_default();
    assert_eq!(code, Some(0));
    assert_eq!(row("weight").split_whitespace().collect::<Vec<_>>()[..4], ["weight", "5", "kg", "good"], "{text}");

    plc.tell("coil 1 3 1");
    wait_for("the alarm", || device()["alarms"][0]["state"] == "active");
    plc.tell("coil 1 3 0");
    wait_for("the alarm that waits", || device()["alarms"][0]["state"] == "latched");
    let since = device()["alarms"][0]["since"].clone();
    assert!(since.as_i64() > device()["since"].as_i64(), "{}", device());
    plc.tell("coil 1 3 1");
    gateway.kill();
    gateway.start_again();
    wait_for("an answer", || gateway.say(&["status"]).0 == Some(0));
    wait_for("the alarm, still", || device()["alarms"][0]["state"] == "active");
    assert_eq!(device()["alarms"][0]["since"], since, "since it was raised, not since the start");
    let (_, text) = gateway.say(&["status"]);
    let line = "  scale-1: alarm emergency-stop (high), active, raised ";
    assert!(text.contains(line) && text.contains(": the rope is pulled\n"), "{text}");
    plc.tell("coil 1 4 1");
    wait_for("somebody to have seen it", || device()["alarms"][0]["state"] == "acknowledged");
    plc.tell("coil 1 3 0");
    wait_for("its end", || device()["alarms"] == json!([]));

    // The device goes and comes back: its values are not good meanwhile, and its error is over behind it.
    let port = plc.port.to_string();
    drop(plc);
    wait_for("the device to be gone", || device()["state"] == "down");
    let weight = tag(&gateway, "weight");
    assert_eq!((&weight["value"], &weight["quality"]), (&"5".into(), &"stale".into()), "{weight}");
    assert!(weight["reason"].as_str().is_some_and(|why| why.starts_with("is not read")), "{weight}");
    let output = run_to_end(&["tap", "scale-1", "--for", "300ms", "--config", &gateway.config()]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && why.contains("\nscale-1 is down at present: "), "{why}");
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--port", &port]);
    plc.tell("word 1 20 60");
    wait_for("the device to be back", || tag(&gateway, "weight")["value"] == "6");
    let error = device()["last_error"].clone();
    assert!(error["over"].as_i64() >= error["at"].as_i64() && error["at"].is_i64(), "{error}");
    let link = asked(&gateway, &["status"])["gateway"]["links"][0].clone();
    assert!(link["last_error"]["over"].is_i64(), "{link}");

    let output = run_to_end(&["status", "scael-1", "--config", &gateway.config()]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{why}");
    assert!(why.contains("there is no device or link \"scael-1\" (did you mean `scale-1`?)"), "{why}");
}
