//! Where device maps are found: beside the configuration, then in `/usr/share/floorgate/devices`, then built in.
//!
//! A map is named `id@version` by what stands in the file; the folder's name says nothing. What is found first wins, so
//! that a site can replace a map of the package by its own. A folder holds the versions of its map side by side:
//! `map.toml`, and beside it any `map-….toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::config::emits::{Emits, emits};
use crate::config::files;
use crate::form::{Document, Fault, FromValue};
use crate::tagmap::{Param, declared};

pub(super) const SYSTEM: &str = "/usr/share/floorgate/devices";
/// Most folders looked at in one place.
const MAX_FOLDERS: usize = 1_000;

/// Maps that are part of the binary: path in the repository, text.
const BUILT_IN: &[(&str, &str)] = &[
    ("devices/acme-checkweigher/map.toml", include_str!("../../devices/acme-checkweigher/map.toml")),
    ("devices/acme-dimensioner/map.toml", include_str!("../../devices/acme-dimensioner/map.toml")),
    ("devices/acme-fc24-plc/map.toml", include_str!("../../devices/acme-fc24-plc/map.toml")),
    ("devices/acme-fixed-scanner/map.toml", include_str!("../../devices/acme-fixed-scanner/map.toml")),
    ("devices/acme-gs1-scanner/map.toml", include_str!("../../devices/acme-gs1-scanner/map.toml")),
    ("devices/acme-hand-scanner/map.toml", include_str!("../../devices/acme-hand-scanner/map.toml")),
    ("devices/acme-mailbox-plc/map.toml", include_str!("../../devices/acme-mailbox-plc/map.toml")),
    ("devices/acme-photo-eyes/map.toml", include_str!("../../devices/acme-photo-eyes/map.toml")),
    ("devices/acme-plain-scanner/map.toml", include_str!("../../devices/acme-plain-scanner/map.toml")),
    ("devices/acme-serial-scanner/map.toml", include_str!("../../devices/acme-serial-scanner/map.toml")),
    ("devices/acme-sorter/map.toml", include_str!("../../devices/acme-sorter/map.toml")),
];

pub(super) struct Library {
    maps: Vec<Known>,
}

/// A map, and what it says before any device is bound to it.
pub(super) struct Known {
    /// `id@version`.
    pub(super) name: String,
    pub(super) document: Document,
    pub(super) emits: Emits,
    pub(super) params: BTreeMap<String, Param>,
}

impl Library {
    /// Looks through the places; a file that names no map is a warning.
    pub(super) fn load(base: &Path) -> (Self, Vec<Fault>) {
        let mut library = Self { maps: Vec::new() };
        let mut warnings = Vec::new();
        for place in [base.join("devices"), PathBuf::from(SYSTEM)] {
            let before = library.maps.len();
            for path in map_files(&place) {
                let document = match files::text(&path) {
                    Ok(text) => Document { name: path.display().to_string(), text },
                    Err(why) => {
                        warnings.push(unusable(&path, &format!("can't be read: {why}")));
                        continue;
                    }
                };
                match Known::read(document) {
                    Err(document) => match document.read(|root| Some(root.all().len())) {
                        Ok(_) => warnings.push(unusable(&path, "names no map")),
                        Err(faults) => warnings.extend(faults),
                    },
                    Ok(map) => {
                        if let Some(first) = library.maps[before..].iter().find(|first| first.name == map.name) {
                            let message = format!("is {} again, after {}", map.name, first.document.name);
                            warnings.push(unusable(&path, &message));
                        }
                        library.maps.push(map);
                    }
                }
            }
        }
        for (path, text) in BUILT_IN {
            let document = Document { name: format!("built-in:{path}"), text: (*text).to_owned() };
            library.maps.extend(Known::read(document));
        }
        (library, warnings)
    }

    /// The map of that `id@version`; of that `id`, if there is one version of it alone.
    ///
    /// # Errors
    /// The versions that there are of that `id`; none, if there is no such map.
    pub(super) fn find(&self, name: &str) -> Result<&Known, BTreeSet<&str>> {
        let is = |full: &str| full == name || full.split_once('@').is_some_and(|(id, _)| id == name);
        let versions: BTreeSet<&str> = self.names().filter(|full| is(full)).collect();
        let one = versions.first().filter(|_| versions.len() == 1);
        one.and_then(|one| self.maps.iter().find(|map| map.name == **one)).ok_or(versions)
    }

    /// The map in the folder of that name, or in the file.
    pub(super) fn in_folder(&self, name: &str) -> Option<&Known> {
        self.maps.iter().find(|map| {
            let path = Path::new(map.document.name.trim_start_matches("built-in:"));
            path.ends_with(name) || path.parent().is_some_and(|folder| folder.ends_with(name))
        })
    }

    /// The names of all maps.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.maps.iter().map(|map| map.name.as_str())
    }

    pub(super) fn maps(&self) -> &[Known] {
        &self.maps
    }

    pub(super) fn into_documents(self) -> impl Iterator<Item = Document> {
        self.maps.into_iter().map(|map| map.document)
    }
}

/// The versions of its map that a device's folder holds: `map.toml`, and beside it any `map-….toml`.
pub fn map_files_of(folder: &Path) -> Vec<PathBuf> {
    let is_map = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name == "map.toml" || name.starts_with("map-") && path.extension().is_some_and(|end| end == "toml")
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().take(MAX_FOLDERS).flatten();
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).filter(is_map).collect();
    files.sort();
    files
}

fn map_files(place: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(place).into_iter().flatten().take(MAX_FOLDERS).flatten();
    let mut files: Vec<PathBuf> = folders.flat_map(|folder| map_files_of(&folder.path())).collect();
    files.sort();
    files
}

impl Known {
    /// The map, or the document if it names none. What else is wrong with it is told with the devices that use it.
    fn read(document: Document) -> Result<Self, Document> {
        let mut read = None;
        drop(document.read(|root| {
            root.quiet();
            let name = name_of(root.entries())?;
            read = Some((name, emits(root.entries()), declared(root)));
            Some(())
        }));
        let Some((name, emits, params)) = read else { return Err(document) };
        Ok(Self { name, document, emits, params })
    }
}

fn name_of(root: &DeTable<'_>) -> Option<String> {
    let map = root.get("map")?.get_ref().as_table()?;
    let id = map.get("id")?.get_ref().as_str()?;
    Some(format!("{id}@{}", <u32 as FromValue>::from_value(map.get("version")?.get_ref())?))
}

fn unusable(path: &Path, message: &str) -> Fault {
    Fault {
        file: path.display().to_string(),
        span: 0..0,
        line: 1,
        column: 1,
        key: String::new(),
        message: message.to_owned(),
        help: "it is not used: correct or remove it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_of_the_repository_is_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shipped: Vec<String> = map_files(&root.join("devices"))
            .iter()
            .map(|p| p.strip_prefix(root).expect("found below it").display().to_string())
            .collect();
        let built_in: Vec<&str> = BUILT_IN.iter().map(|(path, _)| *path).collect();
        assert_eq!(built_in, shipped);
    }
}
