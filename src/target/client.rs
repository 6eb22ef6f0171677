//! The HTTP client of a target, with its certificates: made anew when their files change.

use std::error::Error as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Url};
use rustls::AlertDescription;

use super::{Config, Login, Own, Tls};

/// A connection idle for longer is not used again. Common servers close theirs after 5 s, and a request that meets the
/// close ends as unknown.
const IDLE: Duration = Duration::from_secs(4);

/// Connections kept for the next request.
const MAX_IDLE: usize = 4;

/// The client as the files were when they were last read.
#[derive(Debug)]
pub(super) struct Clients {
    tls: Tls,
    secure: bool,
    timeout: Duration,
    connect_timeout: Duration,
    made: Mutex<Made>,
}

#[derive(Debug)]
struct Made {
    files: Vec<Stamp>,
    client: Client,
}

/// What tells that a file was replaced or written: modified (s, ns), length, inode.
type Stamp = (i64, i64, u64, u64);

impl Clients {
    /// Reads the certificates. Connects to nothing.
    ///
    /// # Errors
    /// Which file can't be used, and why.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let lookup = config.lookup.as_ref().map(|lookup| lookup.url.as_str());
        let token = match &config.login {
            Some(Login::OAuth(oauth)) => Some(oauth.token_url.as_str()),
            _ => None,
        };
        let secure = [Some(config.url.as_str()), lookup, token].into_iter().flatten().any(|u| u.starts_with("https"));
        let (timeout, connect_timeout) = (config.timeout, config.connect_timeout.min(config.timeout / 2));
        let files = stamps(&config.tls);
        let client = build(&config.tls, secure, timeout, connect_timeout)?;
        let made = Mutex::new(Made { files, client });
        Ok(Self { tls: config.tls.clone(), secure, timeout, connect_timeout, made })
    }

    /// The client, with certificates as they are now.
    pub(super) fn get(&self) -> Result<Client, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let files = stamps(&self.tls);
        if self.secure && files != made.files {
            let client = build(&self.tls, self.secure, self.timeout, self.connect_timeout)?;
            *made = Made { files, client };
        }
        Ok(made.client.clone())
    }
}

fn stamps(tls: &Tls) -> Vec<Stamp> {
    let own = tls.own.iter().flat_map(|own| [&own.cert_file, &own.key_file]);
    let stamp = |path| std::fs::metadata(path).map(|m| (m.mtime(), m.mtime_nsec(), m.len(), m.ino()));
    tls.ca_file.iter().chain(own).map(|path| stamp(path).unwrap_or_default()).collect()
}

fn build(tls: &Tls, secure: bool, timeout: Duration, connect_timeout: Duration) -> Result<Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only where another thread was quicker, and then there is one.
        rustls::crypto::ring::default_provider().install_default().unwrap_or_else(drop);
    }
    let mut builder = Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .timeout(timeout)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .user_agent(concat!("floorgate/", env!("CARGO_PKG_VERSION")));
    if !secure {
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &tls.ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    if let Some(own) = tls.own.as_ref().filter(|_| secure) {
        builder = builder.identity(identity(own)?);
    }
    builder.build().map_err(|error| match &tls.own {
        Some(own) => format!(
            "certificate file {}, key file {}: {}",
            own.cert_file.display(),
            own.key_file.display(),
            causes(&error)
        ),
        None => format!("HTTP client: {}", causes(&error)),
    })
}

fn identity(own: &Own) -> Result<Identity, String> {
    let read = |what: &str, path: &Path| {
        std::fs::read(path).map_err(|error| format!("{what} file {}: {error}", path.display()))
    };
    let mut pem = read("certificate", &own.cert_file)?;
    pem.push(b'\n');
    pem.extend(read("key", &own.key_file)?);
    Identity::from_pem(&pem).map_err(|_| {
        let (cert, key) = (own.cert_file.display(), own.key_file.display());
        format!("certificate file {cert}, key file {key}: no certificate and private key in PEM without a passphrase")
    })
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let fault = |why: String| format!("certificate file {}: {why}", path.display());
    let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| fault(causes(&error)))?;
    if found.is_empty() {
        return Err(fault("it holds no PEM certificate".to_owned()));
    }
    Ok(found)
}

/// An http or https address without credentials.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("url `{text}`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url `{text}`: write http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: it holds a user or password; write `auth = { … }` instead".to_owned());
    }
    Ok(url)
}

/// What lies under a client error, without its own two layers of generalities.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut parts = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !text.starts_with("client error (") && !parts.contains(&text) {
            parts.push(text);
        }
        source = cause.source();
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

/// Why `whom` did not let us in, where that is what the error is of. With TLS 1.3 it comes after our first bytes,
/// of which a server that ends the handshake so takes none (RFC 8446, 4.4.2.4).
pub(super) fn shut_out(error: &reqwest::Error, whom: &str, tls: &Tls) -> Option<String> {
    use AlertDescription as Alert;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let alert = loop {
        let error = next?;
        if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref() {
            break alert;
        }
        // What an I/O error carries is no cause of it.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = carried.map(|e| e as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    };
    let own = tls.own.as_ref().map(|own| own.cert_file.display().to_string());
    match (alert, own) {
        (Alert::CertificateRequired, _) | (Alert::HandshakeFailure, None) => {
            Some(format!("{whom} asks for a certificate of ours: write tls.cert_file and tls.key_file"))
        }
        (Alert::CertificateExpired, Some(own)) => {
            Some(format!("{whom} says that our certificate in {own} expired: renew it"))
        }
        (
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
            Some(own),
        ) => Some(format!("{whom} refuses us ({alert:?}): does it know what signed {own}?")),
        _ => None,
    }
}
