//! GS1: what a barcode says.
//!
//! A barcode comes as the scanner's text: perhaps an AIM symbology identifier, then element strings, the digits of an
//! EAN or UPC, or an uncompressed GS1 Digital Link URI. [`read`] takes it apart, checks each value against the
//! dictionary of application identifiers, and tells every problem with its place. Pure, and never panics.
//!
//! Sources: GS1 General Specifications (7.8 on element strings), GS1 Digital Link URI syntax, the Barcode Syntax
//! Dictionary of 2026-01-27. Not checked: company prefixes (they need GS1's list of their lengths), coupon codes, package
//! types. A faultless barcode can still be wrong: `10ABC17270131` is a legal lot ABC17270131, and a lost separator. That
//! is a suspicion ([`Kind::MissingSeparator`]); what must be there is for [`Rules::require`] to say.

mod codes;
mod dictionary;
mod elements;
mod link;
mod relations;
mod suspect;
mod symbology;
mod value;

use std::ops::Range;

pub use dictionary::{Ai, Check, Part, Set, dictionary, exactly, fits, is_pattern};
pub use symbology::Identifier;

/// ASCII 29, which scanners send for a FNC1 that is not at the start.
pub const GROUP_SEPARATOR: char = '\u{1d}';

/// What is asked of barcodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether scanners send `]C1` and the like.
    pub identifier: Identifier,
    /// A Digital Link URI alone will do.
    pub links_only: bool,
    /// Stand-ins for the group separator, which always counts.
    pub separators: Vec<String>,
    /// An AI that is not in the dictionary is a fault; otherwise it is passed over, and noted.
    pub reject_unknown_ai: bool,
    /// A wrong check digit is a fault; otherwise it is noted.
    pub check_digits: bool,
    /// All AIs of at least one of these sets are there; none: nothing is asked. `n` is any digit.
    pub require: Vec<Vec<String>>,
    /// Two-digit years are within 49 years before it and 50 after.
    pub year: i16,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            identifier: Identifier::Optional,
            links_only: false,
            separators: Vec::new(),
            reject_unknown_ai: true,
            check_digits: true,
            require: Vec::new(),
            year: YEAR,
        }
    }
}

/// The year of the dictionary: rules that name none are read the same for ever.
pub const YEAR: i16 = 2026;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reading {
    /// The AIM symbology identifier: `]C1`.
    pub symbology: Option<String>,
    /// How the barcode says it.
    pub form: Form,
    /// In the order of the barcode.
    pub elements: Vec<Element>,
    /// In the order of the barcode.
    pub problems: Vec<Problem>,
}

/// How a barcode says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// AIs with their values, one behind the other.
    ElementStrings,
    /// The digits of a GTIN alone: EAN, UPC, ITF-14.
    PlainNumber,
    /// A GS1 Digital Link URI.
    DigitalLink,
    /// Its symbology identifier says that it is nothing of GS1.
    Other,
}

/// One element string: an AI with its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Element {
    /// The AI: `3103`.
    pub ai: String,
    /// GS1's data title: `NET WEIGHT (kg)`.
    pub title: &'static str,
    /// The value as it stands in the barcode; in a link without percent-encoding, and a GTIN with all 14 digits.
    pub raw: String,
    /// What it says; `None` when it has a fault.
    pub value: Option<Value>,
    /// Bytes of the barcode that hold the value.
    pub at: Range<usize>,
}

/// What a value says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "type", content = "value", rename_all = "kebab-case")]
pub enum Value {
    /// Text, without percent-encoding where the AI has it. An amount with its currency is `12.50 978`.
    Text(String),
    /// A number of pieces.
    Count(u32),
    /// An exact decimal: `1.250`.
    Decimal(String),
    /// A date, a date with time, or two dates with `/` between, after ISO 8601.
    Date(String),
}

/// Something that is wrong, or looks so.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Whether the barcode is refused for it.
    pub severity: Severity,
    /// Of what kind.
    pub kind: Kind,
    /// Bytes of the barcode; empty at its end where something is missing.
    pub at: Range<usize>,
    /// What is wrong and what was expected, for people.
    pub message: String,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The barcode is refused.
    Fault,
    /// It is valid, and probably not what was meant.
    Suspicion,
    /// It breaks a rule that a gateway need not enforce.
    Note,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No GS1 data: its identifier says so, or it is empty, or written for people.
    NotGs1,
    /// An identifier is missing, or there where none is sent.
    Symbology,
    /// The AI is not in the dictionary.
    UnknownAi,
    /// Too short, or too long.
    Length,
    /// A character that the AI does not allow.
    Character,
    /// A check digit, check characters.
    CheckDigit,
    /// A date, a time, a flag that is none.
    Content,
    /// A country or currency that is not in the list.
    UnknownCode,
    /// The same AI twice with different values.
    Conflict,
    /// A set that must be there is not.
    Require,
    /// An AI without the one that it belongs to.
    Without,
    /// Two AIs that exclude each other.
    Together,
    /// A Digital Link URI that is built wrong.
    Link,
    /// A word that GS1 took back.
    Deprecated,
    /// A value that ends in another element string.
    MissingSeparator,
    /// A value with what looks like a stand-in for a separator.
    UnlistedSeparator,
    /// A number that could be a GTIN or an element string.
    PlainNumber,
}

impl Kind {
    /// As maps, events and scripts name it: `missing-separator`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotGs1 => "not-gs1",
            Self::Symbology => "symbology",
            Self::UnknownAi => "unknown-ai",
            Self::Length => "length",
            Self::Character => "character",
            Self::CheckDigit => "check-digit",
            Self::Content => "content",
            Self::UnknownCode => "unknown-code",
            Self::Conflict => "conflict",
            Self::Require => "require",
            Self::Without => "without",
            Self::Together => "together",
            Self::Link => "link",
            Self::Deprecated => "deprecated",
            Self::MissingSeparator => "missing-separator",
            Self::UnlistedSeparator => "unlisted-separator",
            Self::PlainNumber => "plain-number",
        }
    }
}

/// Longest barcode, in bytes: the largest QR Code holds 7,089 digits.
const MAX_BYTES: usize = 8 << 10;
/// Most element strings of one barcode: each is compared with each.
const MAX_ELEMENTS: usize = 200;

/// Takes a barcode apart.
pub fn read(barcode: &str, rules: &Rules) -> Reading {
    let mut reading = symbology::read(barcode, rules);
    if reading.elements.len() > MAX_ELEMENTS {
        let message = format!("it has {} element strings, at most {MAX_ELEMENTS}", reading.elements.len());
        reading.refuse(Kind::NotGs1, 0..barcode.len(), message);
    }
    if reading.is_valid() {
        suspect::check(&mut reading, rules);
        relations::check(&mut reading, barcode.len(), rules);
    }
    reading.problems.sort_by_key(|problem| problem.at.start);
    reading
}

impl Reading {
    const fn new(symbology: Option<String>, form: Form) -> Self {
        Self { symbology, form, elements: Vec::new(), problems: Vec::new() }
    }

    /// It has no fault.
    pub fn is_valid(&self) -> bool {
        self.of(Severity::Fault).next().is_none()
    }

    /// The problems of that severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |problem| problem.severity == severity)
    }

    /// The first element whose AI fits the pattern.
    pub fn find(&self, pattern: &str) -> Option<&Element> {
        self.elements.iter().find(|element| fits(pattern, &element.ai))
    }

    fn tell(&mut self, severity: Severity, kind: Kind, at: Range<usize>, message: String) {
        self.problems.push(Problem { severity, kind, at, message });
    }

    fn refuse(&mut self, kind: Kind, at: Range<usize>, message: impl Into<String>) {
        self.tell(Severity::Fault, kind, at, message.into());
    }

    /// Checks a value and adds it with what is wrong with it. `raw` is what `at` holds, but for what a link encodes.
    fn add(&mut self, ai: &'static Ai, code: &str, raw: &str, at: Range<usize>, rules: &Rules) {
        let (mut value, wrong) = value::read(ai, code, raw, rules.year);
        for mut wrong in wrong {
            if wrong.kind == Kind::CheckDigit && !rules.check_digits {
                wrong.severity = Severity::Note;
            }
            if wrong.severity == Severity::Fault {
                value = None;
            }
            // Where the text differs from the barcode's, places in it mean nothing: the whole value is shown.
            let within = at.start + wrong.at.start..at.start + wrong.at.end;
            let place = if at.len() == raw.len() { within } else { at.clone() };
            self.tell(wrong.severity, wrong.kind, place, format!("({code}) {}: {}", ai.title, wrong.message));
        }
        self.elements.push(Element { ai: code.to_owned(), title: ai.title, raw: raw.to_owned(), value, at });
    }
}

/// The 18 digits of an SSCC: given alone or behind its application identifier 00, with a right check digit.
pub(super) fn sscc(text: &str) -> Option<&str> {
    let digits = match text.len() {
        18 => text,
        20 => text.strip_prefix("00")?,
        _ => return None,
    };
    has_check_digit(digits).then_some(digits)
}

/// What the digits of a text alone are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Serial shipping container code.
    Sscc,
    /// Trade item: GTIN-8, -12, -13 or -14.
    Gtin,
    /// Location or party.
    Gln,
    /// Shipment.
    Gsin,
}

impl Code {
    /// As maps write them.
    pub(super) const WORDS: [(&str, Self); 4] =
        [("sscc", Self::Sscc), ("gtin", Self::Gtin), ("gln", Self::Gln), ("gsin", Self::Gsin)];

    /// Why the text is none, behind its name. Zeros alone are none: their check digit is right.
    pub(super) fn refuses(self, text: &str) -> Option<String> {
        let (lengths, what): (&[usize], _) = match self {
            Self::Sscc => (&[18], "SSCC: 18 digits"),
            Self::Gtin => (&[8, 12, 13, 14], "GTIN: 8, 12, 13 or 14 digits"),
            Self::Gln => (&[13], "GLN: 13 digits"),
            Self::Gsin => (&[17], "GSIN: 17 digits"),
        };
        let is_one = lengths.contains(&text.len()) && has_check_digit(text) && text.bytes().any(|b| b != b'0');
        (!is_one).then(|| format!("is \"{text}\", which is no {what}, the last one the right check digit"))
    }
}

/// All digits, the last one GS1's check digit.
fn has_check_digit(text: &str) -> bool {
    let Some((at, _)) = text.char_indices().next_back() else { return false };
    dictionary::is_digits(text) && check_digit(&text[..at]) == text[at..]
}

/// GS1's check digit of digits: weights 3 and 1 from the right, modulo 10.
pub fn check_digit(digits: &str) -> String {
    let sum: u32 =
        digits.bytes().rev().zip([3, 1].into_iter().cycle()).map(|(b, w)| u32::from(b.wrapping_sub(b'0')) * w).sum();
    ((10 - sum % 10) % 10).to_string()
}

/// GS1's check character pair behind a text of CSET 82.
pub fn check_pair(text: &str) -> Option<String> {
    value::check_pair(&format!("{text}00"))
}

/// The code without what the scanner may be set to add: an AIM symbology identifier (`]C1`) before it; CR, LF, TAB
/// after it. Nothing else is taken off (docs/gs1.md).
pub(super) fn bare(code: &str) -> &str {
    without_line_end(symbology::split(code).1)
}

fn without_line_end(code: &str) -> &str {
    code.trim_end_matches(['\r', '\n', '\t'])
}

#[cfg(test)]
mod tests;
