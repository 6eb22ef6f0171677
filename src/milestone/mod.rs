//! What a device event means for the business. Pure.
//!
//! An event without a milestone is its own transaction type: `scan.carton` is posted as `scan.carton`.

use crate::event::{DeviceEvent, Fields, Value};

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
    BusinessEvent { tx_type: event.kind.clone(), subject }
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
