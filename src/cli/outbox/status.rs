//! `floorgate outbox status`: the backlog, the room left, and what needs a person.

mod lanes;
mod lists;
mod room;

use std::path::Path;
use std::process::ExitCode;

use crate::app::Exit;
use crate::cli::hold;
use crate::cli::place::Place;
use crate::cli::print::{self, age, line};
use crate::cli::status::target;
use crate::cli::trouble::agree;
use crate::control::{self, Request, Unanswered};
use crate::event::Millis;
use crate::lane::System;
use crate::outbox::read::find::Rest;
use crate::outbox::read::{self, Bounds, LISTED, Status};

pub(in crate::cli) use lanes::at_start;
pub(in crate::cli) use lists::missing;
pub(in crate::cli) use room::{Full, Room};

/// Show the backlog, the room left, dead letters and bad input.
///
/// Rows of each lane by state: ready (may be sent, or behind another row of its subject), sending (sent, not answered),
/// accepted (the target has taken it over and will book it later: it is asked, and nothing is sent twice), unknown (may have had
/// effect: resent under its key, or looked up; where the target can do neither a person's), waiting (had no effect, goes again
/// later), rejected (a dead letter: needs a person), held (not sent until a person decides), delivered. A lane with too many parked
/// subjects, or of which too many rows were refused, has stopped, and is named. Ends with 74 when there is no outbox or it can't
/// be read, whether a gateway runs or not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    /// List at most so many dead letters, held rows and waiting rows
    #[arg(long, value_name = "N", default_value_t = LISTED)]
    limit: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate outbox status
  floorgate outbox status --limit 1000
  floorgate outbox status --data-dir /mnt/copy/floorgate --json | jq '.lanes[] | {lane, ready, rejected}'";

pub(super) fn run(args: &Args) -> ExitCode {
    let (dir, bounds) = match args.place.find() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Config),
    };
    let now = crate::source::now().wall;
    let mut gateway: Result<control::Status, _> = control::ask(&dir, Request::Status);
    let bounds = bounds.or_else(|| gateway.as_ref().ok().map(|gateway| gateway.bounds.clone()));
    match read::status_with(&dir, now.0, args.limit) {
        Ok(mut status) => {
            let named = args.place.names_dir();
            let rest = crate::cli::rest(gateway.as_ref().err(), named);
            agree(&mut status, gateway.as_mut().ok(), bounds.as_ref(), (rest, named));
            let report = Report { rest, ..Report::of(&dir, &status, bounds.as_ref(), gateway.as_ref()) };
            print::out(&if args.json { print::json(&report) } else { report.text(now) });
            Exit::Clean.into()
        }
        Err(e) => print::refuse(args.json, &e.to_string(), Exit::Storage),
    }
}

/// Whether a gateway runs on the outbox, and which one.
#[derive(serde::Serialize)]
struct Gateway {
    /// `None`: it can't be told.
    running: Option<bool>,
    pid: Option<u32>,
    since: Option<Millis>,
    /// Why it can't be asked.
    error: Option<String>,
    /// The systems that are posted to.
    systems: Vec<System>,
}

impl Gateway {
    fn of(gateway: Result<&control::Status, &Unanswered>) -> Self {
        let nothing = Self { running: None, pid: None, since: None, error: None, systems: Vec::new() };
        match gateway {
            Ok(status) => {
                let (pid, since, systems) = (Some(status.pid), Some(status.since), status.systems.clone());
                Self { running: Some(true), pid, since, systems, ..nothing }
            }
            Err(Unanswered::NotRunning(_)) => Self { running: Some(false), ..nothing },
            Err(why) => Self { error: Some(why.to_string()), ..nothing },
        }
    }
}

#[derive(serde::Serialize)]
struct Report<'a> {
    data_dir: String,
    gateway: Gateway,
    #[serde(flatten)]
    room: Option<Room>,
    /// Nothing more is taken from devices …
    full: bool,
    /// … for that reason.
    full_by: Option<Full>,
    /// Lanes that send nothing new: too many subjects are parked.
    stopped: Vec<&'a str>,
    #[serde(skip)]
    bounds: Option<&'a Bounds>,
    /// No gateway runs.
    #[serde(skip)]
    rest: Option<Rest>,
    #[serde(flatten)]
    status: &'a Status,
}

impl<'a> Report<'a> {
    fn of(
        dir: &Path,
        status: &'a Status,
        bounds: Option<&'a Bounds>,
        gateway: Result<&control::Status, &Unanswered>,
    ) -> Self {
        let full_by = Full::of(status, bounds, gateway.ok());
        let rest = crate::cli::rest(gateway.err(), false);
        Self {
            data_dir: dir.display().to_string(),
            gateway: Gateway::of(gateway),
            full: full_by.is_some(),
            full_by,
            room: bounds.map(|bounds| Room::of(status, bounds.max_size)),
            bounds,
            rest,
            stopped: bounds.map(|bounds| stopped(status, bounds)).unwrap_or_default(),
            status,
        }
    }

    fn text(&self, now: Millis) -> String {
        let Self { status, .. } = self;
        let mut text = String::new();
        let newest = status.newest_at.map_or_else(String::new, |at| format!(", the newest {} old", age(at, now)));
        line(&mut text, &format!("outbox in {}: {} events{newest}", self.data_dir, status.events));
        let Gateway { running, pid, since, error, systems } = &self.gateway;
        match (running, pid, since) {
            (Some(true), Some(pid), Some(since)) => {
                line(&mut text, &format!("a gateway runs on it: process {pid}, for {}", age(since.0, now)));
            }
            (Some(false), ..) => line(&mut text, "no gateway runs on it: nothing is read and nothing is posted"),
            _ => line(&mut text, error.as_deref().unwrap_or_default()),
        }
        for system in systems {
            target(&mut text, system, &status.holds, now);
        }
        lanes::table(&mut text, &status.lanes, now);
        lanes::stops(&mut text, &self.stopped, &status.lanes);
        if systems.is_empty() {
            lanes::storms(&mut text, &status.lanes, &status.holds, self.rest);
        }
        lanes::behind(&mut text, &status.lanes, self.bounds);
        hold::told(&mut text, &status.holds, now);
        lanes::unknown(&mut text, &status.lanes, (&status.holds, self.bounds), self.rest, now);
        lanes::accepted(&mut text, &status.lanes, now);
        lanes::troubles(&mut text, &status.lanes, (systems, self.bounds), now);
        let runs = *running != Some(false);
        room::storage(&mut text, (&self.data_dir, runs), status, self.room.as_ref(), self.full_by);
        lists::letters(&mut text, status, now);
        lists::held(&mut text, status, now);
        lists::waiting(&mut text, status, now);
        lists::suspects(&mut text, status, now);
        lists::bad_input(&mut text, &status.bad_input, now);
        lists::counts(&mut text, &status.counts, now);
        text
    }
}

/// Lanes that send nothing new.
pub(in crate::cli) fn stopped<'a>(status: &'a Status, bounds: &Bounds) -> Vec<&'a str> {
    status.lanes.iter().filter(|lane| bounds.stop(lane)).map(|lane| lane.lane.as_str()).collect()
}

#[cfg(test)]
mod tests;
