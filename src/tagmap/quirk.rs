//! `quirks = [...]`: where a Modbus device does less than the protocol says, or something else. A map says it of its kind of
//! device, a `[[device]]` of one that is so beside its map. Each is answered in one place only: the plan of requests, the
//! reader of texts, the bus.

use std::collections::BTreeSet;

use super::registers::Chars;
use crate::form::Table;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quirk {
    /// Coils are read right only by requests that begin at coil 0.
    CoilsFromZero,
    /// A request that takes in two values is refused, or answered wrongly.
    OneRequestPerTag,
    /// A connection that stays open between two polls is in its way.
    CloseAfterCycle,
    /// Answers carry another transaction id than their requests.
    NoTransactionEcho,
    /// Registers of texts have one character each, in the low byte.
    StringByteLow,
    /// The same, in the high byte.
    StringByteHigh,
}

/// All, as files write them.
const WORDS: [(&str, Quirk); 6] = [
    ("coils-from-zero", Quirk::CoilsFromZero),
    ("one-request-per-tag", Quirk::OneRequestPerTag),
    ("close-after-cycle", Quirk::CloseAfterCycle),
    ("no-transaction-echo", Quirk::NoTransactionEcho),
    ("string-byte-low", Quirk::StringByteLow),
    ("string-byte-high", Quirk::StringByteHigh),
];

impl Quirk {
    /// As files write it.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, quirk)| *quirk == self).map_or("", |(word, _)| word)
    }

    /// The quirk of that word.
    ///
    /// # Errors
    /// The words that there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = WORDS.iter().find(|(word, _)| *word == text).map(|(_, quirk)| *quirk);
        found.ok_or_else(|| format!("write one of {}", WORDS.map(|(word, _)| word).join(", ")))
    }
}

/// Reads `quirks = ["coils-from-zero"]`, which may be absent.
pub fn read(table: &Table<'_>) -> BTreeSet<Quirk> {
    let Some(entry) = table.entry("quirks") else { return BTreeSet::new() };
    let quirks: BTreeSet<Quirk> = entry.choices(&WORDS).into_iter().collect();
    if quirks.is_superset(&[Quirk::StringByteLow, Quirk::StringByteHigh].into()) {
        entry.refuse("has the characters of texts in both bytes", "keep one of string-byte-low and string-byte-high");
    }
    quirks
}

/// Where these have the characters of texts; `None`: they do not say.
pub(super) fn chars(quirks: &BTreeSet<Quirk>) -> Option<Chars> {
    let layouts = [(Quirk::StringByteLow, Chars::Low), (Quirk::StringByteHigh, Chars::High)];
    layouts.into_iter().find(|(quirk, _)| quirks.contains(quirk)).map(|(_, chars)| chars)
}
