//! What element strings must and must not stand together in one barcode.

use super::dictionary::{exactly, fits};
use super::{Element, Kind, Reading, Rules, Severity};

/// Adds what conflicts, what is missing, and what GS1 wants otherwise; `end`: where the barcode ends.
pub(super) fn check(reading: &mut Reading, end: usize, rules: &Rules) {
    let elements = std::mem::take(&mut reading.elements);
    for (i, element) in elements.iter().enumerate() {
        conflict(element, &elements[..i], reading);
        notes(element, &elements, reading);
    }
    let has = |pattern: &String| elements.iter().any(|element| fits(pattern, &element.ai));
    if !rules.require.is_empty() && !rules.require.iter().any(|set| set.iter().all(has)) {
        let sets: Vec<String> = rules.require.iter().map(|set| shown(set, " and ")).collect();
        let there: Vec<&str> = elements.iter().map(|element| element.ai.as_str()).collect();
        let suspicions: Vec<String> =
            reading.of(Severity::Suspicion).map(|problem| format!("; {}", problem.message)).collect();
        let message =
            format!("it must have {}, and has {}{}", sets.join(", or "), shown(&there, " and "), suspicions.concat());
        reading.refuse(Kind::Require, end..end, message);
    }
    reading.elements = elements;
}

/// `(01) and (10)`
fn shown<T: AsRef<str>>(ais: &[T], between: &str) -> String {
    ais.iter().map(|ai| format!("({})", ai.as_ref())).collect::<Vec<_>>().join(between)
}

/// The same AI again, with another value.
fn conflict(element: &Element, before: &[Element], reading: &mut Reading) {
    if let Some(other) = before.iter().find(|other| other.ai == element.ai && other.raw != element.raw) {
        let message = format!("({}) {} is {} here and {} before", element.ai, element.title, element.raw, other.raw);
        reading.refuse(Kind::Conflict, element.at.clone(), message);
    }
}

/// Pairs of the dictionary: they hold for all barcodes of a thing together, so one alone may break them.
fn notes(element: &Element, elements: &[Element], reading: &mut Reading) {
    let Some(ai) = exactly(&element.ai) else { return };
    let has = |pattern: &&str| elements.iter().any(|other| fits(pattern, &other.ai));
    for any in ai.needs.iter().filter(|any| !any.iter().any(|all| all.iter().all(has))) {
        let groups: Vec<String> = any.iter().map(|all| shown(all, " with ")).collect();
        let message = format!("({}) {} belongs to {}", element.ai, ai.title, groups.join(" or "));
        reading.tell(Severity::Note, Kind::Without, element.at.clone(), message);
    }
    let excluded = |other: &&Element| other.ai != element.ai && ai.excludes.iter().any(|p| fits(p, &other.ai));
    for other in elements.iter().filter(excluded) {
        let message = format!("({}) {} does not go with ({})", element.ai, ai.title, other.ai);
        reading.tell(Severity::Note, Kind::Together, element.at.clone(), message);
    }
}
