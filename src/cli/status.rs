//! `floorgate status`: asks the running gateway how its links, devices and outbox are doing.

mod instances;
mod outbox;
mod parts;
mod system;

use std::path::Path;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::app::Exit;
use crate::cli::place::Place;
use crate::cli::print::{self, age, line};
use crate::cli::trouble::agree;
use crate::control::{self, Request, Unanswered};
use crate::event::Millis;
use crate::outbox::StorageError;
use crate::outbox::read::find::Rest;
use crate::outbox::read::{self, Bounds};
use crate::source::health;

use outbox::Outbox;
pub(super) use parts::state;
pub(super) use system::{shows, target};

/// Ask the running gateway how its links, devices and outbox are doing.
///
/// For each link and device: its state and since when, its last good answer or message, how long its last poll took,
/// requests and messages since the gateway started, how many of them failed, how many polls were left out because one took
/// too long, and why the last failure was, until an hour after it is over; then the alarms that stand, the
/// systems whose breaker is open and the lanes that too many rejections have stopped. With a DEVICE: its row,
/// and each of its tags as the gateway reads it: value, unit, whether it can be trusted, how old it is and why there is
/// none; in parentheses the last one that was good. Of a device with instances behind it (`hand-p07` of `hand`) it lists when
/// each has sent last; DEVICE may be one of them. Asks through control.sock in the data directory, which is the user's that runs the gateway.
///
/// Ends with 0 when the gateway has answered, whatever it has to tell; with 69 when none runs, it can't be asked or knows no
/// such device (without DEVICE it tells how the outbox stands all the same); with 74 when the gateway runs and its outbox
/// can't be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Tell of this device, instance of one, or link alone, with its tags
    device: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate status
  floorgate status --config config/gateway.toml
  floorgate status scale-1
  floorgate status hand-p07
  floorgate status scale-1 --json | jq -r '.tags[] | select(.quality != \"good\") | [.tag, .reason] | @tsv'
  floorgate status --json | jq -r '.gateway.devices[] | select(.state != \"up\") | [.id, .last_error.words] | @tsv'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, bounds) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    if let Some(device) = &args.device {
        let found = control::ask::<health::Device>(&dir, Request::Device { device: device.clone() });
        return match found.map_err(|why| why.to_string()).and_then(|found| instances::Shown::of(&dir, device, found)) {
            Ok(shown) => {
                print::out(&if args.json { print::json(&shown) } else { shown.text(now) });
                Exit::Clean.into()
            }
            Err(why) => print::refuse(args.json, &why, Exit::Unavailable),
        };
    }
    let report = Report::of(&dir, bounds, control::ask(&dir, Request::Status), args.place.names_dir(), now);
    print::out(&if args.json { print::json(&report) } else { report.text(now) });
    match (&report.gateway, &report.outbox_error) {
        (None, _) => Exit::Unavailable.into(),
        (Some(_), Some(_)) => Exit::Storage.into(),
        (Some(_), None) => Exit::Clean.into(),
    }
}

#[derive(Serialize)]
struct Report {
    data_dir: String,
    /// What the gateway says of itself.
    gateway: Option<control::Status>,
    /// Why it says nothing.
    gateway_error: Option<String>,
    /// When the database's files were last written, if no gateway says more; of a copy, when it was made.
    last_written: Option<Millis>,
    /// The same of what is in it: the last event, attempt or answer.
    last_stored: Option<Millis>,
    /// The directory itself was named: it may be a copy.
    #[serde(skip)]
    named: bool,
    outbox: Option<Outbox>,
    outbox_error: Option<String>,
    /// No gateway runs.
    #[serde(skip)]
    rest: Option<Rest>,
    /// A start would refuse what is stored.
    #[serde(skip)]
    refused: bool,
}

/// What helps where none runs.
const START: &str = "  what helps: start it (as a service: `systemctl start floorgate`); brokers and PLCs hold what comes, as far as they can";
/// The same where that may be a copy.
const START_NO_COPY: &str = "  what helps: if this is the gateway's own data directory, start it (as a service: `systemctl start floorgate`); never one on a copy: it would post again";

impl Report {
    fn of(
        dir: &Path,
        bounds: Option<Bounds>,
        gateway: Result<control::Status, Unanswered>,
        named: bool,
        now: Millis,
    ) -> Self {
        let rest = super::rest(gateway.as_ref().err(), named);
        let (mut gateway, gateway_error) = match gateway {
            Ok(gateway) => (Some(gateway), None),
            Err(why) => (None, Some(why.to_string())),
        };
        let bounds = gateway.as_ref().map(|gateway| gateway.bounds.clone()).or(bounds);
        let (outbox, error) = match read::status(dir, now.0) {
            Ok(mut status) => {
                agree(&mut status, gateway.as_mut(), bounds.as_ref(), (rest, named));
                (Some(Outbox::of(&status, bounds.as_ref(), gateway.as_ref(), rest, now)), None)
            }
            Err(e) => (None, Some(e)),
        };
        let at_rest = gateway.is_none();
        Self {
            data_dir: dir.display().to_string(),
            last_written: at_rest.then(|| last_written(dir)).flatten(),
            last_stored: at_rest.then(|| read::last_stored(dir).ok()).flatten().flatten(),
            named,
            rest,
            gateway,
            gateway_error,
            outbox,
            refused: matches!(
                error,
                Some(StorageError::Damaged { .. } | StorageError::Newer { .. } | StorageError::Foreign { .. })
            ),
            outbox_error: error.map(|e| e.to_string()),
        }
    }

    fn text(&self, now: Millis) -> String {
        let mut text = String::new();
        if let Some(gateway) = &self.gateway {
            let control::Status { version, pid, site, gateway: id, since, .. } = gateway;
            let since = age(since.0, now);
            line(&mut text, &format!("gateway {id} of site {site} runs for {since}: process {pid}, version {version}"));
            parts::table(&mut text, &gateway.health, now);
            let holds = self.outbox.as_ref().map(|outbox| outbox.holds.as_slice()).unwrap_or_default();
            gateway.systems.iter().for_each(|system| target(&mut text, system, holds, now));
        }
        if let Some(why) = &self.gateway_error {
            line(&mut text, why);
        }
        if self.gateway.is_none() {
            let last = |what: &str, at: Millis| format!("{what} {} ago, at {at}", age(at.0, now));
            match (self.last_written, self.last_stored) {
                (_, Some(at)) if self.named => {
                    line(&mut text, &last("the last event or attempt in its database was", at));
                }
                (Some(at), _) if !self.named => line(&mut text, &last("its database was last written", at)),
                _ => {}
            }
        }
        if self.rest.is_some() && self.last_written.is_some() && !self.refused {
            line(&mut text, if self.named { START_NO_COPY } else { START });
        }
        if let Some(outbox) = &self.outbox {
            let systems = self.gateway.as_ref().map(|gateway| gateway.systems.as_slice()).unwrap_or_default();
            outbox.text(&mut text, &self.data_dir, systems, now);
        }
        if let Some(why) = &self.outbox_error {
            line(&mut text, why);
        }
        text
    }
}

/// When the database's files were last written.
fn last_written(dir: &Path) -> Option<Millis> {
    let written =
        read::FILES.iter().filter_map(|name| std::fs::metadata(dir.join(name)).ok()?.modified().ok()).max()?;
    let ms = written.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Millis)
}

#[cfg(test)]
mod tests;
