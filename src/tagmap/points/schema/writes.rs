//! `[[write]]` and `[[probe]]`.

use rust_decimal::Decimal;

use super::tags::{self, Word};
use super::{Placed, millis};
use crate::form::{self, Entry, Table, nearest};
use crate::tagmap::points::condition::Names;
use crate::tagmap::points::tag::{Form, Scale, Tag};
use crate::tagmap::points::write::{Allowed, Scaling, Shape, Write};
use crate::tagmap::points::{Area, Probe};
use crate::tagmap::registers::Type;
use crate::tagmap::{Context, Fifo, Quirk, address, fifo};

/// All `[[write]]`s.
pub(super) fn read(tables: &[Table<'_>], context: &Context<'_>, fifos: &[Fifo], tags: &[Placed]) -> Vec<Write> {
    let mut writes: Vec<Write> = Vec::new();
    for table in tables {
        let Some(write) = write(table, context) else { continue };
        let holding = write.area == Area::Holding;
        if let Some(fifo) = fifos.iter().find(|fifo| holding && fifo.owns(write.at, write.words())) {
            let message = format!("is a register of the FIFO `{}`", fifo.name);
            table.refuse_key("at", &message, "remove it: a write there would acknowledge or destroy events");
        }
        if writes.iter().any(|other| other.name == write.name) {
            table.refuse_key("name", &format!("is a second write \"{}\"", write.name), "give each write its own name");
        }
        as_it_is_read(table, &write, tags, context);
        writes.push(write);
    }
    writes
}

/// Who writes the number that a tag of the same register shows must not write another one by it.
fn as_it_is_read(table: &Table<'_>, write: &Write, tags: &[Placed], context: &Context<'_>) {
    let numbers = |tag: &&Tag| matches!(tag.form, Form::Registers(kind) if kind.is_number());
    let same = |tag: &&Tag| (tag.area, tag.at) == (write.area, write.at) && numbers(tag);
    let Some(tag) = tags.iter().map(|(tag, _)| tag).find(same) else { return };
    let Scale::Fixed(factor) = tag.scale else { return }; // it is not the same for long
    let (times, by) = tag.convert.unwrap_or((Decimal::ONE, Decimal::ONE));
    let shown = |number: Decimal| number.checked_mul(times)?.checked_div(by);
    if (shown(factor), shown(tag.offset)) == (Some(write.scaling.scale), Some(write.scaling.offset)) {
        return;
    }
    let message = format!("is written in another scale than the tag `{}` of the same register shows", tag.name);
    let key = if table.entry("scale").is_some() { "scale" } else { "at" };
    let help = "give it `scale` and `offset` as the tag has them: people write the numbers that they read";
    context.warnings.borrow_mut().push(table.fault_at(key, &message, help));
}

/// The types of tags that a write can make: whole registers of 16 or 32 bits, and bits.
fn is_writable(word: &Word) -> bool {
    matches!(word, Word::Bool | Word::Bit | Word::One(Type::U16 | Type::I16 | Type::Bcd16) | Word::Two(_))
}

fn write(table: &Table<'_>, context: &Context<'_>) -> Option<Write> {
    let name: Option<String> = table.required("name");
    let types: Vec<(&str, Word)> = tags::TYPES.into_iter().filter(|(_, word)| is_writable(word)).collect();
    let word = table.required_entry_as("type", &format!("add `type = …` here: {}", form::one_of(&types)));
    let word = word.and_then(|e| e.choice_or_meant(&types, &tags::ELSEWHERE));
    for key in ["order", "bit"] {
        table.entry(key); // of a type that is not known, the type is the fault
    }
    let shape = word.and_then(|word| shape(table, word, context));
    let count = if let Some(Shape::Registers { kind, .. }) = shape { kind.words() } else { 1 };
    let place = address::read(table, context, count);
    let (several, right) = function(table, shape);
    let scaling = scaling(table, shape);
    let unit = table.optional("unit");
    let allowed = allowed(table, shape, scaling);
    let who: Option<Vec<String>> = table.required("allow");
    if who.as_ref().is_some_and(|who| who.is_empty() || !who.iter().all(|who| is_grant(who))) {
        table.refuse_key(
            "allow",
            "names nobody who may write",
            "allow = [\"role:supervisor\", \"command:lane.enable\"]",
        );
    }
    let verify = table.entry("verify").map_or(Some(true), |e| e.choice(&[("read-back", true), ("none", false)]));
    if let Some(entry) = table.entry("rate") {
        entry.refuse("counts nothing: one command writes once, and none come over a network", "remove it");
    }
    let expires = millis(table, "expires", context).map(std::time::Duration::from_millis);
    let (area, at) = place?;
    let shape = shape.filter(|_| right)?;
    let writable = match area {
        Area::Coil => matches!(shape, Shape::Coil { .. }),
        Area::Holding => !matches!(shape, Shape::Coil { .. }),
        Area::Discrete | Area::Input => false,
    };
    if !writable && !address::refuse_short(table, area, context) {
        let message = format!("can't be written in the table \"{}\"", area.word());
        table.refuse_key("type", &message, "\"bool\" is for coils, the others are for holding registers");
    }
    let shape = match shape {
        Shape::Coil { .. } => Shape::Coil { several },
        Shape::Registers { kind, .. } => Shape::Registers { kind, several },
        bit @ Shape::Bit(_) => bit,
    };
    let verify = if verify? { Some(read_back(table, area, at, context)) } else { None };
    Some(Write { name: name?, area, at, shape, scaling, unit, allowed: allowed?, allow: who?, verify, expires })
}

/// From where on it is read back.
fn read_back(table: &Table<'_>, area: Area, at: u16, context: &Context<'_>) -> u16 {
    if area != Area::Coil || !context.quirks.contains(&Quirk::CoilsFromZero) {
        return at;
    }
    let most = context.defaults.max_bits;
    if at >= most {
        let message = format!("is coil {at} counted from 0, and coils-from-zero reads all before it back with it");
        table.refuse_key("at", &message, &format!("write verify = \"none\": one request has at most {most} bits"));
    }
    0
}

fn shape(table: &Table<'_>, word: Word, context: &Context<'_>) -> Option<Shape> {
    if !matches!(word, Word::Two(_))
        && let Some(entry) = table.entry("order")
    {
        entry.refuse("orders the bytes of two registers, but this is one value of one", "remove it");
    }
    if !matches!(word, Word::Bit)
        && let Some(entry) = table.entry("bit")
    {
        entry.refuse("is for type \"bit\"", "remove it, or write type = \"bit\"");
    }
    Some(match word {
        Word::Bool => Shape::Coil { several: false },
        Word::Bit => Shape::Bit(tags::bit(table)?),
        Word::One(kind) => Shape::Registers { kind, several: false },
        Word::Two(kind) => Shape::Registers { kind: kind(tags::order(table, context, 2)?), several: false },
        Word::Four(_) | Word::Text | Word::Bytes => return None, // is_writable keeps them out
    })
}

/// Functions that write.
const FUNCTIONS: [i64; 5] = [5, 6, 15, 16, 22];

/// Whether it is written with the function for several (`function` says so where it is one); and whether that is right.
fn function(table: &Table<'_>, shape: Option<Shape>) -> (bool, bool) {
    let Some(entry) = table.entry("function") else { return (false, true) };
    for one in FUNCTIONS {
        entry.expects(|| form::Kind::Numeral(one));
    }
    let (Some(function), Some(shape)) = (entry.read_of::<u8>(|| form::Kind::Numeral(FUNCTIONS[0])), shape) else {
        return (false, false);
    };
    let fits: &[u8] = match shape {
        Shape::Coil { .. } => &[5, 15],
        Shape::Bit(_) => &[22],
        Shape::Registers { kind, .. } if kind.words() == 1 => &[6, 16],
        Shape::Registers { .. } => &[16],
    };
    let right = fits.contains(&function);
    if !right {
        let list = fits.iter().map(u8::to_string).collect::<Vec<_>>().join(" or ");
        entry.refuse(&format!("is {function}, which does not write this type"), &format!("write {list}, or remove it"));
    }
    (function == 15 || function == 16, right)
}

/// `scale` and `offset`, as a tag has them: numbers are written in the unit in which they are read.
fn scaling(table: &Table<'_>, shape: Option<Shape>) -> Scaling {
    let (scale, offset): (Option<Decimal>, Option<Decimal>) = (table.optional("scale"), table.optional("offset"));
    if scale.is_some_and(|scale| scale.is_zero()) {
        table.refuse_key("scale", "is 0", "no number could be written: write what one step of the register is");
    }
    let word = matches!(shape, Some(Shape::Registers { .. })) && table.entry("enum").is_none();
    for key in
        ["scale", "offset", "unit"].into_iter().filter(|key| shape.is_some() && !word && table.entry(key).is_some())
    {
        table.refuse_key(key, "is for numbers without words", "remove it");
    }
    Scaling {
        scale: scale.filter(|scale| !scale.is_zero()).unwrap_or(Decimal::ONE),
        offset: offset.unwrap_or(Decimal::ZERO),
    }
}

fn allowed(table: &Table<'_>, shape: Option<Shape>, scaling: Scaling) -> Option<Allowed> {
    let words = fifo::words_for(table);
    let range = table.entry("range").map(|entry| range(&entry, shape, scaling));
    let bits = matches!(shape, Some(Shape::Coil { .. } | Shape::Bit(_)));
    match (words, range) {
        (Some(_), Some(_)) => {
            table.refuse_key("range", "stands beside an enum", "remove one of the two");
            None
        }
        (Some(_), None) | (None, Some(_)) if bits => {
            let key = if table.entry("range").is_some() { "range" } else { "enum" };
            table.refuse_key(key, "is for numbers", "remove it: a bit is true or false");
            None
        }
        (Some(words), None) => Some(Allowed::Words(words)),
        (None, Some(range)) => range,
        (None, None) if bits => Some(Allowed::Bit),
        (None, None) => {
            if shape.is_some() && table.entry("enum").is_none() {
                let message = "has no range: any number could be written";
                table.refuse(message, "add range = [least, most], or enum = { 1 = \"on\", … }");
            }
            None
        }
    }
}

fn range(entry: &Entry<'_>, shape: Option<Shape>, scaling: Scaling) -> Option<Allowed> {
    let list: Vec<Decimal> = entry.read()?;
    let [least, most] = list.as_slice() else {
        entry.refuse("is not two numbers", "write range = [least, most]");
        return None;
    };
    if least > most {
        entry.refuse("has its least above its most", "exchange them");
    }
    if let Some(Shape::Registers { kind, .. }) = shape
        && let Some(why) = [least, most].into_iter().find_map(|bound| scaling.encode(*bound, kind).err())
    {
        entry.refuse(&why, "give a range that the register can hold");
    }
    Some(Allowed::Range(*least, *most))
}

/// `role:…` or `command:…`
fn is_grant(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, name)| ["role", "command"].contains(&kind) && !name.is_empty())
}

/// All `[[probe]]`s.
pub(super) fn probes(tables: &[Table<'_>], names: &Names<'_>) -> Vec<Probe> {
    tables.iter().filter_map(|table| probe(table, names)).collect()
}

fn probe(table: &Table<'_>, names: &Names<'_>) -> Option<Probe> {
    let tag: Option<String> = table.required("tag");
    let expect = table.required_entry("expect").and_then(|e| {
        let text: String = e.read()?;
        let read = expected(&text);
        if read.is_none() {
            e.refuse(&format!("is \"{text}\""), "write a number and how far it may be off: \"5.000 +- 0.005\"");
        }
        read
    });
    let hint = table.or("hint", String::new());
    if let Some(tag) = tag.as_ref().filter(|tag| !names.tags.contains_key(*tag) && !names.is_broken(tag)) {
        let help = nearest(tag, &names.tags.keys().cloned().collect());
        table.refuse_key("tag", &format!("there is no tag `{tag}`"), &help);
    }
    let (expect, within) = expect?;
    Some(Probe { tag: tag?, expect, within, hint })
}

fn expected(text: &str) -> Option<(Decimal, Decimal)> {
    let (number, within) = text.split_once("+-").unwrap_or((text, "0"));
    Some((number.trim().parse().ok()?, within.trim().parse().ok().filter(|within| *within >= Decimal::ZERO)?))
}
