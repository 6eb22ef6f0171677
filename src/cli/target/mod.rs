//! `floorgate target`: the systems that post, and whether they keep the contract.

mod list;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

/// List the targets, check an endpoint against the posting contract.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    List(list::Args),
    Verify(verify::Args),
}

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::List(args) => list::run(args),
        Verb::Verify(args) => verify::run(args),
    }
}
