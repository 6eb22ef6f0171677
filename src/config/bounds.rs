//! Values with a least and a most, and ids.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::event::is_valid_id;
use crate::form::{self, Entry, FromValue, Kind, Table};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// A duration of the file, `default` when it is absent.
pub(super) fn duration(table: &Table<'_>, key: &str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
    let form::Duration(value) = table.or(key, form::Duration(default));
    within(table, key, &value, range, |d| span_text(*d));
    value
}

/// A size of the file in bytes, `default` when it is absent.
pub(super) fn size(table: &Table<'_>, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
    let form::Bytes(value) = table.or(key, form::Bytes(default));
    within(table, key, &value, range, |b| size_text(*b));
    value
}

/// A whole number of the file, `default` when it is absent.
pub(super) fn number<T>(table: &Table<'_>, key: &str, default: T, range: RangeInclusive<T>) -> T
where
    T: FromValue + PartialOrd + Display + Copy + TryInto<i64>,
{
    let bound = |bound: &T| (*bound).try_into().unwrap_or(i64::MAX);
    let kind = || Kind::Integer(bound(range.start()), bound(range.end()));
    let value = table.entry(key).and_then(|entry| entry.read_of(kind)).unwrap_or(default);
    within(table, key, &value, range, T::to_string);
    value
}

fn within<T: PartialOrd>(
    table: &Table<'_>,
    key: &str,
    value: &T,
    range: RangeInclusive<T>,
    text: impl Fn(&T) -> String,
) {
    if !range.contains(value) {
        let help = format!("write at least {} and at most {}", text(range.start()), text(range.end()));
        table.refuse_key(key, &format!("is {}", text(value)), &help);
    }
}

/// `5m` and the like: what the file takes.
pub(super) fn span_text(span: Duration) -> String {
    form::Duration(span).to_string()
}

/// `512 KiB` and the like, in the largest unit that divides it: what the file takes.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift).unwrap_or(&(0, "B"));
    format!("{} {}", bytes >> unit.0, unit.1)
}

/// The ids of one kind of section: valid, and told apart also when case is ignored.
#[derive(Default)]
pub(super) struct Ids {
    seen: BTreeMap<String, String>,
}

impl Ids {
    /// Reads the table's `id`; faults when it is no id or taken. A taken id is returned: what refers to it is no fault.
    pub(super) fn read(&mut self, table: &Table<'_>) -> Option<String> {
        let id = id(table, "id")?;
        let path = format!("{}.id", table.path());
        if let Some(first) = self.seen.get(&id.to_lowercase()) {
            let message = format!("\"{id}\" is taken by {first}");
            let name = table.names().and_then(|names| names.keys().next());
            let help = name.map_or("choose another: ids differ also when case is ignored".to_owned(), |name| {
                format!("write {{{name}}} in it, so that each member has its own: ids differ also when case is ignored")
            });
            table.refuse_key("id", &message, &help);
        } else {
            self.seen.insert(id.to_lowercase(), path);
        }
        Some(id)
    }
}

/// A required id.
pub(super) fn id(table: &Table<'_>, key: &str) -> Option<String> {
    read_id(table, &table.required_entry(key)?)
}

/// An id, `default` when it is absent.
pub(super) fn id_or(table: &Table<'_>, key: &str, default: &str) -> Option<String> {
    table.entry(key).map_or_else(|| Some(default.to_owned()), |entry| read_id(table, &entry))
}

fn read_id(table: &Table<'_>, entry: &Entry<'_>) -> Option<String> {
    let text: String = entry.read()?;
    if !is_valid_id(&text) {
        let rule = "write letters, digits, - and _, at most 32, a letter or digit first";
        let name = table.names().filter(|_| text.contains('{')).and_then(|names| names.keys().next());
        let help = name.map(|name| format!("the name of this loop is `{name}`: write {{{name}}}"));
        entry.refuse(&format!("\"{text}\" is not an id"), help.as_deref().unwrap_or(rule));
        return None;
    }
    Some(text)
}
