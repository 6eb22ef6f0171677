//! `[[test]]`: what a map's author says must come, in the map itself.

use serde_json::{Map as Object, Value as Json, json};
use toml::de::DeValue;

use super::cells::{self, Cells};
use super::compared::{asked, at, part, told};
use super::{Wrong, binding, decoded};
use crate::form::{Document, Duration, Fault, FromValue, Kind, Table};
use crate::tagmap::fifo::crc_of;
use crate::tagmap::{Map, expects_text_or_number};

/// One `[[test]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// For people.
    pub name: String,
    /// What is sent, as [`super::run`] takes it.
    sample: Json,
    /// What it puts into tables.
    cells: Vec<Cells>,
    /// Events, in order; each with no more than the map's author cares for. `None`: does not matter.
    expect: Option<Vec<Json>>,
    /// Alarms that stand at the end. `None`: does not matter.
    alarms: Option<Vec<String>>,
    /// The request of a write. `None`: does not matter.
    write: Option<Json>,
}

/// What came of a [`Test`]: it has passed if both are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was asked for.
    pub expected: Json,
    /// What came of that.
    pub came: Json,
    /// See [`super::Came::doubts`].
    pub doubts: Vec<String>,
}

/// All `[[test]]`s of a map.
pub(in crate::tagmap) fn read(root: &Table<'_>) -> Vec<Test> {
    root.tables("test").iter().filter_map(test).collect()
}

impl Test {
    /// The tests of a map; its other sections are not looked at.
    ///
    /// # Errors
    /// Faults of the tests, or of the file's form.
    pub fn all(document: &Document) -> Result<Vec<Self>, Vec<Fault>> {
        document.read(|root| {
            root.quiet(); // the others are for Map::read
            Some(read(root))
        })
    }

    /// Names of the tests, as far as they have one: also where the file has faults, but is TOML.
    pub fn names(document: &Document) -> Vec<String> {
        let mut names = Vec::new();
        // What is wrong with the tests is told by `all`.
        drop(document.read(|root| {
            root.quiet();
            for (place, test) in (1..).zip(root.tables("test")) {
                test.quiet();
                let name = test.entry("name").and_then(|entry| entry.value().as_str().map(str::to_owned));
                names.push(name.unwrap_or_else(|| format!("test[{place}]")));
            }
            Some(())
        }));
        names
    }

    /// Runs it with the map.
    ///
    /// # Errors
    /// Faults of the map or of what the test puts into tables, or why the test can't be run.
    pub fn run(&self, document: &Document) -> Result<Outcome, Wrong> {
        let map = Map::read(document, &binding(&self.sample)).map_err(Wrong::Map)?;
        let faults: Vec<Fault> = self.cells.iter().filter_map(|cells| cells.fault(&map)).collect();
        if !faults.is_empty() {
            return Err(Wrong::Map(faults));
        }
        let came = decoded(&map, &self.sample).map_err(Wrong::Sample)?;
        let (mut expected, mut got) = (Object::new(), Object::new());
        if let Some(events) = &self.expect {
            expected.insert("expect".to_owned(), json!(events));
            got.insert("expect".to_owned(), asked(events, &told(&came.told)).into());
        }
        if let Some(alarms) = &self.alarms {
            expected.insert("expect_alarm".to_owned(), json!(alarms));
            got.insert("expect_alarm".to_owned(), json!(came.alarms));
        }
        if let Some(write) = &self.write {
            expected.insert("expect_write".to_owned(), numbered_alike(write, &came.told, &map));
            got.insert("expect_write".to_owned(), part(write, &came.told));
        }
        Ok(Outcome { expected: expected.into(), came: got.into(), doubts: came.doubts })
    }
}

/// What is expected, with the address as it came where both are one: 40130 and 400130.
fn numbered_alike(expected: &Json, came: &Json, map: &Map) -> Json {
    let mut expected = expected.clone();
    let place = |of: &Json| map.addresses?.resolve(of["at"].as_i64()?);
    if place(&expected).is_some_and(|at| Some(at) == place(came)) {
        expected["at"] = came["at"].clone();
    }
    expected
}

fn test(table: &Table<'_>) -> Option<Test> {
    let name: Option<String> = table.required("name");
    let mut sample = Object::new();
    sample.insert("device".to_owned(), json!(table.or("device", "device".to_owned())));
    let mut params = Object::new();
    for entry in table.table("params").iter().flat_map(Table::all) {
        expects_text_or_number(&entry);
        params.insert(entry.key().to_owned(), json_of(entry.value()));
    }
    sample.insert("params".to_owned(), params.into());
    sample.insert("accept_epoch_risk".to_owned(), json!(table.or("accept_epoch_risk", false)));
    let mut cells = Vec::new();
    let given = table.required_table("given").and_then(|given| self::given(&given, &mut cells));
    let later: Vec<Option<Json>> = table.tables("when").iter().map(|table| step(table, &mut cells)).collect();
    if !later.is_empty() && given.as_ref().is_some_and(|(is_tags, _)| !is_tags) {
        table.refuse_key("when", "is for tables of tags", "remove it, or give coil, discrete, input or holding");
    }
    let expect: Vec<Option<Json>> = table.tables("expect").iter().map(event).collect();
    let says_events = table.entry("expect").is_some();
    let alarms: Option<Vec<String>> = table.optional("expect_alarm");
    let write = table.table("expect_write").map(|write| self::write(&write));
    if !says_events && alarms.is_none() && write.is_none() {
        table.refuse("expects nothing", "add expect = [{ event = \"…\" }], expect_alarm or expect_write");
    }
    let (is_tags, given) = given?;
    if is_tags {
        let mut steps = vec![Json::Object(given)];
        steps.extend(later.into_iter().collect::<Option<Vec<_>>>()?);
        sample.insert("steps".to_owned(), steps.into());
    } else {
        sample.extend(given);
    }
    let expect = expect.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Test { name: name?, sample: sample.into(), cells, expect: says_events.then_some(expect), alarms, write })
}

/// What can be sent, what it needs beside it, and what it may have.
const WAYS: [(&str, &[&str], &[&str]); 4] = [
    ("topic", &["payload"], &[]),
    ("stream", &[], &[]),
    ("fifo", &["seq", "words"], &["epoch"]),
    ("write", &["value"], &[]),
];

/// What is sent; `true`: what is in the tables at first.
fn given(table: &Table<'_>, cells: &mut Vec<Cells>) -> Option<(bool, Object<String, Json>)> {
    let mut sent = Object::new();
    for (key, ..) in WAYS {
        sent.extend(table.optional::<String>(key).map(|text| (key.to_owned(), json!(text))));
    }
    for key in ["payload", "value"] {
        sent.extend(table.entry(key).map(|entry| {
            entry.expects(|| Kind::Any);
            (key.to_owned(), json_of(entry.value()))
        }));
    }
    for key in ["epoch", "seq"] {
        sent.extend(table.optional::<u32>(key).map(|number| (key.to_owned(), json!(number))));
    }
    sent.extend(table.optional::<Slot>("words").map(|Slot(words)| ("words".to_owned(), json!(words))));
    let tables = cells::read(table, cells);
    let ways = WAYS.iter().filter(|(way, ..)| table.entry(way).is_some()).count();
    if ways + usize::from(!tables.is_empty()) != 1 {
        let help = "one of topic with payload, stream, fifo with seq and words, write with value, or tables: \
                    holding = { 21 = [5] }";
        table.refuse("says not one thing that is sent", help);
        return None;
    }
    for (way, needed, also) in WAYS {
        let is_sent = table.entry(way).is_some();
        for key in needed.iter().filter(|key| is_sent && table.entry(key).is_none()) {
            table.refuse_key(key, "is missing", &format!("`{way}` is sent with {}", needed.join(" and ")));
        }
        for key in needed.iter().chain(also).filter(|key| !is_sent && table.entry(key).is_some()) {
            table.refuse_key(key, &format!("belongs to `{way}`, and nothing reads it here"), "remove it");
        }
    }
    if tables.is_empty() {
        return Some((false, sent));
    }
    let mut first = tables;
    first.insert("ms".to_owned(), json!(0));
    Some((true, first))
}

/// The registers of a slot: numbers, `"text:…"` with two characters a register, and `"crc"` of all before it.
struct Slot(Vec<u16>);

impl FromValue for Slot {
    const EXPECTED: &'static str = "a list of numbers from 0 to 65535, \"text:…\" and \"crc\"";
    fn kind() -> Kind {
        Kind::List(Box::new(Kind::Any))
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let mut words: Vec<u16> = Vec::new();
        for value in value.as_array()?.iter().map(toml::Spanned::get_ref) {
            match value.as_str() {
                Some("crc") => words.push(crc_of(&words)),
                Some(text) => words.extend(
                    text.strip_prefix("text:")?
                        .as_bytes()
                        .chunks(2)
                        .map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()])),
                ),
                None => words.push(u16::from_value(value)?),
            }
        }
        Some(Self(words))
    }
}

/// What is in the tables from then on.
fn step(table: &Table<'_>, cells: &mut Vec<Cells>) -> Option<Json> {
    let at: Option<Duration> = table.required("at");
    let mut step = cells::read(table, cells);
    if table.or("restart", false) {
        step.insert("restart".to_owned(), json!(true));
    }
    step.insert("ms".to_owned(), json!(millis(at?)));
    Some(step.into())
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX)
}

/// `{ event = "lane.full", subject = "lane-7", at = "3s", fields = { lane = "7" } }`, or `{ undecodable = "words" }`.
fn event(table: &Table<'_>) -> Option<Json> {
    let mut event = Object::new();
    for key in ["event", "subject", "device", "epoch", "message", "undecodable", "junk", "why"] {
        event.extend(table.optional::<String>(key).map(|text| (key.to_owned(), json!(text))));
    }
    event.extend(table.optional::<u32>("seq").map(|seq| ("seq".to_owned(), json!(seq))));
    event.extend(table.optional::<Duration>("at").map(|time| ("at".to_owned(), json!(at(millis(time))))));
    let fields = table.entry("fields").and_then(|entry| entry.table().map(|fields| (entry, fields)));
    if let Some((entry, fields)) = fields {
        fields.all().iter().for_each(|field| field.expects(|| Kind::Any));
        event.insert("fields".to_owned(), json_of(entry.value()));
    }
    let kinds = ["event", "undecodable", "junk"].iter().filter(|key| event.contains_key(**key)).count();
    if kinds != 1 {
        table.refuse("names no event", "write event = \"…\", or undecodable or junk with words of the reason");
        return None;
    }
    Some(event.into())
}

/// `{ function = 6, at = 40102, words = [7] }`, or `{ refused = "words" }`.
fn write(table: &Table<'_>) -> Json {
    let mut write = Object::new();
    for key in ["area", "refused"] {
        write.extend(table.optional::<String>(key).map(|text| (key.to_owned(), json!(text))));
    }
    for key in ["function", "at"] {
        write.extend(table.optional::<u32>(key).map(|number| (key.to_owned(), json!(number))));
    }
    for key in ["words", "coils"] {
        write.extend(table.optional::<Vec<u16>>(key).map(|words| (key.to_owned(), json!(words))));
    }
    write.into()
}

/// A TOML value as JSON; a number as it is written.
fn json_of(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(_) => json!(i64::from_value(value)),
        DeValue::Float(number) => serde_json::from_str(number.as_str()).unwrap_or_else(|_| json!(number.as_str())),
        DeValue::Boolean(is) => json!(is),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(list) => list.iter().map(|value| json_of(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
            pairs.collect::<Object<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = r#"
schema = 1
[map]
id = "gate"
version = 1
protocol = "modbus"
addresses = "modicon"
[poll.fast]
every = "100ms"
[[tag]]
name = "speed"
at = 40001
type = "u16"
poll = "fast"
[[alarm]]
name = "too_fast"
when = "speed > 10"
severity = "low"
[[write]]
name = "limit"
at = 40102
type = "u16"
range = [0, 10]
allow = ["role:supervisor"]
"#;

    /// The faults of a map with that test, or what it was to bring and what came.
    fn outcome(test: &str) -> String {
        let text = format!("{MAP}[[test]]\nname = \"t\"\n{test}\n");
        let document = Document { name: "map.toml".to_owned(), text };
        let told = |faults: &[Fault]| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        match Test::all(&document) {
            Err(faults) => told(&faults),
            Ok(tests) => match tests[0].run(&document) {
                Err(wrong) => wrong.to_string(),
                Ok(Outcome { expected, came, .. }) if expected == came => "passed".to_owned(),
                Ok(Outcome { expected, came, .. }) => format!("expected {expected}, came {came}"),
            },
        }
    }

    #[test]
    fn alarms_that_stand_and_events_are_compared_as_far_as_they_are_asked_for() {
        let given = "given = { holding = { 40001 = [5] } }\nwhen = [{ at = \"1s\", holding = { 40001 = [11] } }]\n";
        let check = |expect: &str| outcome(&format!("{given}{expect}"));
        assert_eq!(
            check("expect = [{ event = \"alarm.raised\", at = \"1s\" }]\nexpect_alarm = [\"too_fast\"]"),
            "passed"
        );
        assert_eq!(check("expect_alarm = []"), r#"expected {"expect_alarm":[]}, came {"expect_alarm":["too_fast"]}"#);
        assert_eq!(
            check("expect = [{ event = \"alarm.raised\", fields = { severity = \"high\" } }]"),
            r#"expected {"expect":[{"event":"alarm.raised","fields":{"severity":"high"}}]}, came {"expect":[{"event":"alarm.raised","fields":{"severity":"low"}}]}"#
        );
        let none = check("expect = []");
        assert!(
            none.contains(r#""event":"alarm.raised""#) && none.contains(r#""at":"1000ms""#),
            "what comes too much is shown whole: {none}"
        );
    }

    #[test]
    fn a_write_is_a_request_or_refused() {
        let check = |value: u16, expect: &str| {
            outcome(&format!("given = {{ write = \"limit\", value = {value} }}\nexpect_write = {{ {expect} }}"))
        };
        assert_eq!(check(7, "function = 6, at = 40102, words = [7]"), "passed");
        assert_eq!(
            check(7, "at = 40103"),
            r#"expected {"expect_write":{"at":40103}}, came {"expect_write":{"at":40102}}"#
        );
        assert_eq!(check(11, "refused = \"11\""), "passed");
        assert_eq!(check(7, "at = 400102"), "passed", "the same register");
    }

    #[test]
    fn a_topic_that_is_none_of_the_maps_is_told_what_there_is() {
        let map = include_str!("../../../devices/acme-hand-scanner/map.toml");
        let map = map.split("[[test]]").next().unwrap_or_default();
        let told = |topic: &str| {
            let test = format!(
                "[[test]]\nname = \"t\"\nparams = {{ topic_root = \"dc1/scan\" }}\ngiven = {{ topic = \"{topic}\", payload = \"x\" }}\nexpect = []\n"
            );
            let document = Document { name: "map.toml".to_owned(), text: format!("{map}{test}") };
            let tests = Test::all(&document).expect("the test has no fault of its own");
            tests[0].run(&document).err().map(|wrong| wrong.to_string()).unwrap_or_default()
        };
        insta::assert_snapshot!(told("dc1/scanner/A1/"), @"no [[topic]] matches dc1/scanner/A1/: there is dc1/scan/+/read; a `/` at the end is a level more");
        insta::assert_snapshot!(told("elsewhere"), @"no [[topic]] matches elsewhere: there is dc1/scan/+/read");
    }

    #[test]
    fn a_test_that_can_not_be_run_says_why() {
        assert_eq!(outcome("given = { fifo = \"x\", seq = 1, words = [] }\nexpect = []"), "there is no FIFO \"x\"");
        assert_eq!(
            outcome("given = { holding = { 50001 = [1] } }\nexpect = []"),
            "map.toml:27:31: test[1].given.holding.50001: 50001 is no address (addresses = \"modicon\": coils from 1, inputs \
             from 10001, input registers from 30001, holding registers from 40001; of six digits from 100001, 300001, 400001)"
        );
        assert_eq!(
            outcome("given = { holding = { 40001 = [70000] } }\nexpect = [{ evnt = \"x\" }]").lines().count(),
            3,
            "each fault is told"
        );
        assert_eq!(
            outcome("given = { holding = { 40001 = [1] }, seq = 1, payload = \"x\" }\nexpect = []"),
            "map.toml:27:44: test[1].given.seq: belongs to `fifo`, and nothing reads it here (remove it)\n\
             map.toml:27:57: test[1].given.payload: belongs to `topic`, and nothing reads it here (remove it)"
        );
        assert_eq!(
            outcome("given = { topic = \"t\" }\nexpect = []"),
            "map.toml:27:9: test[1].given.payload: is missing (`topic` is sent with payload)"
        );
        assert!(
            outcome("params = { lane = 1 }\ngiven = { holding = { 40001 = [1] } }\nexpect = []")
                .contains("no parameter of this map")
        );
    }
}
