//! Reading a TOML file with all its faults at once, each with its place.
//!
//! A reader asks a [`Table`] for the keys it knows. What it asks for and doesn't find, finds with the wrong type, or
//! refuses, becomes a [`Fault`]; what stands in the file and nobody asked for is an unknown key, told when the table is
//! dropped, with the nearest known key. So a reader is one straight run through its keys, and never stops at the first
//! fault.

mod choice;
mod expression;
mod fill;
mod made;
mod shape;
mod units;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use choice::{meant, nearest, one_of, there_is_no};
pub use expression::{Wrong, evaluate};
use fill::Filled;
pub use made::Made;
pub use units::{Bytes, Duration, Plain};

/// A text that is filled in: `"= lane + 1"`, `"lane-{lane}"`.
const EXPRESSION: &str = r"^=|\{.*\}";

/// One thing wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// Byte range in the file.
    #[serde(skip)]
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Path of the key: `link[2].address`.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, " ({})", self.help) }
    }
}

/// A file's name and text.
#[derive(Debug, Clone)]
pub struct Document {
    /// As faults name it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Document {
    fn fault(&self, span: Range<usize>, key: &str, message: String, help: String) -> Fault {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Fault {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            key: key.to_owned(),
            message,
            help,
        }
    }

    /// Parses the file and hands its root table to `reader`; returns what the reader made, or every fault.
    pub fn read<T>(&self, reader: impl FnOnce(&Table<'_>) -> Option<T>) -> Result<T, Vec<Fault>> {
        self.read_into(None, reader)
    }

    /// The same; what the reader asks for is added to `shape`.
    pub fn read_into<T>(
        &self,
        shape: Option<&RefCell<Shape>>,
        reader: impl FnOnce(&Table<'_>) -> Option<T>,
    ) -> Result<T, Vec<Fault>> {
        let root = match DeTable::parse(&self.text) {
            Ok(root) => root,
            Err(e) => {
                let span = e.span().unwrap_or(0..0);
                let again = self.text.get(..span.start).unwrap_or_default().lines().last() == Some("[");
                let name = self.text.get(span.clone()).filter(|_| again && e.message() == "duplicate key");
                let help = name.map(|name| format!("[{name}] stands once; where there may be many, write [[{name}]]"));
                let help = help.unwrap_or_else(|| "see https://toml.io".to_owned());
                return Err(vec![self.fault(span, "", format!("not TOML: {}", e.message()), help)]);
            }
        };
        let faults = RefCell::new(Vec::new());
        let made = {
            let table = Table {
                document: self,
                path: String::new(),
                pattern: String::new(),
                span: root.span(),
                entries: root.get_ref(),
                asked: RefCell::default(),
                faults: &faults,
                names: None,
                shape,
            };
            reader(&table)
        };
        let mut faults = faults.into_inner();
        faults.sort_by_key(|f| f.span.start);
        match made {
            Some(made) if faults.is_empty() => Ok(made),
            _ => Err(faults),
        }
    }
}

/// One table of the file, asked key by key. Unknown keys are told on drop.
pub struct Table<'d> {
    document: &'d Document,
    path: String,
    /// Its path in a [`Shape`].
    pattern: String,
    span: Range<usize>,
    entries: &'d DeTable<'d>,
    asked: RefCell<Asked>,
    faults: &'d RefCell<Vec<Fault>>,
    /// Values of names that its texts may have in braces, if it is made for them.
    names: Option<&'d BTreeMap<String, String>>,
    shape: Option<&'d RefCell<Shape>>,
}

/// What a reader asked of a table.
#[derive(Default)]
struct Asked {
    keys: BTreeSet<String>,
    /// Those that have to be there.
    demanded: BTreeSet<String>,
    /// Faults of keys that are not there.
    missed: Vec<(String, Fault)>,
    /// All keys, whatever their names.
    all: bool,
    /// Nothing is said with it: it was read elsewhere, or is not looked at any more.
    quiet: bool,
}

/// A value with its place, to be refused later if need be.
pub struct Entry<'d> {
    table_path: String,
    /// Path of the table in a [`Shape`], and the key in it.
    pattern: (String, String),
    document: &'d Document,
    faults: &'d RefCell<Vec<Fault>>,
    shape: Option<&'d RefCell<Shape>>,
    key: String,
    span: Range<usize>,
    value: &'d DeValue<'d>,
    names: Option<&'d BTreeMap<String, String>>,
}

/// A type that a TOML value can be read as.
pub trait FromValue: Sized {
    /// What a fault says was expected, with an example: `a duration such as "500ms"`.
    const EXPECTED: &'static str;
    /// What an editor is told of it.
    fn kind() -> Kind;
    /// The value, or `None` when it is not one.
    fn from_value(value: &DeValue<'_>) -> Option<Self>;
    /// What is wrong with a value that is not one.
    fn wrong(value: &DeValue<'_>) -> String {
        format!("is {}", describe(value))
    }
    /// What to write instead of it.
    fn instead(_value: &DeValue<'_>) -> String {
        Self::EXPECTED.to_owned()
    }
}

impl<'d> Table<'d> {
    /// The key's value; a fault when it is missing or of another type.
    pub fn required<T: FromValue>(&self, key: &str) -> Option<T> {
        self.expects(key, T::kind);
        self.required_entry(key)?.read()
    }

    /// The key's value if it is there; a fault only when it is of another type.
    pub fn optional<T: FromValue>(&self, key: &str) -> Option<T> {
        self.expects(key, T::kind);
        self.entry(key)?.read()
    }

    /// The key's value, or `default` when it is absent or wrong (wrong is a fault).
    pub fn or<T: FromValue>(&self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value with its place, if the key is there.
    pub fn entry(&self, key: &str) -> Option<Entry<'d>> {
        self.asked.borrow_mut().keys.insert(key.to_owned());
        let (_, value) = self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        Some(self.entry_of(key, value))
    }

    /// The value with its place; a fault when the key is missing.
    pub fn required_entry(&self, key: &str) -> Option<Entry<'d>> {
        self.required_entry_as(key, &format!("add `{key} = …` here"))
    }

    /// The same, with what to write where it is missing.
    pub fn required_entry_as(&self, key: &str, help: &str) -> Option<Entry<'d>> {
        self.asked.borrow_mut().demanded.insert(key.to_owned());
        let entry = self.entry(key);
        if entry.is_none() {
            self.refuse_key(key, "is missing", help);
        }
        entry
    }

    /// The one of the `(word, meaning)` pairs that stands there; a fault that lists them when it is missing or none.
    pub fn required_choice<T: Clone>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let help = format!("add `{key} = …` here: {}", one_of(words));
        self.required_entry_as(key, &help)?.choice(words)
    }

    fn expects(&self, key: &str, kind: impl Fn() -> Kind) {
        if let Some(shape) = self.shape {
            shape.borrow_mut().kind(&self.pattern, key, kind());
        }
    }

    fn entry_of(&self, key: &str, value: &'d Spanned<DeValue<'d>>) -> Entry<'d> {
        Entry {
            table_path: self.path.clone(),
            pattern: (self.pattern.clone(), key.to_owned()),
            shape: self.shape,
            document: self.document,
            faults: self.faults,
            key: key.to_owned(),
            span: value.span(),
            value: value.get_ref(),
            names: self.names,
        }
    }

    /// The sub-table of that key, if it is there.
    pub fn table(&self, key: &str) -> Option<Table<'d>> {
        self.expects(key, || Kind::Table);
        self.entry(key)?.table()
    }

    /// The sub-table of that key; a fault when it is missing.
    pub fn required_table(&self, key: &str) -> Option<Table<'d>> {
        self.asked.borrow_mut().demanded.insert(key.to_owned());
        self.expects(key, || Kind::Table);
        let entry = self.entry(key);
        if entry.is_none() {
            let path = join(&self.pattern.replace("[]", ""), key);
            let help = if self.pattern.ends_with("[]") {
                format!("add `{key} = {{ … }}` here")
            } else {
                format!("add a table: `[{path}]`")
            };
            self.refuse_key(key, "is missing", &help);
        }
        entry?.table()
    }

    /// The tables of `[[key]]`; none when it is absent.
    pub fn tables(&self, key: &str) -> Vec<Table<'d>> {
        self.expects(key, || Kind::Tables);
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Some(array) = entry.value.as_array() else {
            let path = join(&self.pattern.replace("[]", ""), key);
            entry.refuse("is not a list of tables", &format!("write `[[{path}]]` above each"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (i, value) in array.iter().enumerate() {
            let mut entry = self.entry_of(&format!("{key}[{}]", i + 1), value);
            entry.pattern.1 = format!("{key}[]");
            tables.extend(entry.open());
        }
        tables
    }

    /// All keys with their values, in the order of the file; asks for all of them.
    pub fn all(&self) -> Vec<Entry<'d>> {
        let entry = |(key, value): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let key: &std::borrow::Cow<'d, str> = key.get_ref();
            let mut entry = self.entry_of(key, value);
            "*".clone_into(&mut entry.pattern.1);
            entry
        };
        self.asked.borrow_mut().all = true;
        self.entries.iter().map(entry).collect()
    }

    /// None of its keys is unknown: the table is read elsewhere, or what is wrong with it was told already.
    pub fn quiet(&self) {
        self.asked.borrow_mut().quiet = true;
    }

    /// All texts in it, at any depth; asks for no key.
    pub fn texts(&self) -> Vec<&'d str> {
        let mut texts = Vec::new();
        let mut values: Vec<&'d DeValue<'d>> = self.entries.iter().map(|(_, value)| value.get_ref()).collect();
        while let Some(value) = values.pop() {
            texts.extend(value.as_str());
            values.extend(value.as_array().into_iter().flat_map(|array| array.iter()).map(Spanned::get_ref));
            values.extend(value.as_table().into_iter().flat_map(|table| table.iter()).map(|(_, v)| v.get_ref()));
        }
        texts
    }

    /// The tables of `[[part]]` may have its keys but for some: they are read merged with it.
    pub fn lends(&self, part: &str, but: &[&str]) {
        if let Some(shape) = self.shape {
            shape.borrow_mut().lend(&self.pattern, format!("{}.{part}[]", self.pattern), but);
        }
    }

    /// A fault of the table as a whole.
    pub fn refuse(&self, message: &str, help: &str) {
        let fault = self.document.fault(self.header(), &self.path, message.to_owned(), help.to_owned());
        self.faults.borrow_mut().push(fault);
    }

    /// A fault of one key: at its value if it is there, at the table's head if not, unless it is there misspelled.
    pub fn refuse_key(&self, key: &str, message: &str, help: &str) {
        let fault = self.fault_at(key, message, help);
        if self.has(key) {
            self.faults.borrow_mut().push(fault);
        } else {
            self.asked.borrow_mut().missed.push((key.to_owned(), fault));
        }
    }

    fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.get_ref().as_ref() == key)
    }

    /// The same, made and not told: for warnings, which do not stop the reading.
    pub fn fault_at(&self, key: &str, message: &str, help: &str) -> Fault {
        let found = self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key);
        let span = found.map_or_else(|| self.header(), |(_, v)| v.span());
        self.document.fault(span, &join(&self.path, key), message.to_owned(), help.to_owned())
    }

    /// Names that its texts may have in braces, with their values.
    pub fn names(&self) -> Option<&'d BTreeMap<String, String>> {
        self.names
    }

    /// Path of the table: `link[2]`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it stands: `file:line`.
    pub fn place(&self) -> String {
        let Fault { file, line, .. } = self.document.fault(self.header(), "", String::new(), String::new());
        format!("{file}:{line}")
    }

    fn header(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let asked = self.asked.take();
        if let (Some(shape), false) = (self.shape, asked.quiet) {
            shape.borrow_mut().table(&self.pattern, &asked.keys, &asked.demanded, asked.all);
        }
        // A table that was given up for a missing key may have it, misspelled: that alone is told of it.
        let given_up = asked.quiet || asked.all;
        let missing = || asked.demanded.iter().filter(|key| !self.has(key));
        let known = if given_up { missing().cloned().collect() } else { asked.keys.clone() };
        let mut misspelled = BTreeSet::new();
        for (key, _) in self.entries {
            let name = key.get_ref().as_ref();
            if asked.keys.contains(name) {
                continue;
            }
            let meant = meant(name, &known);
            if given_up && meant.is_none() {
                continue;
            }
            misspelled.extend(meant);
            let help = nearest(name, &known);
            let fault = self.document.fault(key.span(), &join(&self.path, name), "unknown key".to_owned(), help);
            self.faults.borrow_mut().push(fault);
        }
        let missed = asked.missed.into_iter().filter(|(key, _)| !misspelled.contains(key));
        self.faults.borrow_mut().extend(missed.map(|(_, fault)| fault));
    }
}

impl<'d> Entry<'d> {
    /// The value as a `T`; a fault when it is not one.
    pub fn read<T: FromValue>(&self) -> Option<T> {
        self.read_of(T::kind)
    }

    /// The same, where the reader takes less than all of `T`: `kind` says what.
    pub fn read_of<T: FromValue>(&self, kind: impl Fn() -> Kind) -> Option<T> {
        self.expects(kind);
        self.value_as()
    }

    fn value_as<T: FromValue>(&self) -> Option<T> {
        match self.filled()? {
            Filled::AsItStands => self.read_as(self.value),
            Filled::Text(text) => self.read_as(&DeValue::String(text.into())),
            Filled::Number(number) => {
                let text = number.to_string();
                self.read_as(DeValue::parse(&text).expect("digits are a TOML integer").get_ref())
            }
        }
    }

    fn read_as<T: FromValue>(&self, value: &DeValue<'_>) -> Option<T> {
        let read = T::from_value(value);
        if read.is_none() {
            self.refuse(&T::wrong(value), &format!("write {}", T::instead(value)));
        }
        read
    }

    /// What the value means where names have values.
    fn filled(&self) -> Option<Filled> {
        let (Some(names), Some(text)) = (self.names, self.value.as_str()) else { return Some(Filled::AsItStands) };
        match fill::fill(text, names) {
            Ok(filled) => Some(filled),
            Err(wrong) => {
                self.refuse_within(wrong.at, &wrong.message, &wrong.help);
                None
            }
        }
    }

    /// The value as it stands in the file.
    pub fn value(&self) -> &'d DeValue<'d> {
        self.value
    }

    /// The key's own name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as a table (inline or with its own header); a fault when it is not one.
    pub fn table(&self) -> Option<Table<'d>> {
        self.expects(|| Kind::Table);
        self.open()
    }

    /// Tells what the value may be, where it is looked at without one of the ways of reading.
    pub fn expects(&self, kind: impl Fn() -> Kind) {
        if let Some(shape) = self.shape {
            let (kind, key) = (kind(), &self.pattern);
            let one = matches!(kind, Kind::Form(_) | Kind::Bool | Kind::Integer(..) | Kind::Word(_) | Kind::Numeral(_));
            if self.names.is_some() && one {
                shape.borrow_mut().kind(&key.0, &key.1, Kind::Form(EXPRESSION));
            }
            shape.borrow_mut().kind(&key.0, &key.1, kind);
        }
    }

    fn open(&self) -> Option<Table<'d>> {
        let Some(entries) = self.value.as_table() else {
            self.refuse(&format!("is {}", describe(self.value)), "write a table: { key = value, … }");
            return None;
        };
        Some(Table {
            document: self.document,
            path: join(&self.table_path, &self.key),
            pattern: join(&self.pattern.0, &self.pattern.1),
            span: self.span.clone(),
            entries,
            asked: RefCell::default(),
            faults: self.faults,
            names: self.names,
            shape: self.shape,
        })
    }

    /// A fault at this value.
    pub fn refuse(&self, message: &str, help: &str) {
        let fault = self.fault(message, help);
        self.faults.borrow_mut().push(fault);
    }

    /// A fault inside this text, at a byte of it.
    pub fn refuse_within(&self, offset: usize, message: &str, help: &str) {
        let mut fault = self.fault(message, help);
        let written = self.document.text.get(self.span.clone()).unwrap_or_default();
        let plain =
            self.value.as_str().is_some_and(|text| written.get(1..written.len().saturating_sub(1)) == Some(text));
        if plain && offset + 2 < written.len() {
            let key = std::mem::take(&mut fault.key);
            let span = self.span.start + 1 + offset..self.span.end - 1;
            fault = self.document.fault(span, &key, fault.message, fault.help);
        }
        self.faults.borrow_mut().push(fault);
    }

    /// The same, made and not told: for warnings, which do not stop the reading.
    pub fn fault(&self, message: &str, help: &str) -> Fault {
        let key = join(&self.table_path, &self.key);
        self.document.fault(self.span.clone(), &key, message.to_owned(), help.to_owned())
    }

    /// Path of the value: `link[2].address`.
    pub fn path(&self) -> String {
        join(&self.table_path, &self.key)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A plain value as it is written.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{ … }".to_owned(),
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("the text \"{s}\""),
        DeValue::Integer(i) => format!("the number {i}"),
        DeValue::Float(x) => format!("the number {x}"),
        DeValue::Boolean(b) => format!("{b}"),
        DeValue::Datetime(t) => format!("the time {t}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a text in quotes";
    fn kind() -> Kind {
        Kind::Text
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn kind() -> Kind {
        Kind::Bool
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "a whole number";
    fn kind() -> Kind {
        Kind::Integer(Self::MIN, Self::MAX)
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
    }
}

macro_rules! unsigned {
    ($($type:ty, $expected:literal;)*) => {$(
        impl FromValue for $type {
            const EXPECTED: &'static str = $expected;
            fn kind() -> Kind {
                Kind::Integer(0, i64::try_from(<$type>::MAX).unwrap_or(i64::MAX))
            }
            fn from_value(value: &DeValue<'_>) -> Option<Self> {
                i64::from_value(value)?.try_into().ok()
            }
        }
    )*};
}
unsigned! {
    u8, "a whole number from 0 to 255";
    u16, "a whole number from 0 to 65535";
    u32, "a whole number from 0 to 4294967295";
    usize, "a whole number, not negative";
}

impl<T: FromValue> FromValue for Vec<T> {
    const EXPECTED: &'static str = "a list: [\"…\", \"…\"]";
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|v| T::from_value(v.get_ref())).collect()
    }
    fn wrong(value: &DeValue<'_>) -> String {
        let mut items = value.as_array().into_iter().flat_map(|items| items.iter()).map(Spanned::get_ref);
        match items.find(|item| T::from_value(item).is_none()) {
            Some(item) if item.as_array().is_some() => T::wrong(item),
            Some(item) => format!("has {} in it", describe(item)),
            None => format!("is {}", describe(value)),
        }
    }
    fn instead(value: &DeValue<'_>) -> String {
        let is_list = matches!(T::kind(), Kind::List(_));
        let items = value.as_array().map(|items| items.iter().map(|item| shown(item.get_ref())).collect::<Vec<_>>());
        match items.filter(|items| !items.is_empty()) {
            Some(items) if is_list && items.iter().all(|item| !item.starts_with('[')) => {
                let each: Vec<String> = items.iter().map(|item| format!("[{item}]")).collect();
                format!("a list of lists: [{}]", each.join(", "))
            }
            _ if !is_list && T::EXPECTED != String::EXPECTED => format!("a list, each of it {}", T::EXPECTED),
            _ => Self::EXPECTED.to_owned(),
        }
    }
}

pub use shape::{Kind, Shape};

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let document = Document { name: "f.toml".to_owned(), text: text.to_owned() };
        let read = document.read(|root| {
            let site = root.required_table("site")?;
            let id: String = site.required("id")?;
            let _: Option<Duration> = site.optional("timeout");
            for link in root.tables("link") {
                let _: Option<u16> = link.required("port");
                link.entry("kind").and_then(|e| e.choice(&[("mqtt", 1), ("modbus-tcp", 2)]));
            }
            Some(id)
        });
        read.err().unwrap_or_default().iter().map(Fault::to_string).collect()
    }

    #[test]
    fn every_fault_is_told_at_its_place() {
        let text =
            "[site]\nid = \"dc1\"\ntimout = \"5s\"\n[[link]]\nport = 70000\n[[link]]\nport = 1\nkind = \"mqt\"\n";
        assert_eq!(
            faults(text),
            [
                "f.toml:3:1: site.timout: unknown key (did you mean `timeout`?)",
                "f.toml:5:8: link[1].port: is the number 70000 (write a whole number from 0 to 65535)",
                "f.toml:8:8: link[2].kind: \"mqt\" is not known here (did you mean `mqtt`? One of \"mqtt\", \"modbus-tcp\")",
            ]
        );
    }

    #[test]
    fn what_is_wrong_in_a_list_is_named() {
        let told = |text: &str| {
            let document = Document { name: "f.toml".to_owned(), text: text.to_owned() };
            let read = document.read(|root| {
                let _: Option<Vec<u16>> = root.optional("words");
                let _: Option<Vec<Vec<String>>> = root.optional("require");
                let _: Option<Vec<String>> = root.optional("take");
                Some(())
            });
            read.err().unwrap_or_default().iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(told("words = [1, -3]"), @"f.toml:1:9: words: has the number -3 in it (write a list, each of it a whole number from 0 to 65535)");
        insta::assert_snapshot!(told("words = 3"), @"f.toml:1:9: words: is the number 3 (write a list, each of it a whole number from 0 to 65535)");
        insta::assert_snapshot!(told("require = [\"00\", \"01\"]"), @r#"f.toml:1:11: require: has the text "00" in it (write a list of lists: [["00"], ["01"]])"#);
        insta::assert_snapshot!(told("require = [[\"00\"], [1]]"), @r#"f.toml:1:11: require: has the number 1 in it (write a list: ["…", "…"])"#);
        insta::assert_snapshot!(told("require = \"00\""), @r#"f.toml:1:11: require: is the text "00" (write a list: ["…", "…"])"#);
        insta::assert_snapshot!(told("take = [\"a\", 1]"), @r#"f.toml:1:8: take: has the number 1 in it (write a list: ["…", "…"])"#);
    }

    #[test]
    fn a_missing_key_points_to_its_table() {
        assert_eq!(faults("\n[site]\n"), ["f.toml:2:1: site.id: is missing (add `id = …` here)"]);
    }

    #[test]
    fn text_that_is_not_toml_is_one_fault() {
        assert!(faults("[site\n")[0].starts_with("f.toml:1:6: not TOML"), "{:?}", faults("[site\n"));
    }
}
