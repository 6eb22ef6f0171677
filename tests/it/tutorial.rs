//! docs/tutorial.md: the files that it has, and what it says that the program says of them. `map test` has its own test
//! beside its code.

use std::fs;
use std::process::Command;

/// The fenced blocks of that kind, in order.
fn blocks<'t>(page: &'t str, kind: &str) -> Vec<&'t str> {
    let mut parts = page.split("```");
    let mut found = Vec::new();
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        found.extend(block.strip_prefix(kind).and_then(|block| block.strip_prefix('\n')));
    }
    found
}

#[test]
fn what_the_tutorial_shows_is_what_comes() {
    let page = include_str!("../../docs/tutorial.md");
    let (files, shown) = (blocks(page, "toml"), blocks(page, "text"));
    let file = |part: &str| *files.iter().find(|file| file.contains(part)).unwrap_or_else(|| panic!("no {part}"));
    let showing = |part: &str| {
        let block = shown.iter().find(|block| block.contains(part)).unwrap_or_else(|| panic!("nothing shows {part}"));
        let command = block.starts_with("$ ").then(|| block.find('\n')).flatten().map_or(0, |end| end + 1);
        &block[command..]
    };
    let dir = tempfile::tempdir().expect("a temp folder");
    let map = dir.path().join("devices/norden-rollers/map.toml");
    fs::create_dir_all(map.parent().expect("it lies in a folder")).expect("a folder");
    let write = |text: &str| fs::write(&map, text).expect("the map can be written");
    fs::write(dir.path().join("gateway.toml"), file("[gateway]")).expect("the configuration can be written");
    let said = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floorgate"));
        let output = command.args(arguments.split(' ')).current_dir(dir.path()).output().expect("floorgate runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let right = file("[map]");
    let wrong = right.replacen("\"CDAB\"", "\"CDBA\"", 1).replacen("area = \"input\"", "aera = \"input\"", 1);
    write(&wrong);
    assert_eq!(said("check --config gateway.toml"), showing("aera"));
    write(right);
    assert_eq!(said("check --config gateway.toml"), showing("site dc1"));
    let explain = "map explain devices/norden-rollers --param conveyor=infeed-1";
    assert_eq!(said(explain), showing("poll figures"));
    let slow = said(&format!("{explain} --baud 9600 --answer 40ms"));
    let part = showing("9600 baud").trim_end_matches("…\n");
    assert!(slow.contains(part), "{part}\n{slow}");
}
