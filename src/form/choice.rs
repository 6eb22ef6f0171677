//! Values that are one of several words or numbers, and the word that was meant.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeValue;

use super::{Entry, FromValue as _, Kind, describe};

/// `one of "a", "b"`: what a fault says of the words that may be written.
pub fn one_of<T>(words: &[(&str, T)]) -> String {
    format!("one of {}", words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}

impl<'d> Entry<'d> {
    /// Whether it is one of these words, which are kept for later versions: that is told.
    pub fn later(&self, words: &[&str], help: &str) -> bool {
        let word = self.value.as_str().filter(|text| words.contains(text));
        if let Some(word) = word {
            self.refuse(&format!("\"{word}\" is not in this version"), help);
        }
        word.is_some()
    }

    /// One of the `(number, meaning)` pairs; a fault with that help when it is none.
    pub fn number_of<T: Copy>(&self, numbers: &[(i64, T)], help: &str) -> Option<T> {
        for (number, _) in numbers {
            self.expects(|| Kind::Numeral(*number));
        }
        let given: i64 = self.value_as()?;
        let found = numbers.iter().find(|(number, _)| *number == given);
        if found.is_none() {
            self.refuse(&format!("is {given}"), help);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// One of the `(word, meaning)` pairs; a fault that lists them (and the nearest) when it is none.
    pub fn choice<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        for (word, _) in words {
            self.expects(|| Kind::Word((*word).to_owned()));
        }
        self.one_of(words, &[])
    }

    /// The same; `others` are what people write elsewhere, and the word that it is here.
    pub fn choice_or_meant<T: Clone>(&self, words: &[(&str, T)], others: &[(&str, &str)]) -> Option<T> {
        for (word, _) in words {
            self.expects(|| Kind::Word((*word).to_owned()));
        }
        self.one_of(words, others)
    }

    /// A list of such words; what is none of them is a fault at its place, and left out.
    pub fn choices<T: Clone>(&self, words: &[(&str, T)]) -> Vec<T> {
        for (word, _) in words {
            self.expects(|| Kind::List(Box::new(Kind::Word((*word).to_owned()))));
        }
        let Some(list) = self.value.as_array() else {
            self.refuse(&format!("is {}", describe(self.value)), &format!("write {}", Vec::<String>::EXPECTED));
            return Vec::new();
        };
        let item = |(i, value): (usize, &'d Spanned<DeValue<'d>>)| Entry {
            table_path: self.table_path.clone(),
            pattern: self.pattern.clone(),
            key: format!("{}[{}]", self.key, i + 1),
            span: value.span(),
            value: value.get_ref(),
            ..*self
        };
        list.iter().enumerate().filter_map(|each| item(each).one_of(words, &[])).collect()
    }

    fn one_of<T: Clone>(&self, words: &[(&str, T)], others: &[(&str, &str)]) -> Option<T> {
        let list = one_of(words);
        if self.value.as_str().is_none() {
            self.refuse(&format!("is {}", describe(self.value)), &list);
            return None;
        }
        let text: String = self.value_as()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(meaning.clone());
        }
        let known: BTreeSet<String> = words.iter().map(|(word, _)| (*word).to_owned()).collect();
        let other = others.iter().find(|(other, word)| text.eq_ignore_ascii_case(other) && known.contains(*word));
        let hint = other.map_or_else(|| nearest(&text, &known), |(_, word)| format!("did you mean `{word}`?"));
        let help = if hint.starts_with("did") { format!("{hint} O{}", &list[1..]) } else { list };
        self.refuse(&format!("\"{text}\" is not known here"), &help);
        None
    }
}

/// The one of `known` that a word may be a misspelling of.
pub fn meant<'k>(word: &str, known: &'k BTreeSet<String>) -> Option<&'k String> {
    let small = word.to_lowercase();
    let best = known.iter().map(|k| (strsim::damerau_levenshtein(&small, &k.to_lowercase()), k)).min();
    // Of three letters, two others are another word.
    let most = |k: &str| if word.len().min(k.len()) <= 3 { 1 } else { (word.len() / 3).max(2) };
    let near = best.filter(|(distance, k)| *distance <= most(k)).map(|(_, k)| k);
    let behind = |k: &&String| word.strip_prefix(k.as_str()).is_some_and(|rest| rest.starts_with(['_', '-']));
    near.or_else(|| known.iter().find(behind)) // `unit_id` is `unit`
}

/// `did you mean …?` for the nearest of `known`, or the list of them.
pub fn nearest(word: &str, known: &BTreeSet<String>) -> String {
    match meant(word, known) {
        Some(k) => format!("did you mean `{k}`?"),
        None if known.is_empty() => "nothing is expected here".to_owned(),
        None => format!("known here: {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// Names that are listed in one sentence.
const LISTED: usize = 20;

/// That there is no `what` of that name, and which there are: for names that people write outside of files.
pub fn there_is_no(what: &str, word: &str, known: &BTreeSet<String>) -> String {
    let near = meant(word, known).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    let listed: Vec<&str> = known.iter().take(LISTED).map(String::as_str).collect();
    let are = match known.len() {
        0 => "none is known".to_owned(),
        n if n > LISTED => format!("there are: {} and {} more", listed.join(", "), n - LISTED),
        _ => format!("there are: {}", listed.join(", ")),
    };
    format!("there is no {what} \"{word}\"{near}; {are}")
}
