//! What the body of an answer is.

use serde_json::Value;

use super::Head;

/// A body, read.
pub(super) struct Body {
    /// It is a web page, by its type or by how it begins: no endpoint has spoken.
    pub(super) page: bool,
    /// There is nothing in it.
    pub(super) empty: bool,
    /// What it says, if that is JSON.
    pub(super) json: Option<Value>,
    /// It is JSON, and its type doesn't say otherwise.
    pub(super) as_expected: bool,
}

impl Body {
    pub(super) fn of(head: &Head, bytes: &[u8]) -> Self {
        let text = without_mark(bytes).trim_ascii();
        let page = matches!(head.content_type.as_str(), "text/html" | "application/xhtml+xml") || begins_a_page(text);
        let json = if page { None } else { serde_json::from_slice(text).ok() };
        let kind = head.content_type.as_str();
        let typed = kind.is_empty() || kind.ends_with("+json") || matches!(kind, "application/json" | "text/json");
        Self { page, empty: text.is_empty(), as_expected: typed && json.is_some(), json }
    }
}

fn begins_a_page(text: &[u8]) -> bool {
    ["<!doctype html", "<html"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag.as_bytes())))
}

/// The JSON of a body.
pub(super) fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(without_mark(bytes)).ok()
}

/// Some systems put a byte order mark before their JSON. It may be ignored (RFC 8259, 8.1).
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
