//! `[topic.barcode]`: what a scanned code says after GS1, as slots beside the fields of the payload.
//!
//! `ai.10`, `ai.330n` (`n` is any digit) and `ai.30 or ai.37` (the first that is there) can stand wherever an emit names
//! a field; `no_read` is there when the scanner says that it read nothing, `refused` when the barcode has a fault,
//! `suspect` when it has none and looks wrong. Where no emit asks for `refused`, a barcode with a fault is bad input,
//! with the reason and the place. What is `refused` or `suspect` goes with the event, whatever the emit lists.

use super::schema::{Slot, Slots};
use super::{Emit, Field, Kind};
use crate::event::Value;
use crate::form::Table;
use crate::tagmap::gs1::{self, Check, Form, Identifier, Reading, Rules, Severity};

/// Longest stand-in for a separator, in bytes.
const MAX_SEPARATOR: usize = 8;
/// Most stand-ins, no-read texts, sets of `require`.
const MAX_LIST: usize = 16;
/// Most faults that a reason tells.
const MAX_TOLD: usize = 3;
/// Years that two-digit years can be near to.
const YEARS: std::ops::RangeInclusive<u16> = 2000..=2999;

/// One `[topic.barcode]`.
#[derive(Debug, Clone)]
pub(super) struct Barcode {
    /// The slot that holds the code.
    from: usize,
    /// `None`: it is not taken apart.
    rules: Option<Rules>,
    no_read: Vec<String>,
    /// What is nothing of GS1, after its symbology identifier, is no bad input.
    passes_others: bool,
    refuses_suspects: bool,
    /// Slots of the payload's fields begin here.
    captures: usize,
    refused: Option<usize>,
    suspect: Option<usize>,
    /// An emit takes what is refused.
    keeps_refused: bool,
}

impl Barcode {
    /// Reads the table, and adds a slot for each `ai.…` that an emit names.
    pub(super) fn read(table: &Table<'_>, slots: &mut Slots, emits: &[Table<'_>]) -> Option<Self> {
        let from = from(table, slots);
        let parses = [("gs1", Some(false)), ("gs1-digital-link", Some(true)), ("raw", None)];
        let links_only = table.required_choice("parse", &parses);
        let no_read = list(table, "no_read");
        let passes_others = choice(table, "not_gs1", &[("refuse", false), ("pass", true)]);
        let refuses_suspects = choice(table, "on_suspect", &[("mark", false), ("refuse", true)]);
        let rules = rules(table, links_only.flatten().unwrap_or_default());
        let captures = slots.0.iter().take_while(|slot| slot.field.is_none()).count();
        own_slot(table, slots, "no_read", Field::NoRead);
        let (mut refused, mut suspect) = (None, None);
        if links_only != Some(None) {
            refused = Some(own_slot(table, slots, "refused", Field::Refused));
            suspect = Some(own_slot(table, slots, "suspect", Field::Suspect));
            emits.iter().flat_map(Table::texts).flat_map(names).for_each(|name| add(name, slots));
        }
        emits.iter().for_each(refuse_own_marks);
        let rules = links_only?.map(|_| rules);
        let rules = match rules {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self {
            from: from?,
            rules,
            no_read,
            passes_others: passes_others?,
            refuses_suspects: refuses_suspects?,
            captures,
            refused,
            suspect,
            keeps_refused: false,
        })
    }

    /// The same, knowing the emits: one that asks for `refused` takes what would be bad input.
    pub(super) fn for_emits<'e>(self, mut emits: impl Iterator<Item = &'e Emit>) -> Self {
        let keeps_refused = emits.any(|emit| emit.when.as_ref().is_some_and(|when| Some(when.slot) == self.refused));
        Self { keeps_refused, ..self }
    }

    /// Fills the barcode's slots.
    ///
    /// # Errors
    /// Why the barcode is refused, with places in it.
    pub(super) fn fill(&self, fields: &[Field], slots: &mut [Option<Value>]) -> Result<(), String> {
        let Some(Value::Text(code)) = &slots[self.from] else { return Ok(()) };
        let is_no_read = self.no_read.iter().any(|text| text == gs1::bare(code));
        let reading = self.rules.as_ref().filter(|_| !is_no_read).map(|rules| gs1::read(code, rules));
        let reading = reading.filter(|reading| !(self.passes_others && reading.form == Form::Other));
        let refused = reading.as_ref().and_then(|reading| self.refusal(code, reading));
        if let Some(why) = refused.as_ref().filter(|_| !self.keeps_refused) {
            return Err(format!("the barcode is refused: {why}"));
        }
        let reading = reading.filter(|_| refused.is_none());
        for (field, slot) in fields.iter().zip(&mut slots[self.captures..]) {
            match field {
                Field::Ai { any, kind } => *slot = reading.as_ref().and_then(|reading| value(reading, any, *kind)),
                Field::NoRead => *slot = is_no_read.then_some(Value::Bool(true)),
                Field::Refused => *slot = refused.clone().map(Value::Text),
                Field::Suspect => *slot = reading.as_ref().and_then(suspicion).map(Value::Text),
                Field::At { .. } | Field::List { .. } | Field::Taken { .. } => {}
            }
        }
        Ok(())
    }

    /// What an event of a refused or suspect barcode carries, unless its emit lists it already.
    pub(super) fn marks(&self, emit: &Emit, slots: &[Option<Value>]) -> impl Iterator<Item = (String, Value)> {
        let marks = [("refused", self.refused), ("suspect", self.suspect)];
        let is_listed = |slot: usize| emit.fields.iter().any(|(_, listed)| *listed == slot);
        marks.into_iter().filter_map(move |(name, slot)| {
            let why = slots[slot.filter(|slot| !is_listed(*slot))?].clone()?;
            Some((name.to_owned(), why))
        })
    }

    fn refusal(&self, code: &str, reading: &Reading) -> Option<String> {
        let refused =
            |severity| severity == Severity::Fault || self.refuses_suspects && severity == Severity::Suspicion;
        let problems: Vec<_> = reading.problems.iter().filter(|problem| refused(problem.severity)).collect();
        let mut told: Vec<String> = problems
            .iter()
            .take(MAX_TOLD)
            .map(|problem| {
                if problem.at.is_empty() {
                    return problem.message.clone();
                }
                let place = code.get(..problem.at.start).map_or(0, |before| before.chars().count()) + 1;
                format!("{} (at character {place})", problem.message)
            })
            .collect();
        if problems.len() > MAX_TOLD {
            told.push(format!("and {} more", problems.len() - MAX_TOLD));
        }
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// The first of these AIs that the barcode has.
fn value(reading: &Reading, any: &[String], kind: Kind) -> Option<Value> {
    let value = any.iter().find_map(|pattern| reading.find(pattern))?.value.clone()?;
    Some(match value {
        gs1::Value::Count(count) if kind == Kind::Integer => Value::Int(count.into()),
        gs1::Value::Count(count) => Value::Text(count.to_string()),
        gs1::Value::Text(text) | gs1::Value::Decimal(text) | gs1::Value::Date(text) => Value::Text(text),
    })
}

/// `missing-separator: (10) BATCH/LOT ends in …`
fn suspicion(reading: &Reading) -> Option<String> {
    let told: Vec<String> = reading
        .of(Severity::Suspicion)
        .map(|problem| format!("{}: {}", problem.kind.name(), problem.message))
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Adds a slot that each barcode has.
fn own_slot(table: &Table<'_>, slots: &mut Slots, name: &str, field: Field) -> usize {
    if slots.find(name).is_some() {
        table.refuse(&format!("has a slot `{name}` of its own"), "give the field or level another name");
    }
    slots.0.push(Slot { name: name.to_owned(), field: Some(field) });
    slots.0.len() - 1
}

/// The names of slots in a text of an emit: the whole of it, or what stands in braces.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(['{', '}']).filter(|name| name.starts_with("ai."))
}

/// Adds the slot that `ai.30 or ai.37` names; what names no AI is told where it stands, as an unknown field.
fn add(name: &str, slots: &mut Slots) {
    let ai = |name: &str| name.strip_prefix("ai.").filter(|ai| gs1::is_pattern(ai)).map(str::to_owned);
    let Some(any) = name.split(" or ").map(ai).collect::<Option<Vec<String>>>() else { return };
    if slots.find(name).is_some() {
        return;
    }
    let is_count = |ai: &String| gs1::exactly(ai).is_some_and(|ai| ai.has(Check::Count));
    let kind = if any.iter().all(is_count) { Kind::Integer } else { Kind::Text };
    slots.0.push(Slot { name: name.to_owned(), field: Some(Field::Ai { any, kind }) });
}

/// An event's `refused` and `suspect` mean what this module means by them.
fn refuse_own_marks(emit: &Table<'_>) {
    let Some(fields) = emit.entry("fields") else { return };
    for (key, value) in fields.value().as_table().into_iter().flat_map(|fields| fields.iter()) {
        let name = key.get_ref().as_ref();
        if matches!(name, "refused" | "suspect") && value.get_ref().as_str() != Some(name) {
            let message = format!("has `{name}`, which goes with the event of such a barcode by itself");
            fields.refuse(&message, "give the field another name");
        }
    }
}

fn from(table: &Table<'_>, slots: &Slots) -> Option<usize> {
    table.required_entry("from")?;
    let from = slots.named(table, "from")?;
    let is_text = matches!(slots.0[from].field, None | Some(Field::At { kind: Kind::Text, .. }));
    if !is_text {
        let message = format!("`{}` is no text of the payload", slots.0[from].name);
        table.refuse_key("from", &message, "name a field with a path, of type \"string\"");
    }
    is_text.then_some(from)
}

fn choice<T: Clone>(table: &Table<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    table.entry(key).map_or_else(|| words.first().map(|(_, first)| first.clone()), |entry| entry.choice(words))
}

fn list(table: &Table<'_>, key: &str) -> Vec<String> {
    let list: Vec<String> = table.or(key, Vec::new());
    bounded(table, key, list.len());
    list
}

fn bounded(table: &Table<'_>, key: &str, length: usize) {
    if length > MAX_LIST {
        table.refuse_key(key, &format!("has {length} entries"), &format!("at most {MAX_LIST}"));
    }
}

fn rules(table: &Table<'_>, links_only: bool) -> Option<Rules> {
    let identifiers =
        [("optional", Identifier::Optional), ("required", Identifier::Required), ("absent", Identifier::Absent)];
    let identifier = choice(table, "symbology_id", &identifiers);
    let separators = list(table, "separator");
    for separator in &separators {
        let is_plain = separator.bytes().all(|b| b.is_ascii_alphanumeric());
        if is_plain || separator.len() > MAX_SEPARATOR {
            let message = format!("\"{}\" can be no separator", separator.escape_debug());
            table.refuse_key("separator", &message, "1 to 8 bytes, not letters and digits alone: \"<GS>\"");
        }
    }
    let require: Vec<Vec<String>> = table.or("require", Vec::new());
    bounded(table, "require", require.len());
    for ai in require.iter().flatten().filter(|ai| !gs1::is_pattern(ai)) {
        table.refuse_key(
            "require",
            &format!("\"{ai}\" is no application identifier"),
            "\"01\", or \"310n\" for any digit",
        );
    }
    if require.iter().any(Vec::is_empty) {
        table.refuse_key("require", "has an empty set, which every barcode has", "remove it");
    }
    let year: u16 = table.or("year", gs1::YEAR.unsigned_abs());
    if !YEARS.contains(&year) {
        table.refuse_key("year", &format!("is {year}"), "the year that two-digit years are near to: year = 2026");
    }
    Some(Rules {
        identifier: identifier?,
        links_only,
        separators,
        reject_unknown_ai: table.or("reject_unknown_ai", true),
        check_digits: table.or("check_digits", true),
        require,
        year: i16::try_from(year).ok()?,
    })
}

#[cfg(test)]
mod tests;
