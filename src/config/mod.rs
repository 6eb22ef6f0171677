//! The configuration: files, secrets, and what is wrong with them.
//!
//! [`check`] reads one TOML file, the device maps it names and the secret files it refers to, and makes the validated
//! structures of the rooms below. It tells every fault at once, each with its place and what to write instead; what is
//! allowed but doubtful is a warning. It reads and never writes: a data directory that is missing is made by `run`.
//!
//! Paths in the file are relative to the file's own directory. Secrets are only ever files.

mod auth;
mod bounds;
mod budget;
mod category;
mod classify;
mod device;
mod device_set;
mod emits;
mod files;
mod lane;
mod link;
mod listed;
mod maps;
mod modbus;
mod port;
pub mod schema;
mod site;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod tls;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::form::{Document, Fault, Table};
use crate::{outbox, source};

pub use device::Device;
pub use files::default_file;
pub(crate) use files::text;
pub use link::{broker_address, is_secure};
pub(crate) use listed::{Listed, listed};
pub use maps::map_files_of;
pub use modbus::modbus_address;
pub use site::hold;

/// A whole configuration, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Site id: part of every key.
    pub site: String,
    /// IANA time zone, for showing and for posting dates.
    pub timezone: String,
    /// The site's business unit: part of every order key.
    pub business_unit: String,
    /// Gateway id.
    pub gateway: String,
    /// The outbox.
    pub outbox: outbox::Config,
    /// Events a second of the whole site, as its operator expects them.
    pub expected_rate: u32,
    /// MQTT links.
    pub mqtt: Vec<source::mqtt::Config>,
    /// Modbus links.
    pub modbus: Vec<source::modbus::Config>,
    /// Scanners on TCP sockets and serial lines.
    pub sockets: Vec<source::socket::Config>,
    /// Targets; lanes refer to them by index.
    pub targets: Vec<crate::target::Config>,
    /// Lanes.
    pub lanes: Vec<crate::lane::Config>,
    /// Who looks after what does not go on.
    pub desks: crate::lane::Desks,
}

impl Config {
    /// Ids of the devices, then of the links.
    pub fn devices_and_links(&self) -> Vec<String> {
        let mqtt = self.mqtt.iter().flat_map(|link| link.devices.iter().map(|(id, _)| id));
        let modbus = self.modbus.iter().flat_map(|link| link.devices.iter().map(|device| &device.id));
        let sockets = self.sockets.iter().filter_map(|link| link.device.as_ref().map(|(id, _)| id));
        let links = self.mqtt.iter().map(|link| &link.link).chain(self.modbus.iter().map(|link| &link.link));
        let links = links.chain(self.sockets.iter().map(|link| &link.link));
        mqtt.chain(modbus).chain(sockets).chain(links).map(ToString::to_string).collect()
    }
}

/// What checking a configuration found.
#[derive(Debug)]
pub struct Checked {
    /// The configuration, or every fault.
    pub config: Result<Config, Vec<Fault>>,
    /// What is allowed but doubtful.
    pub warnings: Vec<Fault>,
    /// The devices as far as they could be read, with what their maps emit.
    pub devices: Vec<Device>,
    /// The files that faults and warnings name, for showing the lines.
    pub documents: Vec<Document>,
}

/// Reads and validates the configuration at `path`.
///
/// # Errors
/// Every fault of the file, of the maps it uses and of the files it refers to.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    check(path).config
}

/// Reads and validates the configuration at `path`; keeps the warnings and what is needed to show it.
pub fn check(path: &Path) -> Checked {
    let name = path.display().to_string();
    let document = match text(path) {
        Ok(text) => Document { name, text },
        Err(why) => return unread(&name, &why),
    };
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    let (library, warnings) = maps::Library::load(&base);
    let reading = Reading { base, library, elsewhere: RefCell::default(), warnings: RefCell::new(warnings) };
    let mut devices = Vec::new();
    let read = document.read(|root| root_table(root, &reading, &mut devices));
    let Reading { elsewhere, warnings, library, .. } = reading;
    let config = with_elsewhere(read, elsewhere.into_inner());
    let mut documents = vec![document];
    documents.extend(library.into_documents());
    Checked { config, warnings: each_once(warnings.into_inner()), devices, documents }
}

/// The map of that `id@version` which a configuration in `base` would use.
///
/// # Errors
/// There is none; which there are.
pub(crate) fn map(base: &Path, name: &str) -> Result<Document, String> {
    let (library, _) = maps::Library::load(base);
    let known = || library.names().collect::<Vec<_>>().join(", ");
    let found = library.find(name).map(|map| map.document.clone());
    let own = base.join("devices");
    found.map_err(|_| {
        format!(
            "there is no map {name} in {}, in {}, or among those built in; there are {}. --config says beside which \
             configuration to look",
            own.display(),
            maps::SYSTEM,
            known()
        )
    })
}

/// The fault of a file that can't be read.
pub(crate) fn unreadable(name: &str, why: &str) -> Fault {
    Fault {
        file: name.to_owned(),
        span: 0..0,
        line: 1,
        column: 1,
        key: String::new(),
        message: format!("can't be read: {why}"),
        help: String::new(),
    }
}

fn unread(name: &str, why: &str) -> Checked {
    let fault = Fault {
        help: "name the configuration with --config FILE, or in FLOORGATE_CONFIG".to_owned(),
        ..unreadable(name, why)
    };
    Checked { config: Err(vec![fault]), warnings: Vec::new(), devices: Vec::new(), documents: Vec::new() }
}

/// Faults of map files count like those of the file itself, each once however many devices use the map.
fn with_elsewhere(read: Result<Config, Vec<Fault>>, elsewhere: Vec<Fault>) -> Result<Config, Vec<Fault>> {
    let (config, told) = match read {
        Ok(config) => (Some(config), Vec::new()),
        Err(faults) => (None, faults),
    };
    let mut faults: Vec<Fault> = Vec::new();
    for fault in told.into_iter().chain(elsewhere) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

/// In the order of their places; what holds for many devices of one set or map is said once.
fn each_once(mut warnings: Vec<Fault>) -> Vec<Fault> {
    warnings.sort_by_key(|w| w.span.start);
    let mut once: Vec<Fault> = Vec::new();
    for warning in warnings {
        let same =
            |told: &Fault| (&told.file, &told.span, &told.message) == (&warning.file, &warning.span, &warning.message);
        if !once.iter().any(same) {
            once.push(warning);
        }
    }
    once
}

/// What the readers of the sections share.
struct Reading {
    /// Directory of the configuration.
    base: PathBuf,
    library: maps::Library,
    /// Faults of other files: maps.
    elsewhere: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

impl Reading {
    fn warn(&self, warning: Fault) {
        self.warnings.borrow_mut().push(warning);
    }

    /// A path of the file, relative to the file's directory.
    fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }
}

/// Reads every section before it gives up on any: a key that nobody asked for would be told as unknown.
fn root_table(root: &Table<'_>, reading: &Reading, devices: &mut Vec<Device>) -> Option<Config> {
    for (key, help) in
        [("control", "remove it: there is no HTTP API yet, and the control socket in data_dir needs no key")]
    {
        if root.entry(key).is_some() {
            root.refuse_key(key, "is not in this version", help);
        }
    }
    let site = site::site(root);
    let gateway = site::gateway(root, reading);
    let outbox = site::outbox(root, reading);
    let mut links = link::read_all(root, reading, gateway.as_ref().map(|g| g.id.as_str()));
    let business_unit = site.as_ref().map_or(site::BUSINESS_UNIT, |site| site.business_unit.as_str());
    *devices = device::read_all(root, reading, &mut links, business_unit);
    budget::check(&links, reading);
    let targets = target::read_all(root, reading);
    let lanes = lane::read_all(root, reading, &targets, devices, business_unit);
    let desks = category::read_all(root);
    let (site, gateway, outbox) = (site?, gateway?, outbox?);
    let mut config = Config {
        expected_rate: outbox.expected_rate,
        outbox: outbox.for_site(gateway.data_dir, &site.id),
        site: site.id,
        timezone: site.timezone,
        business_unit: site.business_unit,
        gateway: gateway.id,
        mqtt: Vec::new(),
        modbus: Vec::new(),
        sockets: Vec::new(),
        targets: targets.into_iter().map(|t| Some(t.made?.config)).collect::<Option<_>>()?,
        lanes: lanes?,
        desks,
    };
    for declared in links {
        match declared.link? {
            link::Link::Mqtt(link) => config.mqtt.push(link),
            link::Link::Modbus(link) => config.modbus.push(link),
            link::Link::Socket(link) => config.sockets.push(*link),
        }
    }
    Some(config)
}
