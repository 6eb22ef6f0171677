//! What an answer means (semantics 4.5). Pure.

use crate::event::Id;
use crate::lane::Answer;

/// Where an answer's parts stand, as JSON Pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerShape {
    /// The list of per-item results; `None`: the status speaks for the whole batch.
    pub items: Option<String>,
    /// The item's key.
    pub key: String,
    /// The item's status word.
    pub status: String,
    /// The item's reason.
    pub reason: String,
    /// The item's reference in the target.
    pub reference: String,
}

/// What came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Not a byte of the request left: DNS, refused, TLS.
    NotSent(String),
    /// Bytes left, no whole answer came: timeout, reset, cut in half.
    Lost(String),
    /// An answer.
    Http {
        /// Status code.
        status: u16,
        /// `Content-Type`, lower case, without parameters.
        content_type: String,
        /// `Retry-After`, verbatim.
        retry_after: Option<String>,
        /// `Date`, verbatim: an HTTP date in Retry-After is measured against it, never against our clock.
        date: Option<String>,
        /// The body, bounded.
        body: Vec<u8>,
    },
}

/// What a reply says of each of `keys`.
pub fn classify(_reply: &Reply, _shape: &AnswerShape, _keys: &[Id]) -> Answer {
    Answer { status: None, excerpt: String::new(), outcomes: Vec::new(), whole: true, retry_after_ms: None }
}
