//! Typed values in 16-bit registers: whole numbers and text.
//!
//! A register is two bytes, the high one first on the wire (Modbus Application Protocol 1.1b3, 4.2). Wider numbers name
//! their byte order by letters: A is the most significant byte, and the letters stand as the bytes come off the wire.
//! Limits: u16, u32 and ASCII text. What does not fit becomes a reason in words, never a guessed value.

use crate::event::Value;
use crate::form::Table;

/// Byte order of a 32-bit number, as its letters come off the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// High word first.
    Abcd,
    /// Low word first.
    Cdab,
    /// High word first, bytes of each word swapped.
    Badc,
    /// Least significant byte first.
    Dcba,
}

impl Order {
    /// Reads `order = "CDAB"`; `None` without a fault when the key is absent.
    pub fn read(table: &Table<'_>) -> Option<Self> {
        const LETTERS: [(&str, Order); 4] =
            [("ABCD", Order::Abcd), ("CDAB", Order::Cdab), ("BADC", Order::Badc), ("DCBA", Order::Dcba)];
        let entry = table.entry("order")?;
        if entry.value().as_str().is_some_and(|text| text.len() == 2) {
            entry
                .refuse("has two letters, for a number of four bytes", "one of \"ABCD\", \"CDAB\", \"BADC\", \"DCBA\"");
            return None;
        }
        entry.choice(&LETTERS)
    }

    /// For each byte on the wire, its place in the number: 0 is the most significant.
    const fn places(self) -> [usize; 4] {
        match self {
            Self::Abcd => [0, 1, 2, 3],
            Self::Cdab => [2, 3, 0, 1],
            Self::Badc => [1, 0, 3, 2],
            Self::Dcba => [3, 2, 1, 0],
        }
    }
}

/// What is cut from the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// Padding with NUL.
    pub nul: bool,
    /// Padding with spaces.
    pub space: bool,
}

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// One register.
    U16,
    /// Two registers.
    U32(Order),
    /// Printable ASCII, two characters a register.
    Text {
        /// Registers.
        words: u16,
        /// The first character is in the low byte.
        low_first: bool,
        /// Padding.
        trim: Trim,
    },
}

impl Type {
    /// Registers it takes.
    pub const fn words(self) -> u16 {
        match self {
            Self::U16 => 1,
            Self::U32(_) => 2,
            Self::Text { words, .. } => words,
        }
    }

    /// The value in `registers`, which are as many as [`Type::words`].
    ///
    /// # Errors
    /// Why they hold no value of this type.
    pub fn decode(self, registers: &[u16]) -> Result<Value, String> {
        match (self, registers) {
            (Self::U16, [register]) => Ok(Value::Int(i64::from(*register))),
            (Self::U32(order), [first, second]) => Ok(Value::Int(i64::from(wide(order, *first, *second)))),
            (Self::Text { words, low_first, trim }, _) if registers.len() == usize::from(words) => {
                text(registers, low_first, trim).map(Value::Text)
            }
            _ => Err(format!("has {} registers instead of {}", registers.len(), self.words())),
        }
    }
}

/// A 32-bit number from two registers.
pub fn wide(order: Order, first: u16, second: u16) -> u32 {
    let [b0, b1] = first.to_be_bytes();
    let [b2, b3] = second.to_be_bytes();
    let mut number = [0; 4];
    for (place, byte) in order.places().into_iter().zip([b0, b1, b2, b3]) {
        number[place] = byte;
    }
    u32::from_be_bytes(number)
}

fn text(registers: &[u16], low_first: bool, trim: Trim) -> Result<String, String> {
    let order = |word: &u16| if low_first { word.to_le_bytes() } else { word.to_be_bytes() };
    let mut bytes: Vec<u8> = registers.iter().flat_map(order).collect();
    while let Some(0 | b' ') = bytes.last().filter(|b| if **b == 0 { trim.nul } else { trim.space }) {
        bytes.pop();
    }
    match bytes.iter().find(|b| !(b' '..=b'~').contains(*b)) {
        Some(bad) => Err(format!("holds the byte 0x{bad:02x}, which is no printable ASCII")),
        None => Ok(bytes.into_iter().map(char::from).collect()),
    }
}

/// Registers as the bytes that were on the wire.
pub fn bytes_of(registers: &[u16]) -> Vec<u8> {
    registers.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUL_SPACE: Trim = Trim { nul: true, space: true };

    fn check(kind: Type, registers: &[u16], expected: Result<Value, &str>) {
        assert_eq!(kind.decode(registers), expected.map_err(str::to_owned));
    }

    /// The other direction, written independently of `places`.
    fn encode(order: Order, number: u32) -> [u16; 2] {
        let [a, b, c, d] = number.to_be_bytes();
        let words = |w: [u8; 4]| [u16::from_be_bytes([w[0], w[1]]), u16::from_be_bytes([w[2], w[3]])];
        words(match order {
            Order::Abcd => [a, b, c, d],
            Order::Cdab => [c, d, a, b],
            Order::Badc => [b, a, d, c],
            Order::Dcba => [d, c, b, a],
        })
    }

    #[test]
    fn the_letters_are_the_bytes_as_they_come_off_the_wire() {
        for (order, registers) in [
            (Order::Abcd, [0x0102, 0x0304]),
            (Order::Cdab, [0x0304, 0x0102]),
            (Order::Badc, [0x0201, 0x0403]),
            (Order::Dcba, [0x0403, 0x0201]),
        ] {
            check(Type::U32(order), &registers, Ok(Value::Int(0x0102_0304)));
        }
    }

    #[test]
    fn text_is_trimmed_at_its_end_only_and_must_be_printable() {
        let text = |low_first, trim| Type::Text { words: 3, low_first, trim };
        let keep = Trim { nul: false, space: false };
        check(text(false, NUL_SPACE), &[0x2041, 0x4220, 0x0000], Ok(Value::Text(" AB".to_owned())));
        check(text(true, NUL_SPACE), &[0x4241, 0x2043, 0x0020], Ok(Value::Text("ABC".to_owned())));
        check(text(false, keep), &[0x4142, 0x4344, 0x4520], Ok(Value::Text("ABCDE ".to_owned())));
        let bad = "holds the byte 0x00, which is no printable ASCII";
        check(text(false, NUL_SPACE), &[0x4100, 0x4200, 0x0000], Err(bad));
        check(text(false, keep), &[0x4142, 0x4300, 0x0000], Err(bad));
        check(text(false, keep), &[0x4142], Err("has 1 registers instead of 3"));
    }

    fn orders() -> impl Strategy<Value = Order> {
        prop_oneof![Just(Order::Abcd), Just(Order::Cdab), Just(Order::Badc), Just(Order::Dcba)]
    }

    proptest! {
        #[test]
        fn numbers_come_back(order in orders(), number: u32) {
            prop_assert_eq!(Type::U32(order).decode(&encode(order, number)), Ok(Value::Int(i64::from(number))));
        }

        #[test]
        fn printable_text_comes_back(text in "[ -~]{0,19}[!-~]", low_first: bool) {
            let mut bytes = text.clone().into_bytes();
            bytes.resize(20, 0);
            let join = if low_first { u16::from_le_bytes } else { u16::from_be_bytes };
            let registers: Vec<u16> = bytes.chunks(2).map(|pair| join([pair[0], pair[1]])).collect();
            let kind = Type::Text { words: 10, low_first, trim: NUL_SPACE };
            prop_assert_eq!(kind.decode(&registers), Ok(Value::Text(text)));
        }

        #[test]
        fn any_registers_decode_or_say_why(kind in orders().prop_map(Type::U32), registers: Vec<u16>, words in 0u16..20) {
            let text = Type::Text { words, low_first: false, trim: NUL_SPACE };
            for kind in [Type::U16, kind, text] {
                match kind.decode(&registers) {
                    Ok(_) => prop_assert_eq!(registers.len(), usize::from(kind.words())),
                    Err(reason) => prop_assert!(!reason.is_empty()),
                }
            }
        }
    }
}
