//! `floorgate map`: maps without their devices.

mod explain;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

/// Prove maps, and see what they will do
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Test(test::Args),
    Explain(explain::Args),
}

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::Test(args) => test::run(args),
        Verb::Explain(args) => explain::run(args),
    }
}
