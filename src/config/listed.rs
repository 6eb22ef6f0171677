//! The maps that a configuration finds, for people who look for one.

use std::path::Path;

use serde::Serialize;

use crate::config::maps::{Known, Library};
use crate::form::Fault;

/// A map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    /// `id@version`.
    pub(crate) map: String,
    /// What it is for, in its own words.
    pub(crate) title: String,
    /// Transaction types of the events that it may emit.
    pub(crate) kinds: Vec<String>,
    /// Parameters that a device has to give.
    pub(crate) needs: Vec<String>,
    /// `[[test]]`s in it.
    pub(crate) tests: usize,
    /// Its file; `None`: it is part of the program.
    pub(crate) file: Option<String>,
}

/// The maps that a configuration in `base` may name, by their names; and what is wrong with files that are none.
pub(crate) fn listed(base: &Path) -> (Vec<Listed>, Vec<Fault>) {
    let (library, warnings) = Library::load(base);
    let mut maps: Vec<Listed> = Vec::new();
    for map in library.maps() {
        // What is found first is what a configuration gets.
        if maps.iter().all(|known| known.map != map.name) {
            maps.push(Listed::of(map));
        }
    }
    maps.sort_by(|a, b| a.map.cmp(&b.map));
    (maps, warnings)
}

impl Listed {
    fn of(Known { name, document, emits, params }: &Known) -> Self {
        let mut head = (String::new(), 0);
        drop(document.read(|root| {
            root.quiet();
            let title = root.table("map").and_then(|map| map.optional("title"));
            head = (title.unwrap_or_default(), root.tables("test").len());
            Some(())
        }));
        let (title, tests) = head;
        Self {
            map: name.clone(),
            title,
            kinds: emits.kinds.clone(),
            needs: params.iter().filter(|(_, param)| param.default.is_none()).map(|(name, _)| name.clone()).collect(),
            tests,
            file: (!document.name.starts_with("built-in:")).then(|| document.name.clone()),
        }
    }
}
