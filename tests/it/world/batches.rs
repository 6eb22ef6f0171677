//! An ERP that takes batches in a form of its own, a peer of the tests, and scans on their way to it.

use serde_json::Value;

use super::{Broker, Gateway, Plc, Scanner, Settings, Site, mosquitto, python, wait_for};

/// The peer with these settings, a broker, a gateway that delivers as `delivery` says of the peer's port, and a scanner; `None` where
/// a program is missing.
pub(crate) fn batches(
    peer: &str,
    settings: &Value,
    delivery: impl Fn(u16) -> String,
) -> Option<(Plc, Broker, Gateway, Scanner)> {
    let (program, python) = (mosquitto()?, python()?);
    let mut erp = Plc::start_peer(&python, peer, &[]);
    erp.tell(&settings.to_string());
    let broker = Broker::start(&program, Settings::Shipped);
    let gateway = Gateway::start(&Site::new().broker(broker.port, 5).delivery(delivery(erp.port)));
    wait_for("the subscription", || gateway.log().contains("connected to the broker"));
    let scanner = Scanner::connect(broker.port, "scanner");
    Some((erp, broker, gateway, scanner))
}

/// Rows of all lanes in these states.
pub(crate) fn rows(gateway: &Gateway, states: &[&str]) -> u64 {
    let status = gateway.status();
    let lanes = status["lanes"].as_array().expect("a list of lanes").clone();
    lanes.iter().flat_map(|lane| states.iter().map(|state| lane[*state].as_u64().expect("a number of rows"))).sum()
}

/// A text that the peer tells.
pub(crate) fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {of}"))
}
