//! `floorgate map list`: the maps that there are.

use std::process::ExitCode;

use super::beside;
use crate::app::Exit;
use crate::cli::ConfigFile;
use crate::cli::print::{self, clean, line};
use crate::config::{Listed, listed};

/// List the maps that a configuration may name: those in its `devices`, those of the system, and those built in.
///
/// Of each its name, what it is for, the parameters that a device has to give, the transaction types of its events, how many
/// `[[test]]`s are in it, and where it is. A name that is found in several places means the first. `map show` prints one,
/// `map explain` tells what it makes the gateway do.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate map list
  floorgate map list --config /etc/floorgate/gateway.toml
  floorgate map list --json | jq -r '.[] | select(.kinds | index(\"scan.carton\")) | .map'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (maps, warnings) = listed(&beside(&args.config.path));
    if !warnings.is_empty() {
        print::err(&format!("{}\n", print::faults(&warnings)));
    }
    print::out(&if args.json { print::json(&maps) } else { text(&maps) });
    Exit::Clean.into()
}

fn text(maps: &[Listed]) -> String {
    let mut text = String::new();
    for Listed { map, title, kinds, needs, tests, file } in maps {
        line(&mut text, &format!("{map}: {}", clean(title)));
        if !needs.is_empty() {
            line(&mut text, &format!("  params  {}", needs.join(", ")));
        }
        line(&mut text, &format!("  emits   {}", kinds.join(", ")));
        let tests = match tests {
            0 => "no [[test]]".to_owned(),
            n => format!("{n} [[test]]"),
        };
        line(&mut text, &format!("  {tests}, {}", file.as_deref().unwrap_or("built in")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_map_is_told_with_what_it_needs_and_emits() {
        let dir = tempfile::tempdir().expect("a temp directory");
        let own = dir.path().join("devices/own");
        std::fs::create_dir_all(&own).expect("a folder");
        let map = include_str!("../../../devices/acme-plain-scanner/map.toml");
        std::fs::write(own.join("map.toml"), map.replace("title = \"", "title = \"Ours: ")).expect("a file");
        let (mut maps, warnings) = listed(dir.path());
        assert_eq!(warnings, Vec::new());
        maps.retain(|map| ["plain-scanner@1", "sorter@1"].contains(&map.map.as_str()));
        let told = text(&maps).replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!(told, @r"
        plain-scanner@1: Ours: Plain scanner, one at each station, sends what it reads
          params  topic_root
          emits   scan.carton, scan.item
          no [[test]], DIR/devices/own/map.toml
        sorter@1: Shoe sorter PLC, event mailbox with acknowledge
          emits   divert.confirmed, divert.missed, divert.recirculated, divert.unknown
          1 [[test]], built in
        ");
    }
}
