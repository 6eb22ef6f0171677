//! The application identifiers that GS1 has assigned, as data: `dictionary.txt`.

use std::sync::LazyLock;

/// What stands behind one application identifier, or behind each of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ai {
    /// The first of the range: `3100`.
    pub first: &'static str,
    /// The last of the range: `3105`; the same as the first where there is no range.
    pub last: &'static str,
    /// GS1's data title: `NET WEIGHT (kg)`.
    pub title: &'static str,
    /// The parts of the value, in order.
    pub parts: Vec<Part>,
    /// Its length is known by heart: no separator is needed behind it.
    pub predefined: bool,
    /// It may stand in the query of a Digital Link.
    pub attribute: bool,
    /// It names a thing in a Digital Link; each list has the qualifiers that may follow, in order.
    pub key: Option<Vec<Vec<&'static str>>>,
    /// All of these hold: any of these groups is there, whole. Patterns, `n` is any digit.
    pub needs: Vec<Vec<Vec<&'static str>>>,
    /// None of these is there. Patterns, `n` is any digit.
    pub excludes: Vec<&'static str>,
}

/// One part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which characters.
    pub set: Set,
    /// Fewest characters.
    pub min: usize,
    /// Most characters.
    pub max: usize,
    /// It may be absent, with all that follows.
    pub optional: bool,
    /// What must hold for it, and what it means.
    pub checks: Vec<Check>,
}

/// The characters of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// 0 to 9.
    Digits,
    /// The invariant characters of ISO/IEC 646: letters, digits and 20 marks.
    Cset82,
    /// Upper-case letters, digits, `#`, `-`, `/`.
    Cset39,
    /// base64url.
    Base64,
}

/// A rule or a meaning of a part; the word of `dictionary.txt` stands behind each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// `check`: the last digit is GS1's check digit.
    Digit,
    /// `pair`: the last two are GS1's check character pair.
    Pair,
    /// `date0`: YYMMDD, day 00 for the end of the month.
    DateOrMonth,
    /// `date`: YYMMDD.
    Date,
    /// `longdate`: YYYYMMDD.
    LongDate,
    /// `time`: HHMM.
    Time,
    /// `hour`: 00 to 23.
    Hour,
    /// `minute`: 00 to 59.
    Minute,
    /// `second`: 00 to 59.
    Second,
    /// `country`: ISO 3166, three digits.
    Country,
    /// `country999`: the same, or 999 for many.
    CountryOrMany,
    /// `country2`: ISO 3166, two letters.
    CountryLetters,
    /// `currency`: ISO 4217, three digits.
    Currency,
    /// `percent`: percent-encoded UTF-8.
    Percent,
    /// `latitude`: 0 to 1800000000, degrees times 10^7 from the south pole.
    Latitude,
    /// `longitude`: 0 to 3600000000, degrees times 10^7.
    Longitude,
    /// `flag`: 0 or 1.
    Flag,
    /// `minus`: `-`.
    Minus,
    /// `importer`: a letter, digit, `-` or `_`.
    Importer,
    /// `media`: 01 to 10, 80 to 99.
    Media,
    /// `sex`: ISO 5218: 0, 1, 2, 9.
    Sex,
    /// `order`: `n/m`, the n-th of m.
    Order,
    /// `piece`: two halves, the n-th of m.
    Piece,
    /// `zero`: all zeros.
    Zero,
    /// `nonzero`: not all zeros.
    NonZero,
    /// `winding`: 0, 1 or 9.
    Winding,
    /// `iban`: an IBAN.
    Iban,
    /// `plain`: no leading zero unless it is 0.
    Plain,
    /// `letter`: not digits alone.
    Letter,
    /// `padding`: `=` only at the end, at most two.
    Padding,
    /// `decimals`: the last digit of the AI says how many digits are behind the point.
    Decimals,
    /// `hundredths`: two digits are behind the point.
    Hundredths,
    /// `count`: a number of pieces.
    Count,
}

const WORDS: [(&str, Check); 33] = [
    ("check", Check::Digit),
    ("pair", Check::Pair),
    ("date0", Check::DateOrMonth),
    ("date", Check::Date),
    ("longdate", Check::LongDate),
    ("time", Check::Time),
    ("hour", Check::Hour),
    ("minute", Check::Minute),
    ("second", Check::Second),
    ("country", Check::Country),
    ("country999", Check::CountryOrMany),
    ("country2", Check::CountryLetters),
    ("currency", Check::Currency),
    ("percent", Check::Percent),
    ("latitude", Check::Latitude),
    ("longitude", Check::Longitude),
    ("flag", Check::Flag),
    ("minus", Check::Minus),
    ("importer", Check::Importer),
    ("media", Check::Media),
    ("sex", Check::Sex),
    ("order", Check::Order),
    ("piece", Check::Piece),
    ("zero", Check::Zero),
    ("nonzero", Check::NonZero),
    ("winding", Check::Winding),
    ("iban", Check::Iban),
    ("plain", Check::Plain),
    ("letter", Check::Letter),
    ("padding", Check::Padding),
    ("decimals", Check::Decimals),
    ("hundredths", Check::Hundredths),
    ("count", Check::Count),
];

/// Digits of an AI: 2 to 4.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=4;

static DICTIONARY: LazyLock<Vec<Ai>> = LazyLock::new(|| {
    let lines = include_str!("dictionary.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Ai::parse(line).expect("a unit test reads the table, which is part of the binary")).collect()
});

/// All application identifiers, in the order of their first.
pub fn dictionary() -> &'static [Ai] {
    &DICTIONARY
}

/// The AI that `text` begins with, and its digits.
pub(super) fn find(text: &str) -> Option<(&'static Ai, &str)> {
    LENGTHS.filter_map(|length| text.get(..length)).find_map(|code| Some((exactly(code)?, code)))
}

/// The AI of exactly that code.
pub fn exactly(code: &str) -> Option<&'static Ai> {
    let before = DICTIONARY.partition_point(|ai| ai.first <= code);
    let ai = &DICTIONARY[before.checked_sub(1)?];
    (ai.first.len() == code.len() && code <= ai.last && is_digits(code)).then_some(ai)
}

/// An AI of two, three or four digits, or a pattern of them: `n` is any digit.
pub fn fits(pattern: &str, code: &str) -> bool {
    pattern.len() == code.len()
        && pattern.bytes().zip(code.bytes()).all(|(p, c)| p == c || (p == b'n' && c.is_ascii_digit()))
}

/// There is an AI that fits the pattern.
pub fn is_pattern(pattern: &str) -> bool {
    DICTIONARY.iter().filter(|ai| ai.first.len() == pattern.len()).flat_map(Ai::codes).any(|code| fits(pattern, &code))
}

pub(super) fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

impl Ai {
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('|').map(str::trim);
        let range = columns.next()?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let content = columns.next()?;
        let (predefined, content) = content.strip_prefix("= ").map_or((false, content), |content| (true, content));
        let mut ai = Self {
            first,
            last,
            title: columns.next()?,
            parts: content.split(' ').map(Part::parse).collect::<Option<_>>()?,
            predefined,
            attribute: false,
            key: None,
            needs: Vec::new(),
            excludes: Vec::new(),
        };
        for relation in columns.next().unwrap_or_default().split_whitespace() {
            match relation.split_once('=').unwrap_or((relation, "")) {
                ("link", _) => ai.attribute = true,
                ("key", "") => ai.key = Some(vec![Vec::new()]),
                ("key", lists) => ai.key = Some(lists.split('/').map(|list| list.split(',').collect()).collect()),
                ("with", all) => {
                    let group = |any: &'static str| any.split('/').map(|group| group.split('+').collect()).collect();
                    ai.needs = all.split('&').map(group).collect();
                }
                ("not", any) => ai.excludes = any.split('/').collect(),
                _ => return None,
            }
        }
        (LENGTHS.contains(&first.len()) && first.len() == last.len()).then_some(ai)
    }

    /// The codes of the range: `3100`, `3101`, …
    pub fn codes(&self) -> impl Iterator<Item = String> {
        let number = |code: &str| code.parse::<u16>().unwrap_or_default();
        (number(self.first)..=number(self.last)).map(|code| format!("{code:0width$}", width = self.first.len()))
    }

    /// Fewest characters of the value.
    pub fn min(&self) -> usize {
        self.parts.iter().filter(|part| !part.optional).map(|part| part.min).sum()
    }

    /// Most characters of the value.
    pub fn max(&self) -> usize {
        self.parts.iter().map(|part| part.max).sum()
    }

    /// The value has a part with that check.
    pub fn has(&self, check: Check) -> bool {
        self.parts.iter().any(|part| part.checks.contains(&check))
    }

    /// What is expected, for people: `14 digits`, `3 digits and 1 to 9 characters`.
    pub fn expected(&self) -> String {
        self.parts.iter().map(Part::expected).collect::<Vec<_>>().join(" and ")
    }
}

impl Part {
    fn parse(text: &'static str) -> Option<Self> {
        let mut words = text.split(':');
        let format = words.next()?;
        let optional = format.ends_with('?');
        let format = format.trim_end_matches('?');
        let set = match format.chars().next()? {
            'n' => Set::Digits,
            'x' => Set::Cset82,
            'y' => Set::Cset39,
            'z' => Set::Base64,
            _ => return None,
        };
        let length = &format[1..];
        let max = length.trim_start_matches("..").parse().ok()?;
        let min = if length.starts_with("..") { 1 } else { max };
        let check = |word| WORDS.iter().find(|(w, _)| *w == word).map(|(_, check)| *check);
        Some(Self { set, min, max, optional, checks: words.map(check).collect::<Option<_>>()? })
    }

    fn expected(&self) -> String {
        let (min, max) = (if self.optional { 0 } else { self.min }, self.max);
        let lengths = match (min, max) {
            (1, 1) => return format!("1 {}", self.set.name().trim_end_matches('s')),
            (min, max) if min == max => min.to_string(),
            (0, max) if self.min == max => format!("0 or {max}"),
            (min, max) => format!("{min} to {max}"),
        };
        format!("{lengths} {}", self.set.name())
    }
}

impl Set {
    /// The character belongs to it.
    pub fn has(self, c: char) -> bool {
        match self {
            Self::Digits => c.is_ascii_digit(),
            Self::Cset82 => c.is_ascii_alphanumeric() || "!\"%&'()*+,-./:;<=>?_".contains(c),
            Self::Cset39 => c.is_ascii_uppercase() || c.is_ascii_digit() || "#-/".contains(c),
            Self::Base64 => c.is_ascii_alphanumeric() || "-_=".contains(c),
        }
    }

    /// The characters, for people.
    pub const fn members(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Cset82 => "letters, digits and !\"%&'()*+,-./:;<=>?_",
            Self::Cset39 => "upper-case letters, digits, #, - and /",
            Self::Base64 => "letters, digits, -, _ and =",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Cset82 => "characters",
            Self::Cset39 => "characters of CSET 39",
            Self::Base64 => "base64url characters",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_sorted_and_no_ai_begins_another() {
        assert_eq!((dictionary().len(), dictionary().iter().flat_map(Ai::codes).count()), (224, 541));
        let codes: Vec<String> = dictionary().iter().flat_map(Ai::codes).collect();
        for pair in codes.windows(2) {
            assert!(pair[0] < pair[1] && !pair[1].starts_with(&pair[0]), "{pair:?}");
        }
        for code in &codes {
            let (ai, found) = find(code).unwrap_or_else(|| panic!("{code} is not found"));
            assert_eq!((found, exactly(code)), (code.as_str(), Some(ai)));
        }
        for none in ["04", "3106", "31", "9", "", "é10", "41", "4340"] {
            assert_eq!(find(none), None, "{none}");
        }
    }

    #[test]
    fn every_relation_names_ais_that_exist() {
        let codes: Vec<String> = dictionary().iter().flat_map(Ai::codes).collect();
        for ai in dictionary() {
            let needs = ai.needs.iter().flatten().flatten();
            let qualifiers = ai.key.iter().flatten().flatten();
            for pattern in needs.chain(&ai.excludes).chain(qualifiers) {
                assert!(codes.iter().any(|code| fits(pattern, code)), "{} names {pattern}", ai.first);
            }
        }
    }

    #[test]
    fn formats_are_told_in_words() {
        for (code, expected) in [
            ("01", "14 digits"),
            ("10", "1 to 20 characters"),
            ("421", "3 digits and 1 to 9 characters"),
            ("8003", "1 digit and 13 digits and 0 to 16 characters"),
            ("4330", "6 digits and 0 or 1 characters"),
            ("8010", "1 to 30 characters of CSET 39"),
        ] {
            assert_eq!(exactly(code).map(Ai::expected).as_deref(), Some(expected), "{code}");
        }
    }
}
