//! Tables that no file has as a whole: made from parts of one that does, such as the members of a set of devices. What is
//! wrong with them is told where their parts stand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use super::{Asked, Document, Fault, Shape, Table};

/// A table made from parts of a file. Its faults are its own, until somebody tells them.
pub struct Made<'d> {
    document: &'d Document,
    path: String,
    pattern: String,
    span: Range<usize>,
    entries: DeTable<'d>,
    names: BTreeMap<String, String>,
    known: &'static [&'static str],
    faults: RefCell<Vec<Fault>>,
    shape: Option<&'d RefCell<Shape>>,
}

impl Made<'_> {
    /// Read like any other; unknown keys are told when it is dropped.
    pub fn table(&self) -> Table<'_> {
        let keys = self.known.iter().map(|key| (*key).to_owned()).collect();
        Table {
            document: self.document,
            path: self.path.clone(),
            pattern: self.pattern.clone(),
            span: self.span.clone(),
            entries: &self.entries,
            asked: RefCell::new(Asked { keys, ..Asked::default() }),
            faults: &self.faults,
            names: Some(&self.names),
            shape: self.shape,
        }
    }

    /// Its path: what the keys of its faults begin with.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its faults, in the order they were told.
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

impl<'d> Table<'d> {
    /// A table of these entries, whose texts may have `names` in braces. Faults that concern it as a whole are told at the
    /// head of this one. `known`: keys that are not in it, but may be meant by a misspelled one.
    pub fn make(
        &self,
        path: String,
        entries: DeTable<'d>,
        names: BTreeMap<String, String>,
        known: &'static [&'static str],
    ) -> Made<'d> {
        let (document, span, shape, pattern) = (self.document, self.span.clone(), self.shape, self.pattern.clone());
        Made { document, path, pattern, span, entries, names, known, faults: RefCell::default(), shape }
    }

    /// The entries as they stand in the file; asks for none.
    pub fn entries(&self) -> &'d DeTable<'d> {
        self.entries
    }

    /// Tells a fault that a made table had.
    pub fn tell(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_made_table_stands_in_the_file() {
        let text = "[set]\nid = \"lane-{lane:02}\"\nport = \"= 60000 + lane * 1000\"\nkind = \"= lane /\"\nwrong = 1\n";
        let document = Document { name: "f.toml".to_owned(), text: text.to_owned() };
        let faults = document.read(|root| {
            let set = root.required_table("set")?;
            set.all();
            for lane in [5, 6] {
                let names = [("lane".to_owned(), lane.to_string())].into();
                let made = set.make(format!("set(lane {lane})"), set.entries().clone(), names, &["for"]);
                let table = made.table();
                assert_eq!(table.required::<String>("id"), Some(format!("lane-0{lane}")));
                assert_eq!(table.required::<u16>("port").is_some(), lane == 5);
                table.optional::<String>("kind");
                drop(table);
                made.into_faults().into_iter().for_each(|fault| set.tell(fault));
            }
            Some(())
        });
        let told: Vec<String> = faults.err().unwrap_or_default().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        f.toml:3:8: set(lane 6).port: is the number 66000 (write a whole number from 0 to 65535)
        f.toml:4:8: set(lane 5).kind: a number is missing (write a whole number, a name, or ( … ))
        f.toml:4:8: set(lane 6).kind: a number is missing (write a whole number, a name, or ( … ))
        f.toml:5:1: set(lane 5).wrong: unknown key (known here: `for`, `id`, `kind`, `port`)
        f.toml:5:1: set(lane 6).wrong: unknown key (known here: `for`, `id`, `kind`, `port`)
        ");
    }
}
