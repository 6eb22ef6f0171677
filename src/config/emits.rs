//! What a map says it may emit, read from its text: for telling which lane takes what.

use toml::de::{DeTable, DeValue};

use crate::event::Canonical;

/// What the text of a map promises.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Emits {
    /// Transaction types of its events; `*` stands where a field's text is not known beforehand.
    pub(super) kinds: Vec<String>,
    /// Topic filters, `{parameter}`s not filled in.
    pub(super) filters: Vec<String>,
    /// What follows the device's id in the ids of the instances behind it: `-` for `{device}-{station}`.
    pub(super) instances: Vec<String>,
}

pub(super) fn emits(root: &DeTable<'_>) -> Emits {
    let mut made = Emits::default();
    for section in ["topic", "fifo", "frame"] {
        for table in items(root.get(section).map(toml::Spanned::get_ref)) {
            for emit in items(table.get("emit").map(toml::Spanned::get_ref)) {
                if let Some(event) = emit.get("event").and_then(|e| e.get_ref().as_str()) {
                    made.kinds.extend(kinds(event, table));
                }
            }
            made.instances.extend(instance(table));
            made.filters.extend(table.get("filter").and_then(|f| f.get_ref().as_str()).map(str::to_owned));
        }
    }
    made.kinds.extend(of_points(root));
    for kind in &mut made.kinds {
        if let Some(canonical) = Canonical::named(kind) {
            canonical.tx_type().clone_into(kind);
        }
    }
    made.kinds.sort();
    made.kinds.dedup();
    made
}

/// What tags, `[[event]]` and `[[alarm]]` tell.
fn of_points(root: &DeTable<'_>) -> Vec<String> {
    let tables = |section: &str| items(root.get(section).map(toml::Spanned::get_ref));
    let text = |table: &DeTable<'_>, key: &str| table.get(key).and_then(|v| v.get_ref().as_str()).map(str::to_owned);
    let mut kinds: Vec<String> = tables("event").into_iter().filter_map(|event| text(event, "name")).collect();
    for alarm in tables("alarm") {
        kinds.push(text(alarm, "event").unwrap_or_else(|| "alarm.raised".to_owned()));
        kinds.push(text(alarm, "clear_event").unwrap_or_else(|| "alarm.cleared".to_owned()));
    }
    for tag in tables("tag") {
        let own = [("report", &["tag.value"][..]), ("watchdog", &["device.stale", "device.live"])];
        let told = own.into_iter().filter(|(key, _)| tag.contains_key(*key)).flat_map(|(_, kinds)| kinds);
        kinds.extend(told.map(|kind| (*kind).to_owned()));
    }
    kinds
}

/// The tables of a list of tables, or the one table.
fn items<'a>(value: Option<&'a DeValue<'a>>) -> Vec<&'a DeTable<'a>> {
    match value {
        Some(DeValue::Array(array)) => array.iter().filter_map(|v| v.get_ref().as_table()).collect(),
        Some(DeValue::Table(table)) => vec![table],
        _ => Vec::new(),
    }
}

/// `divert.{result}` with the words that the field `result` can be.
fn kinds(event: &str, table: &DeTable<'_>) -> Vec<String> {
    let Some((head, rest)) = event.split_once('{') else { return vec![event.to_owned()] };
    let (name, tail) = rest.split_once('}').unwrap_or((rest, ""));
    let words = words(table, name).unwrap_or_else(|| vec!["*".to_owned()]);
    let tails = kinds(tail, table);
    words.iter().flat_map(|word| tails.iter().map(move |tail| format!("{head}{word}{tail}"))).collect()
}

fn words(table: &DeTable<'_>, field: &str) -> Option<Vec<String>> {
    let field = table.get("field")?.get_ref().as_table()?.get(field)?.get_ref().as_table()?;
    let words = field.get("enum")?.get_ref().as_table()?;
    words.values().map(|word| word.get_ref().as_str().map(str::to_owned)).collect()
}

fn instance(table: &DeTable<'_>) -> Option<String> {
    let device = table.get("identity")?.get_ref().as_table()?.get("device")?.get_ref().as_str()?;
    let rest = device.strip_prefix("{device}")?;
    rest.split_once('{').map(|(literal, _)| literal.to_owned())
}

/// A filter as the broker has it, and what the map calls each level that is `+` there; nothing where it has no name.
pub(super) fn plain(filter: &str) -> (String, Vec<String>) {
    let mut names = Vec::new();
    let plain = |level: &str| match level.strip_prefix('+') {
        Some(name) => {
            names.push(name.to_owned());
            "+".to_owned()
        }
        None => level.to_owned(),
    };
    (filter.split('/').map(plain).collect::<Vec<_>>().join("/"), names)
}

/// Whether some topic matches both filters. A level that begins with `+` is any one level, `#` any rest.
pub(super) fn topics_meet(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(x), Some(y)) if x == y || x.starts_with('+') || y.starts_with('+') => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_shown_as_the_broker_has_it() {
        assert_eq!(plain("dc1/+/+station/#"), ("dc1/+/+/#".to_owned(), vec![String::new(), "station".to_owned()]));
    }

    #[test]
    fn fields_of_known_words_are_spelled_out() {
        let text = r#"
            [[fifo]]
            field.result = { word = 4, enum = { 1 = "confirmed", 2 = "missed" } }
            emit = { event = "divert.{result}" }
            [[topic]]
            filter = "{root}/+station/read"
            identity = { device = "{device}-{station}" }
            [[topic.emit]]
            event = "scan.{kind}"
            [[topic.emit]]
            event = "scan.item"
            [[topic.emit]]
            event = "ShortPicked"
        "#;
        let root = DeTable::parse(text).expect("it is TOML");
        let made = emits(root.get_ref());
        assert_eq!(made.kinds, ["divert.confirmed", "divert.missed", "pick_confirm", "scan.*", "scan.item"]);
        assert_eq!(made.instances, ["-"]);
        assert_eq!(made.filters, ["{root}/+station/read"]);
    }

    #[test]
    fn points_tell_events_alarms_and_reports() {
        let text = r#"
            [[tag]]
            name = "heart"
            watchdog = "5s"
            report = "change"
            [[event]]
            name = "carton.passed"
            [[alarm]]
            event = "lane.full"
        "#;
        let root = DeTable::parse(text).expect("it is TOML");
        let made = emits(root.get_ref());
        assert_eq!(
            made.kinds,
            ["alarm.cleared", "carton.passed", "device.live", "device.stale", "lane.full", "tag.value"]
        );
    }

    #[test]
    fn filters_meet_where_one_topic_matches_both() {
        for (a, b, yes) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/+station/read", "a/x/read", true),
            ("a/+station/read", "+/x/read", true),
            ("a/+station/read", "a/x/write", false),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("b/#", "a/b/c", false),
        ] {
            assert_eq!((topics_meet(a, b), topics_meet(b, a)), (yes, yes), "{a} {b}");
        }
    }
}
