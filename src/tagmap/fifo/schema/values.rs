//! What fields of slots and tags say alike: texts in registers, and words for numbers.

use crate::form::{Table, one_of};
use crate::tagmap::fifo::slot::Words;
use crate::tagmap::registers::{Chars, Trim, Type};
use crate::tagmap::{Context, quirk};

/// A text; where a register has its characters is said by `bytes`, or by a quirk: the device's counts most.
pub(in crate::tagmap) fn text(table: &Table<'_>, context: &Context<'_>) -> Option<Type> {
    let words: Option<u16> = table.required("words");
    table.entry("encoding").and_then(|e| e.choice(&[("ascii", ())]));
    let layouts =
        [("high-first", Chars::HighFirst), ("low-first", Chars::LowFirst), ("high", Chars::High), ("low", Chars::Low)];
    let quirk = quirk::chars(&context.quirks);
    let entry = if quirk.is_some() {
        table.entry("bytes")
    } else {
        table.required_entry_as("bytes", &format!("add `bytes = …` here: {}", one_of(&layouts)))
    };
    let chars = entry.and_then(|e| e.choice(&layouts));
    let chars = quirk::chars(&context.binding.quirks).or(chars).or(quirk);
    let trims = [
        ("nul+space", Trim { nul: true, space: true }),
        ("nul", Trim { nul: true, space: false }),
        ("space", Trim { nul: false, space: true }),
        ("none", Trim { nul: false, space: false }),
    ];
    let trim = table.entry("trim").map_or(Some(trims[0].1), |e| e.choice(&trims));
    if words == Some(0) {
        table.refuse_key("words", "is 0", "a word has two characters, or one");
    }
    Some(Type::Text { words: words?, chars: chars?, trim: trim? })
}

pub(in crate::tagmap) fn words_for(table: &Table<'_>) -> Option<Words> {
    let keep = table.entry("on_unknown").and_then(|e| e.choice(&[("reject", false), ("number", true)]));
    let Some(words) = table.table("enum") else {
        if table.entry("on_unknown").is_some() {
            table.refuse_key("on_unknown", "stands without an enum", "add enum = { 1 = \"confirmed\", … }");
        }
        return None;
    };
    let mut of = Vec::new();
    for entry in words.all() {
        let word: Option<String> = entry.read();
        if word.as_deref().is_some_and(|w| w.is_empty() || !w.bytes().all(is_word_byte)) {
            entry.refuse("is no word for an event's name", "lower-case letters, digits, - and _");
        }
        match (entry.key().parse(), word) {
            (Ok(number), Some(word)) => of.push((number, word)),
            (Err(_), _) => entry.refuse("is not named by a number", "write 1 = \"confirmed\""),
            _ => {}
        }
    }
    Some(Words { of, keep_unknown: keep.unwrap_or(false) })
}

/// A byte of a word in the name of an event.
pub(super) const fn is_word_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}
