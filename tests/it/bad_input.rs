//! What no map wants, what does not decode, and a decoder that panics: kept with its bytes, counted, acknowledged.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::world::{
    Broker, Erp, Floor, Gateway, Proxy, Scanner, Settings, Site, mosquitto, run_to_end, sscc, wait_for,
};

/// Bad inputs of the status whose reason holds `reason`.
fn kept(status: &Value, reason: &str) -> i64 {
    let all = status["bad_input"].as_array().cloned().unwrap_or_default();
    let matching = all.iter().filter(|bad| bad["reason"].as_str().is_some_and(|text| text.contains(reason)));
    matching.filter_map(|bad| bad["n"].as_i64()).sum()
}

#[test]
fn what_does_not_decode_is_kept_counted_and_acknowledged() {
    let Some(mut floor) = Floor::start(5, Settings::Shipped, |site| site) else { return };
    let mut scanner = Scanner::connect(floor.broker.port, "broken-scanner");
    let bad: [&[u8]; 4] = [b"not JSON", b"{}", &[0xff, 0xfe, 0], b"{\"barcode\":7}"];
    for payload in bad {
        scanner.publish("dc1/scan/A/read", payload);
    }
    scanner.flush();
    floor.scan(20);
    let judgement = floor.judge();
    assert!(judgement.is_clean(), "{judgement}");
    wait_for("the broker to be rid of all of them", || floor.proxy.open().is_empty());
    assert_eq!(floor.proxy.acknowledged(), 24);
    let status = floor.gateway.status();
    assert_eq!(kept(&status, ""), 4, "{status}");
    let (code, said) = floor.gateway.say(&["outbox", "bad", "--json", "--source", "hand", "--limit", "3"]);
    let shown: Vec<Value> = serde_json::from_str(&said).expect("a JSON array");
    assert_eq!((code, shown.len()), (Some(0), 3), "{said}");
    let of = |row: &Value| row["text"].as_str().or(row["hex"].as_str()).expect("text or hex").to_owned();
    assert_eq!(shown.iter().map(of).collect::<Vec<_>>(), ["{\"barcode\":7}", "fffe00", "{}"], "the newest first");
    let config = floor.gateway.config();
    let raw = run_to_end(&["outbox", "bad", "--raw", &shown[1]["id"].to_string(), "--config", &config]);
    assert_eq!(raw.stdout, [0xff, 0xfe, 0], "byte for byte");
    assert_eq!(floor.gateway.say(&["outbox", "bad", "--raw", "99"]).0, Some(1));
}

/// A broker's session outlives the configuration: it goes on sending what an earlier one subscribed to.
#[test]
fn what_no_map_wants_any_more_is_kept_counted_and_acknowledged() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let (proxy, erp) = (Proxy::start(broker.port), Erp::start());
    let hand = "[[device]]\nid = \"hand\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\nparams = { topic_root = \"dc1/scan\" }\n";
    let plain = "[[device]]\nid = \"plain\"\nlink = \"broker\"\nmap = \"plain-scanner@1\"\nparams = { topic_root = \"dc1/plain\" }\n";
    let before = Site::new().broker_with(proxy.port, 5, &[hand, plain].concat()).erp(&erp.url());
    let gateway = Gateway::start(&before);
    proxy.wait_subscribed(0);
    assert_eq!(gateway.stop(Duration::from_secs(20)).code(), Some(0));
    let after = Site::new().broker_with(proxy.port, 5, hand).erp(&erp.url()).data_at(before.data());
    let gateway = Gateway::start(&after);
    proxy.wait_subscribed(1);
    let mut scanner = Scanner::connect(broker.port, "scanners");
    scanner.publish("dc1/plain/A/read", b"{\"barcode\":\"ITEM-1\"}");
    scanner.flush();
    wait_for("its acknowledgement", || proxy.acknowledged() == 1 && proxy.open().is_empty());
    let status = gateway.status();
    assert_eq!(kept(&status, "no map"), 1, "{status}");
    assert_eq!(erp.count(), 0);
}

#[test]
fn a_decoder_that_panics_stops_nothing() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let (proxy, erp) = (Proxy::start(broker.port), Erp::start());
    let devices = "[[device]]\nid = \"mined\"\nlink = \"broker\"\nmap = \"mined-scanner@1\"\n\
        [[device]]\nid = \"hand\"\nlink = \"broker\"\nmap = \"hand-scanner@1\"\nparams = { topic_root = \"dc1/scan\" }\n";
    let site = Site::new().broker_with(proxy.port, 5, devices).erp(&erp.url());
    let folder = site.dir().join("devices/test-mined-scanner");
    fs::create_dir_all(&folder).expect("a folder");
    let map = "schema = 1\n[map]\nid = \"mined-scanner\"\nversion = 1\nprotocol = \"mqtt\"\n\
        [[topic]]\nfilter = \"dc1/mined\"\nqos = 1\npayload = \"json\"\n\
        [topic.field]\ncode = { path = \"$.code\", type = \"planted-panic\" }\nid = { path = \"$.id\", type = \"string\", required = true }\n\
        [[topic.emit]]\nevent = \"scan.item\"\nsubject = \"{id}\"\nfields = { code = \"code\" }\n\
        [topic.identity]\nmessage_id = \"id\"\n";
    fs::write(folder.join("map.toml"), map).expect("a map");
    let gateway = Gateway::start(&site);
    proxy.wait_subscribed(0);
    let mut scanner = Scanner::connect(broker.port, "scanners");
    for n in 0..3 {
        scanner.publish("dc1/mined", format!("{{\"code\":\"boom\",\"id\":\"{n}\"}}").as_bytes());
    }
    let good = format!(r#"{{"barcode":"{}","ts":"2026-03-03T10:00:00Z","boot":"b1","seq":1}}"#, sscc(1));
    scanner.publish("dc1/scan/A/read", good.as_bytes());
    scanner.flush();
    wait_for("the good scan behind them", || erp.count() == 1);
    wait_for("all four acknowledged", || proxy.open().is_empty() && proxy.acknowledged() == 4);
    let status = gateway.status();
    assert_eq!(kept(&status, "panicked"), 3, "{status}");
    assert!(gateway.is_running());
    assert!(gateway.log().contains("panic"), "an error is raised");
}
