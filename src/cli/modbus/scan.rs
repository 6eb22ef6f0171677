//! `floorgate modbus scan`: who is there.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::{Bus, PAUSE, advice, block_on, failed, open};
use crate::app::Exit;
use crate::cli::print::{self, clean, line};
use crate::source::health::Cause;
use crate::source::modbus::wire::{Place, Timing, Trouble, Wire};
use crate::tagmap::points::{Area, Read};

/// Find out which units answer, and what they say of themselves.
///
/// Asks each unit id for one register or bit at address 0 of each table, and those that answer for vendor, product and
/// revision (function 43/14). A refusal is an answer, too. Never writes; one request at a time, with a pause between
/// them. An absent unit costs one --timeout; of one whose answer comes late or can't be read, that is told. Progress
/// goes to stderr. Ends with 69 when no connection can be made, or none any more: then what was found is printed first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    bus: Bus,
    /// Unit ids: `1..32`, `1..247`, or one
    #[arg(long, value_name = "FROM..TO", default_value = "1..32", value_parser = units)]
    units: Units,
    /// Pause between two requests
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = super::duration)]
    pause: Duration,
    /// Print a JSON array of the units that answer, or disturb (`trouble`)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate modbus scan 10.20.0.21
  floorgate modbus scan 10.20.0.30:4001 --rtu-over-tcp --units 1..247 --timeout 200ms
  floorgate modbus scan /dev/serial/by-path/… --rtu --baud 9600 --parity none --units 1..16
  floorgate modbus scan 10.20.0.21 --json | jq -r '.[] | [.unit, .vendor, .product] | @tsv'";

/// First and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Units(u8, u8);

fn units(text: &str) -> Result<Units, String> {
    let help = || format!("\"{text}\" is no range of unit ids: write 1..32, at most 0..255");
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (from.trim(), to.trim().trim_start_matches('='));
    let (from, to) = from.parse().ok().zip(to.parse().ok()).ok_or_else(help)?;
    if from > to { Err(help()) } else { Ok(Units(from, to)) }
}

/// A unit that answers, or disturbs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Answering {
    unit: u8,
    vendor: Option<String>,
    product: Option<String>,
    revision: Option<String>,
    /// Tables that have an address 0.
    areas: Vec<&'static str>,
    /// What the others say.
    refused: Vec<String>,
    /// Something came instead of an answer: why it is none.
    trouble: Option<String>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let place = match args.bus.place() {
        Ok(place) => place,
        Err(why) => return print::refuse(args.json, &why, Exit::Usage),
    };
    let scanned = block_on(async {
        let mut line = Line { place, timing: args.bus.timing(args.pause.max(PAUSE / 20)), wire: None };
        let Units(from, to) = args.units;
        let mut found = Vec::new();
        for unit in from..=to {
            print::err(&format!("\runit {unit} of {from} to {to}, {} found ", found.len()));
            match line.unit(unit).await {
                Ok(answering) => found.extend(answering),
                Err(trouble) => return (found, Some((unit, trouble))),
            }
        }
        (found, None)
    });
    print::err("\n");
    match scanned {
        Err(why) => print::refuse(args.json, &why, Exit::Internal),
        Ok((found, Some((_, trouble)))) if found.is_empty() => failed(args.json, &trouble),
        Ok((found, broken)) => {
            print::out(&if args.json { print::json(&found) } else { text(&found, args.units) });
            let Some((unit, trouble)) = broken else { return Exit::Clean.into() };
            print::err(&format!("unit {unit} and those behind it were not asked: {}\n", advice(&trouble)));
            Exit::Unavailable.into()
        }
    }
}

/// The bus, opened again where a missing answer has spoilt it.
struct Line {
    place: Place,
    timing: Timing,
    wire: Option<Wire>,
}

/// In the order in which they are asked.
const AREAS: [Area; 4] = [Area::Holding, Area::Input, Area::Coil, Area::Discrete];

impl Line {
    /// `None`: nobody answers under that id.
    async fn unit(&mut self, unit: u8) -> Result<Option<Answering>, Trouble> {
        let mut found = Answering { unit, ..Answering::default() };
        for area in AREAS {
            let wire = self.open().await?;
            match wire.get(unit, &Read { area, at: 0, count: 1, alone: true }).await {
                Ok(_) => found.areas.push(area.word()),
                Err(trouble) => {
                    self.keep(&trouble);
                    match trouble.cause {
                        Cause::Exception(code) if !matches!(code, 10 | 11) => {
                            found.refused.push(format!("{}: exception {code}", area.word()));
                        }
                        // A device that knows a table answers for it; one that is silent for the first is not there.
                        Cause::Timeout | Cause::Closed | Cause::Exception(_) if area == AREAS[0] => return Ok(None),
                        _ if area == AREAS[0] => {
                            found.trouble = Some(advice(&trouble));
                            return Ok(Some(found));
                        }
                        cause => found.refused.push(format!("{}: {cause}", area.word())),
                    }
                }
            }
        }
        for object in 0..3 {
            let wire = self.open().await?;
            let text = match wire.identity(unit, object).await {
                Ok(text) => text,
                Err(trouble) => {
                    self.keep(&trouble);
                    break;
                }
            };
            match object {
                0 => found.vendor = text,
                1 => found.product = text,
                _ => found.revision = text,
            }
        }
        Ok(Some(found))
    }

    async fn open(&mut self) -> Result<&mut Wire, Trouble> {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => open(&self.place, self.timing).await?,
        };
        Ok(self.wire.insert(wire))
    }

    fn keep(&mut self, trouble: &Trouble) {
        if !trouble.usable {
            self.wire = None;
        }
    }
}

fn text(found: &[Answering], Units(from, to): Units) -> String {
    let mut text = String::new();
    if found.is_empty() {
        line(
            &mut text,
            &format!("no unit from {from} to {to} answers: try other --units, a longer --timeout, --rtu-over-tcp"),
        );
    }
    for unit in found {
        if let Some(trouble) = &unit.trouble {
            line(&mut text, &format!("unit {}: something comes, but no answer: {trouble}", unit.unit));
            continue;
        }
        let identity: Vec<String> =
            [&unit.vendor, &unit.product, &unit.revision].into_iter().flatten().map(|text| clean(text)).collect();
        let identity = if identity.is_empty() { "does not say what it is".to_owned() } else { identity.join(", ") };
        let mut said = format!("unit {}: {identity}; at address 0: ", unit.unit);
        said += &if unit.areas.is_empty() { "nothing".to_owned() } else { unit.areas.join(", ") };
        if !unit.refused.is_empty() {
            write!(said, " ({})", unit.refused.join(", ")).expect("writing to a String cannot fail");
        }
        line(&mut text, &said);
    }
    let asked = usize::from(to - from) + 1;
    // 4, 10 and 11 are what a server says that has nobody to ask.
    let is_front = |words: &String| ["exception 4", "exception 10", "exception 11"].iter().any(|e| words.ends_with(e));
    let (front, there): (Vec<&Answering>, Vec<&Answering>) = found
        .iter()
        .filter(|unit| unit.trouble.is_none())
        .partition(|unit| unit.areas.is_empty() && unit.refused.iter().all(is_front));
    if asked > 4 && there.len() == asked {
        line(&mut text, "every unit id answers: most likely one device that does not look at the unit id");
    } else if !front.is_empty() && !there.is_empty() {
        let there: Vec<String> = there.iter().map(|unit| unit.unit.to_string()).collect();
        let there = there.join(", ");
        line(&mut text, &format!("most likely there: {there}; for the others a server in front of them answers"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_unit_ids() {
        assert_eq!(units("1..247"), Ok(Units(1, 247)));
        assert_eq!(units("3"), Ok(Units(3, 3)));
        assert_eq!(units("1..=5"), Ok(Units(1, 5)));
        for bad in ["", "5..1", "1..256", "a..b", "-1..5"] {
            assert!(units(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_people_read() {
        let unit = |unit, vendor: Option<&str>, areas: &[&'static str], refused: &[&str]| Answering {
            unit,
            vendor: vendor.map(str::to_owned),
            product: vendor.map(|_| "CW-4".to_owned()),
            revision: None,
            areas: areas.to_vec(),
            refused: refused.iter().map(|text| (*text).to_owned()).collect(),
            trouble: None,
        };
        let late = Some("reading 1 holding register from 0 of unit 3: the answer came 40ms after its time was over");
        let some = [
            unit(1, Some("ACME"), &["holding", "input"], &["coil: exception 1"]),
            unit(2, None, &[], &["holding: exception 2"]),
            Answering { unit: 3, trouble: late.map(str::to_owned), ..Answering::default() },
        ];
        insta::assert_snapshot!(text(&some, Units(1, 32)), @r"
        unit 1: ACME, CW-4; at address 0: holding, input (coil: exception 1)
        unit 2: does not say what it is; at address 0: nothing (holding: exception 2)
        unit 3: something comes, but no answer: reading 1 holding register from 0 of unit 3: the answer came 40ms after its time was over
        ");
        insta::assert_snapshot!(text(&[], Units(1, 32)), @"no unit from 1 to 32 answers: try other --units, a longer --timeout, --rtu-over-tcp");
        let before: Vec<Answering> = (1..=5)
            .map(|id| unit(id, None, if id == 3 { &["holding"] } else { &[] }, &["coil: exception 4"]))
            .collect();
        let last = text(&before, Units(1, 5)).lines().last().map(str::to_owned);
        assert_eq!(last.as_deref(), Some("most likely there: 3; for the others a server in front of them answers"));
        let all: Vec<Answering> = (1..=5).map(|id| unit(id, None, &["holding"], &[])).collect();
        insta::assert_snapshot!(text(&all, Units(1, 5)), @r"
        unit 1: does not say what it is; at address 0: holding
        unit 2: does not say what it is; at address 0: holding
        unit 3: does not say what it is; at address 0: holding
        unit 4: does not say what it is; at address 0: holding
        unit 5: does not say what it is; at address 0: holding
        every unit id answers: most likely one device that does not look at the unit id
        ");
    }
}
