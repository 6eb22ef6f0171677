//! `[[target]]`: the systems that post, and how they want it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::bounds::{DAY, HOUR, Ids, SECOND, duration, number, size, span_text};
use crate::config::{Reading, auth, classify};
use crate::form::{Entry, Table};
use crate::lane::{self, AnswerShape, Dialect, Format, Idempotency, KeyScope, Limits, Worth};
use crate::target::{self, Wire};

mod odata;
mod profile;
mod suitetalk;

const MS: Duration = Duration::from_millis(1);
/// What a posting refers to may come this much later, unless the target says otherwise.
const REFERENCE_GRACE: Duration = Duration::from_mins(15);

/// A target of the file, whether it could be read or not, so that what refers to it is no second fault.
pub(super) struct Declared {
    pub(super) id: String,
    pub(super) made: Option<Made>,
}

pub(super) struct Made {
    pub(super) config: target::Config,
    /// A lane to it, but for what `[[lane]]` says.
    pub(super) lane: lane::Config,
}

pub(super) fn read_all(root: &Table<'_>, reading: &Reading) -> Vec<Declared> {
    let mut ids = Ids::default();
    let mut targets = Vec::new();
    for table in root.tables("target") {
        let id = ids.read(&table);
        let made = read(&table, reading, id.as_deref().unwrap_or_default());
        targets.extend(id.map(|id| Declared { id, made }));
    }
    if targets.is_empty() && root.tables("target").is_empty() {
        root.refuse_key("target", "is missing", "add a [[target]]: where events are posted");
    }
    targets
}

fn read(table: &Table<'_>, reading: &Reading, id: &str) -> Option<Made> {
    kind(table);
    let url = url(table, reading);
    let profile = profile::read(table);
    let mut batch = batch(table);
    let mut answers = answers(table, reading, profile.is_some());
    if !profile::is_named(table) && answers.items.is_none() {
        let help = "add `answers = { items = \"/results\" }` to read one result for each key";
        reading.warn(table.fault_at("answers", "is missing: a 200, 201 or 204 counts the whole batch as posted", help));
    }
    let idempotency = idempotency(table);
    let (mut wire, mut key_scope) = (Wire::Contract, KeyScope::Item);
    if let Some(profile) = profile {
        profile.suits(table, idempotency);
        (batch.format, answers, wire, key_scope) =
            (profile.format.clone(), profile.shape(answers), profile.wire, profile.key_scope);
    }
    let timeout = duration(table, "timeout", SECOND * 60, MS * 100..=SECOND * 600);
    let connect_timeout = duration(table, "connect_timeout", SECOND * 10, MS * 10..=SECOND * 60);
    let horizon = horizon(table, idempotency, timeout);
    let lookup = lookup(table, reading, idempotency);
    answers.lookup = lookup.is_some();
    let settle = duration(table, "settle_delay", timeout * 2, SECOND..=DAY);
    let settle_ms = lookup.is_some().then(|| ms(settle));
    if table.entry("lookup").is_none() && table.entry("settle_delay").is_some() {
        table.refuse_key("settle_delay", "goes with `lookup` only", "remove it");
    }
    let (retry_first, retry_max) = retry(table);
    let reference_grace = duration(table, "reference_grace", REFERENCE_GRACE, SECOND..=DAY * 30);
    let limits = limits(table);
    let gzip = table.or("gzip", false);
    let ordered_batch = table.or("ordered_batch", false);
    let max_in_flight = number(table, "max_in_flight", 1, 1..=64);
    let login = auth::login(table, reading);
    let tls = auth::certificates(table, reading);
    let config = target::Config {
        id: id.to_owned(),
        url: url?,
        answers,
        wire,
        content_type: batch.format.content_type(),
        gzip,
        timeout,
        connect_timeout,
        lookup,
        login,
        tls: tls?,
    };
    let lane = lane::Config {
        id: String::new(),
        target: 0,
        system: id.to_owned(),
        business_unit: String::new(),
        elsewhere: std::collections::BTreeSet::new(),
        worth: Worth::Visibility,
        take: Vec::new(),
        format: batch.format,
        ordered_batch,
        key_scope,
        max_events: batch.max_events,
        max_bytes: batch.max_bytes,
        linger_ms: ms(batch.linger),
        max_in_flight,
        idempotency,
        replays_errors: replays_errors(table, idempotency),
        dedup_horizon_ms: ms(horizon?),
        settle_ms,
        timeout_ms: ms(timeout),
        retry_first_ms: ms(retry_first),
        retry_max_ms: ms(retry_max),
        reference_grace_ms: ms(reference_grace),
        max_parked: 0,
        limits,
    };
    Some(Made { config, lane })
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("every duration was checked to be some years at most")
}

fn kind(table: &Table<'_>) {
    let Some(entry) = table.required_entry("kind") else { return };
    if !entry.later(&["nats", "file", "mqtt", "erp", "odata", "soap"], "this version has \"http\"") {
        entry.choice(&[("http", ())]);
    }
}

fn url(table: &Table<'_>, reading: &Reading) -> Option<String> {
    let entry = table.required_entry("url")?;
    address(&entry, reading, "events and the token travel in clear to another machine")
}

/// An http or https address; `clear`: what to say of http to another machine.
pub(super) fn address(entry: &Entry<'_>, reading: &Reading, clear: &str) -> Option<String> {
    let text: String = entry.read()?;
    let help = "write \"https://host/path\"";
    // `http:///path`, `http:/path` and `http:path` would be taken for the host `path`.
    let hosted = text.split_once("://").is_some_and(|(scheme, rest)| {
        ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !rest.starts_with(['/', '\\'])
    });
    let url = match reqwest::Url::parse(&text) {
        Ok(url) if hosted => url,
        other => {
            let why = other.err().filter(|_| text.contains("://")).map_or_else(String::new, |why| format!(": {why}"));
            entry.refuse(&format!("\"{text}\" is not an http or https address{why}"), help);
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        let help = "remove it and use auth = { user = \"…\", password_file = \"…\" }";
        entry.refuse("carries a user or a password", help);
        return None;
    }
    if url.scheme() == "http" && !loopback(url.host_str().unwrap_or_default()) {
        reading.warn(entry.fault(clear, "use https://"));
    }
    Some(text)
}

fn loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}

struct Batch {
    max_events: usize,
    max_bytes: usize,
    linger: Duration,
    format: Format,
}

fn batch(table: &Table<'_>) -> Batch {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Array,
        Ndjson,
        CloudEvents,
    }
    let mut batch =
        Batch { max_events: 50, max_bytes: 512 << 10, linger: MS * 20, format: Format::JsonArray { wrap: None } };
    let Some(table) = table.table("batch") else { return batch };
    batch.max_events = number(&table, "max_events", batch.max_events, 1..=10_000);
    let bytes = size(&table, "max_size", batch.max_bytes as u64, 4 << 10..=64 << 20);
    batch.max_bytes = usize::try_from(bytes).expect("64 MiB at most, as checked above");
    batch.linger = duration(&table, "linger", batch.linger, Duration::ZERO..=SECOND * 60);
    let words = [("json-array", Word::Array), ("ndjson", Word::Ndjson), ("cloudevents", Word::CloudEvents)];
    let word = table.entry("format").and_then(|e| e.choice(&words)).unwrap_or(Word::Array);
    let wrap: Option<String> = table.optional("wrap");
    if wrap.as_ref().is_some_and(String::is_empty) {
        table.refuse_key("wrap", "is empty", "name the member that holds the list, or remove it");
    }
    if wrap.is_some() && word != Word::Array {
        table.refuse_key("wrap", "goes with format = \"json-array\" only", "remove it");
    }
    batch.format = match word {
        Word::Array => Format::JsonArray { wrap },
        Word::Ndjson => Format::Ndjson,
        Word::CloudEvents => Format::CloudEvents,
    };
    batch
}

fn answers(table: &Table<'_>, reading: &Reading, profile: bool) -> AnswerShape {
    let given = table.table("answers");
    let pointer = |key: &str, default: &str| {
        let Some(table) = &given else { return default.to_owned() };
        let text = table.or(key, default.to_owned());
        if !text.is_empty() && !text.starts_with('/') {
            table.refuse_key(key, &format!("\"{text}\" is not a JSON Pointer"), &format!("write \"/{text}\""));
        }
        text
    };
    AnswerShape {
        items: given.is_some().then(|| pointer("items", "/results")),
        key: pointer("key", "/key"),
        status: pointer("status", "/status"),
        reason: pointer("reason", "/reason"),
        reference: pointer("reference", "/reference"),
        definite_503: table.or("definite_503", false),
        lookup: false,
        dialect: Dialect::Contract,
        rules: classify::read_all(table, profile || given.is_some(), &|warning| reading.warn(warning)),
    }
}

fn idempotency(table: &Table<'_>) -> Idempotency {
    let words = [
        ("key", Idempotency::Key),
        ("natural", Idempotency::Natural),
        ("lookup", Idempotency::Lookup),
        ("none", Idempotency::None),
    ];
    table.required_choice("idempotency", &words).unwrap_or(Idempotency::Key)
}

fn replays_errors(table: &Table<'_>, idempotency: Idempotency) -> bool {
    let replays = table.or("replays_errors", false);
    if replays && idempotency != Idempotency::Key {
        table.refuse_key("replays_errors", "goes with idempotency = \"key\" only", "remove it");
    }
    replays
}

/// `lookup = { url = "https://host/lookup", max_keys = 50 }`.
fn lookup(table: &Table<'_>, reading: &Reading, idempotency: Idempotency) -> Option<target::Lookup> {
    let Some(given) = table.table("lookup") else {
        if idempotency == Idempotency::Lookup {
            table.refuse_key(
                "lookup",
                "is missing",
                "add where keys can be looked up: `lookup = { url = \"https://…\" }`",
            );
        }
        return None;
    };
    let url = url(&given, reading);
    let max_keys = number(&given, "max_keys", 50, 1..=1_000);
    Some(target::Lookup { url: url?, max_keys })
}

/// A resend must end inside the horizon, so one that is no longer than a request is of no use.
fn horizon(table: &Table<'_>, idempotency: Idempotency, timeout: Duration) -> Option<Duration> {
    if idempotency != Idempotency::Key {
        if table.entry("dedup_horizon").is_some() {
            table.refuse_key("dedup_horizon", "goes with idempotency = \"key\" only", "remove it");
        }
        return Some(Duration::ZERO);
    }
    if table.entry("dedup_horizon").is_none() {
        let help = "add how long the target remembers a key: `dedup_horizon = \"24h\"`";
        table.refuse_key("dedup_horizon", "is missing", help);
        return None;
    }
    let horizon = duration(table, "dedup_horizon", DAY, SECOND..=DAY * 3650);
    if horizon <= timeout * 2 {
        let message = format!("is {}, too short for a timeout of {}", span_text(horizon), span_text(timeout));
        table.refuse_key("dedup_horizon", &message, "write more than twice the timeout, or shorten the timeout");
    }
    Some(horizon)
}

fn retry(table: &Table<'_>) -> (Duration, Duration) {
    let (first, max) = (MS * 500, SECOND * 300);
    let Some(table) = table.table("retry") else { return (first, max) };
    let first = duration(&table, "first", first, MS * 10..=HOUR);
    let max = duration(&table, "max", max, MS * 10..=DAY);
    if first > max {
        let message = format!("is {}, less than first = {}", span_text(max), span_text(first));
        table.refuse_key("max", &message, "write a max that is not below first");
    }
    (first, max)
}

/// What the system allows in all, and how it is tried after trouble.
fn limits(table: &Table<'_>) -> Limits {
    const REQUESTS: RangeInclusive<u32> = 1..=1_000_000;
    let mut limits = Limits::default();
    if let Some(rate) = table.table("rate") {
        let minute = rate.entry("per_minute").map(|_| number(&rate, "per_minute", 1, REQUESTS));
        let second = rate.entry("per_second").map(|_| number(&rate, "per_second", 1, REQUESTS).saturating_mul(60));
        match (minute, second) {
            (Some(_), Some(_)) => rate.refuse_key("per_second", "stands beside per_minute", "write one of them"),
            (None, None) => {
                let help = "write how many requests the system takes: `per_second = 10` or `per_minute = 120`";
                rate.refuse_key("per_second", "is missing", help);
            }
            _ => {}
        }
        limits.per_minute = minute.or(second);
        limits.burst = number(&rate, "burst", limits.per_minute.unwrap_or(1).div_ceil(60), REQUESTS);
    }
    limits.max_concurrent = table.entry("max_concurrent").map(|_| number(table, "max_concurrent", 1, 1..=1_024));
    if let Some(breaker) = table.table("breaker") {
        let (first, max) = (SECOND * 10, SECOND * 300);
        let first = duration(&breaker, "first", first, MS * 10..=HOUR);
        let max = duration(&breaker, "max", max, MS * 10..=DAY);
        if first > max {
            let message = format!("is {}, less than first = {}", span_text(max), span_text(first));
            breaker.refuse_key("max", &message, "write a max that is not below first");
        }
        (limits.breaker_first_ms, limits.breaker_max_ms) = (ms(first), ms(max));
    }
    limits
}
