//! Starting, stopping, restarting: the gateway's own, the broker's, and two gateways at once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::world::{Behaviour, Erp, Floor, Gateway, Plc, Settings, Site, note, python, run_to_end, wait_for};

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_second_gateway_on_the_same_directory_is_refused() {
    let (erp, site) = (Erp::start(), Site::new());
    let site = site.plc(crate::world::free_port()).erp(&erp.url());
    let gateway = Gateway::start(&site);
    wait_for("the first to run", || gateway.log().contains("running"));
    let second = gateway.second();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(74), "{said}");
    assert!(said.contains("another") && said.contains(&site.data().display().to_string()), "{said}");
    assert!(gateway.is_running(), "the first goes on");
    assert_eq!(gateway.stop(DEADLINE).code(), Some(0));
}

#[test]
fn outbox_status_works_beside_a_running_gateway() {
    let Some(python) = python() else { return };
    let (mut plc, erp) = (Plc::start(&python, &[]), Erp::start());
    erp.behave(|_| Behaviour::Status(503, None));
    let gateway = Gateway::start(&Site::new().plc(plc.port).erp(&erp.url()));
    plc.tell("push 40");
    let rows = |gateway: &Gateway| {
        let lane = gateway.status()["lanes"][0].clone();
        let states = ["ready", "sending", "unknown", "waiting"];
        (states.iter().filter_map(|state| lane[state].as_i64()).sum::<i64>(), lane["delivered"].as_i64())
    };
    wait_for("40 rows in the lane", || gateway.log().contains("running") && rows(&gateway).0 == 40);
    erp.behave_well();
    wait_for("40 delivered rows", || rows(&gateway) == (0, Some(40)));
}

#[test]
fn looking_at_a_gateways_files_changes_none_of_them() {
    let Some(python) = python() else { return };
    let (mut plc, erp) = (Plc::start(&python, &[]), Erp::start());
    let site = Site::new().plc(plc.port).erp(&erp.url());
    let gateway = Gateway::start(&site);
    plc.tell("push 20");
    wait_for("20 diverts", || erp.count() == 20);
    assert_eq!(gateway.stop(DEADLINE).code(), Some(0));
    let files = || {
        let entries = std::fs::read_dir(site.data()).expect("the data directory").map(|e| e.expect("an entry").path());
        // A reader of a WAL database may make and leave an index file; it holds nothing.
        let kept = entries.filter(|path| !path.to_string_lossy().ends_with("-shm"));
        kept.map(|path| (path.clone(), std::fs::read(path).expect("a file")))
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect::<BTreeMap<_, _>>()
    };
    let (before, requests) = (files(), erp.request_count());
    gateway.status();
    for arguments in [["check", "--config"], ["check", "--json"]] {
        let file = gateway.config();
        let config = if arguments[1] == "--json" { vec!["--config", &file] } else { vec![file.as_str()] };
        let output = run_to_end(&[&arguments[..], &config].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(files() == before, "a file of the data directory has changed");
    assert_eq!(erp.request_count(), requests, "looking sends nothing");
}

#[test]
fn a_stop_drains_and_ends_with_0_and_the_next_start_goes_on() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    floor.work();
    for round in 0..3 {
        let count = floor.erp.count();
        wait_for("the way to be in use", || floor.erp.count() > count + 50);
        let subscribed = floor.proxy.subscribed();
        let begun = std::time::Instant::now();
        assert_eq!(floor.gateway.stop(DEADLINE).code(), Some(0), "stop {round}");
        note("FIGURE", &format!("SIGTERM under load: ended with 0 after {} ms", begun.elapsed().as_millis()));
        floor.gateway.start_again();
        floor.proxy.wait_subscribed(subscribed);
    }
    floor.quiet();
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
}

#[test]
fn a_stop_is_bounded_while_the_erp_does_not_answer() {
    let Some(python) = python() else { return };
    let (mut plc, erp) = (Plc::start(&python, &[]), Erp::start());
    erp.behave(|_| Behaviour::Slow(Duration::from_secs(30)));
    let gateway = Gateway::start(&Site::new().plc(plc.port).erp(&erp.url()));
    plc.tell("push 5");
    wait_for("a request in flight", || erp.request_count() > 0);
    assert_eq!(gateway.stop(DEADLINE).code(), Some(0));
    erp.behave_well();
    gateway.start_again();
    wait_for("the five", || erp.count() == 5);
    wait_for("a resend that was absorbed", || erp.absorbed() > 0);
}

#[test]
fn a_broker_that_restarts_loses_and_doubles_nothing() {
    for version in [3, 5] {
        let Some(mut floor) = Floor::start(version, Settings::Shipped, |site| site) else { return };
        for _ in 0..3 {
            floor.scan(300);
            let subscribed = floor.proxy.subscribed();
            floor.broker.restart();
            floor.proxy.wait_subscribed(subscribed);
        }
        floor.scan(50);
        let judgement = floor.judge();
        assert!(judgement.is_clean(), "MQTT version {version}: {judgement}");
        note("FIGURE", &format!("3 broker restarts, MQTT version {version}: {judgement}"));
    }
}

#[test]
fn a_full_outbox_stops_acknowledging_and_loses_nothing() {
    let small = |site: Site| site.outbox("preset = \"fast\"\nmax_size = \"1 MiB\"").batch(200);
    let Some(mut floor) = Floor::start(5, Settings::Shipped, small) else { return };
    floor.erp.behave(|_| Behaviour::Status(503, None));
    floor.scan(6_000);
    wait_for("the outbox to be full", || {
        floor.gateway.status()["full"] == true || floor.gateway.log().contains("full")
    });
    // Full means: the broker's messages stay unacknowledged, and with it the broker's queue stands still.
    wait_for("messages that are not acknowledged", || !floor.proxy.open().is_empty());
    // What was committed before is still acknowledged, and then nothing any more.
    let (mut acknowledged, mut since) = (0, 0);
    wait_for("the last acknowledgement", || {
        if floor.proxy.acknowledged() != acknowledged {
            (acknowledged, since) = (floor.proxy.acknowledged(), floor.erp.request_count());
        }
        floor.gateway.log().contains("left the broker") && floor.erp.request_count() > since + 3
    });
    let (acknowledged, events) = (floor.proxy.acknowledged(), floor.gateway.status()["events"].clone());
    let requests = floor.erp.request_count();
    wait_for("the lane to keep trying", || floor.erp.request_count() > requests + 3);
    assert_eq!(floor.proxy.acknowledged(), acknowledged, "a full outbox must not acknowledge");
    assert_eq!(floor.gateway.status()["events"], events, "a full outbox must not grow");
    assert!(acknowledged < 6_000, "the outbox was never full");
    floor.erp.behave_well();
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    note("FIGURE", &format!("full at {events} events of 6,000, then drained: {judgement}"));
}
