//! What a lane is configured with.

use std::collections::BTreeSet;

use crate::lane::{Format, Limits};

/// What the postings of a lane are worth, and so what may happen to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Stream only: a rejected row does not park its subject.
    Visibility,
    /// ERP document status.
    Document,
    /// Stock or finance.
    Ledger,
}

/// How a target tells a posting that it has seen before, and so how one without an answer is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// By its key, inside the dedup horizon: the same bytes are sent again.
    Key,
    /// By what it is (upsert by an external id): the same bytes are sent again, at any age.
    Natural,
    /// Not at all, but it can be asked: looked up first, sent again only if it is definitely absent.
    Lookup,
    /// Not at all: what may have had effect is for a person.
    None,
}

/// What a key of the target names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyScope {
    /// Each posting has its own: what is open of a batch may be grouped anew.
    Item,
    /// A whole request, which has its effect wholly or not at all: rows, order and bytes of a batch are frozen from its first
    /// send until it is known what came of it.
    Request,
    /// A whole request, whose postings have their effect each by itself, in any order: frozen as well, until the target has told
    /// what came of each. What is left when others have come to their end would be another request.
    Parts,
}

/// A lane, validated. Durations in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Lane id.
    pub id: String,
    /// Index of its target in the configuration.
    pub target: usize,
    /// System id of its target: part of every posting's key.
    pub system: String,
    /// The business unit whose events it takes: part of every order key.
    pub business_unit: String,
    /// Devices of other business units: their events are not this lane's.
    pub elsewhere: BTreeSet<String>,
    /// What its postings are worth.
    pub worth: Worth,
    /// Globs of transaction types: `divert.*`.
    pub take: Vec<String>,
    /// How a batch's body is written.
    pub format: Format,
    /// The target applies a batch in order and stops a subject at its first error: rows of one subject may share one.
    pub ordered_batch: bool,
    /// What its keys name.
    pub key_scope: KeyScope,
    /// Most rows of a batch.
    pub max_events: usize,
    /// Most bytes of a batch's events.
    pub max_bytes: usize,
    /// Behind requests in flight, a batch that isn't full waits this long.
    pub linger_ms: u64,
    /// Batches sent and not yet answered.
    pub max_in_flight: usize,
    /// How the target tells a posting that it has seen before.
    pub idempotency: Idempotency,
    /// The target keeps its answer with the key, a refusal or an HTTP 500 too, and gives it again: under the same key no error
    /// heals.
    pub replays_errors: bool,
    /// How long the target remembers a key, counted from the first send.
    pub dedup_horizon_ms: u64,
    /// The target can be asked for a posting by its key. That it is absent counts only this long after the last send: the
    /// request may still be at work. `None`: it can't be asked.
    pub settle_ms: Option<u64>,
    /// The target's request timeout: the margin before the horizon.
    pub timeout_ms: u64,
    /// First bound of the backoff …
    pub retry_first_ms: u64,
    /// … which doubles up to this one.
    pub retry_max_ms: u64,
    /// How long what a posting refers to may take to appear in the target, before a person is asked.
    pub reference_grace_ms: u64,
    /// More subjects parked than this stop the lane.
    pub max_parked: usize,
    /// What its target allows, and how it is tried after trouble: the same in all lanes of a target.
    pub limits: Limits,
}

impl Config {
    /// Whether a row that does not go on keeps the later ones of its subject waiting.
    pub fn parks(&self) -> bool {
        self.worth != Worth::Visibility
    }

    /// Whether this lane takes events of the configured device at all.
    pub fn hears(&self, device: &str) -> bool {
        !self.elsewhere.contains(device)
    }

    /// Whether a batch that was sent is never grouped anew before it is known what came of it.
    pub fn is_frozen(&self) -> bool {
        self.key_scope != KeyScope::Item
    }

    /// Whether a batch has its effect wholly or not at all.
    pub fn is_atomic(&self) -> bool {
        self.key_scope == KeyScope::Request
    }

    /// Whether what is left of a batch is never sent: the target would take it for a request that it has not seen.
    pub fn only_whole(&self) -> bool {
        self.is_frozen() && self.idempotency == Idempotency::Key
    }

    /// Whether this lane takes `tx_type`: a glob's `*` stands for any run of characters.
    pub fn takes(&self, tx_type: &str) -> bool {
        self.take.iter().any(|glob| matches(glob, tx_type))
    }
}

#[cfg(test)]
impl Config {
    /// A lane for tests, which say what is otherwise with theirs.
    pub(in crate::lane) fn example() -> Self {
        Self {
            id: "outbound".into(),
            target: 0,
            system: "erp".into(),
            business_unit: "main".into(),
            elsewhere: BTreeSet::new(),
            worth: Worth::Document,
            take: Vec::new(),
            format: Format::JsonArray { wrap: None },
            ordered_batch: false,
            key_scope: KeyScope::Item,
            max_events: 10,
            max_bytes: 10_000,
            linger_ms: 0,
            max_in_flight: 1,
            idempotency: Idempotency::Key,
            replays_errors: false,
            dedup_horizon_ms: 86_400_000,
            settle_ms: None,
            timeout_ms: 5_000,
            retry_first_ms: 100,
            retry_max_ms: 1_000,
            reference_grace_ms: 900_000,
            max_parked: 100,
            limits: Limits::default(),
        }
    }
}

fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((head, rest)) => text
            .strip_prefix(head)
            .is_some_and(|text| (0..=text.len()).any(|i| text.is_char_boundary(i) && matches(rest, &text[i..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_run() {
        for (glob, text, yes) in [
            ("divert.*", "divert.confirmed", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("scan.carton", "scan.carton", true),
            ("scan", "scan.carton", false),
        ] {
            assert_eq!(matches(glob, text), yes, "{glob} {text}");
        }
    }
}
