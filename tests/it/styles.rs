//! The styles of event FIFOs besides the ring, with their PLCs on pymodbus, through the gateway to the ERP.

use std::collections::{BTreeSet, HashSet};

use crate::oracle::judge;
use crate::world::{Erp, Gateway, Plc, Site, events_of, python, wait_for};

fn plc_loses_and_doubles_nothing(style: &str, map: &str) {
    let Some(python) = python() else { return };
    let plc = Plc::start(&python, &["--style", style, "--base-seq", "65520"]);
    loses_and_doubles_nothing(plc, &format!("map = \"{map}@1\"\n"), |_| {});
}

/// The same with one character of its texts in each register: a quirk of the map, or of the device alone.
fn one_character_a_register(style: &str, text: &str, chars: &str, of_the_map: bool) {
    let Some(python) = python() else { return };
    let plc = Plc::start(&python, &["--style", style, "--base-seq", "65520", "--chars", chars]);
    let longer = |text: &str, [before, after]: [&str; 2], words: u32| {
        let at = format!("{before}{words}{after}");
        assert_eq!(text.matches(&at).count(), 1, "{at} in {text}");
        text.replace(&at, &format!("{before}{}{after}", words + 8))
    };
    let text = text.split("[[test]]").next().unwrap_or_default().replace("version = 1\n", "version = 7\n");
    let slot = if style == "fc24" { 13 } else { 16 };
    let text = longer(&text, [" words = ", ","], 10);
    let text = longer(&text, [" words = ", " }"], slot);
    let text = longer(&text, ["crc = { word = ", ","], slot - 1);
    let quirks = format!("quirks = [\"string-byte-{chars}\"]\n");
    let id = text.split('"').nth(1).expect("the map's id stands first").to_owned();
    let device = format!("map = \"{id}@7\"\n{}", if of_the_map { "" } else { &quirks });
    let text = if of_the_map {
        text.replace(" bytes = \"high-first\",", "").replacen("[defaults]", &format!("{quirks}[defaults]"), 1)
    } else {
        text // what the field says of its bytes counts less
    };
    loses_and_doubles_nothing(plc, &device, |site| site.map("odd-plc", &text));
}

fn loses_and_doubles_nothing(mut plc: Plc, device: &str, maps: impl FnOnce(&Site)) {
    let erp = Erp::start();
    let port = plc.port;
    let site = Site::new().erp(&erp.url()).links(&format!(
        "[[link]]\nid = \"net\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\n\
         reconnect = {{ min = \"100ms\", max = \"500ms\" }}\n\
         [[device]]\nid = \"plc-1\"\nlink = \"net\"\nunit = 1\n{device}"
    ));
    maps(&site);
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
    let cartons = |lines: &mut dyn Iterator<Item = String>| lines.collect::<BTreeSet<String>>();
    let due =
        cartons(&mut produced.iter().map(|event| event.line.trim_start_matches("plc ").trim_matches('"').to_owned()));
    assert_eq!(cartons(&mut erp.effects().into_iter().map(|effect| effect.subject)), due);
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

#[test]
fn a_ring_with_one_character_in_each_high_byte_loses_and_doubles_nothing() {
    one_character_a_register("ring", include_str!("../../devices/acme-sorter/map.toml"), "high", true);
}

#[test]
fn a_mailbox_with_one_character_in_each_low_byte_loses_and_doubles_nothing() {
    one_character_a_register("mailbox", include_str!("../../devices/acme-mailbox-plc/map.toml"), "low", false);
}

#[test]
fn a_queue_of_function_24_with_one_character_in_each_low_byte_loses_and_doubles_nothing() {
    one_character_a_register("fc24", include_str!("../../devices/acme-fc24-plc/map.toml"), "low", true);
}
