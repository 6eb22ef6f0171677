use super::*;

const MAP: &str = r#"
schema = 1
[map]
id = "dock"
version = 1
protocol = "mqtt"
[[topic]]
filter = "dock/said"
payload = "json"
[topic.field]
id = { path = "$.id", type = "string", required = true }
shipment = { path = "$.shipment", type = "string" }
asn = { path = "$.asn", type = "string" }
cartons = { path = "$.cartons", type = "list" }
[topic.field.lines]
path = "$.lines"
type = "list"
member.line = { path = "$.line", type = "u64" }
member.item = { path = "$.item", type = "string", required = true }
member.qty = { path = "$.n", type = "decimal", scale = 0.001 }
[[topic.emit]]
when = { field = "asn" }
event = "ReceiptCounted"
fields = ["asn", "lines"]
[[topic.emit]]
event = "PackingCompleted"
fields = ["shipment", "cartons"]
[topic.identity]
message_id = "id"
"#;

fn read(text: &str) -> Result<Map, Vec<String>> {
    let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
    Map::read(&document, &Binding::of("dock")).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn said(payload: &str) -> Result<String, String> {
    let topic = read(MAP).expect("the map has no fault").topics.remove(0);
    let decoded = guarded(|| topic.decode("dock/said", payload.as_bytes())).map_err(|refused| refused.reason)?;
    let fields = decoded.events.into_iter().flat_map(|event| event.fields);
    let shown = fields.map(|(name, value)| format!("{name}={}", serde_json::to_value(value).expect("JSON")));
    Ok(shown.collect::<Vec<_>>().join(" "))
}

#[test]
fn lists_travel_whole_with_their_members_in_the_contract_s_forms() {
    assert_eq!(
        said(r#"{"id":"1","shipment":"SH-1","cartons":["340123450000000017","340123450000000024"]}"#),
        Ok(r#"shipment="SH-1" cartons=["340123450000000017","340123450000000024"]"#.to_owned())
    );
    assert_eq!(
        said(r#"{"id":"2","asn":"A-9","lines":[{"line":1,"item":"A-100","n":96000,"colour":"red"},{"item":"B-7"}]}"#),
        Ok(r#"asn="A-9" lines=[{"line":1,"item":"A-100","qty":"96"},{"item":"B-7"}]"#.to_owned())
    );
    assert_eq!(said(r#"{"id":"3","shipment":"SH-1","cartons":[]}"#), Ok(r#"shipment="SH-1" cartons=[]"#.to_owned()));
}

#[test]
fn what_is_wrong_in_a_list_is_told_with_its_place() {
    for (payload, expected) in [
        (r#""shipment":"S","cartons":"3401""#, "`$.cartons` is the text \"3401\", expected a list"),
        (r#""shipment":"S","cartons":["a",7]"#, "`$.cartons` 2: is the number 7, expected a text"),
        (r#""asn":"A","lines":["x"]"#, "`$.lines` 1: is the text \"x\", expected an object"),
        (r#""asn":"A","lines":[{"item":"x","n":"x"}]"#, "`$.lines` 1: `$.n` is the text \"x\", expected a number"),
        (r#""asn":"A","lines":[{"item":"x"},{"n":1}]"#, "`$.lines` 2: `$.item` is missing"),
        (
            r#""asn":"A","lines":[{"item":"x","n":-1}]"#,
            "`lines 1: qty` is \"-0.001\", expected no less than nothing: only Adjusted has a sign",
        ),
        (r#""asn":"A""#, "ReceiptCounted lacks `item` or `lines`"),
    ] {
        assert_eq!(said(&format!("{{\"id\":\"1\",{payload}}}")), Err(expected.to_owned()), "{payload}");
    }
    let many = format!(r#"{{"id":"1","shipment":"S","cartons":[{}""]}}"#, r#""","#.repeat(1_000));
    assert_eq!(said(&many), Err("`$.cartons` is a list of 1001, at most 1000".to_owned()));
}

#[test]
fn a_list_is_no_text_and_no_name() {
    let faults = |from: &str, to: &str| {
        assert!(MAP.contains(from), "{from}");
        let faults = read(&MAP.replacen(from, to, 1)).err().unwrap_or_default();
        faults.iter().map(|f| f.splitn(4, ':').nth(3).unwrap_or(f).trim().to_owned()).collect::<Vec<_>>()
    };
    for (from, to, expected) in [
        (
            "event = \"PackingCompleted\"",
            "event = \"scan.pack\"\nsubject = \"{cartons}\"",
            "topic[1].emit[2].subject: names `cartons`, which is a list (known here: `id`, `shipment`, `asn`, `cartons`, `lines`)",
        ),
        (
            "message_id = \"id\"",
            "message_id = \"cartons\"",
            "topic[1].identity.message_id: `cartons` can't be that (a field of type \"string\" or \"u64\")",
        ),
        (
            "\"$.line\", type = \"u64\"",
            "\"$.line\", type = \"list\"",
            "topic[1].field.lines.member.line.type: \"list\" is not known here (one of \"string\", \"u64\", \"integer\", \"decimal\", \"f64\", \"bool\", \"time\")",
        ),
        (
            "when = { field = \"asn\" }",
            "when = { field = \"lines\", equals = \"x\" }",
            "topic[1].emit[1].when: can never hold for `lines`: it has another type (correct either)",
        ),
    ] {
        assert_eq!(faults(from, to), [expected], "{from} -> {to}");
    }
    let bytes = faults("payload = \"json\"", "payload = \"bytes\"");
    let told =
        "topic[1].field.cartons.type: \"list\" is for payload = \"json\" (name a field for each value of the text)";
    assert!(bytes.iter().any(|fault| fault == told), "{bytes:?}");
}
