//! What mosquitto's settings cost: its own drop messages while the gateway is away, the shipped ones don't; and which
//! redelivered message of a scanner without numbers is the same scan.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::world::{
    Broker, Database, Erp, Floor, Gateway, Proxy, Scanner, Settings, Site, mosquitto, mosquitto_pub, note, wait_for,
};

/// Scans while the gateway is away: three times what mosquitto queues by default.
const QUEUED: usize = 3_000;

/// Queues scans while the gateway is away; the floor, with the gateway back.
fn away(settings: Settings) -> Option<Floor> {
    let mut floor = Floor::start(5, settings, |site| site.batch(200))?;
    floor.scan(20);
    wait_for("the first scans", || floor.erp.count() == 20);
    floor.gateway.kill();
    floor.proxy.cut();
    floor.scan(QUEUED);
    let subscribed = floor.proxy.subscribed();
    floor.gateway.start_again();
    floor.proxy.wait_subscribed(subscribed);
    Some(floor)
}

#[test]
fn the_shipped_broker_settings_lose_none_of_3000_queued_scans() {
    let Some(mut floor) = away(Settings::Shipped) else { return };
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    note("FIGURE", &format!("{QUEUED} queued, shipped settings: {judgement}"));
}

#[test]
fn the_stock_broker_settings_lose_scans_and_the_gateway_notices() {
    let Some(mut floor) = away(Settings::Stock) else { return };
    floor.scan(20); // what comes after shows the gap
    let judgement = floor.judge();
    assert!(judgement.lost.len() > QUEUED / 2, "stock settings keep about 1,000: {judgement}");
    assert!(judgement.duplicate.is_empty() && judgement.unknown.is_empty(), "{judgement}");
    let gaps = |floor: &Floor| {
        let counts = floor.gateway.status()["counts"].as_array().cloned().unwrap_or_default();
        counts.iter().filter(|c| c["what"].as_str().is_some_and(|what| what.contains("gap"))).count()
    };
    wait_for("a sequence gap told for the scanners", || gaps(&floor) > 0);
    let told = floor.gateway.status()["counts"].to_string();
    note("FIGURE", &format!("{QUEUED} queued, stock settings: {judgement}; the gateway tells {told}"));
}

#[test]
fn a_plain_scanners_second_scan_is_two_and_a_redelivery_is_one() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let (proxy, erp) = (Proxy::start(broker.port), Erp::start());
    let devices = "[[device]]\nid = \"plain\"\nlink = \"broker\"\nmap = \"plain-scanner@1\"\n\
        params = { topic_root = \"dc1/plain\", window = \"0s\" }\n";
    let site = Site::new().keep_alive("2s").broker_with(proxy.port, 3, devices).erp(&erp.url());
    let gateway = Gateway::start(&site);
    proxy.wait_subscribed(0);
    let mut scanner = Scanner::connect(broker.port, "plain-scanner");
    let mut scan = |code: &str| {
        scanner.publish("dc1/plain/A/read", format!("{{\"barcode\":\"{code}\"}}").as_bytes());
        scanner.flush();
    };
    scan("ITEM-1");
    scan("ITEM-1");
    wait_for("the same code, truly scanned twice", || erp.count() == 2);
    // The commit is there, the PUBACK never arrives: the broker sends the message again in the same session.
    proxy.withhold();
    scan("ITEM-1");
    assert!(proxy.wait_withheld(Duration::from_secs(20)), "the gateway acknowledges what it committed");
    wait_for("the third scan", || erp.count() == 3);
    let (subscribed, (_, redelivered)) = (proxy.subscribed(), proxy.published());
    gateway.kill();
    proxy.cut();
    gateway.start_again();
    proxy.wait_subscribed(subscribed);
    wait_for("the redelivery", || proxy.published().1 > redelivered && proxy.open().is_empty());
    scan("ITEM-2");
    wait_for("what comes after", || erp.count() >= 4);
    // Once the broker has answered a PINGREQ that left behind a PUBACK, it is proven to have arrived.
    wait_for("proof of an acknowledgement", || Database::read(site.data()).proven > 0);
    let codes: Vec<String> = erp.effects().into_iter().map(|effect| effect.subject).collect();
    assert_eq!(codes, ["ITEM-1", "ITEM-1", "ITEM-1", "ITEM-2"]);
}

/// A message with several events is one sample: one acknowledgement, and the same keys when it comes again.
#[test]
fn a_message_of_several_events_is_acknowledged_once_and_posted_once() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let (proxy, erp) = (Proxy::start(broker.port), Erp::start());
    let devices = "[[device]]\nid = \"dim-1\"\nlink = \"broker\"\nmap = \"dimensioner@1\"\n\
        params = { topic_root = \"dc1/dim\" }\n";
    let site = Site::new().broker_with(proxy.port, 5, devices).erp(&erp.url());
    let gateway = Gateway::start(&site);
    proxy.wait_subscribed(0);
    let mut dimensioner = Scanner::connect(broker.port, "dimensioner");
    let parcel =
        |id: &str, length: u32| format!(r#"{{"id":"{id}","dim":{{"l":{length},"w":3000,"h":1999}},"weight":12.34}}"#);
    let mut send = |seq: u32, parcels: &[String]| {
        let payload = format!(r#"{{"boot":"b1","seq":{seq},"parcels":[{}]}}"#, parcels.join(","));
        dimensioner.publish("dc1/dim/result", payload.as_bytes());
        dimensioner.flush();
    };
    let three = [parcel("p1", 4005), parcel("p2", 600), parcel("p3", 700)];
    send(1, &three);
    wait_for("an event for each parcel", || erp.count() == 3);
    send(1, &three);
    // The first is longer than any parcel: it is kept with its bytes, and the other one goes its way.
    let partly = [parcel("p4", 400_000), parcel("p5", 600)];
    send(2, &partly);
    send(2, &partly);
    send(3, &[parcel("p6", 600)]);
    wait_for("what comes after", || erp.count() >= 5);
    wait_for("one acknowledgement for each message", || proxy.open().is_empty() && proxy.acknowledged() == 5);
    let data: Vec<(String, String)> = (erp.effects().iter())
        .map(|effect| (effect.data["parcel"].to_string(), effect.data["length_cm"].to_string()))
        .collect();
    let expected = [("p1", "40.1"), ("p2", "6.0"), ("p3", "7.0"), ("p5", "6.0"), ("p6", "6.0")];
    assert_eq!(data, expected.map(|(parcel, length)| (format!("\"{parcel}\""), format!("\"{length}\""))));
    let bad = gateway.status()["bad_input"].to_string();
    assert!(bad.contains("element 1: `$.dim.l` is 4000.0, more than 300 (valid)"), "{bad}");
}

const TEXTS: &str = r#"
schema = 1
[map]
id = "text-scanner"
version = 1
protocol = "mqtt"
[[topic]]
filter = "dc1/scale/+station"
qos = 1
payload = "text"
trim = true
pattern = '^(?<seq>[0-9]+);(?<code>[^;]+);(?<grams>[0-9]+) g$'
[topic.field]
seq = { group = "seq", type = "u64", required = true }
code = { group = "code", type = "string", required = true }
grams = { group = "grams", type = "u64", required = true }
all = { type = "string", required = true }
[[topic.emit]]
event = "scan.item"
subject = "{code}"
fields = ["code", "grams", "station"]
[topic.identity]
content = "all"
window = "0s"
[[topic]]
filter = "dc1/fixed"
qos = 1
payload = "text"
[topic.field]
code = { chars = [1, 8], type = "string", required = true }
lane = { chars = [9, 10], type = "u64", required = true }
all = { type = "string", required = true }
[[topic.emit]]
event = "scan.item"
subject = "{code}"
fields = ["code", "lane"]
[topic.identity]
content = "all"
window = "0s"
"#;

/// Texts taken apart by a pattern and by places, sent by mosquitto's own publisher.
#[test]
fn texts_are_taken_apart_by_pattern_and_by_place() {
    let (Some(mosquitto), Some(publisher)) = (mosquitto(), mosquitto_pub()) else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let (proxy, erp) = (Proxy::start(broker.port), Erp::start());
    let device = "[[device]]\nid = \"scale\"\nlink = \"broker\"\nmap = \"text-scanner@1\"\n";
    let site = Site::new().broker_with(proxy.port, 5, device).erp(&erp.url());
    site.map("test-text-scanner", TEXTS);
    let gateway = Gateway::start(&site);
    proxy.wait_subscribed(0);
    let messages = [
        ("dc1/scale/A1", "17;ITEM-1;1250 g\r\n"),
        ("dc1/scale/A1", "18;ITEM-2;heavy"), // not what it must look like
        ("dc1/fixed", "ITEM-00342"),
        ("dc1/fixed", "ITEM-0"), // ends before its places
    ];
    for (topic, text) in messages {
        let mut publish = Command::new(&publisher);
        publish.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-t", topic, "-m", text]);
        assert!(publish.status().expect("mosquitto_pub runs").success(), "the broker takes it");
    }
    wait_for("the two that can be read at the ERP", || erp.count() == 2);
    wait_for("each message to be acknowledged", || proxy.acknowledged() == 4);
    let mut posted: Vec<_> = erp.effects().iter().map(|effect| effect.data.clone()).collect();
    posted.sort_by_key(ToString::to_string);
    let expected =
        [json!({ "code": "ITEM-003", "lane": 42 }), json!({ "code": "ITEM-1", "grams": 1250, "station": "A1" })];
    assert_eq!(posted, expected);
    let bad = gateway.status()["bad_input"].as_array().cloned().unwrap_or_default();
    assert_eq!(bad.iter().filter_map(|bad| bad["n"].as_i64()).sum::<i64>(), 2, "{bad:?}");
}
