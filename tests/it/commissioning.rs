//! The first day with a laptop: what is on the bus, how a number is held, what passes at the broker; against pymodbus and
//! mosquitto.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{
    Broker, Floor, PATIENCE, Plc, Process, Pty, Scanner, Settings, Site, mosquitto, python, run_to_end, socat, wait_for,
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

/// A known value proves a map: with the words of the float swapped, it does not.
#[test]
fn the_probes_of_a_map_are_run_against_the_device() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--units", "2"]);
    let address = format!("127.0.0.1:{}", plc.port);
    let links = format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"{address}\"\n\
         [[device]]\nid = \"scale-1\"\nlink = \"net\"\nunit = 2\nmap = \"test-lane@1\"\nparams = {{ at = 100 }}\n"
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map("test-lane", PROBED);
    let config = site.write().display().to_string();
    let map = site.dir().join("devices/test-lane/map.toml").display().to_string();
    plc.tell("word 2 101 16544"); // 5.0, low word first
    plc.tell("word 2 103 3");
    plc.tell("word 2 1190 65534"); // ten to the power of -2
    let by_map = ["modbus", "probe", &address, "--unit", "2", "--map", &map, "--param", "at=100"];
    let (code, report) = json(&[&by_map[..], &["--json"]].concat());
    assert_eq!(code, Some(1), "{report}");
    let proofs = report["probes"].as_array().cloned().unwrap_or_default();
    let of = |field: &str| -> Vec<Value> { proofs.iter().map(|proof| proof[field].clone()).collect() };
    assert_eq!(of("ok"), [true, true, false], "the address beyond the end costs its own tag alone: {report}");
    assert_eq!(of("value"), [Value::from("5"), Value::from("0.03"), Value::Null], "{report}");

    plc.tell("word 2 101 0");
    plc.tell("word 2 100 16544");
    let (code, text, why) = said(&["modbus", "probe", "scale-1", "--config", &config]);
    assert_eq!(code, Some(1), "{text}{why}");
    assert!(text.contains("test-lane@1 on unit 2:\n  off  weight is 0 kg; expected 5.000 +- 0.005 kg\n       put the 5 kg test weight on\n"), "{text}");
    assert!(text.contains("  ok   speed is 0.03; expected 0.03\n"), "{text}");
    assert!(text.contains("  off  beyond is stale: the device refuses its address; expected 1\n"), "{text}");

    site.map("test-lane", &PROBED.replace("order = \"CDAB\"", "order = \"ABCD\"").replace("9000", "30"));
    plc.tell("word 2 30 1");
    let (code, text, why) = said(&["modbus", "probe", "scale-1", "--config", &config]);
    assert_eq!(code, Some(0), "{text}{why}");

    for wrong in [&["--expect", "5"][..], &["--map", "x@1", "--expect", "5", "--holding", "0"], &[]] {
        assert_eq!(said(&[&["modbus", "probe", &address], wrong].concat()).0, Some(64), "{wrong:?}");
    }
    site.map("test-lane", MAP);
    let (code, _, why) = said(&["modbus", "probe", &address, "--map", &map]);
    assert!(code == Some(64) && why.contains("test-lane@1 has no [[probe]]"), "{code:?} {why}");
    let (code, _, why) = said(&["modbus", "probe", "127.0.0.1:9", "--map", "devices/acme-checkweigher"]);
    assert_eq!(code, Some(69), "{why}");
}

/// A float, and a number that is scaled by a register of a slower poll.
const PROBED: &str = r#"
schema = 1
[map]
id = "test-lane"
version = 1
protocol = "modbus"
addresses = "zero"
[param]
at = { type = "int" }
[poll.io]
every = "1s"
[poll.slow]
every = "20s"
priority = 5
[[tag]]
name = "weight"
area = "holding"
at = "{at}"
type = "f32"
order = "CDAB"
unit = "kg"
poll = "io"
[[tag]]
name = "speed"
area = "holding"
at = "{at + 3}"
type = "u16"
scale = { tag = "speed_sf", pow10 = true }
poll = "io"
[[tag]]
name = "speed_sf"
area = "holding"
at = 1190
type = "i16"
poll = "slow"
[[tag]]
name = "beyond"
area = "holding"
at = 9000
type = "u16"
poll = "io"
[[event]]
name = "lane.weighed"
on = { change = "weight" }
[[probe]]
tag = "weight"
expect = "5.000 +- 0.005"
hint = "put the 5 kg test weight on"
[[probe]]
tag = "speed"
expect = "0.03"
[[probe]]
tag = "beyond"
expect = "1"
"#;

/// One unit says nothing, one stammers, one is slow, one speaks for another: the others are found, and these are told.
fn scanned_behind_troubled_units(bus: &mut Plc, place: &[&str]) {
    for behaviour in ["2 never", "3 garbage", "4 late 250", "5 wrong-unit", "6 slow 1"] {
        bus.tell(&format!("behave {behaviour}"));
    }
    let times = ["--units", "1..8", "--timeout", "150ms", "--json"];
    let (code, units) = json(&[&["modbus", "scan"], place, &times].concat());
    assert_eq!(code, Some(0), "{units}");
    let units = units.as_array().cloned().unwrap_or_default();
    let with = |field: &str| -> Vec<(u64, String)> {
        let of = |unit: &Value| Some((unit["unit"].as_u64()?, unit[field].as_str()?.to_owned()));
        units.iter().filter_map(of).collect()
    };
    let found = [1, 6, 7].map(|unit| (unit, format!("unit {unit}")));
    assert_eq!(with("product"), found, "{units:?}");
    let told = with("trouble");
    let causes = [(3, "is no "), (4, "after its time was over"), (5, "unit 45 answers instead of 5")];
    assert_eq!(told.len(), causes.len(), "{units:?}");
    for ((unit, why), (expected, part)) in told.iter().zip(causes) {
        assert!(*unit == expected && why.contains(part), "{units:?}");
    }
    assert_eq!(units.len(), found.len() + causes.len(), "nobody else is there: {units:?}");
}

#[test]
fn a_scan_of_a_network_goes_on_behind_units_that_answer_wrongly() {
    let Some(python) = python() else { return };
    let mut bus = Plc::start_peer(&python, "bus.py", &["--units", "1,2,3,4,5,6,7"]);
    let address = format!("127.0.0.1:{}", bus.port);
    scanned_behind_troubled_units(&mut bus, &[&address]);
}

#[test]
fn a_scan_of_a_serial_line_goes_on_behind_units_that_answer_wrongly() {
    let (Some(python), Some(socat)) = (python(), socat()) else { return };
    let dir = tempfile::tempdir().expect("a temp folder");
    let pty = Pty::start(&socat, dir.path());
    let theirs = pty.theirs.display().to_string();
    let mut bus = Plc::start_peer(&python, "bus.py", &["--serial", &theirs, "--units", "1,2,3,4,5,6,7"]);
    let port = pty.ours.display().to_string();
    scanned_behind_troubled_units(&mut bus, &[&port, "--rtu", "--baud", "115200", "--parity", "none"]);
}

/// The device server is unplugged in the middle: what was found until then is not lost.
#[test]
fn a_scan_that_breaks_off_prints_what_it_has_found() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address").to_string();
    let device = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the scan connects");
        let mut request = [0; 12];
        for _ in 0..4 {
            stream.read_exact(&mut request).expect("a request of each table");
            let refusal = [&request[..4], &[0, 3, request[6], request[7] | 0x80, 1]].concat(); // no such function
            stream.write_all(&refusal).expect("it listens");
        }
    });
    let (code, out, why) = said(&["modbus", "scan", &address, "--units", "1..3", "--timeout", "150ms", "--json"]);
    device.join().expect("it was asked");
    assert_eq!(code, Some(69), "{why}");
    let units: Value = serde_json::from_str(&out).expect("JSON all the same");
    assert_eq!((&units[0]["unit"], units.as_array().map(Vec::len)), (&1.into(), Some(1)), "{units}");
    assert!(why.contains("those behind it were not asked"), "{why}");
}

/// `floorgate modbus read --watch 1s | head -3` ends: nobody reads it any more.
#[test]
fn what_goes_on_for_ever_ends_with_its_reader() {
    let Some(python) = python() else { return };
    let plc = Plc::start_peer(&python, "lanes.py", &[]);
    let address = format!("127.0.0.1:{}", plc.port);
    let mut read = Command::new(env!("CARGO_BIN_EXE_floorgate"));
    read.args(["modbus", "read", &address, "--holding", "0", "--watch", "20ms", "--json"]);
    read.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut read = Process(read.spawn().expect("it starts"));
    let mut lines = BufReader::new(read.0.stdout.take().expect("its output is ours"));
    for _ in 0..3 {
        let mut line = String::new();
        lines.read_line(&mut line).expect("it writes text");
        assert!(line.contains("\"words\":[0]"), "{line}");
    }
    drop(lines);
    assert!(read.end(PATIENCE).success());
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
[[write]]
name = "enable"
area = "coil"
at = 3
type = "bool"
allow = ["role:fitter"]
verify = "read-back"
[[write]]
name = "lamp"
area = "coil"
at = 4
type = "bool"
function = 15
allow = ["role:fitter"]
verify = "read-back"
[[write]]
name = "setpoint"
area = "holding"
at = 30
type = "f32"
order = "CDAB"
range = [0, 50.5]
allow = ["role:fitter"]
verify = "read-back"
[[write]]
name = "width"
area = "holding"
at = 50
type = "u16"
scale = 0.1
unit = "mm"
range = [0, 50]
allow = ["role:fitter"]
[[write]]
name = "brake"
area = "holding"
at = 40
type = "bit"
bit = 3
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
    for (name, value) in [
        ("speed", "9"),
        ("speed", "201"),
        ("speed", "fast"),
        ("siren", "1"),
        ("setpoint", "50.51"),
        ("width", "50.1"),
        ("width", "0.05"),
    ] {
        let (code, _, why) = write(name, value, &["--yes"]);
        assert_eq!(code, Some(64), "{name} {value}: {why}");
    }
    assert_eq!(write("speed", "120", &[]).0, Some(64), "nobody agreed to it");
    let (code, _, told) = write("width", "12.5", &[]);
    assert!(
        code == Some(64) && told.contains("width = 12.5 mm\n") && told.contains("role:fitter (not checked"),
        "{told}"
    );
    assert_eq!(plc.tell("requests"), serde_json::json!({}), "nothing of that went out");
    let (code, how, why) = write("speed", "120", &["--yes"]);
    assert_eq!((code, how.as_str()), (Some(0), "written and read back\n"), "{why}");
    let asked = plc.tell("requests"); // pymodbus counts a write twice: it reads back for its answer
    let asked: Vec<&String> = asked.as_object().expect("counts by request").keys().collect();
    assert_eq!(asked, ["1/6/20/1", "1/3/20/1"], "written, then read back");
}

/// The device takes its time to say who it is: what was asked for before that is no longer wanted.
#[test]
fn a_late_command_is_not_carried_out() {
    let Some(python) = python() else { return };
    let mut bus = Plc::start_peer(&python, "bus.py", &["--units", "1"]);
    let links = format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{}\"\nrequest_timeout = \"5s\"\n\
         [[device]]\nid = \"lane-1\"\nlink = \"net\"\nunit = 1\nmap = \"test-lane@1\"\n\
         identity_check = {{ object = \"product_code\", equals = \"unit 1\" }}\n",
        bus.port
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map("test-lane", &MAP.replacen("verify =", "expires = \"200ms\"\nverify =", 1));
    let config = site.write().display().to_string();
    bus.tell("behave 1 late 400");
    let (code, _, why) = said(&["modbus", "write", "--config", &config, "lane-1", "speed", "120", "--yes"]);
    assert_eq!(code, Some(64), "{why}");
    assert!(why.contains("nothing was written: it was asked for") && why.contains("expires after 200"), "{why}");
    assert_eq!(bus.tell("requests"), serde_json::json!({"1": 1}), "asked who it is, and nothing else");
}

/// Functions 5, 6, 15, 16 and 22 on pymodbus, read back, and the device holds what was meant.
fn written_with_each_function(plc: &mut Plc, link: &str, place: &[&str]) {
    let links = format!(
        "[[link]]\nid = \"net\"\n{link}\n[[device]]\nid = \"lane-1\"\nlink = \"net\"\nunit = 1\nmap = \"test-lane@1\"\n"
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map("test-lane", MAP);
    let config = site.write().display().to_string();
    plc.tell("word 1 40 61441"); // 0xF001: a neighbour of the bit is set
    let cases = [
        ("enable", "true", 5, "--coil", "3", serde_json::json!([true])),
        ("speed", "120", 6, "--holding", "20", serde_json::json!([120])),
        ("lamp", "true", 15, "--coil", "4", serde_json::json!([true])),
        ("setpoint", "12.5", 16, "--holding", "30", serde_json::json!([0, 0x4148])),
        ("width", "12.5", 6, "--holding", "50", serde_json::json!([125])),
        ("brake", "true", 22, "--holding", "40", serde_json::json!([0xF009])),
    ];
    for (name, value, function, area, at, held) in cases {
        plc.tell("requests");
        let (code, how, why) = said(&["modbus", "write", "--config", &config, "lane-1", name, value, "--yes"]);
        assert_eq!((code, how.as_str()), (Some(0), "written and read back\n"), "{name}: {why}");
        let asked = plc.tell("requests");
        let writes: Vec<&str> = asked
            .as_object()
            .into_iter()
            .flat_map(|asked| asked.keys())
            .filter_map(|request| request.split('/').nth(1))
            .filter(|function| !["1", "3"].contains(function))
            .collect();
        assert_eq!(writes, [function.to_string()], "{name}: {asked}");
        let count = held.as_array().map_or(0, Vec::len).to_string();
        let (_, reading) = json(&[&["modbus", "read"], place, &[area, at, "--count", &count, "--json"]].concat());
        let got = if reading["bits"].is_null() { &reading["words"] } else { &reading["bits"] };
        assert_eq!(*got, held, "{name}: {reading}");
    }
}

#[test]
fn each_function_writes_over_a_network() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start_peer(&python, "lanes.py", &[]);
    let address = format!("127.0.0.1:{}", plc.port);
    let link = format!("kind = \"modbus-tcp\"\naddress = \"{address}\"");
    written_with_each_function(&mut plc, &link, &[&address]);
}

#[test]
fn each_function_writes_over_a_serial_line() {
    let (Some(python), Some(socat)) = (python(), socat()) else { return };
    let dir = tempfile::tempdir().expect("a temp folder");
    let pty = Pty::start(&socat, dir.path());
    let mut plc = Plc::start_peer(&python, "lanes.py", &["--serial", &pty.theirs.display().to_string()]);
    let port = pty.ours.display().to_string();
    let link = format!("kind = \"modbus-rtu\"\nserial = {{ port = \"{port}\", baud = 19200, parity = \"none\" }}");
    written_with_each_function(&mut plc, &link, &[&port, "--rtu", "--parity", "none"]);
}

/// What `mqtt sniff` reports of what `send` publishes, again and again, until it has heard enough: nobody says when it has
/// subscribed.
fn sniffed(listen: &[&str], mut send: impl FnMut()) -> Value {
    let mut sniff = Command::new(env!("CARGO_BIN_EXE_floorgate"));
    sniff.args(listen).args(["--for", "50s", "--json"]);
    sniff.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut sniff = Process(sniff.spawn().expect("it starts"));
    wait_for("the listener to end", || {
        send();
        sniff.0.try_wait().expect("our own child").is_some()
    });
    let mut text = String::new();
    sniff.0.stdout.take().expect("its output is ours").read_to_string(&mut text).expect("it wrote text");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// What was proposed is a whole map: `check` reads a device with it.
fn is_a_map(address: &str, map: &Value) {
    let links = format!(
        "[[link]]\nid = \"broker\"\nkind = \"mqtt\"\naddress = \"mqtt://{address}\"\n\
         [[device]]\nid = \"reader\"\nlink = \"broker\"\nmap = \"sniffed-scanner@1\"\n"
    );
    let site = Site::new().erp("http://127.0.0.1:9/").links(&links);
    site.map("sniffed", map.as_str().expect("there is one"));
    let (code, lines, faults) = said(&["check", "--config", &site.write().display().to_string()]);
    assert!(lines.contains("device reader: sniffed-scanner@1"), "{code:?} {lines}{faults}");
}

/// What is proposed is a map that the gateway reads.
#[test]
fn what_passes_at_the_broker_becomes_a_map() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Stock);
    let address = format!("127.0.0.1:{}", broker.port);
    let listen = ["mqtt", "sniff", "--broker", &address, "hall/+station/#", "--map", "sniffed-scanner", "--count", "6"];
    let mut scanner = Scanner::connect(broker.port, "scanner");
    let mut seq = 0;
    let report = sniffed(&listen, || {
        seq += 1;
        for station in ["A", "B"] {
            let payload = format!(
                r#"{{"barcode":"IT-{seq}","ts":"2026-03-03T10:00:00Z","boot":"b1","seq":{seq},"weight":{seq}.250}}"#
            );
            scanner.publish(&format!("hall/{station}/read"), payload.as_bytes());
        }
        scanner.flush();
    });
    assert_eq!((&report["messages"], &report["section_of"]), (&6.into(), &6.into()), "{report}");
    let section = report["section"].as_str().expect("there is one");
    assert!(section.contains("filter = \"hall/+station/read\"") && section.contains("seq = \"seq\""), "{section}");

    is_a_map(&address, &report["map"]);

    let (code, _, why) = said(&["mqtt", "sniff", "--broker", &address, "empty/#", "--for", "300ms"]);
    assert_eq!(code, Some(69));
    assert!(why.contains("nothing came on empty/#"), "{why}");
    let (code, _, why) = said(&["mqtt", "sniff", "--broker", "127.0.0.1:9", "#", "--for", "20s"]);
    assert_eq!(code, Some(69));
    assert!(why.contains("127.0.0.1:9"), "{why}");

    // What takes connections and says nothing is no broker.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("mqtt://{}", silent.local_addr().expect("it is bound"));
    let (code, _, why) = said(&["mqtt", "sniff", "--broker", &address, "#", "--for", "300ms"]);
    assert_eq!(code, Some(69));
    assert!(why.contains("no broker's answer to our CONNECT in 300ms"), "{why}");
}

/// A scanner with labels, a clock of its own and a number that nobody called a boot id; switched off and on meanwhile.
#[test]
fn what_a_scanner_sends_is_known_by_what_it_does() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Stock);
    let address = format!("127.0.0.1:{}", broker.port);
    let listen =
        ["mqtt", "sniff", "--broker", &address, "hall/+station/#", "--map", "sniffed-scanner", "--count", "12"];
    let mut scanner = Scanner::connect(broker.port, "scanner");
    let mut sent = 0;
    let report = sniffed(&listen, || {
        sent += 1;
        let (up, n) = (sent / 5, sent % 5); // off and on again, each five scans
        let at = 1_767_225_600_000_u64 + sent * 900;
        let payload = format!(r#"{{"data":"]C100395212345000000125","ts":{at},"up":{up},"n":{n},"fw":"1.2"}}"#);
        scanner.publish("hall/A/read", payload.as_bytes());
        scanner.flush();
    });
    let section = report["section"].as_str().unwrap_or_else(|| panic!("there is one: {report}"));
    for part in [
        "type = \"time\", format = \"unix-ms\", required = true }",
        "\n[topic.barcode]\nfrom = \"data\"\nparse = \"gs1\"\nsymbology_id = \"required\"",
        "subject = \"{ai.00}\"",
        "boot = \"up\"\nseq = \"n\"\n",
    ] {
        assert!(section.contains(part), "{part}\n{section}");
    }
    is_a_map(&address, &report["map"]);
}

/// Beside a gateway whose session the broker keeps: it is the same session afterwards, and has all messages.
#[test]
fn who_listens_beside_a_gateway_takes_nothing_from_it() {
    let Some(floor) = Floor::start(3, Settings::Stock, |site| site) else { return };
    let config = floor.gateway.config();
    let link = || {
        let (code, text) = floor.gateway.say(&["status", "--json"]);
        let status: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{code:?} {e}: {text}"));
        let links = status["gateway"]["links"].as_array().cloned().unwrap_or_default();
        let found = links.into_iter().find(|link| link["id"] == "broker");
        found.expect("the gateway has this link")
    };
    let before = link();
    let listen = ["mqtt", "sniff", "--link", "broker", "--config", &config, "dc1/scan/+station/read", "--count", "3"];
    let mut scanner = Scanner::connect(floor.broker.port, "large");
    let mut sent = 0;
    let report = sniffed(&listen, || {
        sent += 1;
        scanner.publish("dc1/scan/A/read", &vec![b'x'; (1 << 20) + 1]); // longer than is looked at
        let scan = format!(r#"{{"barcode":"IT-1","ts":"2026-03-03T10:00:00Z","boot":"b9","seq":{sent}}}"#);
        scanner.publish("dc1/scan/A/read", scan.as_bytes());
        scanner.flush();
    });
    assert_eq!((&report["messages"], &report["section_of"]), (&3.into(), &3.into()), "{report}");
    assert!(report["too_long"].as_u64() >= Some(2), "{report}");
    wait_for("all scans at the ERP", || floor.erp.count() >= sent);
    let after = link();
    assert_eq!((&before["since"], &before["state"]), (&after["since"], &after["state"]), "{before} {after}");
    floor.gateway.kill();
}
