//! The styles of event FIFOs besides the ring, with their PLCs on pymodbus, through the gateway to the ERP.

use std::collections::HashSet;

use crate::oracle::judge;
use crate::world::{Erp, Gateway, Plc, Site, events_of, python, wait_for};

/// A PLC of that style and map that restarts, tears and stalls, and a gateway that is killed: nothing is lost or doubled.
fn plc_loses_and_doubles_nothing(style: &str, map: &str) {
    let Some(python) = python() else { return };
    let mut plc = Plc::start(&python, &["--style", style, "--base-seq", "65520"]);
    let erp = Erp::start();
    let port = plc.port;
    let site = Site::new().erp(&erp.url()).links(&format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\n\
         reconnect = {{ min = \"100ms\", max = \"500ms\" }}\n\
         [[device]]\nid = \"plc-1\"\nlink = \"net\"\nunit = 1\nmap = \"{map}@1\"\n"
    ));
    let gateway = Gateway::start(&site);
    plc.tell("push 30"); // over the wrap of the counter
    wait_for("30 events at the ERP", || erp.count() >= 30);
    plc.tell("tear 1");
    plc.tell("push 3");
    wait_for("the torn event to be read when it is whole", || erp.count() >= 33);
    plc.tell("ignore-ack 2");
    plc.tell("stall 900 1");
    plc.tell("push 5");
    wait_for("5 more after forgotten acks and a late answer", || erp.count() >= 38);
    gateway.kill();
    plc.tell("push 5");
    gateway.start_again();
    wait_for("5 more after a kill", || erp.count() >= 43);
    let restart = plc.tell("restart");
    let dropped: HashSet<_> = events_of("plc-1", &restart["dropped"]).into_iter().map(|p| p.id).collect();
    plc.tell("push 20");
    let new_epoch = |id: &String| id.contains("/d:0002/");
    wait_for("20 events of the new epoch", || erp.ids().iter().filter(|id| new_epoch(id)).count() >= 20);
    wait_for("the PLC to be acknowledged", || plc.tell("state")["ack"] == 20);
    let come: HashSet<String> = erp.ids().into_iter().collect();
    let mut produced = events_of("plc-1", &plc.tell("state")["produced"]);
    for event in produced.iter_mut().filter(|event| event.id.contains("/d:0001/")) {
        event.id = extended(&event.id);
    }
    produced.retain(|p| !dropped.contains(&p.id) || come.contains(&p.id));
    let judgement = judge(&produced, &erp.ids());
    assert!(judgement.is_clean(), "{judgement}");
}

/// Behind the wrap of the register the gateway counts on.
fn extended(id: &str) -> String {
    let (head, seq) = id.rsplit_once('/').expect("ids have three parts");
    let seq: u64 = seq.parse().expect("a number");
    format!("{head}/{}", if seq < 32_768 { seq + 65_536 } else { seq })
}

#[test]
fn a_mailbox_loses_and_doubles_nothing() {
    plc_loses_and_doubles_nothing("mailbox", "mailbox-plc");
}

#[test]
fn a_queue_of_function_24_loses_and_doubles_nothing() {
    plc_loses_and_doubles_nothing("fc24", "fc24-plc");
}
