//! Decimals, exactly: what a device says becomes a quantity in the unit that is wanted, without a float on the way.

use std::borrow::Cow;

use rust_decimal::{Decimal, RoundingStrategy};
use toml::de::DeValue;

use crate::form::{FromValue, Kind, Table};

/// Most decimals that a value can have.
const MAX_DIGITS: u32 = 12;

/// Units of one kind, and how many of the kind's first each is (the inch and the pound by their definitions of 1959).
const UNITS: [&[(&str, &str)]; 3] = [
    &[("mm", "1"), ("cm", "10"), ("m", "1000"), ("in", "25.4"), ("ft", "304.8")],
    &[("g", "1"), ("mg", "0.001"), ("kg", "1000"), ("t", "1000000"), ("oz", "28.349523125"), ("lb", "453.59237")],
    &[("ml", "1"), ("cm3", "1"), ("l", "1000"), ("dm3", "1000"), ("m3", "1000000"), ("in3", "16.387064")],
];

/// What becomes of a number that a device sends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    scale: Decimal,
    /// Multiply, then divide: exact where the quotient is.
    convert: Option<(Decimal, Decimal)>,
    digits: Option<u32>,
    valid: Option<Valid>,
}

#[derive(Debug, Clone, PartialEq)]
struct Valid {
    min: Option<Decimal>,
    max: Option<Decimal>,
    /// What is not valid is left out; otherwise the message is refused.
    leave_out: bool,
}

/// A number of a TOML file, digit for digit.
struct Exact(Decimal);

impl FromValue for Exact {
    const EXPECTED: &'static str = "a number";
    fn kind() -> Kind {
        Kind::Number
    }
    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let text = match value {
            DeValue::Integer(_) => i64::from_value(value)?.to_string(),
            DeValue::Float(float) => float.as_str().replace('_', ""),
            _ => return None,
        };
        parse(&text).map(Exact)
    }
}

/// A decimal as JSON and people write it.
pub(super) fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let text = text.strip_prefix('+').filter(|rest| !rest.starts_with(['+', '-'])).unwrap_or(text);
    if text.starts_with('+') || text.contains('_') {
        return None;
    }
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

impl Number {
    /// Reads `unit`, `to`, `scale`, `digits`, `valid` of a field.
    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let scale = table.or("scale", Exact(Decimal::ONE)).0;
        if scale.is_zero() {
            table.refuse_key("scale", "is 0", "write what one step of the device is worth, in `unit`");
        }
        let (unit, to): (Option<String>, Option<String>) = (table.optional("unit"), table.optional("to"));
        let convert = match (&unit, &to) {
            (None, Some(_)) => {
                table.refuse_key("to", "says what it becomes, and nothing what it is", "write `unit` beside it");
                return None;
            }
            (Some(unit), Some(to)) => Some(conversion(table, unit, to)?),
            (_, None) => None,
        };
        let digits: Option<u32> = table.optional("digits");
        if let Some(digits) = digits.filter(|digits| *digits > MAX_DIGITS) {
            table.refuse_key("digits", &format!("is {digits}"), "write at most 12");
        }
        let valid = table.table("valid").map(|valid| Valid {
            min: valid.optional("min").map(|Exact(min)| min),
            max: valid.optional("max").map(|Exact(max)| max),
            leave_out: valid.entry("else").and_then(|e| e.choice(&[("reject", false), ("none", true)])) == Some(true),
        });
        if let Some(Valid { min: Some(min), max: Some(max), .. }) = &valid
            && min > max
        {
            table.refuse_key("valid", &format!("holds nothing: min {min} is above max {max}"), "swap them");
        }
        Some(Self { scale, convert, digits, valid })
    }

    /// What the device's number is worth; `Ok(None)`: it is not valid and left out.
    ///
    /// # Errors
    /// It is too large, or not valid.
    pub(super) fn of(&self, raw: Decimal) -> Result<Option<Decimal>, Cow<'static, str>> {
        let too_large = || Cow::Borrowed("is too large");
        let mut value = raw.checked_mul(self.scale).ok_or_else(too_large)?;
        if let Some((times, by)) = self.convert {
            value = value.checked_mul(times).and_then(|value| value.checked_div(by)).ok_or_else(too_large)?;
        }
        let value = match self.digits {
            Some(digits) => {
                let mut rounded = value.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
                rounded.rescale(digits);
                rounded
            }
            None => value.normalize(),
        };
        let Some(valid) = &self.valid else { return Ok(Some(value)) };
        let below = valid.min.filter(|min| value < *min).map(|min| format!("is {value}, less than {min}"));
        let above = valid.max.filter(|max| value > *max).map(|max| format!("is {value}, more than {max}"));
        match below.or(above) {
            Some(_) if valid.leave_out => Ok(None),
            Some(why) => Err(Cow::Owned(format!("{why} (valid)"))),
            None => Ok(Some(value)),
        }
    }

    /// A number that it left out is missing.
    pub(super) fn may_leave_out(&self) -> bool {
        self.valid.as_ref().is_some_and(|valid| valid.leave_out)
    }
}

/// What to multiply by and what to divide by to make one unit of another.
pub(super) fn conversion(table: &Table<'_>, unit: &str, to: &str) -> Option<(Decimal, Decimal)> {
    let known = || UNITS.concat().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let find = |key: &str, name: &str| {
        let found = UNITS
            .iter()
            .enumerate()
            .find_map(|(kind, units)| units.iter().find(|(unit, _)| *unit == name).map(|(_, size)| (kind, size)));
        if found.is_none() {
            let help = format!("to convert, one of {}; without `to` any word will do", known());
            table.refuse_key(key, &format!("\"{name}\" is not known here"), &help);
        }
        found
    };
    let ((kind, from), (other, into)) = (find("unit", unit)?, find("to", to)?);
    if kind != other {
        table.refuse_key("to", &format!("\"{to}\" can't be made of \"{unit}\""), "name a unit of the same kind");
        return None;
    }
    Some((parse(from)?, parse(into)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Document;

    fn number(text: &str) -> Result<Number, Vec<String>> {
        let document = Document { name: "map.toml".to_owned(), text: text.to_owned() };
        document.read(Number::read).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    fn of(text: &str, raw: &str) -> Result<Option<String>, String> {
        let number = number(text).expect("the test's number is right");
        number.of(parse(raw).expect("a number")).map(|v| v.map(|v| v.to_string())).map_err(Cow::into_owned)
    }

    #[test]
    fn quantities_are_exact() {
        for (keys, raw, expected) in [
            ("", "12.30", "12.3"),
            ("", "1e3", "1000"),
            ("", "-0.1", "-0.1"),
            ("digits = 3", "3.4", "3.400"),
            ("digits = 0", "2.5", "3"),
            ("digits = 0", "-2.5", "-3"),
            ("scale = 0.1\nunit = \"mm\"\nto = \"cm\"", "3005", "30.05"),
            ("unit = \"in\"\nto = \"mm\"", "0.1", "2.54"),
            ("unit = \"lb\"\nto = \"kg\"\ndigits = 3", "2.2", "0.998"),
            ("unit = \"kg\"\nto = \"lb\"\ndigits = 4", "1", "2.2046"),
            ("unit = \"l\"\nto = \"m3\"", "1", "0.001"),
            ("unit = \"bananas\"\nscale = 1_000", "2", "2000"),
        ] {
            assert_eq!(of(keys, raw), Ok(Some(expected.to_owned())), "{keys} {raw}");
        }
        assert_eq!(of("scale = 1000000000", "79000000000000000000000000000"), Err("is too large".to_owned()));
    }

    #[test]
    fn what_is_not_valid_is_refused_or_left_out() {
        let limits = "min = 1, max = 2000";
        let told = |raw| of(&format!("scale = 0.1\nvalid = {{ {limits} }}"), raw);
        assert_eq!(told("10"), Ok(Some("1".to_owned())));
        assert_eq!(told("9"), Err("is 0.9, less than 1 (valid)".to_owned()));
        assert_eq!(told("20001"), Err("is 2000.1, more than 2000 (valid)".to_owned()));
        assert_eq!(of(&format!("valid = {{ {limits}, else = \"none\" }}"), "0"), Ok(None));
    }

    #[test]
    fn what_can_not_be_meant_is_told() {
        for (text, expected) in [
            ("to = \"cm\"", "1:6: to: says what it becomes, and nothing what it is (write `unit` beside it)"),
            ("unit = \"kg\"\nto = \"cm\"", "2:6: to: \"cm\" can't be made of \"kg\" (name a unit of the same kind)"),
            ("scale = 0", "1:9: scale: is 0 (write what one step of the device is worth, in `unit`)"),
            ("valid = { min = 2, max = 1.5 }", "1:9: valid: holds nothing: min 2 is above max 1.5 (swap them)"),
            ("digits = 13", "1:10: digits: is 13 (write at most 12)"),
        ] {
            assert_eq!(number(text), Err(vec![format!("map.toml:{expected}")]), "{text}");
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        let read = |text| parse(text).map(|number| number.to_string());
        for (text, number) in
            [("12.30", "12.30"), ("+5", "5"), ("-5", "-5"), ("1e3", "1000"), ("1e28", "10000000000000000000000000000")]
        {
            assert_eq!(read(text).as_deref(), Some(number), "{text}");
        }
        for text in ["1_0", "++5", "+-5", "--5", "0x1", "1e29", "1e400", "", "-", "+"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn there_and_back_is_the_same(raw in -1_000_000_i64..1_000_000) {
            let there = number("unit = \"in\"\nto = \"mm\"").unwrap().of(raw.into()).unwrap().unwrap();
            let back = number("unit = \"mm\"\nto = \"in\"").unwrap().of(there).unwrap().unwrap();
            proptest::prop_assert_eq!(back, raw.into());
        }
    }
}
