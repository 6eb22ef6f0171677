//! Whole numbers reckoned from names: `100 + (lane - 1) * 4`.
//!
//! An expression has whole numbers, names, `+ - * / %` and parentheses; nothing else. Division rounds down and `%` is its
//! rest, which is never negative for a divisor above 0: `(lane - 1) / 16` and `(lane - 1) % 16` are a register and a bit
//! of it. What leaves 64 bits, and a division by 0, are wrong at their place.

use std::collections::{BTreeMap, BTreeSet};

use super::nearest;

/// Parentheses and signs in each other.
const MAX_DEPTH: u8 = 16;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Byte of the text where it is.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// The value of an expression over `names`; a name with a value that is no whole number is known, but can't be reckoned
/// with.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn evaluate(text: &str, names: &BTreeMap<String, String>) -> Result<i64, Wrong> {
    let mut parser = Parser { text, at: 0, names, depth: 0 };
    parser.skip_space();
    let value = parser.sum()?;
    if parser.rest().is_empty() {
        return Ok(value);
    }
    let message = format!("`{}` is not understood", parser.rest());
    Err(parser.wrong(parser.at, &message, "write + - * / % between whole numbers and names"))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    names: &'a BTreeMap<String, String>,
    depth: u8,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn sum(&mut self) -> Result<i64, Wrong> {
        let mut value = self.product()?;
        while let Some((at, sign)) = self.take(&['+', '-']) {
            let next = self.product()?;
            let made = if sign == '+' { value.checked_add(next) } else { value.checked_sub(next) };
            value = made.ok_or_else(|| self.too_large(at))?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<i64, Wrong> {
        let mut value = self.factor()?;
        while let Some((at, sign)) = self.take(&['*', '/', '%']) {
            let next = self.factor()?;
            if next == 0 && sign != '*' {
                return Err(self.wrong(at, &format!("divides {value} by 0"), "divide by another number"));
            }
            let made = match sign {
                '*' => value.checked_mul(next),
                '/' => value.checked_div_euclid(next),
                _ => value.checked_rem_euclid(next),
            };
            value = made.ok_or_else(|| self.too_large(at))?;
        }
        Ok(value)
    }

    fn factor(&mut self) -> Result<i64, Wrong> {
        let Some((at, sign)) = self.take(&['(', '-']) else { return self.word() };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(at, "has too many parentheses", "write it simpler"));
        }
        let value = if sign == '-' {
            self.factor()?.checked_neg().ok_or_else(|| self.too_large(at))?
        } else {
            let value = self.sum()?;
            if self.take(&[')']).is_none() {
                return Err(self.wrong(at, "the `)` to this `(` is missing", "close it"));
            }
            value
        };
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self) -> Result<i64, Wrong> {
        let (at, rest) = (self.at, self.rest());
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        self.skip_space();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return word
                .parse()
                .map_err(|_| self.wrong(at, &format!("`{word}` is no whole number"), "write 0, 1, 2 …"));
        }
        match self.names.get(&word).map(|value| value.parse()) {
            Some(Ok(number)) => Ok(number),
            Some(Err(_)) => {
                Err(self.wrong(at, &format!("`{word}` is no whole number"), "reckon with whole numbers alone"))
            }
            None if word.is_empty() => {
                Err(self.wrong(at, "a number is missing", "write a whole number, a name, or ( … )"))
            }
            None => {
                let known: BTreeSet<String> = self.names.keys().cloned().collect();
                Err(self.wrong(at, &format!("there is no `{word}`"), &nearest(&word, &known)))
            }
        }
    }

    /// The next sign, if it is one of these, and where it stands.
    fn take(&mut self, any: &[char]) -> Option<(usize, char)> {
        let first = self.rest().chars().next().filter(|c| any.contains(c))?;
        let at = self.at;
        self.at += first.len_utf8();
        self.skip_space();
        Some((at, first))
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn wrong(&self, at: usize, message: &str, help: &str) -> Wrong {
        Wrong { at: at.min(self.text.len()), message: message.to_owned(), help: help.to_owned() }
    }

    fn too_large(&self, at: usize) -> Wrong {
        self.wrong(at, "becomes larger than 64 bits", "reckon with smaller numbers")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> BTreeMap<String, String> {
        [("base", "100"), ("lane", "7"), ("root", "floor")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn check(text: &str, expected: Result<i64, &str>) {
        let made = evaluate(text, &names()).map_err(|wrong| format!("{} {} ({})", wrong.at, wrong.message, wrong.help));
        assert_eq!(made, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn whole_numbers_are_reckoned_from_names() {
        check("base + 1", Ok(101));
        check(" base+(lane - 1)*4 ", Ok(124));
        check("base - lane - 3", Ok(90));
        check("base / 4 * 2", Ok(50));
        check("base / lane", Ok(14));
        check("base % lane", Ok(2));
        check("(3 - base) / lane", Ok(-14));
        check("(3 - base) % lane", Ok(1));
        check("-lane + - -2 * -(3)", Ok(-13));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        check("base / (lane - 7)", Err("5 divides 100 by 0 (divide by another number)"));
        check("base % 0", Err("5 divides 100 by 0 (divide by another number)"));
        check("bose + 1", Err("0 there is no `bose` (did you mean `base`?)"));
        check("1 + root", Err("4 `root` is no whole number (reckon with whole numbers alone)"));
        check("base +", Err("6 a number is missing (write a whole number, a name, or ( … ))"));
        check("base 1", Err("5 `1` is not understood (write + - * / % between whole numbers and names)"));
        check("1 + (base", Err("4 the `)` to this `(` is missing (close it)"));
        check("1 + 9223372036854775807", Err("2 becomes larger than 64 bits (reckon with smaller numbers)"));
        check("99999999999999999999", Err("0 `99999999999999999999` is no whole number (write 0, 1, 2 …)"));
        check(&"(".repeat(200), Err("16 has too many parentheses (write it simpler)"));
        check(&"-".repeat(200), Err("16 has too many parentheses (write it simpler)"));
        check("1ä", Err("1 `ä` is not understood (write + - * / % between whole numbers and names)"));
    }

    /// An expression as a tree: what is written is made from it, and what is due reckoned in 128 bits.
    #[derive(Debug, Clone)]
    enum Tree {
        Number(i64),
        Lane,
        Negative(Box<Tree>),
        Two(Box<Tree>, char, Box<Tree>),
    }

    impl Tree {
        fn text(&self) -> String {
            match self {
                Self::Number(n) => n.to_string(),
                Self::Lane => "lane".to_owned(),
                Self::Negative(inner) => format!("-({})", inner.text()),
                Self::Two(left, sign, right) => format!("({}) {sign}({} )", left.text(), right.text()),
            }
        }

        fn value(&self) -> Option<i128> {
            let value = match self {
                Self::Number(n) => Some(i128::from(*n)),
                Self::Lane => Some(7),
                Self::Negative(inner) => Some(-inner.value()?),
                Self::Two(left, sign, right) => match (left.value()?, sign, right.value()?) {
                    (left, '+', right) => Some(left + right),
                    (left, '-', right) => Some(left - right),
                    (left, '*', right) => Some(left * right),
                    (left, '/', right) => left.checked_div_euclid(right),
                    (left, _, right) => left.checked_rem_euclid(right),
                },
            };
            value.filter(|value| i64::try_from(*value).is_ok())
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf =
            prop_oneof![(0..100_i64).prop_map(Tree::Number), (0..=i64::MAX).prop_map(Tree::Number), Just(Tree::Lane)];
        leaf.prop_recursive(6, 40, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|tree| Tree::Negative(tree.into())),
                (inner.clone(), prop::sample::select(vec!['+', '-', '*', '/', '%']), inner)
                    .prop_map(|(left, sign, right)| Tree::Two(left.into(), sign, right.into())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_expression_is_reckoned_as_in_128_bits(tree in tree()) {
            prop_assert_eq!(evaluate(&tree.text(), &names()).ok().map(i128::from), tree.value());
        }

        #[test]
        fn signs_bind_as_at_school(a in 0..1000_i64, b in 1..1000_i64, c in 1..1000_i64) {
            let check = |text: String, value: i64| {
                prop_assert_eq!(evaluate(&text, &names()), Ok(value));
                Ok(())
            };
            check(format!("{a}-{b}-{c}"), a - b - c)?;
            check(format!("{a}+{b}*{c}"), a + b * c)?;
            check(format!("{a}*{b}/{c}%{b}"), a * b / c % b)?;
            check(format!("-{a}*{b}+{c}"), -a * b + c)?;
        }

        #[test]
        fn any_text_is_a_number_or_wrong_inside_of_it(text in "[ a-z0-9()+*/%ä-]{0,40}|.{0,40}") {
            if let Err(wrong) = evaluate(&text, &names()) {
                prop_assert!(text.is_char_boundary(wrong.at) && !wrong.message.is_empty());
            }
        }
    }
}
