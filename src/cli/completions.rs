//! `floorgate completions`: for the shell.

use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::print;

/// Write the completions of a shell to stdout.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell
    #[arg(value_name = "bash|elvish|fish|powershell|zsh")]
    shell: clap_complete::Shell,
}

const EXAMPLES: &str = "\
Examples:
  floorgate completions bash > /etc/bash_completion.d/floorgate
  floorgate completions zsh > ~/.zfunc/_floorgate
  floorgate completions fish > ~/.config/fish/completions/floorgate.fish";

pub(super) fn run(args: &Args, mut command: clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "floorgate", &mut script);
    print::out(&String::from_utf8_lossy(&script));
    Exit::Clean.into()
}
