//! One value against its application identifier: length, characters, checks, and what it says.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::civil::Date;

use super::codes::{is_country, is_country_letters, is_currency};
use super::dictionary::{Ai, Check, Part, is_digits};
use super::{Kind, Severity, Value};

/// What is wrong with a value: where in it, how bad, what.
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) severity: Severity,
    pub(super) kind: Kind,
    pub(super) message: String,
}

impl Wrong {
    fn fault(at: Range<usize>, kind: Kind, message: String) -> Self {
        Self { at, severity: Severity::Fault, kind, message }
    }
}

/// A part of the dictionary with its piece of the value.
type Piece<'v> = (&'static Part, &'v str);

/// What `value` of the AI `code` says; `year`: the year that two-digit years are near to. The first fault ends it.
pub(super) fn read(ai: &'static Ai, code: &str, value: &str, year: i16) -> (Option<Value>, Vec<Wrong>) {
    let pieces = match pieces(ai, value) {
        Ok(pieces) => pieces,
        Err(wrong) => return (None, vec![wrong]),
    };
    let (mut found, mut at) = (Vec::new(), 0);
    for (part, piece) in &pieces {
        for check in &part.checks {
            if let Some((severity, kind, message)) = check.wrong(piece, year) {
                let end = at + piece.len();
                found.push(Wrong { at: end - check.width(piece)..end, severity, kind, message });
            }
        }
        at += piece.len();
    }
    if found.iter().any(|wrong| wrong.severity == Severity::Fault && wrong.kind != Kind::CheckDigit) {
        return (None, found);
    }
    let read = meaning(code, value, &pieces, year);
    if read.is_none() {
        let message = "says nothing that can be read".to_owned();
        found.push(Wrong::fault(0..value.len(), Kind::Content, message));
    }
    (read, found)
}

fn pieces<'v>(ai: &'static Ai, value: &'v str) -> Result<Vec<Piece<'v>>, Wrong> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    for part in &ai.parts {
        let rest = &value[at..];
        if rest.is_empty() && part.optional {
            break;
        }
        let end = rest.char_indices().nth(part.max).map_or(rest.len(), |(end, _)| end);
        let piece = &rest[..end];
        if let Some((within, c)) = piece.char_indices().find(|(_, c)| !part.set.has(*c)) {
            let message = format!("has \"{}\", expected {}", c.escape_debug(), part.set.members());
            return Err(Wrong::fault(at + within..at + within + c.len_utf8(), Kind::Character, message));
        }
        if piece.len() < part.min {
            let message = format!("has {} characters, expected {}", value.chars().count(), ai.expected());
            return Err(Wrong::fault(at..at + piece.len(), Kind::Length, message));
        }
        pieces.push((part, piece));
        at += end;
    }
    if at < value.len() {
        let message = format!("has {} characters, expected {}", value.chars().count(), ai.expected());
        return Err(Wrong::fault(at..value.len(), Kind::Length, message));
    }
    Ok(pieces)
}

impl Check {
    /// How many characters at the end of a piece it is about.
    const fn width(self, piece: &str) -> usize {
        match self {
            Self::Digit => 1,
            _ => piece.len(),
        }
    }

    /// What is wrong with a piece of the right length and characters.
    fn wrong(self, piece: &str, year: i16) -> Option<(Severity, Kind, String)> {
        let fault = |holds: bool, message: &str| {
            (!holds).then(|| (Severity::Fault, Kind::Content, format!("{message}, not {piece}")))
        };
        let listed = |holds: bool, what: &str| {
            (!holds).then(|| (Severity::Note, Kind::UnknownCode, format!("{piece} is no {what} that is known here")))
        };
        let digit = |message: String| Some((Severity::Fault, Kind::CheckDigit, message));
        match self {
            Self::Digit if super::has_check_digit(piece) => None,
            Self::Digit => {
                let (body, last) = piece.split_at(piece.len() - 1);
                digit(format!("has the check digit {last}, expected {}", super::check_digit(body)))
            }
            Self::Pair if check_pair(piece).is_some_and(|pair| piece.ends_with(&pair)) => None,
            Self::Pair => digit("has a wrong check character pair at its end".to_owned()),
            Self::Iban if is_iban(piece) => None,
            Self::Iban => digit("is no IBAN with right check digits".to_owned()),
            Self::DateOrMonth => fault(date(piece, year, true).is_some(), "expected a date YYMMDD, day 00 for a month"),
            Self::Date => fault(date(piece, year, false).is_some(), "expected a date YYMMDD"),
            Self::LongDate => fault(long_date(piece).is_some(), "expected a date YYYYMMDD"),
            Self::Time => fault(&piece[..2] < "24" && &piece[2..] < "60", "expected a time HHMM"),
            Self::Hour => fault(piece < "24", "expected an hour from 00 to 23"),
            Self::Minute | Self::Second => fault(piece < "60", "expected 00 to 59"),
            Self::Country => listed(is_country(piece), "country of ISO 3166"),
            Self::CountryOrMany => listed(piece == "999" || is_country(piece), "country of ISO 3166"),
            Self::CountryLetters => listed(is_country_letters(piece), "country of ISO 3166"),
            Self::Currency => listed(is_currency(piece), "currency of ISO 4217"),
            Self::Latitude => fault(piece <= "1800000000", "expected 0000000000 to 1800000000"),
            Self::Longitude => fault(piece <= "3600000000", "expected 0000000000 to 3600000000"),
            Self::Flag => fault(matches!(piece, "0" | "1"), "expected 0 (no) or 1 (yes)"),
            Self::Minus => fault(piece == "-", "expected - for a temperature below zero, or nothing"),
            Self::Importer => {
                let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                fault(piece.bytes().all(known), "expected a letter, a digit, - or _")
            }
            Self::Media => fault(("01"..="10").contains(&piece) || piece >= "80", "expected 01 to 10 or 80 to 99"),
            Self::Sex => fault(matches!(piece, "0" | "1" | "2" | "9"), "expected 0, 1, 2 or 9"),
            Self::Order => fault(piece.split_once('/').is_some_and(|(n, of)| is_part(n, of)), "expected 1/2 or so"),
            Self::Piece => {
                let (n, of) = piece.split_at(piece.len() / 2);
                fault(is_part(n, of), "expected the number of a piece and how many there are")
            }
            Self::Zero => fault(piece.bytes().all(|b| b == b'0'), "expected 0"),
            Self::NonZero => fault(piece.bytes().any(|b| b != b'0'), "expected a number above 0"),
            Self::Winding => fault(matches!(piece, "0" | "1" | "9"), "expected 0, 1 or 9"),
            Self::Plain => fault(piece == "0" || !piece.starts_with('0'), "expected a number without leading zeros"),
            Self::Letter => fault(!is_digits(piece), "expected at least one character that is no digit"),
            Self::Padding => {
                let body = piece.trim_end_matches('=');
                fault(!body.contains('=') && piece.len() - body.len() <= 2, "expected = only at the end, at most two")
            }
            Self::Percent => fault(unescape(piece).is_some(), "expected percent signs with two hexadecimal digits"),
            Self::Decimals | Self::Hundredths | Self::Count => None,
        }
    }
}

/// `n` of `of`, both from 1.
fn is_part(n: &str, of: &str) -> bool {
    let number = |text: &str| text.parse::<u8>().ok().filter(|n| *n > 0 && is_digits(text));
    number(n).zip(number(of)).is_some_and(|(n, of)| n <= of)
}

/// What the value says; `None` if its percent-encoding is no UTF-8.
fn meaning(code: &str, value: &str, pieces: &[Piece<'_>], year: i16) -> Option<Value> {
    let has = |check| pieces.iter().any(|(part, _)| part.checks.contains(&check));
    let last = pieces.last().map_or(value, |(_, piece)| piece);
    if has(Check::Count) {
        return last.parse().ok().map(Value::Count);
    }
    if has(Check::Decimals) {
        let places = code.bytes().last().map_or(0, |b| usize::from(b.wrapping_sub(b'0')));
        let number = scaled(last, places);
        let currency = pieces.iter().find(|(part, _)| part.checks.contains(&Check::Currency));
        return Some(match currency {
            Some((_, currency)) => Value::Text(format!("{number} {currency}")),
            None => Value::Decimal(number),
        });
    }
    if has(Check::Hundredths) {
        let sign = if pieces.len() > 1 && value.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "-" } else { "" };
        return Some(Value::Decimal(format!("{sign}{}", scaled(pieces[0].1, 2))));
    }
    if has(Check::DateOrMonth) || has(Check::Date) || has(Check::LongDate) {
        return moment(pieces, year).map(Value::Date);
    }
    if has(Check::Percent) { unescape(value).map(Value::Text) } else { Some(Value::Text(value.to_owned())) }
}

/// `001250` with 3 places is `1.250`: no digit is lost or made up.
fn scaled(digits: &str, places: usize) -> String {
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// A date, a date with time, or two dates, after ISO 8601.
fn moment(pieces: &[Piece<'_>], year: i16) -> Option<String> {
    let mut text = String::new();
    for (part, piece) in pieces {
        let before = if text.is_empty() { "" } else { "/" };
        match part.checks.first()? {
            Check::DateOrMonth => write!(text, "{before}{}", date(piece, year, true)?),
            Check::Date => write!(text, "{before}{}", date(piece, year, false)?),
            Check::LongDate => write!(text, "{before}{}", long_date(piece)?),
            Check::Time => write!(text, "T{}:{}", &piece[..2], &piece[2..]),
            Check::Hour => write!(text, "T{piece}"),
            _ => write!(text, ":{piece}"),
        }
        .ok()?;
    }
    Some(text)
}

/// YYMMDD. Day 00 is the last of the month where the AI allows it (GS1 General Specifications, 3.4).
fn date(digits: &str, near: i16, or_month: bool) -> Option<Date> {
    let part = |at: Range<usize>| digits.get(at)?.parse::<i8>().ok();
    let (year, month, day) = (century(i16::from(part(0..2)?), near), part(2..4)?, part(4..6)?);
    if or_month && day == 0 {
        return Date::new(year, month, 1).ok().map(Date::last_of_month);
    }
    Date::new(year, month, day).ok()
}

/// The year of two digits (GS1 General Specifications, 7.12): 51 or more ahead is the century before, 50 or more behind
/// is the next.
fn century(two: i16, near: i16) -> i16 {
    let year = near - near % 100 + two;
    match two - near % 100 {
        51.. => year - 100,
        ..=-50 => year + 100,
        _ => year,
    }
}

fn long_date(digits: &str) -> Option<Date> {
    let year = digits.get(..4)?.parse().ok()?;
    Date::new(year, digits.get(4..6)?.parse().ok()?, digits.get(6..8)?.parse().ok()?).ok()
}

/// `%41` is `A`; `None` where it is not encoded so, or no UTF-8.
pub(super) fn unescape(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, after),
            (b'%', _) => return None,
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The check character pair of what stands before the last two (GS1 General Specifications, 7.9.5): places in CSET 82,
/// weighted by primes from the right, modulo 1021, in two digits of 32.
pub(super) fn check_pair(text: &str) -> Option<String> {
    const CSET_82: &str = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    const CSET_32: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let body = text.get(..text.len().checked_sub(2)?)?;
    let places = body.chars().rev().map(|c| CSET_82.find(c)).collect::<Option<Vec<usize>>>()?;
    let sum = places.iter().zip(primes()).map(|(place, prime)| place * prime).sum::<usize>() % 1021;
    Some([CSET_32[sum / 32], CSET_32[sum % 32]].map(char::from).iter().collect())
}

fn primes() -> impl Iterator<Item = usize> {
    (2..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// ISO 13616: moved by four, letters as 10 to 35, modulo 97 is 1; the shortest has 15 characters.
fn is_iban(text: &str) -> bool {
    const SHORTEST: usize = 11;
    let known = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    if text.len() < SHORTEST || !text.bytes().all(known) || !is_country_letters(&text[..2]) {
        return false;
    }
    let moved = text[4..].chars().chain(text[..4].chars());
    let rest = moved.filter_map(|c| c.to_digit(36)).fold(0, |rest, digit| {
        let shift = if digit < 10 { 10 } else { 100 };
        (rest * shift + digit) % 97
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, value: &str, expected: Value) {
        let ai = super::super::dictionary::exactly(code).expect("an AI");
        let (read, wrong) = read(ai, code, value, 2026);
        let told: Vec<String> = wrong.into_iter().map(|wrong| wrong.message).collect();
        assert_eq!((read, told), (Some(expected), Vec::new()), "({code}) {value}");
    }

    #[test]
    fn values_say_what_their_ai_means() {
        let text = |text: &str| Value::Text(text.to_owned());
        let decimal = |text: &str| Value::Decimal(text.to_owned());
        let date = |text: &str| Value::Date(text.to_owned());
        check("37", "00024", Value::Count(24));
        check("3103", "001250", decimal("1.250"));
        check("3100", "001250", decimal("1250"));
        check("3105", "000001", decimal("0.00001"));
        check("3909", "1", decimal("0.000000001"));
        check("3912", "978001250", text("12.50 978"));
        check("3940", "0010", decimal("10"));
        check("4331", "001850-", decimal("-18.50"));
        check("4331", "000400", decimal("4.00"));
        check("4331", "000000-", decimal("0.00"));
        check("17", "270131", date("2027-01-31"));
        check("17", "270200", date("2027-02-28"));
        check("17", "280200", date("2028-02-29"));
        check("7003", "2701312359", date("2027-01-31T23:59"));
        check("7007", "270131270203", date("2027-01-31/2027-02-03"));
        check("7011", "270131", date("2027-01-31"));
        check("8008", "27013123", date("2027-01-31T23"));
        check("8008", "270131235901", date("2027-01-31T23:59:01"));
        check("7250", "19991231", date("1999-12-31"));
        check("4300", "M%C3%BCller%20AG", text("Müller AG"));
        check("10", "A%20", text("A%20"));
        check("8013", "1987654Ad4X4bL5ttr2310c2K", text("1987654Ad4X4bL5ttr2310c2K"));
        check("8007", "DE91100000000123456789", text("DE91100000000123456789"));
    }

    #[test]
    fn two_digits_are_a_year_within_49_before_and_50_behind() {
        for (near, two, expected) in
            [(2026, 76, 2076), (2026, 77, 1977), (2026, 0, 2000), (2060, 10, 2110), (2060, 11, 2011), (2000, 51, 1951)]
        {
            assert_eq!(century(two, near), expected, "{two} near {near}");
        }
        for near in 1990..2110 {
            for two in 0..100 {
                let year = century(two, near);
                assert!((near - 49..=near + 50).contains(&year) && year.rem_euclid(100) == two, "{two} near {near}");
            }
        }
    }
}
