//! `floorgate map`: maps without their devices.

mod explain;
mod list;
mod show;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

pub(super) use explain::{document, parameter};

/// Find maps, prove them, and see what they will do
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    List(list::Args),
    Show(show::Args),
    Test(test::Args),
    Explain(explain::Args),
}

/// The folder whose `devices` has the maps: that of the configuration, or this one where it has none.
fn beside(config: &Path) -> PathBuf {
    let folder = config.parent().filter(|folder| folder.join("devices").is_dir());
    folder.unwrap_or(Path::new("")).to_owned()
}

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::List(args) => list::run(args),
        Verb::Show(args) => show::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Explain(args) => explain::run(args),
    }
}
