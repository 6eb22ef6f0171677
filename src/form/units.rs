//! Durations and sizes carry their unit.

use rust_decimal::Decimal;
use toml::de::DeValue;

use super::{FromValue, Kind};

/// A duration, written with its unit: `500ms`, `20s`, `5m`, `24h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub std::time::Duration);

/// A size in bytes, written with its unit: `512 KiB`, `2 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A text or a number, as text: what a parameter may be given as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain(pub String);

impl Duration {
    /// Reads `20s` and the like; also what the command line takes.
    pub fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let (number, unit) = split(text)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Self(std::time::Duration::from_millis(number.checked_mul(*factor)?)))
    }
}

impl std::fmt::Display for Duration {
    /// In the largest unit that divides it: what files and the command line take.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let (length, unit) =
            units.iter().find(|(length, _)| ms > 0 && ms.is_multiple_of(*length)).unwrap_or(&(1, "ms"));
        write!(f, "{}{unit}", ms / length)
    }
}

impl Bytes {
    /// Reads `2 GiB` and the like.
    pub fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
        let (number, unit) = split(text)?;
        let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(1 << shift).map(Self)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

impl FromValue for Duration {
    const EXPECTED: &'static str = "a duration with its unit, such as \"500ms\", \"20s\", \"5m\", \"24h\" or \"30d\"";
    fn kind() -> Kind {
        Kind::Form(r"^\s*[0-9]+\s*(ms|s|m|h|d)$")
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl FromValue for Bytes {
    const EXPECTED: &'static str = "a size with its unit, such as \"512 KiB\" or \"2 GiB\"";
    fn kind() -> Kind {
        Kind::Form(r"^\s*[0-9]+\s*(B|KiB|MiB|GiB|TiB)$")
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl FromValue for Plain {
    const EXPECTED: &'static str = "a text in quotes or a number";
    fn kind() -> Kind {
        Kind::Plain
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let text = value.as_str().map(str::to_owned);
        text.or_else(|| Decimal::from_value(value).map(|number| number.to_string())).map(Self)
    }
}

impl FromValue for Decimal {
    const EXPECTED: &'static str = "a number such as 5, 0.001 or -9999.0";
    fn kind() -> Kind {
        Kind::Number
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        if let Some(integer) = i64::from_value(value) {
            return Some(integer.into());
        }
        let text = value.as_float()?.as_str().replace('_', "");
        text.parse().ok().or_else(|| Self::from_scientific(&text).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_is_written() {
        let read = |text: &str| {
            let root = toml::de::DeTable::parse(text).expect("it is TOML");
            Decimal::from_value(root.get_ref().get("x").expect("x stands there").get_ref()).map(|n| n.to_string())
        };
        for (text, expected) in
            [("0.1", "0.1"), ("5.000", "5.000"), ("1e-3", "0.001"), ("0x7F", "127"), ("-1_000", "-1000")]
        {
            assert_eq!(read(&format!("x = {text}")).as_deref(), Some(expected), "{text}");
        }
        for bad in ["nan", "inf", "\"1\"", "true", "1e400"] {
            assert_eq!(read(&format!("x = {bad}")), None, "{bad}");
        }
    }

    #[test]
    fn units_are_required() {
        assert_eq!(Duration::parse("20s"), Some(Duration(std::time::Duration::from_secs(20))));
        assert_eq!(Duration::parse("30 d"), Some(Duration(std::time::Duration::from_hours(720))));
        assert_eq!(Bytes::parse("512 KiB"), Some(Bytes(512 * 1024)));
        for bad in ["20", "s", "-1s", "1.5s", "99999999999999999999s", "9999999999999999999d"] {
            assert_eq!(Duration::parse(bad), None, "{bad}");
        }
        assert_eq!(Bytes::parse("2 GB"), None);
    }
}
