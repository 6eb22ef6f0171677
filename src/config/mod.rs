//! The configuration: files, secrets, and what is wrong with them.

use crate::{lane, outbox, source, target};

/// A whole configuration, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Site id: part of every key.
    pub site: String,
    /// IANA time zone, for showing and for posting dates.
    pub timezone: String,
    /// The site's business unit, for lanes without their own.
    pub business_unit: String,
    /// Gateway id.
    pub gateway: String,
    /// The outbox.
    pub outbox: outbox::Config,
    /// MQTT links.
    pub mqtt: Vec<source::mqtt::Config>,
    /// Modbus links.
    pub modbus: Vec<source::modbus::Config>,
    /// Targets; lanes refer to them by index.
    pub targets: Vec<target::Config>,
    /// Lanes.
    pub lanes: Vec<lane::Config>,
}
