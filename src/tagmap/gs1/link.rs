//! GS1 Digital Link URIs, uncompressed: `https://id.gs1.org/01/09521234543213/10/LOT-7?17=270131`.
//!
//! Any scheme `http` or `https`, any domain, any path before the key. The path's end has the key and its qualifiers, in
//! GS1's order; the query has attributes. Words of the query that are no numbers are for the web, and passed over.

use std::ops::Range;

use super::dictionary::{Ai, exactly, is_digits};
use super::{Kind, Reading, Rules, Severity, value};

/// Names that older versions of the standard had for AIs.
const CONVENIENCE: [(&str, &str); 29] = [
    ("sscc", "00"),
    ("gtin", "01"),
    ("lot", "10"),
    ("exp", "17"),
    ("ser", "21"),
    ("cpv", "22"),
    ("gdti", "253"),
    ("glnx", "254"),
    ("gcn", "255"),
    ("ginc", "401"),
    ("gsin", "402"),
    ("shipTo", "410"),
    ("billTo", "411"),
    ("purchasedFrom", "412"),
    ("shipFor", "413"),
    ("gln", "414"),
    ("payTo", "415"),
    ("glnProd", "416"),
    ("party", "417"),
    ("grai", "8003"),
    ("giai", "8004"),
    ("itip", "8006"),
    ("cpid", "8010"),
    ("cpsn", "8011"),
    ("gmn", "8013"),
    ("gsrnp", "8017"),
    ("gsrn", "8018"),
    ("srin", "8019"),
    ("refno", "8020"),
];

/// It begins with `http://` or `https://`, in any case.
pub(super) fn is_uri(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)))
}

/// A piece of the URI with its place.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    at: usize,
}

impl Piece<'_> {
    fn range(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

/// An AI as a URI names it.
#[derive(Clone, Copy)]
struct Named<'t> {
    ai: &'static Ai,
    code: &'t str,
    by: Piece<'t>,
}

/// Reads the URI that stands in `text` from `start` on.
pub(super) fn read(text: &str, start: usize, rules: &Rules, reading: &mut Reading) {
    let text = &text[..text[start..].find('#').map_or(text.len(), |at| start + at)];
    let query = text[start..].find('?').map_or(text.len(), |at| start + at);
    let domain = text[start..query].find("//").map_or(start, |at| start + at + 2);
    let path = text[domain..query].find('/').map_or(query, |at| domain + at + 1);
    let trimmed = text[..query].strip_suffix('/').map_or(query, str::len).max(path);
    let segments = pieces(text, path..trimmed, &['/']);
    let Some(key) = (0..segments.len()).find(|i| is_key_path(&segments[*i..])) else {
        reading.refuse(Kind::Link, path..query, why_not(&segments));
        return;
    };
    for pair in segments[key..].chunks_exact(2) {
        if let Some(named) = named(pair[0]) {
            add(named, pair[1], rules, reading);
        }
    }
    for attribute in pieces(text, (query + 1).min(text.len())..text.len(), &['&', ';']) {
        self::attribute(attribute, rules, reading);
    }
}

fn pieces<'t>(text: &'t str, within: Range<usize>, between: &[char]) -> Vec<Piece<'t>> {
    let mut at = within.start;
    let piece = |text: &'t str| {
        let piece = Piece { text, at };
        at += text.len() + 1;
        piece
    };
    text[within].split(between).map(piece).filter(|piece| !piece.text.is_empty()).collect()
}

fn named(piece: Piece<'_>) -> Option<Named<'_>> {
    let code = CONVENIENCE.iter().find(|(name, _)| *name == piece.text).map_or(piece.text, |(_, code)| code);
    exactly(code).map(|ai| Named { ai, code, by: piece })
}

/// A key with its value, then qualifiers with theirs, in the order of one of the key's lists.
fn is_key_path(segments: &[Piece<'_>]) -> bool {
    let names: Option<Vec<&str>> =
        segments.chunks(2).map(|pair| (pair.len() == 2).then(|| named(pair[0]).map(|n| n.code))?).collect();
    let Some([key, qualifiers @ ..]) = names.as_deref() else { return false };
    let lists = exactly(key).and_then(|ai| ai.key.as_ref());
    lists.is_some_and(|lists| lists.iter().any(|list| is_subsequence(qualifiers, list)))
}

fn is_subsequence(some: &[&str], all: &[&str]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

/// Why no end of the path is a key with its qualifiers.
fn why_not(segments: &[Piece<'_>]) -> String {
    let key = segments.iter().position(|piece| named(*piece).is_some_and(|named| named.ai.key.is_some()));
    let is_base64 = |text: &str| text.len() >= 8 && text.chars().all(|c| super::Set::Base64.has(c));
    let last = segments.last().filter(|last| is_base64(last.text) && !is_digits(last.text));
    match (key, last) {
        (None, Some(_)) => "it has no key of GS1 in its path: if it is a compressed Digital Link, only a resolver can \
                            read it; have labels printed with the uncompressed one"
            .to_owned(),
        (None, None) => "it has no key of GS1 in its path, such as /01/ and a GTIN: no Digital Link".to_owned(),
        (Some(key), Some(last)) if (segments.len() - key) % 2 == 1 => format!(
            "its path ends in {}, which has no AI before it: if it is a partly compressed Digital Link, only a resolver \
             can read it; have labels printed with the uncompressed one",
            last.text
        ),
        (Some(key), _) => {
            let lists = named(segments[key]).and_then(|named| named.ai.key.as_ref());
            let lists = lists.iter().flat_map(|lists| lists.iter().filter(|list| !list.is_empty()));
            let orders: Vec<String> = lists.map(|list| list.join(", ")).collect();
            let allowed = if orders.is_empty() { "nothing more".to_owned() } else { orders.join(" or ") };
            format!(
                "behind the key {} and its value may stand {allowed}, each with a value, in this order; the rest \
                 belongs into the query",
                segments[key].text
            )
        }
    }
}

/// One `17=270131` of the query.
fn attribute(piece: Piece<'_>, rules: &Rules, reading: &mut Reading) {
    let (name, value) = piece.text.split_once('=').unwrap_or((piece.text, ""));
    let value = Piece { text: value, at: piece.at + piece.text.len() - value.len() };
    let name = Piece { text: name, at: piece.at };
    match named(name) {
        Some(named) if named.ai.attribute => add(named, value, rules, reading),
        Some(_) => {
            let message = format!("({}) may stand in the path of a Digital Link, not in its query", name.text);
            reading.refuse(Kind::Link, name.range(), message);
        }
        None if is_digits(name.text) => {
            let severity = if rules.reject_unknown_ai { Severity::Fault } else { Severity::Note };
            reading.tell(
                severity,
                Kind::UnknownAi,
                name.range(),
                format!("{} is no application identifier", name.text),
            );
        }
        None => {}
    }
}

fn add(named: Named<'_>, value: Piece<'_>, rules: &Rules, reading: &mut Reading) {
    if named.code != named.by.text {
        let message = format!("`{}` is deprecated in Digital Links: it is ({})", named.by.text, named.code);
        reading.tell(Severity::Note, Kind::Deprecated, named.by.range(), message);
    }
    if let Some(raw) = value::unescape(value.text) {
        reading.add(named.ai, named.code, &raw, value.range(), rules);
    } else {
        let message = format!("({}) is wrong where its percent signs are", named.code);
        reading.refuse(Kind::Link, value.range(), message);
    }
}
