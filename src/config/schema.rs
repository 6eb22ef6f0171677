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
    use std::collections::{BTreeMap, BTreeSet};
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

    /// A row of a reference: the paths of its keys, what they may hold, and what an editor says of them.
    struct Row {
        paths: Vec<String>,
        holds: String,
        said: String,
    }

    /// The rows of a reference, `| key | type | default | meaning |`, below headings that name tables. What is behind the
    /// table's name in a heading (`with kind = "mqtt"`) says of which of them a row is.
    fn rows(reference: &str) -> Vec<Row> {
        let (mut tables, mut of, mut rows) = (Vec::new(), "", Vec::new());
        for line in reference.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                let named = heading.split('`').skip(1).step_by(2).filter(|name| name.starts_with('['));
                let path = |name: &str| name.trim_matches(['[', ']']).replace("NAME", "*");
                tables = named.map(path).collect();
                of = heading
                    .rsplit("]`")
                    .next()
                    .map(str::trim)
                    .filter(|of| of.starts_with(['w', 'o']))
                    .unwrap_or_default();
            }
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            if let (true, [keys, holds, .., meaning]) = (line.starts_with("| `"), cells.as_slice()) {
                let keys = keys.split('`').skip(1).step_by(2).map(|key| key.replace("NAME", "*")).collect::<Vec<_>>();
                let default = cells.get(2).filter(|_| cells.len() == 4).map_or("", |default| default);
                let default =
                    if ["", "required"].contains(&default) { String::new() } else { format!(" (default: {default})") };
                let said = format!("{meaning}{default}").trim().to_owned();
                let said = if of.is_empty() || said.is_empty() { said } else { format!("{of}: {said}") };
                for table in &tables {
                    let mut paths: Vec<String> = keys.iter().map(|key| format!("{table}.{key}")).collect();
                    if table == "map" {
                        paths.extend(keys.clone()); // of the root
                    }
                    rows.push(Row { paths, holds: (*holds).to_owned(), said: said.clone() });
                }
            }
        }
        rows
    }

    /// The words or numbers of a type such as `"a"`, `"b"` or 1, 2; `None`: it is no such choice.
    fn closed(holds: &str) -> Option<BTreeSet<String>> {
        let plain = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c));
        let all =
            holds.split(", ").map(|word| match word.strip_prefix("`\"").and_then(|word| word.strip_suffix("\"`")) {
                Some(word) => plain(word).then(|| format!("\"{word}\"")),
                None => word.parse::<i64>().ok().map(|number| number.to_string()),
            });
        all.collect()
    }

    /// A member of a set has the keys of a device.
    fn plain(path: &str) -> String {
        let path = path.replace("[]", "");
        let own = |rest: &str| ["for", "except", "override", "*"].iter().any(|own| rest.starts_with(own));
        let of_a_member = path.strip_prefix("device_set.override.").or_else(|| path.strip_prefix("device_set."));
        match of_a_member.filter(|rest| !own(rest)) {
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
        assert_eq!(shape.open_choices(), [""; 0], "one of some words, or any text: read_of(…) the words alone");
        let rows = rows(reference);
        let of = |path: &str| rows.iter().filter(|row| row.paths.iter().any(|of| of == path)).collect::<Vec<&Row>>();
        let say = |path: &str| {
            let mut said: Vec<&str> = Vec::new();
            for row in of(&plain(path)) {
                if !row.said.is_empty() && !said.contains(&row.said.as_str()) {
                    said.push(&row.said);
                }
            }
            (!said.is_empty()).then(|| said.join("; "))
        };
        for row in &rows {
            let elsewhere = ["…", "below", "the same:"].iter().any(|word| row.said.starts_with(word))
                || ["…", "below"].iter().any(|word| row.said.ends_with(word))
                || ["…: ", "… (default", ": …"].iter().any(|word| row.said.contains(word));
            assert!(!elsewhere, "{:?}: \"{}\" is not to be understood alone, as editors show it", row.paths, row.said);
        }
        let leaves: Vec<String> = shape.leaves().iter().map(|path| plain(path)).collect();
        // What the reference says to be one of some words is that and nothing else.
        let choices = shape.choices();
        let said: BTreeMap<&String, BTreeSet<String>> = rows
            .iter()
            .filter(|row| closed(&row.holds).is_some())
            .flat_map(|row| &row.paths)
            .filter(|path| leaves.contains(path))
            .map(|path| (path, of(path).iter().filter_map(|row| closed(&row.holds)).flatten().collect()))
            .collect();
        for (path, due) in said {
            let known = choices.iter().find(|(of, _)| plain(of) == *path).map(|(_, words)| words);
            assert_eq!(known, Some(&due), "{path}: the reader's words, and those of the reference of {name}");
        }
        let documented = |path: &String| !of(path).is_empty();
        let free = |path: &String| path.ends_with(".*");
        let missing: Vec<&String> = leaves.iter().filter(|path| !free(path) && !documented(path)).collect();
        assert_eq!(missing, [""; 0], "not in the reference of {name}");
        let known =
            |path: &String| leaves.contains(path) || leaves.iter().any(|leaf| leaf.starts_with(&format!("{path}.")));
        let strange: Vec<&Vec<String>> =
            rows.iter().map(|row| &row.paths).filter(|paths| !paths.iter().any(known)).collect();
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
            "target[].auth.api_key",
            "target[].auth.bearer",
            "target[].auth.client_secret",
            "target[].auth.key",
            "target[].auth.password",
            "target[].auth.secret",
            "target[].auth.token",
        ];
        check("gateway", &gateway_shape(), CONFIGURATION, &refused);
    }
}
