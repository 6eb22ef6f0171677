//! What readers ask for, written down while they read: the tables, their keys, and what a key may hold.
//!
//! A reader that is shown documents in which every key stands (once in each of its forms) has told all that it knows. So
//! the JSON Schema that editors complete by can't say anything else than the reader.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

/// What a key may hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// A text of that form (a regular expression).
    Form(&'static str),
    /// `true` or `false`.
    Bool,
    /// A whole number, least and most.
    Integer(i64, i64),
    /// A number.
    Number,
    /// A text or a number.
    Plain,
    /// A list of these.
    List(Box<Kind>),
    /// A word of several.
    Word(String),
    /// A whole number of several.
    Numeral(i64),
    /// A table: its path has a shape of its own.
    Table,
    /// A list of tables.
    Tables,
}

/// Tables by their paths; `[]` stands for any table of a list, `*` for any key.
#[derive(Debug, Default, Clone)]
pub struct Shape {
    tables: BTreeMap<String, Seen>,
    /// Tables that may have the keys of another (its path) but for some.
    lent: BTreeMap<String, (String, Vec<String>)>,
}

/// What was asked of the tables of one path.
#[derive(Debug, Default, Clone)]
struct Seen {
    times: usize,
    keys: BTreeMap<String, Key>,
    /// All keys were asked for: any name is one.
    open: bool,
}

#[derive(Debug, Default, Clone)]
struct Key {
    /// In how many of the tables it had to be there.
    demanded: usize,
    kinds: BTreeSet<Kind>,
}

impl Shape {
    /// A table has been read.
    pub(super) fn table(&mut self, path: &str, asked: &BTreeSet<String>, demanded: &BTreeSet<String>, open: bool) {
        let seen = self.tables.entry(path.to_owned()).or_default();
        seen.times += 1;
        seen.open |= open;
        for key in asked {
            seen.keys.entry(key.clone()).or_default().demanded += usize::from(demanded.contains(key));
        }
    }

    /// A key may hold that.
    pub(super) fn kind(&mut self, table: &str, key: &str, kind: Kind) {
        self.tables.entry(table.to_owned()).or_default().keys.entry(key.to_owned()).or_default().kinds.insert(kind);
    }

    /// The tables of `part` may have the keys of `whole` but for some: they are read merged with it.
    pub(super) fn lend(&mut self, whole: &str, part: String, but: &[&str]) {
        let but = but.iter().map(|key| (*key).to_owned()).collect();
        self.lent.insert(part, (whole.to_owned(), but));
    }

    /// The shape with what tables lend each other; what is merged has to be there in neither of both.
    fn with_lent(&self) -> Self {
        let mut all = self.clone();
        for (part, (whole, but)) in &self.lent {
            for (path, seen) in &self.tables {
                let Some(rest) = path.strip_prefix(whole).filter(|rest| rest.is_empty() || rest.starts_with('.'))
                else {
                    continue;
                };
                let own = |key: &str| but.iter().any(|own| own == key.trim_end_matches("[]"));
                if rest.split('.').nth(1).is_some_and(own) {
                    continue;
                }
                let into = all.tables.entry(format!("{part}{rest}")).or_default();
                into.open |= seen.open;
                for (key, of) in seen.keys.iter().filter(|(key, _)| !rest.is_empty() || !own(key)) {
                    into.keys.entry(key.clone()).or_default().kinds.extend(of.kinds.clone());
                }
            }
        }
        all
    }

    /// Keys that may hold one of several words, and also any other text.
    pub fn open_choices(&self) -> Vec<String> {
        let keys = self.tables.iter().flat_map(|(path, seen)| seen.keys.iter().map(move |(key, of)| (path, key, of)));
        let open = |of: &Key| {
            let holds = |is: fn(&Kind) -> bool| of.kinds.iter().any(is);
            holds(|kind| matches!(kind, Kind::Word(_)))
                && holds(|kind| matches!(kind, Kind::Any | Kind::Text | Kind::Plain))
        };
        keys.filter(|(_, _, of)| open(of)).map(|(path, key, _)| super::join(path, key)).collect()
    }

    /// The words and numbers of each key that may hold one of several.
    pub fn choices(&self) -> BTreeMap<String, BTreeSet<String>> {
        let keys = self.tables.iter().flat_map(|(path, seen)| seen.keys.iter().map(move |(key, of)| (path, key, of)));
        let words = |of: &Key| {
            let word = |kind: &Kind| match kind {
                Kind::Word(word) => Some(format!("\"{word}\"")),
                Kind::Numeral(number) => Some(number.to_string()),
                _ => None,
            };
            of.kinds.iter().filter_map(word).collect::<BTreeSet<String>>()
        };
        let all = keys.map(|(path, key, of)| (super::join(path, key), words(of)));
        all.filter(|(_, words)| !words.is_empty()).collect()
    }

    /// Keys of which nothing was found out, because they never stood in a document: those that are always refused.
    pub fn untyped(&self) -> Vec<String> {
        let keys = self.tables.iter().flat_map(|(path, seen)| seen.keys.iter().map(move |(key, of)| (path, key, of)));
        let unseen = |path: &str, key: &str, kind: &Kind| match kind {
            Kind::Table => !self.tables.contains_key(&super::join(path, key)),
            Kind::Tables => !self.tables.contains_key(&super::join(path, &format!("{key}[]"))),
            _ => false,
        };
        keys.filter(|(path, key, of)| of.kinds.iter().all(|kind| unseen(path, key, kind)))
            .map(|(path, key, _)| super::join(path, key))
            .collect()
    }

    /// All keys that hold something else than tables, with their paths; `*` and `[]` as they stand.
    pub fn leaves(&self) -> Vec<String> {
        let keys = self.tables.iter().flat_map(|(path, seen)| seen.keys.iter().map(move |(key, of)| (path, key, of)));
        let leaf = |of: &Key| of.kinds.iter().any(|kind| !matches!(kind, Kind::Table | Kind::Tables));
        keys.filter(|(_, _, of)| leaf(of)).map(|(path, key, _)| super::join(path, key)).collect()
    }

    /// The shape as JSON Schema (draft 7); `say` describes a key by its path.
    pub fn schema(&self, title: &str, say: &impl Fn(&str) -> Option<String>) -> Json {
        let mut schema = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "title": title });
        let root = self.with_lent().object("", say);
        schema.as_object_mut().into_iter().for_each(|all| all.extend(root.as_object().cloned().unwrap_or_default()));
        schema
    }

    fn object(&self, path: &str, say: &impl Fn(&str) -> Option<String>) -> Json {
        let Some(seen) = self.tables.get(path) else { return json!({ "type": "object" }) };
        let mut properties = serde_json::Map::new();
        let mut any_key = Json::Bool(seen.open);
        for (key, of) in &seen.keys {
            let path = super::join(path, key);
            if key == "*" {
                any_key = self.value(&path, &of.kinds, say);
            } else if !of.kinds.is_empty() {
                let mut value = self.value(&path, &of.kinds, say);
                if let Some(words) = say(&path) {
                    value["description"] = json!(words);
                }
                properties.insert(key.clone(), value);
            }
        }
        let required: Vec<&String> =
            seen.keys.iter().filter(|(key, of)| of.demanded == seen.times && *key != "*").map(|(key, _)| key).collect();
        let mut object = json!({ "type": "object", "additionalProperties": any_key });
        if !properties.is_empty() {
            object["properties"] = properties.into();
        }
        if !required.is_empty() && seen.times > 0 {
            object["required"] = json!(required);
        }
        object
    }

    fn value(&self, path: &str, kinds: &BTreeSet<Kind>, say: &impl Fn(&str) -> Option<String>) -> Json {
        let word = |kind: &Kind| match kind {
            Kind::Word(word) => Some(json!(word)),
            Kind::Numeral(number) => Some(json!(number)),
            _ => None,
        };
        let words: Vec<Json> = kinds.iter().filter_map(word).collect();
        let mut ways: Vec<Json> = kinds.iter().filter_map(|kind| self.way(path, kind, say)).collect();
        let (numbers, least, most) = kinds.iter().fold((0, i64::MAX, i64::MIN), |so_far, kind| match kind {
            Kind::Integer(least, most) => (so_far.0 + 1, so_far.1.min(*least), so_far.2.max(*most)),
            _ => so_far,
        });
        if numbers > 0 && !kinds.contains(&Kind::Number) {
            let mut way = json!({ "type": "integer" });
            for (key, bound) in [("minimum", least), ("maximum", most)] {
                if ![i64::MIN, i64::MAX].contains(&bound) {
                    way[key] = json!(bound);
                }
            }
            ways.push(way);
        }
        if !words.is_empty() {
            ways.push(json!({ "enum": words }));
        }
        let items: BTreeSet<Kind> = kinds
            .iter()
            .filter_map(|kind| if let Kind::List(of) = kind { Some((**of).clone()) } else { None })
            .collect();
        if !items.is_empty() {
            ways.push(json!({ "type": "array", "items": self.value(path, &items, say) }));
        }
        if ways.len() == 1 { ways.remove(0) } else { json!({ "anyOf": ways }) }
    }

    fn way(&self, path: &str, kind: &Kind, say: &impl Fn(&str) -> Option<String>) -> Option<Json> {
        Some(match kind {
            Kind::Any => json!({}),
            Kind::Text => json!({ "type": "string" }),
            Kind::Form(form) => json!({ "type": "string", "pattern": form }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Number => json!({ "type": "number" }),
            Kind::Plain => json!({ "type": ["string", "number"] }),
            Kind::Table => self.object(path, say),
            Kind::Tables => json!({ "type": "array", "items": self.object(&format!("{path}[]"), say) }),
            Kind::Integer(..) | Kind::Word(_) | Kind::Numeral(_) | Kind::List(_) => return None,
        })
    }
}
