//! Bytes as people can read them.

use std::fmt::Write as _;

use serde::Serialize;

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
