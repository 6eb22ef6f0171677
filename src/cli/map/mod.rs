//! `floorgate map`: maps without their devices.

mod explain;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use explain::{document, parameter};

/// Prove maps, and see what they will do
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Test(test::Args),
    Explain(explain::Args),
}

pub(super) fn run(args: &Args) -> ExitCode {
    match &args.verb {
        Verb::Test(args) => test::run(args),
        Verb::Explain(args) => explain::run(args),
    }
}
