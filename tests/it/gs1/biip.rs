//! biip (PyPI), another reader of GS1 barcodes, on the same barcodes: where they part, it is known why.
//!
//! biip splits; it judges little. So it is asked how it splits, and each difference must be one of [`DIFFERENCES`].

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use fastrand::Rng;
use floorgate::tagmap::gs1::{Form, Kind, Reading, Rules, Severity, read};
use serde_json::Value as Json;

use super::barcodes::{ai, barcode, codes, value};
use super::elements;
use crate::world::{note, python};

type Elements = Vec<(String, String)>;

/// How biip splits each barcode; `None`: it refuses.
fn split(python: &str, barcodes: &[String]) -> Option<Vec<Option<Elements>>> {
    let has_biip = Command::new(python).args(["-c", "import biip"]).stderr(Stdio::null()).status();
    if !has_biip.is_ok_and(|status| status.success()) {
        note("SKIPPED", "needs biip beside pymodbus: run tests/run");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/biip_split.py");
    let input = tempfile::tempfile().expect("a temp file");
    for barcode in barcodes {
        writeln!(&input, "{}", Json::from(barcode.as_str())).expect("the temp file takes it");
    }
    std::io::Seek::rewind(&mut &input).expect("a file can be read again");
    let output = Command::new(python).arg(script).stdin(input).stderr(Stdio::inherit()).output().expect("biip runs");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let answers: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("it answers in JSON")).collect();
    assert_eq!(answers.len(), barcodes.len(), "one answer a barcode");
    Some(answers.iter().map(|answer| serde_json::from_value(answer["elements"].clone()).ok()).collect())
}

/// What biip 5.2 does otherwise than this gateway: a barcode that shows it, and why the gateway has it so.
const DIFFERENCES: [(&str, &str, &str); 12] = [
    (
        "check digit",
        "]C100395212345000000126",
        "biip shows an SSCC (and any number) with a wrong check digit; here it is a fault",
    ),
    (
        "same AI twice",
        "]C1010952123454321310A\u{1d}10B",
        "biip shows both values; GS1 allows one, so here it is a fault",
    ),
    (
        "field too long",
        "]C14029521234000000000610A",
        "biip cuts a field without separator where the value is longest, and reads on; GS1 wants a separator there, and what \
         is cut off need not be an AI, so here it is a fault that says so",
    ),
    ("percent sign", "]C14300M%C3%B", "biip does not look into percent-encoding"),
    ("space", " ]C100395212345000000125", "biip takes white space off; no scanner adds any, so here it is told"),
    ("empty", "]C1", "biip finds no element strings in nothing and is content; here it is a fault"),
    (
        "identifier of another symbology",
        "]C000395212345000000125",
        "biip reads element strings behind ]C0 and ]Q1, which say that there are none",
    ),
    (
        "link behind an identifier",
        "]Q1https://id.gs1.org/00/395212345000000125",
        "biip reads a Digital Link only where no identifier stands before it",
    ),
    (
        "link in capitals",
        "HTTPS://ID.GS1.ORG/00/395212345000000125",
        "biip wants the scheme in small letters; QR Codes are smaller in capitals, and the standard allows them",
    ),
    ("part identifier", "]C180104JY4", "biip asks five characters of AI 8010; the dictionary one to thirty"),
    ("two dates", "]C17007270131270203", "biip takes the second date of AI 7007 for a time"),
    ("padding", "]C18030QUI=", "biip's AI 8030 has no = at its end; the dictionary has"),
];

/// The difference that explains why biip, which splits as `theirs`, does not say what the gateway says.
fn difference(barcode: &str, ours: &Reading, theirs: Option<&Elements>) -> Option<&'static str> {
    let fault = ours.of(Severity::Fault).next().map(|problem| problem.kind);
    let has = |ai: &str, value: fn(&str) -> bool| ours.elements.iter().any(|e| e.ai == ai && value(&e.raw));
    Some(match (fault, theirs) {
        (Some(Kind::CheckDigit), Some(_)) => "check digit",
        (Some(Kind::Conflict), Some(_)) => "same AI twice",
        (Some(Kind::Length), Some(theirs)) if is_beginning(&elements(ours), theirs) => "field too long",
        (Some(Kind::Content), Some(_)) if barcode.contains('%') => "percent sign",
        (Some(Kind::NotGs1), Some(_)) if ours.form == Form::Other => "identifier of another symbology",
        (Some(Kind::NotGs1), Some(theirs)) if theirs.is_empty() => "empty",
        (Some(Kind::NotGs1), Some(_)) if barcode.contains(' ') => "space",
        (None, None) if ours.form == Form::DigitalLink && ours.symbology.is_some() => "link behind an identifier",
        (None, None) if ours.form == Form::DigitalLink && barcode.starts_with("HTTPS") => "link in capitals",
        (None, None) if has("8010", |value| value.len() < 5) => "part identifier",
        (None, None) if has("7007", |value| value.len() == 12) => "two dates",
        (None, None) if has("8030", |value| value.ends_with('=')) => "padding",
        _ => return None,
    })
}

/// Both split alike up to the field that is too long, which biip cuts.
fn is_beginning(ours: &[(String, String)], theirs: &[(String, String)]) -> bool {
    let mut pairs = ours.iter().zip(theirs).skip_while(|(ours, theirs)| ours == theirs);
    pairs.next().is_some_and(|((ai, ours), (other, theirs))| ai == other && ours.starts_with(theirs.as_str()))
}

#[test]
fn biip_splits_alike_but_for_what_is_explained() {
    let Some(python) = python() else { return };
    let examples = DIFFERENCES.iter().map(|(_, barcode, _)| (*barcode).to_owned());
    let barcodes: Vec<String> = examples.chain(made_up(&mut Rng::with_seed(5))).collect();
    let Some(theirs) = split(&python, &barcodes) else { return };
    let (mut agreed, mut refused, mut explained) = (0, 0, BTreeMap::new());
    for (i, (barcode, theirs)) in barcodes.iter().zip(&theirs).enumerate() {
        let reading = read(barcode, &Rules::default());
        let ours = reading.is_valid().then(|| elements(&reading));
        let name = if ours == *theirs { None } else { difference(barcode, &reading, theirs.as_ref()) };
        if let Some((example, _, why)) = DIFFERENCES.get(i) {
            assert_eq!(name, Some(*example), "no longer so: {why}: {barcode:?} {theirs:?}");
        }
        match name {
            None if ours.is_none() && theirs.is_none() => refused += 1,
            None => {
                assert_eq!(ours, *theirs, "not explained: {barcode:?}: {:?}", reading.problems);
                agreed += 1;
            }
            Some(name) => *explained.entry(name).or_insert(0) += 1,
        }
    }
    note(
        "FIGURE",
        &format!(
            "of {} barcodes biip splits {agreed} alike, refuses {refused} too; else {explained:?}",
            barcodes.len()
        ),
    );
    assert!(agreed > 3_000 && refused > 1_000, "{agreed} {refused}");
}

/// Barcodes as labels have them, and the same with one thing wrong.
fn made_up(rng: &mut Rng) -> Vec<String> {
    let codes = codes();
    let cases: Vec<BTreeMap<String, Json>> =
        serde_json::from_str(include_str!("cases.json")).expect("the cases are JSON");
    let fixed = cases.iter().map(|case| case["barcode"].as_str().expect("a text").to_owned());
    let mut barcodes: Vec<String> = fixed.collect();
    for code in &codes {
        barcodes.push(format!("]C1{code}{}", value(ai(code), rng)));
    }
    for _ in 0..3_000 {
        let elements: Elements = (0..rng.usize(1..6))
            .map(|_| {
                let code = codes[rng.usize(..codes.len())].clone();
                let value = value(ai(&code), rng);
                (code, value)
            })
            .collect();
        let barcode = barcode(&elements);
        barcodes.push(damaged(&barcode, rng));
        barcodes.push(barcode);
    }
    barcodes
}

/// A character lost, doubled, or another, a separator lost, the end lost.
fn damaged(barcode: &str, rng: &mut Rng) -> String {
    let mut text: Vec<char> = barcode.chars().collect();
    let at = rng.usize(3..text.len());
    match rng.u8(0..5) {
        0 => drop(text.remove(at)),
        1 => text.insert(at, text[at]),
        2 => text[at] = char::from(rng.u8(b'0'..=b'Z')),
        3 => text.retain(|c| *c != '\u{1d}'),
        _ => text.truncate(at),
    }
    text.into_iter().collect()
}
