//! A `[topic.barcode]` where what stands in a field can be nothing but GS1.

use std::collections::BTreeSet;

use super::{Field, unlike};
use crate::tagmap::gs1::{self, Check, Form, Kind, Reading, Rules};

/// Texts by which scanners say that they read nothing.
const NO_READ: [&str; 6] = ["NOREAD", "NoRead", "NO READ", "NR", "ERROR", "?"];
/// Texts that stand for a group separator where it was taken for a character that can't be sent.
const SEPARATORS: [&str; 4] = ["<GS>", "{GS}", "~1", "^]"];
/// Sets of AIs that are asked for at most; with more than these the labels have nothing in common.
const MOST_SETS: usize = 6;
/// Different numbers that have a right check digit by chance: one in a thousand.
const NUMBERS: usize = 3;
/// What common AIs are called.
const NAMES: [(&str, &str); 17] = [
    ("00", "sscc"),
    ("01", "gtin"),
    ("02", "content"),
    ("10", "lot"),
    ("11", "produced"),
    ("13", "packed"),
    ("15", "best_before"),
    ("16", "sell_by"),
    ("17", "expiry"),
    ("21", "serial"),
    ("30", "count"),
    ("37", "count"),
    ("310n", "net_kg"),
    ("330n", "gross_kg"),
    ("400", "order"),
    ("401", "consignment"),
    ("420", "postcode"),
];

/// A field that holds barcodes.
pub(super) struct Barcode {
    /// Its index.
    pub(super) from: usize,
    /// All of them had a symbology identifier.
    identified: bool,
    separators: Vec<&'static str>,
    no_read: Vec<&'static str>,
    /// The sets of AIs that were seen, none of which holds another.
    sets: Vec<BTreeSet<String>>,
    /// A name for the event's field, and the AI.
    pub(super) ais: Vec<(String, String)>,
}

/// The first field with texts that are all GS1, some of them beyond doubt.
pub(super) fn find(fields: &[Field<'_>], names: &BTreeSet<String>) -> Option<Barcode> {
    let own = ["no_read", "refused", "suspect"]; // slots of the barcode's
    if own.iter().any(|own| names.contains(*own)) {
        return None;
    }
    (0..fields.len()).find_map(|from| of(from, &fields[from], &mut names.clone()))
}

fn of(from: usize, field: &Field<'_>, names: &mut BTreeSet<String>) -> Option<Barcode> {
    if field.kind != "string" {
        return None;
    }
    let texts: BTreeSet<&str> = field.found.values.iter().filter_map(|(_, value)| value.as_str()).collect();
    let (none, codes): (Vec<&str>, Vec<&str>) = texts.iter().partition(|text| NO_READ.contains(&gs1::bare(text)));
    let separators: Vec<&str> =
        SEPARATORS.into_iter().filter(|separator| codes.iter().any(|code| code.contains(separator))).collect();
    let rules = Rules { separators: separators.iter().map(|text| (*text).to_owned()).collect(), ..Rules::default() };
    let readings: Vec<Reading> = codes.iter().map(|code| gs1::read(code, &rules)).collect();
    let all = readings.iter().all(|reading| reading.is_valid() && !reading.elements.is_empty());
    let numbers = readings.iter().all(|reading| reading.form == Form::PlainNumber) && readings.len() >= NUMBERS;
    if !all || !(numbers || readings.iter().any(is_sure)) {
        return None;
    }
    let sets: BTreeSet<BTreeSet<String>> = readings.iter().map(set).collect();
    let least = |set: &BTreeSet<String>| !sets.iter().any(|other| other != set && other.is_subset(set));
    let found: BTreeSet<&String> = sets.iter().flatten().collect();
    let name = |ai: &String| {
        let common = NAMES.iter().find(|(known, _)| known == ai);
        common.map_or_else(|| format!("ai_{ai}"), |(_, name)| (*name).to_owned())
    };
    Some(Barcode {
        from,
        identified: readings.iter().all(|reading| reading.symbology.is_some()),
        separators,
        no_read: NO_READ.into_iter().filter(|text| none.iter().any(|none| gs1::bare(none) == *text)).collect(),
        ais: found.into_iter().map(|ai| (unlike(&name(ai), names), ai.clone())).collect(),
        sets: sets.iter().filter(|set| least(set)).cloned().collect(),
    })
}

/// Where nothing is proposed: a field of numbers with right check digits, some of which begin like an AI, and one of these.
/// Taken apart they would be something else.
pub(super) fn numbers_like_ais<'f>(fields: &'f [Field<'_>]) -> Option<(&'f str, &'f str)> {
    fields.iter().filter(|field| field.kind == "string").find_map(|field| {
        let texts: BTreeSet<&str> = field.found.values.iter().filter_map(|(_, value)| value.as_str()).collect();
        let reads: Vec<(&str, Reading)> =
            texts.iter().map(|text| (*text, gs1::read(text, &Rules::default()))).collect();
        let is_number = |reading: &Reading| reading.problems.iter().any(|problem| problem.kind == Kind::PlainNumber);
        let all = reads.len() >= NUMBERS && reads.iter().all(|(_, reading)| is_number(reading));
        let (example, _) = reads.into_iter().find(|(_, reading)| reading.form == Form::ElementStrings)?;
        all.then_some((field.name.as_str(), example))
    })
}

/// A digit too many, or a text that begins like an AI, is no GS1: its scanner says so, or a check digit, or an address.
fn is_sure(reading: &Reading) -> bool {
    let checked = |ai: &str| gs1::exactly(ai).is_some_and(|ai| ai.has(Check::Digit));
    match reading.form {
        Form::DigitalLink => true,
        Form::ElementStrings => {
            reading.symbology.is_some() || reading.elements.iter().any(|element| checked(&element.ai))
        }
        Form::PlainNumber | Form::Other => false,
    }
}

/// The AIs of a barcode; a weight is one however many decimals it has.
fn set(reading: &Reading) -> BTreeSet<String> {
    let pattern = |ai: &str| match ai.as_bytes() {
        [b'3', b'1'..=b'6', third, _] => format!("3{}{}n", &ai[1..2], char::from(*third)),
        _ => ai.to_owned(),
    };
    reading.elements.iter().map(|element| pattern(&element.ai)).collect()
}

impl Barcode {
    /// What a thing is called that each barcode names.
    pub(super) fn subject(&self) -> Option<&'static str> {
        if !self.no_read.is_empty() {
            return None;
        }
        ["00", "01"].into_iter().find(|ai| self.sets.iter().all(|set| set.contains(*ai)))
    }

    /// The table's lines. `name` is that of its field.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let list = |texts: &[&str]| toml::Value::from(texts.to_vec()).to_string();
        let mut lines = vec!["[topic.barcode]".to_owned(), format!("from = \"{name}\""), "parse = \"gs1\"".to_owned()];
        if self.identified {
            lines.push(
                "symbology_id = \"required\"    # all of these had one: a scanner that was reset sends none".to_owned(),
            );
        }
        if !self.separators.is_empty() {
            lines.push(format!("separator = {}", list(&self.separators)));
        }
        if !self.no_read.is_empty() {
            lines.push(format!("no_read = {}", list(&self.no_read)));
        }
        if self.sets.len() <= MOST_SETS && self.no_read.is_empty() {
            let sets: Vec<String> =
                self.sets.iter().map(|set| list(&set.iter().map(String::as_str).collect::<Vec<_>>())).collect();
            lines.push(format!("require = [{}]    # what was seen: a lost separator shows up here", sets.join(", ")));
        }
        lines.push(
            "# a barcode with a fault is bad input, unless an emit has when = { field = \"refused\" }".to_owned(),
        );
        lines
    }
}
