//! A serial port of a link: one that no other link has, by a name that stays.

use std::collections::BTreeMap;

use crate::config::Reading;
use crate::form::Table;

/// Longest path of a serial port.
const MAX_PATH: usize = 255;
/// Names that the kernel gives in the order in which adapters are found.
const MOVING: [&str; 2] = ["/dev/ttyUSB", "/dev/ttyACM"];

/// `port` of a `serial` table; `ports`: those that the links before have, and by which table.
pub(super) fn read(table: &Table<'_>, reading: &Reading, ports: &mut BTreeMap<String, String>) -> Option<String> {
    let entry = table.required_entry("port")?;
    let text: String = entry.read()?;
    if text.is_empty() || text.len() > MAX_PATH || text.contains('\0') {
        entry.refuse("is not the path of a serial port", "write \"/dev/serial/by-path/…\"");
        return None;
    }
    let path = reading.path(&text);
    // Two names may lead to one port.
    let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone()).display().to_string();
    if let Some(first) = ports.get(&real) {
        let help = "two readers would each get a part; one link carries all units of a Modbus line";
        entry.refuse(&format!("{text} is also the port of {first}"), help);
    } else {
        ports.insert(real, table.path().to_owned());
    }
    if MOVING.iter().any(|name| text.starts_with(name)) {
        let help = "write the name below /dev/serial/by-path that `ls -l /dev/serial/by-path` shows for it";
        reading.warn(entry.fault(&format!("{text} may be another adapter after the next start"), help));
    }
    Some(path.display().to_string())
}

/// Keys of RS-485 that are set elsewhere: the driver switches the line, not each frame.
pub(super) fn no_transceiver(table: &Table<'_>) {
    for key in ["rs485", "rts_delay_before", "rts_delay_after"] {
        if table.entry(key).is_some() {
            let help = "remove it: adapters and RS-485 ports switch by themselves; a bare UART is told once, by the \
                        device tree (linux,rs485-enabled-at-boot-time, rs485-rts-delay) or rs485conf";
            table.refuse_key(key, "is not in this version", help);
        }
    }
}
