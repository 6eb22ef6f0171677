//! A batch on its way out, and what came of it for each row.

use crate::event::{Id, Millis};

/// What an answer says of one row (docs/erp.md, docs/support.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The effect exists, made now.
    Delivered,
    /// The effect existed before.
    Duplicate,
    /// The effect exists: the target was asked for it.
    Found,
    /// The target has taken it over and will give it its effect, or refuse it.
    Accepted,
    /// Definitely no effect: the target did not try.
    NotAttempted,
    /// Definitely no effect: the target or the way to it is in trouble.
    Transient,
    /// Definitely no effect: slow down.
    Throttled,
    /// Definitely no effect: who we are was refused.
    Auth,
    /// Definitely no effect: the endpoint does not take what we send.
    Contract,
    /// Definitely no effect: this row is wrong. A person decides.
    Validation,
    /// Definitely no effect: it refers to something the target does not have (yet).
    Reference,
    /// Definitely no effect: locked, or changed meanwhile.
    Conflict,
    /// The key was used for other content. A person decides.
    KeyClash,
    /// The bytes may have had effect.
    Unknown,
    /// Ours: neither a resend nor a lookup is safe any more. A person decides.
    Unresolvable,
    /// Ours: it fails alone, again and again, while others of its lane are posted. A person decides.
    Poison,
    /// Ours: the stored row does not match its checksum and can not be sent. A person decides.
    Corrupt,
}

impl Class {
    /// The effect exists.
    pub fn has_effect(self) -> bool {
        matches!(self, Self::Delivered | Self::Duplicate | Self::Found)
    }

    /// The class of a [`Self::name`].
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::Delivered,
            Self::Duplicate,
            Self::Found,
            Self::Accepted,
            Self::NotAttempted,
            Self::Transient,
            Self::Throttled,
            Self::Auth,
            Self::Contract,
            Self::Validation,
            Self::Reference,
            Self::Conflict,
            Self::KeyClash,
            Self::Unknown,
            Self::Unresolvable,
            Self::Poison,
            Self::Corrupt,
        ];
        all.into_iter().find(|class| class.name() == name)
    }

    /// The name in logs, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Found => "found",
            Self::Accepted => "accepted",
            Self::NotAttempted => "not_attempted",
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Contract => "contract",
            Self::Validation => "validation",
            Self::Reference => "reference",
            Self::Conflict => "conflict",
            Self::KeyClash => "key_clash",
            Self::Unknown => "unknown",
            Self::Unresolvable => "unresolvable",
            Self::Poison => "poison",
            Self::Corrupt => "corrupt",
        }
    }
}

/// What came of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The class.
    pub class: Class,
    /// The target's word for the reason: `order_on_hold`.
    pub code: Option<String>,
    /// The target's words, or ours; for people.
    pub reason: String,
    /// The target's own reference of the posting.
    pub reference: Option<String>,
    /// Its own part of an answer that tells of each row by itself, where it has no effect; at most [`Answer::EXCERPT`] bytes.
    pub part: Option<String>,
}

impl Outcome {
    /// An outcome without reference.
    pub fn new(class: Class, reason: impl Into<String>) -> Self {
        Self { class, code: None, reason: reason.into(), reference: None, part: None }
    }
}

/// What came of one attempt to deliver a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status, if there was one.
    pub status: Option<u16>,
    /// The beginning of the answer, kept with what it rejected and has no part of its own in it; at most [`Answer::EXCERPT`] bytes.
    pub excerpt: String,
    /// One for each row, in the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// The answer (or its absence) spoke of the batch as a whole, not of each item.
    pub whole: bool,
    /// Milliseconds for which the target asked us to stay away (Retry-After, RateLimit), counted from now.
    pub retry_after_ms: Option<u64>,
    /// How to learn what becomes of the rows that it leaves open, if the target has its own way.
    pub later: Option<Later>,
}

/// How to learn what becomes of rows that an answer leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    /// Whom to ask.
    pub by: By,
    /// Not sooner than after so many milliseconds; `None`: the target has said nothing of that.
    pub after_ms: Option<u64>,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The target, at this address of its own.
    Job(String),
    /// By lookup, where the target has one; else the same is sent again.
    Lookup,
    /// By lookup alone: the target no longer tells that it has seen the key.
    LookupOnly,
}

impl Answer {
    /// Bytes kept of an answer.
    pub const EXCERPT: usize = 2_048;
    /// What the excerpt begins with where an answer speaks of keys that it was not asked for: somebody mixes batches up.
    pub const STRANGE: &str = "[results of keys that were not in the batch: ";
}

impl Outcome {
    /// What the reason of a row begins with to which the target gave a status that the contract does not know.
    pub const ODD_STATUS: &str = "the ERP gave this item the status ";
    /// What the reason of a row begins with that never left …
    pub const NOT_SENT: &str = "not sent";
    /// … as nobody would have let it in.
    pub const NOT_LET_IN: &str = "not let in";
    /// The code of a batch, or a row, that is larger than the target takes at once.
    pub const TOO_LARGE: &str = "too_large";
    /// The code of a posting whose key the target answers with an error that it has kept; it was looked up, and is not there.
    pub const REPLAYED: &str = "replayed_error";
    /// The code of a duplicate under a key that the target had not seen: somebody did it by hand.
    pub const ALREADY_DONE: &str = "already_done";
    /// The code of a posting whose document has another ETag than it was to have.
    pub const ETAG_CHANGED: &str = "etag_changed";
    /// The code of a posting whose document is to be named with its ETag, and was not.
    pub const ETAG_MISSING: &str = "etag_missing";
}

/// What the target is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Post the rows, which are durably `sending`: the rendered body, not compressed.
    Post(Vec<u8>),
    /// Say which of the rows have their effect, with these fingerprints of their content, in their order. Changes nothing
    /// there.
    Look(Vec<String>),
    /// Say what became of the batch that was accepted, at the address that the target gave for it. Changes nothing there.
    Poll(String),
}

/// A batch on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What for.
    pub errand: Errand,
    /// Index of the lane.
    pub lane: usize,
    /// The lane's number of the batch.
    pub batch: u64,
    /// `batch_id` over the keys.
    pub id: Id,
    /// From 1.
    pub attempt: u32,
    /// When its first attempt left.
    pub first_sent: Millis,
    /// Keys of the rows, in order.
    pub keys: Vec<Id>,
}

impl Outgoing {
    /// The bytes to post; none of a question.
    pub fn body(&self) -> &[u8] {
        match &self.errand {
            Errand::Post(body) => body,
            Errand::Look(_) | Errand::Poll(_) => &[],
        }
    }
}
