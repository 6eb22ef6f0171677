//! Texts with names in them: `"lane-{lane:02}"`, and `"= 100 + (lane - 1) * 4"`, which is a number.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::expression::{Wrong, evaluate};

/// Digits that a number is filled up to with zeros, at most.
const MAX_WIDTH: usize = 9;

/// What a text means where names have values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filled {
    /// Nothing in it is to be filled in.
    AsItStands,
    /// An expression's value.
    Number(i64),
    /// The text, filled in.
    Text(String),
}

/// Fills in `{expression}` and `{expression:03}`; braces that hold none of the names stay, for they mean something else.
pub(super) fn fill(text: &str, names: &BTreeMap<String, String>) -> Result<Filled, Wrong> {
    if let Some(expression) = text.strip_prefix('=') {
        return evaluate(expression, names).map(Filled::Number).map_err(|wrong| behind(1, wrong));
    }
    let (mut made, mut at) = (String::new(), 0);
    while let Some((from, to)) = braces(text, at).filter(|(from, to)| from < to) {
        let inner = &text[from..to];
        let (expression, width) = inner.split_once(':').unwrap_or((inner, ""));
        if mentions(expression, names) {
            let value = evaluate(expression, names).map_err(|wrong| behind(from, wrong))?;
            let width = width_of(width).map_err(|wrong| behind(from + expression.len() + 1, wrong))?;
            made += &text[at..from - 1];
            write!(made, "{value:0width$}").expect("writing to a String cannot fail");
        } else {
            made += &text[at..=to];
        }
        at = to + 1;
    }
    Ok(if at == 0 { Filled::AsItStands } else { Filled::Text(made + &text[at..]) })
}

/// The inside of the next braces behind `at`.
fn braces(text: &str, at: usize) -> Option<(usize, usize)> {
    let from = at + text[at..].find('{')? + 1;
    Some((from, from + text[from..].find('}')?))
}

/// Whether one of its words is one of the names.
pub(super) fn mentions(expression: &str, names: &BTreeMap<String, String>) -> bool {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| names.contains_key(word))
}

fn width_of(text: &str) -> Result<usize, Wrong> {
    if text.is_empty() {
        return Ok(0);
    }
    let width = text.strip_prefix('0').and_then(|digits| digits.parse().ok()).filter(|width| *width <= MAX_WIDTH);
    width.ok_or_else(|| Wrong {
        at: 0,
        message: format!("`{text}` is no width"),
        help: "write {name:02} for two digits, at most {name:09}".to_owned(),
    })
}

fn behind(offset: usize, wrong: Wrong) -> Wrong {
    Wrong { at: wrong.at + offset, ..wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Filled, (usize, &str)>) {
        let names = [("lane".to_owned(), "7".to_owned())].into();
        let made = fill(text, &names).map_err(|wrong| (wrong.at, wrong.message));
        assert_eq!(made, expected.map_err(|(at, message)| (at, message.to_owned())), "{text}");
    }

    #[test]
    fn texts_and_numbers_are_filled_in() {
        let text = |text: &str| Ok(Filled::Text(text.to_owned()));
        check("lane-{lane:02}", text("lane-07"));
        check("{lane}/{lane + 1}/{lane * 100:05}", text("7/8/00700"));
        check("= 100 + (lane - 1) * 4", Ok(Filled::Number(124)));
        check("floor/scan", Ok(Filled::AsItStands));
        check("a/{station}/{lane}", text("a/{station}/7"));
        check("{lane", Ok(Filled::AsItStands));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        check("lane-{lane:2}", Err((11, "`2` is no width")));
        check("lane-{lane:099}", Err((11, "`099` is no width")));
        check("x{lane / (lane - 7)}", Err((7, "divides 7 by 0")));
        check("= lain", Err((2, "there is no `lain`")));
        check("ä{lane +}", Err((9, "a number is missing")));
    }
}
