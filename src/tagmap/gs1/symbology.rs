//! What the scanner put before the data, and what that says of it.

use super::{Form, Kind, Reading, Rules, Severity, elements, has_check_digit, link, without_line_end};

/// Whether scanners send an AIM symbology identifier before the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    /// Always: one that does not is set up wrong.
    Required,
    /// Where it is there, it counts.
    Optional,
    /// Never.
    Absent,
}

/// What a symbology identifier says (ISO/IEC 15424; GS1 General Specifications, 5.1.3).
enum Carries {
    /// GS1-128, GS1 DataMatrix, GS1 QR Code, GS1 DotCode, GS1 DataBar and composites.
    ElementStrings,
    /// A GTIN of so many digits, without AI.
    Number(&'static [usize]),
    /// QR Code, Data Matrix: anything, so it may be a Digital Link.
    LinkPerhaps,
    /// Code 128 without FNC1, and all others.
    Other,
}

fn carries(identifier: &str) -> Carries {
    match identifier {
        "]C1" | "]d2" | "]Q3" | "]J1" | "]e0" => Carries::ElementStrings,
        "]E0" => Carries::Number(&[13, 12]),
        "]E4" => Carries::Number(&[8]),
        "]I1" => Carries::Number(&[14]),
        "]d1" | "]Q1" => Carries::LinkPerhaps,
        _ => Carries::Other,
    }
}

/// The identifier if there is one, and the rest.
pub(super) fn split(code: &str) -> (Option<&str>, &str) {
    match code.as_bytes() {
        [b']', letter, digit, ..] if letter.is_ascii_alphabetic() && digit.is_ascii_digit() => {
            (Some(&code[..3]), &code[3..])
        }
        _ => (None, code),
    }
}

/// Reads by what the identifier says; without one, by what the text looks like.
pub(super) fn read(barcode: &str, rules: &Rules) -> Reading {
    let (identifier, rest) = split(barcode);
    let start = barcode.len() - rest.len();
    let text = &barcode[..start + without_line_end(rest).len()];
    let data = &text[start..];
    let is_link = link::is_uri(data);
    let form = match identifier.map(carries) {
        Some(Carries::LinkPerhaps) | None if is_link => Form::DigitalLink,
        Some(Carries::Number(_)) => Form::PlainNumber,
        Some(Carries::LinkPerhaps | Carries::Other) => Form::Other,
        _ => Form::ElementStrings,
    };
    let mut reading = Reading::new(identifier.map(str::to_owned), form);
    match (rules.identifier, identifier) {
        (Identifier::Required, None) => {
            let message = "no symbology identifier such as ]C1 stands before it: have the scanner send them";
            reading.refuse(Kind::Symbology, 0..0, message);
        }
        (Identifier::Absent, Some(identifier)) => {
            let message =
                format!("the symbology identifier {identifier} stands before it, and scanners here send none");
            reading.refuse(Kind::Symbology, 0..start, message);
        }
        _ => {}
    }
    if data.len() > super::MAX_BYTES {
        let message = format!("it has {} bytes: no symbol holds more than {}", data.len(), super::MAX_BYTES);
        reading.refuse(Kind::NotGs1, start..text.len(), message);
        return reading;
    }
    if let Some((message, length)) = unfit(data) {
        reading.refuse(Kind::NotGs1, start..start + length, message);
        return reading;
    }
    match identifier.map(carries) {
        Some(Carries::LinkPerhaps) | None if is_link => link::read(text, start, rules, &mut reading),
        _ if rules.links_only => {
            reading.refuse(Kind::NotGs1, start..text.len(), "no Digital Link URI, which begins with https://");
        }
        Some(Carries::ElementStrings) | None => elements::read(text, start, rules, &mut reading),
        Some(Carries::Number(lengths)) => number(text, start, lengths, rules, &mut reading),
        Some(Carries::LinkPerhaps) => {
            let message =
                "its symbology identifier says that it holds no element strings, and it is no Digital Link URI";
            reading.refuse(Kind::NotGs1, 0..start, message);
        }
        Some(Carries::Other) => {
            let message = "its symbology identifier says that it is no GS1 barcode; those have ]C1, ]d2, ]Q3, ]J1, ]e0";
            reading.refuse(Kind::NotGs1, 0..start, message);
        }
    }
    if identifier.is_none() && rules.identifier != Identifier::Required && !rules.links_only {
        perhaps_a_number(text, rules, &mut reading);
    }
    reading
}

/// What can't be read at all, and how much of it to show.
fn unfit(data: &str) -> Option<(&'static str, usize)> {
    let first = data.chars().next();
    match first {
        None => Some(("it is empty", 0)),
        Some('(') => Some(("it is written with parentheses, for people: scanners send it without", 1)),
        Some(c) if c.is_whitespace() || c == '\u{feff}' => {
            Some(("a space or a mark of byte order stands before the data", c.len_utf8()))
        }
        Some(_) => None,
    }
}

/// The digits of an EAN, UPC or ITF-14: the GTIN that they are, with 14 digits.
fn number(text: &str, start: usize, lengths: &[usize], rules: &Rules, reading: &mut Reading) {
    let digits = &text[start..];
    let ai = super::exactly("01").expect("a unit test finds each AI of the dictionary");
    if !lengths.contains(&digits.len()) || !super::dictionary::is_digits(digits) {
        let message =
            format!("its symbology identifier says that it is a GTIN of {} digits, and it is not", lengths[0]);
        reading.refuse(Kind::Length, start..text.len(), message);
        return;
    }
    reading.add(ai, "01", &format!("{digits:0>14}"), start..text.len(), rules);
}

/// Nothing says whether 13 digits are an EAN or an element string: a reader that guesses must say so.
fn perhaps_a_number(text: &str, rules: &Rules, reading: &mut Reading) {
    const LENGTHS: &[usize] = &[8, 12, 13, 14];
    if !reading.is_valid() && super::sscc(text) == Some(text) {
        let message = "18 digits with a right check digit: an SSCC without its 00?";
        reading.tell(Severity::Note, Kind::PlainNumber, 0..text.len(), message.to_owned());
        return;
    }
    if !LENGTHS.contains(&text.len()) || !has_check_digit(text) {
        return;
    }
    if !reading.is_valid() {
        *reading = Reading::new(None, Form::PlainNumber);
        number(text, 0, LENGTHS, rules, reading);
    }
    let form = match reading.form {
        Form::PlainNumber => "taken for a GTIN",
        _ => "taken for an element string, and could be a GTIN",
    };
    let message = format!("{form}: have the scanner send symbology identifiers, they tell which");
    reading.tell(Severity::Suspicion, Kind::PlainNumber, 0..text.len(), message);
}
