//! `floorgate modbus write`: what a map allows, and nothing else.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{block_on, failed, occupied, open};
use crate::app::Exit;
use crate::cli::print;
use crate::config::{self, Config};
use crate::control::{self, Request};
use crate::event::Value;
use crate::source::modbus::Identity;
use crate::source::modbus::wire::{Place, Timing, Trouble};
use crate::source::now;
use crate::tagmap::Quirk;
use crate::tagmap::points::{Put, WriteRequest};

/// Write a value that a map allows.
///
/// Only by a [[write]] of the device's map, within its range, and read back where the map says so: there is no way to
/// write a bare address. Tells what will be sent and whom the map means it for, and asks first, unless --yes; who you are is
/// not checked: whoever may run this and read the configuration may write what the map has. A device whose identity is configured is
/// asked for it before. Ends with 64 when the map does not allow it, it was not agreed to, or more time went by than its
/// `expires` allows; with 69 when the device does not answer, refuses, or does not hold the value afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The configuration that has the device
    #[arg(long, value_name = "FILE", default_value_os_t = config::default_file())]
    config: PathBuf,
    /// Id of the device
    device: String,
    /// Name of the [[write]]
    name: String,
    /// A number, true or false, or a word of its enum
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate modbus write lane-17 enable true
  floorgate modbus write --config config/gateway.toml scale-1 setpoint 12.5
  floorgate modbus write scale-1 mode manual --yes";

/// A write that is allowed, and where it goes.
struct Order {
    place: Place,
    timing: Timing,
    unit: u8,
    identity: Option<Identity>,
    /// Its answers have ids of their own.
    any_id: bool,
    request: WriteRequest,
    allowed: Vec<String>,
    /// Behind the value, for people.
    unit_words: String,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => return print::refuse(false, &print::faults(&faults), Exit::Config),
    };
    let order = match order(&config, &args.device, &args.name, &args.value) {
        Ok(order) => order,
        Err(why) => return print::refuse(false, &why, Exit::Usage),
    };
    let runs = control::ask::<control::Status>(&config.outbox.dir, Request::Status).is_ok();
    if runs && matches!(order.place, Place::Serial(_)) {
        return print::refuse(false, &occupied(&order.place), Exit::Usage);
    }
    print::err(&format!("{}\n", order.words(&args.device, &args.name, &args.value)));
    let asked = now().mono;
    if !args.yes && !agreed() {
        return print::refuse(false, "nothing was written", Exit::Usage);
    }
    match block_on(order.carry_out(asked)) {
        Err(why) => print::refuse(false, &why, Exit::Internal),
        Ok(Err(trouble)) => failed(false, &trouble),
        Ok(Ok(Done::TooLate(why))) => print::refuse(false, &format!("nothing was written: it {why}"), Exit::Usage),
        Ok(Ok(Done::OtherDevice(says))) => {
            let why = format!("nothing was written: the device says it is \"{says}\", which is not the configured one");
            print::refuse(false, &why, Exit::Unavailable)
        }
        Ok(Ok(Done::NotHeld)) => {
            let why = "the device took the request and does not hold the value: is it in a mode that allows it?";
            print::refuse(false, why, Exit::Unavailable)
        }
        Ok(Ok(Done::Written)) => {
            let how = if order.request.verify.is_some() {
                "written and read back"
            } else {
                "written; the map asks for no reading back"
            };
            print::out(&format!("{how}\n"));
            Exit::Clean.into()
        }
    }
}

/// Asks the person at the terminal; where there is none, nobody agrees.
fn agreed() -> bool {
    if !std::io::stdin().is_terminal() {
        print::err("there is no terminal to ask at: write --yes to agree beforehand\n");
        return false;
    }
    print::err("write it? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

fn order(config: &Config, device: &str, name: &str, value: &str) -> Result<Order, String> {
    let (link, found) = super::device(config, device)?;
    let points = found.map.points.as_ref();
    let points = points.ok_or_else(|| format!("the map {} of {device} has no [[write]]", found.map.name))?;
    let request = points.write(name, &value_of(value))?;
    Ok(Order {
        place: link.place.clone(),
        timing: link.timing,
        unit: found.unit,
        identity: found.identity.clone(),
        any_id: found.has(Quirk::NoTransactionEcho),
        request,
        allowed: points.allowed(name).to_vec(),
        unit_words: points.write_unit(name).map(|unit| format!(" {unit}")).unwrap_or_default(),
    })
}

fn value_of(text: &str) -> Value {
    match (text, text.parse::<i64>()) {
        ("true", _) => Value::Bool(true),
        ("false", _) => Value::Bool(false),
        (_, Ok(number)) => Value::Int(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// What became of it.
enum Done {
    Written,
    NotHeld,
    OtherDevice(String),
    TooLate(String),
}

impl Order {
    fn words(&self, device: &str, name: &str, value: &str) -> String {
        let WriteRequest { put, area, at, verify, .. } = &self.request;
        let what = match put {
            Put::Coil(on) => format!("{on}"),
            Put::Coils(on) => format!("{on:?}"),
            Put::Register(word) => format!("{word:04X}"),
            Put::Registers(words) => words.iter().map(|word| format!("{word:04X}")).collect::<Vec<_>>().join(" "),
            Put::Mask { and, or } => format!("and {and:04X}, or {or:04X}"),
        };
        let verify = if verify.is_some() { ", then read back" } else { "" };
        format!(
            "{device}: {name} = {value}{}\n  to unit {} at {}: function {}, {} {at} (from 0): {what}{verify}\n  the map means it for: {} (not checked here: who may run this may write)",
            self.unit_words,
            self.unit,
            self.place,
            put.function(),
            area.word(),
            self.allowed.join(", "),
        )
    }

    /// `asked`: when it was asked for, monotonic milliseconds. A person may think it over for long, and a device may take its time
    /// before it is known to be the right one.
    async fn carry_out(&self, asked: u64) -> Result<Done, Trouble> {
        let mut wire = open(&self.place, self.timing).await?;
        wire.take_any_id_of(self.any_id.then_some(self.unit).into_iter().collect());
        if let Some(identity) = &self.identity {
            let says = wire.identity(self.unit, identity.object).await?.unwrap_or_default();
            if says != identity.equals {
                return Ok(Done::OtherDevice(says));
            }
        }
        if let Err(why) = self.request.may_leave(Duration::from_millis(now().mono - asked)) {
            return Ok(Done::TooLate(why));
        }
        let WriteRequest { put, at, verify, .. } = &self.request;
        let held = match verify {
            Some(back) => wire.put_verified(self.unit, *at, put, *back).await?,
            None => wire.put(self.unit, *at, put).await?,
        };
        Ok(if held { Done::Written } else { Done::NotHeld })
    }
}
