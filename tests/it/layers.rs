//! The layers of ARCHITECTURE.md, held by reading the code: what a room names, and which crates.
//!
//! Limits: it reads text, not syntax. Comments are left out, strings are not; code for unit tests obeys the same rules.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their layers: a room may name only rooms of strictly lower layers.
const ROOMS: [(&str, u8); 17] = [
    ("event", 0),
    ("form", 0),
    ("tagmap", 1),
    ("milestone", 1),
    ("inbox", 1),
    ("lane", 1),
    ("outbox", 2),
    ("target", 2),
    ("source", 3),
    ("dispatch", 3),
    ("control", 4),
    ("config", 4),
    ("app", 5),
    ("sim", 5),
    ("cli", 6),
    ("lib", 7),
    ("main", 7),
];

/// Crates, and the places (beginnings of paths below `src/`) that alone may name them.
const CRATES: [(&str, &[&str]); 8] = [
    ("rusqlite", &["outbox"]),
    ("tokio_modbus", &["source/modbus", "sim"]),
    ("rumqttc", &["source/mqtt", "target", "sim"]),
    ("reqwest", &["target", "config/target", "sim"]), // config has it parse URLs
    ("axum", &["control", "sim"]),
    ("clap", &["cli", "sim"]), // the demo is a verb too
    ("clap_complete", &["cli"]),
    ("anyhow", &["app", "cli", "sim", "main"]),
];

/// What the pure layers 0 and 1 never say.
const IMPURE: [&str; 5] = ["async", "tokio", "Instant", "SystemTime", "rusqlite"];
const LAST_PURE_LAYER: u8 = 1;

/// Everything wrong below `src`, one line each; sorted.
fn violations(src: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(src) {
        let path = file.strip_prefix(src).expect("the file was found below src").with_extension("");
        let path = path.to_string_lossy().into_owned();
        let code = without_comments(&fs::read_to_string(&file).expect("a source file is readable text"));
        let room = path.split('/').next().unwrap_or_default();
        let Some(layer) = layer(room) else {
            found.push(format!("{path}: room `{room}` has no layer"));
            continue;
        };
        for named in rooms_named(&code) {
            match self::layer(&named) {
                Some(other) if other < layer || named == room => {}
                Some(other) => found.push(format!("{path} (layer {layer}) names `{named}` (layer {other})")),
                None => found.push(format!("{path} names `crate::{named}`, which is no room")),
            }
        }
        for (name, places) in CRATES {
            if words(&code).any(|w| w == name) && !places.iter().any(|place| path.starts_with(place)) {
                found.push(format!("{path} names the crate {name}"));
            }
        }
        if layer <= LAST_PURE_LAYER {
            let impure = IMPURE.iter().filter(|word| words(&code).any(|w| w == **word));
            found.extend(impure.map(|word| format!("{path} is pure, but says `{word}`")));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn layer(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the source folder is readable");
    let paths = entries.map(|entry| entry.expect("the source folder is readable").path());
    paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] }).filter(|p| is_rust(p)).collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The code with `//` comments cut off (not the `//` of a URL).
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        writeln!(code, "{}", &line[..comment.map_or(line.len(), |(at, _)| at)])
            .expect("writing to a String cannot fail");
    }
    code
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The rooms that follow `crate::` or `floorgate::`, alone or in braces.
fn rooms_named(code: &str) -> Vec<String> {
    let roots = ["crate::", "floorgate::"];
    let starts = roots.iter().flat_map(|root| code.match_indices(root).map(|(at, text)| at + text.len()));
    starts.flat_map(|start| first_names(&code[start..])).filter(|name| !is_own_item(name)).collect()
}

/// Macros and items of the crate's root itself.
fn is_own_item(name: &str) -> bool {
    name.is_empty() || name == "self" || name.starts_with(char::is_uppercase)
}

/// The first path segments of `a::b` or of `{a::{b, c}, d}`.
fn first_names(text: &str) -> Vec<String> {
    let name = |text: &str| words(text.trim_start()).next().unwrap_or_default().to_owned();
    let Some(group) = text.strip_prefix('{') else { return vec![name(text)] };
    let (mut names, mut depth) = (vec![name(group)], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

#[test]
fn a_room_imports_only_strictly_lower_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert!(rust_files(&src).len() > 10, "the source folder was not found");
    let violations = violations(&src);
    assert!(violations.is_empty(), "the layers are broken:\n{}", violations.join("\n"));
}

#[test]
fn planted_violations_are_seen() {
    let check = |file: &str, code: &str, expected: &[&str]| {
        let dir = tempfile::tempdir().expect("a temp folder");
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().expect("the file has a folder")).expect("a folder");
        fs::write(&path, code).expect("a file");
        assert_eq!(violations(dir.path()), expected, "{file}: {code}");
    };
    check("lane/step.rs", "use crate::event::Id;\nuse std::time::Duration;", &[]);
    check("lane/step.rs", "// tokio is not named here: crate::outbox\n", &[]);
    check("config/mod.rs", "use crate::{lane, outbox, source};", &[]);
    check("lane/step.rs", "use crate::outbox::Outbox;", &["lane/step (layer 1) names `outbox` (layer 2)"]);
    check("lane/step.rs", "use crate::tagmap::Map;", &["lane/step (layer 1) names `tagmap` (layer 1)"]);
    check(
        "target/mod.rs",
        "use crate::{\n  lane::{Answer, Class},\n  app,\n};",
        &["target/mod (layer 2) names `app` (layer 5)"],
    );
    check("event/time.rs", "fn now() { std::time::Instant::now(); }", &["event/time is pure, but says `Instant`"]);
    check("inbox/mod.rs", "pub async fn wait() {}", &["inbox/mod is pure, but says `async`"]);
    check("source/modbus.rs", "use rumqttc::Client;", &["source/modbus names the crate rumqttc"]);
    check("source/mqtt/link.rs", "use rumqttc::Client;", &[]);
    check("dispatch/mod.rs", "use rusqlite::Connection;", &["dispatch/mod names the crate rusqlite"]);
    check("utils/mod.rs", "", &["utils/mod: room `utils` has no layer"]);
    check("main.rs", "fn main() { floorgate::cli::main() }", &[]);
}
