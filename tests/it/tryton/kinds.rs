//! The older form of eight kinds, which takes JSON numbers and lists: what a map alone can do for an ERP that has it.

use serde_json::{Value, json};

use super::plan::{lot, text};
use crate::world::{Broker, Gateway, PATIENCE, Scanner, Settings, Site, Tryton, mosquitto, wait_at_most};

const MAP: &str = include_str!("kinds.toml");

#[test]
fn the_eight_kinds_of_the_older_form_are_booked_by_a_map() {
    let (Some(mosquitto), Some(tryton)) = (mosquitto(), Tryton::start()) else { return };
    let broker = Broker::start(&mosquitto, Settings::Shipped);
    let device = "[[device]]\nid = \"floor\"\nlink = \"broker\"\nmap = \"eight@1\"\n";
    let url = format!("http://127.0.0.1:{}/erp/floorgate/kinds/v1/events", tryton.port());
    let target = format!(
        "[[target]]\nid = \"erp\"\nkind = \"http\"\nurl = \"{url}\"\nauth = {{ bearer_file = \"{}\" }}\n\
         batch = {{ wrap = \"events\" }}\nordered_batch = true\nidempotency = \"key\"\ndedup_horizon = \"24h\"\n\
         answers = {{ items = \"/results\" }}\n\
         [[lane]]\nid = \"all\"\ntarget = \"erp\"\nclass = \"ledger\"\ntake = [\"*\"]\n",
        tryton.key_file().display()
    );
    let site = Site::new().broker_with(broker.port, 5, device).delivery(target);
    site.map("eight", MAP);
    let gateway = Gateway::start(&site);
    let up = &mut || gateway.say(&["status", "--json"]).1.contains("\"up\"");
    wait_at_most(PATIENCE, "the gateway to be up", up);

    let told = told(&tryton.act(&["work"]));
    let mut floor = Scanner::connect(broker.port, "the-floor");
    for message in &told {
        floor.publish("floor/kinds", message.to_string().as_bytes());
    }
    floor.flush();
    let lane = || {
        let (_, text) = gateway.say(&["outbox", "status", "--json"]);
        serde_json::from_str::<Value>(&text).map_or(Value::Null, |status| status["lanes"][0].clone())
    };
    let booked = &mut || lane()["delivered"] == told.len();
    wait_at_most(PATIENCE, "all of them to be booked", booked);
    assert_eq!(lane()["rejected"], 0, "{}", gateway.say(&["dead", "list"]).1);
    let books = tryton.act(&["books"]);
    assert_eq!(books["postings"].as_object().map(serde_json::Map::len), Some(told.len()), "each has one effect");
}

/// One of each kind at least: a shipment with a line that is short, a delivery that is put away, a move and a count.
fn told(work: &Value) -> Vec<Value> {
    let (shipment, delivery) = (&work["shipments"][0], &work["deliveries"][0]);
    let number = text(shipment, "number");
    let quantity = |line: &Value| text(line, "qty").parse::<u64>().expect("whole pieces");
    let with_lot = |mut data: Value, line: &Value| {
        if let Some(lot) = lot(text(line, "item")) {
            data["lot"] = lot.into();
        }
        data
    };
    let lines = shipment["lines"].as_array().expect("its lines");
    let short = lines.iter().position(|line| quantity(line) > 1).expect("a line of more than one piece");
    let mut told = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (kind, less) = if at == short { ("short_pick", 1) } else { ("pick_confirmed", 0) };
        let data = json!({ "kind": kind, "shipment": number, "item": line["item"], "quantity": quantity(line) - less });
        told.push(with_lot(data, line));
    }
    told.push(json!({ "kind": "packed", "shipment": number }));
    told.push(json!({ "kind": "shipped", "shipment": number, "tracking": "T-1" }));
    let received = |line: &Value| with_lot(json!({ "item": line["item"], "quantity": quantity(line) }), line);
    let lines: Vec<Value> = delivery["lines"].as_array().expect("its lines").iter().map(received).collect();
    told.push(json!({ "kind": "receipt", "shipment": delivery["reference"], "lines": lines }));
    told.push(json!({ "kind": "putaway", "shipment": delivery["reference"] }));
    told.push(json!({ "kind": "moved", "item": "SKU-0001", "quantity": 2, "from": "A-02", "to": "B-01" }));
    told.push(json!({ "kind": "counted", "location": "A-02", "item": "SKU-0001", "quantity": 500 }));
    for (seq, message) in (1..).zip(&mut told) {
        (message["boot"], message["seq"]) = ("b1".into(), seq.into());
        let line = message["shipment"].as_str().map_or_else(|| "stock".to_owned(), |of| format!("shipment/{of}"));
        message["lane"] = line.into();
    }
    told
}
