//! A GS1 hand scanner through a broker and the gateway to the ERP.

use serde_json::json;

use crate::world::{Broker, Erp, Gateway, Proxy, Scanner, Settings, Site, mosquitto, wait_for};

#[test]
fn a_label_is_posted_taken_apart_and_a_wrong_one_leaves_no_gap() {
    let Some(mosquitto) = mosquitto() else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let (proxy, erp) = (Proxy::start(broker.port), Erp::start());
    let device = "[[device]]\nid = \"gs1\"\nlink = \"broker\"\nmap = \"gs1-scanner@1\"\n\
        params = { topic_root = \"dc1/scan\" }\n";
    let site = Site::new().broker_with(proxy.port, 5, device).erp(&erp.url());
    let gateway = Gateway::start(&site);
    proxy.wait_subscribed(0);
    let mut scanner = Scanner::connect(broker.port, "scanners");
    let codes = [
        "]C102095212345432133724\u{1d}00395212345000000125",
        "]C100395212345000000126",
        "]d2010952123454321331030012501727020010LOT-7<GS>21S1",
    ];
    for (seq, code) in codes.iter().enumerate() {
        let payload = json!({ "barcode": code, "boot": "b1", "seq": seq });
        scanner.publish("dc1/scan/A1/read", payload.to_string().as_bytes());
    }
    scanner.flush();
    wait_for("the two labels that are right at the ERP", || erp.count() == 2);
    let mut posted: Vec<_> = erp.effects().iter().map(|effect| effect.data.clone()).collect();
    posted.sort_by_key(ToString::to_string);
    assert_eq!(
        posted,
        [
            json!({ "gtin": "09521234543213", "lot": "LOT-7", "serial": "S1", "expiry": "2027-02-28",
                    "net_kg": "1.250", "station": "A1" }),
            json!({ "sscc": "395212345000000125", "content": "09521234543213", "count": 24, "station": "A1" }),
        ]
    );
    let status = gateway.status();
    assert_eq!((&status["bad_input"], &status["counts"]), (&json!([]), &json!([])), "{status}");
}
