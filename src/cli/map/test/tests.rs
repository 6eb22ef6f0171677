use super::*;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("devices")
}

#[test]
fn every_shipped_map_passes_its_tests() {
    let tested = all(&maps(&shipped()).expect("there are maps"), false);
    assert!(tested.failed == 0 && tested.maps.iter().all(|map| map.faults.is_empty()), "\n{}", shown(&tested, false));
    assert!(tested.passed >= 60, "only {} were found", tested.passed);
    let bare: Vec<&str> = tested.maps.iter().filter(|m| m.cases.is_empty()).map(|m| m.file.as_str()).collect();
    assert_eq!(bare, [""; 0], "each map has tests");
}

/// A device's folder with the serial scanner's map and these lines behind it.
fn folder(more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temp folder can be made");
    let map = std::fs::read_to_string(shipped().join("acme-serial-scanner/map.toml")).expect("the map is there");
    let own = map.split("[[test]]").next().unwrap_or_default();
    std::fs::write(dir.path().join("map.toml"), format!("{own}{more}")).expect("a file can be written");
    dir
}

fn text(dir: &tempfile::TempDir, accept: bool) -> String {
    let tested = tested(dir, accept);
    shown(&tested, false).replace(&format!("{}/", dir.path().display()), "")
}

fn tested(dir: &tempfile::TempDir, accept: bool) -> Tested {
    all(&maps(dir.path()).expect("there is a map"), accept)
}

#[test]
fn scripts_are_told_by_code_and_object() {
    let test = |kind: &str| {
        format!("[[test]]\nname = \"t\"\ngiven = {{ stream = \"A\\r\" }}\nexpect = [{{ event = \"{kind}\" }}]\n")
    };
    for (more, expected) in [
        (test("scan.item"), Exit::Clean.into()),
        (test("scan.carton"), ExitCode::FAILURE),
        ("what = 1\n".to_owned(), Exit::Config.into()),
    ] {
        assert_eq!(exit(&tested(&folder(&more), false)), expected, "{more}");
    }
    let failed = tested(&folder(&test("scan.carton")), false);
    let json = serde_json::to_value(&failed).expect("texts and numbers make JSON");
    assert_eq!((&json["failed"], &json["maps"][0]["cases"][0]["name"]), (&1.into(), &"t".into()));
    let lines = json["maps"][0]["cases"][0]["difference"].as_array().expect("a list of lines");
    let line = serde_json::json!({ "line": "came", "text": "      \"event\": \"scan.item\"" });
    assert!(lines.contains(&line), "{json:#}");
}

#[test]
fn a_difference_is_told_line_by_line() {
    let dir = folder(
        "[[test]]\nname = \"an item\"\ngiven = { stream = \"ABC-12\\r\" }\nexpect = [{ event = \"scan.carton\", subject = \"ABC-12\" }]\n",
    );
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 0 passed, 1 failed
      FAILED an item
          {
            "expect": [
              {
        -       "event": "scan.carton",
        +       "event": "scan.item",
                "subject": "ABC-12"
              }
            ]
          …
    1 map: 0 passed, 1 failed
    "#);
}

#[test]
fn what_came_can_be_accepted() {
    let dir = folder("");
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: no tests: add [[test]] to the map, or samples/ beside it
    1 map: nothing to run
    "#);
    std::fs::create_dir(dir.path().join("samples")).expect("a folder can be made");
    let sample = "{\"device\": \"s-1\", \"stream\": \"ABC-12\\r\"}";
    std::fs::write(dir.path().join("samples/item.json"), sample).expect("a file can be written");
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 0 passed, 1 failed
      FAILED item.json: expected/item.json is not there: look at what comes and write it with --accept
    1 map: 0 passed, 1 failed
    "#);
    assert!(text(&dir, true).contains("accepted item.json"), "{}", text(&dir, true));
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 1 passed
    1 map: 1 passed, 0 failed
    "#);
}

/// The map of docs/tutorial.md with its tests, as they stand there.
#[test]
fn the_tutorial_leads_to_a_proven_map() {
    let tutorial = include_str!("../../../../docs/tutorial.md");
    let blocks: Vec<&str> = tutorial.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let map = blocks.iter().find(|block| block.starts_with("#:schema")).expect("the tutorial has the map");
    let tests = blocks.iter().find(|block| block.starts_with("[[test]]")).expect("the tutorial has its tests");
    let dir = tempfile::tempdir().expect("a temp folder can be made");
    std::fs::write(dir.path().join("map.toml"), format!("{map}\n{tests}")).expect("a file can be written");
    assert_eq!(text(&dir, false), "map.toml: 2 passed\n1 map: 2 passed, 0 failed\n");
}

#[test]
fn a_faulty_map_and_a_faulty_test_are_told_with_their_places() {
    let dir = folder("[[test]]\nname = \"x\"\ngiven = { stream = \"A\", topic = \"t\" }\nexpct = []\n");
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 3 faults, 1 not run
      map.toml:41:1: test[1]: expects nothing (add expect = [{ event = "…" }], expect_alarm or expect_write)
      map.toml:43:9: test[1].given: says not one thing that is sent (one of topic with payload, stream, fifo with seq and words, write with value, or tables: holding = { 21 = [5] })
      map.toml:44:1: test[1].expct: unknown key (did you mean `expect`?)
    1 map: 1 not run; faults in 1 map
    "#);
}

/// A device's folder with a scale whose label stands beside the weight, and these tests.
fn scale(tests: &str) -> tempfile::TempDir {
    let map = r#"schema = 1
[map]
id = "scale"
version = 1
protocol = "modbus"
addresses = "one"
[poll.fast]
every = "100ms"
[[tag]]
name = "weight"
area = "input"
at = 12
type = "u16"
poll = "fast"
valid = { max = 60 }
[[tag]]
name = "label"
area = "input"
at = 14
type = "u16"
poll = "fast"
valid = { invalid = [9999] }
[[event]]
name = "weight.measured"
on = { rising = "weight > 5" }
subject = "{label}"
"#;
    let dir = tempfile::tempdir().expect("a temp folder can be made");
    std::fs::write(dir.path().join("map.toml"), format!("{map}{tests}")).expect("a file can be written");
    dir
}

#[test]
fn numbers_that_no_tag_reads_are_faults_and_the_other_tests_run() {
    let dir = scale(
        "[[test]]\nname = \"wrong table\"\ngiven = { holding = { 12 = [5] } }\nexpect = []\n\
         [[test]]\nname = \"off by one\"\ngiven = { input = { 12 = [5] } }\nwhen = [{ at = \"1s\", input = { 11 = [0] } }]\nexpect = []\n\
         [[test]]\nname = \"one too many\"\ngiven = { input = { 12 = [5, 0, 7, 8], 70000 = [1] } }\nexpect = []\n\
         [[test]]\nname = \"a 0 between two\"\ngiven = { input = { 12 = [5, 0, 7] } }\nexpect = []\n\
         [[test]]\nname = \"nothing there\"\ngiven = { coil = { 1 = [1] } }\nexpect = []\n",
    );
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 5 faults, 1 passed, 4 not run
      map.toml:29:28: test[1].given.holding.12: no tag reads holding register 12 (input register 12 is read by `weight`)
      map.toml:34:37: test[2].when[1].input.11: no tag reads input register 11 (the nearest tag there is `weight`, input register 12)
      map.toml:38:26: test[3].given.input.12: no tag reads input register 15 (the nearest tag there is `label`, input register 14)
      map.toml:38:48: test[3].given.input.70000: 70000 is no address (addresses = "one": 1 to 65536)
      map.toml:46:24: test[5].given.coil.1: no tag reads coil 1 (the map has no tag in the table "coil")
      NOT RUN wrong table: faults are in its way
      NOT RUN off by one: faults are in its way
      NOT RUN one too many: faults are in its way
      NOT RUN nothing there: faults are in its way
    1 map: 1 passed, 0 failed, 4 not run; faults in 1 map
    "#);
    let json = serde_json::to_value(tested(&dir, false)).expect("texts and numbers make JSON");
    assert_eq!([&json["passed"], &json["failed"], &json["not_run"]], [1, 0, 4]);
}

#[test]
fn what_was_not_good_is_told_where_a_test_fails() {
    let dir = scale(
        "[[test]]\nname = \"no label\"\ngiven = { input = { 12 = [5], 14 = [9999] } }\nwhen = [{ at = \"1s\", input = { 12 = [7] } }]\nexpect = [{ event = \"weight.measured\" }]\n\
         [[test]]\nname = \"too heavy\"\ngiven = { input = { 12 = [61], 14 = [1] } }\nexpect = [{ event = \"weight.measured\" }]\n\
         [[test]]\nname = \"as it should be\"\ngiven = { input = { 14 = [9999] } }\nexpect = []\n",
    );
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 1 passed, 2 failed
      FAILED no label
          {
            "expect": [
              {
        -       "event": "weight.measured"
        +       "undecodable": "weight.measured is not told: the subject needs label (bad: is 9999, which the map calls invalid)",
        +       "at": "1000ms"
              }
            ]
          }
        label was bad at 0ms: is 9999, which the map calls invalid
      FAILED too heavy
          {
        -   "expect": [
        -     {
        -       "event": "weight.measured"
        -     }
        -   ]
        +   "expect": []
          }
        weight was bad at 0ms: is 61, above 60
    1 map: 1 passed, 2 failed
    "#);
}

#[test]
fn all_faults_of_a_map_and_its_tests_are_told_at_once() {
    let dir = folder(
        "[[test]]\nname = \"x\"\ngiven = { stream = \"A\", topic = \"t\" }\nexpct = []\n\
         [[test]]\nname = \"y\"\ngiven = { stream = \"A\\r\" }\nwhen = [{ at = \"soon\" }]\nexpect = []\n\
         [[test]]\nname = \"z\"\ngiven = { stream = \"A\\r\" }\nexpect = [{ evnt = \"x\" }]\n",
    );
    let map = std::fs::read_to_string(dir.path().join("map.toml")).expect("it was written");
    let map = map.replace("schema = 1", "schema = 2");
    std::fs::write(dir.path().join("map.toml"), map).expect("a file can be written");
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 8 faults, 3 not run
      map.toml:2:10: schema: is of a later floorgate (write schema = 1)
      map.toml:41:1: test[1]: expects nothing (add expect = [{ event = "…" }], expect_alarm or expect_write)
      map.toml:43:9: test[1].given: says not one thing that is sent (one of topic with payload, stream, fifo with seq and words, write with value, or tables: holding = { 21 = [5] })
      map.toml:44:1: test[1].expct: unknown key (did you mean `expect`?)
      map.toml:48:8: test[2].when: is for tables of tags (remove it, or give coil, discrete, input or holding)
      map.toml:48:16: test[2].when[1].at: is the text "soon" (write a duration with its unit, such as "500ms", "20s", "5m", "24h" or "30d")
      map.toml:53:11: test[3].expect[1]: names no event (write event = "…", or undecodable or junk with words of the reason)
      map.toml:53:13: test[3].expect[1].evnt: unknown key (did you mean `event`?)
    1 map: 3 not run; faults in 1 map
    "#);
}

#[test]
fn tables_are_nothing_for_a_map_of_messages() {
    let dir = folder("[[test]]\nname = \"x\"\ngiven = { holding = { 1 = [1] } }\nexpect = []\n");
    insta::assert_snapshot!(text(&dir, false), @r#"
    map.toml: 1 fault, 1 not run
      map.toml:43:27: test[1].given.holding.1: a map of messages has no tables (give what its device sends: topic with payload, or stream)
    1 map: 1 not run; faults in 1 map
    "#);
}

/// The maps of docs/tag-maps.md, as they stand there.
#[test]
fn the_references_maps_prove_themselves() {
    proves_itself("A scale in another register");
    proves_itself("A change that is one of several events");
}

fn proves_itself(section: &str) {
    let reference = include_str!("../../../../docs/tag-maps.md");
    let section = reference.split(&format!("### {section}")).nth(1).expect("the reference has the section");
    let map = section.split("```").nth(1).and_then(|block| block.strip_prefix("toml")).expect("it begins with the map");
    let head = "schema = 1\n[map]\nid = \"meter\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"modicon\"\n\
                [poll.slow]\nevery = \"1s\"\n[defaults]\npoll = \"slow\"";
    let dir = tempfile::tempdir().expect("a temp folder can be made");
    std::fs::write(dir.path().join("map.toml"), format!("{head}{map}")).expect("a file can be written");
    assert_eq!(text(&dir, false), "map.toml: 1 passed\n1 map: 1 passed, 0 failed\n");
}

/// Each version of a map has its own samples.
#[test]
fn versions_of_a_map_are_tested_side_by_side() {
    let shipped = shipped().join("acme-serial-scanner");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let map = std::fs::read_to_string(shipped.join("map.toml")).expect("the map is there");
    let second = map.replacen("version = 1", "version = 2", 1);
    assert_ne!(second, map);
    for (name, text) in [("map.toml", &map), ("map-2.toml", &second)] {
        std::fs::write(dir.path().join(name), text).expect("a file can be written");
    }
    std::fs::create_dir(dir.path().join("samples-2")).expect("a folder can be made");
    let sample =
        std::fs::read_dir(shipped.join("samples")).expect("samples").next().expect("one").expect("it is there");
    std::fs::copy(sample.path(), dir.path().join("samples-2").join(sample.file_name())).expect("it can be copied");
    let found = maps(dir.path()).expect("both");
    let files: Vec<_> = found.iter().filter_map(|map| map.file_name()?.to_str()).collect();
    assert_eq!(files, ["map-2.toml", "map.toml"]);
    assert_eq!((names(&found[0]).len(), names(&found[1]).len()), (1, 0));
}
