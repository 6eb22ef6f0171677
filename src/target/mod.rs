//! The wire to the systems that post: HTTP batches.
//!
//! A batch is sent once, and what came of it is told row by row. Whether and when it is sent again is the lane's
//! matter alone: nothing here retries, follows a redirect or asks a proxy; but that a token which the target refuses is
//! replaced once, since a 401 has no effect.

mod client;
mod http;
mod login;
mod odata;
mod probe;
mod suitetalk;
mod token;

use std::path::PathBuf;
use std::time::Duration;

pub use http::{Heard, Http};
pub use login::{ClientAuth, Login, OAuth};
pub use probe::{Base, Probe, Shown};

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
    /// What is spoken.
    pub wire: Wire,
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
    /// How to log in. Its files are read for each request, so that they may be renewed.
    pub login: Option<Login>,
    /// Certificates.
    pub tls: Tls,
}

/// What an HTTP target speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// docs/erp-contract.md: each posting has its own key.
    Contract,
    /// An OData batch of one atomicity group (docs/erp-profiles.md): the request has the key.
    OData {
        /// How the target is told it.
        repeatable: Repeatable,
        /// With `Isolation: snapshot`, which makes the batch one transaction in some.
        isolation: bool,
    },
    /// A collection of SuiteTalk REST (docs/erp-profiles.md): the request has the key, and becomes a job.
    SuiteTalk {
        /// Records are found again by their external id (PUT), or made new (POST).
        upsert: bool,
    },
}

/// The headers of a request's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeatable {
    /// `Repeatability-Request-ID` and `Repeatability-First-Sent` (OASIS Repeatable Requests 1.0).
    Oasis,
    /// `RequestID`, 32 hexadecimal digits, and `RepeatabilityCreation` (SAP Gateway).
    Sap,
    /// None: the target knows no request again.
    No,
}

/// The certificates of a target, in files that are read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// CA certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// What we show.
    pub own: Option<Own>,
}

/// Our own certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The certificate, and what signed it up to the CA (PEM).
    pub cert_file: PathBuf,
    /// Its private key (PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase).
    pub key_file: PathBuf,
}

/// Where a target says which keys it knows: `GET url?key=…&key=…` (docs/erp-contract.md, "Lookup").
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Without the keys.
    pub url: String,
    /// Keys of one request.
    pub max_keys: usize,
}
