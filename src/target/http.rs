//! HTTP/1.1 POST of a batch, over TLS or not.
//!
//! How it fails: what goes wrong before a connection stands is [`Reply::NotSent`], since not a byte of the request can
//! have left; whatever goes wrong afterwards is [`Reply::Lost`], since some may have. Answers are bounded to
//! [`MAX_ANSWER`] bytes. The bearer token is in no log and no reason.

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::{Compression, GzBuilder};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};

use crate::event::{Id, span_id};
use crate::lane::{Answer, Errand, Head, Location, Outgoing, Reply, classify, classify_lookup, classify_poll};
use crate::target::{Config, Lookup};

/// Bytes of an answer's body.
const MAX_ANSWER: usize = 8 << 20;

/// Bytes of a bearer token.
const MAX_TOKEN: u64 = 16 << 10;

/// What we take for an answer.
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json, application/problem+json");

/// The version of docs/erp-contract.md that is spoken.
const CONTRACT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("floorgate-contract"), HeaderValue::from_static("1"));

/// Bytes of an address that a target gives: a longer one is none.
const MAX_LOCATION: usize = 2_048;

/// A connection idle for longer is not used again. Common servers close theirs after 5 s, and a request that meets the
/// close ends as unknown.
const IDLE: Duration = Duration::from_secs(4);

/// Connections kept for the next request.
const MAX_IDLE: usize = 4;

/// Light on an industrial PC's CPU; a body shrinks to about a fifth. Part of what makes a resend byte-identical.
const GZIP_LEVEL: Compression = Compression::new(3);

/// An HTTP target, ready to send. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    url: Url,
    lookup: Option<(Lookup, Url)>,
    config: Arc<Config>,
}

impl Http {
    /// Builds the client. Connects to nothing.
    ///
    /// # Errors
    /// When the URL or a certificate file can't be used.
    pub fn new(config: Config) -> Result<Self, String> {
        let url = posting_url(&config.url)?;
        let lookup = config.lookup.clone().map(|lookup| Ok::<_, String>((posting_url(&lookup.url)?, lookup)));
        let lookup = lookup.transpose()?.map(|(url, lookup)| (lookup, url));
        let builder = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(config.timeout)
            .connect_timeout(config.connect_timeout.min(config.timeout / 2))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .user_agent(concat!("floorgate/", env!("CARGO_PKG_VERSION")));
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Fails only where another thread was quicker, and then there is one.
            rustls::crypto::ring::default_provider().install_default().unwrap_or_else(drop);
        }
        let builder = match &config.ca_file {
            _ if url.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
            Some(path) => builder.tls_certs_merge(certificates(path)?),
        };
        let client = builder.build().map_err(|error| format!("HTTP client: {}", causes(&error)))?;
        Ok(Self { client, url, lookup, config: Arc::new(config) })
    }

    /// Runs an errand once and says what came of each row. Never retries by itself.
    pub async fn deliver(&self, batch: &Outgoing) -> Answer {
        match &batch.errand {
            Errand::Post(body) => {
                let reply = self.send(batch, body).await.unwrap_or_else(|failure| failure);
                classify(&reply, &self.config.answers, &batch.keys)
            }
            Errand::Poll(job) => {
                let reply = self.poll(job).await.unwrap_or_else(|failure| failure);
                classify_poll(&reply, &self.config.answers, &batch.keys)
            }
            Errand::Look(prints) => self.look(&batch.keys, prints).await,
        }
    }

    /// Asks for the keys, some at a time, until one request fails.
    async fn look(&self, keys: &[Id], prints: &[String]) -> Answer {
        let Some((lookup, url)) = &self.lookup else {
            return classify_lookup(&Reply::NotSent("the target has no `lookup`".to_owned()), keys, prints);
        };
        let mut outcomes = Vec::with_capacity(keys.len());
        loop {
            let some = outcomes.len()..keys.len().min(outcomes.len() + lookup.max_keys);
            let reply = self.ask(url, &keys[some.clone()]).await.unwrap_or_else(|failure| failure);
            let mut answer = classify_lookup(&reply, &keys[some.clone()], &prints[some]);
            outcomes.append(&mut answer.outcomes);
            if answer.whole || outcomes.len() >= keys.len() {
                return Answer { outcomes, ..answer };
            }
        }
    }

    async fn ask(&self, url: &Url, keys: &[Id]) -> Result<Reply, Reply> {
        let mut url = url.clone();
        url.query_pairs_mut().extend_pairs(keys.iter().map(|key| ("key", key.to_string())));
        self.get(url).await
    }

    /// Asks what became of a batch. The address was stored: a target that has moved since gets no credentials of ours there.
    async fn poll(&self, job: &str) -> Result<Reply, Reply> {
        match self.location(job) {
            Some(Location::Here(url)) => self.get(Url::parse(&url).expect("it was a URL that wrote this text")).await,
            _ => Err(Reply::NotSent(format!("{job} is not of the target's own origin"))),
        }
    }

    async fn get(&self, url: Url) -> Result<Reply, Reply> {
        let request = self.client.get(url).header(header::ACCEPT, ACCEPT).header(CONTRACT.0, CONTRACT.1);
        let response = self.authorized(request)?.send().await.map_err(|error| self.failed(&error))?;
        self.receive(response).await
    }

    /// Where a `Location` points, seen from where batches are posted.
    fn location(&self, text: &str) -> Option<Location> {
        let url = self.url.join(text).ok().filter(|url| url.as_str().len() <= MAX_LOCATION)?;
        let plain = url.username().is_empty() && url.password().is_none();
        let here = url.origin() == self.url.origin() && plain;
        Some(if here { Location::Here(url.into()) } else { Location::Elsewhere(url.into()) })
    }

    fn authorized(&self, request: RequestBuilder) -> Result<RequestBuilder, Reply> {
        Ok(match &self.config.bearer_file {
            Some(path) => request.header(header::AUTHORIZATION, bearer(path).map_err(Reply::NotSent)?),
            None => request,
        })
    }

    async fn send(&self, batch: &Outgoing, body: &[u8]) -> Result<Reply, Reply> {
        let id = batch.id;
        let (trace, span) = (u128::from_be_bytes(id.0), u64::from_be_bytes(span_id(id, batch.attempt)));
        let mut request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, self.config.content_type)
            .header(header::ACCEPT, ACCEPT)
            .header(CONTRACT.0, CONTRACT.1)
            .header(HeaderName::from_static("traceparent"), format!("00-{trace:032x}-{span:016x}-01"))
            .header(HeaderName::from_static("idempotency-key"), format!("\"{id}\""));
        request = self.authorized(request)?;
        let mut body = body.to_vec();
        if self.config.gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
            // Milliseconds for a large batch: not on the thread that serves the floor.
            let packed = tokio::task::spawn_blocking(move || gzip(&body)).await;
            body = packed.map_err(|error| Reply::NotSent(format!("compressing the body: {error}")))?;
        }
        let response = request.body(body).send().await.map_err(|error| self.failed(&error))?;
        self.receive(response).await
    }

    async fn receive(&self, mut response: Response) -> Result<Reply, Reply> {
        let text = |headers: &HeaderMap, name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let headers = response.headers();
        let content_type = text(headers, header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        // Members of a list may come in several fields (RFC 9110, 5.3).
        let limits: Vec<&str> = headers.get_all("ratelimit").iter().filter_map(|value| value.to_str().ok()).collect();
        let head = Head {
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_owned(),
            retry_after: text(headers, header::RETRY_AFTER),
            date: text(headers, header::DATE),
            rate_limit: (!limits.is_empty()).then(|| limits.join(", ")),
            location: text(headers, header::LOCATION).and_then(|text| self.location(&text)),
        };
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Reply::Lost(format!("the answer (HTTP {status}) is longer than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply::Http { status, head: Box::new(head), body })
    }

    fn failed(&self, error: &reqwest::Error) -> Reply {
        let unsent = error.is_connect() || error.is_builder();
        let why = match error.is_timeout() {
            true if unsent => "no connection in time".to_owned(),
            true => format!("no whole answer within {:?}", self.config.timeout),
            false => causes(error),
        };
        if unsent { Reply::NotSent(why) } else { Reply::Lost(why) }
    }
}

fn posting_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("url `{text}`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url `{text}`: write http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: it holds a user or password; write `auth = { bearer_file = … }` instead".to_owned());
    }
    Ok(url)
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

/// The Authorization header, marked so that nobody prints it. A page of a local file: read in place.
fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let fault = |why: &str| format!("bearer token file {}: {why}", path.display());
    let mut token = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut token))
        .map_err(|error| fault(&error.to_string()))?;
    let token = token.trim();
    if token.is_empty() {
        return Err(fault("it is empty"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| fault("it holds characters that no HTTP header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The same bytes for the same body: no time, no file name, a fixed level.
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = GzBuilder::new().mtime(0).write(Vec::with_capacity(body.len() / 4), GZIP_LEVEL);
    packer.write_all(body).and_then(|()| packer.finish()).expect("a Vec takes every write")
}

/// What lies under a client error, without its own two layers of generalities.
fn causes(error: &reqwest::Error) -> String {
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

#[cfg(test)]
mod tests;
