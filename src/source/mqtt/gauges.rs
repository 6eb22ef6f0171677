//! What a link tells of itself and of the devices behind it.

use crate::event::Millis;
use crate::source::health::{Cause, Gauge, Health, State};
use crate::source::mqtt::Config;
use crate::source::now;

/// Where the link and its devices are noted.
pub(super) struct Gauges {
    pub(super) link: Gauge,
    /// In the order of [`Config::devices`].
    pub(super) devices: Vec<Gauge>,
}

impl Gauges {
    pub(super) fn new(config: &Config, health: &Health) -> Self {
        let devices = config.devices.iter().map(|(device, _)| health.device(&config.link, device)).collect();
        Self { link: health.link(&config.link), devices }
    }

    /// A device's way is the link's.
    pub(super) fn all(&self, state: State, detail: Option<&str>) {
        self.link.is(state, detail);
        self.devices.iter().for_each(|device| device.is(state, None));
    }

    /// A connection that stood is gone, or none could be made.
    pub(super) fn lost(&self, stood: bool, why: &str) {
        self.link.troubled(if stood { Cause::Closed } else { Cause::Refused }, why, now().wall);
        self.all(State::Down, None);
    }

    /// A message came, of this device if of any.
    pub(super) fn message(&self, device: Option<&Gauge>, bad: bool, at: Millis) {
        for gauge in [Some(&self.link), device].into_iter().flatten() {
            gauge.message(bad, at);
        }
    }
}
