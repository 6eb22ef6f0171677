//! Where in a payload a field is: RFC 9535 JSONPath, with a short way for `$.name`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

/// A JSON path.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// As the map writes it.
    pub(super) text: String,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// `$.a.b`: looked up directly.
    Names(Vec<String>),
    /// Anything else. Read-only once parsed, so that a panic elsewhere leaves it whole.
    Query(Arc<AssertUnwindSafe<JsonPath>>),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What the path's grammar does not allow.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let query = JsonPath::parse(text).map_err(|e| e.to_string())?;
        let names: Option<Vec<String>> = text
            .strip_prefix("$.")
            .map(|names| names.split('.').map(|name| is_plain(name).then(|| name.to_owned())).collect())
            .unwrap_or_default();
        let way = names.map_or_else(|| Way::Query(Arc::new(AssertUnwindSafe(query))), Way::Names);
        Ok(Self { text: text.to_owned(), way })
    }

    /// The value there; null counts as none.
    ///
    /// # Errors
    /// How many there are, when more than one.
    pub(super) fn find<'j>(&self, json: &'j Json) -> Result<Option<&'j Json>, usize> {
        let found = match &self.way {
            Way::Names(names) => names.iter().try_fold(json, |json, name| json.as_object()?.get(name)),
            Way::Query(query) => {
                let found = query.query(json);
                if found.len() > 1 {
                    return Err(found.len());
                }
                found.first()
            }
        };
        Ok(found.filter(|json| !json.is_null()))
    }

    /// All that stands there.
    pub(super) fn all<'j>(&self, json: &'j Json) -> Vec<&'j Json> {
        match &self.way {
            Way::Names(_) => self.find(json).ok().flatten().into_iter().collect(),
            Way::Query(query) => query.query(json).all(),
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_short_way_finds_what_the_engine_finds() {
        let payload = json!({"a": {"b": 1, "n": null}, "l": [{"b": 2}, {"b": 3}], "": 4, "x": {"b c": 5}});
        for text in ["$.a", "$.a.b", "$.a.n", "$.l.b", "$.missing.b", "$.l[1].b", "$['a']['b']", "$.x['b c']", "$.a.*"]
        {
            let path = Path::parse(text).unwrap();
            let query = JsonPath::parse(text).unwrap();
            let expected: Vec<&Json> = query.query(&payload).all();
            match path.find(&payload) {
                Ok(found) => assert_eq!(found, expected.into_iter().find(|j| !j.is_null()), "{text}"),
                Err(n) => assert_eq!(n, expected.len(), "{text}"),
            }
        }
        assert_eq!(Path::parse("$..b").unwrap().find(&payload), Err(3));
        assert!(Path::parse("a.b").is_err());
    }
}
