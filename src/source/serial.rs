//! A serial line: where it is and how it is set.

use std::io;

use serial2_tokio::{SerialPort, Settings};

pub use serial2_tokio::{CharSize, Parity, StopBits};

/// A serial port and how it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    /// Its device file.
    pub port: String,
    /// Bits a second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: CharSize,
    /// Parity bit.
    pub parity: Parity,
    /// Stop bits.
    pub stop_bits: StopBits,
}

impl Serial {
    /// Opens the port; nothing of what it can do is left to what another program set before.
    ///
    /// # Errors
    /// It can't be opened or set so.
    pub fn open(&self) -> io::Result<SerialPort> {
        SerialPort::open(&self.port, |mut settings: Settings| {
            settings.set_raw();
            settings.set_baud_rate(self.baud)?;
            settings.set_char_size(self.data_bits);
            settings.set_parity(self.parity);
            settings.set_stop_bits(self.stop_bits);
            Ok(settings)
        })
    }
}
