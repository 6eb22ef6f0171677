//! `floorgate outbox`: looking at what is kept. Read-only: a gateway may run on it meanwhile, or none.

mod bad;
mod find;
mod status;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use status::{Room, stopped};

/// Look at what is kept, beside a running gateway or without one.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Args),
    Find(find::Args),
    Bad(bad::Args),
}

pub(super) fn run(args: &Args) -> ExitCode {
    match &args.verb {
        Verb::Status(args) => status::run(args),
        Verb::Find(args) => find::run(args),
        Verb::Bad(args) => bad::run(args),
    }
}
