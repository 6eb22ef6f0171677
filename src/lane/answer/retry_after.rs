//! Retry-After (RFC 9110, 10.2.3), in both forms.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// No target keeps us away longer than this at one go, in seconds.
pub(super) const MOST_S: u64 = 3_600;

/// A target that wants less gets this, in seconds: a zero would make a tight loop of us.
const LEAST_S: u64 = 1;

/// When a target asks us to stay away until a date and does not say what time it has, in seconds.
const DEFAULT_S: u64 = 30;

/// The three forms of an HTTP date that a recipient must read (RFC 9110, 5.6.7).
const DATES: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// Milliseconds to stay away. A date counts from the answer's own `date`: our clock may be wrong.
pub(super) fn wait_ms(retry_after: &str, date: Option<&str>) -> Option<u64> {
    let text = retry_after.trim();
    let asked = seconds(text).or_else(|| until(text, date));
    asked.map(|s| s.clamp(LEAST_S, MOST_S) * 1_000)
}

fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn until(text: &str, date: Option<&str>) -> Option<u64> {
    let end = http_date(text)?;
    let Some(start) = date.map(str::trim).and_then(http_date) else { return Some(DEFAULT_S) };
    Some(u64::try_from(end.saturating_sub(start)).unwrap_or(0))
}

/// Seconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    let date = DATES.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    TimeZone::UTC.to_timestamp(date).ok().map(jiff::Timestamp::as_second)
}
