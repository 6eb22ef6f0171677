//! A posting as a record of a SuiteTalk REST collection (docs/erp-profiles.md).

use serde_json::Value;

use super::{Posting, put, text};

/// `{"externalId": the posting's key, "field": value, …}`; a field whose place holds nothing is left out.
pub(super) fn record(out: &mut Vec<u8>, p: &Posting, fields: &[(String, String)], item: fn(&mut Vec<u8>, &Posting)) {
    let mut written = Vec::new();
    item(&mut written, p);
    let item: Value = serde_json::from_slice(&written).unwrap_or_default();
    put(out, format_args!("{{\"externalId\":\"{}\"", p.key));
    for (name, at) in fields {
        let Some(value) = item.pointer(at).filter(|value| !value.is_null()) else { continue };
        out.push(b',');
        text(out, name);
        put(out, format_args!(":{value}"));
    }
    out.push(b'}');
}
