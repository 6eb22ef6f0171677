//! Names that people mistype: nothing of them is never told as nothing is wrong.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{Floor, Scanner, Settings, Site, run_to_end, wait_for};

/// Of devices with instances behind them, and of lanes.
#[test]
fn a_name_that_nobody_has_is_no_all_clear_and_an_instance_is_found() {
    let Some(floor) = Floor::start(3, Settings::Shipped, |site| site) else { return };
    let config = floor.gateway.config();
    let say = |arguments: &[&str]| {
        let output = run_to_end(&[arguments, &["--config", &config]].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let mut scanner = Scanner::connect(floor.broker.port, "floor");
    let scan = |item: &str| format!(r#"{{"barcode":"{item}","ts":"2026-03-03T10:00:00Z","boot":"b1","seq":1}}"#);
    for (station, item) in [("A1", "IT-1"), ("A1", "IT-2"), ("B2", "IT-3")] {
        scanner.publish(&format!("dc1/scan/{station}/read"), scan(item).as_bytes());
    }
    scanner.flush();
    wait_for("the clash to be kept", || say(&["outbox", "bad"]).1.contains("IT-2"));

    for source in ["hand", "hand-A1"] {
        let (code, told) = say(&["outbox", "bad", "--source", source]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("  hand-A1  ") && told.contains("number 1 of epoch d:b1 is stored with other"), "{told}");
    }
    assert_eq!(
        say(&["outbox", "bad", "--source", "hand-B2"]),
        (Some(0), "no bad input of hand-B2 is kept\n".to_owned())
    );
    assert_eq!(say(&["outbox", "bad", "--source", "sorter-1"]).0, Some(0), "it is configured");
    let (code, told) = say(&["outbox", "bad", "--source", "hnad"]);
    assert_eq!(code, Some(64), "{told}");
    assert!(told.starts_with("there is no device or link \"hnad\" (did you mean `hand`?); there are: "), "{told}");
    for verb in [&["dead", "list"][..], &["dead", "skip", "--all", "--reason", "a test"]] {
        let (code, told) = say(&[verb, &["--lane", "nolane"]].concat());
        assert_eq!(code, Some(64), "{told}");
        assert!(told.starts_with("there is no lane \"nolane\"; there are: "), "{told}");
    }

    let (code, told) = say(&["status", "hand"]);
    assert_eq!(code, Some(0), "{told}");
    let seen = |id: &str| told.lines().any(|line| line.trim_start().starts_with(id) && line.ends_with(" s ago"));
    assert!(seen("hand-A1 ") && seen("hand-B2 "), "{told}");
    let (code, told) = say(&["status", "hand-B2", "--json"]);
    let status: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{code:?} {e}: {told}"));
    assert_eq!((&status["id"], &status["instances"][0]["id"]), (&"hand".into(), &"hand-B2".into()), "{status}");
    assert_eq!(status["instances"].as_array().map(Vec::len), Some(1), "{status}");
    let (code, told) = say(&["status", "hand-B1"]);
    assert_eq!(code, Some(69), "{told}");
    assert!(told.contains("did you mean `hand-A1`?") || told.contains("did you mean `hand-B2`?"), "{told}");
    let (code, told) = say(&["status", "hnad"]);
    assert_eq!(code, Some(69), "{told}");
    assert!(told.contains("did you mean `hand`?") && !told.contains("can't be asked"), "{told}");
}

/// The configuration may be named once for all; what the command line says counts more.
#[test]
fn the_environment_may_name_the_configuration() {
    let site = Site::new().broker(9, 5).erp("http://127.0.0.1:9/");
    let config = site.write();
    let say = |arguments: &[&str], named: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floorgate"));
        let output = command.args(arguments).env("FLOORGATE_CONFIG", named).stdin(Stdio::null()).output();
        let output = output.expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let config = config.display().to_string();
    let (code, told) = say(&["check"], &config);
    assert!(code == Some(0) && told.contains("site dc1"), "{told}");
    let (code, told) = say(&["outbox", "bad", "--data-dir", "/no/such"], &config);
    assert!(code == Some(74) && told.contains("/no/such"), "{told}");
    assert_eq!(say(&["check", "--config", &config], "/no/such.toml").0, Some(0));
    let (code, told) = say(&["check"], "/no/such.toml");
    assert!(code == Some(78) && told.contains("/no/such.toml") && told.contains("FLOORGATE_CONFIG"), "{told}");
}
