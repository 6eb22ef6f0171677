//! Bytes as people can read them.

use std::fmt::Write as _;

use serde::Serialize;

/// It would steer a terminal, begin another line, or turn the rest of one around (Unicode's marks of direction).
pub fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// What came, as text where it is text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Legible {
    /// Text, perhaps of several lines.
    Text(String),
    /// Lower-case hexadecimal digits, two a byte.
    Hex(String),
}

impl Legible {
    /// Text of several lines is text, too; a control character that no text has makes it bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(printable) => Self::Text(text.to_owned()),
            _ => Self::Hex(bytes.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
                hex
            })),
        }
    }
}
