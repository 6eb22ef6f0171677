//! `floorgate tap` beside a running gateway: MQTT, Modbus and sockets, and each way in which watching ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::world::{
    Erp, Floor, Gateway, Line, PATIENCE, Process, Scanner, Settings, Site, free_port, run_to_end, socat, wait_for,
};

/// Someone who watches, from the moment on at which it is said that they do.
fn tap(device: &str, config: &str, more: &[&str]) -> Process {
    let mut tap = Command::new(env!("CARGO_BIN_EXE_floorgate"));
    tap.args(["tap", device, "--config", config]).args(more);
    tap.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tap = Process(tap.spawn().expect("it starts"));
    let said = tap.0.stderr.as_mut().expect("its output is ours");
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte != *b"\n" {
        said.read_exact(&mut byte).expect("it says when it watches");
        line.extend(byte);
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    assert!(line.starts_with(&format!("watching {device}")), "{line}");
    tap
}

/// Exit code and stderr.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run_to_end(arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What devices send is shown as it is committed: what it said, what the map made of it, what became of it.
#[test]
fn a_tap_shows_what_a_device_sends_and_what_became_of_it() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    let config = floor.gateway.config();
    let three = ["--count", "3", "--json"];
    let shown = |tap: &mut Process| -> Vec<Value> {
        let mut text = String::new();
        tap.0.stdout.take().expect("its output is ours").read_to_string(&mut text).expect("it wrote text");
        assert!(tap.end(Duration::from_secs(20)).success(), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    };
    let (mut hand, mut sorter) = (tap("hand", &config, &three), tap("sorter-1", &config, &three));
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

    let mut clash = tap("hand-T", &config, &["--count", "1"]);
    scanner.publish("dc1/scan/T/read", br#"{"barcode":"IT-2","ts":"2026-03-03T10:00:01Z","boot":"b9","seq":7}"#);
    scanner.flush();
    let mut text = String::new();
    clash.0.stdout.take().expect("its output is ours").read_to_string(&mut text).expect("it wrote text");
    assert!(
        text.contains("  bad\n") && text.contains("  not taken: number 7 of epoch d:b9 is stored with other content\n"),
        "{text}"
    );

    floor.plc.tell("push 3");
    let diverts = shown(&mut sorter);
    assert!(diverts.iter().all(|sample| sample["placed"] == "new" && sample["hex"].is_string()), "{diverts:?}");
    assert!(diverts[0]["events"][0]["kind"].as_str().is_some_and(|kind| kind.starts_with("divert.")), "{diverts:?}");

    let (code, why) = refused(&["tap", "hnad", "--config", &config]);
    assert_eq!(code, Some(69));
    assert!(why.starts_with("there is no device or link \"hnad\" (did you mean `hand`?); there are: "), "{why}");
    floor.gateway.kill();
    let (code, why) = refused(&["tap", "hand", "--config", &config]);
    assert_eq!(code, Some(69));
    assert!(why.contains("no gateway runs on"), "{why}");
}

fn socket(port: u16) -> String {
    format!(
        "[[link]]\nid = \"line\"\nkind = \"tcp\"\nlisten = \"127.0.0.1:{port}\"\n\
         [[device]]\nid = \"tunnel-1\"\nlink = \"line\"\nmap = \"fixed-scanner@1\"\n"
    )
}

/// A scanner on a socket, watched by someone who reads one line and goes.
#[test]
fn a_tap_of_a_socket_ends_with_its_reader() {
    let Some(program) = socat() else { return };
    let (port, erp) = (free_port(), Erp::start());
    let gateway = Gateway::start(&Site::new().links(&socket(port)).erp(&erp.url()));
    let mut line = Line::tcp(&program, &format!("TCP:127.0.0.1:{port},retry=200,interval=0.05"));
    let mut scan = |seq: u32| {
        line.send(format!("\u{2}5A31-{seq:08};ITEM-{seq};100\u{3}").as_bytes());
        assert_eq!(line.answer(), 0x06, "acknowledged, watched or not");
    };
    scan(1);
    let mut tap = tap("tunnel-1", &gateway.config(), &["--json"]);
    scan(2);
    let mut lines = BufReader::new(tap.0.stdout.take().expect("its output is ours"));
    let mut text = String::new();
    lines.read_line(&mut text).expect("it writes text");
    let shown: Value = serde_json::from_str(&text).expect("each line is JSON");
    assert_eq!((&shown["position"], &shown["placed"]), (&"2 of boot 5A31".into(), &"new".into()), "{shown}");
    assert_eq!(shown["events"][0]["subject"], "ITEM-2", "{shown}");
    drop(lines);
    scan(3);
    assert!(tap.end(PATIENCE).success(), "nobody reads it any more");
}

#[test]
fn a_tap_ends_with_ctrl_c_and_with_the_gateway() {
    let gateway = Gateway::start(&Site::new().links(&socket(free_port())).erp("http://127.0.0.1:9/"));
    wait_for("the gateway to answer", || gateway.say(&["status"]).0 == Some(0));
    let config = gateway.config();
    let (mut pressed, mut left) = (tap("tunnel-1", &config, &[]), tap("line", &config, &[]));
    pressed.signal("INT");
    assert_eq!(pressed.end(PATIENCE).code(), Some(0));
    assert!(gateway.stop(PATIENCE).success());
    assert_eq!(left.end(PATIENCE).code(), Some(69));
    let mut why = String::new();
    left.0.stderr.take().expect("its output is ours").read_to_string(&mut why).expect("it wrote text");
    assert!(why.contains("it has ended"), "{why}");
}
