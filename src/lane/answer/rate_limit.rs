//! RateLimit (the IETF's draft of RateLimit header fields): `"postings";r=0;t=12`, a list of structured fields (RFC 9651).
//!
//! Only what is spent is of interest, on any answer: the target is left alone before it says 429. What is not of that form,
//! such as the older drafts' `limit=100, remaining=0, reset=50`, is ignored.

use super::retry_after::MOST_S;

/// Milliseconds until the last of the spent limits has something left; `None`: none is spent.
pub(super) fn wait_ms(fields: &str) -> Option<u64> {
    let spent = members(fields)?.into_iter().filter(|limit| limit.remaining == Some(0));
    spent.filter_map(|limit| limit.seconds).max().filter(|s| *s > 0).map(|s| s.min(MOST_S) * 1_000)
}

#[derive(Default)]
struct Limit {
    remaining: Option<u64>,
    seconds: Option<u64>,
}

/// The members of the list; `None`: it is malformed, which makes all of it worthless.
fn members(mut rest: &str) -> Option<Vec<Limit>> {
    let mut limits = Vec::new();
    loop {
        rest = name(rest.trim_start_matches([' ', '\t']))?;
        let mut limit = Limit::default();
        while let Some(parameter) = rest.strip_prefix(';') {
            let (key, value, behind) = parameter_of(parameter.trim_start_matches(' '))?;
            match key {
                "r" => limit.remaining = Some(value?),
                "t" => limit.seconds = Some(value?),
                _ => {}
            }
            rest = behind;
        }
        limits.push(limit);
        rest = rest.trim_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.is_empty().then_some(limits),
        }
    }
}

/// What stands behind the policy's name: a string, or a token.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').map(|(_, rest)| rest);
    }
    let end = text.find([';', ',', ' ']).unwrap_or(text.len());
    let token = &text[..end];
    (!token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.*:/".contains(&b)))
        .then_some(&text[end..])
}

/// A parameter's name, its number if it is one, and what stands behind it.
fn parameter_of(text: &str) -> Option<(&str, Option<u64>, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.*".contains(c))).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else { return (!key.is_empty()).then_some((key, None, rest)) };
    if let Some(quoted) = value.strip_prefix('"') {
        return quoted.split_once('"').map(|(_, rest)| (key, None, rest));
    }
    let end = value.find([';', ',', ' ']).unwrap_or(value.len());
    (end > 0).then(|| (key, value[..end].parse().ok(), &value[end..]))
}
