//! `[[lane]]`: which events go to which target.

use std::collections::BTreeSet;

use crate::config::Reading;
use crate::config::bounds::{Ids, id_or, number};
use crate::config::device::Device;
use crate::config::target::Declared;
use crate::event::Canonical;
use crate::form::{Table, nearest};
use crate::lane::{Config, Idempotency, Worth};
use crate::milestone::sequence_gap;

/// More subjects parked than this stop a lane, unless it says otherwise.
const MAX_PARKED: usize = 500;

/// A lane as far as it could be read, for the checks between lanes.
struct Seen<'d> {
    table: Table<'d>,
    id: String,
    target: Option<usize>,
    worth: Option<Worth>,
    take: Vec<String>,
    unit: Option<String>,
}

impl Seen<'_> {
    /// Of these devices, those whose events it takes.
    fn heard<'a>(&self, devices: &'a [Device]) -> impl Iterator<Item = &'a Device> + use<'a> {
        let unit = self.unit.clone();
        devices.iter().filter(move |device| unit.as_ref() == Some(&device.business_unit))
    }

    /// The canonical types that it takes of those that the devices' maps emit, with their order classes.
    fn canonical(&self, devices: &[Device]) -> Vec<(&'static str, &'static str)> {
        let emitted = |tx: &str| self.heard(devices).flat_map(|device| &device.kinds).any(|kind| kind == tx);
        let types = Canonical::ALL.into_iter().map(|kind| (kind.order_class(), kind.tx_type()));
        types.filter(|(_, tx)| emitted(tx) && self.take.iter().any(|glob| meet(glob, tx))).collect()
    }
}

pub(super) fn read_all(
    root: &Table<'_>,
    reading: &Reading,
    targets: &[Declared],
    devices: &[Device],
    business_unit: &str,
) -> Option<Vec<Config>> {
    let mut ids = Ids::default();
    let mut lanes = Vec::new();
    let mut seen = Vec::new();
    for table in root.tables("lane") {
        let id = ids.read(&table);
        let target = target(&table, targets);
        let words = [("visibility", Worth::Visibility), ("document", Worth::Document), ("ledger", Worth::Ledger)];
        let worth = table.entry("class").map_or(Some(Worth::Visibility), |e| e.choice(&words));
        let take = take(&table);
        let unit = unit(&table, business_unit, devices);
        let accept_duplicates = table.or("accept_duplicates", false);
        let made_of = target.and_then(|target| targets[target].made.as_ref());
        if worth == Some(Worth::Ledger)
            && !accept_duplicates
            && made_of.is_some_and(|made| made.lane.idempotency == Idempotency::None)
        {
            let help = "give the target `idempotency` and `lookup` if it can tell what it has, or write `accept_duplicates = true`";
            table.refuse_key("target", "can't tell what it has seen, and this lane moves stock or money", help);
        }
        let max_parked = number(&table, "max_parked", MAX_PARKED, 1..=1_000_000);
        let made = target.and_then(|target| {
            Some(Config {
                id: id.clone()?,
                target,
                elsewhere: elsewhere(unit.as_ref()?, devices),
                business_unit: unit.clone()?,
                worth: worth?,
                take: take.clone()?,
                max_parked,
                ..targets[target].made.as_ref()?.lane.clone()
            })
        });
        lanes.push(made);
        seen.push(Seen { table, id: id.unwrap_or_default(), target, worth, take: take.unwrap_or_default(), unit });
    }
    if seen.is_empty() {
        root.refuse_key("lane", "is missing", "add a [[lane]]: which events go to the target");
    }
    one_lane_each(&seen, devices);
    if !devices.is_empty() && seen.iter().all(|lane| !lane.take.is_empty()) {
        idle_lanes(&seen, devices, reading);
        torn_orders(&seen, devices, reading);
        unheeded(&seen, devices, reading);
        unposted(root, &seen, devices, reading);
    }
    lanes.into_iter().collect()
}

fn target(table: &Table<'_>, targets: &[Declared]) -> Option<usize> {
    let entry = table.required_entry("target")?;
    let id: String = entry.read()?;
    let found = targets.iter().position(|target| target.id == id);
    if found.is_none() && !targets.is_empty() {
        let known = targets.iter().map(|target| target.id.clone()).collect();
        entry.refuse(&format!("there is no target \"{id}\""), &nearest(&id, &known));
    }
    found
}

/// The business unit whose events it takes: the site's, or one that some device has.
fn unit(table: &Table<'_>, site: &str, devices: &[Device]) -> Option<String> {
    let unit = id_or(table, "business_unit", site)?;
    let units: BTreeSet<String> = devices.iter().map(|device| device.business_unit.clone()).collect();
    if table.entry("business_unit").is_some() && !devices.is_empty() && !units.contains(&unit) {
        let known = units.into_iter().collect();
        let message = format!("no device is of the business unit \"{unit}\"");
        table.refuse_key("business_unit", &message, &nearest(&unit, &known));
        return None;
    }
    Some(unit)
}

fn elsewhere(unit: &str, devices: &[Device]) -> BTreeSet<String> {
    devices.iter().filter(|device| device.business_unit != unit).map(|device| device.id.clone()).collect()
}

fn take(table: &Table<'_>) -> Option<Vec<String>> {
    let entry = table.required_entry("take")?;
    let take: Vec<String> = entry.read()?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'*');
    let bad = take.iter().find(|glob| glob.is_empty() || !glob.bytes().all(plain));
    if let Some(bad) = bad {
        let help = "write dotted lower-case words, `*` for any run of characters: \"divert.*\"";
        entry.refuse(&format!("\"{bad}\" can't be a transaction type"), help);
        return None;
    }
    if take.is_empty() {
        entry.refuse("is empty: the lane would take nothing", "write what it takes: [\"scan.*\"]");
        return None;
    }
    Some(take)
}

/// A transaction type of a business unit has one lane of a target: two would post it twice under one key.
fn one_lane_each(seen: &[Seen<'_>], devices: &[Device]) {
    for (i, later) in seen.iter().enumerate() {
        for earlier in beside(&seen[..i], later) {
            let pairs = later.take.iter().flat_map(|a| earlier.take.iter().map(move |b| (a, b)));
            let Some((ours, theirs)) = pairs.into_iter().find(|(a, b)| meet(a, b)) else { continue };
            let mut kinds = later.heard(devices).flat_map(|d| &d.kinds);
            let example = kinds.find(|kind| meet(kind, ours) && meet(kind, theirs));
            let example = example.map_or(String::new(), |kind| format!(", such as \"{kind}\""));
            let message =
                format!("\"{ours}\" and \"{theirs}\" of lane \"{}\" both take the same types{example}", earlier.id);
            later.table.refuse_key("take", &message, "take each transaction type in one lane of a target");
        }
    }
}

/// Of those before it, the lanes that get events of the same devices for the same target.
fn beside<'a, 'd>(before: &'a [Seen<'d>], lane: &Seen<'_>) -> impl Iterator<Item = &'a Seen<'d>> {
    before.iter().filter(|e| e.target.is_some() && e.target == lane.target && e.unit == lane.unit)
}

fn idle_lanes(seen: &[Seen<'_>], devices: &[Device], reading: &Reading) {
    for lane in seen {
        let gap = sequence_gap("", "", 0, 0).kind;
        let kinds: BTreeSet<&String> = lane.heard(devices).flat_map(|d| &d.kinds).chain([&gap]).collect();
        if !kinds.iter().any(|kind| lane.take.iter().any(|glob| meet(glob, kind))) {
            let kinds: Vec<&str> = kinds.into_iter().map(String::as_str).collect();
            let help = format!("there are: {}", kinds.join(", "));
            reading.warn(lane.table.fault_at("take", "takes nothing that the gateway emits with these maps", &help));
        }
    }
}

/// Types that must not overtake each other for one subject belong into one lane: lanes do not wait for each other.
fn torn_orders(seen: &[Seen<'_>], devices: &[Device], reading: &Reading) {
    for (i, later) in seen.iter().enumerate() {
        let ours = later.canonical(devices);
        for earlier in beside(&seen[..i], later) {
            let theirs = earlier.canonical(devices);
            let mut pairs = ours.iter().flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs)));
            let torn = pairs.find(|(ours, theirs)| ours.0 == theirs.0 && ours.1 != theirs.1);
            let Some(((class, ours), (_, theirs))) = torn else { continue };
            let message =
                format!("{ours} can overtake {theirs} of the same subject, which lane \"{}\" takes", earlier.id);
            let help = format!("take all types of the class {class} in one lane of a target");
            reading.warn(later.table.fault_at("take", &message, &help));
        }
    }
}

/// What moves documents or stock in a lane for show: a refused one would be passed over.
fn unheeded(seen: &[Seen<'_>], devices: &[Device], reading: &Reading) {
    for lane in seen.iter().filter(|lane| lane.worth == Some(Worth::Visibility)) {
        if let Some((_, tx_type)) = lane.canonical(devices).first() {
            let message =
                format!("is \"visibility\", so that a {tx_type} that is refused keeps nothing that comes after it");
            let help = "write class = \"document\", or \"ledger\" for what moves stock or money";
            reading.warn(lane.table.fault_at("class", &message, help));
        }
    }
}

fn unposted(root: &Table<'_>, seen: &[Seen<'_>], devices: &[Device], reading: &Reading) {
    let several = devices.iter().any(|device| device.business_unit != devices[0].business_unit);
    let single = root.tables("device").into_iter().map(|table| {
        table.quiet();
        let id: Option<String> = table.optional("id");
        (table, devices.iter().find(|device| Some(&device.id) == id.as_ref()))
    });
    let sets = root.tables("device_set").into_iter().enumerate().map(|(i, table)| {
        table.quiet();
        (table, devices.iter().find(|device| device.set == Some(i + 1)))
    });
    for (table, device) in single.chain(sets) {
        let Some(device) = device else { continue };
        let hear = || seen.iter().filter(|lane| lane.unit.as_ref() == Some(&device.business_unit));
        let taken = |kind: &String| hear().flat_map(|lane| &lane.take).any(|glob| meet(glob, kind));
        let left: Vec<&str> = device.kinds.iter().filter(|kind| !taken(kind)).map(String::as_str).collect();
        if !left.is_empty() {
            let of = if several { format!(" of business unit \"{}\"", device.business_unit) } else { String::new() };
            let message = format!("no lane takes {}{of}", left.join(", "));
            let help = "they are kept and not posted; a lane that is added later takes those that come from then on";
            reading.warn(table.fault_at("map", &message, help));
        }
    }
}

/// Whether some text matches both globs.
pub(super) fn meet(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // `row[j]`: whether the rest of `a` and `b[j..]` have a text in common.
    let mut row: Vec<bool> = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let below = row;
        row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(b'*'), other) => below[j] || (other.is_some() && row[j + 1]),
                (Some(_), Some(b'*')) => row[j + 1] || below[j],
                (None, Some(b'*')) => row[j + 1],
                (Some(x), Some(y)) => x == y && below[j + 1],
                (None, Some(_)) | (Some(_), None) => false,
            };
        }
    }
    row[0]
}
