//! Writing: what a map allows to be set, checked before a byte leaves.

use std::time::Duration;

use rust_decimal::Decimal;

use super::Area;
use crate::event::Value;
use crate::tagmap::fifo::Words;
use crate::tagmap::registers::Type;

/// A write that the map allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRequest {
    /// What to send.
    pub put: Put,
    /// Its table: coils or holding registers.
    pub area: Area,
    /// First register or coil, counted from 0.
    pub at: u16,
    /// Read it back, from that register or coil on: the device must show what was written. `None`: it is believed.
    pub verify: Option<u16>,
    /// A command older than this is not carried out any more.
    pub expires: Option<Duration>,
}

impl WriteRequest {
    /// Whether it may leave now: `age`, since somebody asked for it.
    ///
    /// # Errors
    /// It comes too late; in words.
    pub fn may_leave(&self, age: Duration) -> Result<(), String> {
        let expired = self.expires.filter(|expires| age > *expires);
        expired.map_or(Ok(()), |expires| {
            Err(format!("was asked for {} ms ago and expires after {}", age.as_millis(), expires.as_millis()))
        })
    }
}

/// The function and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Function 5.
    Coil(bool),
    /// Function 15.
    Coils(Vec<bool>),
    /// Function 6.
    Register(u16),
    /// Function 16.
    Registers(Vec<u16>),
    /// Function 22: `(register AND and) OR (or AND NOT and)`.
    Mask {
        /// Bits that stay.
        and: u16,
        /// Bits that are set.
        or: u16,
    },
}

impl Put {
    /// The Modbus function code.
    pub const fn function(&self) -> u8 {
        match self {
            Self::Coil(_) => 5,
            Self::Coils(_) => 15,
            Self::Register(_) => 6,
            Self::Registers(_) => 16,
            Self::Mask { .. } => 22,
        }
    }
}

/// One `[[write]]`.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) name: String,
    pub(super) area: Area,
    pub(super) at: u16,
    pub(super) shape: Shape,
    pub(super) scaling: Scaling,
    pub(super) unit: Option<String>,
    pub(super) allowed: Allowed,
    /// Roles and commands.
    pub(super) allow: Vec<String>,
    pub(super) verify: Option<u16>,
    pub(super) expires: Option<Duration>,
}

/// How the value lies in its table. `several`: with the function for several, though it may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Coil { several: bool },
    Bit(u8),
    Registers { kind: Type, several: bool },
}

/// How a number is held: what is written, in the tag's unit, is the register's times `scale` plus `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scaling {
    pub(super) scale: Decimal,
    pub(super) offset: Decimal,
}

impl Scaling {
    /// The registers that hold `number`.
    ///
    /// # Errors
    /// Why none do.
    pub(super) fn encode(self, number: Decimal, kind: Type) -> Result<Vec<u16>, String> {
        let Self { scale, offset } = self;
        if scale == Decimal::ONE && offset.is_zero() {
            return kind.encode(number);
        }
        let held = number.checked_sub(offset).and_then(|number| number.checked_div(scale));
        let held = held.ok_or_else(|| format!("{number} does not fit its type"))?.normalize();
        let steps =
            if offset.is_zero() { format!("steps of {scale}") } else { format!("steps of {scale} from {offset}") };
        if !kind.is_float() && !held.is_integer() {
            return Err(format!("{number} is no whole number of {steps}"));
        }
        kind.encode(held).map_err(|_| format!("{number} is {held} {steps}, which its type can't hold"))
    }
}

/// What may be written.
#[derive(Debug, Clone)]
pub(super) enum Allowed {
    /// true or false
    Bit,
    /// From the first to the second.
    Range(Decimal, Decimal),
    /// One of these.
    Words(Words),
}

impl Write {
    /// Registers or coils that it takes.
    pub(super) const fn words(&self) -> u16 {
        match self.shape {
            Shape::Coil { .. } | Shape::Bit(_) => 1,
            Shape::Registers { kind, .. } => kind.words(),
        }
    }

    /// Checks a value.
    pub(super) fn request(&self, value: &Value) -> Result<WriteRequest, String> {
        let put = match (self.shape, &self.allowed) {
            (Shape::Coil { several }, _) => {
                let on = self.bit(value)?;
                if several { Put::Coils(vec![on]) } else { Put::Coil(on) }
            }
            (Shape::Bit(bit), _) => {
                let or = if self.bit(value)? { 1 << bit } else { 0 };
                Put::Mask { and: !(1 << bit), or }
            }
            (Shape::Registers { kind, several }, allowed) => {
                let number = self.number(value, allowed)?;
                let is_plain = self.scaling == Scaling { scale: Decimal::ONE, offset: Decimal::ZERO };
                if let (Allowed::Range(least, most), true) =
                    (allowed, is_plain && !kind.is_float() && !number.is_integer())
                {
                    return Err(format!(
                        "{} is a whole number, {least} to {most}{}, not {number}",
                        self.name,
                        self.in_unit()
                    ));
                }
                let words = self.scaling.encode(number, kind)?;
                match words.as_slice() {
                    [word] if !several => Put::Register(*word),
                    _ => Put::Registers(words),
                }
            }
        };
        let Self { area, at, verify, expires, .. } = *self;
        Ok(WriteRequest { put, area, at, verify, expires })
    }

    fn in_unit(&self) -> String {
        self.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default()
    }

    fn bit(&self, value: &Value) -> Result<bool, String> {
        match value {
            Value::Bool(on) => Ok(*on),
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            _ => Err(format!("{} takes true or false", self.name)),
        }
    }

    fn number(&self, value: &Value, allowed: &Allowed) -> Result<Decimal, String> {
        match (value, allowed) {
            (Value::Text(text), Allowed::Words(words)) => {
                let known = || words.of.iter().map(|(_, w)| w.as_str()).collect::<Vec<_>>().join(", ");
                let found = words.of.iter().find(|(_, word)| word == text);
                let (number, _) = found.ok_or_else(|| format!("{} takes one of: {}", self.name, known()))?;
                Ok((*number).into())
            }
            (Value::Int(number), Allowed::Words(words)) if words.of.iter().any(|(n, _)| n == number) => {
                Ok((*number).into())
            }
            (Value::Int(_) | Value::Text(_), Allowed::Range(least, most)) => {
                let number = match value {
                    Value::Int(number) => Some((*number).into()),
                    Value::Text(text) => text.parse::<Decimal>().ok(),
                    Value::Bool(_) | Value::List(_) => None,
                };
                let number = number.ok_or_else(|| format!("{} takes a number", self.name))?;
                if (*least..=*most).contains(&number) {
                    Ok(number)
                } else {
                    Err(format!("{} takes {least} to {most}{}, not {number}", self.name, self.in_unit()))
                }
            }
            _ => Err(format!("{} does not take this value", self.name)),
        }
    }
}
