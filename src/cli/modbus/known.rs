//! The `[[probe]]` blocks of a map, run against the device: known values that prove it on the site.

use std::path::Path;
use std::process::ExitCode;

use rust_decimal::Decimal;
use serde::Serialize;

use super::probe::Args;
use super::{PAUSE, block_on, failed, open};
use crate::app::Exit;
use crate::cli::print::{self, clean, line};
use crate::cli::{map, modbus};
use crate::config;
use crate::control::{self, Request};
use crate::event::Value;
use crate::source::health::Cause;
use crate::source::modbus::Identity;
use crate::source::modbus::wire::{Place, Timing, Trouble, Wire};
use crate::source::now;
use crate::tagmap::points::{Got, Points, Probe, Quality, Shown};
use crate::tagmap::probe::apart_by;
use crate::tagmap::{Binding, Map};

/// A device and its map.
struct Device {
    place: Place,
    timing: Timing,
    unit: u8,
    identity: Option<Identity>,
    map: String,
    points: Points,
}

/// What came of a map's probes.
#[derive(Debug, Serialize)]
struct Report {
    map: String,
    unit: u8,
    probes: Vec<Proof>,
}

#[derive(Debug, Serialize)]
struct Proof {
    tag: String,
    /// It shows what it must.
    ok: bool,
    value: Option<Value>,
    unit: Option<String>,
    quality: Quality,
    /// Why it has no value.
    reason: Option<String>,
    expect: Decimal,
    within: Decimal,
    hint: String,
}

/// Reads what the map reads, and compares.
pub(super) fn run(args: &Args) -> ExitCode {
    let device = match (&args.config, &args.map) {
        (Some(config), _) => of_configuration(config, &args.bus.address),
        (None, map) => of_map(args, map.as_deref().unwrap_or_default()),
    };
    let mut device = match device {
        Ok(device) => device,
        Err((why, exit)) => return print::refuse(args.json, &why, exit),
    };
    if device.points.probes().is_empty() {
        let why = format!(
            "the map {} has no [[probe]]: add one with a value that you can make the device show, or look for a value with --expect",
            device.map
        );
        return print::refuse(args.json, &why, Exit::Usage);
    }
    match block_on(device.look()) {
        Err(why) => return print::refuse(args.json, &why, Exit::Internal),
        Ok(Err(trouble)) => return failed(args.json, &trouble),
        Ok(Ok(())) => {}
    }
    let shown = device.points.shown();
    let probes = device.points.probes().iter().filter_map(|probe| Proof::of(probe, &shown)).collect();
    let report = Report { map: device.map, unit: device.unit, probes };
    print::out(&if args.json { print::json(&report) } else { report.text() });
    if report.probes.iter().all(|proof| proof.ok) { Exit::Clean.into() } else { NOT_AS_EXPECTED.into() }
}

const NOT_AS_EXPECTED: u8 = 1;

fn of_configuration(path: &Path, id: &str) -> Result<Device, (String, Exit)> {
    let config = config::load(path).map_err(|faults| (print::faults(&faults), Exit::Config))?;
    let (link, device) = modbus::device(&config, id).map_err(|why| (why, Exit::Usage))?;
    let points = device.map.points.clone();
    let points = points.ok_or_else(|| (format!("the map {} of {id} has no tags", device.map.name), Exit::Usage))?;
    let runs = control::ask::<control::Status>(&config.outbox.dir, Request::Status).is_ok();
    if runs && matches!(link.place, Place::Serial(_)) {
        return Err((modbus::occupied(&link.place), Exit::Usage));
    }
    Ok(Device {
        place: link.place.clone(),
        timing: link.timing,
        unit: device.unit,
        identity: device.identity.clone(),
        map: device.map.name.to_string(),
        points,
    })
}

fn of_map(args: &Args, name: &str) -> Result<Device, (String, Exit)> {
    let document = map::document(name, Path::new("")).map_err(|why| (why, Exit::Config))?;
    let params = args.param.iter().cloned().collect();
    let binding = Binding { params, accept_epoch_risk: true, ..Binding::of("device") };
    let map = Map::read(&document, &binding).map_err(|faults| (print::faults(&faults), Exit::Config))?;
    let points = map.points.ok_or_else(|| (format!("the map {} has no tags", map.name), Exit::Usage))?;
    Ok(Device {
        place: args.bus.place().map_err(|why| (why, Exit::Usage))?,
        timing: args.bus.timing(PAUSE),
        unit: args.unit,
        identity: None,
        map: map.name.to_string(),
        points,
    })
}

impl Device {
    /// One poll of each period, as the gateway would; twice over, as a tag may be scaled by one of a later poll.
    async fn look(&mut self) -> Result<(), Trouble> {
        let mut wire = open(&self.place, self.timing).await?;
        if let Some(Identity { object, equals }) = &self.identity {
            let says = wire.identity(self.unit, *object).await?.unwrap_or_default();
            if says != *equals {
                let words = format!("the device says it is \"{says}\", not \"{equals}\" as configured");
                return Err(Trouble { cause: Cause::WrongDevice, words, usable: true });
            }
        }
        let mut answers = Vec::new();
        for poll in 0..self.points.polls().len() {
            answers.push(self.poll(&mut wire, poll).await?);
        }
        for (poll, answers) in answers.iter().enumerate().chain(answers.iter().enumerate()) {
            self.points.observe(poll, answers, now());
            self.points.committed();
        }
        Ok(())
    }

    /// The answers of one poll; a request that the device refuses is split until the address that it has not is found.
    async fn poll(&mut self, wire: &mut Wire, poll: usize) -> Result<Vec<Option<Got>>, Trouble> {
        let mut answers = Vec::new();
        while let Some(read) = self.points.polls()[poll].reads.get(answers.len()).copied() {
            match wire.get(self.unit, &read).await {
                Ok(got) => answers.push(Some(got)),
                Err(trouble) if trouble.cause == Cause::Exception(2) => self.points.refused(poll, answers.len()),
                Err(trouble) if matches!(trouble.cause, Cause::Exception(code) if !NOT_THERE.contains(&code)) => {
                    answers.push(None);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(answers)
    }
}

/// A gateway answers for a unit that does not (Modbus Application Protocol 1.1b3, 7).
const NOT_THERE: [u8; 2] = [10, 11];

impl Proof {
    fn of(probe: &Probe, shown: &[Shown]) -> Option<Self> {
        let tag = shown.iter().find(|tag| tag.tag == probe.tag)?;
        let value = tag.value.as_ref().filter(|_| tag.quality == Quality::Good);
        let number = value.and_then(|value| match value {
            Value::Int(number) => Some(Decimal::from(*number)),
            Value::Text(text) => text.parse().ok(),
            Value::Bool(is) => Some(Decimal::from(u8::from(*is))),
            Value::List(_) => None,
        });
        Some(Self {
            tag: tag.tag.clone(),
            ok: number.and_then(|number| apart_by(number, probe.expect)).is_some_and(|off| off <= probe.within),
            value: value.cloned(),
            unit: tag.unit.clone(),
            quality: tag.quality,
            reason: tag.reason.clone(),
            expect: probe.expect,
            within: probe.within,
            hint: probe.hint.clone(),
        })
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        line(&mut text, &format!("{} on unit {}:", self.map, self.unit));
        for Proof { tag, ok, value, unit, quality, reason, expect, within, hint } in &self.probes {
            let unit = unit.as_ref().map(|unit| format!(" {}", clean(unit))).unwrap_or_default();
            let shows = match value {
                Some(value) => format!("{tag} is {}{unit}", clean(&value.to_string())),
                None => format!("{tag} is {}: {}", quality.word(), clean(reason.as_deref().unwrap_or_default())),
            };
            let within = if within.is_zero() { String::new() } else { format!(" +- {within}") };
            let judged = if *ok { "ok " } else { "off" };
            line(&mut text, &format!("  {judged}  {shows}; expected {expect}{within}{unit}"));
            if !ok && !hint.is_empty() {
                line(&mut text, &format!("       {}", clean(hint)));
            }
        }
        if self.probes.iter().any(|proof| !proof.ok && proof.value.is_some()) {
            line(
                &mut text,
                "how a number is held is found with --expect NUMBER in place of the map, while the device shows it",
            );
        }
        text
    }
}
