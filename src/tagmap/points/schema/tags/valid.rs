//! `valid`: which numbers and texts are values.

use regex::{Regex, RegexBuilder};
use rust_decimal::Decimal;

use crate::form::{Entry, FromValue as _, Kind, Table};
use crate::tagmap::points::tag::{Form, Valid};
use crate::tagmap::registers::Type;

/// Compiled size of a pattern, bytes.
const MAX_PATTERN: usize = 64 * 1024;

/// `valid = { … }`
pub(super) fn read(table: &Table<'_>, form: Option<Form>) -> Valid {
    let mut valid = Valid { min: table.optional("min"), max: table.optional("max"), ..Valid::default() };
    let is_text = matches!(form, Some(Form::Registers(kind)) if !kind.is_number());
    for (keys, what) in [(&["min", "max", "invalid"][..], "numbers"), (&["pattern"], "texts")] {
        let registers = matches!(form, Some(Form::Registers(_)));
        for key in keys.iter().filter(|key| registers && is_text == (what == "numbers") && table.entry(key).is_some()) {
            table.refuse_key(key, &format!("is for {what}"), "remove it, or give the tag another type");
        }
    }
    valid.pattern = table.entry("pattern").and_then(|e| pattern(&e));
    if valid.min.zip(valid.max).is_some_and(|(min, max)| min > max) {
        table.refuse_key("min", "is above max", "exchange them");
    }
    valid.reject =
        table.entry("else").and_then(|e| e.choice(&[("bad-quality", false), ("reject", true)])).unwrap_or(false);
    if let Some(entry) = table.entry("invalid") {
        entry.expects(|| Kind::List(Box::new(Kind::Any)));
        let list = entry.value().as_array().map(|list| list.iter().map(toml::Spanned::get_ref).collect::<Vec<_>>());
        let known = |value: &toml::de::DeValue<'_>| {
            let number = Decimal::from_value(value);
            // A float that is no number is never a value; naming it makes a map say what the device does.
            number.map(Some).or_else(|| value.as_str().filter(|word| ["nan", "inf"].contains(word)).map(|_| None))
        };
        match list.and_then(|list| list.into_iter().map(known).collect::<Option<Vec<_>>>()) {
            Some(numbers) => valid.numbers = numbers.into_iter().flatten().map(|n| as_held(n, form)).collect(),
            None => entry.refuse("is not a list of numbers, \"nan\" and \"inf\"", "write invalid = [\"nan\", -9999.0]"),
        }
    }
    valid
}

/// What a text must be as a whole.
fn pattern(entry: &Entry<'_>) -> Option<Regex> {
    let text: String = entry.read()?;
    match RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MAX_PATTERN).build() {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let why = why.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            entry.refuse(&format!("is no pattern: {why}"), "write '[0-9]{18}' and the like, in single quotes");
            None
        }
    }
}

/// Lists write what stands for no value as the registers hold it: 0x80000000 of an i32 is its least number.
fn as_held(number: Decimal, form: Option<Form>) -> Decimal {
    let bits = match form {
        Some(Form::Registers(Type::I16 | Type::Swapped { signed: true })) => 16,
        Some(Form::Registers(Type::I32(_))) => 32,
        Some(Form::Registers(Type::I64(_))) => 64,
        _ => return number,
    };
    let all = Decimal::from(1_i128 << bits);
    if number >= all / Decimal::TWO && number < all { number - all } else { number }
}
