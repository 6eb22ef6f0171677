//! The wire to the systems that post: HTTP batches.
//!
//! A batch is sent once, and what came of it is told row by row. Whether and when it is sent again is the lane's
//! matter alone: nothing here retries, follows a redirect or asks a proxy.

mod http;

use std::path::PathBuf;
use std::time::Duration;

pub use http::Http;

use crate::lane::AnswerShape;

/// An HTTP target, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// System id: part of every posting's key.
    pub id: String,
    /// Where batches are posted.
    pub url: String,
    /// Where the answer's parts stand.
    pub answers: AnswerShape,
    /// `Content-Type` of the body.
    pub content_type: &'static str,
    /// Compress bodies.
    pub gzip: bool,
    /// The whole request, until the last byte of the answer.
    pub timeout: Duration,
    /// Until the connection stands; at most half of `timeout` is given, so that a connection that never stood can be told
    /// from an answer that never came.
    pub connect_timeout: Duration,
    /// Where it can be asked for postings.
    pub lookup: Option<Lookup>,
    /// A file with the bearer token; read for each request, so that it may be renewed.
    pub bearer_file: Option<PathBuf>,
    /// A file with CA certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a target says which keys it knows: `GET url?key=…&key=…` (docs/erp-contract.md, "Lookup").
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Without the keys.
    pub url: String,
    /// Keys of one request.
    pub max_keys: usize,
}
