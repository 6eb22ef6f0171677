//! `floorgate map test`: samples against what is expected of them, and a map's own `[[test]]`s.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value as Json;

use crate::app::Exit;
use crate::cli::{ConfigFile, print};
use crate::config;
use crate::form::{Document, Fault};
use crate::tagmap::proof::{self, Line, Test, Wrong};
use crate::tagmap::{Binding, DeviceLimits, Map};

/// Run the tests of maps: each file of samples/ against the one of expected/, and [[test]] in the map.
///
/// Nothing is connected to. A sample is what a device sends, as JSON; docs/tag-maps.md has its forms. What differs is shown
/// line by line: `-` was expected, `+` came. Ends with 1 if a test fails, with 78 if a map has faults.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A map, the folder of a device with all its versions, or a folder of such folders (default: `devices` beside the configuration, or here)
    #[arg(value_name = "PATH")]
    map: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
    /// Write what came as what is expected, for samples that fail or expect nothing yet; look at it before you trust it
    #[arg(long)]
    accept: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate map test
  floorgate map test devices/acme-sorter
  floorgate map test devices/new-scale/map.toml --accept
  floorgate map test --json | jq -r '.maps[].cases[] | select(.passed | not) | .name'";

/// Most folders looked at.
const MAX_FOLDERS: usize = 1_000;
/// Equal lines shown around those that differ.
const AROUND: usize = 3;

/// What came of all maps.
#[derive(Debug, serde::Serialize)]
struct Tested {
    passed: usize,
    failed: usize,
    maps: Vec<OfMap>,
}

/// What came of one map.
#[derive(Debug, serde::Serialize)]
struct OfMap {
    file: String,
    faults: Vec<Fault>,
    cases: Vec<Case>,
}

/// One sample or `[[test]]`.
#[derive(Debug, serde::Serialize)]
struct Case {
    name: String,
    passed: bool,
    /// Why there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// It was written as what is expected.
    accepted: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<Line>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let place = args.map.clone().unwrap_or_else(|| {
        let beside = args.config.path.parent().map(|folder| folder.join("devices"));
        beside.filter(|folder| folder.is_dir()).unwrap_or_else(|| "devices".into())
    });
    let maps = match maps(&place) {
        Ok(maps) => maps,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let tested = all(&maps, args.accept);
    if args.json {
        print::out(&print::json(&tested));
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print::out(&shown(&tested, colours));
    }
    exit(&tested)
}

fn exit(tested: &Tested) -> ExitCode {
    if tested.maps.iter().any(|map| !map.faults.is_empty()) {
        Exit::Config.into()
    } else if tested.failed > 0 {
        ExitCode::FAILURE
    } else {
        Exit::Clean.into()
    }
}

/// The maps at a place: the file itself, that of a device's folder, or those of the folders in it.
fn maps(place: &Path) -> Result<Vec<PathBuf>, String> {
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    let own = config::map_files_of(place);
    if !own.is_empty() {
        return Ok(own);
    }
    let folders = std::fs::read_dir(place).map_err(|e| format!("{} can't be read: {e}", place.display()))?;
    let folders = folders.take(MAX_FOLDERS).flatten();
    let mut maps: Vec<PathBuf> = folders.flat_map(|folder| config::map_files_of(&folder.path())).collect();
    maps.sort();
    if maps.is_empty() {
        return Err(format!("there is no map.toml in {} or in a folder of it", place.display()));
    }
    Ok(maps)
}

fn all(maps: &[PathBuf], accept: bool) -> Tested {
    let maps: Vec<OfMap> = maps.iter().map(|map| of_map(map, accept)).collect();
    let cases = || maps.iter().flat_map(|map| &map.cases);
    let passed = cases().filter(|case| case.passed).count();
    let failed = cases().count() - passed;
    Tested { passed, failed, maps }
}

fn of_map(path: &Path, accept: bool) -> OfMap {
    let file = path.display().to_string();
    let text = match config::text(path) {
        Ok(text) => text,
        Err(why) => return OfMap { faults: vec![config::unreadable(&file, &why)], file, cases: Vec::new() },
    };
    let document = Document { name: file.clone(), text };
    let (mut faults, mut cases) = (Vec::new(), Vec::new());
    for name in names(path) {
        tell(&mut cases, &mut faults, name.clone(), sample(path, &document, &name, accept));
    }
    match Test::all(&document) {
        Err(told) => faults.extend(told),
        Ok(tests) => {
            for test in tests {
                let compared = test
                    .run(&document)
                    .map(|(expected, came)| Compared { difference: proof::lines(&expected, &came), accepted: false });
                tell(&mut cases, &mut faults, test.name, compared);
            }
        }
    }
    if cases.is_empty() && faults.is_empty() {
        // Nothing has read it yet. That nobody gives its parameters is no fault of the map.
        let binding = Binding {
            device: "device".into(),
            params: std::collections::BTreeMap::new(),
            accept_epoch_risk: true,
            limits: DeviceLimits::default(),
        };
        let told = Map::read(&document, &binding).err().unwrap_or_default();
        faults.extend(told.into_iter().filter(|fault| !fault.key.starts_with("param.")));
    }
    let mut seen = BTreeSet::new();
    faults.retain(|fault| seen.insert(fault.to_string()));
    OfMap { file, faults, cases }
}

/// How a case went.
struct Compared {
    difference: Vec<Line>,
    accepted: bool,
}

fn tell(cases: &mut Vec<Case>, faults: &mut Vec<Fault>, name: String, compared: Result<Compared, Wrong>) {
    let case = Case { name, passed: false, why: None, accepted: false, difference: Vec::new() };
    cases.push(match compared {
        Ok(Compared { difference, accepted }) => {
            Case { passed: difference.is_empty() || accepted, difference, accepted, ..case }
        }
        Err(Wrong::Map(told)) => {
            faults.extend(told);
            Case { why: Some("the map has faults".to_owned()), ..case }
        }
        Err(Wrong::Sample(why)) => Case { why: Some(why), ..case },
    });
}

/// The folder of a map's samples: that of `map-2.toml` is `samples-2`.
fn beside(map: &Path, name: &str) -> PathBuf {
    let stem = map.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    map.with_file_name(format!("{name}{}", stem.strip_prefix("map").unwrap_or_default()))
}

/// Names of samples and of what is expected.
fn names(map: &Path) -> BTreeSet<String> {
    let files = ["samples", "expected"].into_iter().filter_map(|name| std::fs::read_dir(beside(map, name)).ok());
    let json = |path: PathBuf| {
        path.extension().is_some_and(|e| e == "json").then(|| path.file_name()?.to_str().map(str::to_owned))
    };
    files.flatten().filter_map(|file| json(file.ok()?.path())?).collect()
}

/// One sample against what is expected of it.
fn sample(map: &Path, document: &Document, name: &str, accept: bool) -> Result<Compared, Wrong> {
    let file = |folder: &str| beside(map, folder).join(name);
    let read = |path: &Path| -> Result<Json, Wrong> {
        let text = config::text(path).map_err(|why| Wrong::Sample(format!("{}: {why}", path.display())))?;
        serde_json::from_str(&text).map_err(|e| Wrong::Sample(format!("{} is not JSON: {e}", path.display())))
    };
    let came = proof::run(document, &read(&file("samples"))?)?.told;
    let expected = file("expected");
    if !expected.exists() && !accept {
        let why = format!("{} is not there: look at what comes and write it with --accept", expected.display());
        return Err(Wrong::Sample(why));
    }
    let difference = if expected.exists() {
        proof::lines(&read(&expected)?, &came)
    } else {
        format!("{came:#}").lines().map(|line| Line::Came(line.to_owned())).collect()
    };
    let accepted = accept && !difference.is_empty();
    if accepted {
        let folder = beside(map, "expected");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&expected, print::json(&came)))
            .map_err(|e| Wrong::Sample(format!("{} can't be written: {e}", expected.display())))?;
    }
    Ok(Compared { difference, accepted })
}

fn shown(tested: &Tested, colours: bool) -> String {
    let mut text = String::new();
    for map in &tested.maps {
        let passed = map.cases.iter().filter(|case| case.passed).count();
        let verdict = match (map.faults.len(), map.cases.len()) {
            (0, 0) => "no tests: add [[test]] to the map, or samples/ beside it".to_owned(),
            (0, all) if all == passed => format!("{passed} passed"),
            (0, all) => format!("{passed} passed, {} failed", all - passed),
            _ => "the map has faults".to_owned(),
        };
        print::line(&mut text, &format!("{}: {verdict}", map.file));
        for fault in &map.faults {
            print::line(&mut text, &format!("  {fault}"));
        }
        for case in map.cases.iter().filter(|case| !case.passed || case.accepted) {
            let word = if case.accepted { "accepted" } else { "FAILED" };
            let why = case.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            print::line(&mut text, &format!("  {word} {}{why}", case.name));
            difference(&mut text, &case.difference, colours);
        }
    }
    let (passed, failed, maps) = (tested.passed, tested.failed, tested.maps.len());
    print::line(
        &mut text,
        &format!("{maps} {}: {passed} passed, {failed} failed", if maps == 1 { "map" } else { "maps" }),
    );
    text
}

/// The lines that differ, with a few around them.
fn difference(text: &mut String, lines: &[Line], colours: bool) {
    let differs = |at: usize| !matches!(lines[at], Line::Same(_));
    let near = |at: usize| (at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len())).any(differs);
    let mut left_out = false;
    for (at, line) in lines.iter().enumerate() {
        if !near(at) {
            if !std::mem::replace(&mut left_out, true) {
                print::line(text, "      …");
            }
            continue;
        }
        left_out = false;
        let (sign, colour, line) = match line {
            Line::Same(line) => (" ", "", line),
            Line::Expected(line) => ("-", "\x1b[31m", line),
            Line::Came(line) => ("+", "\x1b[32m", line),
        };
        let (begin, end) = if colours && !colour.is_empty() { (colour, "\x1b[0m") } else { ("", "") };
        print::line(text, &format!("    {begin}{sign} {line}{end}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("devices")
    }

    #[test]
    fn every_shipped_map_passes_its_tests() {
        let tested = all(&maps(&shipped()).expect("there are maps"), false);
        assert!(
            tested.failed == 0 && tested.maps.iter().all(|map| map.faults.is_empty()),
            "\n{}",
            shown(&tested, false)
        );
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
        1 map: 0 passed, 0 failed
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
        let tutorial = include_str!("../../../docs/tutorial.md");
        let blocks: Vec<&str> =
            tutorial.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
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
        map.toml: the map has faults
          map.toml:41:1: test[1]: expects nothing (add expect = [{ event = "…" }], expect_alarm or expect_write)
          map.toml:43:9: test[1].given: says not one thing that is sent (one of topic with payload, stream, fifo with seq and words, write with value, or tables: holding = { 21 = [5] })
          map.toml:44:1: test[1].expct: unknown key (did you mean `expect`?)
        1 map: 0 passed, 0 failed
        "#);
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
}
