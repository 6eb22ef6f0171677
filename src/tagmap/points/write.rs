//! Writing: what a map allows to be set, checked before a byte leaves.

use std::time::Duration;

use super::Area;

/// A write that the map allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRequest {
    /// What to send.
    pub put: Put,
    /// Its table: coils or holding registers.
    pub area: Area,
    /// First register or coil, counted from 0.
    pub at: u16,
    /// Read it back: the device must show what was written.
    pub verify: bool,
    /// A command older than this is not carried out any more.
    pub expires: Option<Duration>,
    /// The shortest time from one write of this name to the next.
    pub rate: Option<Duration>,
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
