//! Texts with `{name}` in them.

use std::borrow::Cow;

/// A text whose `{name}`s are known.
#[derive(Debug, Clone)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    /// Its name, and where its value is.
    Value(String, usize),
}

impl Template {
    /// Reads a template; `find` knows where a name's value is, or why it may not stand here.
    ///
    /// # Errors
    /// A brace that is not closed, or what `find` says.
    pub(super) fn parse(text: &str, mut find: impl FnMut(&str) -> Result<usize, String>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("has a brace that is not closed")?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(name.to_owned(), find(name)?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// How many values it has.
    pub(super) fn values(&self) -> usize {
        self.0.iter().filter(|part| matches!(part, Part::Value(..))).count()
    }

    /// The text with its values.
    ///
    /// # Errors
    /// The name whose value is empty: two things without a name are not one thing.
    pub(super) fn fill<'v>(&self, value: impl Fn(usize) -> Option<Cow<'v, str>>) -> Result<String, &str> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value(name, at) => {
                    text.push_str(&value(*at).filter(|value| !value.is_empty()).ok_or(name.as_str())?);
                }
            }
        }
        Ok(text)
    }
}
