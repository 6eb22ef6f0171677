//! The names of events in maps: raw ones in dotted lower case, canonical ones as the contract with the ERP has them.

use crate::event::{Canonical, one_of};
use crate::form::{Table, meant};

/// The kind that `text` names: itself, or `pick_confirmed` for `PickConfirmed`. `example` is a raw one.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(super) fn named(text: &str, example: &str) -> Result<String, (String, String)> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if let Some(kind) = Canonical::named(text) {
        return Ok(kind.wire().to_owned());
    }
    if let Some(kind) = Canonical::of(text) {
        let help = format!("write \"{}\", or choose another word for an event of your own", kind.name());
        return Err((format!("\"{text}\" is what a canonical kind is called on its way to the ERP"), help));
    }
    if text.is_empty() || !text.bytes().all(plain) {
        let known = Canonical::ALL.into_iter().map(|kind| kind.name().to_owned()).collect();
        let help = match meant(text, &known) {
            Some(kind) => format!("did you mean `{kind}`?"),
            None => format!("dotted lower case: \"{example}\""),
        };
        return Err((format!("\"{text}\" is no event name"), help));
    }
    Ok(text.to_owned())
}

/// Refuses a canonical event for which `table` names no source of a field that it must have, or a subject of its own.
pub(super) fn complete(table: &Table<'_>, kind: &str, carries: impl Fn(&str) -> bool) {
    let Some(canonical) = Canonical::of(kind) else { return };
    if table.entry("subject").is_some() {
        let message = format!("is made of the fields of {}, so that the order of the ERP holds", canonical.name());
        table.refuse_key("subject", &message, "remove it");
    }
    for group in canonical.lacks(carries) {
        let message = format!("{} needs {}", canonical.name(), one_of(group));
        table.refuse_key("fields", &message, &format!("carry it under that name, {}", source(group[0])));
    }
}

/// Where a field could come from.
fn source(field: &str) -> &'static str {
    match field {
        "item" => "from the payload, a tag, or a barcode's `ai.01`",
        "qty" | "qty_picked" => "from the payload, a tag, or a barcode's `ai.30` or `ai.37`",
        _ => "from the payload, a tag, or a level of the topic",
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Value;
    use crate::form::Document;
    use crate::tagmap::{Binding, Map};

    const MAP: &str = r#"
schema = 1
[map]
id = "floor"
version = 1
protocol = "mqtt"
[[topic]]
filter = "floor/+shipment/picked"
payload = "json"
[topic.field]
item = { path = "$.item", type = "string" }
qty = { path = "$.qty", type = "decimal" }
seq = { path = "$.seq", type = "u64", required = true }
boot = { path = "$.boot", type = "string", required = true }
[[topic.emit]]
event = "PickConfirmed"
fields = ["shipment", "item", "qty"]
[topic.identity]
boot = "boot"
seq = "seq"
"#;

    fn read(text: &str) -> Result<Map, String> {
        let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
        Map::read(&document, &Binding::of("hand"))
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    fn told(from: &str, to: &str) -> String {
        assert!(MAP.contains(from), "{from}");
        read(&MAP.replacen(from, to, 1)).err().unwrap_or_default()
    }

    #[test]
    fn a_canonical_event_has_its_subject_and_the_contract_s_forms() {
        let map = read(MAP).expect("no fault");
        assert_eq!(map.topics[0].kinds().collect::<Vec<_>>(), ["pick_confirmed"]);
        let decode = |payload: &str| map.topics[0].decode("floor/SH-1/picked", payload.as_bytes());
        let event = &decode(r#"{"boot":"a","seq":1,"item":"A-100","qty":4.50}"#).expect("whole").events[0];
        assert_eq!((event.kind.as_str(), event.subject.as_deref()), ("pick_confirmed", Some("shipment/SH-1")));
        assert_eq!(event.fields[2], ("qty".to_owned(), Value::Text("4.5".to_owned())));
        let why = |payload: &str| decode(payload).expect_err("not whole").reason;
        assert_eq!(why(r#"{"boot":"a","seq":2,"item":"A-100"}"#), "PickConfirmed lacks `qty`");
        assert_eq!(why(r#"{"boot":"a","seq":2,"item":"","qty":1}"#), "PickConfirmed lacks `item`");
    }

    #[test]
    fn a_map_must_name_where_each_field_of_a_canonical_event_comes_from() {
        insta::assert_snapshot!(told(r#"["shipment", "item", "qty"]"#, r#"["qty"]"#), @"
    map.toml:17:10: topic[1].emit[1].fields: PickConfirmed needs `shipment` (carry it under that name, from the payload, a tag, or a level of the topic)
    map.toml:17:10: topic[1].emit[1].fields: PickConfirmed needs `item` (carry it under that name, from the payload, a tag, or a barcode's `ai.01`)
    ");
        insta::assert_snapshot!(told(r#"event = "PickConfirmed""#, "event = \"PickConfirmed\"\nsubject = \"{shipment}\""), @"map.toml:17:11: topic[1].emit[1].subject: is made of the fields of PickConfirmed, so that the order of the ERP holds (remove it)");
        insta::assert_snapshot!(told("PickConfirmed", "PickConfirm"), @r#"map.toml:16:9: topic[1].emit[1].event: "PickConfirm" is no event name (did you mean `PickConfirmed`?)"#);
        insta::assert_snapshot!(told("PickConfirmed", "pick_confirmed"), @r#"map.toml:16:9: topic[1].emit[1].event: "pick_confirmed" is what a canonical kind is called on its way to the ERP (write "PickConfirmed", or choose another word for an event of your own)"#);
        insta::assert_snapshot!(told("PickConfirmed", "ReceiptCounted"), @"map.toml:17:10: topic[1].emit[1].fields: ReceiptCounted needs `po` or `asn` (carry it under that name, from the payload, a tag, or a level of the topic)");
    }

    #[test]
    fn registers_tell_canonical_events_too() {
        let text = r#"
schema = 1
[map]
id = "shuttle"
version = 1
protocol = "modbus"
addresses = "zero"
[poll.fast]
every = "20ms"
[[tag]]
name = "moves"
poll = "fast"
area = "holding"
at = 1
type = "u16"
[[tag]]
name = "qty"
poll = "fast"
area = "holding"
at = 2
type = "u16"
[[event]]
name = "InventoryMoved"
on = { change = "moves" }
fields = { item = "'A-100'", qty = "qty", from = "'Z1'", to = "'Z2'" }
"#;
        assert_eq!(read(text).err(), None);
        insta::assert_snapshot!(read(&text.replace(", to = \"'Z2'\"", "")).expect_err("no place to go to"), @"map.toml:25:10: event[1].fields: InventoryMoved needs `to` (carry it under that name, from the payload, a tag, or a level of the topic)");
    }
}
