//! `floorgate map test`: samples against what is expected of them, and a map's own `[[test]]`s.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value as Json;

use super::beside;
use crate::app::Exit;
use crate::cli::{ConfigFile, print};
use crate::config;
use crate::form::{Document, Fault};
use crate::tagmap::proof::{self, Came, Line, Outcome, Test, Wrong};
use crate::tagmap::{Binding, Map};

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
    /// A fault was in the way.
    not_run: usize,
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
    /// No fault was in the way.
    ran: bool,
    /// Why there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Tags that had no good value, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<String>,
    /// It was written as what is expected.
    accepted: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<Line>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let place = args.map.clone().unwrap_or_else(|| beside(&args.config.path).join("devices"));
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
    let not_run = cases().filter(|case| !case.ran).count();
    Tested { passed, failed: cases().count() - passed - not_run, not_run, maps }
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
        Err(told) => {
            for name in Test::names(&document) {
                tell(&mut cases, &mut faults, name, Err(Wrong::Map(told.clone())));
            }
        }
        Ok(tests) => {
            for test in tests {
                let compared = test.run(&document).map(|Outcome { expected, came, doubts }| Compared {
                    difference: proof::lines(&expected, &came),
                    accepted: false,
                    doubts,
                });
                tell(&mut cases, &mut faults, test.name, compared);
            }
        }
    }
    if !cases.iter().any(|case| case.ran) {
        // Perhaps nothing has read it whole yet. That nobody gives its parameters is no fault of the map.
        let binding = Binding { accept_epoch_risk: true, ..Binding::of("device") };
        let told = Map::read(&document, &binding).err().unwrap_or_default();
        faults.extend(told.into_iter().filter(|fault| !fault.key.starts_with("param.")));
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    let mut seen = BTreeSet::new();
    faults.retain(|fault| seen.insert(fault.to_string()));
    OfMap { file, faults, cases }
}

/// How a case went.
struct Compared {
    difference: Vec<Line>,
    accepted: bool,
    doubts: Vec<String>,
}

fn tell(cases: &mut Vec<Case>, faults: &mut Vec<Fault>, name: String, compared: Result<Compared, Wrong>) {
    let case =
        Case { name, passed: false, ran: true, why: None, doubts: Vec::new(), accepted: false, difference: Vec::new() };
    cases.push(match compared {
        Ok(Compared { difference, accepted, .. }) if difference.is_empty() || accepted => {
            Case { passed: true, difference, accepted, ..case }
        }
        Ok(Compared { difference, doubts, .. }) => Case { doubts, difference, ..case },
        Err(Wrong::Map(told)) => {
            faults.extend(told);
            Case { why: Some("faults are in its way".to_owned()), ran: false, ..case }
        }
        Err(Wrong::Sample(why)) => Case { why: Some(why), ..case },
    });
}

/// The folder of a map's samples: that of `map-2.toml` is `samples-2`.
fn folder_of(map: &Path, name: &str) -> PathBuf {
    let stem = map.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    map.with_file_name(format!("{name}{}", stem.strip_prefix("map").unwrap_or_default()))
}

/// Names of samples and of what is expected.
fn names(map: &Path) -> BTreeSet<String> {
    let files = ["samples", "expected"].into_iter().filter_map(|name| std::fs::read_dir(folder_of(map, name)).ok());
    let json = |path: PathBuf| {
        path.extension().is_some_and(|e| e == "json").then(|| path.file_name()?.to_str().map(str::to_owned))
    };
    files.flatten().filter_map(|file| json(file.ok()?.path())?).collect()
}

/// One sample against what is expected of it.
fn sample(map: &Path, document: &Document, name: &str, accept: bool) -> Result<Compared, Wrong> {
    let file = |folder: &str| folder_of(map, folder).join(name);
    let read = |path: &Path| -> Result<Json, Wrong> {
        let text = config::text(path).map_err(|why| Wrong::Sample(format!("{}: {why}", path.display())))?;
        serde_json::from_str(&text).map_err(|e| Wrong::Sample(format!("{} is not JSON: {e}", path.display())))
    };
    let Came { told: came, doubts, .. } = proof::run(document, &read(&file("samples"))?)?;
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
        let folder = folder_of(map, "expected");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&expected, print::json(&came)))
            .map_err(|e| Wrong::Sample(format!("{} can't be written: {e}", expected.display())))?;
    }
    Ok(Compared { difference, accepted, doubts })
}

fn shown(tested: &Tested, colours: bool) -> String {
    let mut text = String::new();
    for map in &tested.maps {
        print::line(&mut text, &format!("{}: {}", map.file, verdict(map)));
        for fault in &map.faults {
            print::line(&mut text, &format!("  {fault}"));
        }
        let some_ran = map.cases.iter().any(|case| case.ran);
        for case in map.cases.iter().filter(|case| !case.passed || case.accepted) {
            let word = match case {
                Case { ran: false, .. } if !some_ran => continue, // the verdict says so of all
                Case { ran: false, .. } => "NOT RUN",
                Case { accepted: true, .. } => "accepted",
                _ => "FAILED",
            };
            let why = case.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            print::line(&mut text, &format!("  {word} {}{why}", case.name));
            difference(&mut text, &case.difference, colours);
            for doubt in &case.doubts {
                print::line(&mut text, &format!("    {doubt}"));
            }
        }
    }
    let count = |n: usize| if n == 1 { "1 map".to_owned() } else { format!("{n} maps") };
    let faulty = tested.maps.iter().filter(|map| !map.faults.is_empty()).count();
    let counted = match (tested.passed, tested.failed, tested.not_run) {
        (0, 0, 0) => "nothing to run".to_owned(),
        (0, 0, not_run) => format!("{not_run} not run"),
        (passed, failed, 0) => format!("{passed} passed, {failed} failed"),
        (passed, failed, not_run) => format!("{passed} passed, {failed} failed, {not_run} not run"),
    };
    let faulty = if faulty == 0 { String::new() } else { format!("; faults in {}", count(faulty)) };
    print::line(&mut text, &format!("{}: {counted}{faulty}", count(tested.maps.len())));
    text
}

/// How it went with one map, in short.
fn verdict(map: &OfMap) -> String {
    let of = |is: &dyn Fn(&Case) -> bool| map.cases.iter().filter(|case| is(case)).count();
    let (passed, not_run) = (of(&|case| case.passed), of(&|case| !case.ran));
    let failed = map.cases.len() - passed - not_run;
    let faults = if map.faults.len() == 1 { "1 fault".to_owned() } else { format!("{} faults", map.faults.len()) };
    let said = [
        (
            map.faults.is_empty() && map.cases.is_empty(),
            "no tests: add [[test]] to the map, or samples/ beside it".to_owned(),
        ),
        (!map.faults.is_empty(), faults),
        (passed + failed > 0, format!("{passed} passed")),
        (failed > 0, format!("{failed} failed")),
        (not_run > 0, format!("{not_run} not run")),
    ];
    said.into_iter().filter(|(is, _)| *is).map(|(_, said)| said).collect::<Vec<_>>().join(", ")
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
mod tests;
