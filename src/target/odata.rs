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
            .header("repeatabilitycreation", date_time(first_sent)),
        Repeatable::No => request,
    }
}

/// `Sun, 23 Nov 2025 14:05:09 GMT` (RFC 9110, 5.6.7).
fn http_date(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `2025-11-23T14:05:09`, in UTC: SAP's pages say "date and time" and no more; clients of SAP services write it so.
fn date_time(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_sending_is_told_as_an_http_date() {
        assert_eq!(http_date(Millis(1_763_906_709_412)), "Sun, 23 Nov 2025 14:05:09 GMT");
    }

    /// Names are those of the wire, values those of the same request whenever it is sent.
    #[test]
    fn each_system_is_told_the_key_in_its_own_headers() {
        let id = Id::parse("5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1").expect("an id");
        let shown = |repeatable, isolation| {
            let post = reqwest::Client::new().post("http://127.0.0.1/");
            let request =
                headers(post, (repeatable, isolation), id, Millis(1_763_906_709_412)).build().expect("a request");
            let shown =
                request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Repeatable::Oasis, false),
            [
                "repeatability-request-id: 5d5f5c7d-bf6e-879a-b6e2-a74afa96e7d1",
                "repeatability-first-sent: Sun, 23 Nov 2025 14:05:09 GMT"
            ]
        );
        assert_eq!(
            shown(Repeatable::Sap, false),
            ["requestid: 5D5F5C7DBF6E879AB6E2A74AFA96E7D1", "repeatabilitycreation: 2025-11-23T14:05:09"]
        );
        assert_eq!(shown(Repeatable::No, true), ["isolation: snapshot"]);
    }
}
