//! `floorgate map show`: the text of a map.

use std::process::ExitCode;

use super::document;
use crate::app::Exit;
use crate::cli::{ConfigFile, print};

/// Print the text of a map, as it is: to read it, or to begin one's own with it.
///
/// Of a name that is found in several places the first that a configuration would use. Ends with 78 if there is none.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// `id@version`, a map, or the folder of a device
    map: String,
    #[command(flatten)]
    config: ConfigFile,
}

const EXAMPLES: &str = "\
Examples:
  floorgate map show sorter@1
  floorgate map show hand-scanner@1 > devices/our-scanner/map.toml";

pub(super) fn run(args: &Args) -> ExitCode {
    match document(&args.map, &args.config.path) {
        Ok(document) => {
            print::out(&document.text);
            Exit::Clean.into()
        }
        Err(why) => print::refuse(false, &why, Exit::Config),
    }
}
