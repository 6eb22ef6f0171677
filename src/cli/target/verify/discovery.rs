//! What an endpoint says of itself (docs/erp-contract.md, "Discovery"). Pure.

use serde_json::Value;

/// Discovery as far as it could be read: a limit that could not is 0, anything else false or empty.
#[expect(clippy::struct_excessive_bools, reason = "the document has them, one for each capability")]
#[derive(Debug, Default)]
pub(super) struct Discovery {
    pub(super) system: String,
    pub(super) test_system: bool,
    pub(super) max_batch: u64,
    pub(super) max_body_bytes: u64,
    pub(super) max_lookup: u64,
    pub(super) max_concurrent: u64,
    pub(super) ordered_batch: bool,
    pub(super) jobs: bool,
    pub(super) gzip: bool,
    pub(super) definite_503: bool,
    pub(super) dedup_horizon_s: Option<u64>,
    pub(super) settle_delay_s: u64,
    pub(super) tx_types: Vec<String>,
    /// On a test system.
    pub(super) sample: Option<Sample>,
    /// What is wrong with it, a sentence each.
    pub(super) faults: Vec<String>,
}

/// A posting that can be booked any number of times.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) kind: String,
    pub(super) tx_type: String,
    pub(super) subject: String,
    pub(super) data: Value,
}

/// The members of a document, and what is wrong with them.
struct Members<'v> {
    body: &'v Value,
    faults: Vec<String>,
}

impl<'v> Members<'v> {
    fn member<T>(&mut self, path: &str, what: &str, read: impl Fn(&'v Value) -> Option<T>) -> Option<T> {
        let value = path.split('.').try_fold(self.body, |value, name| value.get(name));
        let read = value.and_then(read);
        if read.is_none() {
            let said = value.map_or("is missing".to_owned(), |value| format!("is {value}"));
            self.faults.push(format!("`{path}` {said}: write {what}"));
        }
        read
    }

    fn number(&mut self, path: &str, least: u64) -> u64 {
        let read = |value: &Value| value.as_u64().filter(|n| *n >= least);
        self.member(path, &format!("a number of at least {least}"), read).unwrap_or_default()
    }

    fn number_or_null(&mut self, path: &str) -> Option<u64> {
        let some = |value: &Value| value.as_u64().filter(|n| *n > 0).map(Some);
        let read = |value: &Value| if value.is_null() { Some(None) } else { some(value) };
        self.member(path, "a whole number of at least 1, or null", read).flatten()
    }

    fn flag(&mut self, path: &str) -> bool {
        self.member(path, "true or false", Value::as_bool).unwrap_or_default()
    }

    fn text(&mut self, path: &str) -> String {
        self.member(path, "a text", Value::as_str).unwrap_or_default().to_owned()
    }

    fn texts(&mut self, path: &str) -> Vec<String> {
        let read = |value: &Value| value.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect();
        self.member(path, "a list of texts", read).unwrap_or_default()
    }
}

impl Discovery {
    pub(super) fn read(body: &Value) -> Self {
        let mut m = Members { body, faults: Vec::new() };
        let contract = m.text("contract");
        if !contract.is_empty() && contract != "floorgate-posting" {
            m.faults.push(format!("`contract` is \"{contract}\": write \"floorgate-posting\""));
        }
        let versions = m.texts("versions");
        if !versions.is_empty() && !versions.iter().any(|version| version == "1") {
            m.faults.push("`versions` has no \"1\", the version of this page".to_owned());
        }
        m.flag("capabilities.callback");
        let mut read = Self {
            system: m.text("system"),
            test_system: m.flag("test_system"),
            max_batch: m.number("limits.max_batch", 1),
            max_body_bytes: m.number("limits.max_body_bytes", 1),
            max_lookup: m.number("limits.max_lookup", 1),
            max_concurrent: m.number("limits.max_concurrent", 1),
            ordered_batch: m.flag("capabilities.ordered_batch"),
            jobs: m.flag("capabilities.jobs"),
            gzip: m.flag("capabilities.gzip"),
            definite_503: m.flag("capabilities.definite_503"),
            dedup_horizon_s: m.number_or_null("dedup_horizon_s"),
            settle_delay_s: m.number("settle_delay_s", 0),
            tx_types: m.texts("tx_types"),
            ..Self::default()
        };
        let keep = m.number_or_null("job_keep_s");
        if read.jobs && keep.is_none() {
            m.faults
                .push("`job_keep_s` is null, and there are jobs: write for how many seconds they are kept".to_owned());
        }
        if read.test_system {
            let of = [m.text("sample.kind"), m.text("sample.tx_type"), m.text("sample.subject")];
            let data = m.member("sample.data", "an object", |data| data.is_object().then(|| data.clone()));
            let [kind, tx_type, subject] = of;
            let whole = !kind.is_empty() && !tx_type.is_empty();
            read.sample = data.filter(|_| whole).map(|data| Sample { kind, tx_type, subject, data });
        }
        read.faults = m.faults;
        read
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::cli::target::verify) fn page() -> Value {
        let text = include_str!("../../../../docs/erp-contract.md");
        let start = text.find("{\"contract\":\"floorgate-posting\"").unwrap();
        serde_json::from_str(text[start..].split("\n```").next().unwrap()).unwrap()
    }

    #[test]
    fn the_pages_own_example_is_read_whole() {
        let read = Discovery::read(&page());
        assert_eq!(read.faults, Vec::<String>::new());
        assert_eq!((read.max_batch, read.max_lookup, read.settle_delay_s, read.dedup_horizon_s), (500, 50, 60, None));
        assert!(read.test_system && read.gzip && read.ordered_batch && !read.jobs);
        assert_eq!(read.sample.unwrap().tx_type, "stock_count");
    }

    #[test]
    fn each_member_that_is_missing_is_told() {
        let whole = page();
        for path in [
            "/contract",
            "/versions",
            "/system",
            "/test_system",
            "/limits/max_batch",
            "/limits/max_body_bytes",
            "/limits/max_lookup",
            "/limits/max_concurrent",
            "/capabilities/ordered_batch",
            "/capabilities/jobs",
            "/capabilities/callback",
            "/capabilities/gzip",
            "/capabilities/definite_503",
            "/dedup_horizon_s",
            "/settle_delay_s",
            "/job_keep_s",
            "/tx_types",
            "/sample/data",
        ] {
            let mut document = whole.clone();
            let (above, name) = path.rsplit_once('/').unwrap();
            document.pointer_mut(above).unwrap().as_object_mut().unwrap().remove(name);
            let faults = Discovery::read(&document).faults;
            let wanted = format!("`{}` is missing", path[1..].replace('/', "."));
            assert!(faults.len() == 1 && faults[0].starts_with(&wanted), "{path}: {faults:?}");
        }
        let faults = Discovery::read(&json!({"limits": {"max_batch": 0}})).faults;
        assert!(faults.contains(&"`limits.max_batch` is 0: write a number of at least 1".to_owned()), "{faults:?}");
    }
}
