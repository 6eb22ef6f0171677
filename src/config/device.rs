//! `[[device]]`: a map bound to a link.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Reading;
use crate::config::bounds::{Ids, id_or};
use crate::config::device_set::{self, Set};
use crate::config::emits::{Emits, plain, topics_meet};
use crate::config::link::{Declared, Link};
use crate::config::maps::Known;
use crate::config::modbus::identity;
use crate::form::{Document, Entry, Kind, Plain, Table, nearest};
use crate::source::modbus::{self, Identity};
use crate::tagmap::{Binding, DeviceLimits, Frame, Map, Protocol, Quirk, Topic, quirk};

/// Units of a serial line (Modbus over Serial Line 1.02, 2.2); 0 is for broadcasts.
const SERIAL_UNITS: std::ops::RangeInclusive<u8> = 1..=247;

/// A device as `check` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Device {
    /// Device id.
    pub id: String,
    /// Link id.
    pub link: String,
    /// `id@version` of its map.
    pub map: String,
    /// Transaction types of the events that the map may emit; `*` stands where a field's text is not known beforehand.
    pub kinds: Vec<String>,
    /// Topic filters of an MQTT device as its broker has them, parameters filled in.
    pub filters: Vec<String>,
    /// Of each filter what the map calls the levels that are `+`, in their order; nothing for one without a name.
    pub levels: Vec<Vec<String>>,
    /// The business unit that its events are of.
    pub business_unit: String,
    /// Of which `[[device_set]]` it is a member, counted from 1.
    pub set: Option<usize>,
}

/// What the checks between devices look at.
struct Seen<'d> {
    table: Table<'d>,
    id: String,
    link: Option<usize>,
    emits: Emits,
    /// Topic filters, parameters filled in.
    filters: Vec<String>,
}

pub(super) fn read_all(
    root: &Table<'_>,
    reading: &Reading,
    links: &mut [Declared<'_>],
    business_unit: &str,
) -> Vec<Device> {
    let sets = device_set::read(root);
    let mut ids = Ids::default();
    let mut devices = Vec::new();
    let mut seen = Vec::new();
    let mut units = BTreeMap::new();
    let mut used = BTreeSet::new();
    let mut all_found = sets.iter().all(|set| !set.members().is_empty());
    let member = |(i, set)| Set::members(set).iter().map(move |member| (member.table(), Some(i + 1)));
    let single = root.tables("device").into_iter().map(|table| (table, None));
    for (table, set) in single.chain(sets.iter().enumerate().flat_map(member)) {
        let id = ids.read(&table);
        let business_unit = id_or(&table, "business_unit", business_unit);
        let link = link(&table, links);
        let map = table.required_entry("map").and_then(|e| Some((named_map(&e, reading)?, e)));
        let params = params(&table, map.as_ref().map(|(map, _)| *map));
        let params =
            params.filter(|params| map.as_ref().is_none_or(|(map, _)| topics_read(&table, map, params, reading)));
        let accept_epoch_risk = table.or("accept_epoch_risk", false);
        let accept_weak_identity = table.or("accept_weak_identity", false);
        let unit = table.entry("unit");
        let identity = identity(&table);
        used.extend(link);
        all_found &= link.is_some();
        let Some(id) = id else { continue };
        let emits = map.as_ref().map(|(map, _)| map.emits.clone()).unwrap_or_default();
        let filters: Vec<String> =
            params.iter().flat_map(|params| emits.filters.iter().map(|filter| fill(filter, params))).collect();
        if let (Some(link), Some((map, _))) = (link, &map) {
            let (filters, levels) = filters.iter().map(|filter| plain(filter)).unzip();
            devices.push(Device {
                id: id.clone(),
                link: links[link].id.clone(),
                map: map.name.clone(),
                kinds: emits.kinds.clone(),
                filters,
                levels,
                business_unit: business_unit.unwrap_or_default(), // a fault otherwise
                set,
            });
        }
        let limits = device_limits(&table);
        let quirks = quirks(&table, link.map(|link| &links[link]));
        let unproven_here = table.entry("quirks").filter(|_| quirks.contains(&Quirk::NoTransactionEcho));
        let binding = params.map(|params| Binding { params, accept_epoch_risk, limits, quirks, ..Binding::of(&id) });
        let bound = map.as_ref().zip(binding).and_then(|((map, _), b)| bind(&map.document, &b, reading));
        if let (Some((_, entry)), Some(bound), false) = (&map, &bound, accept_weak_identity) {
            strong(entry, bound, reading);
        }
        if let (Some(link), Some((_, entry))) = (link, &map) {
            let unit = unit_id(&table, unit.as_ref(), &links[link]);
            let fits = bound.as_ref().is_none_or(|bound| fits(entry, bound, &links[link]));
            if let (Some(bound), true) = (bound, fits) {
                if !bound.fifos.is_empty() {
                    one_reader(&table, &id, link, unit, &bound.name, &mut units);
                }
                one_device(&table, &id, &links[link]);
                unproven(unproven_here.as_ref().unwrap_or(entry), &bound, &links[link], reading);
                attach(&mut links[link], &id, unit, identity, bound);
            }
        }
        seen.push(Seen { table, id, link, emits, filters });
    }
    if !seen.is_empty() && root.entry("link").is_none() {
        root.refuse_key("link", "is missing", "add a [[link]]: what the devices stand behind");
    }
    instances_apart(&seen);
    topics_apart(&seen);
    drop(seen);
    sets.into_iter().for_each(Set::tell);
    for (_, link) in links.iter().enumerate().filter(|(i, _)| all_found && !used.contains(i)) {
        reading.warn(link.table.fault_at("id", "no device uses this link", "remove it, or add its devices"));
    }
    devices
}

/// Index of the device's link. Where the file has no link at all, that alone is told.
fn link(table: &Table<'_>, links: &[Declared<'_>]) -> Option<usize> {
    let entry = table.required_entry("link")?;
    let id: String = entry.read()?;
    let found = links.iter().position(|link| link.id == id);
    if found.is_none() && !links.is_empty() {
        let known = links.iter().map(|link| link.id.clone()).collect();
        entry.refuse(&format!("there is no link \"{id}\""), &nearest(&id, &known));
    }
    found
}

fn named_map<'r>(entry: &Entry<'_>, reading: &'r Reading) -> Option<&'r Known> {
    let name: String = entry.read()?;
    match reading.library.find(&name) {
        Ok(map) => Some(map),
        Err(versions) if !versions.is_empty() => {
            let versions: Vec<&str> = versions.into_iter().collect();
            let message = format!("\"{name}\" has several versions");
            entry.refuse(&message, &format!("write one of {}", versions.join(", ")));
            None
        }
        Err(_) => {
            let known: BTreeSet<String> = reading.library.names().map(str::to_owned).collect();
            let place = reading.base.join("devices").display().to_string();
            let named = |map: &Known| format!("write \"{}\": a map is named by what stands in it.", map.name);
            let hint = reading.library.in_folder(&name).map_or_else(|| nearest(&name, &known), named);
            let dot = if hint.ends_with(['?', '.']) { "" } else { "." };
            let help = format!("{hint}{dot} Your own maps stand in {place}/<vendor>-<model>/map.toml");
            entry.refuse(&format!("there is no map \"{name}\""), &help);
            None
        }
    }
}

/// The device's parameters; `None` when they don't suit the map's, which is told here, at the device.
fn params(table: &Table<'_>, map: Option<&Known>) -> Option<BTreeMap<String, String>> {
    let (mut given, mut meant) = (BTreeMap::new(), Vec::new());
    let mut fine = true;
    let params = table.table("params");
    if params.is_none() && table.entry("params").is_some() {
        return None; // it is no table, which is told
    }
    for entry in params.iter().flat_map(Table::all) {
        let text = entry.read().map(|Plain(text)| text);
        let wrong = text.as_ref().and_then(|text| unsuitable(map?, entry.key(), text));
        fine &= text.is_some() && wrong.is_none();
        given.insert(entry.key().to_owned(), text.unwrap_or_default());
        if let Some((message, help)) = wrong {
            entry.refuse(&message, &help);
            meant.push(help);
        }
    }
    for (name, param) in map.iter().flat_map(|map| &map.params) {
        if given.contains_key(name) {
            continue;
        }
        // The loop's own name is a parameter without being given.
        let of_the_loop = table.names().and_then(|names| names.get(name));
        if let Some((message, help)) = of_the_loop.and_then(|value| unsuitable(map?, name, value)) {
            fine = false;
            table.refuse_key("params", &format!("`{name}` {message}"), &help);
        }
        if let Some(value) = of_the_loop.or(param.default.as_ref()) {
            given.insert(name.clone(), value.clone());
            continue;
        }
        fine = false;
        if !meant.contains(&format!("did you mean `{name}`?")) {
            let help = map.map_or_else(String::new, |map| given_so(map, name, table.names()));
            table.refuse_key("params", &format!("the map needs the parameter `{name}`"), &help);
        }
    }
    fine.then_some(given)
}

/// How the parameter of a map is given: one that makes topics with what comes of it. `of_the_loop`: in a set each member has its own.
fn given_so(map: &Known, name: &str, of_the_loop: Option<&BTreeMap<String, String>>) -> String {
    let makes = |filter: &&String| filter.contains(&format!("{{{name}}}"));
    let Some(filter) = map.emits.filters.iter().find(makes) else {
        return format!("write params = {{ {name} = … }}");
    };
    let value = example(of_the_loop);
    let (topics, _) = plain(&filter.replace(&format!("{{{name}}}"), &value));
    format!(
        "write params = {{ {name} = \"{value}\" }} with the device's own levels: that makes the topics \"{topics}\""
    )
}

/// Levels of a topic, with the loop's own in a set.
fn example(of_the_loop: Option<&BTreeMap<String, String>>) -> String {
    let loops = of_the_loop.and_then(|names| names.keys().next());
    loops.map_or_else(|| "floor/scan".to_owned(), |name| format!("floor/{{{name}}}"))
}

/// What is wrong with a value for the map's parameter of that name, and what to write.
fn unsuitable(map: &Known, name: &str, value: &str) -> Option<(String, String)> {
    let Some(param) = map.params.get(name) else {
        let help = nearest(name, &map.params.keys().cloned().collect());
        return Some((format!("is no parameter of {}", map.name), help));
    };
    let (message, help) = param.wrong(value)?;
    Some((message, format!("{help}: {} declares it so, {}", map.name, param.place)))
}

fn fill(text: &str, params: &BTreeMap<String, String>) -> String {
    params.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Whether the topics of the map are topics with these parameters. If not, that is told at the parameter.
fn topics_read(table: &Table<'_>, map: &Known, params: &BTreeMap<String, String>, reading: &Reading) -> bool {
    let given = table.table("params");
    given.iter().for_each(Table::quiet); // it was read before
    for filter in &map.emits.filters {
        let Some(name) = params.keys().find(|name| filter.contains(&format!("{{{name}}}"))) else { continue };
        let filled = fill(filter, params);
        let (shown, _) = plain(&filled);
        let told = given.as_ref().filter(|given| given.entry(name).is_some());
        let (at, key) = told.map_or((table, "params"), |given| (given, name.as_str()));
        if let Some(why) = Topic::wrong_filter(&filled) {
            let help = "write whole levels, without + and #: \"floor/scan\"";
            at.refuse_key(key, &format!("makes the topics \"{shown}\": that {why}"), help);
            return false;
        }
        if filled.contains("//") {
            let message =
                format!("makes the topics \"{shown}\", with a level that has no name: few devices publish so");
            reading.warn(at.fault_at(key, &message, "remove the / at its end, if the device does not"));
        }
    }
    true
}

fn bind(document: &Document, binding: &Binding, reading: &Reading) -> Option<Map> {
    match Map::read(document, binding) {
        Ok(mut map) => {
            for warning in std::mem::take(&mut map.warnings) {
                reading.warn(warning);
            }
            Some(map)
        }
        Err(faults) => {
            reading.elsewhere.borrow_mut().extend(faults);
            None
        }
    }
}

/// What a device numbers is told apart for ever; what it does not, by its content and the time between two.
fn strong(entry: &Entry<'_>, map: &Map, reading: &Reading) {
    let weak = map.topics.iter().filter_map(Topic::is_weak).chain(map.frame.iter().filter_map(Frame::is_weak)).max();
    let Some(window) = weak else { return };
    let message = format!(
        "{} has a weak identity: nothing is numbered, so the same content within {window} ms is one event, later it is a \
         second one, and what is lost on the way leaves no gap",
        map.name
    );
    let help = "have the device send a number and a boot id if it can; or accept_weak_identity = true here";
    reading.warn(entry.fault(&message, help));
}

/// `limits = { max_words = 60 }`: less than what the map says, where a device answers less.
fn device_limits(table: &Table<'_>) -> DeviceLimits {
    let Some(limits) = table.table("limits") else { return DeviceLimits::default() };
    let read = |key, most: u16| {
        let limit: Option<u16> = limits.entry(key).and_then(|entry| entry.read_of(|| Kind::Integer(1, most.into())));
        let fits = |limit: &u16| (1..=most).contains(limit);
        if limit.is_some_and(|limit| !fits(&limit)) {
            limits.refuse_key(key, "is more than a request may have, or nothing", &format!("write 1 to {most}"));
        }
        limit.filter(fits)
    };
    DeviceLimits { max_words: read("max_words", 125), max_bits: read("max_bits", 2_000) }
}

/// `quirks = ["close-after-cycle"]`, beside the map's: those that its link can have.
fn quirks(table: &Table<'_>, link: Option<&Declared<'_>>) -> BTreeSet<Quirk> {
    let quirks = quirk::read(table);
    let Some(link) = link else { return quirks };
    if let (Some(protocol @ (Protocol::Mqtt | Protocol::Socket)), Some(entry)) = (link.protocol, table.entry("quirks"))
    {
        entry.refuse(&format!("means nothing with {protocol}"), "remove it");
    }
    let Some(Link::Modbus(modbus)) = &link.link else { return quirks };
    if quirks.contains(&Quirk::CloseAfterCycle) && !modbus.place.is_connection() {
        let message = "close-after-cycle is for links over TCP: nobody else waits for a serial line";
        table.refuse_key("quirks", message, "remove it");
    }
    if quirks.contains(&Quirk::NoTransactionEcho) && !modbus.place.has_transactions() {
        let message = format!("no-transaction-echo is for modbus-tcp: {} has no transaction ids", modbus.place.kind());
        table.refuse_key("quirks", &message, "remove it");
    }
    quirks
}

/// What is given up where an answer's id is not looked at.
fn unproven(entry: &Entry<'_>, bound: &Map, link: &Declared<'_>, reading: &Reading) {
    let checked = matches!(&link.link, Some(Link::Modbus(modbus)) if modbus.place.has_transactions());
    if !checked || !bound.quirks.contains(&Quirk::NoTransactionEcho) {
        return;
    }
    let message = "no-transaction-echo: an answer of another id is taken, so that a late one, or one to another client of \
                   the same gateway, passes for this one's if unit, function and size are the same";
    let help = "keep it to devices of which floorgate status names \"wrong transaction id\", and request_timeout above \
                their slowest answer";
    reading.warn(entry.fault(message, help));
}

fn unit_id(table: &Table<'_>, unit: Option<&Entry<'_>>, link: &Declared<'_>) -> Option<u8> {
    match (link.protocol?, unit) {
        (Protocol::Modbus, Some(entry)) => {
            let unit = entry.read()?;
            if let Some(Link::Modbus(modbus)) = &link.link
                && !modbus.place.has_transactions()
                && !SERIAL_UNITS.contains(&unit)
            {
                let what = if unit == 0 {
                    "is 0, which means all units of a serial line, and none answers".to_owned()
                } else {
                    format!("is {unit}, which no unit of a serial line can have")
                };
                entry.refuse(&what, "write 1 to 247");
            }
            Some(unit)
        }
        (Protocol::Modbus, None) => {
            table.refuse_key("unit", "is missing", "add the Modbus unit id: `unit = 1`");
            None
        }
        (protocol, Some(entry)) => {
            entry.refuse(&format!("means nothing with {protocol}"), "remove it");
            None
        }
        (Protocol::Mqtt | Protocol::Socket, None) => None,
    }
}

fn fits(entry: &Entry<'_>, map: &Map, link: &Declared<'_>) -> bool {
    let Some(protocol) = link.protocol.filter(|p| *p != map.protocol) else { return true };
    let message = format!("{} is for {}, the link \"{}\" is for {protocol}", map.name, map.protocol, link.id);
    entry.refuse(&message, "name a map for that link, or a link for that map");
    false
}

/// Two devices on one unit with one map would acknowledge each other's events.
fn one_reader(
    table: &Table<'_>,
    id: &str,
    link: usize,
    unit: Option<u8>,
    map: &Arc<str>,
    units: &mut BTreeMap<(usize, u8, Arc<str>), String>,
) {
    let Some(unit) = unit else { return };
    let first = units.entry((link, unit, map.clone())).or_insert_with(|| id.to_owned());
    if *first != id {
        let message = format!("is {unit}, as of device \"{first}\" with the same link and map");
        table.refuse_key("unit", &message, "remove one of the two: they would acknowledge each other's events");
    }
}

fn attach(declared: &mut Declared<'_>, id: &str, unit: Option<u8>, identity: Option<Identity>, map: Map) {
    match &mut declared.link {
        Some(Link::Mqtt(link)) => link.devices.push((id.into(), map)),
        Some(Link::Modbus(link)) => {
            link.devices.extend(unit.map(|unit| modbus::Device { id: id.into(), unit, identity, map }));
        }
        Some(Link::Socket(link)) => link.device = link.device.take().or(map.frame.map(|frame| (id.into(), frame))),
        None => {}
    }
}

/// A line carries the frames of one device: nothing in them says whose they are.
fn one_device(table: &Table<'_>, id: &str, link: &Declared<'_>) {
    if let Some(Link::Socket(socket)) = &link.link
        && let Some((first, _)) = &socket.device
        && **first != *id
    {
        let message = format!("the link \"{}\" is that of device \"{first}\"", link.id);
        table.refuse_key("link", &message, "give each device its own link");
    }
}

/// `{device}-{station}` makes ids of its own: no other device may have one of those, or two share their keys.
fn instances_apart(seen: &[Seen<'_>]) {
    for maker in seen {
        for literal in &maker.emits.instances {
            let prefix = format!("{}{literal}", maker.id).to_lowercase();
            for other in seen.iter().filter(|other| other.id != maker.id) {
                if other.id.to_lowercase().starts_with(&prefix) {
                    let message = format!(
                        "\"{}\" could be one of the devices \"{}{literal}…\" behind \"{}\"",
                        other.id, maker.id, maker.id
                    );
                    other.table.refuse_key("id", &message, "choose an id with another beginning");
                }
            }
        }
    }
}

/// How to give a device topics of its own.
fn apart(seen: &Seen<'_>) -> String {
    let names = seen.table.names();
    let of_map = seen.emits.filters.iter().find_map(|filter| Some(filter.split_once('{')?.1.split_once('}')?.0));
    match (of_map, names.and_then(|names| names.keys().next())) {
        (Some(name), Some(_)) => {
            format!("give each member its own: params = {{ {name} = \"{}\" }}", example(names))
        }
        (Some(name), None) => {
            format!(
                "give one of them another `{name}`: a message may be of one device alone. Scanners that share their topics are one device"
            )
        }
        (None, _) => "give the two devices topics that no message can share".to_owned(),
    }
}

/// A message that two devices of one link want would be an event of both.
fn topics_apart(seen: &[Seen<'_>]) {
    for (i, later) in seen.iter().enumerate() {
        for earlier in seen[..i].iter().filter(|e| e.link.is_some() && e.link == later.link && e.id != later.id) {
            let pairs = later.filters.iter().flat_map(|a| earlier.filters.iter().map(move |b| (a, b)));
            let Some((ours, theirs)) = pairs.into_iter().find(|(a, b)| topics_meet(a, b)) else { continue };
            let [(ours, _), (theirs, _)] = [plain(ours), plain(theirs)];
            let message = format!("the topics \"{ours}\" and \"{theirs}\" of device \"{}\" meet", earlier.id);
            later.table.refuse_key("params", &message, &apart(later));
        }
    }
}
