//! `floorgate status`: what a running gateway tells of itself, and what is said when there is none.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Floor, Gateway, Scanner, Settings, note, wait_for};

fn asked(gateway: &Gateway) -> (Option<i32>, Value) {
    let (code, said) = gateway.say(&["status", "--json"]);
    (code, serde_json::from_str(&said).unwrap_or_else(|e| panic!("status --json wrote {said:?}: {e}")))
}

/// The link or device of this id.
fn part<'a>(status: &'a Value, list: &str, id: &str) -> &'a Value {
    let parts = status["gateway"][list].as_array().unwrap_or_else(|| panic!("no {list} in {status}"));
    parts.iter().find(|part| part["id"] == id).unwrap_or_else(|| panic!("no {id} in {status}"))
}

#[test]
fn a_running_gateway_tells_how_its_links_and_devices_are() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    floor.scan(40);
    let mut scanner = Scanner::connect(floor.broker.port, "broken-scanner");
    scanner.publish("dc1/scan/A/read", b"not JSON");
    scanner.flush();
    wait_for("all to be posted", || floor.erp.count() == 40);
    wait_for("41 messages", || part(&asked(&floor.gateway).1, "links", "broker")["messages"] == 41);
    let (code, status) = asked(&floor.gateway);
    assert_eq!(code, Some(0), "{status}");
    let (link, device) = (part(&status, "links", "broker"), part(&status, "devices", "hand"));
    assert_eq!((&link["state"], &link["session_present"], &link["bad"]), (&"up".into(), &false.into(), &1.into()));
    assert_eq!((&device["state"], &device["messages"], &device["bad"]), (&"up".into(), &41.into(), &1.into()));
    assert!(link["since"].as_i64() <= device["last_seen"].as_i64(), "{status}");
    assert_eq!((&status["gateway"]["room"], &status["outbox"]["full"]), (&true.into(), &false.into()));
    let socket = floor.site.data().join("control.sock");
    assert_eq!(std::fs::metadata(&socket).expect("the socket").permissions().mode() & 0o777, 0o660);
    let (code, said) = floor.gateway.say(&["outbox", "status"]);
    let pid = status["gateway"]["pid"].to_string();
    assert!(code == Some(0) && said.contains(&format!("a gateway runs on it: process {pid}")), "{said}");

    // A PLC that answers late is told with the cause, and is up again behind it.
    let sorter = |status: &Value| part(status, "devices", "sorter-1").clone();
    assert_eq!((&sorter(&status)["link"], &sorter(&status)["state"]), (&"sorter-net".into(), &"up".into()));
    assert!(
        sorter(&status)["requests"].as_u64() > Some(0) && sorter(&status)["poll_us"].as_u64() > Some(0),
        "{status}"
    );
    floor.plc.tell("stall 900 1");
    wait_for("the late answer", || sorter(&asked(&floor.gateway).1)["last_error"]["cause"] == "late");
    let seen = sorter(&asked(&floor.gateway).1)["last_seen"].as_i64();
    wait_for("the PLC to be up again", || {
        let sorter = sorter(&asked(&floor.gateway).1);
        sorter["state"] == "up" && sorter["last_seen"].as_i64() > seen
    });

    // The session is kept over a restart of the broker, and the link says so.
    floor.broker.restart();
    wait_for("the session that was kept", || {
        part(&asked(&floor.gateway).1, "links", "broker")["session_present"] == true
    });
    let status = asked(&floor.gateway).1;
    let closed = &part(&status, "links", "broker")["errors"]["closed"];
    assert_eq!(*closed, 1, "{status}");
}

#[test]
fn it_answers_under_load() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site.batch(200)) else { return };
    floor.scan(5_000);
    floor.work();
    let mut slowest = Duration::ZERO;
    for _ in 0..40 {
        let begun = Instant::now();
        let (code, status) = asked(&floor.gateway);
        assert_eq!(code, Some(0), "{status}");
        slowest = slowest.max(begun.elapsed());
    }
    floor.quiet();
    note("FIGURE", &format!("`floorgate status` under load: the slowest of 40 took {} ms", slowest.as_millis()));
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
}

#[test]
fn no_gateway_is_told_plainly_and_a_socket_left_behind_is_replaced() {
    let Some(floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    wait_for("an answer", || asked(&floor.gateway).0 == Some(0));
    floor.gateway.kill();
    assert!(floor.site.data().join("control.sock").exists(), "a kill leaves the socket");
    let (code, said) = floor.gateway.say(&["status"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.starts_with("no gateway runs on ") && said.contains("\nits database was last written "), "{said}");
    assert!(said.contains("\noutbox: 0 pending"), "{said}");
    let (code, said) = floor.gateway.say(&["outbox", "status"]);
    assert!(code == Some(0) && said.contains("no gateway runs on it"), "{said}");
    floor.gateway.start_again();
    wait_for("an answer of the next one", || asked(&floor.gateway).0 == Some(0));

    floor.gateway.freeze(true);
    let (code, said) = floor.gateway.say(&["status"]);
    floor.gateway.freeze(false);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("does not answer"), "{said}");

    assert_eq!(floor.gateway.stop(Duration::from_secs(20)).code(), Some(0));
    assert!(!floor.site.data().join("control.sock").exists(), "a stop leaves nothing");
}
