//! The body of a batch: a pure function of stored columns, pinned by its version.

use crate::event::{Id, Millis};

/// The version of the renderer. A batch is resent with the version it was first sent with: change the bytes of any
/// format only under a new number, and keep the old one. A golden test holds the bytes.
pub const RENDERER: u16 = 1;

/// How a batch's body is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A JSON array, or with `wrap` an object that holds it: `{"events":[…]}`.
    JsonArray {
        /// Name of the member that holds the array.
        wrap: Option<String>,
    },
    /// One JSON object a line.
    Ndjson,
    /// CloudEvents 1.0 batch: `application/cloudevents-batch+json`.
    CloudEvents,
}

/// One row of a batch: everything the renderer may use. Nothing of it changes after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The posting's key.
    pub key: Id,
    /// The event.
    pub event: Id,
    /// Raw kind: `scan.carton`.
    pub kind: String,
    /// Transaction type.
    pub tx_type: String,
    /// Site id.
    pub site: String,
    /// Device of the key, or the rule that derived it.
    pub device: String,
    /// What orders it: `dc1/main/outbound/SH-1`.
    pub order_key: String,
    /// The event's subject.
    pub subject: String,
    /// When it happened, as best the gateway knows.
    pub occurred_at: Millis,
    /// Quality of that: `synced`, `unsynced` …
    pub time_quality: String,
    /// Epoch text of the source.
    pub epoch: String,
    /// Sequence text of the source.
    pub seq: String,
    /// Commit order.
    pub commit_seq: i64,
    /// The event's data: a JSON object.
    pub data: String,
}

/// The body of a batch.
pub fn render(_format: &Format, _postings: &[Posting]) -> Vec<u8> {
    Vec::new()
}
