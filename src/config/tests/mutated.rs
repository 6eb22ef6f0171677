//! The maps that ship and the example configuration, with each key removed, misspelled and given another type: what is left
//! is read, or a fault points to the line. Never a panic.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::*;
use crate::tagmap::{Binding, Map};

/// Values that most keys do not take.
const RETYPED: [&str; 7] = ["{ a = 1 }", "[[1]]", "true", "-1", "\"\"", "1.5", "99999999999"];
/// Tables whose keys are names that the author gives.
const NAMES: [&str; 7] = ["param", "params", "field", "fields", "enum", "bits", "poll"];
/// Keys that say what others may name: a value that is right by itself is missed there.
const DECLARE: [&str; 1] = ["pattern"];
/// What `map test` reads, and nobody else.
const TESTS: &str = "test";

/// A key of a document.
struct Key {
    name: String,
    /// In a table of names: any other is one, too.
    free: bool,
    /// In a table within braces.
    inline: bool,
    at: Range<usize>,
    value: Range<usize>,
}

/// The keys that have a value behind a `=`.
fn keys(text: &str) -> Vec<Key> {
    fn walk(text: &str, table: &DeTable<'_>, of: &str, inline: bool, found: &mut Vec<Key>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let (at, span) = (key.span(), value.span());
            let own = text[at.end..].trim_start().starts_with('=');
            if name == TESTS {
                continue;
            }
            if own {
                let free = NAMES.contains(&of);
                found.push(Key { name: name.to_owned(), free, inline, at, value: span });
            }
            match value.get_ref() {
                DeValue::Table(table) => walk(text, table, name, own, found),
                DeValue::Array(items) => {
                    for table in items.iter().filter_map(|item| item.get_ref().as_table()) {
                        walk(text, table, name, own, found);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(text, DeTable::parse(text).expect("the document is TOML").get_ref(), "", false, &mut found);
    found
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn with(text: &str, range: &Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[..range.start], &text[range.end..])
}

fn without(text: &str, key: &Key) -> String {
    let end = text[key.value.end..].find(|c: char| !c.is_whitespace()).map_or(text.len(), |i| key.value.end + i);
    let comma = key.inline && text[end..].starts_with(',');
    let before = text[..key.at.start].trim_end();
    let last = key.inline && !comma && before.ends_with(',');
    let start = if last { before.len() - 1 } else { key.at.start };
    with(text, &(start..if comma { end + 1 } else { key.value.end }), "")
}

/// Mutates each key; returns how many mutations there were, and how many of them were read all the same.
fn mutate(name: &str, text: &str, read: &dyn Fn(&str) -> Vec<Fault>) -> (usize, usize) {
    let told = |faults: &[Fault]| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(told(&read(text)), "", "{name} as it ships");
    let (mut mutations, mut taken) = (0, 0);
    for key in keys(text) {
        let line = line_of(text, key.at.start);
        let misspelled = with(text, &key.at, &format!("{}q", key.name));
        let retyped = RETYPED.map(|value| (with(text, &key.value, value), line_of(text, key.value.start)));
        let all = [(without(text, &key), None), (misspelled.clone(), None)];
        for (new, place) in all.into_iter().chain(retyped.map(|(new, line)| (new, Some(line)))) {
            mutations += 1;
            let what = || format!("{name}:{line}: {}", new.lines().nth(line - 1).unwrap_or_default());
            let faults = read(&new);
            let lines = 1..=new.lines().count().max(1);
            assert!(faults.iter().all(|fault| lines.contains(&fault.line)), "{}\n{}", what(), told(&faults));
            taken += usize::from(faults.is_empty());
            if new == misspelled && !key.free {
                let meant = format!("did you mean `{}`?", key.name);
                let pointed =
                    |fault: &Fault| fault.line == line && fault.message == "unknown key" && fault.help == meant;
                assert!(faults.iter().any(pointed), "{}\n{}", what(), told(&faults));
            }
            if let Some(line) = place.filter(|_| !faults.is_empty()) {
                let elsewhere = DECLARE.contains(&key.name.as_str());
                assert!(elsewhere || faults.iter().any(|fault| fault.line == line), "{}\n{}", what(), told(&faults));
            }
        }
    }
    (mutations, taken)
}

/// A value for each parameter of a map that has no default.
fn params(text: &str) -> BTreeMap<String, String> {
    let root = DeTable::parse(text).expect("the map is TOML");
    let declared = root.get_ref().get("param").and_then(|param| param.get_ref().as_table());
    let word = |param: &DeValue<'_>, key: &str| Some(param.as_table()?.get(key)?.get_ref().as_str()?.to_owned());
    let has_default = |param: &DeValue<'_>| param.as_table().is_some_and(|param| param.contains_key("default"));
    let value = |param: &DeValue<'_>| match word(param, "type").as_deref() {
        Some("int" | "integer") => "7".to_owned(),
        Some("duration") => "3s".to_owned(),
        _ => "floor".to_owned(),
    };
    let needed = declared.into_iter().flatten().filter(|(_, param)| !has_default(param.get_ref()));
    needed.map(|(name, param)| (name.get_ref().to_string(), value(param.get_ref()))).collect()
}

fn shipped() -> Vec<PathBuf> {
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let within = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = within(&devices).flat_map(|device| within(&device).collect::<Vec<_>>());
    let mut maps: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|end| end == "toml")).collect();
    maps.sort();
    maps
}

#[test]
fn a_mutated_map_that_ships_is_read_or_points_to_its_line() {
    let (mut maps, mut mutations, mut taken) = (0, 0, 0);
    for path in shipped() {
        let text = std::fs::read_to_string(&path).expect("the map can be read");
        let given = params(&text);
        let read = |text: &str| {
            // What the map does not declare any more the device would be refused: that is no matter here.
            let declared = DeTable::parse(text).ok();
            let declared = declared.as_ref().and_then(|root| root.get_ref().get("param")?.get_ref().as_table());
            let names = |name: &str| declared.is_some_and(|params| params.contains_key(name));
            let binding = Binding {
                params: given.iter().filter(|(name, _)| names(name)).map(|(n, v)| (n.clone(), v.clone())).collect(),
                ..Binding::of("device")
            };
            let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
            Map::read(&document, &binding).err().unwrap_or_default()
        };
        let (of, read_anyway) = mutate(&path.display().to_string(), &text, &read);
        (maps, mutations, taken) = (maps + 1, mutations + of, taken + read_anyway);
    }
    assert!(maps >= 11 && mutations > 4_000 && taken < mutations / 4, "{maps}: {taken} of {mutations} were read");
}

#[test]
fn a_mutated_configuration_is_read_or_points_to_its_line() {
    let (library, _) = maps::Library::load(Path::new("nowhere"));
    let reading =
        Reading { base: PathBuf::new(), library, elsewhere: RefCell::default(), warnings: RefCell::default() };
    let read = |text: &str| {
        let document = Document { name: "gateway.toml".to_owned(), text: text.to_owned() };
        document.read(|root| root_table(root, &reading, &mut Vec::new())).err().unwrap_or_default()
    };
    let (mutations, taken) = mutate("gateway.toml", SHIPPED, &read);
    assert!(mutations > 500 && taken < mutations / 4, "{taken} of {mutations} were read");
}
