//! `floorgate run`: the gateway itself.

use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::{ConfigFile, logging};
use crate::{app, config};

/// Run the gateway until SIGTERM or Ctrl-C.
///
/// Stopping drains: sources first, then lanes, then the outbox. Being killed at any point loses nothing: the next start
/// goes on where the last commit left off.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

const EXAMPLES: &str = "\
Logs go to stderr: for people on a terminal, JSON lines otherwise. FLOORGATE_LOG says how much (default: info).

Examples:
  floorgate run
  floorgate run --config config/gateway.toml
  FLOORGATE_LOG=floorgate::source=debug,info floorgate run";

pub(super) fn run(args: &Args) -> ExitCode {
    logging::init();
    let checked = config::check(&args.config.path);
    for warning in &checked.warnings {
        tracing::warn!(at = %place(warning), key = warning.key, help = warning.help, "configuration: {}", warning.message);
    }
    match checked.config {
        Ok(config) => app::run(config),
        Err(faults) => {
            for fault in &faults {
                tracing::error!(at = %place(fault), key = fault.key, help = fault.help, "configuration: {}", fault.message);
            }
            Exit::Config.into()
        }
    }
}

fn place(fault: &crate::form::Fault) -> String {
    format!("{}:{}:{}", fault.file, fault.line, fault.column)
}
