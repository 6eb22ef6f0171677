//! The command line: one file a verb.
//!
//! What a verb produces goes to stdout, what it has to say about itself (logs, usage) to stderr. A reader that goes
//! away early (`| head`) is no error. Exit codes: [`crate::app::Exit`].

mod check;
mod completions;
mod logging;
mod print;
mod run;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::Exit;

/// The gateway between a warehouse floor (Modbus, MQTT) and its ERP.
///
/// Each event is kept in a local outbox before the device is acknowledged, and posted to the ERP exactly once in
/// effect, in order for each subject, or visibly parked with a reason.
#[derive(Debug, Parser)]
#[command(name = "floorgate", version, arg_required_else_help = true, after_help = AFTER, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER: &str = "\
Exit codes:
  0   done            64  wrong usage      70  internal error
  74  storage error   78  wrong configuration";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Check(check::Args),
    Completions(completions::Args),
}

/// The configuration that a verb reads.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration
    #[arg(long = "config", value_name = "FILE", default_value = "/etc/floorgate/gateway.toml")]
    path: PathBuf,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run_from(std::env::args_os())
}

fn run_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match cli.verb {
            Verb::Run(args) => run::run(&args),
            Verb::Check(args) => check::run(&args),
            Verb::Completions(args) => completions::run(&args, Cli::command()),
        },
        Err(e) => {
            // A reader that went away is no error; anything else can't be told either.
            drop(e.print());
            if e.use_stderr() { Exit::Usage.into() } else { Exit::Clean.into() }
        }
    }
}
