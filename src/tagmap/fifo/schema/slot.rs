//! `[fifo.field.NAME]` and `[fifo.emit]`: what the words of a slot are, and the event that they make.

use std::collections::BTreeSet;

use super::values::{is_word_byte, text, words_for};
use super::{no_order, order};
use crate::form::Table;
use crate::tagmap::Context;
use crate::tagmap::fifo::Span;
use crate::tagmap::fifo::slot::{Field, Slot};
use crate::tagmap::kind::{self, named};
use crate::tagmap::registers::Type;

/// What the fields say beyond their values.
#[derive(Default)]
struct Roles {
    seq: Vec<u16>,
    crc: Vec<u16>,
    /// Neither number nor CRC of the slot, in the order of the map.
    data: Vec<String>,
    /// Fields whose values are words.
    words: BTreeSet<String>,
}

pub(super) fn slot(table: &Table<'_>, context: &Context<'_>, slot_words: u16) -> Option<Slot> {
    let fields_table = table.required_table("field")?;
    let (mut fields, mut roles) = (Vec::<Field>::new(), Roles::default());
    let mut failed = false;
    for entry in fields_table.all() {
        let Some(of) = entry.table() else { continue };
        let Some(read) = field(&of, entry.key(), context, slot_words, &mut roles) else {
            failed = true;
            continue;
        };
        let span = |f: &Field| Span { at: f.word, words: f.kind.words() };
        if let Some(other) = fields.iter().find(|f| span(f).overlaps(span(&read))) {
            of.refuse_key("word", &format!("overlaps field `{}`", other.name), "each word belongs to one field");
        }
        fields.push(read);
    }
    if roles.seq.is_empty() && !failed {
        fields_table.refuse("no field repeats the slot's number", "add must_match = \"slot\" to the one that does");
    }
    if roles.seq.len() > 1 || roles.crc.len() > 1 {
        fields_table.refuse("two fields have the same check", "one field is the slot's number, one its CRC");
    }
    let emit = table.required_table("emit")?;
    let event = template(&emit, "event", context, &roles, failed);
    let subject = emit.entry("subject").and_then(|_| template(&emit, "subject", context, &roles, failed));
    let time: Option<String> = emit.optional("time");
    let carried = emit.optional::<Vec<String>>("fields");
    let named = time.iter().map(|name| ("time", name)).chain(carried.iter().flatten().map(|name| ("fields", name)));
    for (key, name) in named.filter(|(_, name)| !failed && !roles.data.contains(name)) {
        emit.refuse_key(key, &format!("there is no field `{name}` with data"), &roles.data.join(", "));
    }
    let carried =
        carried.unwrap_or_else(|| roles.data.iter().filter(|name| time.as_ref() != Some(name)).cloned().collect());
    if let Some(event) = &event {
        kind::complete(&emit, event, |name| carried.iter().any(|field| field == name));
    }
    Some(Slot {
        fields,
        seq: *roles.seq.first()?,
        crc: roles.crc.first().copied(),
        event: event?,
        subject,
        time,
        carried,
    })
}

/// A text with `{field}` in it. In an event's name a field must have words, so that all names are known.
fn template(emit: &Table<'_>, key: &str, context: &Context<'_>, roles: &Roles, failed: bool) -> Option<String> {
    let text = context.fill(&emit.required::<String>(key)?);
    let known = |name: &&str| roles.data.iter().any(|f| f == name) && (key != "event" || roles.words.contains(*name));
    for part in text.split('{').skip(1) {
        let (name, _) = part.split_once('}').unwrap_or((part, ""));
        if !failed && !known(&name) {
            let kind = if key == "event" { "field with an enum" } else { "field" };
            emit.refuse_key(key, &format!("`{name}` is no {kind}"), &format!("write {{name}} of a {kind}"));
            return None;
        }
    }
    if key != "event" {
        return Some(text);
    }
    let Some((first, _)) = text.split_once('{') else {
        return named(&text, "divert.{result}").map_err(|(message, help)| emit.refuse_key(key, &message, &help)).ok();
    };
    let rest = text.split('{').skip(1).map(|part| part.split_once('}').map_or("", |(_, rest)| rest));
    if !std::iter::once(first).chain(rest).all(|part| part.bytes().all(|b| is_word_byte(b) || b == b'.')) {
        emit.refuse_key(key, &format!("\"{text}\" is no event name"), "dotted lower case: \"divert.{result}\"");
        return None;
    }
    Some(text)
}

fn field(table: &Table<'_>, name: &str, context: &Context<'_>, slot_words: u16, roles: &mut Roles) -> Option<Field> {
    let word: Option<u16> = table.required("word");
    let kind = kind(table, context);
    let number = matches!(kind, Some(Type::U16 | Type::U32(_)));
    let (min, max): (Option<i64>, Option<i64>) = (table.optional("min"), table.optional("max"));
    let words_for = words_for(table);
    let unit = table.entry("as").and_then(|e| e.choice(&[("ms-since-boot", " ms since boot")]));
    let seq = table.entry("must_match").and_then(|e| e.choice(&[("slot", ())])).is_some();
    let check = table.entry("check").and_then(|e| e.choice(&[("sscc", false), ("crc16-slot", true)]));
    let (word, kind) = (word?, kind?);

    if u32::from(word) + u32::from(kind.words()) > u32::from(slot_words) {
        let help = format!("a slot has the words 0 to {}", slot_words.saturating_sub(1));
        table.refuse_key("word", &format!("{} words from {word} go past the slot", kind.words()), &help);
    }
    for key in ["min", "max", "enum", "as"].into_iter().filter(|key| !number && table.entry(key).is_some()) {
        table.refuse_key(key, "is for numbers", "remove it, or write type = \"u16\" or \"u32\"");
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        table.refuse_key("min", "is above max", "exchange them");
    }
    if (seq || check == Some(true)) && kind != Type::U16 {
        table.refuse_key("type", "is not one register", "the slot's number and its CRC are of type \"u16\"");
    }
    if check == Some(true) && word == 0 {
        table.refuse_key("word", "leaves the CRC nothing to check", "it covers the words before it");
    }
    if check == Some(false) && number {
        table.refuse_key("check", "an SSCC has more digits than this number", "write type = \"string\"");
    }
    match (seq, check) {
        (true, _) => roles.seq.push(word),
        (_, Some(true)) => roles.crc.push(word),
        _ => roles.data.push(name.to_owned()),
    }
    if words_for.is_some() {
        roles.words.insert(name.to_owned());
    }
    let unit = unit.unwrap_or_default();
    Some(Field { name: name.to_owned(), word, kind, words_for, min, max, sscc: check == Some(false), unit })
}

#[derive(Clone, Copy)]
enum Kind {
    U16,
    U32,
    Text,
}

fn kind(table: &Table<'_>, context: &Context<'_>) -> Option<Type> {
    let kind = table.required_choice("type", &[("u16", Kind::U16), ("u32", Kind::U32), ("string", Kind::Text)]);
    if !matches!(kind, Some(Kind::Text)) {
        for key in ["words", "encoding", "bytes", "trim"].into_iter().filter(|key| table.entry(key).is_some()) {
            table.refuse_key(key, "is for texts", "remove it, or write type = \"string\"");
        }
    }
    match kind? {
        Kind::U16 => no_order(table).or(Some(Type::U16)),
        Kind::U32 => order(table, context).map(Type::U32),
        Kind::Text => {
            no_order::<()>(table);
            text(table, context)
        }
    }
}
