//! JSON Schemas of the files that people write, for editors that complete and check while one types.
//!
//! They are made from what the readers ask for ([`crate::form::Shape`]), with the words of the reference, and committed, so
//! that a pointer to one can be written into a file. What a schema lets pass `floorgate check` may still refuse.

/// Of device maps: `devices/*/map.toml`.
pub const MAP: &str = include_str!("../../schemas/map.json");
/// Of the configuration: `gateway.toml`.
pub const GATEWAY: &str = include_str!("../../schemas/gateway.json");

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use crate::config::{Reading, maps, root_table};
    use crate::form::{Document, Shape};
    use crate::tagmap::{Binding, Map};

    const TAG_MAPS: &str = include_str!("../../docs/tag-maps.md");
    const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn document(path: &Path) -> Document {
        let text = std::fs::read_to_string(path).expect("the document can be read");
        Document { name: path.display().to_string(), text }
    }

    /// Documents in which each key stands, in each of its forms.
    fn teaching(folder: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(root().join("src/config/schema").join(folder)).expect("the folder can be read");
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("it can be read").path()).collect();
        files.sort();
        files
    }

    /// What the readers of maps ask for.
    fn map_shape() -> Shape {
        let shape = RefCell::default();
        let shipped = std::fs::read_dir(root().join("devices")).expect("there are devices");
        let mut maps: Vec<PathBuf> =
            shipped.map(|device| device.expect("it can be read").path().join("map.toml")).collect();
        maps.push(root().join("src/tagmap/points/tests/everything.toml"));
        for (path, teaches) in
            maps.into_iter().map(|map| (map, false)).chain(teaching("maps").into_iter().map(|map| (map, true)))
        {
            let params: BTreeMap<String, String> =
                [("lane", "7"), ("coil_base", "124"), ("reg_base", "1060"), ("topic_root", "floor")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into();
            let text = document(&path);
            let declared = |name: &String| text.text.contains(&format!("\n{name} = {{ type"));
            let binding = Binding {
                params: params.into_iter().filter(|(name, _)| declared(name)).collect(),
                accept_epoch_risk: true,
                ..Binding::of("device")
            };
            if let Err(faults) = Map::read_into(Some(&shape), &text, &binding) {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                assert!(!teaches, "{}", faults.join("\n"));
            }
        }
        shape.into_inner()
    }

    /// What the readers of the configuration ask for.
    fn gateway_shape() -> Shape {
        let shape = RefCell::default();
        for path in teaching("gateway").into_iter().chain([root().join("config/gateway.toml")]) {
            let (library, _) = maps::Library::load(Path::new("nowhere"));
            let (elsewhere, warnings) = (RefCell::default(), RefCell::default());
            let reading = Reading { base: PathBuf::new(), library, elsewhere, warnings };
            // Its certificates and secrets are not there: that is no matter here.
            drop(document(&path).read_into(Some(&shape), |root| root_table(root, &reading, &mut Vec::new())));
        }
        shape.into_inner()
    }

    /// The meaning of each key in a reference: rows `| key | type | default | meaning |` below headings that name tables.
    fn meanings(reference: &str) -> Vec<(Vec<String>, String)> {
        let (mut tables, mut rows) = (Vec::new(), Vec::new());
        for line in reference.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                let named = heading.split('`').skip(1).step_by(2).filter(|name| name.starts_with('['));
                let path = |name: &str| name.trim_matches(['[', ']']).replace("NAME", "*");
                tables = named.map(path).collect();
            }
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            if let (true, [keys, .., meaning]) = (line.starts_with("| `"), cells.as_slice()) {
                let keys = keys.split('`').skip(1).step_by(2).map(|key| key.replace("NAME", "*")).collect::<Vec<_>>();
                let default = cells.get(2).filter(|_| cells.len() == 4).map_or("", |default| default);
                let said = if default.is_empty() { String::new() } else { format!(" (default: {default})") };
                let said = if default == "required" { String::new() } else { said };
                for table in &tables {
                    let mut paths: Vec<String> = keys.iter().map(|key| format!("{table}.{key}")).collect();
                    if table == "map" {
                        paths.extend(keys.clone()); // of the root
                    }
                    rows.push((paths, format!("{meaning}{said}").trim().to_owned()));
                }
            }
        }
        rows
    }

    /// A member of a set has the keys of a device.
    fn plain(path: &str) -> String {
        let path = path.replace("[]", "");
        let own = |rest: &str| ["for", "except", "override"].iter().any(|own| rest.starts_with(own));
        match path.strip_prefix("device_set.").filter(|rest| !own(rest)) {
            Some(of_a_device) => format!("device.{of_a_device}"),
            None => path,
        }
    }

    fn check(name: &str, shape: &Shape, reference: &str, refused: &[&str]) {
        assert_eq!(
            shape.untyped(),
            refused,
            "keys that are always refused, and no others, may stand in no teaching document"
        );
        let meanings = meanings(reference);
        let say = |path: &str| {
            let found = meanings.iter().find(|(paths, _)| paths.iter().any(|of| *of == plain(path)));
            found.map(|(_, meaning)| meaning.clone()).filter(|meaning| !meaning.is_empty())
        };
        let leaves: Vec<String> = shape.leaves().iter().map(|path| plain(path)).collect();
        let documented = |path: &String| meanings.iter().any(|(paths, _)| paths.contains(path));
        let free = |path: &String| path.ends_with(".*");
        let missing: Vec<&String> = leaves.iter().filter(|path| !free(path) && !documented(path)).collect();
        assert_eq!(missing, [""; 0], "not in the reference of {name}");
        let known =
            |path: &String| leaves.contains(path) || leaves.iter().any(|leaf| leaf.starts_with(&format!("{path}.")));
        let strange: Vec<&Vec<String>> =
            meanings.iter().map(|(paths, _)| paths).filter(|paths| !paths.iter().any(known)).collect();
        assert!(strange.is_empty(), "{strange:?}: in the reference of {name}, but unknown");
        let schema = format!("{:#}\n", shape.schema(&format!("floorgate: {name}"), &say));
        let path = root().join(format!("schemas/{name}.json"));
        if std::env::var_os("FLOORGATE_RENEW").is_some() {
            std::fs::write(&path, &schema).expect("the schema can be written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == schema, "stale: FLOORGATE_RENEW=1 cargo test --lib schema renews schemas/{name}.json");
    }

    #[test]
    fn the_schema_of_maps_is_what_their_reader_asks_for() {
        check("map", &map_shape(), TAG_MAPS, &["event[].on.when", "write[].rate"]);
    }

    #[test]
    fn the_schema_of_the_configuration_is_what_its_reader_asks_for() {
        let refused = [
            "control",
            "link[].password",
            "link[].serial.rs485",
            "link[].serial.rts_delay_after",
            "link[].serial.rts_delay_before",
            "target[].rate",
            "target[].auth.bearer",
            "target[].auth.password",
            "target[].auth.token",
            "target[].tls.cert_file",
            "target[].tls.key_file",
        ];
        check("gateway", &gateway_shape(), CONFIGURATION, &refused);
    }
}
