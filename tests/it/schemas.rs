//! The schemas that editors complete by, against an independent validator: what ships is valid; a misspelled key is not, and
//! neither is another word where one of several is expected.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::python;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `validate.py` says of these files.
fn validated(of: &str, files: &[PathBuf]) -> Option<Value> {
    let python = python()?;
    let dir = tempfile::tempdir().expect("a temp folder");
    let schema = dir.path().join("schema.json");
    let printed =
        Command::new(env!("CARGO_BIN_EXE_floorgate")).args(["schema", of]).output().expect("the program runs");
    std::fs::write(&schema, printed.stdout).expect("the schema can be written");
    let script = root().join("tests/peers/validate.py");
    let output = Command::new(python).arg(script).arg(schema).args(files).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("it prints JSON"))
}

fn check(of: &str, mut files: Vec<PathBuf>, teaching: &str, least: u64) {
    let teaching = std::fs::read_dir(root().join("src/config/schema").join(teaching)).expect("there are documents");
    files.extend(teaching.map(|file| file.expect("readable").path()));
    let Some(told) = validated(of, &files) else { return };
    for key in ["invalid", "unnoticed", "taken", "untried"] {
        assert_eq!(told[key], json!([]), "{key}");
    }
    assert!(told["misspelled"].as_u64() >= Some(least), "{told}");
}

#[test]
fn shipped_maps_are_valid_and_misspelled_keys_are_not() {
    let devices = std::fs::read_dir(root().join("devices")).expect("there are devices");
    let mut maps: Vec<PathBuf> = devices.map(|device| device.expect("readable").path().join("map.toml")).collect();
    maps.push(root().join("src/tagmap/points/tests/everything.toml"));
    check("map", maps, "maps", 500);
}

#[test]
fn the_shipped_configuration_is_valid_and_misspelled_keys_are_not() {
    check("gateway", vec![root().join("config/gateway.toml")], "gateway", 100);
}
