//! Batches of SuiteTalk REST (docs/erp-profiles.md): the answer to one is a job, which does each record by a task of its own, in
//! any order. A request that comes again under its key is answered with HTTP 400 and the job of the first.
//!
//! The result of a task is what a request of that record alone would have been answered; that it does not name its record is
//! expected, so that a record which was made is named by asking for its external id. What nothing names is told apart only where
//! it makes no difference which is which.

use std::collections::HashMap;

use serde_json::Value;

use super::body::Body;
use super::{AnswerShape, Location, REASON, Reply, bounded, items, rule, said};
use crate::event::Id;
use crate::lane::{Answer, Class, Outcome};

/// The result of one task of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The key of its posting, where something names it.
    pub key: Option<Id>,
    /// As its record's own request would have been answered.
    pub status: u16,
    /// Where the record stands.
    pub record: Option<String>,
    /// The body, [`Value::Null`] where it is none.
    pub body: Value,
}

impl Task {
    /// `None`: the question was not answered, which says nothing of the record.
    pub fn of(reply: &Reply) -> Option<Self> {
        let Reply::Http { status, head, body } = reply else { return None };
        let Body { page, json, .. } = Body::of(head, body);
        let body = json.unwrap_or_default();
        let own = match *status {
            200..300 | 400 | 404..=407 | 409..=428 => true,
            403 | 500 => details(&body).next().is_some(),
            _ => false,
        };
        let record = match &head.location {
            Some(Location::Here(at)) => Some(at.clone()),
            Some(Location::Elsewhere(_)) | None => None,
        };
        (own && !page).then(|| Self { key: external_id(&body), status: *status, record, body })
    }

    /// Takes the key from its record, which was asked for; `false`: the question was not answered.
    pub fn name(&mut self, record: &Reply) -> bool {
        self.key = json_of(record).as_ref().and_then(external_id);
        self.key.is_some() || matches!(record, Reply::Http { status: 200 | 400 | 403..=407 | 410, .. })
    }

    /// The record's number in the target: the end of its address.
    fn reference(&self) -> Option<String> {
        let last = self.record.as_deref()?.trim_end_matches('/').rsplit('/').next()?;
        (!last.is_empty()).then(|| bounded(last, REASON))
    }

    fn judge(&self, shape: &AnswerShape) -> Outcome {
        let status = self.status;
        let (class, words) = match status {
            200 | 201 | 204 => (Class::Delivered, "has made the record"),
            400 | 422 => (Class::Validation, "refuses it"),
            403 => (Class::Validation, "does not permit us to make it"),
            409 => (Class::Conflict, "has the record locked or changed"),
            404 | 410 => (Class::Unknown, "is done with its task and has no result of it"),
            _ => (Class::Unknown, "failed while working on it"),
        };
        let rule = rule::of_item(&shape.rules, status, &self.body);
        let class = rule.map_or(class, |rule| rule.class);
        let told = said(&self.body).map_or_else(String::new, |told| format!(": {}", bounded(&told, REASON)));
        let code = details(&self.body).find_map(error_code).filter(|_| !class.has_effect());
        let code = rule.and_then(|rule| rule.code.clone()).or(code.map(|code| bounded(code, 64)));
        let part = items::part(class, &self.body);
        let reason = format!("the ERP {words} (HTTP {status}){told}");
        Outcome { class, code, reason, reference: self.reference(), part }
    }
}

/// What the answer to a batch says otherwise than its status does anywhere.
pub(super) fn of_submission(status: u16, json: Option<&Value>) -> Option<Outcome> {
    let codes: Vec<&str> = json.into_iter().flat_map(details).filter_map(error_code).collect();
    let (class, words) = match status {
        400 | 409 if codes.contains(&"IDEMPOTENCY_ERROR") => {
            (Class::Accepted, "has had this request before, and is asked for the job that it became")
        }
        400..500 if codes.contains(&"SSS_REQUEST_LIMIT_EXCEEDED") => {
            (Class::Throttled, "has too many requests at once: is `max_concurrent` within what the account has?")
        }
        200 | 201 | 204 => (Class::Unknown, "answered without a job, which proves nothing of each record"),
        _ => return None,
    };
    let told = json.and_then(said).map_or_else(String::new, |told| format!(": {}", bounded(&told, REASON)));
    Some(Outcome::new(class, format!("the ERP {words} (HTTP {status}){told}")))
}

/// The job is at its end, and its tasks are to be asked for.
pub fn is_done(reply: &Reply) -> bool {
    json_of(reply).is_some_and(|job| job.get("completed").and_then(Value::as_bool) == Some(true))
}

/// The addresses of a job's tasks, as they stand in the list of them; `None`: that is no list.
pub fn tasks_of(reply: &Reply) -> Option<Vec<String>> {
    let list = json_of(reply)?;
    let links = |of: &Value| of.get("links").and_then(Value::as_array).cloned().unwrap_or_default();
    let items = list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let all: Vec<Value> = items.iter().flat_map(links).chain(links(&list)).collect();
    let mut tasks: Vec<String> = Vec::new();
    for href in all.iter().filter_map(|link| link.get("href")?.as_str()) {
        let id = href.rsplit_once("/task/").map(|(_, id)| id).filter(|id| !id.is_empty() && !id.contains(['/', '?']));
        if id.is_some() && !tasks.iter().any(|known| known == href) {
            tasks.push(href.to_owned());
        }
    }
    Some(tasks)
}

/// What became of each of `keys`, by the results of the tasks of their job.
pub fn classify_tasks(tasks: &[Task], shape: &AnswerShape, keys: &[Id]) -> Answer {
    let mut named: HashMap<Id, Vec<&Task>> = keys.iter().map(|key| (*key, Vec::new())).collect();
    let (mut unnamed, mut strange) = (Vec::new(), 0);
    for task in tasks {
        match task.key.map(|key| named.get_mut(&key)) {
            Some(Some(known)) => known.push(task),
            Some(None) => strange += 1,
            None => unnamed.push(task.judge(shape)),
        }
    }
    let left = named.values().filter(|tasks| tasks.is_empty()).count();
    strange += unnamed.len().saturating_sub(left);
    let any = if strange == 0 && unnamed.len() == left { whoever(&unnamed) } else { None };
    let outcome = |key| match named.get(key).map(Vec::as_slice) {
        Some([task]) => task.judge(shape),
        Some([_, _, ..]) => Outcome::new(Class::Unknown, "the ERP's job names this record twice"),
        _ => any.clone().unwrap_or_else(|| {
            Outcome::new(Class::Unknown, "the ERP's job is at its end, and has no result that names this record")
        }),
    };
    let told = tasks.iter().filter(|task| task.status >= 400).map(|task| task.body.to_string() + "\n");
    let note = if strange > 0 { format!("{}{strange} at the job's tasks] ", Answer::STRANGE) } else { String::new() };
    let excerpt = bounded(&told.fold(note, |text, body| text + &body), Answer::EXCERPT);
    let outcomes = keys.iter().map(outcome).collect();
    Answer { status: Some(200), excerpt, outcomes, whole: false, retry_after_ms: None, later: None }
}

/// What is true of each of the records that these came of, whichever it came of.
fn whoever(outcomes: &[Outcome]) -> Option<Outcome> {
    let (first, others) = outcomes.split_first()?;
    if others.is_empty() {
        return Some(first.clone());
    }
    let all = |is: fn(Class) -> bool| outcomes.iter().all(|outcome| is(outcome.class));
    if all(Class::has_effect) {
        return Some(Outcome { reference: None, ..first.clone() });
    }
    if !all(|class| matches!(class, Class::Validation | Class::Reference | Class::Conflict)) {
        return None;
    }
    let same = others.iter().all(|outcome| outcome.class == first.class);
    let code = first.code.clone().filter(|_| others.iter().all(|outcome| outcome.code == first.code));
    let mut words: Vec<&str> = outcomes.iter().map(|outcome| outcome.reason.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    let reason = match words.as_slice() {
        [one] => (*one).to_owned(),
        words => {
            let words = bounded(&words.join("; "), REASON);
            format!(
                "the ERP refuses {} records of this job, and does not say which word is whose: {words}",
                outcomes.len()
            )
        }
    };
    let class = if same { first.class } else { Class::Validation };
    Some(Outcome { code, ..Outcome::new(class, reason) })
}

/// What SuiteTalk says more of an error: `"o:errorDetails": [{"detail", "o:errorCode", "o:errorPath"}]`.
pub(super) fn details(body: &Value) -> impl Iterator<Item = &Value> {
    body.get("o:errorDetails").and_then(Value::as_array).into_iter().flatten()
}

fn error_code(detail: &Value) -> Option<&str> {
    detail.get("o:errorCode")?.as_str()
}

fn external_id(record: &Value) -> Option<Id> {
    record.get("externalId").and_then(Value::as_str).and_then(Id::parse)
}

fn json_of(reply: &Reply) -> Option<Value> {
    match reply {
        Reply::Http { status: 200, body, .. } => super::body::json(body),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
