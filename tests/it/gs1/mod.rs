//! GS1 barcodes: every application identifier, made-up barcodes there and back, fixed cases, what the fuzzer found.

mod barcodes;
mod biip;
mod floor;
#[path = "../../../fuzz/checks/gs1.rs"]
mod laws;

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;
use floorgate::tagmap::gs1::{Ai, Check, Kind, Reading, Rules, Set, Severity, read};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::world::note;
use barcodes::{ai, barcode, codes, longest, value};

fn elements(reading: &Reading) -> Vec<(String, String)> {
    reading.elements.iter().map(|element| (element.ai.clone(), element.raw.clone())).collect()
}

fn faults(barcode: &str) -> Vec<Kind> {
    read(barcode, &Rules::default()).of(Severity::Fault).map(|problem| problem.kind).collect()
}

#[test]
fn every_ai_takes_what_fits_it_and_refuses_what_does_not() {
    let mut rng = Rng::with_seed(7);
    let codes = codes();
    assert_eq!(codes.len(), 541);
    for code in &codes {
        let ai = ai(code);
        for _ in 0..20 {
            takes(code, &value(ai, &mut rng));
        }
        let longest = longest(ai, &mut rng);
        takes(code, &longest);
        refuses_lengths(code, ai, &longest, &mut rng);
        refuses_characters(code, ai, &longest);
        refuses_content(code, ai, &longest);
    }
}

#[track_caller]
fn takes(code: &str, value: &str) {
    let reading = read(&format!("]C1{code}{value}"), &Rules::default());
    assert_eq!(reading.of(Severity::Fault).next(), None, "({code}) {value}");
    assert_eq!(elements(&reading), [(code.to_owned(), value.to_owned())]);
    assert!(reading.elements[0].value.is_some(), "({code}) {value} says something");
    assert!(reading.problems.iter().all(|p| p.kind != Kind::UnknownCode), "({code}) {value}: {:?}", reading.problems);
}

fn refuses_lengths(code: &str, ai: &Ai, longest: &str, rng: &mut Rng) {
    assert_eq!(faults(&format!("]C1{code}")), [Kind::Length], "({code}) without value");
    let shortest = value(ai, rng);
    let short: String = shortest.chars().take(ai.min() - 1).collect();
    let kinds = faults(&format!("]C1{code}{short}"));
    assert_eq!(kinds.last(), Some(&Kind::Length), "({code}) {short}");
    if !ai.has(Check::Iban) {
        let more = if ai.parts.last().is_some_and(|part| part.set == Set::Digits) { '1' } else { 'A' };
        let expected = if ai.predefined { Kind::UnknownAi } else { Kind::Length };
        let long = format!("]C1{code}{longest}{more}");
        assert_eq!(faults(&long), [expected], "{long}");
    }
}

fn refuses_characters(code: &str, ai: &Ai, valid: &str) {
    let mut at = 0;
    for part in &ai.parts {
        let wrong = if part.set == Set::Digits { "A" } else { "^" };
        let mut text = valid.to_owned();
        if at >= text.len() {
            break;
        }
        text.replace_range(at..=at, wrong);
        assert_eq!(faults(&format!("]C1{code}{text}")), [Kind::Character], "({code}) {text}");
        text.replace_range(at..=at, "é");
        assert_eq!(faults(&format!("]C1{code}{text}"))[0], Kind::Character, "({code}) {text}");
        at += part.max;
    }
}

/// Each check of a part, broken alone.
fn refuses_content(code: &str, ai: &Ai, valid: &str) {
    let mut at = 0;
    for part in &ai.parts {
        let piece = valid[at..].chars().take(part.max).collect::<String>();
        for check in &part.checks {
            let Some(wrong) = broken(*check, &piece) else { continue };
            let text = format!("{}{wrong}{}", &valid[..at], &valid[at + piece.len()..]);
            let is_check_digit = matches!(check, Check::Digit | Check::Pair | Check::Iban);
            let expected = if is_check_digit { Kind::CheckDigit } else { Kind::Content };
            assert!(faults(&format!("]C1{code}{text}")).contains(&expected), "({code}) {text}: {check:?}");
        }
        at += piece.len();
    }
}

fn broken(check: Check, piece: &str) -> Option<String> {
    Some(match check {
        Check::Digit => {
            let (body, digit) = piece.split_at(piece.len() - 1);
            format!("{body}{}", (digit.parse::<u8>().expect("a digit") + 1) % 10)
        }
        Check::Pair => format!("{}00", &piece[..piece.len() - 2]),
        Check::Iban => "DE92100000000123456789".to_owned(),
        Check::DateOrMonth => "271300".to_owned(),
        Check::Date => "270200".to_owned(),
        Check::LongDate => "20270229".to_owned(),
        Check::Time => "2400".to_owned(),
        Check::Hour => "24".to_owned(),
        Check::Minute | Check::Second => "60".to_owned(),
        Check::Percent => "%C3%".to_owned(),
        Check::Padding => "A=".repeat(2),
        Check::Latitude => "1800000001".to_owned(),
        Check::Longitude => "3600000001".to_owned(),
        Check::Flag => "2".to_owned(),
        Check::Sex | Check::Winding => "3".to_owned(),
        Check::Minus | Check::Importer => "+".to_owned(),
        Check::Media => "11".to_owned(),
        Check::Order => "3/2".to_owned(),
        Check::Piece => "0302".to_owned(),
        Check::Zero => "1".repeat(piece.len()),
        Check::NonZero => "0".repeat(piece.len()),
        Check::Plain => "0".to_owned() + &piece[1..],
        // A wrong pair comes with it, and is what is told; lists grow, and let pass; a meaning can't be broken.
        Check::Letter
        | Check::Country
        | Check::CountryOrMany
        | Check::CountryLetters
        | Check::Currency
        | Check::Decimals
        | Check::Hundredths
        | Check::Count => return None,
    })
}

/// Element strings of different AIs, with valid values.
fn element_strings() -> impl Strategy<Value = Vec<(String, String)>> {
    let codes = codes();
    let one = (0..codes.len(), any::<u64>()).prop_map(move |(i, seed)| {
        let code = codes[i].clone();
        let value = value(ai(&code), &mut Rng::with_seed(seed));
        (code, value)
    });
    proptest::collection::vec(one, 1..8).prop_map(|mut elements| {
        let mut seen = std::collections::BTreeSet::new();
        elements.retain(|(code, _)| seen.insert(code.clone()));
        elements
    })
}

/// A link with the first key and the qualifiers that are there, all else that may as attributes.
fn link(given: &[(String, String)]) -> Option<(String, Vec<(String, String)>)> {
    let escaped = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<Vec<_>>().concat();
    let (key, value) = given.iter().find(|(code, _)| ai(code).key.is_some())?;
    let mut uri = format!("https://example.com/some/path/{key}/{}", escaped(value));
    let mut expected = vec![(key.clone(), value.clone())];
    let qualifiers = ai(key).key.as_ref().and_then(|lists| lists.first())?;
    let find = |code: &str| given.iter().find(|(other, _)| other == code);
    for (code, value) in qualifiers.iter().filter_map(|code| find(code)) {
        uri = format!("{uri}/{code}/{}", escaped(value));
        expected.push((code.clone(), value.clone()));
    }
    let in_path = expected.clone();
    let rest = given.iter().filter(|(code, _)| ai(code).attribute && !in_path.iter().any(|(other, _)| other == code));
    for (i, (code, value)) in rest.enumerate() {
        let mark = if i == 0 { '?' } else { '&' };
        uri = format!("{uri}{mark}{code}={}", escaped(value));
        expected.push((code.clone(), value.clone()));
    }
    Some((uri, expected))
}

proptest! {
    #[test]
    fn element_strings_come_back_from_a_barcode_with_fewest_separators(given in element_strings()) {
        let text = barcode(&given);
        let reading = read(&text, &Rules::default());
        prop_assert!(reading.is_valid(), "{:?}: {:?}", text, reading.problems);
        prop_assert_eq!(elements(&reading), given);
        laws::check(text.as_bytes());
    }

    #[test]
    fn element_strings_come_back_from_a_digital_link(given in element_strings()) {
        if let Some((uri, expected)) = link(&given) {
            let reading = read(&uri, &Rules::default());
            prop_assert!(reading.is_valid(), "{uri}: {:?}", reading.problems);
            prop_assert_eq!(elements(&reading), expected);
        }
    }

    #[test]
    fn any_bytes_obey_the_laws(bytes: Vec<u8>, text in "\\PC{0,60}", near in "(\\]C1|\\]Q1|https://a/)?[0-9A-Z\u{1d}/%?<>=GS]{0,60}") {
        laws::check(&bytes);
        laws::check(text.as_bytes());
        laws::check(near.as_bytes());
    }
}

#[test]
fn the_fuzzers_corpus_obeys_the_laws() {
    let mut rng = Rng::with_seed(3);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/gs1");
    let files: Vec<_> = std::fs::read_dir(folder).expect("the corpus is part of the repository").collect();
    assert!(files.len() >= 30, "only {} files", files.len());
    for file in files {
        let path = file.expect("the folder is readable").path();
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        laws::check(&bytes);
        for _ in 0..50 {
            laws::check(&damaged(bytes.clone(), &mut rng));
        }
    }
}

/// The bytes with up to four of them lost, doubled, or others.
fn damaged(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(0..3) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, rng.u8(b' '..=b'~')),
            _ => bytes.splice(at..at, [0x1d, b'1', b'0']).for_each(drop),
        }
    }
    bytes
}

#[test]
fn fixed_cases_are_read_as_they_say() {
    let cases: Vec<BTreeMap<String, Json>> =
        serde_json::from_str(include_str!("cases.json")).expect("the cases are JSON");
    for case in &cases {
        let text = |key: &str| case.get(key).and_then(Json::as_str).unwrap_or_default();
        let reading = read(text("barcode"), &Rules::default());
        let fault = reading.of(Severity::Fault).next().map_or("", |problem| problem.kind.name());
        let suspicion = reading.of(Severity::Suspicion).next().map_or("", |problem| problem.kind.name());
        assert_eq!((fault, suspicion), (text("fault"), text("suspicion")), "{}", text("name"));
        let read: Vec<String> = elements(&reading).iter().map(|(code, raw)| format!("({code}){raw}")).collect();
        if fault.is_empty() {
            assert_eq!(read.concat(), text("elements"), "{}", text("name"));
        }
    }
    assert!(cases.len() >= 30);
}

#[test]
fn random_lots_are_seldom_suspected() {
    let mut rng = Rng::with_seed(11);
    let mut share = |set: &str, length: usize| {
        let all: Vec<char> = set.chars().collect();
        let suspected = (0..100_000).filter(|_| {
            let lot: String = (0..length).map(|_| all[rng.usize(..all.len())]).collect();
            read(&format!("]C110{lot}"), &Rules::default()).of(Severity::Suspicion).next().is_some()
        });
        suspected.count()
    };
    let (digits, mixed) = (share("0123456789", 12), share("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", 12));
    note(
        "FIGURE",
        &format!("of 100,000 random lots of 12 digits {digits} are suspected, of letters and digits {mixed}"),
    );
    assert!(digits < 6_000 && mixed < 20, "{digits} {mixed}");
}
