//! `floorgate status DEVICE` of a device that stands for many.

use std::path::Path;

use serde::Serialize;

use crate::cli::print::{self, clean, line};
use crate::event::Millis;
use crate::form::there_is_no;
use crate::outbox::read::instances::{self, Instance};
use crate::source::health;

/// One device with the instances behind it.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    device: health::Device,
    /// Those that have ever sent; the one that was asked for alone.
    instances: Vec<Instance>,
}

/// Instances that are listed to people.
const LISTED: usize = 50;

impl Shown {
    /// What was found under the name `asked`: a device, or the one that an instance is of. `Err`: there is no such instance.
    pub(super) fn of(dir: &Path, asked: &str, device: health::Device) -> Result<Self, String> {
        let id = &device.status.id;
        let mut instances = match device.status.link {
            Some(_) => instances::of(dir, id).map_err(|e| e.to_string())?,
            None => Vec::new(),
        };
        if asked != id {
            let known = instances.iter().map(|instance| instance.id.clone()).collect();
            instances.retain(|instance| instance.id == asked);
            if instances.is_empty() {
                return Err(there_is_no(&format!("instance of {id} that has ever sent by the name"), asked, &known));
            }
        }
        Ok(Self { device, instances })
    }

    pub(super) fn text(&self, now: Millis) -> String {
        let mut text = super::parts::device_text(&self.device, now);
        if self.instances.is_empty() {
            return text;
        }
        line(&mut text, "");
        let mut rows = vec![["instance", "last event"].map(str::to_owned)];
        rows.extend(self.instances.iter().take(LISTED).map(|Instance { id, last_event_at }| {
            [clean(id), last_event_at.map_or_else(|| "no longer kept".to_owned(), |at| print::ago(at, now))]
        }));
        print::table(&mut text, &rows, 2);
        if self.instances.len() > LISTED {
            line(&mut text, &format!("  … and {} more (--json has all)", self.instances.len() - LISTED));
        }
        text
    }
}
