//! `floorgate schema`: what editors complete by.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::app::Exit;
use crate::cli::print;
use crate::config::schema;

/// Print the JSON Schema of device maps or of the configuration, for editors that complete and check keys.
///
/// docs/tag-maps.md says how an editor is told of it. It knows keys, types and words; `check` and `map test` know what they
/// mean together.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Of which file
    of: Of,
}

/// A file that people write.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    /// `devices/*/map.toml`
    Map,
    /// `gateway.toml`
    Gateway,
}

const EXAMPLES: &str = "\
Examples:
  floorgate schema map > map.schema.json          then `#:schema ./map.schema.json` in the first line of map.toml
  floorgate schema gateway > gateway.schema.json";

pub(super) fn run(args: &Args) -> ExitCode {
    print::out(match args.of {
        Of::Map => schema::MAP,
        Of::Gateway => schema::GATEWAY,
    });
    Exit::Clean.into()
}
