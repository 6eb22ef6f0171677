//! What is left of the room for rows.

use crate::cli::print::{line, size, span};
use crate::control;
use crate::outbox::read::{Bounds, Status};

/// Why nothing more is taken from devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Full {
    /// The file system has no room.
    Disk,
    /// `outbox.max_size` is pending.
    MaxSize,
}

impl Full {
    /// A gateway that runs knows it; else it is what the next one would find.
    pub(in crate::cli) fn of(
        status: &Status,
        bounds: Option<&Bounds>,
        gateway: Option<&control::Status>,
    ) -> Option<Self> {
        let disk = status.disk_left_bytes == Some(0);
        let pending = status.pending_bytes.max(0) as f64;
        let filled = |part| bounds.is_some_and(|bounds| pending >= bounds.max_size as f64 * part);
        let full = gateway.map_or(disk || filled(0.95), |gateway| !gateway.room);
        // What a gateway has found full is full to it until there is some room more.
        full.then_some(if disk || !filled(0.9) { Self::Disk } else { Self::MaxSize })
    }

    /// Why, in a few words.
    pub(in crate::cli) fn why(self) -> &'static str {
        match self {
            Self::Disk => "the disk has no room",
            Self::MaxSize => "outbox.max_size is used up",
        }
    }

    /// What a person can do, with what is stored in `dir`.
    pub(in crate::cli) fn helps(self, dir: &str) -> String {
        match self {
            Self::Disk => format!("make room on the file system of {dir}; a gateway sees that within seconds"),
            Self::MaxSize => {
                "end what keeps the lanes; or raise outbox.max_size where the disk has room, and start anew".to_owned()
            }
        }
    }
}

/// What `outbox.max_size` leaves.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct Room {
    /// `outbox.max_size`, bytes.
    max_size: u64,
    /// Part of it in use, 0 to 1 and a little more.
    pub(in crate::cli) fill: f64,
    /// How long the rest lasts at the present rate when nothing is delivered; `None`: nothing comes in.
    days_left: Option<f64>,
}

impl Room {
    pub(in crate::cli) fn of(status: &Status, max_size: u64) -> Self {
        let pending = status.pending_bytes.max(0) as f64;
        let by_disk = status.disk_left_bytes.map_or(f64::MAX, |left| left as f64);
        let left = (max_size as f64 - pending).max(0.0).min(by_disk);
        let a_day = status.rate_per_second * status.bytes_per_event * 86_400.0;
        Self { max_size, fill: pending / max_size as f64, days_left: (a_day > 0.0).then(|| left / a_day) }
    }
}

/// `runs`: a gateway does, or may do.
pub(super) fn storage(
    text: &mut String,
    (dir, runs): (&str, bool),
    status: &Status,
    room: Option<&Room>,
    full: Option<Full>,
) {
    let pending = size(status.pending_bytes.max(0) as f64);
    match room {
        Some(room) => {
            let most = size(room.max_size as f64);
            line(text, &format!("pending {pending} of {most} ({:.1} %)", room.fill * 100.0));
        }
        None => line(text, &format!("pending {pending}")),
    }
    let free = status.disk_free_bytes.map_or_else(String::new, |free| format!(", {} free", size(free as f64)));
    let used = size(status.used_bytes.max(0) as f64);
    line(text, &format!("on disk {}, {used} of it in use{free}", size(status.file_bytes as f64)));
    if let Some(full) = full {
        let posting = if runs { "; posting goes on" } else { "" };
        let why = full.why();
        line(text, &format!("  FULL, {why}: devices are not acknowledged until there is room{posting}"));
        line(text, &format!("  what helps: {}", full.helps(dir)));
    }
    let rate = status.rate_per_second;
    match room.and_then(|room| room.days_left).filter(|_| full.is_none()) {
        Some(days) => {
            let left = span(days * 86_400.0);
            line(text, &format!("at {rate:.1} events/s the room left lasts {left} if nothing is posted"));
        }
        None => line(text, &format!("{rate:.1} events/s come in")),
    }
}
