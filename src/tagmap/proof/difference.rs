//! Two JSON values line by line: what was expected, what came.

use serde_json::Value as Json;

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "line", content = "text", rename_all = "lowercase")]
pub enum Line {
    /// In both.
    Same(String),
    /// Was expected and did not come.
    Expected(String),
    /// Came and was not expected.
    Came(String),
}

/// More lines than this are shown one after the other, not side by side.
const MOST: usize = 2_000;

/// The lines of both, in one order, with as many in common as there are; empty: the two are equal.
pub fn lines(expected: &Json, came: &Json) -> Vec<Line> {
    if expected == came {
        return Vec::new();
    }
    let [expected, came] = [expected, came].map(|json| format!("{json:#}"));
    let (expected, came): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), came.lines().collect());
    if expected.len() > MOST || came.len() > MOST {
        let expected = expected.iter().map(|line| Line::Expected((*line).to_owned()));
        return expected.chain(came.iter().map(|line| Line::Came((*line).to_owned()))).collect();
    }
    let common = common(&expected, &came);
    let (mut made, mut i, mut j) = (Vec::new(), 0, 0);
    while i < expected.len() || j < came.len() {
        if i < expected.len() && j < came.len() && expected[i] == came[j] {
            made.push(Line::Same(expected[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if j == came.len() || i < expected.len() && common[i + 1][j] >= common[i][j + 1] {
            made.push(Line::Expected(expected[i].to_owned()));
            i += 1;
        } else {
            made.push(Line::Came(came[j].to_owned()));
            j += 1;
        }
    }
    made
}

/// `[i][j]`: how many lines the two have in common from there on.
fn common(one: &[&str], other: &[&str]) -> Vec<Vec<u16>> {
    let mut common = vec![vec![0_u16; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            common[i][j] =
                if one[i] == other[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_stands_between_what_is_equal() {
        let shown = |expected: &Json, came: &Json| {
            let line = |line: &Line| match line {
                Line::Same(text) => format!("  {text}"),
                Line::Expected(text) => format!("- {text}"),
                Line::Came(text) => format!("+ {text}"),
            };
            lines(expected, came).iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(shown(&json!([1, 2]), &json!([1, 2])), [""; 0]);
        assert_eq!(
            shown(&json!({ "a": 1 }), &json!({ "a": 1, "b": 2 })),
            ["  {", "-   \"a\": 1", "+   \"a\": 1,", "+   \"b\": 2", "  }"]
        );
        assert_eq!(shown(&json!(["x", "y"]), &json!(["y"])), ["  [", "-   \"x\",", "    \"y\"", "  ]"]);
        assert_eq!(shown(&json!([]), &json!("none")), ["- []", "+ \"none\""]);
    }
}
