//! Valid values for every application identifier, made from its format, and barcodes of them.

use fastrand::Rng;
use floorgate::tagmap::gs1::{Ai, Check, Part, Set, check_digit, check_pair, dictionary, exactly};

const GS: char = '\u{1d}';

/// Codes of all application identifiers.
pub(super) fn codes() -> Vec<String> {
    dictionary().iter().flat_map(Ai::codes).collect()
}

/// The entry of a code.
pub(super) fn ai(code: &str) -> &'static Ai {
    exactly(code).unwrap_or_else(|| panic!("{code} is an AI"))
}

/// A valid value, of any length that the AI has.
pub(super) fn value(ai: &Ai, rng: &mut Rng) -> String {
    let mut value = String::new();
    for part in &ai.parts {
        if part.optional && rng.bool() {
            break;
        }
        value += &piece(part, rng.usize(part.min..=part.max), rng);
    }
    value
}

/// A valid value of the greatest length.
pub(super) fn longest(ai: &Ai, rng: &mut Rng) -> String {
    ai.parts.iter().map(|part| piece(part, part.max, rng)).collect()
}

/// A valid piece of that many characters; an IBAN and a check character pair may need others.
fn piece(part: &Part, length: usize, rng: &mut Rng) -> String {
    let two = |rng: &mut Rng, from: u32, to: u32| format!("{:02}", rng.u32(from..=to));
    let date = |rng: &mut Rng, day: u32| two(rng, 0, 99) + &two(rng, 1, 12) + &two(rng, day, 28);
    for check in &part.checks {
        return match check {
            Check::Digit => {
                let body = text(Set::Digits, length - 1, rng);
                format!("{body}{}", check_digit(&body))
            }
            Check::Pair => {
                let body = "A".to_owned() + &text(Set::Cset82, length.max(3) - 3, rng);
                format!("{body}{}", check_pair(&body).expect("it is of CSET 82"))
            }
            Check::DateOrMonth => date(rng, 0),
            Check::Date => date(rng, 1),
            Check::LongDate => "19".to_owned() + &date(rng, 1),
            Check::Time => two(rng, 0, 23) + &two(rng, 0, 59),
            Check::Hour => two(rng, 0, 23),
            Check::Minute | Check::Second => two(rng, 0, 59),
            Check::Country => "276".to_owned(),
            Check::CountryOrMany => "999".to_owned(),
            Check::CountryLetters => "DE".to_owned(),
            Check::Currency => "978".to_owned(),
            Check::Percent => text(part.set, length, rng).replace('%', "_"),
            Check::Padding => text(part.set, length, rng).replace('=', "_"),
            Check::Latitude => format!("{:010}", rng.u64(0..=1_800_000_000)),
            Check::Longitude => format!("{:010}", rng.u64(0..=3_600_000_000)),
            Check::Flag | Check::Sex | Check::Winding => rng.u32(0..=1).to_string(),
            Check::Minus => "-".to_owned(),
            Check::Importer => "_".to_owned(),
            Check::Media => two(rng, 80, 99),
            Check::Order => "1/2".to_owned(),
            Check::Piece => "0102".to_owned(),
            Check::Zero => "0".repeat(length),
            Check::NonZero => "9".repeat(length),
            Check::Iban => "DE91100000000123456789".to_owned(),
            Check::Plain => "1".to_owned() + &text(Set::Digits, length - 1, rng),
            Check::Letter | Check::Decimals | Check::Hundredths | Check::Count => continue,
        };
    }
    text(part.set, length, rng)
}

fn text(set: Set, length: usize, rng: &mut Rng) -> String {
    let all: Vec<char> = (' '..='~').filter(|c| set.has(*c)).collect();
    (0..length).map(|_| all[rng.usize(..all.len())]).collect()
}

/// The barcode of element strings, with separators only where they are needed.
pub(super) fn barcode(elements: &[(String, String)]) -> String {
    let mut barcode = "]C1".to_owned();
    for (i, (code, value)) in elements.iter().enumerate() {
        barcode += code;
        barcode += value;
        if !ai(code).predefined && i + 1 < elements.len() {
            barcode.push(GS);
        }
    }
    barcode
}
