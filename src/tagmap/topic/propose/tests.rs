use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Decoded, Position};
use crate::form::Document;
use crate::tagmap::{Binding, Map};

fn heard(topic: &str, payload: &Json) -> Heard {
    Heard { topic: topic.to_owned(), payload: payload.to_string().into_bytes() }
}

/// The proposal, in a map that holds nothing else.
fn map(proposal: &Proposal) -> Map {
    let head = "schema = 1\n[map]\nid = \"sniffed\"\nversion = 1\nprotocol = \"mqtt\"\n\n";
    let document = Document { name: "map.toml".to_owned(), text: format!("{head}{}", proposal.text) };
    let binding = Binding::of("device-1");
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

/// A part of a proposal, from the line that is `head` to the next empty one.
fn part(proposal: &Proposal, head: &str) -> String {
    let (_, text) = proposal.text.split_once(&format!("{head}\n")).unwrap_or_else(|| panic!("{}", proposal.text));
    text.split_once("\n\n").map_or(text, |(part, _)| part).to_owned()
}

#[test]
fn labels_that_are_gs1_are_taken_apart() {
    let scan = |seq: u32, code: &str| heard("dc1/A", &json!({"boot": "b1", "seq": seq, "data": code, "lot": "x"}));
    let all = [
        scan(1, "]C100395212345000000125"),
        scan(2, "]C10109521234543213310300125010LOT-7<GS>21S1"),
        scan(3, "]C10109521234543213310200125010LOT-8"),
    ];
    let proposal = propose("dc1/A", &all).expect("there is one");
    insta::assert_snapshot!(part(&proposal, "[topic.barcode]"), @r#"
    from = "data"
    parse = "gs1"
    symbology_id = "required"    # all of these had one: a scanner that was reset sends none
    separator = ["<GS>"]
    require = [["00"], ["01", "10", "310n"]]    # what was seen: a lost separator shows up here
    # a barcode with a fault is bad input, unless an emit has when = { field = "refused" }
    "#);
    insta::assert_snapshot!(part(&proposal, "[[topic.emit]]"), @r#"
    event = "device.message"    # name what it means: "scan.carton"
    subject = "{data}"    # what it is about: events of one subject stay in order
    fields = { data = "data", lot = "lot", sscc = "ai.00", gtin = "ai.01", lot_2 = "ai.10", serial = "ai.21", net_kg = "ai.310n" }
    "#);
    let told = decoded(&proposal, &all);
    let field = |n: usize, name: &str| {
        told[n].events[0].fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
    };
    let text = |text: &str| Some(crate::event::Value::Text(text.to_owned()));
    assert_eq!((field(0, "sscc"), field(0, "gtin")), (text("395212345000000125"), None));
    assert_eq!((field(1, "lot"), field(1, "lot_2"), field(1, "serial")), (text("x"), text("LOT-7"), text("S1")));
    assert_eq!((field(1, "net_kg"), field(2, "net_kg")), (text("1.250"), text("12.50")));

    let subject = |codes: &[&str]| {
        let all: Vec<Heard> = (0..).zip(codes).map(|(seq, code)| scan(seq, code)).collect();
        let proposal = propose("dc1/A", &all).expect("there is one");
        assert_eq!(decoded(&proposal, &all).len(), codes.len());
        let barcode = proposal.text.contains("[topic.barcode]");
        (
            barcode,
            part(&proposal, "[[topic.emit]]")
                .lines()
                .find_map(|line| line.strip_prefix("subject = ")?.split("    ").next().map(str::to_owned)),
        )
    };
    let of = |codes: &[&str]| subject(codes).1.unwrap_or_default();
    assert_eq!(of(&["00395212345000000125", "00395212345000000132"]), "\"{ai.00}\"");
    assert_eq!(of(&["https://id.gs1.org/01/09521234543213/10/L1"]), "\"{ai.01}\"");
    assert_eq!(of(&["0614141999996", "0614141999989", "0614141999972"]), "\"{ai.01}\"");
    assert!(subject(&["00395212345000000125", "NOREAD"]).0, "what was not read is told apart");
    for other in [
        &["0614141999996"][..],
        &["4006381333931", "4006381333948", "4006381333955"],
        &["10ABC", "21DEF"],
        &["00395212345000000125", "X1"],
        &["00395212345000000126"],
    ] {
        assert!(!subject(other).0, "{other:?}: by chance, or not at all");
    }
}

/// EANs that begin like an AI: nothing is guessed of them, and the section says what to do.
#[test]
fn eans_that_could_be_ais_are_asked_about() {
    let section = |codes: &[&str]| {
        let of = |(seq, code): (u32, &&str)| heard("dc1/A", &json!({"boot": "b1", "seq": seq, "data": code}));
        let all: Vec<Heard> = (0..).zip(codes).map(of).collect();
        let proposal = propose("dc1/A", &all).expect("there is one");
        assert_eq!(decoded(&proposal, &all).len(), codes.len());
        proposal.text
    };
    let text = section(&["4006381333931", "0614141999996", "4006381333955"]);
    let asked: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("# data")).take(2).collect();
    insta::assert_snapshot!(asked.join("\n"), @r"
    # data holds EANs or UPCs by their check digits, and no symbology identifier: 4006381333931 would be read
    # as an AI with a value. Have the scanner send identifiers (]E0), and listen again: docs/gs1.md
    ");
    for codes in [
        &["4006381333931", "4006381333948"][..],
        &["4006381333931", "4006381333948", "4006381333950"],
        &["]E04006381333931", "]E04006381333948", "]E04006381333955"],
        &["0614141999996", "0614141999989", "0614141999972"],
    ] {
        assert!(!section(codes).contains("# data holds"), "{codes:?}: few, a wrong check digit, identified, no AI");
    }
}

/// A boot id of any name, if it does what a boot id does; what only stays may be anything.
#[test]
fn a_boot_id_is_known_by_what_it_does() {
    let of = |all: &[(&str, u32, &str)]| {
        let all: Vec<Heard> = all
            .iter()
            .map(|(up, n, topic)| heard(topic, &json!({"code": "X1", "fw": "1.2", "up": up, "n": n, "station": "A"})))
            .collect();
        let proposal = propose("#", &all).expect("there is one");
        let decoded = decoded(&proposal, &all);
        assert_eq!(decoded.len(), all.len());
        (part(&proposal, "[topic.identity]"), decoded)
    };
    let (text, told) = of(&[("a7", 8, "hall/A"), ("a7", 9, "hall/A"), ("c1", 1, "hall/A"), ("c1", 2, "hall/A")]);
    assert_eq!(text, "boot = \"up\"\nseq = \"n\"\n", "another one where the number goes back");
    assert_eq!(told[2].position, Position::Counted { boot: Some("c1".to_owned()), seq: 1, bits: 64, ring: 1_024 });

    let (text, _) = of(&[("a7", 8, "hall/A"), ("a7", 9, "hall/A"), ("a7", 10, "hall/A")]);
    insta::assert_snapshot!(text, @r#"
    # n counts; is `fw` or `up` the boot id? It stays while n counts. Switch the device off and on
    # while you listen: if it is another one then, and the same until the next time, write instead of what follows:
    #   boot = "fw"
    #   seq = "n"
    content = "code"    # repeats are told apart by time alone
    window = "2s"
    "#);
    let not = |text: &str| text.contains("content = \"code\"") && !text.contains("is `");
    let (text, _) = of(&[("a7", 8, "hall/A"), ("a8", 9, "hall/A"), ("a9", 10, "hall/A")]);
    assert!(text.starts_with("# n counts; is `fw` the boot id?"), "each message has another: {text}");
    let (text, _) = of(&[("a7", 8, "hall/A"), ("c1", 9, "hall/A"), ("c1", 7, "hall/A"), ("c1", 8, "hall/A")]);
    assert!(not(&text), "the number goes back while it stays: {text}");
    let counts = |n: u32| heard("hall/A", &json!({"code": "X1", "n": n}));
    let proposal = propose("#", &[counts(1), counts(2), counts(3)]).expect("there is one");
    let text = part(&proposal, "[topic.identity]");
    assert!(text.starts_with("# n counts, but nothing that could be a boot id stays"), "{text}");
}

#[test]
fn a_time_since_1970_is_known_by_its_size_and_name() {
    let of = |field: &str, values: [u64; 2]| {
        let all = values.map(|value| heard("hall/A", &json!({"code": "X1", field: value})));
        let proposal = propose("#", &all).expect("there is one");
        assert_eq!(decoded(&proposal, &all).len(), 2);
        let fields = part(&proposal, "[topic.field]");
        let line = fields.lines().find(|line| line.starts_with(field)).expect("it has a line").to_owned();
        line.split_once("type = ").expect("it has a type").1.split_once(" }").expect("it ends").0.to_owned()
    };
    assert_eq!(of("ts", [1_767_225_600, 1_767_225_601]), "\"time\", format = \"unix\", required = true");
    assert_eq!(
        of("read_time", [1_767_225_600_000, 1_767_225_601_250]),
        "\"time\", format = \"unix-ms\", required = true"
    );
    assert_eq!(of("ts", [1_767_225_600, 1_767_225_601_250]), "\"u64\", required = true", "neither");
    assert_eq!(of("serial", [1_767_225_600, 1_767_225_601]), "\"u64\", required = true");
    assert_eq!(of("boot_time", [1_767_225_600, 1_767_225_600]), "\"u64\", required = true", "a run's name");
    assert_eq!(of("ts", [12, 13]), "\"u64\", required = true");
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
