//! `[[device_set]]`: many devices from one template. Each member is read like a `[[device]]` of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::form::{Entry, Fault, Made, Table};

/// Members of one set.
const MOST: i64 = 1_000;
/// Keys that are the set's own; the others are those of its members.
const OWN: [&str; 3] = ["for", "except", "override"];

/// A set, and its members as tables to be read.
pub(super) struct Set<'d> {
    table: Table<'d>,
    members: Vec<Made<'d>>,
}

impl<'d> Set<'d> {
    /// None, when its loop or overrides are wrong, which is told.
    pub(super) fn members(&self) -> &[Made<'d>] {
        &self.members
    }

    /// Tells what was wrong with the members, once for each place: what is wrong with one is wrong with most.
    pub(super) fn tell(self) {
        let mut first: BTreeMap<(usize, String), (Fault, usize)> = BTreeMap::new();
        let mut order = Vec::new();
        for fault in self.members.into_iter().flat_map(Made::into_faults) {
            let place = (fault.span.start, fault.help.clone());
            order.push(place.clone());
            first.entry(place).or_insert((fault, 0)).1 += 1;
        }
        for place in order {
            let Some((mut fault, members)) = first.remove(&place) else { continue };
            if members > 1 {
                fault.message = format!("{}, and so it is with {} other members", fault.message, members - 1);
            }
            self.table.tell(fault);
        }
    }
}

/// The sets of the file.
pub(super) fn read<'d>(root: &Table<'d>) -> Vec<Set<'d>> {
    let set = |table: Table<'d>| {
        let members = members(&table).unwrap_or_default();
        if members.is_empty() {
            table.quiet(); // its fault is told: the rest can't be judged
        }
        Set { table, members }
    };
    root.tables("device_set").into_iter().map(set).collect()
}

fn members<'d>(table: &Table<'d>) -> Option<Vec<Made<'d>>> {
    let (name, values) = values(table)?;
    let except = numbers(table, "except", &values)?;
    table.lends("override", &OWN);
    let overrides = overrides(table, &name, &values)?;
    table.quiet(); // its members are read
    let members = values.iter().filter(|value| !except.contains(value)).map(|value| {
        let mut entries = without(table.entries(), |key| OWN.contains(&key));
        if let Some(instead) = overrides.get(value) {
            entries = merged(&entries, &without(instead.entries(), |key| key == name));
        }
        let path = format!("{}({name} = {value})", table.path());
        table.make(path, entries, [(name.clone(), value.to_string())].into(), &OWN)
    });
    let members: Vec<Made<'d>> = members.collect();
    if members.is_empty() {
        table.refuse_key("except", "leaves no member", "remove the set, or take some of its members");
    }
    Some(members)
}

/// The loop's name and its values: `for = { lane = { from = 1, to = 40 } }`, `for = { lane = [1, 2, 5] }`.
fn values(table: &Table<'_>) -> Option<(String, Vec<i64>)> {
    let help = "write for = { lane = { from = 1, to = 40 } }, or for = { lane = [1, 2, 5] }";
    let entry = table.required_entry("for")?;
    if entry.value().as_table().is_none() {
        entry.refuse("is no loop", help);
        return None;
    }
    let all = entry.table()?.all();
    let [of] = all.as_slice() else {
        entry.refuse("wants one name", help);
        return None;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !of.key().chars().all(plain) || of.key().starts_with(|c: char| c.is_ascii_digit()) {
        of.refuse("is no name to reckon with", "write letters, digits and _");
        return None;
    }
    let values: Vec<i64> = if of.value().is_array() {
        of.read()?
    } else if of.value().as_table().is_none() {
        of.refuse("is neither a range nor a list", help);
        return None;
    } else {
        let range = of.table()?;
        let (from, to): (Option<i64>, Option<i64>) = (range.required("from"), range.required("to"));
        range_of(of, from?, to?)?.collect()
    };
    let distinct: BTreeSet<i64> = values.iter().copied().collect();
    if values.is_empty() || distinct.len() != values.len() || values.len() as i64 > MOST {
        of.refuse(&format!("has {} values, {} of them different", values.len(), distinct.len()), help);
        return None;
    }
    Some((of.key().to_owned(), values))
}

fn range_of(entry: &Entry<'_>, from: i64, to: i64) -> Option<RangeInclusive<i64>> {
    let members = to.checked_sub(from).filter(|distance| (0..MOST).contains(distance));
    if members.is_none() {
        entry.refuse(
            &format!("goes from {from} to {to}"),
            &format!("write the lower one first; at most {MOST} members"),
        );
    }
    members.map(|_| from..=to)
}

/// A list of values that are in the loop.
fn numbers(table: &Table<'_>, key: &str, values: &[i64]) -> Option<Vec<i64>> {
    let Some(entry) = table.entry(key) else { return Some(Vec::new()) };
    let numbers: Vec<i64> = entry.read()?;
    match numbers.iter().find(|number| !values.contains(number)) {
        None => Some(numbers),
        Some(stranger) => {
            entry.refuse(&format!("{stranger} is none of the set's values"), "remove it, or widen `for`");
            None
        }
    }
}

/// What single members have instead, by their value.
fn overrides<'d>(set: &Table<'d>, name: &str, values: &[i64]) -> Option<BTreeMap<i64, Table<'d>>> {
    let mut overrides = BTreeMap::new();
    for table in set.tables("override") {
        let all = table.all();
        let Some(entry) = all.iter().find(|entry| entry.key() == name) else {
            table.refuse_key(name, "is missing", &format!("write {name} = …: which member it is about"));
            return None;
        };
        let value: i64 = entry.read()?;
        if !values.contains(&value) {
            table.refuse_key(name, &format!("{value} is none of the set's values"), "name one that `for` has");
            return None;
        }
        if let Some(own) = OWN.into_iter().find(|own| all.iter().any(|entry| entry.key() == *own)) {
            table.refuse_key(own, "is the whole set's", "write it at the set");
            return None;
        }
        if overrides.contains_key(&value) {
            table.refuse_key(name, &format!("{value} has an override already"), "write both into one");
            return None;
        }
        overrides.insert(value, table);
    }
    Some(overrides)
}

/// The entries but those of these keys.
fn without<'d>(entries: &DeTable<'d>, is: impl Fn(&str) -> bool) -> DeTable<'d> {
    let kept = entries.iter().filter(|(key, _)| !is(key.get_ref()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The entries with others in their place; what is a table in both is merged.
fn merged<'d>(entries: &DeTable<'d>, instead: &DeTable<'d>) -> DeTable<'d> {
    let find = |table: &DeTable<'d>, name: &str| -> Option<Spanned<DeValue<'d>>> {
        table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.clone())
    };
    let mut all = without(entries, |name| find(instead, name).is_some());
    for (key, value) in instead {
        let both = match (find(entries, key.get_ref()).map(Spanned::into_inner), value.get_ref()) {
            (Some(DeValue::Table(old)), DeValue::Table(new)) => {
                Spanned::new(value.span(), DeValue::Table(merged(&old, new)))
            }
            _ => value.clone(),
        };
        all.insert(key.clone(), both);
    }
    all
}
