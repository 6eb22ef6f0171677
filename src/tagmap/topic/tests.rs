use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::{Decoded, DeviceEvent, Position, Undecodable};
use crate::form::Document;
use crate::tagmap::{Binding, Map, guarded};

mod lists;

const HAND: &str = include_str!("../../../devices/acme-hand-scanner/map.toml");
const TOPIC: &str = "dc1/scan/A1/read";

fn read(text: &str, accept_epoch_risk: bool) -> Result<Map, Vec<String>> {
    let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
    let params = BTreeMap::from([("topic_root".to_owned(), "dc1/scan".to_owned())]);
    let binding = Binding { params, accept_epoch_risk, ..Binding::of("hand") };
    Map::read(&document, &binding).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// The shipped map with one text replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(HAND.contains(from), "{from}");
    HAND.replacen(from, to, 1)
}

fn hand() -> Topic {
    read(HAND, false).expect("the shipped map has no fault").topics.remove(0)
}

fn decode(topic: &Topic, payload: &str) -> Result<Decoded, Undecodable> {
    guarded(|| topic.decode(TOPIC, payload.as_bytes()))
}

fn reason(topic: &Topic, payload: &str) -> String {
    decode(topic, payload).expect_err("this message is refused").reason
}

#[test]
fn the_shipped_map_tells_what_to_subscribe_and_what_it_emits() {
    let topic = hand();
    assert_eq!((topic.filter(), topic.qos()), ("dc1/scan/+/read", 1));
    assert!(topic.matches(TOPIC) && !topic.matches("dc1/scan/read") && topic.overlaps(&topic));
    assert_eq!(topic.kinds().collect::<Vec<_>>(), ["scan.carton", "scan.item"]);
}

#[test]
fn a_refused_message_says_what_to_correct() {
    let topic = hand();
    for (payload, expected) in [
        ("", "the payload is empty, expected JSON"),
        ("{", "the payload is not JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "`$.barcode` is missing"),
        (r#"{"barcode":null}"#, "`$.barcode` is missing"),
        (r#"{"barcode":7}"#, "`$.barcode` is the number 7, expected a text"),
        (r#"{"barcode":"x","seq":"x"}"#, "`$.seq` is the text \"x\", expected a whole number, not negative"),
        (r#"{"barcode":"x","seq":-1}"#, "`$.seq` is the number -1, expected a whole number, not negative"),
        (r#"{"barcode":"x","boot":"","seq":1}"#, "`$.boot` has 0 bytes, expected an id of 1 to 128"),
        (r#"{"barcode":""}"#, "the subject's `item` is empty"),
        (r#"{"barcode":"]C1\r"}"#, "the subject's `item` is empty"),
    ] {
        assert_eq!(reason(&topic, payload), expected, "{payload}");
    }
    let long = format!(r#"{{"barcode":"{}"}}"#, "x".repeat(4096));
    assert_eq!(reason(&topic, &long), "the payload has 4110 bytes, at most 4096 (max_bytes)");
    for (station, expected) in [
        ("A 1", "the device would be \"hand-A 1\": letters, digits, - and _, at most 32"),
        ("", "the device's `station` is empty"),
    ] {
        let decoded = topic.decode(&format!("dc1/scan/{station}/read"), br#"{"barcode":"x"}"#);
        assert_eq!(decoded.expect_err("no id").reason, expected);
    }
}

fn position(map: &str, accept_epoch_risk: bool, payload: &str) -> Position {
    let topic = read(map, accept_epoch_risk).expect("the changed map has no fault").topics.remove(0);
    decode(&topic, payload).expect("the message decodes").position
}

#[test]
fn the_best_identity_that_a_message_has_is_taken() {
    let counted =
        |boot: Option<&str>, seq| Position::Counted { boot: boot.map(str::to_owned), seq, bits: 64, ring: 1024 };
    let both = r#"{"barcode":"x","boot":"b1","seq":18446744073709551615}"#;
    assert_eq!(position(HAND, false, both), counted(Some("b1"), u64::MAX));
    let number = changed(r#""$.boot", type = "string""#, r#""$.boot", type = "u64""#);
    assert_eq!(position(&number, false, r#"{"barcode":"x","boot":17,"seq":9}"#), counted(Some("0000000000000011"), 9));
    let no_boot = changed("boot = \"boot\"\n", "");
    assert_eq!(position(&no_boot, true, r#"{"barcode":"x","seq":9}"#), counted(None, 9));
    let repeat = Repeat { window_ms: 2_000, max_burst_ms: 10_000, once: false };
    let content = Position::Content { content: b"x".to_vec(), repeat };
    assert_eq!(position(HAND, false, r#"{"barcode":"]C1x\r\n","seq":9}"#), content, "a seq without boot is no count");
    let message = changed("content = \"code\"", "message_id = \"boot\"");
    assert_eq!(position(&message, false, r#"{"barcode":"x","boot":"m7"}"#), Position::Message("m7".to_owned()));
    let none = read(&changed("content = \"code\"", ""), false).unwrap().topics.remove(0);
    assert_eq!(
        reason(&none, r#"{"barcode":"x","boot":"b"}"#),
        "nothing names this message: it needs `$.boot`, `$.seq`"
    );
}

#[test]
fn conditions_choose_the_event() {
    let kind = |when: &str, payload: &str| {
        let map = changed("when = { field = \"sscc\" }", when).replace("subject = \"{sscc}\"", "");
        let topic = read(&map, false).expect("the changed map has no fault").topics.remove(0);
        decode(&topic, payload).expect("the message decodes").events.remove(0).kind
    };
    let (carton, item) = ("scan.carton", "scan.item");
    for (when, payload, expected) in [
        ("when = { field = \"code\", check = \"sscc\" }", r#"{"barcode":"]C100395212345000000125"}"#, carton),
        ("when = { field = \"code\", check = \"sscc\" }", r#"{"barcode":"00395212345000000126"}"#, item),
        ("when = { field = \"code\", equals = \"NOREAD\" }", r#"{"barcode":"NOREAD"}"#, carton),
        ("when = { field = \"seq\", equals = 7 }", r#"{"barcode":"x","seq":7}"#, carton),
        ("when = { field = \"seq\", equals = 7 }", r#"{"barcode":"x","seq":8}"#, item),
        ("when = { field = \"code\", prefix = \"LOC-\" }", r#"{"barcode":"LOC-1"}"#, carton),
        ("when = { field = \"boot\" }", r#"{"barcode":"LOC-1"}"#, item),
    ] {
        assert_eq!(kind(when, payload), expected, "{when} {payload}");
    }
}

#[cfg(feature = "sim")]
#[test]
fn a_planted_panic_is_an_undecodable_message() {
    let map = changed("[topic.field]", "[topic.field]\nboom = { path = \"$.boom\", type = \"planted-panic\" }");
    let topic = read(&map, false).expect("tests may plant a panic").topics.remove(0);
    assert!(decode(&topic, r#"{"barcode":"x"}"#).is_ok());
    let refused = decode(&topic, r#"{"barcode":"x","boom":1}"#).expect_err("it panicked");
    assert_eq!((refused.panicked, refused.reason.as_str()), (true, "the decoder panicked: a planted panic"));
}

/// The faults of the shipped map with one text replaced, without their places.
fn check(from: &str, to: &str, expected: &[&str]) {
    let faults = read(&changed(from, to), false).err().unwrap_or_default();
    let told: Vec<&str> = faults.iter().map(|f| f.splitn(4, ':').nth(3).unwrap_or(f).trim()).collect();
    assert_eq!(told, expected, "{from} -> {to}");
}

#[test]
fn what_is_wrong_with_a_map_is_told_at_its_place() {
    assert_eq!(
        read(&changed("qos = 1", "qos = 3"), false).err(),
        Some(vec!["map.toml:17:7: topic[1].qos: is 3 (0, 1 or 2; 1 loses nothing)".to_owned()])
    );
    check(
        "payload = \"json\"",
        "payload = \"jsn\"",
        &["topic[1].payload: \"jsn\" is not known here (did you mean `json`? One of \"json\", \"text\", \"bytes\")"],
    );
    check(
        "+station/read",
        "+station/#/read",
        &[
            "topic[1].filter: \"dc1/scan/+station/#/read\" has levels after `#` (write \"{topic_root}/+station/read\" and the like)",
        ],
    );
    check(
        "$.barcode",
        "barcode",
        &["topic[1].field.code.path: is no JSON path: at position 0, parser error (write \"$.name\")"],
    );
    check(
        "boot = \"boot\"\n",
        "",
        &[
            "topic[1].identity.seq: stands without boot: a device that starts to count again would be taken for one that \
         repeats itself (name the field of its boot id; if it has none, accept_epoch_risk = true at the device)",
        ],
    );
    check(
        "boot = \"boot\"\nseq = \"seq\"\ncontent",
        "#",
        &["topic[1].identity: tells no message from another (name the field: seq (with boot), message_id or content)"],
    );
    check(
        "when = { field = \"sscc\" }\n",
        "",
        &[
            "topic[1].emit[1].subject: names `sscc`, which a message may lack (write when = { field = \"sscc\" } in this emit)",
        ],
    );
    check(
        "{device}-{station}",
        "{station}",
        &["topic[1].identity.device: does not begin with {device} (write \"{device}-{station}\")"],
    );
    check(
        "{device}-{station}",
        "{device}-{station}-{code}",
        &[
            "topic[1].identity.device: names not exactly one level or field behind {device} (write \"{device}-{station}\")",
        ],
    );
    check(
        "window = \"{window}\"",
        "window = \"soon\"",
        &[
            "topic[1].identity.window: is \"soon\" (write a duration with its unit, such as \"500ms\", \"20s\", \"5m\", \
         \"24h\" or \"30d\")",
        ],
    );
    check(
        "field = \"sscc\" }",
        "field = \"seq\", check = \"sscc\" }",
        &[
            "topic[1].emit[1].when: can never hold for `seq`: it has another type (correct either)",
            "topic[1].emit[1].subject: names `sscc`, which a message may lack (write when = { field = \"sscc\" } in this emit)",
        ],
    );
}

/// Two times in a message: each event says which is its own.
#[test]
fn an_emit_says_which_field_is_its_time() {
    let map = |first: &str, second: &str| {
        format!(
            "schema = 1\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"mqtt\"\n\
             [param.topic_root]\ntype = \"string\"\n[[topic]]\nfilter = \"{{topic_root}}/A1/read\"\npayload = \"json\"\n\
             [topic.field]\nid = {{ path = \"$.id\", type = \"string\", required = true }}\n\
             read_at = {{ path = \"$.read\", type = \"time\" }}\n\
             sent_at = {{ path = \"$.sent\", type = \"time\", format = \"unix\" }}\n\
             [[topic.emit]]\nwhen = {{ field = \"read_at\" }}\nevent = \"a\"\nfields = []\n{first}\n\
             [[topic.emit]]\nevent = \"b\"\nfields = []\n{second}\n[topic.identity]\nmessage_id = \"id\"\n"
        )
    };
    let time = |name: &str| format!("time = \"{name}\"");
    let topic = read(&map(&time("read_at"), &time("sent_at")), false).expect("it has no fault").topics.remove(0);
    for (payload, expected) in [
        (r#"{"id":"1","read":"2026-01-02T03:04:05Z","sent":1770000000}"#, ("a", Some("2026-01-02T03:04:05Z"))),
        (r#"{"id":"2","sent":1770000000}"#, ("b", Some("2026-02-02T02:40:00Z"))),
        (r#"{"id":"3"}"#, ("b", None)),
    ] {
        let event = decode(&topic, payload).expect("it is an event").events.remove(0);
        assert_eq!((event.kind.as_str(), event.device_time.as_deref()), expected);
    }
    let told = |first: &str, second: &str| read(&map(first, second), false).err().unwrap_or_default().join("\n");
    insta::assert_snapshot!(told(&time("read_at"), ""), @r#"map.toml:24:1: topic[1].identity: the field `sent_at` is a second time (one field is of type "time", or each emit says which: time = "…")"#);
    insta::assert_snapshot!(told(&time("id"), &time("sent")), @r#"
    map.toml:19:8: topic[1].emit[1].time: `id` can't be that (a field of type "time")
    map.toml:23:8: topic[1].emit[2].time: there is no field `sent` (known here: `id`, `read_at`, `sent_at`)
    "#);
}

const DIMENSIONER: &str = include_str!("../../../devices/acme-dimensioner/map.toml");

#[test]
fn a_message_of_several_events_has_one_identity() {
    let told = |from: &str, to: &str| {
        assert!(DIMENSIONER.contains(from), "{from}");
        let faults = read(&DIMENSIONER.replacen(from, to, 1), false).err().unwrap_or_default();
        faults.iter().map(|f| f.splitn(4, ':').nth(3).unwrap_or(f).trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        told("seq = \"seq\"", "message_id = \"parcel\""),
        [
            "topic[1].identity.boot: stands without seq (name the field that counts within one boot)",
            "topic[1].identity.message_id: `parcel` is of an element: a message has one identity, whatever it holds (write \
             of = \"message\" at a field that stands once in the message)",
        ]
    );
    assert_eq!(
        told("each = \"$.parcels[*]\"", ""),
        [
            "topic[1].max_events: unknown key (known here: `barcode`, `each`, `emit`, `field`, `filter`, `identity`, `max_bytes`, \
             `payload`, `qos`, `retain`)",
            "topic[1].field.boot.of: means nothing without `each` (remove it)",
            "topic[1].field.seq.of: means nothing without `each` (remove it)",
            "topic[1].field.taken_at.of: means nothing without `each` (remove it)",
        ]
    );
    let topic = read(DIMENSIONER, false).expect("the shipped map has no fault").topics.remove(0);
    let parcel = r#"{"id":"p","dim":{"l":600,"w":600,"h":600}}"#;
    let of = |n: usize| {
        let parcels = vec![parcel; n].join(",");
        let payload = format!(r#"{{"boot":"b","seq":1,"parcels":[{parcels}]}}"#);
        topic.decode("dc1/scan/result", payload.as_bytes()).map(|decoded| decoded.events.len())
    };
    assert_eq!(of(50), Ok(50));
    assert_eq!(of(51).map_err(|e| e.reason), Err("`$.parcels[*]` finds 51, at most 50 (max_events)".to_owned()));
}

/// What can't be read keeps its place, so that the events beside it have the keys that they would have had.
#[test]
fn an_element_that_is_unread_keeps_its_place() {
    let topic = read(DIMENSIONER, false).expect("the shipped map has no fault").topics.remove(0);
    let of = |lengths: [u32; 3]| {
        let parcel = |l: u32| format!(r#"{{"id":"p{l}","dim":{{"l":{l},"w":600,"h":600}}}}"#);
        let payload = format!(r#"{{"boot":"b","seq":1,"parcels":[{}]}}"#, lengths.map(parcel).join(","));
        topic.decode("dc1/scan/result", payload.as_bytes())
    };
    let decoded = of([600, 40_050, 700]).expect("two can be read");
    let parcel = |event: &DeviceEvent| event.fields.iter().find(|(name, _)| name == "parcel").map(|(_, id)| id.clone());
    let numbered: Vec<_> = decoded.numbered().map(|(ordinal, event)| (ordinal, parcel(event))).collect();
    let text = |id: &str| Some(Value::Text(id.to_owned()));
    assert_eq!(numbered, [(0, text("p600")), (2, text("p700"))]);
    let [unread] = decoded.unread.as_slice() else { panic!("one can't: {:?}", decoded.unread) };
    assert_eq!((unread.ordinal, unread.reason.as_str()), (1, "element 2: `$.dim.l` is 400.5, more than 300 (valid)"));
    assert_eq!(unread.raw, br#"{"id":"p40050","dim":{"l":40050,"w":600,"h":600}}"#);
    assert_eq!(of([600, 600, 700]).map(|all| (all.position, all.unread)), Ok((decoded.position, Vec::new())));
    let none = of([40_050, 40_050, 40_050]).map_err(|why| why.reason);
    assert_eq!(none, Err("element 1: `$.dim.l` is 400.5, more than 300 (valid)".to_owned()));
}

/// A subject must be there in each message: what is left out when it is not valid may not be.
#[test]
fn what_may_be_left_out_names_nothing() {
    let map = DIMENSIONER.replacen(
        "event = \"dimension.unknown\"",
        "event = \"dimension.unknown\"\nsubject = \"{gross}\"",
        1,
    );
    let faults = read(&map.replacen("path = \"$.weight\"", "path = \"$.weight\", required = true", 1), false);
    let faults = faults.expect_err("`gross` may be left out");
    assert!(
        faults[0]
            .ends_with("names `gross`, which a message may lack (write when = { field = \"gross\" } in this emit)"),
        "{faults:?}"
    );
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[0-9]{18,20}|\\PC{0,200}|[\\]A-Z0-9\r\n\t]{0,5}".prop_map(Into::into),
    ];
    let key = prop_oneof![Just("barcode"), Just("ts"), Just("boot"), Just("seq"), Just("other")];
    proptest::collection::vec((key, leaf), 0..6)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

proptest! {
    #[test]
    fn any_bytes_decode_or_say_why(level in "\\PC{0,40}", payload: Vec<u8>) {
        let topic = hand();
        let decoded = guarded(|| topic.decode(&format!("dc1/scan/{level}/read"), &payload));
        prop_assert!(decoded.is_err_and(|e| !e.panicked && !e.reason.is_empty()));
    }

    #[test]
    fn any_json_decodes_to_one_event_of_the_map_or_says_why(payload in json()) {
        let topic = hand();
        match decode(&topic, &payload.to_string()) {
            Ok(decoded) => {
                prop_assert_eq!(&*decoded.device, "hand-A1");
                prop_assert_eq!(decoded.events.len(), 1);
                prop_assert!(topic.kinds().any(|kind| kind == decoded.events[0].kind));
                let same = decode(&topic, &payload.to_string());
                prop_assert_eq!(same, Ok(decoded), "decoding is pure");
            }
            Err(why) => prop_assert!(!why.panicked && !why.reason.is_empty()),
        }
    }
}
