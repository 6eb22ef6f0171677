//! What is left of the room for rows.

use crate::cli::print::{line, size, span};
use crate::outbox::read::Status;

/// What `outbox.max_size` leaves.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct Room {
    /// `outbox.max_size`, bytes.
    max_size: u64,
    /// Part of it in use, 0 to 1 and a little more.
    pub(in crate::cli) fill: f64,
    /// Nothing more is taken from devices.
    pub(in crate::cli) full: bool,
    /// How long the rest lasts at the present rate when nothing is delivered; `None`: nothing comes in.
    days_left: Option<f64>,
}

impl Room {
    pub(in crate::cli) fn of(status: &Status, max_size: u64) -> Self {
        let pending = status.pending_bytes.max(0) as f64;
        let by_disk = status.disk_free_bytes.map_or(f64::MAX, |free| free as f64);
        let left = (max_size as f64 - pending).max(0.0).min(by_disk);
        let a_day = status.rate_per_second * status.bytes_per_event * 86_400.0;
        Self {
            max_size,
            fill: pending / max_size as f64,
            full: pending >= max_size as f64 * 0.95 || status.disk_free_bytes == Some(0),
            days_left: (a_day > 0.0).then(|| left / a_day),
        }
    }
}

pub(super) fn storage(text: &mut String, status: &Status, room: Option<&Room>) {
    let pending = size(status.pending_bytes.max(0) as f64);
    match room {
        Some(room) => {
            let most = size(room.max_size as f64);
            line(text, &format!("pending {pending} of {most} ({:.1} %)", room.fill * 100.0));
            if room.full {
                line(text, "  FULL: devices are not acknowledged until there is room; posting goes on");
            }
        }
        None => line(text, &format!("pending {pending}")),
    }
    let free = status.disk_free_bytes.map_or_else(String::new, |free| format!(", {} free", size(free as f64)));
    let used = size(status.used_bytes.max(0) as f64);
    line(text, &format!("on disk {}, {used} of it in use{free}", size(status.file_bytes as f64)));
    let rate = status.rate_per_second;
    match room.and_then(|room| room.days_left) {
        Some(days) => {
            let left = span(days * 86_400.0);
            line(text, &format!("at {rate:.1} events/s the room left lasts {left} if nothing is posted"));
        }
        None => line(text, &format!("{rate:.1} events/s come in")),
    }
}
