//! `floorgate outbox`: looking at what is kept. Read-only: a gateway may run on it meanwhile, or none.

mod bad;
mod find;
mod status;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use status::{Full, Room, at_start, missing, stopped};

/// Look at what is kept, beside a running gateway or without one.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Status(status::Args),
    Find(find::Args),
    Bad(bad::Args),
}

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::Status(args) => status::run(args),
        Verb::Find(args) => find::run(args),
        Verb::Bad(args) => bad::run(args),
    }
}
