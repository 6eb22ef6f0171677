//! The wire to the systems that post: HTTP batches.

use std::path::PathBuf;
use std::time::Duration;

use crate::lane::{Answer, AnswerShape, Outgoing};

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
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// A file with the bearer token; read for each connection, so that it may be renewed.
    pub bearer_file: Option<PathBuf>,
    /// A file with CA certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// An HTTP target, ready to send.
#[derive(Debug, Clone)]
pub struct Http {}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// When the URL or a certificate file can't be used.
    pub fn new(_config: Config) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Sends a batch once and says what came of each row. Never retries by itself.
    pub async fn deliver(&self, _batch: &Outgoing) -> Answer {
        std::future::pending().await
    }
}
