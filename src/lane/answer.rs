//! What an answer means (docs/erp.md, "The answer"). Pure.
//!
//! The rule behind the table: a row is final only when the target said so of that row, or of the batch in a way that
//! leaves no doubt. Whatever may have had effect is `Unknown`, and a resend under the same key asks again. Statuses are
//! judged here, the items of a body in [`items`], what was accepted in [`job`], waiting times in [`retry_after`] and
//! [`rate_limit`]. What a target is known to mean otherwise stands in its [`rule`]s, which come first.

mod body;
mod items;
mod job;
mod odata;
mod rate_limit;
mod retry_after;
mod rule;
mod suitetalk;

use serde_json::Value;

use crate::event::Id;
use crate::lane::{Answer, By, Class, Later, Outcome};
use body::Body;

pub use job::{classify_poll, unanswered};
pub use rule::{Expected, Rule, Subject, Test};
pub use suitetalk::{Task, classify_tasks, is_done, tasks_of};

/// No target keeps us away longer than this at one go, in milliseconds.
pub(super) const AWAY_MOST_MS: u64 = retry_after::MOST_S * 1_000;

/// Where an answer's parts stand, as JSON Pointers (RFC 6901), and what this target means otherwise than others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerShape {
    /// The list of per-item results; `None`: the status speaks for the whole batch.
    pub items: Option<String>,
    /// The item's key.
    pub key: String,
    /// The item's status word.
    pub status: String,
    /// The item's reason.
    pub reason: String,
    /// The item's reference in the target.
    pub reference: String,
    /// A 503 promises that there is no effect.
    pub definite_503: bool,
    /// Keys can be looked up: what is accepted without a job is asked for.
    pub lookup: bool,
    /// Whose words they are.
    pub dialect: Dialect,
    /// What comes first: the first one that applies decides.
    pub rules: Vec<Rule>,
}

/// Whose words an answer has (docs/erp-profiles.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Those of docs/erp.md, as far as the shape does not say otherwise.
    #[default]
    Contract,
    /// `items` are the responses of an OData batch, all of one atomicity group.
    OData,
    /// A batch becomes a job with a task for each record; a 400 may mean that the job is there already (SuiteTalk REST).
    SuiteTalk,
}

/// What came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Not a byte of the request left: DNS, refused, TLS.
    NotSent(String),
    /// Whoever we are was refused before the request was looked at: by the server of tokens, or as the connection was made.
    Refused(String),
    /// Bytes left, no whole answer came: timeout, reset, cut in half.
    Lost(String),
    /// An answer.
    Http {
        /// Status code.
        status: u16,
        /// What is read of its header.
        head: Box<Head>,
        /// The body, bounded.
        body: Vec<u8>,
    },
}

/// What is read of an answer's header; verbatim, but for the first and the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// `Content-Type`, lower case, without parameters.
    pub content_type: String,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// `Date`: an HTTP date in Retry-After is measured against it, never against our clock.
    pub date: Option<String>,
    /// `RateLimit`, all of them.
    pub rate_limit: Option<String>,
    /// `Location`, resolved.
    pub location: Option<Location>,
    /// `Repeatability-Result`, or SAP's `RepeatabilityResult`.
    pub repeatability: Option<String>,
}

/// Where an answer points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// To an address of the same origin, absolute.
    Here(String),
    /// To another system: nobody goes there.
    Elsewhere(String),
}

impl Head {
    /// For how long the target wants us to stay away: by Retry-After of a 429 or 503 and what means the same here, else by
    /// RateLimit.
    fn stay_away_ms(&self, status: u16, throttled: bool) -> Option<u64> {
        let asked = (throttled || matches!(status, 429 | 503)).then(|| self.retry_after_ms()).flatten();
        asked.or_else(|| rate_limit::wait_ms(self.rate_limit.as_deref()?))
    }

    fn retry_after_ms(&self) -> Option<u64> {
        retry_after::wait_ms(self.retry_after.as_deref()?, self.date.as_deref())
    }
}

/// What a reply says of each of `keys`: always one outcome a key, in their order.
pub fn classify(reply: &Reply, shape: &AnswerShape, keys: &[Id]) -> Answer {
    match reply {
        Reply::NotSent(why) => without_answer(Class::Transient, Outcome::NOT_SENT, why, keys),
        Reply::Refused(why) => without_answer(Class::Auth, Outcome::NOT_LET_IN, why, keys),
        Reply::Lost(why) => without_answer(Class::Unknown, "sent, but no whole answer came", why, keys),
        Reply::Http { status, head, body } => {
            let read = Body::of(head, body);
            let json = read.json.as_ref();
            let refused = odata::refused_key(*status, head, json).filter(|_| shape.dialect == Dialect::OData);
            let mut answer = if let Some((outcome, before)) = rule::of_whole(&shape.rules, *status, json) {
                let listed = items_of(*status, json, shape).filter(|_| shape.dialect != Dialect::OData);
                let ruled =
                    listed.and_then(|(found, _)| items::judge_before(before, &outcome, (*status, found), shape, keys));
                ruled.unwrap_or_else(|| whole(outcome, keys))
            } else if let Some(outcome) = refused {
                whole(outcome, keys)
            } else if let Some((found, pointer)) = items_of(*status, json, shape) {
                match shape.dialect {
                    Dialect::OData => odata::judge(*status, found, shape, keys),
                    Dialect::Contract | Dialect::SuiteTalk => items::judge(*status, found, pointer, shape, keys),
                }
            } else {
                let job = shape.dialect == Dialect::SuiteTalk;
                let told = if job { suitetalk::of_submission(*status, json) } else { None };
                let judged = || judge_status(*status, head, &read, shape, keys.len());
                whole(told.unwrap_or_else(judged), keys)
            };
            answer.status = Some(*status);
            let throttled = answer.whole && answer.outcomes.first().is_some_and(|o| o.class == Class::Throttled);
            answer.retry_after_ms = head.stay_away_ms(*status, throttled);
            answer.later = later(*status, head, &answer);
            with_excerpt(answer, body)
        }
    }
}

/// The beginning of the body goes behind what is said of it.
fn with_excerpt(answer: Answer, body: &[u8]) -> Answer {
    let start = String::from_utf8_lossy(&body[..body.len().min(Answer::EXCERPT + 4)]);
    Answer { excerpt: bounded(&format!("{}{start}", answer.excerpt), Answer::EXCERPT), ..answer }
}

/// How the target wants to be asked for what it has not decided.
fn later(status: u16, head: &Head, answer: &Answer) -> Option<Later> {
    let accepted = answer.outcomes.iter().any(|o| o.class == Class::Accepted);
    let unknown = answer.whole && answer.outcomes.first().is_some_and(|o| o.class == Class::Unknown);
    let after_ms = head.retry_after_ms();
    Some(match (status, &head.location) {
        (_, Some(Location::Here(job))) if accepted && answer.whole => Later { by: By::Job(job.clone()), after_ms },
        _ if accepted => Later { by: By::Lookup, after_ms },
        (409, _) if unknown => Later { by: By::Lookup, after_ms: None },
        (412, _) if unknown => Later { by: By::LookupOnly, after_ms: None },
        _ if unknown && answer.outcomes[0].code.as_deref() == Some(odata::OUTDATED) => {
            Later { by: By::LookupOnly, after_ms: None }
        }
        _ => return None,
    })
}

/// What the answer to a lookup says of each of `keys`, whose contents have these `prints`: [`Class::Found`], a
/// [`Class::KeyClash`] where the target knows other content, [`Class::NotAttempted`] where it is definitely absent, and
/// [`Class::Unknown`] where nothing is known, now.
pub fn classify_lookup(reply: &Reply, keys: &[Id], prints: &[String]) -> Answer {
    match reply {
        Reply::Http { status: 200, body, .. } => match body::json(body) {
            Some(body) => items::found(&body, keys, prints),
            None => asked(Class::Contract, "the answer is not JSON (HTTP 200)", keys),
        },
        _ => Answer { excerpt: String::new(), ..unanswered(reply, keys) }, // of a lookup the words are kept
    }
}

/// Why a question that changes nothing was not answered.
fn trouble_of_question(status: u16) -> Class {
    match status {
        429 => Class::Throttled,
        401 | 403 => Class::Auth,
        408 | 500.. => Class::Transient,
        _ => Class::Contract,
    }
}

/// What a question for these rows brought.
fn asked(class: Class, what: &str, keys: &[Id]) -> Answer {
    whole(Outcome::new(class, format!("asked what came of it: {}", bounded(what, REASON))), keys)
}

fn without_answer(class: Class, what: &str, why: &str, keys: &[Id]) -> Answer {
    let mut answer = whole(Outcome::new(class, format!("{what}: {}", bounded(why, REASON))), keys);
    answer.excerpt = bounded(why, Answer::EXCERPT);
    answer
}

fn whole(outcome: Outcome, keys: &[Id]) -> Answer {
    let outcomes = vec![outcome; keys.len()];
    Answer { status: None, excerpt: String::new(), outcomes, whole: true, retry_after_ms: None, later: None }
}

/// The per-item results, where this status can carry them, and where they stand. A refused request may still list its
/// bad rows; of a request that crashed, was put off or was not let in, no list is believed.
fn items_of<'a>(status: u16, json: Option<&'a Value>, shape: &'a AnswerShape) -> Option<(&'a [Value], &'a str)> {
    let carries = matches!(status, 200 | 201 | 207 | 400 | 404 | 405 | 409 | 413 | 415 | 422);
    let pointer = shape.items.as_deref().filter(|_| carries)?;
    let list = json?.pointer(pointer)?.as_array()?;
    // An empty list under a refusal names no row: the status has to speak.
    (status < 400 || !list.is_empty()).then_some((list.as_slice(), pointer))
}

/// What the types of our own problems begin with.
const PROBLEM: &str = "urn:floorgate:problem:";

fn problem_type(json: Option<&Value>) -> &str {
    json.and_then(|body| body.get("type")).and_then(Value::as_str).unwrap_or_default()
}

/// The last word of a problem's type: `urn:floorgate:problem:WORD`, `https://example.com/problems/some-word`.
fn problem(json: Option<&Value>) -> String {
    let of = problem_type(json);
    let word = of.rsplit([':', '/', '#']).next().unwrap_or_default();
    bounded(&word.to_lowercase().replace('-', "_"), 64)
}

/// What a status says of the batch as a whole.
fn judge_status(status: u16, head: &Head, body: &Body, shape: &AnswerShape, rows: usize) -> Outcome {
    let json = body.json.as_ref();
    let word = problem(json);
    let (class, reason) = by_problem(status, &word).unwrap_or_else(|| match status {
        200..=202 if body.page => {
            (Class::Unknown, "answered with a web page, which proves nothing: is this the right URL?")
        }
        200 | 201 | 207 if shape.items.is_some() => {
            (Class::Unknown, "answered without readable results for the items: do `answers` and the ERP agree?")
        }
        200 | 201 | 204 if shape.items.is_none() && takes_all(status, body, shape) => {
            (Class::Delivered, "accepted the batch")
        }
        200 | 201 | 204 if shape.items.is_none() => {
            (Class::Unknown, "answered with something else than JSON: what it means, a `classify` has to say")
        }
        204 => (Class::Unknown, "answered without the results that `answers.items` expects"),
        202 => (Class::Accepted, took_over(head.location.as_ref(), shape.lookup)),
        200..300 => (Class::Unknown, "gave an answer that proves nothing of the batch"),
        300..400 => (Class::Contract, "redirects, and a posting is never sent elsewhere: correct the target's URL"),
        401 => (Class::Auth, "does not accept our credentials"),
        403 => (Class::Auth, "does not permit us to post here"),
        400 | 404 | 405 | 410 | 415 | 422 | 423 | 425 if body.page => {
            (Class::Contract, "answered with a web page, which says nothing of an item: is this the right URL?")
        }
        404 => (Class::Contract, "knows nothing at this URL"),
        405 => (Class::Contract, "does not take a POST at this URL"),
        415 => (Class::Contract, "does not take this content type"),
        413 if rows > 1 => (Class::NotAttempted, "refuses a body of this size: it gets less at once"),
        413 => (Class::Validation, "refuses a body of this size, with one item in it"),
        408 => (Class::Unknown, "gave up waiting for the request"),
        409 => (Class::Unknown, "reports a conflict and doesn't say which"),
        412 => (Class::Unknown, "no longer knows whether it saw this key"),
        422 if rows == 1 && word.contains("reuse") => (Class::KeyClash, "knows this key with other content"),
        422 if rows == 1 && word == "key_clash" => (Class::KeyClash, "knows this key with other content"),
        400 | 422 => (Class::Validation, "refuses the request"),
        423 => (Class::Conflict, "has the document locked"),
        425 => (Class::Conflict, "finds it too early"),
        429 => (Class::Throttled, "asks for fewer requests"),
        503 if shape.definite_503 => (Class::Transient, "is not available, and has done nothing"),
        503 => (Class::Unknown, "is not available"),
        400..500 => (Class::Contract, "refuses the request"),
        _ => (Class::Unknown, "failed while working on the request"),
    });
    let mut text = format!("the ERP {reason} (HTTP {status})");
    if let Some(said) = json.and_then(said) {
        text = format!("{text}: {}", bounded(&said, REASON));
    }
    let ours = problem_type(json).starts_with(PROBLEM) && status >= 400;
    let code = if status == 413 { Some(Outcome::TOO_LARGE.to_owned()) } else { Some(word).filter(|_| ours) };
    Outcome { code, ..Outcome::new(class, text) }
}

/// What a refusal means by the type of its problem document, where the status alone says less.
fn by_problem(status: u16, word: &str) -> Option<(Class, &'static str)> {
    Some(match (status, word) {
        (400..500, "unsupported_version") => (Class::Contract, "does not speak this version of the contract"),
        (400..500, "unsupported_media") => (Class::Contract, "does not take this content type"),
        (400..500, "throttled") => (Class::Throttled, "asks for fewer requests"),
        (409, word) if word.starts_with("outstanding") => {
            (Class::Accepted, "is still working on an earlier request of this key")
        }
        (409, "locked" | "version" | "stale" | "concurrent") => (Class::Conflict, "has the document locked or changed"),
        _ => return None,
    })
}

/// Whether an answer whose status speaks for the batch is one that proves its effect: JSON, or nothing at all where no rule
/// looks for something.
fn takes_all(status: u16, body: &Body, shape: &AnswerShape) -> bool {
    if body.empty { !shape.rules.iter().any(|rule| rule.looks_into(status)) } else { body.as_expected }
}

/// What becomes of a batch, or of one item of it, that the target will book later.
fn took_over(location: Option<&Location>, lookup: bool) -> &'static str {
    match (location, lookup) {
        (Some(Location::Here(_)), _) => "accepted it for later, and is asked for it",
        (Some(Location::Elsewhere(_)), true) => {
            "accepted it for later, and points to another system, where nobody asks: it is looked up"
        }
        (Some(Location::Elsewhere(_)), false) => {
            "accepted it for later, and points to another system, where nobody asks; the target has no `lookup`, so that the same \
             is sent again"
        }
        (None, true) => "accepted it for later, and is asked for it by lookup",
        (None, false) => {
            "accepted it for later, and can't be asked for it: the target has no `lookup`, so that the same is sent again"
        }
    }
}

/// What an answer tells people: the words of a problem document (RFC 9457), of an OData error, of SuiteTalk's details, or of the
/// usual look-alikes.
fn said(body: &Value) -> Option<String> {
    let body = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
    let words = ["title", "detail", "reason", "message", "error"];
    let own = words.iter().filter_map(|name| body.get(name)?.as_str());
    let details = suitetalk::details(body).filter_map(|detail| detail.get("detail")?.as_str());
    let parts: Vec<&str> = own.chain(details).filter(|s| !s.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

/// Bytes kept of a target's words in a reason.
const REASON: usize = 512;

/// At most `bytes` of `text`, cut between characters, fit for a terminal: a target's control characters stay outside.
fn bounded(text: &str, bytes: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes));
    for c in text.chars() {
        let c = if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
        if out.len() + c.len_utf8() > bytes {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
