use std::collections::BTreeMap;

use crate::event::Value;
use crate::form::Document;
use crate::tagmap::{Binding, Map, guarded};

const GS1: &str = include_str!("../../../../devices/acme-gs1-scanner/map.toml");

fn read(text: String) -> Result<Map, Vec<String>> {
    let document = Document { name: "map.toml".to_owned(), text };
    let params = BTreeMap::from([("topic_root".to_owned(), "dc1".to_owned())]);
    let binding = Binding { params, ..Binding::of("gs1") };
    Map::read(&document, &binding).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// The shipped map with texts replaced.
fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GS1.to_owned(), |map, (from, to)| {
        assert!(map.contains(from), "{from}");
        map.replacen(from, to, 1)
    })
}

/// The event's kind with its fields, but for the station; or why there is none.
fn decode(changes: &[(&str, &str)], barcode: &str) -> String {
    let map = read(changed(changes)).unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    let payload = serde_json::json!({ "barcode": barcode, "boot": "b", "seq": 1 }).to_string();
    match guarded(|| map.topics[0].decode("dc1/A1/read", payload.as_bytes())) {
        Err(why) => why.reason,
        Ok(mut decoded) => {
            let event = decoded.events.remove(0);
            let fields = event.fields.into_iter().filter(|(name, _)| name != "station");
            let shown = fields.map(|(name, value)| match value {
                Value::Text(text) => format!(" {name}={text}"),
                Value::Int(number) => format!(" {name}={number}i"),
                Value::Bool(is) => format!(" {name}={is}"),
                Value::List(list) => format!(" {name}={list:?}"),
            });
            format!("{}{}", event.kind, shown.collect::<String>())
        }
    }
}

const NO_REFUSED: (&str, &str) = (
    "[[topic.emit]]\nwhen = { field = \"refused\" }                    # without this one: bad input, and a gap in the \
     numbers\nevent = \"scan.refused\"\nfields = { code = \"code\", why = \"refused\", station = \"station\" }\n",
    "",
);

#[test]
fn a_refused_barcode_is_bad_input_unless_an_emit_takes_it() {
    let wrong = "]C100395212345000000126";
    let why = "(00) SSCC: has the check digit 6, expected 5 (at character 23)";
    assert_eq!(decode(&[], wrong), format!("scan.refused code={wrong} why={why}"));
    assert_eq!(decode(&[NO_REFUSED], wrong), format!("the barcode is refused: {why}"));
    let bare = ("{ code = \"code\", why = \"refused\", station = \"station\" }", "[]");
    assert_eq!(decode(&[bare], wrong), format!("scan.refused refused={why}"), "never silent");
    let many = "]C104A\u{1d}04B\u{1d}04C\u{1d}04D";
    assert!(decode(&[NO_REFUSED], many).ends_with("and 1 more"));
}

#[test]
fn a_suspicion_goes_with_the_event_or_refuses_the_barcode() {
    let lost = "]C1010952123454321310ABC17270131";
    let why = "missing-separator: (10) BATCH/LOT ends in (17)270131: the separator before it may be missing";
    assert_eq!(decode(&[], lost), format!("scan.item gtin=09521234543213 lot=ABC17270131 suspect={why}"));
    let listed = ("station = \"station\"\n\n[topic.identity]", "suspect = \"suspect\"\n\n[topic.identity]");
    assert_eq!(decode(&[listed], lost), decode(&[], lost), "not twice");
    let refuse = ("parse = \"gs1\"", "parse = \"gs1\"\non_suspect = \"refuse\"");
    assert_eq!(
        decode(&[refuse, NO_REFUSED], lost),
        "the barcode is refused: (10) BATCH/LOT ends in (17)270131: the separator before it may be missing (at \
         character 25)"
    );
}

#[test]
fn what_is_asked_of_barcodes_is_as_the_map_says() {
    let item = "scan.item gtin=09521234543213";
    let loose = ("require = [", "#");
    let parse = |more: &'static str| ("parse = \"gs1\"", more);
    for (changes, barcode, expected) in [
        (vec![], "]d20109521234543213310300125010A\u{1d}3024", format!("{item} lot=A net_kg=1.250 count=24i")),
        (vec![], "]d201095212345432131527013117280200101", format!("{item} expiry=2028-02-29")),
        (vec![loose], "]d20109521234543213", item.to_owned()),
        (vec![], "NOREAD\r\n", "scan.no_read".to_owned()),
        (vec![loose], "]C1NOREAD", "scan.no_read".to_owned()),
        (
            vec![loose, parse("parse = \"gs1-digital-link\"")],
            "]d20109521234543213",
            "scan.refused code=]d20109521234543213 why=no Digital Link URI, which begins with https:// (at character 4)"
                .to_owned(),
        ),
        (
            vec![loose, parse("parse = \"gs1\"\nnot_gs1 = \"pass\"")],
            "]C0LOC-1",
            "no emit of gs1-scanner@1 takes it".to_owned(),
        ),
        (vec![loose, parse("parse = \"gs1\"\ncheck_digits = false")], "]C10109521234543214", "scan.item gtin=09521234543214".to_owned()),
        (vec![loose, parse("parse = \"gs1\"\nreject_unknown_ai = false")], "]C1010952123454321304X", item.to_owned()),
        (vec![loose, parse("parse = \"gs1\"\nyear = 2080")], "]C1010952123454321317760131", format!("{item} expiry=2076-01-31")),
        (vec![loose, parse("parse = \"gs1\"\nyear = 2130")], "]C1010952123454321317760131", format!("{item} expiry=2176-01-31")),
        (vec![loose, ("\"required\"", "\"absent\"")], "0109521234543213", item.to_owned()),
    ] {
        let decoded = decode(&changes, barcode);
        let decoded = if expected.contains(" expiry") { decoded.replace(" lot=1", "") } else { decoded };
        assert_eq!(decoded, expected, "{barcode:?} {changes:?}");
    }
}

/// The faults of the shipped map with one text replaced, without their places.
fn check(from: &str, to: &str, expected: &[&str]) {
    let faults = read(changed(&[(from, to)])).err().unwrap_or_default();
    let told: Vec<&str> = faults.iter().map(|f| f.splitn(4, ':').nth(3).unwrap_or(f).trim()).collect();
    assert_eq!(told, expected, "{from} -> {to}");
}

#[test]
fn what_is_wrong_with_the_table_is_told_at_its_place() {
    let faults = read(changed(&[("from = \"code\"", "from = \"seq\"")])).expect_err("a number is no code");
    assert_eq!(
        faults,
        ["map.toml:29:8: topic[1].barcode.from: `seq` is no text of the payload (name a field with a path, of type \
          \"string\")"]
    );
    check(
        "parse = \"gs1\"",
        "parse = \"gs2\"",
        &[
            "topic[1].barcode.parse: \"gs2\" is not known here (did you mean `gs1`? One of \"gs1\", \"gs1-digital-link\", \
           \"raw\")",
        ],
    );
    check(
        "\"{GS}\"]",
        "\"GS\"]",
        &[
            "topic[1].barcode.separator: \"GS\" can be no separator (1 to 8 bytes, not letters and digits alone: \"<GS>\")",
        ],
    );
    check(
        "\"10\"]",
        "\"04\"]",
        &["topic[1].barcode.require: \"04\" is no application identifier (\"01\", or \"310n\" for any digit)"],
    );
    check("[\"00\"], ", "[], ", &["topic[1].barcode.require: has an empty set, which every barcode has (remove it)"]);
    check(
        "lot = \"ai.10\"",
        "suspect = \"ai.10\"",
        &[
            "topic[1].emit[4].fields: has `suspect`, which goes with the event of such a barcode by itself (give the field \
           another name)",
        ],
    );
    check(
        "code = { path",
        "suspect = { path = \"$.s\", type = \"bool\" }\ncode = { path",
        &["topic[1].barcode: has a slot `suspect` of its own (give the field or level another name)"],
    );
    let known = "`station`, `code`, `read_at`, `boot`, `seq`, `no_read`, `refused`, `suspect`, ";
    let faults = read(changed(&[("lot = \"ai.10\"", "lot = \"ai.04\"")])).expect_err("04 is no AI").concat();
    assert!(faults.contains("there is no field `ai.04`") && faults.contains(known), "{faults}");
    let faults =
        read(changed(&[("subject = \"{ai.01}\"", "subject = \"{ai.10}\"")])).expect_err("10 may lack").concat();
    let told = "names `ai.10`, which a message may lack (write when = { field = \"ai.10\" } in this emit: a barcode without it \
                is then another event, or bad input)";
    assert!(faults.contains(told), "{faults}");
    let faults = read(changed(&[("parse = \"gs1\"", "parse = \"raw\"")])).expect_err("raw has no AIs").concat();
    assert!(faults.contains("there is no field `ai.00`"), "{faults}");
}
