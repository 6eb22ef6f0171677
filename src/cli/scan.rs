//! `floorgate scan`: what a barcode says.

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::Exit;
use crate::cli::print;
use crate::tagmap::gs1::{self, Form, Kind, Problem, Reading, Rules, Severity};

/// Look at what scanners send
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Decode(Decode),
}

/// Take a barcode apart after GS1: element strings, EAN and UPC, Digital Links.
///
/// Give it as the scanner sends it, with the symbology identifier (]C1) if there is one, as an argument or as a line on
/// stdin. Tells each problem with its place: a fault makes the barcode invalid (exit code 65); a suspicion is valid, and
/// probably not what was meant; a note breaks a rule that only all barcodes of a thing together must keep.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Decode {
    /// The barcode; a line of stdin without it
    barcode: Option<String>,
    /// Another stand-in for the separator; may be given several times
    #[arg(long, value_name = "TEXT")]
    separator: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
The group separator may be itself, or written \\x1d, \\u001d, <GS>, {GS} or ^].

Examples:
  floorgate scan decode ']d201095212345432131727013110LOT-7<GS>21SER01'
  floorgate scan decode 'https://id.gs1.org/00/395212345000000125'
  floorgate scan decode --separator '~' '10LOT-7~3724'
  mosquitto_sub -C 1 -t dc1/scan/A1/read | jq -r .barcode | floorgate scan decode --json | jq .elements";

/// How people and their tools write the separator.
const WRITTEN: [&str; 5] = ["\\x1d", "\\u001d", "<GS>", "{GS}", "^]"];
/// Longest line of stdin that is looked at, in bytes.
const MAX_LINE: u64 = 64 << 10;

pub(super) fn run(verb: &Verb) -> ExitCode {
    let Verb::Decode(args) = verb;
    let barcode = match args.barcode.clone().map_or_else(line, Ok) {
        Ok(barcode) => barcode,
        Err(why) => {
            print::err(&format!("floorgate scan: stdin can't be read: {why}\n"));
            return Exit::Usage.into();
        }
    };
    let separators = WRITTEN.iter().map(|text| (*text).to_owned()).chain(args.separator.iter().cloned()).collect();
    let year = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).year();
    let reading = gs1::read(&barcode, &Rules { separators, year, ..Rules::default() });
    print::out(&if args.json { json(&barcode, &reading) } else { shown(&barcode, &reading) });
    if reading.is_valid() { Exit::Clean.into() } else { Exit::Data.into() }
}

/// One line, without its end.
fn line() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::Read::take(std::io::stdin().lock(), MAX_LINE).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn json(barcode: &str, reading: &Reading) -> String {
    #[derive(serde::Serialize)]
    struct Answer<'a> {
        barcode: &'a str,
        valid: bool,
        #[serde(flatten)]
        reading: &'a Reading,
    }
    let answer = Answer { barcode, valid: reading.is_valid(), reading };
    format!("{}\n", serde_json::to_string_pretty(&answer).expect("texts and numbers always make JSON"))
}

fn shown(barcode: &str, reading: &Reading) -> String {
    let mut text = format!("{}: {}\n", symbology(reading), if reading.is_valid() { "valid" } else { "invalid" });
    text += &table(reading);
    for problem in &reading.problems {
        text += &place(barcode, problem);
    }
    text
}

/// What it is, as far as its identifier and its form say.
fn symbology(reading: &Reading) -> String {
    let form = match reading.form {
        Form::ElementStrings => "GS1 element strings",
        Form::PlainNumber => "a GTIN without AI",
        Form::DigitalLink => "GS1 Digital Link",
        Form::Other => "no GS1 barcode",
    };
    let by = match reading.symbology.as_deref() {
        Some("]C1") => "GS1-128",
        Some("]d2") => "GS1 DataMatrix",
        Some("]Q3") => "GS1 QR Code",
        Some("]J1") => "GS1 DotCode",
        Some("]e0") => "GS1 DataBar",
        Some("]E0") => "EAN-13, UPC",
        Some("]E4") => "EAN-8",
        Some("]I1") => "ITF-14",
        Some("]d1") => "Data Matrix",
        Some("]Q1") => "QR Code",
        Some(_) => "another symbology",
        None => return format!("{form}, without symbology identifier"),
    };
    format!("{form}, {} ({by})", reading.symbology.as_deref().unwrap_or_default())
}

/// AI, title, value as it stands, and what it says where that differs.
fn table(reading: &Reading) -> String {
    let rows: Vec<[String; 4]> = reading.elements.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [ai, title, raw, says] in &rows {
        let line =
            format!("  {ai:w0$}  {title:w1$}  {raw:w2$}  {says}", w0 = widths[0], w1 = widths[1], w2 = widths[2]);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(element: &gs1::Element) -> [String; 4] {
    let says = match &element.value {
        None => "invalid".to_owned(),
        Some(gs1::Value::Text(text)) if *text == element.raw => String::new(),
        Some(gs1::Value::Text(text) | gs1::Value::Decimal(text) | gs1::Value::Date(text)) => text.clone(),
        Some(gs1::Value::Count(count)) => count.to_string(),
    };
    [format!("({})", element.ai), element.title.to_owned(), visible(&element.raw), says]
}

/// The barcode with a mark under the place, and what is wrong there.
fn place(barcode: &str, problem: &Problem) -> String {
    let before = visible(barcode.get(..problem.at.start).unwrap_or_default()).chars().count();
    let marked = visible(barcode.get(problem.at.clone()).unwrap_or_default()).chars().count().max(1);
    let severity = match problem.severity {
        Severity::Fault => "fault",
        Severity::Suspicion => "suspicion",
        Severity::Note => "note",
    };
    let mut text = format!("\n{severity}: {}\n  {}\n", problem.message, visible(barcode));
    writeln!(text, "  {}{}", " ".repeat(before), "^".repeat(marked)).expect("writing to a String cannot fail");
    if let Some(explained) = explained(problem.kind) {
        writeln!(text, "  {explained}").expect("writing to a String cannot fail");
    }
    text
}

/// What to do about it, where the message alone does not say.
const fn explained(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::MissingSeparator => {
            "As it stands the value is legal, so nothing but you can tell: scan the label again with the separator\n  \
             (FNC1, ASCII 29) passed on, or say in the map's `require` what must be there."
        }
        Kind::UnlistedSeparator => {
            "If the scanner sends that for the separator: --separator here, `separator` in the map."
        }
        _ => return None,
    })
}

/// Control characters by their pictures, one column each.
fn visible(text: &str) -> String {
    let picture = |c: char| char::from_u32(0x2400 + u32::from(c)).filter(|_| c < ' ').unwrap_or(c);
    text.chars().map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(barcode: &str) -> String {
        let separators = WRITTEN.iter().map(|text| (*text).to_owned()).collect();
        shown(barcode, &gs1::read(barcode, &Rules { separators, ..Rules::default() }))
    }

    #[test]
    fn a_valid_barcode_is_a_table() {
        insta::assert_snapshot!(decoded("]d2010952123454321317270200310300125010LOT-7<GS>30024^]21SER01"), @r#"
        GS1 element strings, ]d2 (GS1 DataMatrix): valid
          (01)    GTIN              09521234543213
          (17)    USE BY or EXPIRY  270200          2027-02-28
          (3103)  NET WEIGHT (kg)   001250          1.250
          (10)    BATCH/LOT         LOT-7
          (30)    VAR. COUNT        024             24
          (21)    SERIAL            SER01
        "#);
        insta::assert_snapshot!(decoded("HTTPS://ID.GS1.ORG/gtin/09521234543213?99=a%20b"), @r#"
        GS1 Digital Link, without symbology identifier: invalid
          (01)  GTIN      09521234543213
          (99)  INTERNAL  a b             invalid

        note: `gtin` is deprecated in Digital Links: it is (01)
          HTTPS://ID.GS1.ORG/gtin/09521234543213?99=a%20b
                             ^^^^

        fault: (99) INTERNAL: has " ", expected letters, digits and !"%&'()*+,-./:;<=>?_
          HTTPS://ID.GS1.ORG/gtin/09521234543213?99=a%20b
                                                    ^^^^^
        "#);
    }

    #[test]
    fn problems_are_marked_at_their_place() {
        insta::assert_snapshot!(decoded("]C100395212345000000126"), @r#"
        GS1 element strings, ]C1 (GS1-128): invalid
          (00)  SSCC  395212345000000126  invalid

        fault: (00) SSCC: has the check digit 6, expected 5
          ]C100395212345000000126
                                ^
        "#);
        insta::assert_snapshot!(decoded("]C1010952123454321310ABC17270131"), @r#"
        GS1 element strings, ]C1 (GS1-128): valid
          (01)  GTIN       09521234543213
          (10)  BATCH/LOT  ABC17270131

        suspicion: (10) BATCH/LOT ends in (17)270131: the separator before it may be missing
          ]C1010952123454321310ABC17270131
                                  ^^^^^^^^
          As it stands the value is legal, so nothing but you can tell: scan the label again with the separator
          (FNC1, ASCII 29) passed on, or say in the map's `require` what must be there.
        "#);
        insta::assert_snapshot!(decoded("]C10109521234543213\u{1d}10é\u{1d}04"), @r#"
        GS1 element strings, ]C1 (GS1-128): invalid
          (01)  GTIN       09521234543213
          (10)  BATCH/LOT  é               invalid

        fault: (10) BATCH/LOT: has "é", expected letters, digits and !"%&'()*+,-./:;<=>?_
          ]C10109521234543213␝10é␝04
                                ^

        fault: no application identifier begins with "04"
          ]C10109521234543213␝10é␝04
                                  ^^
        "#);
        insta::assert_snapshot!(decoded("]C0LOC-1"), @r#"
        no GS1 barcode, ]C0 (another symbology): invalid

        fault: its symbology identifier says that it is no GS1 barcode; those have ]C1, ]d2, ]Q3, ]J1, ]e0
          ]C0LOC-1
          ^^^
        "#);
    }

    #[test]
    fn the_json_has_all_of_it() {
        let reading = gs1::read("]C13103001250", &Rules::default());
        insta::assert_snapshot!(json("]C13103001250", &reading), @r#"
        {
          "barcode": "]C13103001250",
          "valid": true,
          "symbology": "]C1",
          "form": "element-strings",
          "elements": [
            {
              "ai": "3103",
              "title": "NET WEIGHT (kg)",
              "raw": "001250",
              "value": {
                "type": "decimal",
                "value": "1.250"
              },
              "at": {
                "start": 7,
                "end": 13
              }
            }
          ],
          "problems": [
            {
              "severity": "note",
              "kind": "without",
              "at": {
                "start": 7,
                "end": 13
              },
              "message": "(3103) NET WEIGHT (kg) belongs to (01) or (02)"
            }
          ]
        }
        "#);
    }
}
