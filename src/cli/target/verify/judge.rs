//! What an answer of the contract has to look like (docs/erp-contract.md, "The answer", "Lookup", "Errors"). Pure.
//!
//! Each function gives what it read, or one sentence that says what is wrong with it.

use serde_json::Value;

use crate::target::Heard;

/// What an answer says of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) status: Status,
    pub(super) reason: String,
    pub(super) reference: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Posted,
    Duplicate,
    Accepted,
    Rejected,
    Retry,
}

const WORDS: [(&str, Status); 5] = [
    ("posted", Status::Posted),
    ("duplicate", Status::Duplicate),
    ("accepted", Status::Accepted),
    ("rejected", Status::Rejected),
    ("retry", Status::Retry),
];

impl Item {
    /// As in the page: `rejected, key_reused`.
    pub(super) fn words(&self) -> String {
        let word = WORDS.iter().find(|(_, status)| *status == self.status).map_or("", |(word, _)| word);
        if self.reason.is_empty() { word.to_owned() } else { format!("{word}, {}", self.reason) }
    }

    /// # Errors
    /// When it says something else.
    pub(super) fn is(&self, status: Status, reason: &str) -> Result<(), String> {
        let wanted = Self { status, reason: reason.to_owned(), reference: String::new() };
        let same = self.status == status && (reason.is_empty() || self.reason == reason);
        if same { Ok(()) } else { Err(format!("it is answered {}, not {}", self.words(), wanted.words())) }
    }
}

/// What a lookup says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Present { reference: String, fingerprint: String },
    Absent,
    Processing,
}

impl Found {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Present { .. } => "present",
            Self::Absent => "absent",
            Self::Processing => "processing",
        }
    }
}

/// The JSON object of an answer with that status.
pub(super) fn json(heard: &Heard, status: u16) -> Result<Value, String> {
    if heard.status != status {
        let said = serde_json::from_slice(&heard.body).ok().and_then(|body: Value| {
            let words: Vec<&str> = ["type", "detail"].iter().filter_map(|name| body.get(name)?.as_str()).collect();
            (!words.is_empty()).then(|| format!(" ({})", words.join(": ")))
        });
        return Err(format!("HTTP {}{}, not {status}", heard.status, said.unwrap_or_default()));
    }
    object(heard, "application/json")
}

/// A problem document (RFC 9457) with that status, whose `type` ends in `word`.
pub(super) fn problem(heard: &Heard, status: u16, word: &str) -> Result<Value, String> {
    if heard.status != status {
        return Err(format!("HTTP {}, not {status} {word}", heard.status));
    }
    let body = object(heard, "application/problem+json")?;
    let said = body.get("type").and_then(Value::as_str).unwrap_or_default();
    if said.rsplit([':', '/']).next() != Some(word) {
        return Err(format!("the problem's `type` is \"{said}\", not urn:floorgate:problem:{word}"));
    }
    if text(&body, "title").is_empty() {
        return Err(format!("the problem {word} has no `title`, which is shown to people"));
    }
    Ok(body)
}

fn object(heard: &Heard, content_type: &str) -> Result<Value, String> {
    if heard.content_type != content_type {
        let said = if heard.content_type.is_empty() { "missing" } else { &heard.content_type };
        return Err(format!("the Content-Type is {said}, not {content_type}"));
    }
    match serde_json::from_slice(&heard.body) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("the body is JSON, but no object".to_owned()),
        Err(why) => Err(format!("the body is not JSON: {why}")),
    }
}

/// One entry of `results` for each of `keys`, in their order, and none for others.
fn each<'v>(body: &'v Value, keys: &[String]) -> Result<Vec<&'v Value>, String> {
    let results = body.get("results").and_then(Value::as_array).ok_or("there is no list `results`")?;
    let key = |result: &Value| result.get("key").and_then(Value::as_str).map(str::to_owned);
    if let Some(strange) = results.iter().find(|result| key(result).is_none_or(|key| !keys.contains(&key))) {
        let named = key(strange).map_or("has no `key`".to_owned(), |key| format!("is for {key}, which was not asked"));
        return Err(format!("a result {named}"));
    }
    keys.iter()
        .map(|wanted| {
            let mut of = results.iter().filter(|result| key(result).as_ref() == Some(wanted));
            match (of.next(), of.next()) {
                (Some(result), None) => Ok(result),
                (None, _) => {
                    Err(format!("there is no result for {wanted} ({} for {} keys)", results.len(), keys.len()))
                }
                (Some(_), Some(_)) => Err(format!("there are two results for {wanted}")),
            }
        })
        .collect()
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What an answer to a batch says of `keys`, in their order.
pub(super) fn results(body: &Value, keys: &[String]) -> Result<Vec<Item>, String> {
    let read = |result: &Value| {
        let word = text(result, "status");
        let status = WORDS.iter().find(|(known, _)| *known == word).map(|(_, status)| *status);
        let status = status.ok_or_else(|| format!("`status` is \"{word}\", which is no word of the page"))?;
        let item = Item { status, reason: text(result, "reason"), reference: text(result, "reference") };
        let booked = matches!(status, Status::Posted | Status::Duplicate);
        if booked && item.reference.is_empty() {
            return Err(format!("\"{word}\" comes without a `reference`"));
        }
        let refused = matches!(status, Status::Rejected | Status::Retry);
        if refused && item.reason.is_empty() {
            return Err(format!("\"{word}\" comes without a `reason`"));
        }
        if refused && text(result, "message").is_empty() {
            return Err(format!("\"{word}\" comes without a `message`: a sentence for a person"));
        }
        Ok(item)
    };
    each(body, keys)?.into_iter().map(read).collect()
}

/// What the answer to a lookup says of `keys`, in their order.
pub(super) fn lookup(heard: &Heard, keys: &[String]) -> Result<Vec<Found>, String> {
    let body = json(heard, 200)?;
    let read = |result: &Value| {
        let (word, reference, fingerprint) =
            (text(result, "status"), text(result, "reference"), text(result, "fingerprint"));
        match word.as_str() {
            "absent" => Ok(Found::Absent),
            "processing" => Ok(Found::Processing),
            "present" if reference.is_empty() => Err("\"present\" comes without a `reference`".to_owned()),
            "present" if fingerprint.is_empty() => Err("\"present\" comes without a `fingerprint`".to_owned()),
            "present" => Ok(Found::Present { reference, fingerprint }),
            _ => Err(format!("`status` is \"{word}\", not present, absent or processing")),
        }
    };
    each(&body, keys)?.into_iter().map(read).collect()
}

/// Where a job is: its results once it is done.
pub(super) fn job(heard: &Heard, status: u16) -> Result<Option<Value>, String> {
    let body = json(heard, status)?;
    if text(&body, "job").is_empty() {
        return Err("the job has no `job`: its name".to_owned());
    }
    match text(&body, "status").as_str() {
        "processing" => Ok(None),
        "done" if body.get("results").is_some() => Ok(Some(body)),
        "done" => Err("the job is done and has no `results`".to_owned()),
        word => Err(format!("the job's `status` is \"{word}\", not processing or done")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(status: u16, content_type: &str, body: &str) -> Heard {
        let (content_type, body) = (content_type.to_owned(), body.as_bytes().to_vec());
        Heard {
            status,
            content_type,
            retry_after: None,
            date: None,
            rate_limit: None,
            location: None,
            repeatability: None,
            body,
        }
    }

    fn keys() -> Vec<String> {
        vec!["k1".to_owned(), "k2".to_owned()]
    }

    #[test]
    fn results_are_one_for_each_key_with_words_of_the_page() {
        let good = json!({"results": [
            {"key": "k2", "status": "rejected", "reason": "no_stock", "message": "There is none."},
            {"key": "k1", "status": "posted", "reference": "GI-1", "more": 1}]});
        let items = results(&good, &keys()).unwrap();
        assert_eq!([items[0].words(), items[1].words()], ["posted", "rejected, no_stock"]);
        assert_eq!(items[1].is(Status::Posted, ""), Err("it is answered rejected, no_stock, not posted".to_owned()));
        for (wrong, why) in [
            (json!({}), "there is no list `results`"),
            (json!({"results": [{"key": "k1", "status": "posted", "reference": "1"}]}), "there is no result for k2"),
            (json!({"results": [{"status": "posted", "reference": "1"}]}), "a result has no `key`"),
            (json!({"results": [{"key": "k9", "status": "posted"}]}), "is for k9, which was not asked"),
            (json!({"results": [{"key": "k1", "status": "posted", "reference": "1"}, {"key": "k1"}]}), "two results"),
        ] {
            let told = results(&wrong, &keys()).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        for (item, why) in [
            (json!({"status": "OK"}), "`status` is \"OK\""),
            (json!({"status": "posted"}), "without a `reference`"),
            (json!({"status": "rejected", "message": "m"}), "without a `reason`"),
            (json!({"status": "retry", "reason": "internal"}), "without a `message`"),
        ] {
            let mut item = item;
            item["key"] = json!("k1");
            let told = results(&json!({"results": [item]}), &["k1".to_owned()]).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn lookups_jobs_and_problems_are_read() {
        let found = r#"{"results":[{"key":"k1","status":"present","reference":"GI-1","fingerprint":"f"},{"key":"k2","status":"absent"}]}"#;
        let found = lookup(&heard(200, "application/json", found), &keys()).unwrap();
        assert_eq!(found.iter().map(Found::word).collect::<Vec<_>>(), ["present", "absent"]);
        for (answer, why) in [
            (heard(404, "application/json", "{}"), "HTTP 404, not 200"),
            (heard(200, "text/html", "{}"), "the Content-Type is text/html, not application/json"),
            (heard(200, "", "{}"), "the Content-Type is missing"),
            (heard(200, "application/json", "<html>"), "the body is not JSON"),
            (heard(200, "application/json", "[]"), "no object"),
        ] {
            let told = lookup(&answer, &keys()).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        let present = r#"{"results":[{"key":"k1","status":"present","reference":"GI-1"}]}"#;
        let told = lookup(&heard(200, "application/json", present), &["k1".to_owned()]).unwrap_err();
        assert!(told.contains("without a `fingerprint`"), "{told}");
        assert_eq!(job(&heard(202, "application/json", r#"{"job":"7","status":"processing"}"#), 202), Ok(None));
        assert!(job(&heard(200, "application/json", r#"{"job":"7","status":"done"}"#), 200).is_err());
        let document = r#"{"type":"urn:floorgate:problem:too_large","title":"Too many items"}"#;
        assert!(problem(&heard(413, "application/problem+json", document), 413, "too_large").is_ok());
        assert!(problem(&heard(413, "application/json", document), 413, "too_large").is_err());
        assert!(problem(&heard(413, "application/problem+json", document), 413, "large").is_err());
        let untitled = r#"{"type":"urn:floorgate:problem:too_large"}"#;
        let told = problem(&heard(413, "application/problem+json", untitled), 413, "too_large").unwrap_err();
        assert!(told.contains("no `title`"), "{told}");
    }
}
