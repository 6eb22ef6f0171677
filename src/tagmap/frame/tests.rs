use super::*;
use crate::event::{Position, Value};
use crate::form::Document;
use crate::tagmap::{Binding, Map};

/// A map whose `[frame]` begins with these keys; faults without their places.
fn read(keys: &str, fields: &str) -> Result<Frame, Vec<String>> {
    let text = format!(
        "schema = 1\n[map]\nid = \"s\"\nversion = 1\nprotocol = \"socket\"\n[frame]\n{keys}\n[frame.field]\n{fields}\n\
         [[frame.emit]]\nevent = \"scan.item\"\nfields = [\"code\"]\n[frame.identity]\ncontent = \"code\"\n"
    );
    let document = Document { name: "map.toml".to_owned(), text };
    let binding = Binding::of("s-1");
    match Map::read(&document, &binding) {
        Ok(map) => Ok(map.frame.expect("a map of frames has one")),
        Err(faults) => Err(faults
            .iter()
            .map(|f| f.to_string().splitn(4, ':').nth(3).unwrap_or_default().trim().to_owned())
            .collect()),
    }
}

const CODE: &str = "code = { type = \"string\", required = true }";

#[test]
fn a_frame_is_decoded_like_a_message() {
    let frame = read("framing = \"line\"\npayload = \"text\"\nack = \"\\u0006\"", CODE).expect("the map has no fault");
    assert_eq!((frame.ack(), frame.nak(), frame.silence()), (Some(&[6_u8][..]), None, Duration::from_secs(1)));
    let decoded = frame.decode(b"ABC").expect("a text");
    assert_eq!(decoded.events[0].fields, [("code".to_owned(), Value::Text("ABC".to_owned()))]);
    assert!(matches!(decoded.position, Position::Content { .. }));
    let refused = |bytes: &[u8]| frame.decode(bytes).expect_err("it is refused").reason;
    assert_eq!(refused(b""), "the text is empty");
    assert_eq!(refused(b"AB\xff"), "the text is not UTF-8 at byte 3");
}

/// What the field `code` is in that payload, or why it is nothing.
fn code(keys: &str, field: &str, payload: &[u8]) -> Result<Value, String> {
    let fields = format!("code = {{ {field} }}\nother = {{ type = \"string\" }}");
    let map = read(&format!("framing = \"line\"\n{keys}"), &fields).map_err(|faults| faults.join("\n"))?;
    let mut decoded = map.decode(payload).map_err(|why| why.reason)?;
    Ok(decoded.events.remove(0).fields.remove(0).1)
}

#[test]
fn fields_of_texts_and_bytes_stand_at_their_places() {
    let text = |text: &str| Ok(Value::Text(text.to_owned()));
    let pattern = "payload = \"text\"\npattern = '^(?<code>[A-Z]+)(?:-(?<n>.*))?$'";
    let (plain, bytes) = ("payload = \"text\"", "payload = \"bytes\"");
    for (keys, field, payload, expected) in [
        (pattern, "group = \"code\", type = \"string\"", "ABC-7", text("ABC")),
        (pattern, "type = \"string\"", "ABC-7", text("ABC-7")),
        (pattern, "group = \"code\", type = \"string\"", "7", Err("the text does not match the pattern".to_owned())),
        (pattern, "group = \"n\", type = \"string\", required = true", "ABC", Err("`n` is missing".to_owned())),
        (plain, "chars = [2, 3], type = \"string\"", "äöü", text("öü")),
        (
            plain,
            "chars = [2, 4], type = \"string\", required = true",
            "äöü",
            Err("`characters 2 to 4` is missing".to_owned()),
        ),
        ("payload = \"text\"\ntrim = true", "type = \"string\"", "  A ", text("A")),
        (bytes, "type = \"string\"", "A\u{1}", text("4101")),
        (bytes, "bytes = [2, 2], type = \"string\"", "A\u{1}", text("01")),
    ] {
        assert_eq!(code(keys, field, payload.as_bytes()), expected, "{keys} {field} {payload}");
    }
}

#[test]
fn numbers_in_texts_and_bytes() {
    let read = |keys: &str, field: &str, payload: &[u8]| {
        let fields = format!("code = {{ type = \"string\" }}\nn = {{ {field} }}");
        let keys = format!("framing = \"line\"\n{keys}");
        let text = format!(
            "schema = 1\n[map]\nid = \"s\"\nversion = 1\nprotocol = \"socket\"\n[frame]\n{keys}\n[frame.field]\n{fields}\n\
             [[frame.emit]]\nevent = \"scan.item\"\nfields = [\"n\"]\n[frame.identity]\ncontent = \"code\"\n"
        );
        let document = Document { name: "map.toml".to_owned(), text };
        let binding = Binding::of("s-1");
        let map = Map::read(&document, &binding).expect("the map has no fault");
        let decoded = map.frame.expect("it has a frame").decode(payload);
        decoded.map(|mut d| d.events.remove(0).fields.remove(0).1).map_err(|why| why.reason)
    };
    let (text, bytes) = ("payload = \"text\"", "payload = \"bytes\"");
    assert_eq!(read(text, "chars = [1, 3], type = \"u64\"", b"017kg"), Ok(Value::Int(17)));
    assert_eq!(read(text, "chars = [1, 6], type = \"decimal\"", b"+03.40kg"), Ok(Value::Text("3.4".to_owned())));
    assert_eq!(read(bytes, "bytes = [1, 2], type = \"u64\"", b"\x01\x02\x03"), Ok(Value::Int(258)));
    assert_eq!(
        read(bytes, "bytes = [1, 2], type = \"decimal\", scale = 0.01", b"\x01\x02"),
        Ok(Value::Text("2.58".to_owned()))
    );
    assert_eq!(
        read(text, "chars = [1, 3], type = \"u64\"", b"kg017"),
        Err("`characters 1 to 3` is the text \"kg0\", expected a whole number, not negative".to_owned())
    );
}

#[test]
fn what_is_wrong_with_a_frame_is_told() {
    let told = |keys: &str| read(keys, CODE).err().unwrap_or_default();
    let text = "payload = \"text\"";
    for (keys, expected) in [
        (
            "framing = { start = \"\\u0002\" }",
            "frame.framing: says not how a frame ends (\"line\", { start = …, end = … }, { end = … } or { length = … })",
        ),
        (
            "framing = { start = \"|\", end = \"|\" }",
            "frame.framing: begins as it ends: after a lost byte nobody could tell which is which (take \"line\")",
        ),
        ("framing = \"lines\"", "frame.framing: \"lines\" is not known here (did you mean `line`? One of \"line\")"),
        (
            "framing = { length = 20 }\nmax_bytes = \"10 B\"",
            "frame.max_bytes: is less than the length of a frame (write at least framing.length)",
        ),
        (
            "framing = \"line\"\nnak = \"\\u0015\"",
            "frame.nak: stands without ack (a device that is refused frames is also told which are safe)",
        ),
        ("framing = \"line\"\nack = \"\"", "frame.ack: has 0 bytes (write 1 to 16, control characters as \"\\u0006\")"),
        (
            "framing = \"line\"\nsilence = \"0s\"",
            "frame.silence: is too short or too long (write at least \"10ms\" and at most \"1m\")",
        ),
        (
            "framing = \"line\"\npattern = '(?<code'",
            "frame.pattern: is no pattern: unclosed capture group name (write '^(?<code>[0-9]+)$' and the like, in single \
             quotes)",
        ),
    ] {
        assert_eq!(told(&format!("{keys}\n{text}")), [expected], "{keys}");
    }
    let told = |keys: &str, field: &str| {
        read(&format!("framing = \"line\"\n{keys}"), &format!("{CODE}\nx = {{ {field}, type = \"string\" }}"))
    };
    for (keys, field, expected) in [
        (
            text,
            "group = \"x\"",
            "frame.field.x.group: the pattern has no group `x` (give the pattern named groups: (?<code>…))",
        ),
        (
            text,
            "chars = [3, 2]",
            "frame.field.x.chars: is no range (write the first and the last, counted from 1: [1, 8])",
        ),
        (
            text,
            "path = \"$.x\"",
            "frame.field.x.path: unknown key (known here: `chars`, `check`, `format`, `from`, `group`, `required`, `type`)",
        ),
    ] {
        assert_eq!(told(keys, field).err().unwrap_or_default(), [expected], "{field}");
    }
}
