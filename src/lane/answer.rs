//! What an answer means (docs/erp.md, "The answer"). Pure.
//!
//! The rule behind the table: a row is final only when the target said so of that row, or of the batch in a way that
//! leaves no doubt. Whatever may have had effect is `Unknown`, and a resend under the same key asks again. Statuses are
//! judged here, the items of a body in [`items`], waiting times in [`retry_after`].

mod items;
mod retry_after;

use serde_json::Value;

use crate::event::Id;
use crate::lane::{Answer, Class, Outcome};

/// Where an answer's parts stand, as JSON Pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
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
        /// `Content-Type`, lower case, without parameters.
        content_type: String,
        /// `Retry-After`, verbatim.
        retry_after: Option<String>,
        /// `Date`, verbatim: an HTTP date in Retry-After is measured against it, never against our clock.
        date: Option<String>,
        /// The body, bounded.
        body: Vec<u8>,
    },
}

/// What a reply says of each of `keys`: always one outcome a key, in their order.
pub fn classify(reply: &Reply, shape: &AnswerShape, keys: &[Id]) -> Answer {
    match reply {
        Reply::NotSent(why) => without_answer(Class::Transient, "not sent", why, keys),
        Reply::Refused(why) => without_answer(Class::Auth, "not let in", why, keys),
        Reply::Lost(why) => without_answer(Class::Unknown, "sent, but no whole answer came", why, keys),
        Reply::Http { status, content_type, retry_after, date, body } => {
            let html = matches!(content_type.as_str(), "text/html" | "application/xhtml+xml");
            let silent = html || (shape.items.is_none() && *status < 300);
            let json: Option<Value> = if silent { None } else { serde_json::from_slice(body).ok() };
            let mut answer = if let Some((found, pointer)) = items_of(*status, json.as_ref(), shape) {
                items::judge(found, pointer, shape, keys)
            } else {
                whole(judge_status(*status, html, json.as_ref(), shape, keys.len()), keys)
            };
            answer.status = Some(*status);
            if matches!(status, 429 | 503) {
                answer.retry_after_ms = retry_after::wait_ms(*status, retry_after.as_deref(), date.as_deref());
            }
            let start = String::from_utf8_lossy(&body[..body.len().min(Answer::EXCERPT + 4)]);
            answer.excerpt = bounded(&format!("{}{start}", answer.excerpt), Answer::EXCERPT);
            answer
        }
    }
}

/// What the answer to a lookup says of each of `keys`, whose contents have these `prints`: [`Class::Found`], a
/// [`Class::KeyClash`] where the target knows other content, [`Class::NotAttempted`] where it is definitely absent, and
/// [`Class::Unknown`] where nothing is known, now.
pub fn classify_lookup(reply: &Reply, keys: &[Id], prints: &[String]) -> Answer {
    let unclear =
        |class, why: String| whole(Outcome::new(class, format!("asked for it: {}", bounded(&why, REASON))), keys);
    match reply {
        Reply::NotSent(why) | Reply::Lost(why) => unclear(Class::Transient, why.clone()),
        Reply::Refused(why) => unclear(Class::Auth, why.clone()),
        Reply::Http { status: 200, body, .. } => match serde_json::from_slice::<Value>(body) {
            Ok(body) => items::found(&body, keys, prints),
            Err(_) => unclear(Class::Contract, "the answer is not JSON (HTTP 200)".to_owned()),
        },
        Reply::Http { status, retry_after, date, body, .. } => {
            let class = match status {
                429 => Class::Throttled,
                401 | 403 => Class::Auth,
                408 | 500.. => Class::Transient,
                _ => Class::Contract,
            };
            let words = serde_json::from_slice(body).ok().as_ref().and_then(said).unwrap_or_default();
            let mut answer = unclear(class, format!("HTTP {status} {words}"));
            answer.status = Some(*status);
            if matches!(status, 429 | 503) {
                answer.retry_after_ms = retry_after::wait_ms(*status, retry_after.as_deref(), date.as_deref());
            }
            answer
        }
    }
}

fn without_answer(class: Class, what: &str, why: &str, keys: &[Id]) -> Answer {
    let mut answer = whole(Outcome::new(class, format!("{what}: {}", bounded(why, REASON))), keys);
    answer.excerpt = bounded(why, Answer::EXCERPT);
    answer
}

fn whole(outcome: Outcome, keys: &[Id]) -> Answer {
    let outcomes = vec![outcome; keys.len()];
    Answer { status: None, excerpt: String::new(), outcomes, whole: true, retry_after_ms: None }
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

/// What a status says of the batch as a whole.
fn judge_status(status: u16, html: bool, json: Option<&Value>, shape: &AnswerShape, rows: usize) -> Outcome {
    let problem = json.and_then(|body| body.get("type")).and_then(Value::as_str).unwrap_or("").to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| problem.contains(word));
    let (class, reason) = match status {
        200 | 201 if html => (Class::Unknown, "answered with a web page, which proves nothing: is this the right URL?"),
        200 | 201 | 207 if shape.items.is_some() => {
            (Class::Unknown, "answered without readable results for the items: do `answers` and the ERP agree?")
        }
        200 | 201 | 204 if shape.items.is_none() => (Class::Delivered, "accepted the batch"),
        204 => (Class::Unknown, "answered without the results that `answers.items` expects"),
        202 => (Class::Unknown, "accepted it for later without a handle to ask by"),
        200..300 => (Class::Unknown, "gave an answer that proves nothing of the batch"),
        300..400 => (Class::Contract, "redirects, and a posting is never sent elsewhere: correct the target's URL"),
        401 => (Class::Auth, "does not accept our credentials"),
        403 => (Class::Auth, "does not permit us to post here"),
        404 => (Class::Contract, "knows nothing at this URL"),
        405 => (Class::Contract, "does not take a POST at this URL"),
        415 => (Class::Contract, "does not take this content type"),
        413 => (Class::Validation, "too_large: refuses a body of this size"),
        408 => (Class::Unknown, "gave up waiting for the request"),
        409 if is(&["outstanding"]) => (Class::Conflict, "is still working on an earlier request of this key"),
        409 => (Class::Unknown, "reports a conflict and doesn't say which"),
        412 => (Class::Unknown, "no longer knows whether it saw this key"),
        422 if rows == 1 && is(&["reuse", "key-clash", "key_clash"]) => {
            (Class::KeyClash, "knows this key with other content")
        }
        400 | 422 => (Class::Validation, "refuses the request"),
        423 => (Class::Conflict, "has the document locked"),
        425 => (Class::Conflict, "finds it too early"),
        429 => (Class::Throttled, "asks for fewer requests"),
        503 => (Class::Unknown, "is not available"),
        400..500 => (Class::Contract, "refuses the request"),
        _ => (Class::Unknown, "failed while working on the request"),
    };
    let mut text = format!("the ERP {reason} (HTTP {status})");
    if let Some(said) = json.and_then(said) {
        text = format!("{text}: {}", bounded(&said, REASON));
    }
    Outcome::new(class, text)
}

/// What an answer tells people: the words of a problem document (RFC 9457), or of the usual look-alikes.
fn said(body: &Value) -> Option<String> {
    let words = ["title", "detail", "reason", "message", "error"];
    let parts: Vec<&str> = words.iter().filter_map(|name| body.get(name)?.as_str()).filter(|s| !s.is_empty()).collect();
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
mod tests;
