//! `floorgate modbus`: looking at Modbus devices from a laptop, beside a gateway or without one.

mod known;
mod probe;
mod read;
mod scan;
mod write;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use crate::app::Exit;
use crate::cli::{block_on, duration, print};
use crate::config::{self, Config};
use crate::source::health::{Cause, Gauge};
use crate::source::modbus::wire::{CharSize, Framing, Parity, Place, Serial, StopBits, Timing, Trouble, Wire};
use crate::source::modbus::{Config as Link, Device};
use crate::tagmap::Addresses;
use crate::tagmap::points::Area;

/// Read registers, look for devices, find out how a number is held, write what a map allows.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Read(read::Args),
    Scan(scan::Args),
    Probe(probe::Args),
    Write(write::Args),
}

pub(super) fn run(verb: &Verb) -> ExitCode {
    match verb {
        Verb::Read(args) => read::run(args),
        Verb::Scan(args) => scan::run(args),
        Verb::Probe(args) => probe::run(args),
        Verb::Write(args) => write::run(args),
    }
}

/// Where a bus is, and how it is spoken to.
#[derive(Debug, clap::Args)]
struct Bus {
    /// `host` or `host:port` of the device; with --rtu its serial port
    address: String,
    /// The device is on a serial port of this machine, named by ADDRESS. No gateway may have it open meanwhile
    #[arg(long)]
    rtu: bool,
    /// A device server forwards RTU frames over TCP
    #[arg(long, conflicts_with = "rtu")]
    rtu_over_tcp: bool,
    /// Bits a second of the serial port
    #[arg(long, value_name = "N", default_value_t = 19_200, requires = "rtu")]
    baud: u32,
    /// Parity of the serial port; with `none` there are two stop bits unless --stop-bits says one
    #[arg(long, value_name = "WORD", default_value = "even", requires = "rtu", value_parser = ["even", "odd", "none"])]
    parity: String,
    /// Stop bits of the serial port [default: 1, without parity 2]
    #[arg(long, value_name = "N", requires = "rtu", value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: Option<u8>,
    /// How long an answer is waited for
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    timeout: Duration,
}

impl Bus {
    /// The place, or what is wrong with it.
    fn place(&self) -> Result<Place, String> {
        if self.rtu {
            let parity = match self.parity.as_str() {
                "odd" => Parity::Odd,
                "none" => Parity::None,
                _ => Parity::Even,
            };
            let two = self.stop_bits.map_or(parity == Parity::None, |bits| bits == 2);
            return Ok(Place::Serial(Serial {
                port: self.address.clone(),
                baud: self.baud,
                data_bits: CharSize::Bits8,
                parity,
                stop_bits: if two { StopBits::Two } else { StopBits::One },
            }));
        }
        let address = config::modbus_address(&self.address)
            .ok_or_else(|| format!("\"{}\" is no address: write host or host:port", self.address))?;
        Ok(Place::Tcp(address, if self.rtu_over_tcp { Framing::Rtu } else { Framing::Tcp }))
    }

    /// With this pause from one request to the next.
    const fn timing(&self, pause_between: Duration) -> Timing {
        Timing { connect: CONNECT, request: self.timeout, pause_after_connect: Duration::ZERO, pause_between }
    }
}

/// A connection stands after this time, or is not made.
const CONNECT: Duration = Duration::from_secs(3);
/// From one request to the next: a serial line has its silence, and a small PLC the time for its own work.
const PAUSE: Duration = Duration::from_millis(20);

/// A table and an address in it.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Areas {
    /// Holding registers from there on (function 3)
    #[arg(long, value_name = "AT")]
    holding: Option<i64>,
    /// Input registers from there on (function 4)
    #[arg(long, value_name = "AT")]
    input: Option<i64>,
    /// Coils from there on (function 1)
    #[arg(long, value_name = "AT")]
    coil: Option<i64>,
    /// Discrete inputs from there on (function 2)
    #[arg(long, value_name = "AT")]
    discrete: Option<i64>,
}

impl Areas {
    /// The table, and the address counted from 0.
    fn place(&self, base: Option<Base>) -> Result<(Area, u16), String> {
        let given = [
            (Area::Holding, self.holding),
            (Area::Input, self.input),
            (Area::Coil, self.coil),
            (Area::Discrete, self.discrete),
        ];
        let (area, written) = given
            .into_iter()
            .find_map(|(area, at)| at.map(|at| (area, at)))
            .ok_or("name a table: --holding, --input, --coil or --discrete")?;
        address(area, written, base)
    }
}

/// Nobody said how the address is written, and it looks like one of a list that counts holding registers from 40001: what
/// to write then.
fn doubt(area: Area, written: i64, base: Option<Base>) -> Option<String> {
    let (by_number, at) = Addresses::Modicon.resolve(written)?;
    let like_a_list = base.is_none() && area != Area::Coil && by_number == Some(area);
    like_a_list.then(|| {
        format!(
            "{written} is taken for the number on the wire, which counts from 0. If a list calls the first one {}, write \
             --base modicon, or --{} {at}",
            written - i64::from(at),
            area.word()
        )
    })
}

fn written_in(base: Option<Base>) -> Addresses {
    base.unwrap_or(Base::Zero).into()
}

/// The address counted from 0; what is doubtful about it is told.
fn address(area: Area, written: i64, base: Option<Base>) -> Result<(Area, u16), String> {
    if let Some(doubt) = doubt(area, written, base) {
        print::err(&format!("{doubt}\n"));
    }
    let addresses = written_in(base);
    match addresses.resolve(written) {
        None => Err(format!("{written} is no address here; {}", addresses.help())),
        Some((Some(by_number), _)) if by_number != area => {
            let long = area.in_modicon(written).map(|long| format!(" ({} {written} is {long} there)", area.one()));
            let long = long.unwrap_or_default();
            Err(format!("{written} is in the table --{}, not --{}{long}", by_number.word(), area.word()))
        }
        Some((_, at)) => Ok((area, at)),
    }
}

/// How addresses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Base {
    /// The first register is 0, as on the wire
    Zero,
    /// The first register is 1
    One,
    /// The first holding register is 40001 (400001), the first input register 30001
    Modicon,
}

impl From<Base> for Addresses {
    fn from(base: Base) -> Self {
        match base {
            Base::Zero => Self::Zero,
            Base::One => Self::One,
            Base::Modicon => Self::Modicon,
        }
    }
}

/// A Modbus device of the configuration, and its link.
fn device<'c>(config: &'c Config, id: &str) -> Result<(&'c Link, &'c Device), String> {
    let all = || config.modbus.iter().flat_map(|link| link.devices.iter().map(move |device| (link, device)));
    all().find(|(_, device)| *device.id == *id).ok_or_else(|| {
        let known: Vec<&str> = all().map(|(_, device)| &*device.id).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("there is no Modbus device \"{id}\" in the configuration; it has: {known}")
    })
}

/// A running gateway has the serial line.
fn occupied(place: &Place) -> String {
    format!("a gateway has {place} open: stop it first, two on one serial line destroy each other's frames")
}

/// Opens the bus.
async fn open(place: &Place, timing: Timing) -> Result<Wire, Trouble> {
    Wire::open(place, timing, Gauge::default()).await
}

/// What a person can do about it.
fn advice(trouble: &Trouble) -> String {
    let help = match trouble.cause {
        Cause::Exception(2) => {
            "the device has no such address, or not so many from there on: try --count 1, the address before and after \
             (lists count from 0 or from 1), and the other table"
        }
        Cause::Exception(3) => "the device does not take this count: try a smaller one; is the unit id right?",
        Cause::Timeout => {
            "nothing answered: unit id, and on serial lines baud, parity and wiring (A and B) are to be looked at; a slow \
             device wants a longer --timeout"
        }
        Cause::Refused => "is it the right address and port, is the cable in, does another program have the port?",
        Cause::Closed => "the device closed the connection: has it too many already?",
        Cause::Late => "the device is slow: a longer --timeout",
        Cause::WrongTransaction => {
            "a gateway that does not echo ids? --rtu-over-tcp if it can that; in the configuration quirks = \
             [\"no-transaction-echo\"]"
        }
        Cause::WrongUnit => {
            "another device answers for this one: two with one unit id, or one that does not look at it?"
        }
        Cause::Garbage | Cause::Short => {
            "what came is no Modbus answer of this kind: try --rtu-over-tcp, or another baud and parity"
        }
        cause => match cause.hint() {
            Some(hint) => hint,
            None => return trouble.words.clone(),
        },
    };
    format!("{} ({help})", trouble.words)
}

/// Ends with what was in the way.
fn failed(as_json: bool, trouble: &Trouble) -> ExitCode {
    print::refuse(as_json, &advice(trouble), Exit::Unavailable)
}
