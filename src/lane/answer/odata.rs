//! The responses of an OData 4.01 JSON batch whose requests are all of one atomicity group: it has its effect wholly or not at
//! all, so that one refusal sends all others back without effect, whether they are spoken of or not.

use serde_json::Value;

use super::items::{self, Named, Place, by_key, reference_of};
use super::{AnswerShape, Head, REASON, bounded, rule, said, whole};
use crate::event::Id;
use crate::lane::render::GROUP;
use crate::lane::{Answer, Class, Outcome};

/// What a request is called that the ERP has seen, and of which it no longer tells what came of it.
pub(super) const OUTDATED: &str = "request_outdated";
/// Messages of SAP's idempotency framework; of these `005`: "RequestID is outdated".
const SAP_FRAMEWORK: &str = "/IWBEP/CM_COS/";

/// The ERP speaks of the request's key, and so of none of the rows: taken for a refusal of them it would have them grouped anew.
pub(super) fn refused_key(status: u16, head: &Head, json: Option<&Value>) -> Option<Outcome> {
    let part = |body: &Value| body.pointer("/error/code")?.as_str().map(str::to_owned);
    let parts = json.and_then(|body| body.get("responses")?.as_array()).into_iter().flatten();
    let mut codes = json.into_iter().chain(parts.filter_map(|part| part.get("body"))).filter_map(part);
    if let Some(code) = codes.find(|code| code.starts_with(SAP_FRAMEWORK)) {
        if code.ends_with("/005") {
            let reason =
                format!("the ERP has seen this request, and no longer tells what came of it (HTTP {status}: {code})");
            return Some(Outcome { code: Some(OUTDATED.to_owned()), ..Outcome::new(Class::Unknown, reason) });
        }
        let reason = format!(
            "the ERP's memory of requests failed (HTTP {status}: {code}): is \"Define Settings for Idempotent Services\" done?"
        );
        return Some(Outcome { code: Some(code), ..Outcome::new(Class::Unknown, reason) });
    }
    let result = head.repeatability.as_deref().unwrap_or_default().to_ascii_lowercase();
    (matches!(result.as_str(), "rejected" | "unsupported") && (400..500).contains(&status) && status != 412).then(|| {
        let reason = format!("the ERP does not take the key of the request (HTTP {status}, repeatability {result}): is `odata.repeatability` right?");
        Outcome::new(Class::Contract, reason)
    })
}

/// The outcome of each key, by the response of its id, or by the one of the group; `outer`: the status of the whole answer.
pub(super) fn judge(outer: u16, parts: &[Value], shape: &AnswerShape, keys: &[Id]) -> Answer {
    if let Some(group) = parts.iter().find(|part| part.get("id").and_then(Value::as_str) == Some(GROUP)) {
        let outcome = response(outer, group, shape);
        return match outcome.class {
            class if class.has_effect() => all_unknown("speaks of the group and not of each request", keys),
            _ => whole(outcome, keys),
        };
    }
    let (named, strange) = by_key(parts, &Place::of("/id"), keys);
    let told: Vec<Option<Outcome>> = keys
        .iter()
        .map(|key| match named.get(key) {
            Some(Named::Once(part)) => Some(response(outer, part, shape)),
            Some(Named::Twice) => Some(Outcome::new(Class::Unknown, "the ERP's answer names this request twice")),
            Some(Named::Never) | None => None,
        })
        .collect();
    let mut answer = of_one_word(told, keys);
    if strange > 0 {
        answer.excerpt = format!("{}{strange} at /responses] ", Answer::STRANGE);
    }
    answer
}

/// All or nothing: what each request was told, made one word.
fn of_one_word(told: Vec<Option<Outcome>>, keys: &[Id]) -> Answer {
    let said = || told.iter().flatten();
    let effects = said().filter(|outcome| outcome.class.has_effect()).count();
    let first = said().find(|o| !o.class.has_effect() && o.class != Class::NotAttempted);
    match first {
        None if effects == keys.len() => {}
        None if effects == 0 && said().next().is_some() && told.iter().all(Option::is_some) => {
            let reason =
                "the ERP's answer sends each request back because of another one, and names none that was refused";
            return whole(Outcome::new(Class::Contract, reason), keys);
        }
        None => return all_unknown("does not speak of each request", keys),
        Some(_) if effects > 0 => {
            return all_unknown(
                "says that a part has its effect and another has not: is it one atomicity group there?",
                keys,
            );
        }
        Some(_) => {}
    }
    let of_all = |class| {
        matches!(
            class,
            Class::Unknown | Class::Transient | Class::Throttled | Class::Auth | Class::Contract | Class::Accepted
        )
    };
    if let Some(outcome) = said().find(|outcome| of_all(outcome.class)) {
        return whole(outcome.clone(), keys);
    }
    let back = || Outcome::new(Class::NotAttempted, "the ERP undid its batch because of another posting in it");
    let outcomes = told.into_iter().map(|outcome| outcome.unwrap_or_else(back)).collect();
    Answer { status: None, excerpt: String::new(), outcomes, whole: false, retry_after_ms: None, later: None }
}

fn all_unknown(what: &str, keys: &[Id]) -> Answer {
    whole(Outcome::new(Class::Unknown, format!("the ERP's answer {what}")), keys)
}

/// What one response says of its request. In a batch that was refused none has its effect, whatever it says.
fn response(outer: u16, part: &Value, shape: &AnswerShape) -> Outcome {
    let status = part.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    let (class, words) = match status {
        200..=201 | 204 => (Class::Delivered, "has posted it"),
        400 | 422 => (Class::Validation, "refuses it"),
        401 => (Class::Auth, "does not accept our credentials"),
        403 => (Class::Validation, "does not permit us to post it"),
        404 | 410 => (Class::Reference, "does not have what it refers to"),
        405 | 415 => (Class::Contract, "does not take a POST there"),
        409 | 423 | 425 => (Class::Conflict, "has the document locked or changed"),
        412 => (
            Class::Validation,
            "has changed the document since its ETag was read: compare the two, and post it by hand or anew",
        ),
        413 => (Class::Validation, "refuses it for its size"),
        424 => (Class::NotAttempted, "undid its batch because of another posting in it"),
        428 => (
            Class::Validation,
            "wants an ETag for this document, and the posting carries none: is `odata.if_match` right?",
        ),
        429 => (Class::Throttled, "asks for fewer requests"),
        503 if shape.definite_503 => (Class::Transient, "is not available, and has done nothing"),
        _ => (Class::Unknown, "failed while working on it"),
    };
    let rule = rule::of_item(&shape.rules, status, part);
    let class = match rule {
        Some(rule) => rule.class,
        None if outer >= 400 && class.has_effect() => Class::Unknown,
        None => class,
    };
    let body = part.get("body");
    let mut reason = format!("the ERP {words} (HTTP {status})");
    if let Some(told) = body.and_then(said) {
        reason = format!("{reason}: {}", bounded(&told, REASON));
    }
    let code = match status {
        412 => Some(Outcome::ETAG_CHANGED.to_owned()),
        428 => Some(Outcome::ETAG_MISSING.to_owned()),
        _ => body.and_then(|body| body.pointer("/error/code")?.as_str()).map(|code| bounded(code, 64)),
    };
    let code = rule.and_then(|rule| rule.code.clone()).or(code.filter(|_| !class.has_effect()));
    let reference = Place::of(&shape.reference).value(part).and_then(reference_of);
    Outcome { class, code, reason, reference, part: items::part(class, part) }
}

#[cfg(test)]
mod tests;
