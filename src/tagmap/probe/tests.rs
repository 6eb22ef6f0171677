use proptest::prelude::*;

use super::*;
use crate::event::{Now, Value};
use crate::form::Document;
use crate::tagmap::points::Got;
use crate::tagmap::{Binding, Map};

fn decimal(text: &str) -> Decimal {
    text.parse().expect("the test writes numbers")
}

fn known(text: &str) -> Known {
    Known { value: decimal(text), within: Decimal::ZERO }
}

/// Pieces as the shell reads them, from registers that begin one before `asked`.
fn pieces(asked: u16, words: &[u16]) -> Vec<Piece> {
    let piece = |from: usize| Piece {
        at: asked - 1 + u16::try_from(from).expect("a small number"),
        words: words[from..words.len().min(from + 4)].to_vec(),
    };
    (0..3).map(piece).collect()
}

fn check(words: &[u16], value: &str) -> String {
    let found = search(&pieces(100, words), 100, known(value));
    let line = |found: &Match| found.line(Area::Holding, Addresses::Zero).expect("each address can be written");
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_weight_with_swapped_words_is_found() {
    insta::assert_snapshot!(check(&[7, 0x0000, 0x40a0, 9, 9, 9], "5.000"), @r#"{ name = "value", area = "holding", at = 100, type = "f32", order = "CDAB" }"#);
    insta::assert_snapshot!(check(&[0x1234, 0x8813, 9, 9, 9, 9], "5"), @r#"
    { name = "value", area = "holding", at = 100, type = "u16", order = "BA", scale = 0.001 }
    { name = "value", area = "holding", at = 100, type = "i16", order = "BA", scale = 0.001 }
    "#);
}

/// The largest numbers there are, and what is twice as far from zero: no way to be it, and no panic.
#[test]
fn numbers_at_the_end_of_what_is_held_are_compared() {
    let float = 7.9e28_f32.to_bits();
    let words = [0, (float >> 16) as u16, float as u16, 9, 9, 9];
    for value in ["-79000000000000000000000000000", "79000000000000000000000000000"] {
        let pieces = pieces(100, &words);
        let found =
            search(&pieces, 100, Known { value: decimal(value), within: decimal("10000000000000000000000000") });
        assert_eq!(found.len(), usize::from(!value.starts_with('-')), "{value}: {found:?}");
        let twice: Vec<Match> = found.iter().chain(&found).copied().collect();
        assert_eq!(second_values(&twice, &pieces, known(value)), []);
    }
}

#[test]
fn several_that_fit_are_told_apart_by_second_values() {
    let pieces = pieces(100, &[0, 0, 5, 9, 9, 9]);
    let found = search(&pieces, 100, known("5"));
    let lines: Vec<String> = found.iter().filter_map(|found| found.line(Area::Holding, Addresses::One)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    { name = "value", area = "holding", at = 101, type = "u32", order = "ABCD" }
    { name = "value", area = "holding", at = 101, type = "i32", order = "ABCD" }
    { name = "value", area = "holding", at = 101, type = "bcd32", order = "ABCD" }
    { name = "value", area = "holding", at = 101, type = "bcd32", order = "BADC", scale = 0.01 }
    { name = "value", area = "holding", at = 102, type = "u16" }
    { name = "value", area = "holding", at = 102, type = "i16" }
    { name = "value", area = "holding", at = 102, type = "bcd16" }
    "#);
    let values = second_values(&found, &pieces, known("5"));
    assert_eq!(values.iter().map(ToString::to_string).collect::<Vec<_>>(), ["40000", "30000000", "10"]);
}

/// The line stands in a map as it is printed, and reads what was found.
fn read_by_a_map(found: &Match, words: &[u16], base: Addresses, word: &str) -> Value {
    let line = found.line(Area::Holding, base).expect("each address can be written");
    let text = format!(
        "schema = 1\ntag = [{line}]\n[map]\nid = \"m\"\nversion = 1\nprotocol = \"modbus\"\naddresses = \"{word}\"\n\
         [defaults]\npoll = \"p\"\n[poll.p]\nevery = \"1s\"\n"
    );
    let binding = Binding::of("d");
    let map = Map::read(&Document { name: "map.toml".to_owned(), text: text.clone() }, &binding);
    let mut points = map.unwrap_or_else(|faults| panic!("{faults:?}\n{text}")).points.expect("it has a tag");
    let at = points.polls()[0].reads[0].at;
    assert_eq!(at, found.at);
    points.observe(0, &[Some(Got::Words(words.to_vec()))], Now::default());
    let (_, reading) = points.values().next().expect("it has a tag");
    reading.value.unwrap_or_else(|| panic!("no value: {:?}\n{text}", reading.reason))
}

proptest! {
    #[test]
    fn what_is_encoded_is_found_and_its_line_reads_it(
        which in 0..kinds().count(),
        scale in 0..SCALES.len(),
        raw in 1_i64..=9_999,
        negative: bool,
        shift in 0_u16..3,
        noise: [u16; 6],
        base in prop_oneof![Just((Addresses::Zero, "zero")), Just((Addresses::One, "one")), Just((Addresses::Modicon, "modicon"))],
    ) {
        let kind = kinds().nth(which).expect("which is one of them");
        let (mantissa, decimals) = SCALES[scale];
        let scale = Decimal::new(mantissa, decimals);
        let signed = kind.of.is_float() || kind.of.bits().is_some() && !kind.of.is_unsigned();
        let number = Decimal::from(if negative && signed { -raw } else { raw });
        let Ok(encoded) = kind.of.encode(number) else {
            prop_assert_eq!(kind.word, "f16"); // no write needs it
            return Ok(());
        };
        let mut words = noise;
        let from = usize::from(shift);
        let end = words.len().min(from + encoded.len());
        words[from..end].copy_from_slice(&encoded[..end - from]);
        let value = (number * scale).normalize();
        let (at, pieces) = (99 + shift, pieces(100, &words));
        let found = search(&pieces, 100, Known { value, within: Decimal::ZERO });
        let right = found.iter().find(|found| found.at == at && found.kind == kind && found.scale == scale);
        prop_assert!(right.is_some(), "{kind:?} x {scale} of {value} in {words:x?}: {found:?}");
        for found in &found {
            let piece = pieces.iter().find(|piece| piece.at == found.at).expect("it was found in one");
            let read = read_by_a_map(found, &piece.words[..usize::from(found.kind.of.words())], base.0, base.1);
            let read = match read {
                Value::Int(number) => Decimal::from(number),
                Value::Text(text) => decimal(&text),
                Value::Bool(_) | Value::List(_) => panic!("a number"),
            };
            prop_assert_eq!(read, value);
        }
    }

    #[test]
    fn second_values_leave_only_what_no_value_tells_apart(words: [u16; 6], raw in 1_i64..200) {
        let mut words = words.map(|word| word % 4);
        words[2] = u16::try_from(raw).expect("a small number");
        let (pieces, known) = (pieces(100, &words), Known { value: raw.into(), within: Decimal::ZERO });
        let found = search(&pieces, 100, known);
        prop_assert!(!found.is_empty());
        for value in second_values(&found, &pieces, known) {
            prop_assert_ne!(value, known.value);
            prop_assert!(found.iter().any(|found| found.hold(value).is_some()), "{value}");
        }
    }
}
