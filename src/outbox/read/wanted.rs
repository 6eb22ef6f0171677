//! What a word of a person may mean: an id, a key, a subject, a barcode. Pure.

use crate::event::{Id, key_of_short_ref};
use crate::outbox::finder::{Print, of_id, of_subject, tail};
use crate::tagmap::gs1;

/// AIs that name a thing, and may be the subject of its events: SSCC, GTIN, consignment, shipment, document, place, asset.
const NAMING: [&str; 13] =
    ["00", "01", "02", "253", "255", "401", "402", "414", "8003", "8004", "8006", "8017", "8018"];
/// How people and their tools write the separator.
const SEPARATORS: [&str; 5] = ["\\x1d", "\\u001d", "<GS>", "{GS}", "^]"];
/// A value shorter than this is not looked for within bytes.
const WITHIN: usize = 6;

/// What is looked for. An event has it if one of them is its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Number in the outbox.
    pub(super) seq: Option<i64>,
    /// The id of an event, the key of a posting, or the id of a batch.
    pub(super) id: Option<Id>,
    /// The beginning of a posting's key.
    pub(super) key: Option<[u8; 6]>,
    /// Subjects, with their class or without.
    pub(super) subjects: Vec<String>,
    /// References of the target, values of fields, or texts within the bytes that came; as it was written first.
    pub(super) values: Vec<String>,
}

impl Wanted {
    /// `#123` is a number in the outbox. A UUID, 32 hexadecimal digits and a traceparent are an id; `FG` and 14 letters are the
    /// short form of a key; everything else is a subject, and if it is a barcode, what the barcode names.
    pub fn parse(text: &str) -> Self {
        if let Some(seq) = text.strip_prefix('#').and_then(|seq| seq.parse().ok()) {
            return Self { seq: Some(seq), ..Self::default() };
        }
        if let Some(id) = id_of(text) {
            return Self { id: Some(id), key: id.0[..6].try_into().ok(), ..Self::of_text(text) };
        }
        Self { key: key_of_short_ref(text), ..Self::of_text(text) }
    }

    fn of_text(text: &str) -> Self {
        let mut subjects = vec![text.to_owned()];
        for name in names(text) {
            if !subjects.contains(&name) {
                subjects.push(name);
            }
        }
        Self { values: subjects.clone(), subjects, ..Self::default() }
    }

    /// What it names, if it is a barcode; the digits of a GTIN alone name themselves.
    pub fn named(&self) -> &[String] {
        match &self.subjects[..] {
            [text, named @ ..] if !is_gtin(text) => named,
            _ => &[],
        }
    }

    /// It is looked for as an id or a key first.
    pub(super) fn is_id(&self) -> bool {
        self.id.is_some() || self.key.is_some()
    }

    /// As an id or a key alone.
    pub(super) fn as_id(&self) -> Self {
        Self { id: self.id, key: self.key, ..Self::default() }
    }

    /// As a text alone: a serial number may have the form of an id.
    pub(super) fn as_text(&self) -> Self {
        Self { id: None, key: None, ..self.clone() }
    }

    /// Whether a subject is meant.
    pub(super) fn has_subject(&self, subject: &str) -> bool {
        self.subjects.iter().any(|wanted| wanted == subject || wanted == tail(subject))
    }

    /// Whether a posting is meant by its key.
    pub(super) fn has_key(&self, posting: Id) -> bool {
        self.key.is_some_and(|key| posting.0[..6] == key) && self.id.is_none_or(|id| id == posting)
    }

    /// What a target may have given a posting as its reference.
    pub(super) fn reference(&self) -> Option<&str> {
        self.values.first().map(String::as_str).filter(|text| !text.is_empty())
    }

    /// What an event that has it left in the finder.
    pub(super) fn prints(&self) -> Vec<Print> {
        let ids = self.id.iter().map(|id| of_id(&id.0)).chain(self.key.iter().map(|key| of_id(key)));
        let whole = self.subjects.iter().map(|subject| of_subject(subject));
        // A subject may have a stroke of its own behind its class.
        let bare = self.subjects.iter().map(|subject| of_subject(&format!("/{subject}")));
        ids.chain(whole).chain(bare).collect()
    }

    /// Values as they stand in an event's body, which is JSON, and the ones that are looked for within the bytes that came.
    pub(super) fn fields(&self) -> (Vec<String>, Vec<&[u8]>) {
        let quoted = self.values.iter().map(|value| serde_json::Value::from(value.as_str()).to_string()).collect();
        let within = self.values.iter().filter(|value| value.len() >= WITHIN).map(String::as_bytes).collect();
        (quoted, within)
    }
}

fn id_of(text: &str) -> Option<Id> {
    let hex = match text.split('-').collect::<Vec<_>>()[..] {
        ["00", trace, _span, _flags] => trace,
        [hex] => hex,
        _ => return Id::parse(text),
    };
    let parts = [hex.get(..8)?, hex.get(8..12)?, hex.get(12..16)?, hex.get(16..20)?, hex.get(20..)?];
    Id::parse(&parts.join("-"))
}

/// What a barcode names, as maps make subjects of it: without its AI; a GTIN with all 14 digits, and without zeros in front.
fn names(text: &str) -> Vec<String> {
    let separators = SEPARATORS.map(str::to_owned).to_vec();
    let rules = gs1::Rules { separators, check_digits: false, ..gs1::Rules::default() };
    // As it is printed below a barcode: (00)395212345000000125
    let plain: String = if text.starts_with('(') {
        text.chars().filter(|c| !matches!(c, '(' | ')' | ' ')).collect()
    } else {
        text.to_owned()
    };
    let reading = gs1::read(&plain, &rules);
    let mut names = Vec::new();
    for element in reading.elements.iter().filter(|element| NAMING.contains(&element.ai.as_str())) {
        names.push(element.raw.clone());
        if matches!(element.ai.as_str(), "01" | "02") {
            names.extend(lengths(&element.raw));
        }
    }
    // The digits of an EAN or UPC alone.
    if is_gtin(&plain) {
        names.extend(lengths(&format!("{plain:0>14}")));
    }
    names
}

fn is_gtin(text: &str) -> bool {
    matches!(text.len(), 8 | 12 | 13 | 14) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A GTIN of 14 digits in all lengths that it can be written with.
fn lengths(gtin: &str) -> impl Iterator<Item = String> {
    [14, 13, 12, 8].into_iter().filter_map(|digits| {
        let (zeros, rest) = gtin.split_at_checked(gtin.len().checked_sub(digits)?)?;
        zeros.bytes().all(|byte| byte == b'0').then(|| rest.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_it_can_be() {
        let event = "8be34a6d-183b-8ac9-9dc5-8bef23c21648";
        let id = Id::parse(event);
        for text in
            [event, "8be34a6d183b8ac99dc58bef23c21648", "00-8be34a6d183b8ac99dc58bef23c21648-736c0e81a2aa6384-01"]
        {
            assert_eq!(Wanted::parse(text).id, id, "{text}");
        }
        assert_eq!(Wanted::parse("#12"), Wanted { seq: Some(12), ..Wanted::default() });
        let key = Id::parse("5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1").expect("a key");
        let short = Wanted::parse("FGBNFNRZDZDT3SMD");
        assert!(short.has_key(key) && short.id.is_none(), "{short:?}");
        assert!(!Wanted::parse("FGBNFNRZDZDT3SME").is_id() || !Wanted::parse("FGBNENRZDZDT3SMD").has_key(key));
        assert_eq!((Wanted::parse("SH-1").id, Wanted::parse("SH-1").key), (None, None));
    }

    #[test]
    fn a_barcode_is_what_it_names() {
        let sscc = "395212345000000125";
        for text in [&format!("00{sscc}"), &format!("]C100{sscc}"), &format!("(00) {sscc}"), sscc] {
            assert!(Wanted::parse(text).has_subject(sscc), "{text}");
            assert!(Wanted::parse(text).has_subject(&format!("carton/{sscc}")), "{text}");
        }
        let gtin = Wanted::parse("]d201095212345432131727013110LOT-7<GS>21SER01");
        assert!(gtin.has_subject("09521234543213") && gtin.has_subject("9521234543213"), "{gtin:?}");
        assert!(Wanted::parse("4006381333931").has_subject("04006381333931"));
    }
}
