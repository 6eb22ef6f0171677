//! What a device event means for the business. Pure.
//!
//! A canonical event is posted as its kind fixes it: `pick_confirmed` as `pick_confirm`, in the order of its shipment. A raw
//! one without a milestone is its own transaction type: `scan.carton` is posted as `scan.carton`, in the order of its lane.

use std::collections::BTreeSet;

use crate::event::{Canonical, DeviceEvent, Fields, Value};

/// What follows from one device event: the duty to post, under a transaction type, in the order of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessEvent {
    /// What is posted.
    pub tx_type: String,
    /// What orders it.
    pub subject: String,
}

/// The business events of a device event. `device` orders what has no subject of its own.
pub fn interpret(event: &DeviceEvent, device: &str) -> BusinessEvent {
    #[cfg(any(test, feature = "sim"))]
    assert!(event.kind != "planted.panic", "a planted panic in interpret");
    let subject = event.subject.clone().unwrap_or_else(|| format!("device/{device}"));
    let tx_type = Canonical::of(&event.kind).map_or(event.kind.as_str(), |kind| kind.tx_type());
    BusinessEvent { tx_type: tx_type.to_owned(), subject }
}

/// Class and subject of a posting's order key. Types of one class do not overtake each other for one subject
/// (`dc1/main/outbound/SH-88121`); a raw type's class is its `lane`.
pub fn order<'a>(tx_type: &str, subject: &'a str, lane: &'a str) -> (&'a str, &'a str) {
    let canonical = Canonical::ALL.into_iter().find(|kind| kind.tx_type() == tx_type);
    let Some(kind) = canonical else { return (lane, subject) };
    let bare = ["shipment/", "po/", "asn/", "stock/"].iter().find_map(|form| subject.strip_prefix(form));
    (kind.order_class(), bare.unwrap_or(subject))
}

/// Class and subject of every order key that postings of this subject can have in that lane.
pub fn orders<'a>(subject: &'a str, lane: &'a str) -> BTreeSet<(&'a str, &'a str)> {
    let canonical = Canonical::ALL.into_iter().map(|kind| order(kind.tx_type(), subject, lane));
    canonical.chain([(lane, subject)]).collect()
}

/// The event that tells of missing numbers: goods may have passed that no event tells of.
pub fn sequence_gap(device: &str, epoch: &str, from: i64, to: i64) -> DeviceEvent {
    let fields: Fields = vec![
        ("device".to_owned(), Value::Text(device.to_owned())),
        ("code".to_owned(), Value::Text("sequence_gap".to_owned())),
        ("severity".to_owned(), Value::Text("high".to_owned())),
        ("epoch".to_owned(), Value::Text(epoch.to_owned())),
        ("from".to_owned(), Value::Int(from)),
        ("to".to_owned(), Value::Int(to)),
        (
            "text".to_owned(),
            Value::Text(format!(
                "{} numbers of {device} have no event: they never came, or could not be read",
                to - from + 1
            )),
        ),
    ];
    DeviceEvent { kind: "sequence_gap".to_owned(), subject: None, fields, device_time: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_and_the_goods_issue_of_its_shipment_are_in_one_order_whatever_their_lanes() {
        let event = |kind: &str| DeviceEvent {
            kind: kind.to_owned(),
            subject: Some("shipment/SH-88121".to_owned()),
            fields: Fields::new(),
            device_time: None,
        };
        for (kind, tx_type) in [
            ("pick_confirmed", "pick_confirm"),
            ("short_picked", "pick_confirm"),
            ("shipment_closed", "goods_issue"),
            ("scan.carton", "scan.carton"),
        ] {
            assert_eq!(interpret(&event(kind), "hand").tx_type, tx_type);
        }
        for tx_type in ["pick_confirm", "goods_issue"] {
            assert_eq!(order(tx_type, "shipment/SH-88121", "lane-1"), ("outbound", "SH-88121"));
        }
        assert_eq!(order("stock_count", "stock/A-100//Z1", "lane-1"), ("stock", "A-100//Z1"));
        assert_eq!(order("goods_receipt", "asn/ASN-9", "lane-1"), ("inbound", "ASN-9"));
        assert_eq!(order("scan.carton", "shipment/SH-88121", "lane-1"), ("lane-1", "shipment/SH-88121"));
    }
}
