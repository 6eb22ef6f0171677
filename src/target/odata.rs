//! The headers of an OData batch: what its request is known by again.

use reqwest::RequestBuilder;

use super::Repeatable;
use crate::event::{Id, Millis};

/// The key of the request, and when it left first: the same for ever, whenever it is sent again.
pub(super) fn headers(
    request: RequestBuilder,
    (repeatable, isolation): (Repeatable, bool),
    id: Id,
    first_sent: Millis,
) -> RequestBuilder {
    let request = if isolation { request.header("isolation", "snapshot") } else { request };
    match repeatable {
        Repeatable::Oasis => request
            .header("repeatability-request-id", id.to_string())
            .header("repeatability-first-sent", http_date(first_sent)),
        Repeatable::Sap => request
            .header("requestid", id.to_string().replace('-', "").to_uppercase())
            .header("repeatabilitycreation", first_sent.to_string()),
        Repeatable::No => request,
    }
}

/// `Sun, 23 Nov 2025 14:05:09 GMT` (RFC 9110, 5.6.7).
fn http_date(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_sending_is_told_as_an_http_date() {
        assert_eq!(http_date(Millis(1_763_906_709_412)), "Sun, 23 Nov 2025 14:05:09 GMT");
    }
}
