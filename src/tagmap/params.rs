//! A map's parameters: their types, and whole numbers reckoned from them (`at = "{coil_base + 1}"`).

use std::collections::BTreeMap;

use super::{Binding, Context, text_of};
use crate::form::{self, Duration, Entry, FromValue as _, Table, evaluate};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Duration,
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
fn one(param: &Table<'_>, name: &str, binding: &Binding) -> String {
    let kinds = [("string", Kind::Text), ("int", Kind::Int), ("integer", Kind::Int), ("duration", Kind::Duration)];
    let kind = param.required_entry("type").and_then(|e| e.choice(&kinds));
    let (min, max): (Option<i64>, Option<i64>) = (param.optional("min"), param.optional("max"));
    for key in
        ["min", "max"].into_iter().filter(|key| kind.is_some_and(|k| k != Kind::Int) && param.entry(key).is_some())
    {
        param.refuse_key(key, "is for whole numbers", "remove it, or write type = \"int\"");
    }
    let default = param.entry("default").and_then(|entry| {
        let text = text_of(entry.value());
        expects_text_or_number(&entry);
        if text.is_none() {
            entry.refuse("is neither a text nor a whole number", "write a text in quotes or a whole number");
        }
        let wrong = text.as_deref().and_then(|text| wrong(kind?, text, min, max));
        if let Some((message, help)) = &wrong {
            entry.refuse(message, help);
        }
        text
    });
    let stand_in = || match kind {
        Some(Kind::Int) => min.or(max).unwrap_or(1).to_string(),
        Some(Kind::Duration) => "1s".to_owned(),
        _ => name.to_owned(),
    };
    let Some(given) = binding.params.get(name) else {
        if default.is_none() && param.entry("default").is_none() {
            param.refuse(
                &format!("device {} gives no value for it", binding.device),
                &format!("write params = {{ {name} = … }} at the device"),
            );
        }
        return default
            .filter(|default| kind.is_none_or(|kind| wrong(kind, default, min, max).is_none()))
            .unwrap_or_else(stand_in);
    };
    if let Some((message, help)) = kind.and_then(|kind| wrong(kind, given, min, max)) {
        param.refuse(&format!("device {}: it {message}", binding.device), &help);
        return stand_in();
    }
    given.clone()
}

/// What a parameter is given.
pub fn expects_text_or_number(entry: &Entry<'_>) {
    entry.expects(String::kind);
    entry.expects(i64::kind);
}

/// What is wrong with a value of that kind, and what to write.
fn wrong(kind: Kind, text: &str, min: Option<i64>, max: Option<i64>) -> Option<(String, String)> {
    match kind {
        Kind::Text => None,
        Kind::Duration if Duration::parse(text).is_some() => None,
        Kind::Duration => Some((format!("is \"{text}\""), format!("write {}", Duration::EXPECTED))),
        Kind::Int => match text.parse::<i64>() {
            Err(_) => Some((format!("is \"{text}\""), "write a whole number".to_owned())),
            Ok(number) if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) => {
                let bound = |bound: Option<i64>| bound.map_or_else(|| "…".to_owned(), |b| b.to_string());
                Some((format!("is {number}"), format!("{} to {}", bound(min), bound(max))))
            }
            Ok(_) => None,
        },
    }
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
