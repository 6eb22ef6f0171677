//! What a faultless barcode should not look like: signs that a separator was lost or is one that nobody listed.

use super::dictionary::{Ai, dictionary};
use super::{Form, Kind, Reading, Rules, Severity, value};

/// Ways to write a separator that scanners and people have, where CSET 82 allows them in a value.
const STAND_INS: [&str; 4] = ["<GS>", "(GS)", "%1D", "%1d"];
/// An AI whose value is two digits stands at the end of too many lots (`L2024`) to say anything.
const TELLS_NOTHING: &str = "20";

/// Other element strings at the end of a value.
pub(super) struct Hidden {
    /// Where the first of them begins.
    pub(super) at: usize,
    /// `(17)270131`
    pub(super) elements: String,
}

/// Adds the suspicions.
pub(super) fn check(reading: &mut Reading, rules: &Rules) {
    if reading.form != Form::ElementStrings {
        return;
    }
    let elements = std::mem::take(&mut reading.elements);
    for element in &elements {
        let ai = super::exactly(&element.ai);
        if let Some(hidden) = ai.filter(|ai| ai.min() < ai.max()).and_then(|_| hidden(&element.raw)) {
            let message = format!(
                "({}) {} ends in {}: the separator before it may be missing",
                element.ai, element.title, hidden.elements
            );
            let at = element.at.start + hidden.at..element.at.end;
            reading.tell(Severity::Suspicion, Kind::MissingSeparator, at, message);
        }
        let unlisted = |text: &&str| !rules.separators.iter().any(|listed| listed == text);
        for (text, at) in STAND_INS.iter().filter(|s| unlisted(s)).filter_map(|s| Some((s, element.raw.find(s)?))) {
            let at = element.at.start + at..element.at.start + at + text.len();
            let message = format!("({}) {} holds {text}: list it if it is a separator", element.ai, element.title);
            reading.tell(Severity::Suspicion, Kind::UnlistedSeparator, at, message);
        }
    }
    reading.elements = elements;
}

/// The element strings of known length, with faultless values, that a value ends in, behind at least one character.
pub(super) fn hidden(text: &str) -> Option<Hidden> {
    let (mut at, mut elements) = (text.len(), String::new());
    while let Some((code, from)) = last(&text[..at]) {
        let shown = format!("({code}){}", &text[from + code.len()..at]);
        elements = if elements.is_empty() { shown } else { format!("{shown}{elements}") };
        at = from;
    }
    (at < text.len()).then_some(Hidden { at, elements })
}

/// The AI and the place of the element string that `text` ends in.
fn last(text: &str) -> Option<(&str, usize)> {
    let mut ais = dictionary().iter().filter(|ai| ai.predefined && ai.first != TELLS_NOTHING);
    ais.find_map(|ai| ends_in(text, ai))
}

fn ends_in<'t>(text: &'t str, ai: &'static Ai) -> Option<(&'t str, usize)> {
    let from = text.len().checked_sub(ai.first.len() + ai.max()).filter(|from| *from > 0)?;
    let (code, value) = text.get(from..)?.split_at_checked(ai.first.len())?;
    let is_it = ai.first <= code && code <= ai.last && value::read(ai, code, value, super::YEAR).1.is_empty();
    is_it.then_some((code, from))
}
