//! A map's parameters: their types, and whole numbers reckoned from them (`at = "{coil_base + 1}"`).

use std::collections::BTreeMap;

use super::{Binding, Context, text_of};
use crate::form::{self, Duration, Entry, FromValue as _, Table, evaluate};

/// What a map says of a parameter.
#[derive(Debug, Clone)]
pub struct Param {
    kind: Option<Kind>,
    min: Option<i64>,
    max: Option<i64>,
    /// The value of devices that give none.
    pub default: Option<String>,
    /// Where the map declares it: `file:line`.
    pub place: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Duration,
}

/// The parameters that a map declares, by their names.
pub fn declared(root: &Table<'_>) -> BTreeMap<String, Param> {
    let all = root.table("param");
    let one = |entry: Entry<'_>| Some((entry.key().to_owned(), Param::read(&entry.table()?)));
    all.iter().flat_map(Table::all).filter_map(one).collect()
}

/// The map's parameters with the device's values; a missing value without default is a fault.
pub(super) fn read(root: &Table<'_>, binding: &Binding) -> BTreeMap<String, String> {
    let mut filled = BTreeMap::new();
    let declared = root.table("param");
    for entry in declared.iter().flat_map(Table::all) {
        let Some(param) = entry.table() else { continue };
        filled.insert(entry.key().to_owned(), one(&param, entry.key(), binding));
    }
    let known: Vec<String> = declared.iter().flat_map(Table::all).map(|e| e.key().to_owned()).collect();
    for name in binding.params.keys().filter(|name| !known.contains(name)) {
        root.refuse(
            &format!("device {} gives `{name}`, which is no parameter of this map", binding.device),
            "remove it from params",
        );
    }
    filled
}

/// A parameter's value. Where it has none that is told, and the rest of the map is read with another that fits.
fn one(table: &Table<'_>, name: &str, binding: &Binding) -> String {
    let param = Param::read(table);
    let stand_in = || match param.kind {
        Some(Kind::Int) => param.min.or(param.max).unwrap_or(1).to_string(),
        Some(Kind::Duration) => "1s".to_owned(),
        _ => name.to_owned(),
    };
    let Some(given) = binding.params.get(name) else {
        if param.default.is_none() && table.entry("default").is_none() {
            table.refuse(
                &format!("device {} gives no value for it", binding.device),
                &format!("write params = {{ {name} = … }} at the device"),
            );
        }
        return param.default.clone().filter(|default| param.wrong(default).is_none()).unwrap_or_else(stand_in);
    };
    if let Some((message, help)) = param.wrong(given) {
        table.refuse(&format!("device {}: it {message}", binding.device), &help);
        return stand_in();
    }
    given.clone()
}

impl Param {
    fn read(table: &Table<'_>) -> Self {
        let kinds = [("string", Kind::Text), ("int", Kind::Int), ("integer", Kind::Int), ("duration", Kind::Duration)];
        let kind = table.required_choice("type", &kinds);
        let (min, max): (Option<i64>, Option<i64>) = (table.optional("min"), table.optional("max"));
        for key in
            ["min", "max"].into_iter().filter(|key| kind.is_some_and(|k| k != Kind::Int) && table.entry(key).is_some())
        {
            table.refuse_key(key, "is for whole numbers", "remove it, or write type = \"int\"");
        }
        let mut param = Self { kind, min, max, default: None, place: table.place() };
        param.default = table.entry("default").and_then(|entry| {
            let text = text_of(entry.value());
            expects_text_or_number(&entry);
            if text.is_none() {
                entry.refuse("is neither a text nor a whole number", "write a text in quotes or a whole number");
            }
            if let Some((message, help)) = text.as_deref().and_then(|text| param.wrong(text)) {
                entry.refuse(&message, &help);
            }
            text
        });
        param
    }

    /// What is wrong with a value of it, and what to write.
    pub fn wrong(&self, text: &str) -> Option<(String, String)> {
        let number = text.parse::<i64>().ok();
        let beyond = |number| self.min.is_some_and(|min| number < min) || self.max.is_some_and(|max| number > max);
        let help = match (self.kind?, number) {
            (Kind::Duration, _) if Duration::parse(text).is_none() => format!("write {}", Duration::EXPECTED),
            (Kind::Int, None) => "write a whole number".to_owned(),
            (Kind::Int, Some(number)) if beyond(number) => {
                let bound = |bound: Option<i64>| bound.map_or_else(|| "…".to_owned(), |b| b.to_string());
                format!("write {} to {}", bound(self.min), bound(self.max))
            }
            _ => return None,
        };
        Some((if number.is_some() { format!("is {text}") } else { format!("is \"{text}\"") }, help))
    }
}

/// What a parameter is given.
pub fn expects_text_or_number(entry: &Entry<'_>) {
    entry.expects(String::kind);
    entry.expects(i64::kind);
}

impl Context<'_> {
    /// A whole number, or a text `"{expression}"` of parameters.
    pub fn integer(&self, entry: &Entry<'_>) -> Option<i64> {
        entry.expects(i64::kind);
        entry.expects(|| form::Kind::Form(r"^\{.*\}$"));
        let Some(text) = entry.value().as_str() else { return entry.read() };
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let Some(inner) = inner else {
            entry.refuse(&format!("is the text \"{text}\""), "write a whole number, or \"{parameter + 1}\"");
            return None;
        };
        match evaluate(inner, &self.params) {
            Ok(number) => Some(number),
            Err(wrong) => {
                entry.refuse_within(1 + wrong.at, &wrong.message, &wrong.help);
                None
            }
        }
    }

    /// A duration; `"{name}"` of a parameter is one, too.
    pub fn duration(&self, entry: &Entry<'_>) -> Option<std::time::Duration> {
        entry.expects(Duration::kind);
        entry.expects(|| form::Kind::Form(r"^\{.*\}$"));
        let filled = entry.value().as_str().filter(|text| text.starts_with('{')).map(|text| self.fill(text));
        match filled {
            None => entry.read::<Duration>().map(|d| d.0),
            Some(text) => {
                let read = Duration::parse(&text);
                if read.is_none() {
                    entry.refuse(&format!("is \"{text}\""), &format!("write {}", Duration::EXPECTED));
                }
                read.map(|d| d.0)
            }
        }
    }
}
