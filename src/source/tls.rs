//! TLS to brokers: our own CA, our own certificate, both from files that may be renewed while the gateway runs.
//!
//! The files are read for each connection. One that is missing or wrong is trouble of its own link alone: it is told,
//! waited out like a broker that is away, and stops nothing else.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::source::certificate::validity;

/// Largest file of certificates or with a key, bytes: a whole system's CA bundle has 220 KiB.
const MAX_FILE: u64 = 1 << 20;

/// Where the certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// CA certificates (PEM) that the broker's must be signed by; no others are trusted.
    pub ca_file: PathBuf,
    /// Our own certificate chain and its key (PEM), where the broker asks for one.
    pub own: Option<Own>,
    /// A certificate of these files that expires within this time is told.
    pub warn_before_expiry: Duration,
}

/// What we show to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The certificate, and what signed it up to the CA.
    pub cert_file: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
}

impl Tls {
    /// Reads the files as they are now.
    ///
    /// # Errors
    /// Which file can't be used, and why.
    pub fn client(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca_file)? {
            roots.add(certificate).map_err(|e| told(&self.ca_file, &format!("no CA certificate: {e}")))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .with_root_certificates(roots);
        let Some(own) = &self.own else { return Ok(Arc::new(builder.with_no_client_auth())) };
        let chain = certificates(&own.cert_file)?;
        let pem = bytes(&own.key_file)?;
        let key = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| told(&own.key_file, "no private key in PEM without a passphrase"))?;
        let config = builder.with_client_auth_cert(chain, key).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => {
                told(&own.key_file, &format!("not the key of {}", own.cert_file.display()))
            }
            other => told(&own.cert_file, &other.to_string()),
        })?;
        Ok(Arc::new(config))
    }

    /// The certificates of these files that can't be used now, or soon, and why; in words for a person.
    pub fn ageing(&self, now: Timestamp) -> Vec<(PathBuf, String)> {
        let own = self.own.as_ref().map(|own| &own.cert_file);
        let mut ageing = Vec::new();
        for path in [&self.ca_file].into_iter().chain(own) {
            // The first to end: the others of the file are most often its issuers, which live longer.
            let read = certificates(path).unwrap_or_default();
            let Some(first) = read.iter().filter_map(|c| validity(c)).min_by_key(|v| v.until) else { continue };
            let left = first.until.duration_since(now);
            let soon = SignedDuration::try_from(self.warn_before_expiry).unwrap_or(SignedDuration::MAX);
            let why = if left.is_negative() {
                format!("a certificate expired on {}", day(first.until))
            } else if first.from > now {
                format!("a certificate is valid from {} only", day(first.from))
            } else if left < soon {
                format!("a certificate expires on {}, in {} days", day(first.until), left.as_hours() / 24)
            } else {
                continue;
            };
            ageing.push((path.clone(), why));
        }
        ageing
    }

    /// Why TLS failed, where that is what the error is of; `host` is who we asked for.
    pub fn explain(&self, error: &(dyn Error + 'static), host: &str, now: Timestamp) -> Option<String> {
        let ca = self.ca_file.display();
        Some(match tls_error(error)? {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::ExpiredContext { not_after, .. } => format!(
                    "the broker's certificate expired on {}; our clock says {}: renew it at the broker",
                    day_of(*not_after),
                    day(now)
                ),
                CertificateError::NotValidYetContext { not_before, .. } => format!(
                    "the broker's certificate is valid from {}, and our clock says {}: is it set?",
                    day_of(*not_before),
                    day(now)
                ),
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!("the broker's certificate is not signed by the CA in {ca}: another broker, or another CA")
                }
                CertificateError::NotValidForNameContext { presented, .. } => format!(
                    "the broker's certificate is not for \"{host}\" but for {}: use that in the address, or renew it",
                    presented.join(", ")
                ),
                other => format!("the broker's certificate is refused: {other}"),
            },
            rustls::Error::AlertReceived(alert) => {
                let own = self.own.as_ref().map(|own| own.cert_file.display().to_string());
                match (alert, own) {
                    (AlertDescription::CertificateRequired, _) | (AlertDescription::HandshakeFailure, None) => {
                        "the broker asks for a certificate of ours: write tls.cert_file and tls.key_file".to_owned()
                    }
                    (AlertDescription::CertificateExpired, Some(own)) => {
                        format!("the broker says that our certificate in {own} expired: renew it")
                    }
                    (_, Some(own)) => format!("the broker refuses us ({alert:?}): does it know what signed {own}?"),
                    (_, None) => format!("the broker refuses us ({alert:?})"),
                }
            }
            rustls::Error::InvalidMessage(_) => {
                "what answers does not speak TLS: is it the broker's TLS port?".to_owned()
            }
            other => format!("TLS: {other}"),
        })
    }
}

/// The error of TLS among the causes of another.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an I/O error carries is no cause of it.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = carried.map(|e| e as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn day_of(at: UnixTime) -> String {
    i64::try_from(at.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok()).map(day).unwrap_or_default()
}

fn told(path: &Path, why: &str) -> String {
    format!("{}: {why}", path.display())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = bytes(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let read = read.map_err(|e| told(path, &format!("not PEM: {e}")))?;
    if read.is_empty() { Err(told(path, "no certificate in PEM is in it")) } else { Ok(read) }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        // A pipe would wait for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => told(path, "there is no such file"),
        io::ErrorKind::PermissionDenied => told(path, "no permission"),
        _ => told(path, &e.to_string()),
    })?;
    if bytes.len() as u64 > MAX_FILE { Err(told(path, "larger than 1 MiB")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
