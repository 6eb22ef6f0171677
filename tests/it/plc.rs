//! The sorter PLC on pymodbus, through the gateway to the ERP: the FIFO handshake and what can go wrong with it.

use std::collections::HashSet;

use crate::oracle::judge;
use crate::world::{Erp, Gateway, Plc, Site, python, wait_for};

/// A PLC, an ERP and a gateway between them.
fn line(arguments: &[&str]) -> Option<(Plc, Erp, Gateway, Site)> {
    let plc = Plc::start(&python()?, arguments);
    let erp = Erp::start();
    let site = Site::new().plc(plc.port).erp(&erp.url());
    let gateway = Gateway::start(&site);
    Some((plc, erp, gateway, site))
}

#[test]
fn a_plc_gets_its_ring_acknowledged_and_the_erp_each_divert_once() {
    let Some((mut plc, erp, _gateway, _site)) = line(&["--base-seq", "65500"]) else { return };
    plc.tell("push 120"); // more than the ring holds, over the wrap of the counter
    wait_for("120 diverts at the ERP", || erp.count() >= 120);
    wait_for("the PLC to be acknowledged", || plc.tell("state")["acked"].as_array().is_some_and(|a| a.len() == 120));
    // The ids of the oracle are those of the register: behind the wrap the gateway counts on.
    let extend = |id: &str| {
        let (head, seq) = id.rsplit_once('/').expect("ids have three parts");
        let seq: u64 = seq.parse().expect("a number");
        format!("{head}/{}", if seq < 32_768 { seq + 65_536 } else { seq })
    };
    let mut produced = plc.list("produced");
    for event in &mut produced {
        event.id = extend(&event.id);
    }
    let judgement = judge(&produced, &erp.ids());
    assert!(judgement.is_clean(), "{judgement}");
}

#[test]
fn a_plc_that_restarts_tears_and_resends_loses_and_doubles_nothing() {
    let Some((mut plc, erp, _gateway, _site)) = line(&[]) else { return };
    plc.tell("push 20");
    wait_for("20 diverts at the ERP", || erp.count() >= 20);
    plc.tell("tear 1");
    plc.tell("push 5");
    wait_for("the torn slot to be read when it is whole", || erp.count() >= 25);
    plc.tell("ignore-ack 2");
    plc.tell("push 5");
    plc.tell("stall 900 1");
    wait_for("5 more after forgotten acks and a late answer", || erp.count() >= 30);
    plc.tell("resend");
    plc.tell("push 3");
    wait_for("3 more after the PLC showed old slots again", || erp.count() >= 33);
    plc.tell("refuse 3");
    plc.tell("push 30");
    let restart = plc.tell("restart");
    let dropped: HashSet<String> = crate::world::plc_events(&restart["dropped"]).into_iter().map(|p| p.id).collect();
    plc.tell("push 40");
    let new_epoch = |id: &String| id.contains("/d:0002/");
    wait_for("40 diverts of the new epoch", || erp.ids().iter().filter(|id| new_epoch(id)).count() >= 40);
    wait_for("the PLC to be acknowledged", || plc.tell("state")["ack"] == 40);
    // What the PLC forgot before it was acknowledged may have come or not: never twice.
    let come: HashSet<String> = erp.ids().into_iter().collect();
    let mut produced = plc.list("produced");
    produced.retain(|p| !dropped.contains(&p.id) || come.contains(&p.id));
    let judgement = judge(&produced, &erp.ids());
    assert!(judgement.is_clean(), "{judgement}");
}

#[test]
fn a_ring_that_was_overrun_is_told_as_a_gap_and_the_rest_goes_on() {
    let Some(python) = python() else { return };
    let mut plc = Plc::start(&python, &["--careless"]);
    let erp = Erp::start();
    let site = Site::new().plc(plc.port).erp(&erp.url());
    plc.tell("push 100"); // nobody listens yet: 68 are overwritten
    let gateway = Gateway::start(&site);
    wait_for("what the ring still holds", || erp.count() >= 32);
    plc.tell("push 3");
    wait_for("what comes after", || erp.count() >= 35);
    let overwritten: HashSet<String> = plc.list("overwritten").into_iter().map(|p| p.id).collect();
    assert_eq!(overwritten.len(), 68);
    let mut produced = plc.list("produced");
    produced.retain(|p| !overwritten.contains(&p.id));
    let judgement = judge(&produced, &erp.ids());
    assert!(judgement.is_clean(), "{judgement}");
    wait_for("the gap to be told", || gateway.log().contains("overrun") || gateway.log().contains("gap"));
    let counts = gateway.status()["counts"].to_string();
    println!("counts after the overrun: {counts}");
}
