//! Canonical kinds: what happened on the floor in the words that every system gets (docs/erp-contract.md, "Transaction types").
//!
//! A map names one in `CamelCase`, `PickConfirmed`; it travels as `pick_confirmed`. The kind alone fixes what is posted, what
//! orders it and which fields it must have, so that no map can take a count for a difference.

use serde_json::Value as Json;

use crate::event::{Fields, Value};

/// A kind that means something for the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonical {
    /// A line is picked, in full or in part.
    PickConfirmed,
    /// A line is picked with less than was asked for; the rest will not come.
    ShortPicked,
    /// The shipment is packed.
    PackingCompleted,
    /// A label with a tracking number was printed.
    Labelled,
    /// It was taken back.
    LabelVoided,
    /// The shipment leaves the building.
    ShipmentClosed,
    /// Goods of a purchase or an announcement were counted at the dock.
    ReceiptCounted,
    /// Stock went from one place to another.
    InventoryMoved,
    /// The stock of a place **is** what was counted.
    Counted,
    /// The stock of a place changed **by** a difference.
    Adjusted,
}

/// What a kind is about, and so what its events are ordered by.
#[derive(Debug, Clone, Copy)]
enum About {
    Shipment,
    Receipt,
    /// Item, lot, and the place in that field.
    Stock(&'static str),
}

/// One row of the contract's table.
struct Line {
    name: &'static str,
    wire: &'static str,
    tx_type: &'static str,
    about: About,
    /// Of each group one field has to be there.
    required: &'static [&'static [&'static str]],
}

/// How a field is written, whatever kind has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A text.
    Text,
    /// A decimal as text: `-?\d{1,15}(\.\d{1,6})?`.
    Decimal,
    /// A whole number that counts.
    Whole,
    /// true or false.
    Truth,
    /// A list of texts.
    Texts,
    /// A list of records, whose members have their forms.
    Records,
}

impl Form {
    /// The form of the contract's fields; a field of the site's own has any.
    fn of(field: &str) -> Option<Self> {
        Some(match field {
            "qty" | "qty_picked" | "qty_expected" | "weight_kg" => Self::Decimal,
            "line" | "cycle" | "as_of_seq" => Self::Whole,
            "final" => Self::Truth,
            "orders" | "cartons" | "serials" => Self::Texts,
            "lines" => Self::Records,
            "shipment" | "order" | "item" | "uom" | "from" | "to" | "lot" | "location" | "po" | "asn" | "dock"
            | "request" | "tracking" | "carrier" | "service" | "label_id" | "sscc" | "lpn" | "reason" | "picker"
            | "count_id" => Self::Text,
            _ => return None,
        })
    }

    /// In words for whoever writes a map.
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Decimal => "a decimal of at most 15 digits and 6 behind the point",
            Self::Whole => "a whole number",
            Self::Truth => "true or false",
            Self::Texts => "a list of texts",
            Self::Records => "a list of lines with their members",
        }
    }

    /// The value as it travels: a number where a text is due becomes one.
    fn take(self, value: Value) -> Result<Value, Value> {
        match (self, value) {
            (Self::Text | Self::Decimal, Value::Int(number)) => Ok(Value::Text(number.to_string())),
            (Self::Whole, Value::Text(text)) => text.parse().map(Value::Int).map_err(|_| Value::Text(text)),
            (Self::Decimal, Value::Text(text)) if !is_decimal(&text) => Err(Value::Text(text)),
            (Self::Text | Self::Decimal, value @ Value::Text(_))
            | (Self::Whole, value @ Value::Int(_))
            | (Self::Truth, value @ Value::Bool(_)) => Ok(value),
            (Self::Texts, Value::List(list)) if list.iter().all(Json::is_string) => Ok(Value::List(list)),
            (_, value) => Err(value),
        }
    }
}

const SHIPMENT: &[&str] = &["shipment"];
const ITEM: &[&str] = &["item"];
const QTY: &[&str] = &["qty"];

impl Canonical {
    /// All of them, in the order of the contract's table.
    pub const ALL: [Self; 10] = [
        Self::PickConfirmed,
        Self::ShortPicked,
        Self::PackingCompleted,
        Self::Labelled,
        Self::LabelVoided,
        Self::ShipmentClosed,
        Self::ReceiptCounted,
        Self::InventoryMoved,
        Self::Counted,
        Self::Adjusted,
    ];

    fn line(self) -> Line {
        let line = |name, wire, tx_type, about, required| Line { name, wire, tx_type, about, required };
        let place = About::Stock("location");
        match self {
            Self::PickConfirmed => {
                line("PickConfirmed", "pick_confirmed", "pick_confirm", About::Shipment, &[SHIPMENT, ITEM, QTY])
            }
            Self::ShortPicked => {
                let required = &[SHIPMENT, ITEM, &["qty_picked"], &["qty_expected"]];
                line("ShortPicked", "short_picked", "pick_confirm", About::Shipment, required)
            }
            Self::PackingCompleted => {
                line("PackingCompleted", "packing_completed", "pack_confirm", About::Shipment, &[SHIPMENT])
            }
            Self::Labelled => {
                line("Labelled", "labelled", "shipment_tracking", About::Shipment, &[SHIPMENT, &["tracking"]])
            }
            Self::LabelVoided => {
                line("LabelVoided", "label_voided", "shipment_tracking", About::Shipment, &[SHIPMENT, &["tracking"]])
            }
            Self::ShipmentClosed => {
                line("ShipmentClosed", "shipment_closed", "goods_issue", About::Shipment, &[SHIPMENT])
            }
            Self::ReceiptCounted => {
                let required: &[&[&str]] = &[&["po", "asn"], &["item", "lines"], &["qty", "lines"]];
                line("ReceiptCounted", "receipt_counted", "goods_receipt", About::Receipt, required)
            }
            Self::InventoryMoved => {
                let required = &[ITEM, QTY, &["from"], &["to"]];
                line("InventoryMoved", "inventory_moved", "stock_transfer", About::Stock("from"), required)
            }
            Self::Counted => line("Counted", "counted", "stock_count", place, &[ITEM, &["location"], QTY]),
            Self::Adjusted => {
                line("Adjusted", "adjusted", "stock_adjustment", place, &[ITEM, &["location"], QTY, &["reason"]])
            }
        }
    }

    /// The kind of that name in maps: `PickConfirmed`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of an event: `pick_confirmed`.
    pub fn of(wire: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.wire() == wire)
    }

    /// Its name in maps.
    pub fn name(self) -> &'static str {
        self.line().name
    }

    /// Its name on the wire.
    pub fn wire(self) -> &'static str {
        self.line().wire
    }

    /// What is posted.
    pub fn tx_type(self) -> &'static str {
        self.line().tx_type
    }

    /// What groups the types that must not overtake each other for one subject: `outbound`, `inbound`, `stock`.
    pub fn order_class(self) -> &'static str {
        match self.line().about {
            About::Shipment => "outbound",
            About::Receipt => "inbound",
            About::Stock(_) => "stock",
        }
    }

    /// The fields that an event with these must have besides; of each group, one will do.
    pub fn lacks(self, has: impl Fn(&str) -> bool) -> impl Iterator<Item = &'static [&'static str]> {
        self.line().required.iter().copied().filter(move |group| !group.iter().any(|field| has(field)))
    }

    /// The fields as the contract wants them, and the subject that they make. Empty texts are none.
    ///
    /// # Errors
    /// The field that is missing or has another form.
    pub fn complete(self, fields: Fields) -> Result<(String, Fields), String> {
        let mut taken = Fields::with_capacity(fields.len());
        for (name, value) in fields {
            let Some(form) = Form::of(&name) else {
                taken.push((name, value));
                continue;
            };
            if value == Value::Text(String::new()) {
                continue;
            }
            let value = match (form, value) {
                (Form::Records, Value::List(records)) => self.records(&name, records)?,
                (form, value) => self.member(&name, form, value)?,
            };
            taken.push((name, value));
        }
        let lack = self.lacks(|field| taken.iter().any(|(name, _)| name == field)).next();
        match lack {
            Some(group) => Err(format!("{} lacks {}", self.name(), one_of(group))),
            None => Ok((self.subject(&taken), taken)),
        }
    }

    /// One value in its form.
    fn member(self, name: &str, form: Form, value: Value) -> Result<Value, String> {
        let value = form.take(value).map_err(|value| wrong(name, &value, form.expected()))?;
        if form == Form::Decimal && self != Self::Adjusted && is_negative(&value) {
            return Err(wrong(name, &value, "no less than nothing: only Adjusted has a sign"));
        }
        Ok(value)
    }

    /// Lines, each with its members in their forms. Empty texts are none.
    fn records(self, name: &str, records: Vec<Json>) -> Result<Value, String> {
        let mut list = Vec::with_capacity(records.len());
        for (number, record) in (1..).zip(records) {
            let Json::Object(members) = record else {
                return Err(format!("{name} {number} is {record}, expected a line with its members"));
            };
            let mut taken = serde_json::Map::new();
            for (member, value) in members {
                let path = format!("{name} {number}: {member}");
                let value = match (Form::of(&member), serde_json::from_value(value.clone())) {
                    (_, Ok(Value::Text(text))) if text.is_empty() => continue,
                    (Some(form), Ok(value)) => self.member(&path, form, value)?.into(),
                    _ => value,
                };
                taken.insert(member, value);
            }
            list.push(Json::Object(taken));
        }
        Ok(Value::List(list))
    }

    fn subject(self, fields: &Fields) -> String {
        let text = |name: &str| match fields.iter().find(|(field, _)| field == name) {
            Some((_, Value::Text(text))) => Some(text.as_str()),
            _ => None,
        };
        let or_empty = |name: &str| text(name).unwrap_or_default();
        match self.line().about {
            About::Shipment => format!("shipment/{}", or_empty("shipment")),
            About::Receipt => match text("po") {
                Some(po) => format!("po/{po}"),
                None => format!("asn/{}", or_empty("asn")),
            },
            About::Stock(place) => format!("stock/{}/{}/{}", or_empty("item"), or_empty("lot"), or_empty(place)),
        }
    }
}

/// The contract has this field as a text.
pub fn travels_as_text(field: &str) -> bool {
    matches!(Form::of(field), Some(Form::Text | Form::Decimal))
}

/// `` `po` or `asn` ``.
pub fn one_of(group: &[&str]) -> String {
    group.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" or ")
}

fn wrong(name: &str, value: &Value, expected: &str) -> String {
    let said = match value {
        Value::Text(text) => format!("\"{}\"", text.chars().take(40).collect::<String>().escape_debug()),
        Value::Int(_) | Value::Bool(_) => value.to_string(),
        Value::List(list) => format!("a list of {}", list.len()),
    };
    format!("`{name}` is {said}, expected {expected}")
}

fn is_negative(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.starts_with('-'))
}

fn is_decimal(text: &str) -> bool {
    let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('.') {
        Some((whole, rest)) => digits(whole, 15) && digits(rest, 6),
        None => digits(text, 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> (String, Value) {
        (name.to_owned(), Value::Text(value.to_owned()))
    }

    #[test]
    fn the_contract_s_page_has_each_kind_with_its_type_and_its_required_fields() {
        let page = include_str!("../../docs/erp-contract.md");
        for kind in Canonical::ALL {
            let rows = page.lines().filter(|line| line.starts_with(&format!("| `{}` |", kind.tx_type())));
            let row = rows.into_iter().find(|row| row.contains(&format!("`{}`", kind.wire())));
            let row = row.unwrap_or_else(|| panic!("the page has no row of {}", kind.wire()));
            for field in kind.lacks(|_| false).flatten() {
                assert!(row.contains(&format!("`{field}`")), "{field} is not in {row}");
            }
            assert_eq!((Canonical::named(kind.name()), Canonical::of(kind.wire())), (Some(kind), Some(kind)));
        }
    }

    #[test]
    fn the_subject_is_what_the_kind_is_about() {
        let subject = |kind: Canonical, fields: &[(&str, &str)]| {
            kind.complete(fields.iter().map(|(name, value)| text(name, value)).collect()).expect("complete").0
        };
        let pick = [("shipment", "SH-88121"), ("item", "A-100"), ("qty", "4")];
        assert_eq!(subject(Canonical::PickConfirmed, &pick), "shipment/SH-88121");
        let receipt = [("po", "PO-553"), ("asn", "ASN-9"), ("item", "A-100"), ("qty", "96")];
        assert_eq!(subject(Canonical::ReceiptCounted, &receipt), "po/PO-553");
        assert_eq!(subject(Canonical::ReceiptCounted, &receipt[1..]), "asn/ASN-9");
        let moved = [("item", "A-100"), ("lot", "L90"), ("qty", "24"), ("from", "Z1"), ("to", "Z2")];
        assert_eq!(subject(Canonical::InventoryMoved, &moved), "stock/A-100/L90/Z1");
        let counted = [("item", "A-100"), ("lot", ""), ("location", "Z1"), ("qty", "0")];
        assert_eq!(subject(Canonical::Counted, &counted), "stock/A-100//Z1");
    }

    #[test]
    fn fields_travel_in_the_contract_s_forms() {
        let fields = vec![
            text("shipment", "1"),
            ("item".to_owned(), Value::Int(4711)),
            ("qty".to_owned(), Value::Int(4)),
            text("line", "10"),
            text("lot", ""),
            ("own".to_owned(), Value::Int(3)),
        ];
        let (_, taken) = Canonical::PickConfirmed.complete(fields).expect("complete");
        let expected = vec![
            text("shipment", "1"),
            text("item", "4711"),
            text("qty", "4"),
            ("line".to_owned(), Value::Int(10)),
            ("own".to_owned(), Value::Int(3)),
        ];
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_is_missing_or_has_another_form_is_told() {
        let why = |kind: Canonical, fields: &[(&str, &str)]| {
            kind.complete(fields.iter().map(|(name, value)| text(name, value)).collect()).expect_err("not complete")
        };
        assert_eq!(
            why(Canonical::ReceiptCounted, &[("item", "A"), ("qty", "1")]),
            "ReceiptCounted lacks `po` or `asn`"
        );
        let pick = |qty| why(Canonical::PickConfirmed, &[("shipment", "1"), ("item", "A"), ("qty", qty)]);
        assert_eq!(pick(""), "PickConfirmed lacks `qty`");
        assert_eq!(pick("1e3"), "`qty` is \"1e3\", expected a decimal of at most 15 digits and 6 behind the point");
        assert_eq!(pick("-1"), "`qty` is \"-1\", expected no less than nothing: only Adjusted has a sign");
    }
}
