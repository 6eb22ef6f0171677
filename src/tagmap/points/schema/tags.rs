//! `[[tag]]`.

mod ties;
mod types;
mod valid;

use rust_decimal::Decimal;

use super::{Placed, millis};
use crate::form::{self, Table, nearest};
use crate::tagmap::gs1::Code;
use crate::tagmap::number::conversion;
use crate::tagmap::points::condition::is_name;
use crate::tagmap::points::tag::{Bits, Counter, Debounce, Form, Scale, Tag};
use crate::tagmap::points::{Area, Poll};
use crate::tagmap::registers::{Order, Type};
use crate::tagmap::{Context, address, fifo};

pub(super) use types::{ELSEWHERE, TYPES, Word};

/// All tags that can be read, and the indexes of their tables.
pub(super) fn read(tables: &[Table<'_>], context: &Context<'_>, polls: &[Poll]) -> Vec<Placed> {
    let mut tags: Vec<Placed> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let Some(tag) = tag(table, context, polls) else { continue };
        if tags.iter().any(|(other, _)| other.name == tag.name) {
            table.refuse_key("name", &format!("is a second tag `{}`", tag.name), "give each tag its own name");
        }
        tags.push((tag, index));
    }
    ties::scales(tables, &mut tags);
    ties::epochs(tables, &mut tags);
    tags
}

fn tag(table: &Table<'_>, context: &Context<'_>, polls: &[Poll]) -> Option<Tag> {
    let name = name(table);
    let form = form(table, context);
    let count = form.map_or(1, |form| if let Form::Registers(kind) = form { kind.words() } else { 1 });
    let place = address::read(table, context, count);
    let poll = poll(table, context, polls);
    let group: Option<String> = table.optional("group");
    let invert = table.or("invert", false);
    let number = matches!(form, Some(Form::Registers(kind)) if kind.is_number());
    let scale = match table.entry("scale") {
        Some(entry) if entry.value().as_table().is_none() => entry.read(),
        _ => None,
    };
    let offset: Option<Decimal> = table.optional("offset");
    let digits: Option<u32> = table.optional("digits");
    let (unit, convert) = unit(table);
    let mut valid = table.table("valid").map(|valid| valid::read(&valid, form)).unwrap_or_default();
    valid.code = table.entry("check").and_then(|e| e.choice(&Code::WORDS));
    let words = fifo::words_for(table);
    let bits = table.table("bits").map(|bits| self::bits(&bits)).unwrap_or_default();
    let debounce = table.table("debounce").and_then(|t| debounce(&t, context));
    let counter = table.table("counter").and_then(|t| counter(&t, form));
    if digits.is_some_and(|digits| digits > 20) {
        table.refuse_key("digits", "is more than a number has", "write 0 to 20");
    }
    if let (Some((area, _)), Some(form)) = (place, form) {
        fits(table, area, form, context);
    }
    let only = |keys: &[&str], is: bool, what: &str, help: &str| {
        for key in keys.iter().filter(|key| !is && table.entry(key).is_some()) {
            table.refuse_key(key, &format!("is for {what}"), help);
        }
    };
    if let Some(form) = form {
        let bit = matches!(form, Form::Input | Form::Bit(_));
        let help = "remove it, or give the tag another type";
        only(&["scale", "offset", "to", "digits", "enum"], number, "numbers", help);
        only(&["valid"], !bit, "numbers and texts", help);
        only(&["check"], matches!(form, Form::Registers(Type::Text { .. })), "texts", help);
        only(&["debounce", "invert"], bit, "single bits", help);
        only(&["bits"], form == Form::Registers(Type::U16), "registers of type \"u16\"", help);
        only(&["unit"], number, "numbers", help);
        only(&["bit"], matches!(form, Form::Bit(_)), "type \"bit\"", "remove it, or write type = \"bit\"");
        let scaled = ["scale", "offset", "to", "digits"].into_iter().find(|key| table.entry(key).is_some());
        if let Some(key) = scaled.filter(|_| words.is_some() || counter.is_some() || !bits.is_empty()) {
            table.refuse_key(
                key,
                "changes numbers that are counted or stand for words or bits",
                "remove one of the two",
            );
        }
    }
    let (area, at) = place?;
    Some(Tag {
        name: name?,
        area,
        at,
        form: form?,
        poll: poll?,
        group,
        invert,
        scale: Scale::Fixed(scale.unwrap_or(Decimal::ONE)),
        offset: offset.unwrap_or(Decimal::ZERO),
        convert,
        digits,
        unit,
        words,
        valid,
        bits,
        debounce,
        counter,
    })
}

/// `unit = "mm", to = "cm"`: the unit that values have in the end, and what makes it.
fn unit(table: &Table<'_>) -> (Option<String>, Option<(Decimal, Decimal)>) {
    let (unit, to): (Option<String>, Option<String>) = (table.optional("unit"), table.optional("to"));
    match (unit, to) {
        (Some(unit), Some(to)) => {
            let convert = conversion(table, &unit, &to);
            (Some(to), convert)
        }
        (None, Some(_)) => {
            table.refuse_key("to", "says what it becomes, and nothing what it is", "write `unit` beside it");
            (None, None)
        }
        (unit, None) => (unit, None),
    }
}

fn name(table: &Table<'_>) -> Option<String> {
    let name: String = table.required("name")?;
    let plain = !name.is_empty() && name.chars().all(is_name) && !name.starts_with(|c: char| c.is_ascii_digit());
    if !plain || ["and", "or", "not", "true", "false"].contains(&name.as_str()) {
        let message = format!("\"{name}\" is no name for conditions");
        table.refuse_key("name", &message, "letters, digits and _, a letter first; not and, or, not, true, false");
        return None;
    }
    Some(name)
}

/// The bit area holds bools, the others the rest.
fn fits(table: &Table<'_>, area: Area, form: Form, context: &Context<'_>) {
    if area.is_bits() == (form == Form::Input) || address::refuse_short(table, area, context) {
        return;
    }
    let message = format!("does not lie in the table \"{}\"", area.word());
    let help = if area.is_bits() {
        "write type = \"bool\""
    } else {
        "write type = \"bit\" with bit = 0 to 15 for one bit of a register"
    };
    table.refuse_key("type", &message, help);
}

fn form(table: &Table<'_>, context: &Context<'_>) -> Option<Form> {
    let word = table.required_entry_as("type", &format!("add `type = …` here: {}", form::one_of(&TYPES)));
    let word = word.and_then(|e| e.choice_or_meant(&TYPES, &ELSEWHERE));
    let texts = ["words", "encoding", "bytes", "trim"];
    let Some(word) = word else {
        // They belong to a type that is not known: that is the fault, not they.
        for key in texts.iter().chain(&["order", "bit"]) {
            table.entry(key);
        }
        return None;
    };
    let taken: &[&str] = match word {
        Word::Text => &texts,
        Word::Bytes => &texts[..1],
        _ => &[],
    };
    for key in texts.iter().filter(|key| !taken.contains(key) && table.entry(key).is_some()) {
        table.refuse_key(key, "is for texts", "remove it, or write type = \"string\"");
    }
    let kind = match word {
        Word::Two(kind) => kind(order(table, context, 2)?),
        Word::Four(kind) => kind(order(table, context, 4)?),
        Word::One(kind @ (Type::U16 | Type::I16)) if has_letters(table, 2) => match Order::read(table, 1)? {
            Order::Badc => Type::Swapped { signed: kind == Type::I16 },
            _ => kind,
        },
        other => {
            if let Some(entry) = table.entry("order") {
                entry.refuse(
                    "orders the bytes of two registers or more, but this is one value of single registers",
                    "remove it",
                );
            }
            match other {
                Word::Bool => return Some(Form::Input),
                Word::Bit => return bit(table).map(Form::Bit),
                Word::One(kind) => kind,
                Word::Text => fifo::text(table, context)?,
                _ => Type::Bytes { words: words(table)? },
            }
        }
    };
    Some(Form::Registers(kind))
}

fn has_letters(table: &Table<'_>, count: usize) -> bool {
    table.entry("order").is_some_and(|e| e.value().as_str().is_some_and(|text| text.len() == count))
}

pub(super) fn order(table: &Table<'_>, context: &Context<'_>, words: u16) -> Option<Order> {
    if table.entry("order").is_some() {
        return Order::read(table, words);
    }
    if context.defaults.order.is_none() {
        let help = if words == 2 {
            "write order = \"ABCD\" (high word first) or \"CDAB\", here or in [defaults]"
        } else {
            "write order = \"ABCDEFGH\" (high word first) or \"GHEFCDAB\" here, or \"ABCD\" or \"CDAB\" in [defaults]"
        };
        table.refuse_key("order", "is missing", help);
    }
    context.defaults.order
}

pub(super) fn bit(table: &Table<'_>) -> Option<u8> {
    let bit: u8 = table.required("bit")?;
    if bit > 15 {
        table.refuse_key("bit", &format!("is {bit}"), "a register has the bits 0 (lowest) to 15");
        return None;
    }
    Some(bit)
}

fn words(table: &Table<'_>) -> Option<u16> {
    let words: u16 = table.required("words")?;
    if words == 0 {
        table.refuse_key("words", "is 0", "two bytes fit in a word");
        return None;
    }
    Some(words)
}

fn poll(table: &Table<'_>, context: &Context<'_>, polls: &[Poll]) -> Option<usize> {
    let own = table.entry("poll").map(|e| e.read::<String>());
    let name = match own {
        Some(own) => own?,
        None => match &context.defaults.poll {
            Some(name) => name.clone(),
            None => table.required("poll")?,
        },
    };
    let found = polls.iter().position(|poll| *poll.name == *name);
    match found {
        None if table.entry("poll").is_none() => {} // told at [defaults]
        None => {
            let known = context.polls.keys().cloned().collect();
            table.refuse_key("poll", &format!("there is no [poll.{name}]"), &nearest(&name, &known));
        }
        Some(found) if polls[found].every.is_zero() => {
            table.refuse_key("poll", "polls without a pause", "give [poll.*] every = \"50ms\" or more");
        }
        Some(_) => {}
    }
    found
}

/// `bits = { jam = 3, speed_step = { from = 8, to = 11 } }`
fn bits(table: &Table<'_>) -> Vec<Bits> {
    let mut made: Vec<Bits> = Vec::new();
    for entry in table.all() {
        let (from, to) = if entry.value().as_table().is_some() {
            let Some(range) = entry.table() else { continue };
            (range.required("from"), Some(range.required::<u8>("to")))
        } else {
            (entry.read::<u8>(), None)
        };
        let name = entry.key().to_owned();
        if !name.chars().all(is_name) || ["tag", "value", "unit", "quality", "reason"].contains(&name.as_str()) {
            entry.refuse("is no name for a bit", "letters, digits and _; not tag, value, unit, quality, reason");
        }
        let Some(from) = from else { continue };
        let Some(to) = to.unwrap_or(Some(from)) else { continue };
        if from > to || to > 15 {
            entry.refuse(&format!("has the bits {from} to {to}"), "a register has the bits 0 (lowest) to 15");
            continue;
        }
        if let Some(other) = made.iter().find(|other| from < other.from + other.count && other.from <= to) {
            entry.refuse(&format!("overlaps `{}`", other.name), "give each bit one name");
        }
        made.push(Bits { name, from, count: to - from + 1 });
    }
    made
}

fn debounce(table: &Table<'_>, context: &Context<'_>) -> Option<Debounce> {
    for key in ["on", "off"] {
        table.required_entry(key);
    }
    Some(Debounce { on: millis(table, "on", context)?, off: millis(table, "off", context)? })
}

fn counter(table: &Table<'_>, form: Option<Form>) -> Option<Counter> {
    let may_reset = table.entry("reset").and_then(|e| e.choice(&[("detect", true), ("never", false)])).unwrap_or(true);
    let wraps_at = table.entry("wraps_at");
    table.entry("epoch"); // for `epochs`
    let max_step: Option<u32> = table.optional("max_step");
    if max_step == Some(0) {
        table.refuse_key(
            "max_step",
            "is 0, so nothing would be counted",
            "write the most that passes between two reads",
        );
    }
    let Some(Form::Registers(kind)) = form else {
        if form.is_some() {
            table.refuse("counts no single bits", "give the register of the count");
        }
        return None; // of a type that is not known, the type is the fault
    };
    let full = match (kind, kind.bits()) {
        (Type::Bcd16, _) => Some(10_000),
        (Type::Bcd32(_), _) => Some(100_000_000),
        (_, Some(bits)) if kind.is_unsigned() => Some(1_u64.checked_shl(bits.into()).unwrap_or(u64::MAX)),
        _ => None,
    };
    let Some(full) = full else {
        table.refuse(
            "is for numbers that only count up",
            "write type = \"u16\", \"u32\", \"u64\", \"bcd16\" or \"bcd32\"",
        );
        return None;
    };
    let wraps_at = match wraps_at {
        None => full,
        Some(entry) => u64::try_from(entry.read::<i64>()?).unwrap_or(0),
    };
    if wraps_at < 2 || wraps_at > full {
        let message = format!("is {wraps_at}, which is no count of this type");
        table.refuse_key("wraps_at", &message, &format!("write 2 to {full}: the first number that it never shows"));
        return None;
    }
    Some(Counter { wraps_at, may_reset, max_step: max_step.map(u64::from), epoch: None })
}
