//! Topic filters: MQTT's wildcards, with names for the levels that `+` matches.

/// A topic filter.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// As the broker wants it.
    pub(super) text: String,
    levels: Vec<Level>,
    /// Levels that have a name, in the order of the names.
    captured: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Is(String),
    Any,
    /// This level and all below, or none.
    Rest,
}

impl Filter {
    /// Reads `dc1/+station/read`: the filter, and the names of its captures.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        if text.is_empty() || text.len() > usize::from(u16::MAX) || text.contains('\0') {
            return Err("is empty, longer than 65535 bytes, or holds a NUL".to_owned());
        }
        if text.starts_with("$share/") {
            return Err("is a shared subscription: its order can't be kept".to_owned());
        }
        let (mut levels, mut captured, mut names) = (Vec::new(), Vec::new(), Vec::<String>::new());
        for (at, level) in text.split('/').enumerate() {
            if levels.last() == Some(&Level::Rest) {
                return Err("has levels after `#`".to_owned());
            }
            levels.push(match (level.strip_prefix('+'), level) {
                (_, "#") => Level::Rest,
                (Some(""), _) => Level::Any,
                (Some(name), _) => {
                    if !is_name(name) || name == "device" || names.iter().any(|n| n == name) {
                        return Err(format!("names a level `{name}`: names are lower case, each once, not `device`"));
                    }
                    captured.push(at);
                    names.push(name.to_owned());
                    Level::Any
                }
                (None, _) if level.contains(['+', '#', '{', '}']) => {
                    return Err(format!("has the level \"{level}\": `+`, `#` and a parameter stand for whole levels"));
                }
                (None, _) => Level::Is(level.to_owned()),
            });
        }
        let plain = |level: &Level| match level {
            Level::Is(text) => text.clone(),
            Level::Any => "+".to_owned(),
            Level::Rest => "#".to_owned(),
        };
        let text = levels.iter().map(plain).collect::<Vec<_>>().join("/");
        Ok((Self { text, levels, captured }, names))
    }

    /// MQTT's rule, also that a wildcard at the top matches nothing of the broker's own `$…`.
    pub(super) fn matches(&self, topic: &str) -> bool {
        let mut given = topic.split('/');
        if topic.starts_with('$') && !matches!(self.levels.first(), Some(Level::Is(_))) {
            return false;
        }
        for level in &self.levels {
            match (level, given.next()) {
                (Level::Rest, _) => return true,
                (_, None) => return false,
                (Level::Is(text), Some(given)) if text != given => return false,
                _ => {}
            }
        }
        given.next().is_none()
    }

    /// The named levels of a topic that matches, in the order of the names.
    pub(super) fn captures<'t>(&self, topic: &'t str) -> impl Iterator<Item = &'t str> {
        let mut captured = self.captured.iter().peekable();
        topic.split('/').enumerate().filter_map(move |(at, level)| captured.next_if(|c| **c == at).map(|_| level))
    }

    /// There is a topic that both match.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let own = |filter: &Self| matches!(filter.levels.first(), Some(Level::Is(text)) if text.starts_with('$'));
        let wild = |filter: &Self| !matches!(filter.levels.first(), Some(Level::Is(_)));
        if (own(self) && wild(other)) || (wild(self) && own(other)) {
            return false;
        }
        overlap(&self.levels, &other.levels)
    }
}

fn overlap(one: &[Level], other: &[Level]) -> bool {
    match (one, other) {
        ([Level::Rest, ..], _) | (_, [Level::Rest, ..]) | ([], []) => true,
        ([a, one @ ..], [b, other @ ..]) => (a == b || *a == Level::Any || *b == Level::Any) && overlap(one, other),
        _ => false,
    }
}

/// Names of captures and fields: what `{name}` may hold.
pub(super) fn is_name(name: &str) -> bool {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && name.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).expect("the test's filter is right").0
    }

    #[test]
    fn captures_become_plain_wildcards() {
        let (filter, names) = Filter::parse("dc1/+lane/+/+station/read").unwrap();
        assert_eq!(filter.text, "dc1/+/+/+/read");
        assert_eq!(names, ["lane", "station"]);
        assert_eq!(filter.captures("dc1/12/x/A1/read").collect::<Vec<_>>(), ["12", "A1"]);
    }

    #[test]
    fn topics_match_as_mqtt_says() {
        for (text, topic, expected) in [
            ("a/+x/read", "a/b/read", true),
            ("a/+x/read", "a//read", true),
            ("a/+x/read", "a/b/c/read", false),
            ("a/+x/read", "a/b", false),
            ("a/+x/read", "a/b/read/", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
        ] {
            assert_eq!(filter(text).matches(topic), expected, "{text} {topic}");
        }
    }

    #[test]
    fn filters_overlap_when_one_topic_suits_both() {
        for (one, other, expected) in [
            ("a/+x/read", "a/b/read", true),
            ("a/+x/read", "+/b/+", true),
            ("a/+x/read", "a/#", true),
            ("a", "a/#", true),
            ("a/+x/read", "a/+y/write", false),
            ("a/+x", "a/b/c", false),
            ("#", "$SYS/x", false),
        ] {
            assert_eq!(filter(one).overlaps(&filter(other)), expected, "{one} {other}");
            assert_eq!(filter(other).overlaps(&filter(one)), expected, "{other} {one}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "a/#/b", "a/b+", "a/#b", "a/{root}/b", "a/+Lane", "a/+x/+x", "a/+device", "$share/g/a", "a\0"]
        {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
