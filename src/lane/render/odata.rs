//! A posting as a request of an OData 4.01 JSON batch (OData JSON Format 4.01, section 19, "Batch Requests and Responses").

use serde_json::Value;

use super::{Posting, member, put};

/// The atomicity group of all requests: the batch has its effect wholly or not at all.
pub(in crate::lane) const GROUP: &str = "all";

/// `{"id", "atomicityGroup", "method", "url", "headers", "body"}`: the id is the posting's key, the body its item.
pub(super) fn request(
    out: &mut Vec<u8>,
    p: &Posting,
    resource: &str,
    if_match: Option<&str>,
    item: fn(&mut Vec<u8>, &Posting),
) {
    put(out, format_args!("{{\"id\":\"{}\",\"atomicityGroup\":\"{GROUP}\",\"method\":\"POST\"", p.key));
    member(out, "url", &resource.replace("{subject}", &escaped(&p.subject)).replace("{tx_type}", &escaped(&p.tx_type)));
    out.extend_from_slice(b",\"headers\":{\"content-type\":\"application/json\"");
    let data: Option<Value> = if_match.and_then(|_| serde_json::from_str(&p.data).ok());
    if let Some(tag) = if_match.and_then(|name| data.as_ref()?.get(name)?.as_str()) {
        member(out, "if-match", tag);
    }
    out.extend_from_slice(b"},\"body\":");
    item(out, p);
    out.push(b'}');
}

/// Text within a key of a URL: a quote is doubled (OData URL Conventions, 4.3.1), all but unreserved characters are escaped.
fn escaped(text: &str) -> String {
    let written = |byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.replace('\'', "''").bytes().map(written).collect()
}
