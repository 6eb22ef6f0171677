//! What was captured stays what it was, whatever the configuration says later.

use crate::world::{Broker, Erp, Gateway, PATIENCE, Scanner, Settings, Site, mosquitto, wait_for};

fn map(version: u8, fields: &str) -> String {
    format!(
        r#"
schema = 1
[map]
id = "hall-scanner"
version = {version}
protocol = "mqtt"
[[topic]]
filter = "hall/+station/read"
qos = 1
payload = "json"
[topic.field]
code = {{ path = "$.code", type = "string", required = true }}
boot = {{ path = "$.boot", type = "string", required = true }}
n = {{ path = "$.n", type = "u64", required = true }}
[[topic.emit]]
event = "scan.item"
subject = "{{code}}"
fields = [{fields}]
[topic.identity]
boot = "boot"
seq = "n"
"#
    )
}

/// A backlog of one version of a map is posted as that version made it, after the next one has taken over.
#[test]
fn a_backlog_outlives_the_map_that_made_it() {
    let Some(mosquitto) = mosquitto() else { return };
    let (broker, erp) = (Broker::start(&mosquitto, Settings::Shipped), Erp::start());
    erp.go_away();
    let devices = |version| format!("[[device]]\nid = \"hall\"\nlink = \"broker\"\nmap = \"hall-scanner@{version}\"\n");
    let site = Site::new().broker_with(broker.port, 5, &devices(1)).erp(&erp.url());
    site.map("hall-scanner", &map(1, "\"code\", \"station\""));
    let gateway = Gateway::start(&site);
    let mut scanner = Scanner::connect(broker.port, "hall");
    let mut scan = |numbers: std::ops::RangeInclusive<u32>| {
        for n in numbers {
            let payload = format!(r#"{{"code":"IT-{n}","boot":"b","n":{n}}}"#);
            scanner.publish("hall/A/read", payload.as_bytes());
        }
        scanner.flush();
    };
    wait_for("the gateway to subscribe", || gateway.log().contains("connected to the broker"));
    scan(1..=20);
    wait_for("the backlog", || gateway.status()["events"] == 20);
    assert!(gateway.stop(PATIENCE).success());

    std::fs::write(site.dir().join("devices/hall-scanner/map-2.toml"), map(2, "\"code\"")).expect("a second version");
    let config = std::fs::read_to_string(site.write()).expect("the configuration");
    std::fs::write(site.dir().join("gateway.toml"), config.replace("hall-scanner@1", "hall-scanner@2"))
        .expect("the configuration can be changed");
    gateway.start_again();
    scan(21..=25);
    wait_for("the newer ones", || gateway.status()["events"] == 25);
    erp.come_back();
    wait_for("all of them at the ERP", || erp.count() == 25);
    for effect in erp.effects() {
        let number: u32 = effect.subject["IT-".len()..].parse().expect("our own codes");
        assert_eq!(effect.data["station"].is_string(), number <= 20, "{effect:?}");
    }
}
