//! Typed values in 16-bit registers: numbers, text, bytes.
//!
//! A register is two bytes, the high one first on the wire (Modbus Application Protocol 1.1b3, 4.2). Wider numbers name
//! their byte order by letters: A is the most significant byte, and the letters stand as the bytes come off the wire.
//! Floats become the shortest decimal that reads back as the same float. What does not fit becomes a reason in words,
//! never a guessed value.

use rust_decimal::Decimal;

use crate::event::Value;
use crate::form::{Entry, Table};

/// Byte order of a number, as its letters come off the wire; for 64 bits the same order of words and of their bytes.
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

const LETTERS_2: [(&str, Order); 2] = [("AB", Order::Abcd), ("BA", Order::Badc)];
const LETTERS_4: [(&str, Order); 4] =
    [("ABCD", Order::Abcd), ("CDAB", Order::Cdab), ("BADC", Order::Badc), ("DCBA", Order::Dcba)];
const LETTERS_8: [(&str, Order); 4] =
    [("ABCDEFGH", Order::Abcd), ("GHEFCDAB", Order::Cdab), ("BADCFEHG", Order::Badc), ("HGFEDCBA", Order::Dcba)];

impl Order {
    /// Reads `order = "CDAB"` for a number of `words` registers (1, 2 or 4); `None` without a fault when the key is
    /// absent.
    pub fn read(table: &Table<'_>, words: u16) -> Option<Self> {
        let entry = table.entry("order")?;
        match words {
            1 => choose(&entry, &LETTERS_2),
            4 => choose(&entry, &LETTERS_8),
            _ => choose(&entry, &LETTERS_4),
        }
    }

    /// As maps write it for a number of `words` registers (1, 2 or 4).
    pub fn letters(self, words: u16) -> &'static str {
        let known: &[(&str, Self)] = match words {
            1 => &LETTERS_2,
            4 => &LETTERS_8,
            _ => &LETTERS_4,
        };
        known.iter().find(|(_, order)| *order == self).map_or("", |(letters, _)| letters)
    }

    const fn low_word_first(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    const fn bytes_swapped(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    /// The number in up to four registers.
    fn number(self, registers: &[u16]) -> u64 {
        let word = |word: &u16| u64::from(if self.bytes_swapped() { word.swap_bytes() } else { *word });
        let add = |number: u64, next: u64| (number << 16) | next;
        if self.low_word_first() {
            registers.iter().rev().map(word).fold(0, add)
        } else {
            registers.iter().map(word).fold(0, add)
        }
    }

    /// The registers of the number's low `words` words.
    fn registers(self, number: u64, words: u16) -> Vec<u16> {
        let word = |i: u16| (number >> (16 * i)) as u16;
        let word = |i: u16| if self.bytes_swapped() { word(i).swap_bytes() } else { word(i) };
        if self.low_word_first() { (0..words).map(word).collect() } else { (0..words).rev().map(word).collect() }
    }
}

fn choose(entry: &Entry<'_>, letters: &[(&str, Order)]) -> Option<Order> {
    let named = |count: usize| match count {
        2 => "two".to_owned(),
        4 => "four".to_owned(),
        8 => "eight".to_owned(),
        other => other.to_string(),
    };
    let due = letters[0].0.len();
    let given = entry.value().as_str().map_or(due, |text| text.chars().count());
    if given != due && [2, 4, 8].contains(&given) {
        let list = letters.iter().map(|(letters, _)| format!("\"{letters}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("has {} letters, for a number of {} bytes", named(given), named(due));
        entry.refuse(&message, &format!("one of {list}"));
        return None;
    }
    let is_letters = |text: &str| text.bytes().all(|b| b"ABCDEFGH".contains(&b.to_ascii_uppercase()));
    if let Some(text) = entry.value().as_str().filter(|text| !is_letters(text)) {
        let words = |order: Order| {
            order.letters(if due == 2 {
                1
            } else if due == 8 {
                4
            } else {
                2
            })
        };
        let help = if due == 2 {
            "high byte first is \"AB\", low byte first \"BA\"".to_owned()
        } else {
            format!(
                "high word first is \"{}\", low word first \"{}\"; with the two bytes of each word swapped \"{}\" and \"{}\"",
                words(Order::Abcd),
                words(Order::Cdab),
                words(Order::Badc),
                words(Order::Dcba)
            )
        };
        entry.refuse(&format!("\"{text}\" is not known here"), &help);
        return None;
    }
    entry.choice(letters)
}

/// What is cut from the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// Padding with NUL.
    pub nul: bool,
    /// Padding with spaces.
    pub space: bool,
}

/// Where a register has the characters of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chars {
    /// Two of them, the first one in the high byte.
    HighFirst,
    /// Two of them, the first one in the low byte.
    LowFirst,
    /// One, in the high byte; the other byte says nothing.
    High,
    /// One, in the low byte; the other byte says nothing.
    Low,
}

impl Chars {
    fn of(self, word: u16) -> impl Iterator<Item = u8> {
        let [high, low] = word.to_be_bytes();
        let (first, second) = match self {
            Self::HighFirst => (high, Some(low)),
            Self::LowFirst => (low, Some(high)),
            Self::High => (high, None),
            Self::Low => (low, None),
        };
        std::iter::once(first).chain(second)
    }
}

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// One byte of a register.
    U8 {
        /// The high one.
        high: bool,
    },
    /// One register.
    U16,
    /// One register, two's complement.
    I16,
    /// One register, low byte first.
    Swapped {
        /// Two's complement.
        signed: bool,
    },
    /// Two registers.
    U32(Order),
    /// Two registers, two's complement.
    I32(Order),
    /// Four registers.
    U64(Order),
    /// Four registers, two's complement.
    I64(Order),
    /// One register, IEEE 754 half precision.
    F16,
    /// Two registers, IEEE 754 single precision.
    F32(Order),
    /// Four registers, IEEE 754 double precision.
    F64(Order),
    /// One register, four decimal digits.
    Bcd16,
    /// Two registers, eight decimal digits.
    Bcd32(Order),
    /// Printable ASCII.
    Text {
        /// Registers.
        words: u16,
        /// Where a register has its characters.
        chars: Chars,
        /// Padding.
        trim: Trim,
    },
    /// Bytes as they come off the wire: upper-case hex.
    Bytes {
        /// Registers.
        words: u16,
    },
}

/// What registers hold, before scale and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// A number, exactly; floats in their shortest form.
    Number(Decimal),
    /// A float that is not a number.
    NotANumber,
    /// A float that is infinite, or too large for 28 digits.
    Infinite,
    /// A text.
    Text(String),
}

impl Type {
    /// Registers it takes.
    pub const fn words(self) -> u16 {
        match self {
            Self::U8 { .. } | Self::U16 | Self::I16 | Self::Swapped { .. } | Self::F16 | Self::Bcd16 => 1,
            Self::U32(_) | Self::I32(_) | Self::F32(_) | Self::Bcd32(_) => 2,
            Self::U64(_) | Self::I64(_) | Self::F64(_) => 4,
            Self::Text { words, .. } | Self::Bytes { words } => words,
        }
    }

    /// Holds a number.
    pub const fn is_number(self) -> bool {
        !matches!(self, Self::Text { .. } | Self::Bytes { .. })
    }

    /// Holds a number that may have decimals.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32(_) | Self::F64(_))
    }

    /// The bits of a whole number in registers; `None`: it is none.
    pub const fn bits(self) -> Option<u8> {
        match self {
            Self::U8 { .. } => Some(8),
            Self::U16 | Self::I16 | Self::Swapped { .. } => Some(16),
            Self::U32(_) | Self::I32(_) => Some(32),
            Self::U64(_) | Self::I64(_) => Some(64),
            _ => None,
        }
    }

    /// Its largest number has no sign.
    pub const fn is_unsigned(self) -> bool {
        use Type::{Swapped, U8, U16, U32, U64};
        matches!(self, U8 { .. } | U16 | U32(_) | U64(_) | Swapped { signed: false })
    }

    const fn order(self) -> Order {
        match self {
            Self::U32(order)
            | Self::I32(order)
            | Self::U64(order)
            | Self::I64(order)
            | Self::F32(order)
            | Self::F64(order)
            | Self::Bcd32(order) => order,
            Self::Swapped { .. } => Order::Badc,
            _ => Order::Abcd,
        }
    }

    /// What `registers` hold, which are as many as [`Type::words`].
    ///
    /// # Errors
    /// Why they hold no value of this type.
    pub fn raw(self, registers: &[u16]) -> Result<Raw, String> {
        if registers.len() != usize::from(self.words()) {
            return Err(format!("has {} registers instead of {}", registers.len(), self.words()));
        }
        let number = || self.order().number(registers);
        let whole = |number: i128| Ok(Raw::Number(Decimal::from_i128_with_scale(number, 0)));
        match self {
            Self::U8 { high } => whole(i128::from(registers[0].to_be_bytes()[usize::from(!high)])),
            Self::U16 | Self::U32(_) | Self::U64(_) | Self::Swapped { signed: false } => whole(i128::from(number())),
            Self::I16 | Self::Swapped { signed: true } => whole(i128::from(number() as u16 as i16)),
            Self::I32(_) => whole(i128::from(number() as u32 as i32)),
            Self::I64(_) => whole(i128::from(number() as i64)),
            Self::F16 => Ok(float(f64::from(half(registers[0])), &half(registers[0]).to_string())),
            Self::F32(_) => {
                let x = f32::from_bits(number() as u32);
                Ok(float(f64::from(x), &x.to_string()))
            }
            Self::F64(_) => {
                let x = f64::from_bits(number());
                Ok(float(x, &x.to_string()))
            }
            Self::Bcd16 | Self::Bcd32(_) => bcd(number()).and_then(|n| whole(i128::from(n))),
            Self::Text { chars, trim, .. } => text(registers, chars, trim).map(Raw::Text),
            Self::Bytes { .. } => Ok(Raw::Text(hex(registers))),
        }
    }

    /// The value in `registers`, which are as many as [`Type::words`]; a number with decimals as text.
    ///
    /// # Errors
    /// Why they hold no value of this type.
    pub fn decode(self, registers: &[u16]) -> Result<Value, String> {
        match self.raw(registers)? {
            Raw::Number(number) => Ok(value_of(number, !self.is_float())),
            Raw::Text(text) => Ok(Value::Text(text)),
            Raw::NotANumber => Err("is not a number (NaN)".to_owned()),
            Raw::Infinite => Err("is infinite".to_owned()),
        }
    }

    /// The registers that hold `number`.
    ///
    /// # Errors
    /// Why this type can't hold it.
    pub fn encode(self, number: Decimal) -> Result<Vec<u16>, String> {
        let refuse = || format!("{number} does not fit its type");
        let registers = |number: u64| Ok(self.order().registers(number, self.words()));
        if self.is_float() {
            let text = number.to_string();
            return match self {
                Self::F32(_) => registers(text.parse::<f32>().map_err(|_| refuse())?.to_bits().into()),
                Self::F64(_) => registers(text.parse::<f64>().map_err(|_| refuse())?.to_bits()),
                _ => Err(refuse()),
            };
        }
        let whole = i128::try_from(number).ok().filter(|_| number.is_integer()).ok_or_else(refuse)?;
        let digits = match self {
            Self::Bcd16 => 4,
            Self::Bcd32(_) => 8,
            _ => 0,
        };
        if digits > 0 {
            let text = format!("{whole:0digits$}");
            let fits = text.len() == digits && whole >= 0;
            return fits
                .then(|| u64::from_str_radix(&text, 16).ok())
                .flatten()
                .map_or_else(|| Err(refuse()), registers);
        }
        let bits = self.bits().filter(|bits| *bits > 8).ok_or_else(refuse)?;
        let (least, most) = if self.is_unsigned() {
            (0, (1_i128 << bits) - 1)
        } else {
            (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
        };
        if (least..=most).contains(&whole) { registers(whole as u64) } else { Err(refuse()) }
    }
}

/// A number as events carry it: a whole one as such where its type has no decimals, any other as text.
pub fn value_of(number: Decimal, whole: bool) -> Value {
    match i64::try_from(number) {
        Ok(integer) if whole && number.is_integer() => Value::Int(integer),
        _ => Value::Text(number.to_string()),
    }
}

/// A 32-bit number from two registers.
pub fn wide(order: Order, first: u16, second: u16) -> u32 {
    order.number(&[first, second]) as u32
}

/// `shortest` is the float's own shortest text.
fn float(x: f64, shortest: &str) -> Raw {
    if x.is_nan() {
        return Raw::NotANumber;
    }
    match shortest.parse::<Decimal>() {
        Ok(number) if number.is_zero() => Raw::Number(Decimal::ZERO),
        Ok(number) => Raw::Number(number),
        Err(_) => Raw::Infinite,
    }
}

/// IEEE 754 half precision: sign, 5 bits of exponent (bias 15), 10 bits of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

fn bcd(number: u64) -> Result<u64, String> {
    let digits = format!("{number:X}");
    digits.parse().map_err(|_| format!("holds 0x{digits}, which is no BCD"))
}

fn text(registers: &[u16], chars: Chars, trim: Trim) -> Result<String, String> {
    let mut bytes: Vec<u8> = registers.iter().flat_map(|word| chars.of(*word)).collect();
    while let Some(0 | b' ') = bytes.last().filter(|b| if **b == 0 { trim.nul } else { trim.space }) {
        bytes.pop();
    }
    match bytes.iter().find(|b| !(b' '..=b'~').contains(*b)) {
        Some(bad) => Err(format!("holds the byte 0x{bad:02x}, which is no printable ASCII")),
        None => Ok(bytes.into_iter().map(char::from).collect()),
    }
}

fn hex(registers: &[u16]) -> String {
    registers.iter().map(|word| format!("{word:04X}")).collect::<Vec<_>>().concat()
}

/// Registers as the bytes that were on the wire.
pub fn bytes_of(registers: &[u16]) -> Vec<u8> {
    registers.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests;
