//! Which outbox a verb looks at.

use std::path::PathBuf;

use crate::cli::print;
use crate::config::{self, Config};
use crate::outbox::read::{Bounds, lacks_wal};

/// The configuration that names the data directory, or the directory itself.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The configuration that names the data directory; FLOORGATE_CONFIG in the environment names another default
    #[arg(long, value_name = "FILE", default_value_os_t = config::default_file())]
    config: PathBuf,
    /// The data directory itself, or a copy of one; bounds are known then only from a gateway that runs on it
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The data directory, and its bounds if a configuration says them. Of a copy that was made without its WAL that is told.
    pub(super) fn find(&self) -> Result<(PathBuf, Option<Bounds>), String> {
        self.find_with_zone().map(|(dir, bounds, _)| (dir, bounds))
    }

    /// The same, and the site's time zone if a configuration says it.
    pub(super) fn find_with_zone(&self) -> Result<(PathBuf, Option<Bounds>, Option<String>), String> {
        if let Some(dir) = &self.data_dir {
            if lacks_wal(dir) {
                print::err(
                    "outbox.db was not closed by its gateway and has no outbox.db-wal beside it: what was written last may be missing\n",
                );
            }
            return Ok((dir.clone(), None, None));
        }
        match config::load(&self.config) {
            Ok(config) => {
                let bounds = Bounds::of(&config.outbox, &config.lanes, &config.desks);
                Ok((config.outbox.dir, Some(bounds), Some(config.timezone)))
            }
            Err(faults) => Err(format!(
                "{}\nname the data directory with --data-dir to look at it without a configuration",
                print::faults(&faults)
            )),
        }
    }

    /// The directory itself was named, and may be a copy.
    pub(super) fn names_dir(&self) -> bool {
        self.data_dir.is_some()
    }

    /// The configuration, where one is named and can be read.
    pub(super) fn configured(&self) -> Option<Config> {
        self.data_dir.is_none().then(|| config::load(&self.config).ok()).flatten()
    }

    #[cfg(test)]
    pub(super) fn of(dir: &std::path::Path) -> Self {
        Self { config: PathBuf::new(), data_dir: Some(dir.to_owned()) }
    }
}
