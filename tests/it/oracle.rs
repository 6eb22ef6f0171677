//! The id oracle: what became of each thing that was produced. Pure, and it knows nothing of the gateway's own counts.

use std::collections::HashMap;
use std::fmt;

/// Something that truly happened once on the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Produced {
    /// Names it for ever: `hand-A/d:b1/9`.
    pub(crate) id: String,
    /// What orders it against others: its subject. Effects of one line must come in the order of production.
    pub(crate) line: String,
}

/// Where an id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Produced, one effect.
    Ok,
    /// Produced, no effect.
    Lost,
    /// More effects than one.
    Duplicate,
    /// An effect that nobody produced.
    Unknown,
}

/// The sums, with a few examples of each fault.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Ids with exactly one effect.
    pub(crate) ok: usize,
    /// Ids without effect.
    pub(crate) lost: Vec<String>,
    /// Ids with several effects, once for each effect too many.
    pub(crate) duplicate: Vec<String>,
    /// Effects of ids that were never produced.
    pub(crate) unknown: Vec<String>,
    /// Effects that came before an earlier one of their line.
    pub(crate) out_of_order: Vec<String>,
}

impl Judgement {
    /// Nothing lost, doubled, invented or out of order.
    pub(crate) fn is_clean(&self) -> bool {
        [&self.lost, &self.duplicate, &self.unknown, &self.out_of_order].iter().all(|faults| faults.is_empty())
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ok {}", self.ok)?;
        let faults = [
            ("lost", &self.lost),
            ("duplicate", &self.duplicate),
            ("unknown", &self.unknown),
            ("out of order", &self.out_of_order),
        ];
        for (name, ids) in faults {
            write!(f, ", {name} {}", ids.len())?;
            if !ids.is_empty() {
                write!(f, " {:?}", &ids[..ids.len().min(5)])?;
            }
        }
        Ok(())
    }
}

/// The verdict of one id that was produced `produced` times and has `effects` effects.
pub(crate) fn verdict(produced: bool, effects: usize) -> Verdict {
    match (produced, effects) {
        (false, _) => Verdict::Unknown,
        (true, 0) => Verdict::Lost,
        (true, 1) => Verdict::Ok,
        (true, _) => Verdict::Duplicate,
    }
}

/// Judges `effects` (ids, in the order in which they took effect) against what was produced, in that order.
pub(crate) fn judge(produced: &[Produced], effects: &[String]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for id in effects {
        *counts.entry(id).or_default() += 1;
    }
    let place: HashMap<&str, (usize, &str)> =
        produced.iter().enumerate().map(|(at, p)| (p.id.as_str(), (at, p.line.as_str()))).collect();
    for Produced { id, .. } in produced {
        let effects = counts.get(id.as_str()).copied().unwrap_or_default();
        match verdict(true, effects) {
            Verdict::Ok => judgement.ok += 1,
            Verdict::Lost => judgement.lost.push(id.clone()),
            Verdict::Duplicate => judgement.duplicate.extend(std::iter::repeat_n(id.clone(), effects - 1)),
            Verdict::Unknown => {}
        }
    }
    let mut latest: HashMap<&str, usize> = HashMap::new();
    for id in effects {
        let Some((at, line)) = place.get(id.as_str()) else {
            judgement.unknown.push(id.clone());
            continue;
        };
        let last = latest.entry(line).or_insert(*at);
        if *at < *last {
            judgement.out_of_order.push(id.clone());
        }
        *last = (*last).max(*at);
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::{Produced, judge};

    fn check(produced: &str, effects: &str, expected: &str) {
        let produced: Vec<Produced> =
            produced.split_whitespace().map(|id| Produced { id: id.to_owned(), line: id[..1].to_owned() }).collect();
        let effects: Vec<String> = effects.split_whitespace().map(str::to_owned).collect();
        let judgement = judge(&produced, &effects);
        assert_eq!(judgement.to_string(), expected);
        assert_eq!(judgement.is_clean(), expected.ends_with("lost 0, duplicate 0, unknown 0, out of order 0"));
    }

    #[test]
    fn lines_may_interleave_but_not_overtake_within_one() {
        check("a1 b1 a2 b2", "b1 b2 a1 a2", "ok 4, lost 0, duplicate 0, unknown 0, out of order 0");
        check("a1 a2 a3", "a2 a1 a3", "ok 3, lost 0, duplicate 0, unknown 0, out of order 1 [\"a1\"]");
    }

    #[test]
    fn each_fault_is_named() {
        check("a1 a2", "a1", "ok 1, lost 1 [\"a2\"], duplicate 0, unknown 0, out of order 0");
        check("a1", "a1 a1 a1", "ok 0, lost 0, duplicate 2 [\"a1\", \"a1\"], unknown 0, out of order 0");
        check("a1", "a1 a9", "ok 1, lost 0, duplicate 0, unknown 1 [\"a9\"], out of order 0");
        check("", "", "ok 0, lost 0, duplicate 0, unknown 0, out of order 0");
    }
}
