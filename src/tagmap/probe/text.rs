//! Finding out how a device holds a text: each layout of characters in registers, against one known text.

use super::Piece;
use crate::tagmap::Addresses;
use crate::tagmap::points::Area;
use crate::tagmap::registers::{Chars, Trim, Type};

/// How maps write the layouts: `bytes = …`; two characters a register, then one.
const LAYOUTS: [(&str, Chars); 4] =
    [("high-first", Chars::HighFirst), ("low-first", Chars::LowFirst), ("high", Chars::High), ("low", Chars::Low)];

/// One way in which the registers would be the known text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextMatch {
    /// First register, counted from 0.
    pub at: u16,
    /// Registers.
    pub words: u16,
    /// `bytes = …`
    pub bytes: &'static str,
}

impl TextMatch {
    /// The `[[tag]]` of a map, as an inline table; `None`: the base has no number for the address.
    pub fn line(&self, area: Area, base: Addresses) -> Option<String> {
        let (area_word, at, Self { words, bytes, .. }) = (area.word(), base.written(area, self.at)?, self);
        Some(format!(
            "{{ name = \"value\", area = \"{area_word}\", at = {at}, type = \"string\", words = {words}, bytes = \"{bytes}\" }}"
        ))
    }
}

/// Registers that hold a text of so many characters: one character in each, two in each.
pub fn sizes(text: &str) -> [u16; 2] {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [length, length.div_ceil(2)]
}

/// Every way in which a piece would begin with the text, where it was looked for first.
pub fn search_text(pieces: &[Piece], asked: u16, text: &str) -> Vec<TextMatch> {
    let [single, double] = sizes(text);
    let mut found = Vec::new();
    for Piece { at, words: held } in pieces {
        for (bytes, chars) in LAYOUTS {
            let words = if matches!(chars, Chars::High | Chars::Low) { single } else { double };
            let of = Type::Text { words, chars, trim: Trim { nul: true, space: true } };
            let says = held.get(..usize::from(words)).and_then(|held| of.decode(held).ok());
            // Where the last register has a character more, it is the next text's, or what the text goes on with.
            let begins = |says: &str| says.strip_prefix(text).is_some_and(|rest| rest.len() < 2);
            if says.is_some_and(|says| matches!(says, crate::event::Value::Text(says) if begins(&says))) {
                found.push(TextMatch { at: *at, words, bytes });
            }
        }
    }
    found.sort_by_key(|found| found.at.abs_diff(asked));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[u16], text: &str) -> Vec<String> {
        let pieces: Vec<Piece> = [10, 9, 11]
            .map(|at| Piece { at, words: words.get(usize::from(at) - 9..).unwrap_or_default().to_vec() })
            .into();
        let found = search_text(&pieces, 10, text);
        found.iter().map(|found| format!("{} {} {}", found.at, found.words, found.bytes)).collect()
    }

    #[test]
    fn a_text_is_found_in_each_layout() {
        assert_eq!(check(&[0, 0x4142, 0x4344], "ABCD"), ["10 2 high-first"]);
        assert_eq!(check(&[0, 0x4241, 0x4443], "ABCD"), ["10 2 low-first"]);
        assert_eq!(check(&[0, 0x4100, 0x4200, 0x43ff], "ABC"), ["10 3 high"]);
        assert_eq!(check(&[0, 0x0041, 0x0042, 0x0043], "ABC"), ["10 3 low"]);
    }

    #[test]
    fn also_where_the_base_is_wrong_and_where_the_last_register_holds_more() {
        assert_eq!(check(&[0x4142, 0x4344, 0], "ABCD"), ["9 2 high-first"]);
        assert_eq!(check(&[0, 0x4142, 0x4300], "ABC"), ["10 2 high-first"]);
        assert_eq!(check(&[0, 0x4142, 0x4358], "ABC"), ["10 2 high-first"]);
        assert_eq!(check(&[0, 0x4142, 0x4344], "ABCE"), Vec::<String>::new());
        assert_eq!(check(&[0, 0x4142], "ABCD"), Vec::<String>::new(), "too few registers");
    }
}
