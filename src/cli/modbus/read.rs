//! `floorgate modbus read`: registers and bits as they are.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::{Areas, Base, Bus, PAUSE, advice, block_on, duration, failed, open, written_in};
use crate::app::Exit;
use crate::cli::print::{self, line, table};
use crate::event::{Millis, Value};
use crate::source::now;
use crate::tagmap::Addresses;
use crate::tagmap::points::{Area, Got, Read};
use crate::tagmap::probe::{Kind, kinds};

/// Read registers or bits, as they are.
///
/// Each register in hexadecimal, decimal (unsigned and signed), binary and as two characters; with --type its value as
/// well. One request, which writes nothing. Ends with 69 when nothing answers or the device refuses, and says why.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    bus: Bus,
    /// Unit id
    #[arg(long, value_name = "N", default_value_t = 1)]
    unit: u8,
    #[command(flatten)]
    areas: Areas,
    /// Registers or bits [default: as many as --type has, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2_000))]
    count: Option<u16>,
    /// How AT is written [default: zero]
    #[arg(long, value_enum)]
    base: Option<Base>,
    /// Show values of this type as well: u16, i16, u32, i32, u64, i64, f16, f32, f64, bcd16, bcd32
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Byte order of that type, as in maps: ABCD (high word first) or CDAB, BADC, DCBA; AB or BA; eight letters for 64 bits
    #[arg(long, value_name = "LETTERS", requires = "kind")]
    order: Option<String>,
    /// Read again each TIME, until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,
    /// Print one JSON object for each reading
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floorgate modbus read 10.20.0.21 --unit 1 --holding 100 --count 4
  floorgate modbus read 10.20.0.21 --unit 3 --holding 40011 --base modicon --type f32 --order CDAB
  floorgate modbus read /dev/serial/by-path/… --rtu --baud 9600 --parity none --unit 7 --input 0 --watch 1s
  floorgate modbus read 10.20.0.21:502 --unit 1 --discrete 0 --count 16 --json | jq -c .bits";

/// One reading.
#[derive(Serialize)]
struct Reading {
    at: Millis,
    unit: u8,
    area: &'static str,
    /// As it goes over the wire.
    from: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<Vec<bool>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<Typed>,
}

/// A value of the type that was asked for, or why there is none.
#[derive(Serialize)]
struct Typed {
    /// Its first register, counted from 0.
    at: u16,
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let (read, kind, place) = match asked(args) {
        Ok(asked) => asked,
        Err(why) => return print::refuse(args.json, &why, Exit::Usage),
    };
    let work = async {
        let mut wire = None;
        loop {
            let ended = match wire.take() {
                Some(wire) => Ok(wire),
                None => open(&place, args.bus.timing(PAUSE)).await,
            };
            let trouble = match ended {
                Err(trouble) => trouble,
                Ok(mut open) => match open.get(args.unit, &read).await {
                    Ok(got) => {
                        wire = Some(open);
                        let reading = Reading::of(args.unit, read, got, kind);
                        let text = if args.json { json(&reading) } else { reading.text(written_in(args.base), kind) };
                        let heard = print::live(&text).is_continue();
                        let Some(pause) = args.watch.filter(|_| heard) else { return Exit::Clean.into() };
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    Err(trouble) => {
                        wire = trouble.usable.then_some(open);
                        trouble
                    }
                },
            };
            let Some(pause) = args.watch else { return failed(args.json, &trouble) };
            print::err(&format!("{}\n", advice(&trouble)));
            tokio::time::sleep(pause).await;
        }
    };
    block_on(work).unwrap_or_else(|why| print::refuse(args.json, &why, Exit::Internal))
}

/// What to read where, and as what.
fn asked(args: &Args) -> Result<(Read, Option<Kind>, crate::source::modbus::wire::Place), String> {
    let (area, at) = args.areas.place(args.base)?;
    let kind = args.kind.as_deref().map(|word| kind(word, args.order.as_deref())).transpose()?;
    if area.is_bits() && kind.is_some() {
        return Err("bits have no --type: remove it".to_owned());
    }
    let count = args.count.unwrap_or_else(|| kind.map_or(1, |kind| kind.of.words()));
    let most = if area.is_bits() { 2_000 } else { 125 };
    if count > most {
        return Err(format!("one request has at most {most} of these: write --count 1 to {most}"));
    }
    if u32::from(at) + u32::from(count) > 65_536 {
        return Err(format!("{count} from there go past the last address: write a smaller --count"));
    }
    Ok((Read { area, at, count, alone: true }, kind, args.bus.place()?))
}

fn kind(word: &str, order: Option<&str>) -> Result<Kind, String> {
    let of_word: Vec<Kind> = kinds().filter(|kind| kind.word == word).collect();
    let order = order.filter(|order| *order != "AB");
    let found = of_word.iter().find(|kind| kind.order == order);
    found.copied().ok_or_else(|| {
        let orders: Vec<&str> = of_word.iter().map(|kind| kind.order.unwrap_or("AB")).collect();
        if of_word.is_empty() {
            let mut words: Vec<&str> = kinds().map(|kind| kind.word).collect();
            words.sort_unstable();
            words.dedup();
            return format!("there is no type \"{word}\"; there are {}", words.join(", "));
        }
        format!("{word} needs --order: one of {}", orders.join(", "))
    })
}

fn json(reading: &Reading) -> String {
    let text = serde_json::to_string(reading).expect("numbers and texts always make JSON");
    format!("{text}\n")
}

impl Reading {
    fn of(unit: u8, read: Read, got: Got, kind: Option<Kind>) -> Self {
        let Read { area, at, .. } = read;
        let (words, bits) = match got {
            Got::Words(words) => (Some(words), None),
            Got::Bits(bits) => (None, Some(bits)),
        };
        let values = kind.map_or_else(Vec::new, |kind| typed(at, words.as_deref().unwrap_or_default(), kind));
        Self { at: now().wall, unit, area: area.word(), from: at, words, bits, values }
    }

    fn text(&self, base: Addresses, kind: Option<Kind>) -> String {
        let mut text = String::new();
        let area = [Area::Holding, Area::Input, Area::Coil, Area::Discrete].into_iter().find(|a| a.word() == self.area);
        let written = |at: u16| {
            let written = area.and_then(|area| base.written(area, at));
            written.map_or_else(|| format!("({at})"), |written| written.to_string())
        };
        let count = self.words.as_ref().map_or(0, Vec::len) + self.bits.as_ref().map_or(0, Vec::len);
        let what = if self.bits.is_some() { "bits" } else { "registers" };
        let head =
            format!("unit {}, {} {what}, {count} from {}, {}", self.unit, self.area, written(self.from), self.at);
        line(&mut text, &head);
        let place = |i: usize| written(self.from.saturating_add(u16::try_from(i).unwrap_or(u16::MAX)));
        if let Some(words) = &self.words {
            let mut rows = vec![["at", "hex", "unsigned", "signed", "binary", "text"].map(str::to_owned)];
            rows.extend(words.iter().enumerate().map(|(i, word)| row(place(i), *word)));
            table(&mut text, &rows, 2);
        }
        for (i, bits) in self.bits.iter().flat_map(|bits| bits.chunks(8)).enumerate() {
            let bits: Vec<&str> = bits.iter().map(|bit| if *bit { "1" } else { "0" }).collect();
            line(&mut text, &format!("  {}  {}", place(i * 8), bits.join(" ")));
        }
        for typed in &self.values {
            let order = kind.and_then(|kind| kind.order).map(|order| format!(" {order}")).unwrap_or_default();
            let shown = match (&typed.value, &typed.reason) {
                (Some(value), _) => shown(value),
                (None, reason) => format!("no value: it {}", reason.as_deref().unwrap_or_default()),
            };
            let word = kind.map_or("", |kind| kind.word);
            line(&mut text, &format!("  {}  {word}{order}: {shown}", written(typed.at)));
        }
        text
    }
}

fn typed(at: u16, words: &[u16], kind: Kind) -> Vec<Typed> {
    let size = usize::from(kind.of.words());
    let whole = words.chunks_exact(size).enumerate().map(|(i, words)| {
        let at = at + u16::try_from(i * size).unwrap_or_default();
        match kind.of.decode(words) {
            Ok(value) => Typed { at, value: Some(value), reason: None },
            Err(reason) => Typed { at, value: None, reason: Some(reason) },
        }
    });
    whole.collect()
}

pub(super) fn shown(value: &Value) -> String {
    print::clean(&value.to_string())
}

fn row(at: String, word: u16) -> [String; 6] {
    let binary = format!("{word:016b}");
    let nibbles: Vec<&str> = (0..4).map(|i| &binary[i * 4..i * 4 + 4]).collect();
    let letter = |byte: u8| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' };
    let letters: String = word.to_be_bytes().into_iter().map(letter).collect();
    [at, format!("{word:04X}"), word.to_string(), word.cast_signed().to_string(), nibbles.join(" "), letters]
}

#[cfg(test)]
mod tests {
    use super::super::{address, doubt};
    use super::*;

    const READ: Read = Read { area: Area::Holding, at: 10, count: 4, alone: true };

    fn text(read: Read, got: Got, base: Addresses, kind: Option<Kind>) -> String {
        let reading = Reading { at: Millis(1_763_906_709_412), ..Reading::of(3, read, got, kind) };
        reading.text(base, kind)
    }

    #[test]
    fn registers_are_shown_in_each_way() {
        let words = Got::Words(vec![0x0000, 0x40a0, 0xffff, 0x4142]);
        let cdab = kind("f32", Some("CDAB")).expect("there is this type");
        insta::assert_snapshot!(text(READ, words, Addresses::Modicon, Some(cdab)), @r"
        unit 3, holding registers, 4 from 40011, 2025-11-23T14:05:09.412Z
          at     hex   unsigned  signed               binary  text
          40011  0000         0       0  0000 0000 0000 0000    ..
          40012  40A0     16544   16544  0100 0000 1010 0000    @.
          40013  FFFF     65535      -1  1111 1111 1111 1111    ..
          40014  4142     16706   16706  0100 0001 0100 0010    AB
          40011  f32 CDAB: 5
          40013  f32 CDAB: 12.187499
        ");
    }

    #[test]
    fn bits_are_shown_by_eights() {
        let bits = Got::Bits((0..11).map(|i| i % 3 == 0).collect());
        let read = Read { area: Area::Discrete, at: 0, count: 11, alone: true };
        insta::assert_snapshot!(text(read, bits, Addresses::Zero, None), @r"
        unit 3, discrete bits, 11 from 0, 2025-11-23T14:05:09.412Z
          0  1 0 0 1 0 0 1 0
          8  0 1 0
        ");
    }

    #[test]
    fn a_number_of_a_list_is_doubted() {
        let told = |area, written, base| doubt(area, written, base).unwrap_or_default();
        insta::assert_snapshot!(told(Area::Holding, 40_011, None), @"40011 is taken for the number on the wire, which counts from 0. If a list calls the first one 40001, write --base modicon, or --holding 10");
        insta::assert_snapshot!(told(Area::Input, 300_001, None), @"300001 is taken for the number on the wire, which counts from 0. If a list calls the first one 300001, write --base modicon, or --input 0");
        for (area, written, base) in [
            (Area::Holding, 40_011, Some(Base::Zero)),
            (Area::Input, 40_011, None),
            (Area::Coil, 7, None),
            (Area::Holding, 100, None),
        ] {
            assert_eq!(told(area, written, base), "", "{area:?} {written}");
        }
    }

    #[test]
    fn a_short_number_of_a_list_is_no_register_there() {
        let told = address(Area::Holding, 101, Some(Base::Modicon)).expect_err("101 is a coil");
        insta::assert_snapshot!(told, @"101 is in the table --coil, not --holding (holding register 101 is 40101 there)");
    }

    #[test]
    fn a_type_needs_the_right_order() {
        let wrong = |word, order| kind(word, order).expect_err("it is wrong");
        insta::assert_snapshot!(wrong("f32", None), @"f32 needs --order: one of ABCD, CDAB, BADC, DCBA");
        insta::assert_snapshot!(wrong("u64", Some("CDAB")), @"u64 needs --order: one of ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA");
        insta::assert_snapshot!(wrong("float", None), @r#"there is no type "float"; there are bcd16, bcd32, f16, f32, f64, i16, i32, i64, u16, u32, u64"#);
        assert_eq!(kind("u16", None), kind("u16", Some("AB")));
    }
}
