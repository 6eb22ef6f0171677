//! `[site]`, `[gateway]` and `[outbox]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Reading;
use crate::config::bounds::{DAY, HOUR, duration, id, id_or, number, size};
use crate::form::{Fault, Table};
use crate::outbox::{self, Preset};

/// Where nobody names one.
pub(super) const BUSINESS_UNIT: &str = "main";

pub(super) struct Site {
    pub(super) id: String,
    pub(super) timezone: String,
    pub(super) business_unit: String,
}

pub(super) fn site(root: &Table<'_>) -> Option<Site> {
    let table = root.required_table("site")?;
    let id = id(&table, "id");
    let timezone = timezone(&table);
    let business_unit = id_or(&table, "business_unit", BUSINESS_UNIT);
    Some(Site { id: id?, timezone: timezone?, business_unit: business_unit? })
}

fn timezone(table: &Table<'_>) -> Option<String> {
    let entry = table.required_entry("timezone")?;
    let name: String = entry.read()?;
    if jiff::tz::TimeZone::get(&name).is_err() {
        entry.refuse(&format!("\"{name}\" is no time zone known here"), "write an IANA name such as \"Europe/Berlin\"");
        return None;
    }
    Some(name)
}

pub(super) struct Gateway {
    pub(super) id: String,
    pub(super) data_dir: PathBuf,
}

pub(super) fn gateway(root: &Table<'_>, reading: &Reading) -> Option<Gateway> {
    let table = root.required_table("gateway")?;
    let id = id(&table, "id");
    let data_dir = reading.path(&table.or("data_dir", outbox::DEFAULT_DIR.to_owned()));
    if data_dir.exists() && !data_dir.is_dir() {
        table.refuse_key("data_dir", &format!("{} is not a directory", data_dir.display()), "name a directory");
    } else if let Some(doubt) = not_creatable(&data_dir) {
        reading.warn(table.fault_at("data_dir", &doubt, "make it, or name another: the outbox lives there"));
    }
    Some(Gateway { id: id?, data_dir })
}

/// Why `run` may not be able to make the directory; a guess from the outside, as `check` may be another user.
fn not_creatable(dir: &Path) -> Option<String> {
    if dir.is_dir() {
        return None;
    }
    let above = dir.ancestors().skip(1).find(|a| a.as_os_str().is_empty() || a.exists())?;
    (!above.as_os_str().is_empty() && !above.is_dir())
        .then(|| format!("{} can't be made: {} is a file", dir.display(), above.display()))
}

/// Bytes of `outbox.max_size` that one pending event takes, for a 320-byte sample: its data, raw bytes and rows.
const PENDING_BYTES_PER_EVENT: f64 = 640.0;
const GIB: f64 = 1_073_741_824.0;
/// Events a second of a busy site, where the file does not say.
const RATE: u32 = 300;

/// How long an outbox of that size holds what comes at that rate while nothing is posted.
pub fn hold(max_size: u64, rate: u32) -> Duration {
    Duration::from_secs_f64(max_size as f64 / PENDING_BYTES_PER_EVENT / f64::from(rate.max(1)))
}

/// `[outbox]` without what other sections say of it.
pub(super) struct Outbox {
    /// Events a second of the whole site.
    pub(super) expected_rate: u32,
    preset: Preset,
    max_size: u64,
    history_age: Duration,
    history_size: u64,
}

impl Outbox {
    pub(super) fn for_site(self, dir: PathBuf, site: &str) -> outbox::Config {
        outbox::Config {
            dir,
            site: site.to_owned(),
            preset: self.preset,
            max_size: self.max_size,
            history_age: self.history_age,
            history_size: self.history_size,
            synchronous_normal: planted("synchronous-normal"),
        }
    }
}

/// Faults that tests plant in builds with the `sim` feature: shipped binaries don't know them.
#[expect(clippy::disallowed_methods, reason = "this is the layer that reads the environment")]
fn planted(fault: &str) -> bool {
    cfg!(feature = "sim") && std::env::var("FLOORGATE_PLANT").is_ok_and(|planted| planted == fault)
}

pub(super) fn outbox(root: &Table<'_>, reading: &Reading) -> Option<Outbox> {
    const MIB: u64 = 1 << 20;
    const TIB: u64 = 1 << 40;
    let mut outbox = Outbox {
        expected_rate: RATE,
        preset: Preset::Gentle,
        max_size: 2 << 30,
        history_age: DAY * 30,
        history_size: 4 << 30,
    };
    let Some(entry) = root.entry("outbox") else { return Some(outbox) };
    let table = entry.table()?;
    let words = [("gentle", Preset::Gentle), ("fast", Preset::Fast)];
    if let Some(preset) = table.entry("preset").and_then(|e| e.choice(&words)) {
        outbox.preset = preset;
    }
    outbox.max_size = size(&table, "max_size", outbox.max_size, MIB..=TIB);
    if let Some(history) = table.table("history") {
        outbox.history_age = duration(&history, "max_age", outbox.history_age, HOUR..=DAY * 3650);
        outbox.history_size = size(&history, "max_size", outbox.history_size, MIB..=TIB);
    }
    outbox.expected_rate = number(&table, "expected_rate", RATE, 1..=1_000_000);
    let wanted = table.entry("hold_at_least").map(|_| duration(&table, "hold_at_least", DAY, HOUR..=DAY * 3650));
    if let Some(wanted) = wanted.filter(|wanted| hold(outbox.max_size, outbox.expected_rate) < *wanted) {
        reading.warn(too_small(&table, &outbox, wanted));
    }
    Some(outbox)
}

fn too_small(table: &Table<'_>, outbox: &Outbox, wanted: Duration) -> Fault {
    let hours = |span: Duration| span.as_secs_f64() / HOUR.as_secs_f64();
    let Outbox { max_size, expected_rate, .. } = outbox;
    let needed = PENDING_BYTES_PER_EVENT * f64::from(*expected_rate) * wanted.as_secs_f64();
    let message = format!(
        "holds {:.1} hours at {expected_rate} events a second, and {:.1} hours are wanted (hold_at_least); then devices \
         are not acknowledged",
        hours(hold(*max_size, *expected_rate)),
        hours(wanted)
    );
    let help = format!("write max_size = \"{} GiB\" if the disk has them, or less to hold", (needed / GIB).ceil());
    table.fault_at("max_size", &message, &help)
}
