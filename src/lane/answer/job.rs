//! What a target says of a batch that it had accepted, asked at the address that it gave (docs/erp-contract.md, "Answering
//! later").

use serde_json::Value;

use super::body::Body;
use super::{AnswerShape, Dialect, Reply, asked, items, said, trouble_of_question, with_excerpt};
use crate::event::Id;
use crate::lane::{Answer, By, Class, Later, Outcome};

/// The results of each of `keys`; [`Class::Accepted`] for all of them while the target is at work; [`Class::Unknown`] for all
/// of them where it does not know the job; otherwise why it says nothing, which proves nothing of the batch.
pub fn classify_poll(reply: &Reply, shape: &AnswerShape, keys: &[Id]) -> Answer {
    let all = |class, why: &str| asked(class, why, keys);
    let Reply::Http { status, head, body } = reply else { return unanswered(reply, keys) };
    let status = *status;
    let Body { page: web, json, .. } = Body::of(head, body);
    let told = |name| json.as_ref().and_then(|body: &Value| body.get(name));
    let at_work = shape.dialect == Dialect::SuiteTalk && told("completed").and_then(Value::as_bool) == Some(false);
    let word = if at_work { "processing" } else { told("status").and_then(Value::as_str).unwrap_or_default() };
    let mut answer = match (status, word) {
        (200 | 202, "processing" | "accepted" | "queued" | "running") => {
            all(Class::Accepted, "the ERP is at work on it")
        }
        (202, _) if !web => all(Class::Accepted, "the ERP is at work on it"),
        (200, "done") => {
            let pointer = shape.items.as_deref().unwrap_or("/results");
            let list = json.as_ref().and_then(|body| body.pointer(pointer)).and_then(Value::as_array);
            items::judge(status, list.map(Vec::as_slice).unwrap_or_default(), pointer, shape, keys)
        }
        (200, word) => all(Class::Contract, &format!("the answer is no job's (HTTP 200, status \"{word}\")")),
        (404 | 410, _) => all(Class::Unknown, &format!("the ERP does not know the job (HTTP {status})")),
        _ => return unanswered(reply, keys),
    };
    answer.status = Some(status);
    answer.retry_after_ms = head.stay_away_ms(status, false);
    let at_work = answer.outcomes.iter().any(|o| o.class == Class::Accepted);
    answer.later = at_work.then(|| Later { by: By::Lookup, after_ms: head.retry_after_ms() });
    with_excerpt(answer, body)
}

/// Why a question about a batch says nothing of it, which proves nothing.
pub fn unanswered(reply: &Reply, keys: &[Id]) -> Answer {
    let (status, head, body) = match reply {
        Reply::NotSent(why) => return asked(Class::Transient, &format!("{}: {why}", Outcome::NOT_SENT), keys),
        Reply::Lost(why) => return asked(Class::Transient, &format!("no answer: {why}"), keys),
        Reply::Refused(why) => return asked(Class::Auth, why, keys),
        Reply::Http { status, head, body } => (*status, head, body),
    };
    let words = super::body::json(body).as_ref().and_then(said).unwrap_or_default();
    let mut answer = asked(trouble_of_question(status), &format!("HTTP {status} {words}"), keys);
    answer.status = Some(status);
    answer.retry_after_ms = head.stay_away_ms(status, false);
    with_excerpt(answer, body)
}
