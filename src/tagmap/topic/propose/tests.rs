use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Decoded, Position};
use crate::form::Document;
use crate::tagmap::{Binding, DeviceLimits, Map};

fn heard(topic: &str, payload: &Json) -> Heard {
    Heard { topic: topic.to_owned(), payload: payload.to_string().into_bytes() }
}

/// The proposal, in a map that holds nothing else.
fn map(proposal: &Proposal) -> Map {
    let head = "schema = 1\n[map]\nid = \"sniffed\"\nversion = 1\nprotocol = \"mqtt\"\n\n";
    let document = Document { name: "map.toml".to_owned(), text: format!("{head}{}", proposal.text) };
    let binding = Binding {
        device: "device-1".into(),
        params: BTreeMap::new(),
        accept_epoch_risk: false,
        limits: DeviceLimits::default(),
    };
    Map::read(&document, &binding).unwrap_or_else(|faults| panic!("{faults:#?}\n{}", document.text))
}

/// What each message becomes.
fn decoded(proposal: &Proposal, heard: &[Heard]) -> Vec<Decoded> {
    let map = map(proposal);
    let of = |heard: &Heard| {
        let topic = map.topics.iter().find(|topic| topic.matches(&heard.topic))?;
        let decoded = topic.decode(&heard.topic, &heard.payload);
        Some(decoded.unwrap_or_else(|e| panic!("{}: {}\n{}", heard.topic, e.reason, proposal.text)))
    };
    heard.iter().filter_map(of).collect()
}

#[test]
fn a_scanner_that_counts() {
    let scan = |station: &str, code: &str, seq: u32| {
        let payload =
            json!({"barcode": code, "ts": "2026-03-03T10:00:00Z", "boot": "b1", "seq": seq, "battery": {"volt": 3.7}});
        heard(&format!("dc1/scan/{station}/read"), &payload)
    };
    let all = [scan("A", "X1", 7), scan("B", "X1", 1), scan("A", "X2", 8)];
    let proposal = propose("dc1/#", &all).expect("there is one");
    insta::assert_snapshot!(proposal.text, @r#"
    [[topic]]
    filter = "dc1/scan/+level3/read"
    qos = 1
    payload = "json"

    [topic.field]
    barcode = { path = "$.barcode", type = "string", required = true }    # "X1"
    ts = { path = "$.ts", type = "time", required = true }    # "2026-03-03T10:00:00Z"
    boot = { path = "$.boot", type = "string", required = true }    # "b1"
    seq = { path = "$.seq", type = "u64", required = true }    # 7
    volt = { path = "$.battery.volt", type = "decimal", required = true }    # 3.7

    [[topic.emit]]
    event = "device.message"    # name what it means: "scan.carton"
    subject = "{barcode}"    # what it is about: events of one subject stay in order
    fields = ["level3", "barcode", "volt"]

    [topic.identity]
    device = "{device}-{level3}"    # each counts for itself
    boot = "boot"
    seq = "seq"
    "#);
    let decoded = decoded(&proposal, &all);
    assert_eq!(decoded.len(), 3);
    assert_eq!(&*decoded[1].device, "device-1-B");
    assert_eq!(decoded[2].position, Position::Counted { boot: Some("b1".to_owned()), seq: 8, bits: 64, ring: 1_024 });
}

#[test]
fn a_scanner_that_does_not_count() {
    let all = [heard("dc1/scan/read", &json!({"station": "A", "code": "X1", "weight": 5, "ok": true}))];
    let proposal = propose("dc1/scan/+what", &all).expect("there is one");
    insta::assert_snapshot!(proposal.text, @r#"
    [[topic]]
    filter = "dc1/scan/+what"
    qos = 1
    payload = "json"

    [topic.field]
    station = { path = "$.station", type = "string", required = true }    # "A"
    code = { path = "$.code", type = "string", required = true }    # "X1"
    weight = { path = "$.weight", type = "u64", required = true }    # 5
    ok = { path = "$.ok", type = "bool", required = true }    # true

    [[topic.emit]]
    event = "device.message"    # name what it means: "scan.carton"
    subject = "{code}"    # what it is about: events of one subject stay in order
    fields = ["what", "station", "code", "weight", "ok"]

    [topic.identity]
    device = "{device}-{what}"    # each counts for itself
    content = "code"    # no count was seen: repeats are told apart by time alone
    window = "2s"
    "#);
    assert_eq!(decoded(&proposal, &all).len(), 1);
}

#[test]
fn what_can_not_be_proposed_is_told() {
    let refused = |payload: &[u8]| {
        let heard = Heard { topic: "a/b".to_owned(), payload: payload.to_vec() };
        propose("a/#", &[heard]).expect_err("there is none")
    };
    assert_eq!(propose("a/#", &[]), Err("no message came".to_owned()));
    assert_eq!(
        refused(b"12.5"),
        "the payload on a/b is no JSON object: nothing is proposed for texts and bytes, see `payload` in docs/mqtt.md"
    );
    assert!(refused(b"{\"weight\": 5}").starts_with("nothing in the payloads"));
}

/// A line and a station in the topic: only what tells the topics apart is a device of its own.
#[test]
fn several_levels_that_vary() {
    let read = |topic: &str, seq: u32| heard(topic, &json!({"boot": "b1", "seq": seq, "code": "X1"}));
    let part = |proposal: &Proposal| {
        let identity = proposal.text.split_once("[topic.identity]\n").map(|(_, text)| text.to_owned());
        identity.expect("there is an identity")
    };
    let by_station = [read("hall/L1/A", 1), read("hall/L1/B", 1), read("hall/L1/A", 2)];
    let proposal = propose("hall/+line/+station", &by_station).expect("there is one");
    assert!(part(&proposal).starts_with("device = \"{device}-{station}\""), "{}", proposal.text);
    let ids = |of: &[Decoded]| of.iter().map(|decoded| decoded.device.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&decoded(&proposal, &by_station)), ["device-1-A", "device-1-B", "device-1-A"]);
    let by_both = [read("hall/L1/A", 1), read("hall/L2/A", 1), read("hall/L1/B", 1), read("hall/L1/A", 2)];
    let proposal = propose("hall/#", &by_both).expect("there is one");
    insta::assert_snapshot!(part(&proposal), @r#"
    # 3 topics are one device here: where each counts for itself, it needs a
    # [[device]] of its own, with the level of its topic as a parameter of the map
    boot = "boot"
    seq = "seq"
    "#);
    assert_eq!(decoded(&proposal, &by_both).len(), 4);
}

/// What a laptop meets: long values, numbers beyond what is held, hundreds of fields, large payloads.
#[test]
fn payloads_beyond_the_usual() {
    let of = |text: String| Heard { topic: "a/b".to_owned(), payload: text.into_bytes() };
    let wide = |n: u32| {
        format!("{{\"code\":\"X\",{}}}", (0..300).map(|i| format!("\"f{i}\":{n}")).collect::<Vec<_>>().join(","))
    };
    let deep = "{\"a\":".repeat(100) + "1" + &"}".repeat(100);
    let cases = [
        vec![of(format!("{{\"code\":\"X\",\"boot\":\"{}\",\"seq\":1}}", "b".repeat(500)))],
        vec![of("{\"code\":\"X\",\"kg\":0.12345678901234567890123456789012345,\"n\":1e300,\"m\":-0.0,\"o\":1e-40}"
            .to_owned())],
        vec![of("{\"code\":\"X\",\"n\":18446744073709551615,\"o\":99999999999999999999999999999999}".to_owned())],
        vec![of(wide(1)), of(wide(2)), of(format!("{{\"code\":\"X\",\"other\":{}}}", wide(3)))],
        vec![of(format!("{{\"code\":\"X\",\"deep\":{deep},\"list\":[1,2],\"none\":null}}"))],
        vec![of("{\"code\":\"X\",\"code\":\"Y\",\"ts\":\"2026-99-99T99:99:99\"}".to_owned())],
        vec![of(format!("{{\"code\":\"{}\"}}", "x".repeat(1 << 20)))],
        vec![of("{\"code\":\"\\u001d0104012345\\n\",\"a\\\"b\":1,\"\":2,\"ä\":3,\"A B\":4}".to_owned())],
    ];
    for messages in cases {
        let proposal = propose("a/#", &messages).expect("there is one");
        assert_eq!(decoded(&proposal, &messages).len(), messages.len(), "{}", proposal.text);
    }
}

/// Names that are awkward as names, too.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        Just("seq".to_owned()),
        Just("boot".to_owned()),
        Just("id".to_owned()),
        Just("device".to_owned()),
        "\\PC{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f32>().prop_map(Json::from),
        "\\PC{0,9}".prop_map(Json::from),
        Just(json!("2026-03-03T10:00:00Z")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(name(), inner, 0..3).prop_map(|of| of.into_iter().collect()),
        ]
    })
}

fn message() -> impl Strategy<Value = Heard> {
    let payload = prop::collection::btree_map(name(), value(), 0..6);
    let level = || prop_oneof!["[a-c]", "[^/+#\\x00]{0,3}"];
    (prop::collection::vec(level(), 1..4), payload)
        .prop_map(|(topic, payload)| heard(&topic.join("/"), &payload.into_iter().collect::<Json>()))
        .prop_filter("`#` brings no topic that is empty or begins with $", |heard| {
            !heard.topic.is_empty() && !heard.topic.starts_with('$')
        })
}

proptest! {
    #[test]
    fn what_is_proposed_is_read_and_decodes_what_it_was_made_of(messages in prop::collection::vec(message(), 1..5)) {
        if let Ok(proposal) = propose("#", &messages) {
            let decoded = decoded(&proposal, &messages);
            prop_assert!(decoded.len() >= proposal.of, "{} of {}\n{}", decoded.len(), proposal.of, proposal.text);
        }
    }
}
