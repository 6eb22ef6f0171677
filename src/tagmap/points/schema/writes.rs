//! `[[write]]` and `[[probe]]`.

use rust_decimal::Decimal;

use super::millis;
use super::tags::{self, Word};
use crate::form::{self, Duration, Entry, Table, nearest};
use crate::tagmap::points::condition::Names;
use crate::tagmap::points::write::{Allowed, Shape, Write};
use crate::tagmap::points::{Area, Probe};
use crate::tagmap::registers::Type;
use crate::tagmap::{Context, Fifo, address, fifo};

/// All `[[write]]`s.
pub(super) fn read(tables: &[Table<'_>], context: &Context<'_>, fifos: &[Fifo]) -> Vec<Write> {
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
        writes.push(write);
    }
    writes
}

/// The types of tags that a write can make: whole registers of 16 or 32 bits, and bits.
fn is_writable(word: &Word) -> bool {
    matches!(word, Word::Bool | Word::Bit | Word::One(Type::U16 | Type::I16 | Type::Bcd16) | Word::Two(_))
}

fn write(table: &Table<'_>, context: &Context<'_>) -> Option<Write> {
    let name: Option<String> = table.required("name");
    let types: Vec<(&str, Word)> = tags::TYPES.into_iter().filter(|(_, word)| is_writable(word)).collect();
    let word = table.required_entry("type").and_then(|e| e.choice(&types));
    for key in ["order", "bit"] {
        table.entry(key); // of a type that is not known, the type is the fault
    }
    let shape = word.and_then(|word| shape(table, word, context));
    let count = if let Some(Shape::Registers { kind, .. }) = shape { kind.words() } else { 1 };
    let place = address::read(table, context, count);
    let (several, right) = function(table, shape);
    let allowed = allowed(table, shape);
    let who: Option<Vec<String>> = table.required("allow");
    if who.as_ref().is_some_and(|who| who.is_empty() || !who.iter().all(|who| is_grant(who))) {
        table.refuse_key(
            "allow",
            "names nobody who may write",
            "allow = [\"role:supervisor\", \"command:lane.enable\"]",
        );
    }
    let verify = table.entry("verify").map_or(Some(true), |e| e.choice(&[("read-back", true), ("none", false)]));
    let rate = table.entry("rate").and_then(|e| rate(&e));
    let expires = millis(table, "expires", context).map(std::time::Duration::from_millis);
    let (area, at) = place?;
    let shape = shape.filter(|_| right)?;
    let writable = match area {
        Area::Coil => matches!(shape, Shape::Coil { .. }),
        Area::Holding => !matches!(shape, Shape::Coil { .. }),
        Area::Discrete | Area::Input => false,
    };
    if !writable {
        let message = format!("can't be written in the table \"{}\"", area.word());
        table.refuse_key("type", &message, "\"bool\" is for coils, the others are for holding registers");
    }
    let shape = match shape {
        Shape::Coil { .. } => Shape::Coil { several },
        Shape::Registers { kind, .. } => Shape::Registers { kind, several },
        bit @ Shape::Bit(_) => bit,
    };
    Some(Write { name: name?, area, at, shape, allowed: allowed?, allow: who?, verify: verify?, rate, expires })
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

fn allowed(table: &Table<'_>, shape: Option<Shape>) -> Option<Allowed> {
    let words = fifo::words_for(table);
    let range = table.entry("range").map(|entry| range(&entry, shape));
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

fn range(entry: &Entry<'_>, shape: Option<Shape>) -> Option<Allowed> {
    let list: Vec<Decimal> = entry.read()?;
    let [least, most] = list.as_slice() else {
        entry.refuse("is not two numbers", "write range = [least, most]");
        return None;
    };
    if least > most {
        entry.refuse("has its least above its most", "exchange them");
    }
    if let Some(Shape::Registers { kind, .. }) = shape
        && let Some(why) = [least, most].into_iter().find_map(|bound| kind.encode(*bound).err())
    {
        entry.refuse(&why, "give a range that the register can hold");
    }
    Some(Allowed::Range(*least, *most))
}

/// `role:…` or `command:…`
fn is_grant(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, name)| ["role", "command"].contains(&kind) && !name.is_empty())
}

/// `"1/s"`, `"10/m"`: the shortest time from one to the next.
fn rate(entry: &Entry<'_>) -> Option<std::time::Duration> {
    let text: String = entry.read()?;
    let parts = text.split_once('/').and_then(|(count, unit)| {
        Some((count.parse::<u32>().ok().filter(|count| *count > 0)?, Duration::parse(&format!("1{unit}"))?))
    });
    if parts.is_none() {
        entry.refuse(&format!("is \"{text}\""), "write \"1/s\", \"10/m\" or \"100/h\"");
    }
    parts.map(|(count, unit)| unit.0 / count)
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
