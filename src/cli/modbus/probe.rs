//! `floorgate modbus probe`: how does the device hold a number that is known?

use std::path::PathBuf;
use std::process::ExitCode;

use rust_decimal::Decimal;
use serde::Serialize;

use super::{Base, Bus, PAUSE, address, block_on, failed, known, open, written_in};
use crate::app::Exit;
use crate::cli::map::parameter;
use crate::cli::print::{self, line};
use crate::source::health::Cause;
use crate::source::modbus::wire::{Place, Trouble, Wire};
use crate::tagmap::Addresses;
use crate::tagmap::points::{Area, Got, Read};
use crate::tagmap::probe::{Known, Match, Piece, TextMatch, search, search_text, second_values, sizes};

/// Find out how a device holds a number or a text, from a value that is known; or whether a map reads it rightly.
///
/// Put a weight of 5 kg on the scale, and say so: reads up to four registers from there, from one before and from one
/// behind, and tries every type, every byte order and the scales 1, 0.1, 0.01, 0.001 and 10. Prints what fits, the
/// likeliest first, each as a line for `tag = [ … ]` of a map. Where several fit it says which second value would tell
/// them apart. A text (a label's number, digits too) is looked for in the four ways in which registers hold characters.
///
/// With --map or --config it runs the `[[probe]]` blocks of a map instead: reads the device as the gateway would, and tells of
/// each known value whether the device shows it. Reads only. Ends with 69 when nothing answers, with 1 when nothing fits or
/// a probe is off.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) bus: Bus,
    /// Unit id
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) unit: u8,
    #[command(flatten)]
    place: Registers,
    /// How AT is written, here and in the lines for the map [default: zero]
    #[arg(long, value_enum)]
    base: Option<Base>,
    /// What the device shows
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, requires = "Registers")]
    #[arg(required_unless_present_any = ["map", "config"])]
    expect: Option<String>,
    /// How far a number may be off [default: half of its last decimal; nothing for a whole number]
    #[arg(long, value_name = "NUMBER")]
    within: Option<Decimal>,
    /// Run the `[[probe]]` blocks of this map: a file, the folder of a device, or `id@version`
    #[arg(long, value_name = "MAP", conflicts_with_all = ["expect", "Registers", "config"])]
    pub(super) map: Option<String>,
    /// A parameter of the map; may be given several times
    #[arg(long, value_name = "NAME=VALUE", requires = "map", value_parser = parameter)]
    pub(super) param: Vec<(String, String)>,
    /// Run the `[[probe]]` blocks of a device of this configuration: ADDRESS is its id
    #[arg(long, value_name = "FILE", conflicts_with_all = ["expect", "Registers", "rtu", "rtu_over_tcp"])]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Bits hold no numbers.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Registers {
    /// Holding register
    #[arg(long, value_name = "AT")]
    holding: Option<i64>,
    /// Input register
    #[arg(long, value_name = "AT")]
    input: Option<i64>,
}

const EXAMPLES: &str = "\
Examples:
  floorgate modbus probe 10.20.0.21 --unit 3 --holding 10 --expect 5.000
  floorgate modbus probe 10.20.0.21 --unit 3 --holding 40011 --base modicon --expect 5.000 --within 0.01
  floorgate modbus probe 10.20.0.21 --unit 3 --holding 200 --expect 395212345000000125
  floorgate modbus probe 10.20.0.21 --unit 3 --map checkweigher@2
  floorgate modbus probe scale-1 --config config/gateway.toml
  floorgate modbus probe /dev/serial/by-path/… --rtu --baud 9600 --unit 7 --input 0 --expect -12.5";

/// Matches that are shown to people.
const SHOWN: usize = 10;
/// Matches that are told apart by second values.
const COMPARED: usize = 16;

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    /// The registers, as far as they could be read: each first register counted from 0, with its words.
    read: Vec<(u16, Vec<u16>)>,
    matches: Vec<Fit>,
    /// Ways to be this text.
    texts: Vec<TextFit>,
    /// Values that would tell the matches apart.
    second_values: Vec<Decimal>,
}

#[derive(Debug, Serialize)]
struct TextFit {
    /// Counted from 0, as it goes over the wire.
    at: u16,
    line: String,
}

/// What the device shows: a text or a number; a number of a label may be both.
#[derive(Debug, Clone)]
struct Shown {
    text: Option<String>,
    number: Option<Known>,
}

/// So many digits may be a label's: a GTIN has 8 or more.
const LABEL: usize = 8;

/// The longest text that is looked for: one request has 125 registers.
const LONGEST: usize = 125;

#[derive(Debug, Serialize)]
struct Fit {
    value: Decimal,
    /// Counted from 0, as it goes over the wire.
    at: u16,
    line: String,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if args.map.is_some() || args.config.is_some() {
        return known::run(args);
    }
    let (area, at, known, place) = match asked(args) {
        Ok(asked) => asked,
        Err(why) => return print::refuse(args.json, &why, Exit::Usage),
    };
    let pieces = block_on(pieces(args, &place, (area, at), &known));
    let pieces = match pieces {
        Err(why) => return print::refuse(args.json, &why, Exit::Internal),
        Ok(Err(trouble)) => return failed(args.json, &trouble),
        Ok(Ok(pieces)) => pieces,
    };
    let report = Report::of(&pieces, at, &known, area, written_in(args.base));
    print::out(&if args.json { print::json(&report) } else { report.text(at, &known) });
    if report.matches.is_empty() && report.texts.is_empty() { NOTHING_FITS.into() } else { Exit::Clean.into() }
}

const NOTHING_FITS: u8 = 1;

fn asked(args: &Args) -> Result<(Area, u16, Shown, Place), String> {
    let (area, written) = match (args.place.holding, args.place.input) {
        (Some(at), _) => (Area::Holding, at),
        (None, Some(at)) => (Area::Input, at),
        (None, None) => return Err("name a table: --holding or --input".to_owned()),
    };
    let (area, at) = address(area, written, args.base)?;
    let expect = args.expect.as_deref().ok_or("say what the device shows: --expect VALUE")?;
    let shown = Shown::of(expect, args.within)?;
    Ok((area, at, shown, args.bus.place()?))
}

impl Shown {
    fn of(text: &str, within: Option<Decimal>) -> Result<Self, String> {
        let number: Option<Decimal> = text.parse().ok();
        if number.is_some_and(|number| number.is_zero()) {
            return Err("0 is in every empty register: have the device show another value".to_owned());
        }
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if number.is_none() && !fits {
            return Err(format!("\"{text}\" is neither a number nor a text of 1 to {LONGEST} ASCII characters"));
        }
        if number.is_none() && within.is_some() {
            return Err(format!("\"{text}\" is a text: --within is for numbers, remove it"));
        }
        let known = |number: Decimal| {
            let scale = number.scale();
            let half = if scale == 0 { Decimal::ZERO } else { Decimal::new(5, (scale + 1).min(28)) };
            Known { value: number.normalize(), within: within.unwrap_or(half).abs() }
        };
        let may_be_label =
            number.is_none() || (fits && text.len() >= LABEL && text.bytes().all(|b| b.is_ascii_digit()));
        Ok(Self { text: may_be_label.then(|| text.to_owned()), number: number.map(known) })
    }

    /// Registers to read in one request, the most first: what a text or a number may take, or what the device gives.
    fn counts(&self) -> Vec<u16> {
        let of_text = self.text.as_deref().map(sizes);
        let mut counts: Vec<u16> = of_text.into_iter().flatten().chain([4, 2, 1]).collect();
        counts.retain(|count| usize::from(*count) <= LONGEST);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts.dedup();
        counts
    }
}

/// Registers from each of the three addresses; none where the device has none.
async fn pieces(args: &Args, place: &Place, (area, at): (Area, u16), shown: &Shown) -> Result<Vec<Piece>, Trouble> {
    let mut wire = open(place, args.bus.timing(PAUSE)).await?;
    let (mut pieces, mut refusal) = (Vec::new(), None);
    let starts = [Some(at), at.checked_sub(1), at.checked_add(1)];
    for start in starts.into_iter().flatten() {
        match piece(&mut wire, args.unit, (area, start), &shown.counts()).await {
            Ok(piece) => pieces.push(piece),
            Err(trouble) if matches!(trouble.cause, Cause::Exception(_)) => {
                refusal.get_or_insert(trouble);
            }
            Err(trouble) => return Err(trouble),
        }
    }
    match refusal {
        Some(trouble) if pieces.is_empty() => Err(trouble),
        _ => Ok(pieces),
    }
}

/// As many as the device gives in one request.
async fn piece(wire: &mut Wire, unit: u8, (area, at): (Area, u16), counts: &[u16]) -> Result<Piece, Trouble> {
    let most = u32::from(u16::MAX) - u32::from(at) + 1;
    let mut refusal = None;
    for count in counts.iter().copied().filter(|count| u32::from(*count) <= most) {
        match wire.get(unit, &Read { area, at, count, alone: true }).await {
            Ok(Got::Words(words)) => return Ok(Piece { at, words }),
            Ok(Got::Bits(_)) => {}
            Err(trouble) if matches!(trouble.cause, Cause::Exception(2 | 3)) => refusal = Some(trouble),
            Err(trouble) => return Err(trouble),
        }
    }
    Err(refusal.unwrap_or_else(|| Trouble {
        cause: Cause::Short,
        words: "no register could be read".to_owned(),
        usable: true,
    }))
}

impl Report {
    fn of(pieces: &[Piece], asked: u16, shown: &Shown, area: Area, base: Addresses) -> Self {
        let fit = |found: &Match| Some(Fit { value: found.value, at: found.at, line: found.line(area, base)? });
        let text = |found: &TextMatch| Some(TextFit { at: found.at, line: found.line(area, base)? });
        let found = shown.number.map(|known| search(pieces, asked, known)).unwrap_or_default();
        let texts = shown.text.as_deref().map(|text| search_text(pieces, asked, text)).unwrap_or_default();
        let told_apart = &found[..found.len().min(COMPARED)];
        Self {
            read: pieces.iter().map(|piece| (piece.at, piece.words.clone())).collect(),
            matches: found.iter().filter_map(fit).collect(),
            texts: texts.iter().filter_map(text).collect(),
            second_values: shown.number.map(|known| second_values(told_apart, pieces, known)).unwrap_or_default(),
        }
    }

    fn text(&self, asked: u16, shown: &Shown) -> String {
        let mut text = String::new();
        for (at, words) in &self.read {
            let words: Vec<String> = words.iter().map(|word| format!("{word:04X}")).collect();
            let place = match i32::from(*at) - i32::from(asked) {
                0 => "where you look",
                1.. => "one behind",
                _ => "one before",
            };
            line(&mut text, &format!("read {place}: {}", words.join(" ")));
        }
        let label = shown.text.as_deref().unwrap_or_default();
        for TextFit { at, line: of_map } in &self.texts {
            line(&mut text, &format!("the text \"{label}\": {of_map}{}", beside(*at, asked)));
        }
        let nothing = "look at the address, the table and the unit id, and that the device shows this value now";
        let Some(known) = shown.number else {
            if self.texts.is_empty() {
                line(&mut text, &format!("no text \"{label}\" begins there: {nothing}"));
            }
            return text;
        };
        let within = known.within.normalize();
        let within = if within.is_zero() { String::new() } else { format!(" +- {within}") };
        let count = self.matches.len();
        match count {
            0 if self.texts.is_empty() => {
                line(&mut text, &format!("nothing is {}{within} there: {nothing}", known.value));
                return text;
            }
            0 => return text,
            1 => line(&mut text, &format!("one way to be {}{within}:", known.value)),
            _ => line(&mut text, &format!("{count} ways to be {}{within}, the likeliest first:", known.value)),
        }
        for Fit { value, at, line: of_map } in self.matches.iter().take(SHOWN) {
            let other = beside(*at, asked);
            let off = if *value == known.value { String::new() } else { format!("   # is {value}") };
            line(&mut text, &format!("  {of_map}{off}{other}"));
        }
        if count > SHOWN {
            line(&mut text, &format!("  … and {} more (--json has all)", count - SHOWN));
        }
        if count > 1 {
            let values: Vec<String> = self.second_values.iter().map(ToString::to_string).collect();
            line(
                &mut text,
                &match values.as_slice() {
                    [] => "no other value tells them apart: take the first".to_owned(),
                    [one] => format!("to tell them apart, probe again while it shows another value: {one}, say"),
                    more => format!(
                        "to tell them apart, probe again while it shows other values: {}, say",
                        more.join(", then ")
                    ),
                },
            );
        }
        text
    }
}

/// What is found beside the address that was asked for hints at the other base.
fn beside(at: u16, asked: u16) -> &'static str {
    match i32::from(at) - i32::from(asked) {
        0 => "",
        1.. => "   # one behind: is the base right?",
        _ => "   # one before: is the base right?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[u16], expect: &str, within: &str) -> String {
        let decimal = |text: &str| text.parse::<Decimal>().expect("the test writes numbers");
        let within = expect.parse::<Decimal>().is_ok().then(|| decimal(within));
        let shown = Shown::of(expect, within).expect("the test writes what can be looked for");
        let pieces: Vec<Piece> = [1, 0, 2]
            .into_iter()
            .map(|from: u16| {
                let most = usize::from(shown.counts()[0]);
                let words = words[usize::from(from)..].iter().take(most).copied().collect();
                Piece { at: 9 + from, words }
            })
            .collect();
        Report::of(&pieces, 10, &shown, Area::Holding, Addresses::Modicon).text(10, &shown)
    }

    #[test]
    fn a_text_is_found_and_digits_are_one_too() {
        let label: Vec<u16> =
            b"\x00\x00395212345000000125".chunks(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
        let told = said(&label, "395212345000000125", "0");
        let line = "{ name = \"value\", area = \"holding\", at = 40011, type = \"string\", words = 9, bytes = \"high-first\" }";
        assert!(told.ends_with(&format!("\nthe text \"395212345000000125\": {line}\n")), "{told}");
        let told = said(&[0, 0, 0, 0, 0, 0], "AB-7", "0");
        assert!(told.contains("\nno text \"AB-7\" begins there: look at the address"), "{told}");
        assert_eq!(Shown::of("AB-7", None).map(|shown| shown.counts()), Ok(vec![4, 2, 1]));
        for (wrong, within) in [("", None), ("0.0", None), ("AB", Some(Decimal::ONE)), ("\u{e9}", None)] {
            assert!(Shown::of(wrong, within).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!(said(&[0, 0x0000, 0x40a0, 7, 7, 7], "5.000", "0.0005"), @r#"
        read where you look: 0000 40A0 0007 0007
        read one before: 0000 0000 40A0 0007
        read one behind: 40A0 0007 0007 0007
        2 ways to be 5 +- 0.0005, the likeliest first:
          { name = "value", area = "holding", at = 40011, type = "f32", order = "CDAB" }
          { name = "value", area = "holding", at = 40012, type = "f32", order = "ABCD" }   # is 5.0000033   # one behind: is the base right?
        to tell them apart, probe again while it shows another value: 6.15, say
        "#);
        insta::assert_snapshot!(said(&[0, 0, 5, 9, 9, 9], "5", "0"), @r#"
        read where you look: 0000 0005 0009 0009
        read one before: 0000 0000 0005 0009
        read one behind: 0005 0009 0009 0009
        7 ways to be 5, the likeliest first:
          { name = "value", area = "holding", at = 40011, type = "u32", order = "ABCD" }
          { name = "value", area = "holding", at = 40011, type = "i32", order = "ABCD" }
          { name = "value", area = "holding", at = 40011, type = "bcd32", order = "ABCD" }
          { name = "value", area = "holding", at = 40011, type = "bcd32", order = "BADC", scale = 0.01 }
          { name = "value", area = "holding", at = 40012, type = "u16" }   # one behind: is the base right?
          { name = "value", area = "holding", at = 40012, type = "i16" }   # one behind: is the base right?
          { name = "value", area = "holding", at = 40012, type = "bcd16" }   # one behind: is the base right?
        to tell them apart, probe again while it shows other values: 40000, then 30000000, then 10, say
        "#);
        insta::assert_snapshot!(said(&[0, 4_998, 0x1111, 9, 9, 9], "5.000", "0.01"), @r#"
        read where you look: 1386 1111 0009 0009
        read one before: 0000 1386 1111 0009
        read one behind: 1111 0009 0009 0009
        4 ways to be 5 +- 0.01, the likeliest first:
          { name = "value", area = "holding", at = 40011, type = "u16", scale = 0.001 }   # is 4.998
          { name = "value", area = "holding", at = 40011, type = "i16", scale = 0.001 }   # is 4.998
          { name = "value", area = "holding", at = 40010, type = "u32", order = "ABCD", scale = 0.001 }   # is 4.998   # one before: is the base right?
          { name = "value", area = "holding", at = 40010, type = "i32", order = "ABCD", scale = 0.001 }   # is 4.998   # one before: is the base right?
        to tell them apart, probe again while it shows another value: 40, say
        "#);
        insta::assert_snapshot!(said(&[1, 2, 3, 4, 5, 6], "77", "0"), @r"
        read where you look: 0002 0003 0004 0005
        read one before: 0001 0002 0003 0004
        read one behind: 0003 0004 0005 0006
        nothing is 77 there: look at the address, the table and the unit id, and that the device shows this value now
        ");
    }
}
