//! A map's parameters: their types, and whole numbers reckoned from them (`at = "{coil_base + 1}"`).
//!
//! An expression has whole numbers, names of parameters, `+ - * /`, and parentheses; nothing else, and no rounding: a
//! division that leaves a rest is a fault.

use std::collections::BTreeMap;

use super::{Binding, Context, text_of};
use crate::form::{self, Duration, Entry, FromValue as _, Table, nearest};

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
            Err((message, help)) => {
                entry.refuse(&message, &help);
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

/// The value of an expression; otherwise what is wrong, and help.
fn evaluate(text: &str, params: &BTreeMap<String, String>) -> Result<i64, (String, String)> {
    let mut parser = Parser { rest: text.trim_start(), params, depth: 0 };
    let value = parser.sum()?;
    if parser.rest.is_empty() {
        return Ok(value);
    }
    Err((
        format!("`{}` is not understood", parser.rest),
        "write + - * / between whole numbers and parameters".to_owned(),
    ))
}

struct Parser<'a> {
    rest: &'a str,
    params: &'a BTreeMap<String, String>,
    depth: u8,
}

/// Parentheses in each other.
const MAX_DEPTH: u8 = 16;

impl Parser<'_> {
    fn sum(&mut self) -> Result<i64, (String, String)> {
        let mut value = self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            let next = self.product()?;
            let made = if sign == '+' { value.checked_add(next) } else { value.checked_sub(next) };
            value = made.ok_or_else(too_large)?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<i64, (String, String)> {
        let mut value = self.factor()?;
        while let Some(sign) = self.take(&['*', '/']) {
            let next = self.factor()?;
            if sign == '*' {
                value = value.checked_mul(next).ok_or_else(too_large)?;
            } else if next != 0 && value % next == 0 {
                value /= next;
            } else {
                return Err((format!("{value} / {next} is no whole number"), "reckon with whole numbers".to_owned()));
            }
        }
        Ok(value)
    }

    fn factor(&mut self) -> Result<i64, (String, String)> {
        if self.take(&['(']).is_some() {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(("has too many parentheses".to_owned(), "write it simpler".to_owned()));
            }
            let value = self.sum()?;
            self.depth -= 1;
            let closed = self.take(&[')']);
            return closed.map(|_| value).ok_or_else(|| ("a `)` is missing".to_owned(), "close it".to_owned()));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return word.parse().map_err(|_| (format!("`{word}` is no whole number"), String::new()));
        }
        let known = || self.params.keys().cloned().collect();
        match self.params.get(word).map(|value| value.parse()) {
            Some(Ok(number)) => Ok(number),
            Some(Err(_)) => {
                Err((format!("the parameter `{word}` is no whole number"), "give it type = \"int\"".to_owned()))
            }
            None if word.is_empty() => Err(("a number is missing".to_owned(), "write \"{parameter + 1}\"".to_owned())),
            None => Err((format!("there is no parameter `{word}`"), nearest(word, &known()))),
        }
    }

    fn take(&mut self, any: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| any.contains(c))?;
        self.rest = self.rest[1..].trim_start();
        Some(first)
    }
}

fn too_large() -> (String, String) {
    ("becomes too large".to_owned(), "an address is at most 65535".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<i64, &str>) {
        let params = [("base", "100"), ("lane", "7"), ("root", "floor")];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(
            evaluate(text, &params).map_err(|(message, help)| format!("{message} ({help})")),
            expected.map_err(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn whole_numbers_are_reckoned_from_parameters() {
        check("base + 1", Ok(101));
        check(" base+(lane - 1)*4 ", Ok(124));
        check("base - lane - 3", Ok(90));
        check("base / 4 * 2", Ok(50));
        check("base / lane", Err("100 / 7 is no whole number (reckon with whole numbers)"));
        check("base / (lane - 7)", Err("100 / 0 is no whole number (reckon with whole numbers)"));
        check("bose + 1", Err("there is no parameter `bose` (did you mean `base`?)"));
        check("root + 1", Err("the parameter `root` is no whole number (give it type = \"int\")"));
        check("base +", Err("a number is missing (write \"{parameter + 1}\")"));
        check("base 1", Err("`1` is not understood (write + - * / between whole numbers and parameters)"));
        check("(base", Err("a `)` is missing (close it)"));
        check("9223372036854775807 + 1", Err("becomes too large (an address is at most 65535)"));
        check(&"(".repeat(200), Err("has too many parentheses (write it simpler)"));
        check("1ä", Err("`ä` is not understood (write + - * / between whole numbers and parameters)"));
    }
}
