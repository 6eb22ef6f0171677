//! HTTP/1.1 POST of a batch, over TLS or not.
//!
//! How it fails: what goes wrong before a connection stands is [`Reply::NotSent`], since not a byte of the request can
//! have left, and so is a token that nobody gives; who does not let us in, and a secret or certificate that can't be read,
//! is [`Reply::Refused`]; whatever goes wrong afterwards is [`Reply::Lost`], since some may have had effect. Answers are
//! bounded by the items that they speak of, to [`MAX_ANSWER`] bytes. Secrets are in no log and no reason.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::{Compression, GzBuilder};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use tokio::time::Instant;

use super::client::{Clients, address, causes, shut_out};
use super::login::{Login, Pass};
use super::token::Tokens;
use crate::event::{Id, traceparent};
use crate::lane::{Answer, Errand, Head, Location, Outgoing, Reply, classify, classify_lookup, classify_poll};
use crate::target::{Config, Lookup, Wire, odata};

/// Bytes of an answer's body that are read, for each item and in all; read, it takes many times its size.
const ANSWER_ITEM: usize = 4 << 10;
const MIN_ANSWER: usize = 256 << 10;
pub(super) const MAX_ANSWER: usize = 8 << 20;

/// Bytes that are read of an answer that speaks of so many items.
fn longest(items: usize) -> usize {
    items.saturating_mul(ANSWER_ITEM).saturating_add(64 << 10).clamp(MIN_ANSWER, MAX_ANSWER)
}

/// What we take for an answer.
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json, application/problem+json");

/// What is said with a question.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// The version of docs/erp-contract.md that is spoken.
const CONTRACT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("floorgate-contract"), HeaderValue::from_static("1"));

/// Bytes of an address that a target gives: a longer one is none.
const MAX_LOCATION: usize = 2_048;

/// Light on an industrial PC's CPU; a body shrinks to about a fifth. Part of what makes a resend byte-identical.
const GZIP_LEVEL: Compression = Compression::new(3);

/// A whole answer, and what of its headers matters.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Status code.
    pub status: u16,
    /// `Content-Type`, lower case, without parameters.
    pub content_type: String,
    /// `Retry-After`, verbatim.
    pub retry_after: Option<String>,
    /// `Date`, verbatim.
    pub date: Option<String>,
    /// `RateLimit`, its fields as one list.
    pub rate_limit: Option<String>,
    /// `Location`, verbatim.
    pub location: Option<String>,
    /// `Repeatability-Result` or `RepeatabilityResult`, verbatim.
    pub repeatability: Option<String>,
    /// The body, bounded.
    pub body: Vec<u8>,
}

/// An HTTP target, ready to send. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    pub(super) clients: Arc<Clients>,
    tokens: Option<Arc<Tokens>>,
    url: Url,
    lookup: Option<(Lookup, Url)>,
    /// Keys of one question, as the target has taught.
    keys: Arc<AtomicUsize>,
    pub(super) config: Arc<Config>,
}

impl Http {
    /// Builds the client. Connects to nothing.
    ///
    /// # Errors
    /// When an address or a certificate file can't be used.
    pub fn new(config: Config) -> Result<Self, String> {
        let url = address(&config.url)?;
        let lookup = config.lookup.clone().map(|lookup| Ok::<_, String>((address(&lookup.url)?, lookup)));
        let lookup = lookup.transpose()?.map(|(url, lookup)| (lookup, url));
        let tokens = match &config.login {
            Some(Login::OAuth(oauth)) => Some(Arc::new(Tokens::new(oauth, &config.tls)?)),
            _ => None,
        };
        let clients = Arc::new(Clients::new(&config)?);
        let keys = Arc::new(AtomicUsize::new(lookup.as_ref().map_or(1, |(lookup, _)| lookup.max_keys)));
        Ok(Self { clients, tokens, url, lookup, keys, config: Arc::new(config) })
    }

    /// Runs an errand once and says what came of each row. Never retries by itself.
    pub async fn deliver(&self, batch: &Outgoing) -> Answer {
        match &batch.errand {
            Errand::Post(body) => {
                let reply = self.send(batch, body).await.unwrap_or_else(|failure| failure);
                classify(&reply, &self.config.answers, &batch.keys)
            }
            Errand::Poll(job) if matches!(self.config.wire, Wire::SuiteTalk { .. }) => {
                self.follow(job, &batch.keys).await
            }
            Errand::Poll(job) => {
                let reply = self.poll(job, batch.keys.len()).await.unwrap_or_else(|failure| failure);
                classify_poll(&reply, &self.config.answers, &batch.keys)
            }
            // Each posting by its own key, whatever the request was known by: documents stay when requests are forgotten.
            Errand::Look(prints) => self.look(&batch.keys, prints).await,
        }
    }

    /// Asks for the keys, some at a time, until one request fails. One that is too large is halved, and so are all later ones.
    async fn look(&self, keys: &[Id], prints: &[String]) -> Answer {
        let Some((_, url)) = &self.lookup else {
            return classify_lookup(&Reply::NotSent("the target has no `lookup`".to_owned()), keys, prints);
        };
        let mut outcomes = Vec::with_capacity(keys.len());
        loop {
            let some = outcomes.len()..keys.len().min(outcomes.len() + self.keys.load(Ordering::Relaxed));
            let reply = self.ask(url, &keys[some.clone()]).await.unwrap_or_else(|failure| failure);
            let mut answer = classify_lookup(&reply, &keys[some.clone()], &prints[some.clone()]);
            if some.len() > 1 && matches!(answer.status, Some(413 | 414 | 431)) {
                self.keys.fetch_min(some.len() / 2, Ordering::Relaxed);
                continue;
            }
            outcomes.append(&mut answer.outcomes);
            if answer.whole || outcomes.len() >= keys.len() {
                return Answer { outcomes, ..answer };
            }
        }
    }

    async fn ask(&self, url: &Url, keys: &[Id]) -> Result<Reply, Reply> {
        let mut url = url.clone();
        url.query_pairs_mut().extend_pairs(keys.iter().map(|key| ("key", key.to_string())));
        self.get(url, keys.len()).await
    }

    /// Asks what became of a batch. The address was stored: a target that has moved since gets no credentials of ours there.
    pub(super) async fn poll(&self, job: &str, items: usize) -> Result<Reply, Reply> {
        match self.location(job) {
            Some(Location::Here(url)) => {
                self.get(Url::parse(&url).expect("it was a URL that wrote this text"), items).await
            }
            _ => Err(Reply::NotSent(format!("{job} is not of the target's own origin"))),
        }
    }

    /// A question. What some cache between knew of it a minute ago may be no longer true.
    async fn get(&self, url: Url, items: usize) -> Result<Reply, Reply> {
        let client = self.clients.get().map_err(Reply::Refused)?;
        let request = client.get(url).header(header::ACCEPT, ACCEPT).header(CONTRACT.0, CONTRACT.1);
        let request = request.header(header::CACHE_CONTROL, NO_CACHE);
        Ok(self.reply(self.exchange(&client, &request, longest(items)).await?))
    }

    fn reply(&self, heard: Heard) -> Reply {
        let Heard { status, content_type, retry_after, date, rate_limit, location, repeatability, body } = heard;
        let location = location.and_then(|text| self.location(&text));
        let head = Head { content_type, retry_after, date, rate_limit, location, repeatability };
        Reply::Http { status, head: Box::new(head), body }
    }

    /// Where a `Location` points, seen from where batches are posted.
    fn location(&self, text: &str) -> Option<Location> {
        let text = Some(text.trim()).filter(|text| !text.is_empty())?;
        let url = self.url.join(text).ok().filter(|url| url.as_str().len() <= MAX_LOCATION)?;
        let plain = url.username().is_empty() && url.password().is_none();
        let here = url.origin() == self.url.origin() && plain;
        Some(if here { Location::Here(url.into()) } else { Location::Elsewhere(url.into()) })
    }

    /// One request with our credentials, within `timeout`. Where they are a token that the target refuses, the same once
    /// more with a new one. Of the answer at most `most` bytes are read.
    pub(super) async fn exchange(
        &self,
        client: &Client,
        request: &RequestBuilder,
        most: usize,
    ) -> Result<Heard, Reply> {
        let by = Instant::now() + self.config.timeout;
        let pass = self.pass(client, None, by).await?;
        let heard = self.once(request, pass.as_ref(), by, most).await?;
        let refused = pass.and_then(|pass| pass.token);
        if refused.is_none() || heard.status != 401 {
            return Ok(heard);
        }
        let pass = self.pass(client, refused, by).await?;
        self.once(request, pass.as_ref(), by, most).await
    }

    /// What is shown to the target, as the files say now; `refused`: a token that it does not take.
    async fn pass(&self, client: &Client, refused: Option<u64>, by: Instant) -> Result<Option<Pass>, Reply> {
        if let Some(tokens) = &self.tokens {
            let by = by.min(Instant::now() + self.config.timeout / 2);
            let pass = tokio::time::timeout_at(by, tokens.pass(client, refused)).await;
            return pass.unwrap_or_else(|_| Err(Reply::NotSent("no token in time".to_owned()))).map(Some);
        }
        self.config.login.as_ref().map_or(Ok(None), Pass::of).map_err(Reply::Refused)
    }

    pub(super) async fn once(
        &self,
        request: &RequestBuilder,
        pass: Option<&Pass>,
        by: Instant,
        most: usize,
    ) -> Result<Heard, Reply> {
        let request = request.try_clone().expect("bodies are bytes, and no streams");
        // An answer that comes packed all the same can't be read.
        let mut request = request.header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(pass) = pass {
            request = request.header(pass.name.clone(), pass.value.clone());
        }
        // Fetching a token has taken some of the time in which the lane takes the request to be over. One that has no time for
        // its answer would be unknown for nothing.
        let left = by.saturating_duration_since(Instant::now());
        if left < self.config.connect_timeout.min(self.config.timeout / 2) {
            return Err(Reply::NotSent("no time is left for it: fetching a token took too long".to_owned()));
        }
        let response = request.timeout(left).send().await.map_err(|error| self.failed(&error))?;
        let mut heard = self.receive(response, most).await?;
        if let Some(pass) = pass {
            heard.body = pass.clear(heard.body);
            heard.location = heard.location.map(|location| pass.clear_text(&location));
        }
        Ok(heard)
    }

    async fn send(&self, batch: &Outgoing, body: &[u8]) -> Result<Reply, Reply> {
        let id = batch.id;
        let client = self.clients.get().map_err(Reply::Refused)?;
        let method = match self.config.wire {
            Wire::SuiteTalk { upsert: true } => Method::PUT,
            _ => Method::POST,
        };
        let mut request = client
            .request(method, self.url.clone())
            .header(header::CONTENT_TYPE, self.config.content_type)
            .header(header::ACCEPT, ACCEPT)
            .header(HeaderName::from_static("traceparent"), traceparent(id, id, batch.attempt).to_string());
        request = match self.config.wire {
            Wire::Contract => request
                .header(CONTRACT.0, CONTRACT.1)
                .header(HeaderName::from_static("idempotency-key"), format!("\"{id}\"")),
            Wire::OData { repeatable, isolation } => {
                odata::headers(request, (repeatable, isolation), id, batch.first_sent)
            }
            Wire::SuiteTalk { .. } => request
                .header(HeaderName::from_static("prefer"), "respond-async")
                .header(HeaderName::from_static("x-netsuite-idempotency-key"), id.to_string()),
        };
        let mut body = body.to_vec();
        if self.config.gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
            // Milliseconds for a large batch: not on the thread that serves the floor.
            let packed = tokio::task::spawn_blocking(move || gzip(&body)).await;
            body = packed.map_err(|error| Reply::NotSent(format!("compressing the body: {error}")))?;
        }
        Ok(self.reply(self.exchange(&client, &request.body(body), longest(batch.keys.len())).await?))
    }

    async fn receive(&self, mut response: Response, most: usize) -> Result<Heard, Reply> {
        let text = |headers: &HeaderMap, name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let headers = response.headers();
        let content_type = text(headers, header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_owned();
        let (retry_after, date) = (text(headers, header::RETRY_AFTER), text(headers, header::DATE));
        let location = text(headers, header::LOCATION);
        let of = |name| text(headers, HeaderName::from_static(name));
        let repeatability = of("repeatability-result").or_else(|| of("repeatabilityresult"));
        // Members of a list may come in several fields (RFC 9110, 5.3).
        let limits: Vec<&str> = headers.get_all("ratelimit").iter().filter_map(|value| value.to_str().ok()).collect();
        let rate_limit = (!limits.is_empty()).then(|| limits.join(", "));
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if body.len() + chunk.len() > most {
                return Err(Reply::Lost(format!("the answer (HTTP {status}) is longer than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Heard { status, content_type, retry_after, date, rate_limit, location, repeatability, body })
    }

    fn failed(&self, error: &reqwest::Error) -> Reply {
        if let Some(why) = shut_out(error, "the ERP", &self.config.tls) {
            return Reply::Refused(why);
        }
        let unsent = error.is_connect() || error.is_builder();
        let why = match error.is_timeout() {
            true if unsent => "no connection in time".to_owned(),
            true => format!("no whole answer within {:?}", self.config.timeout),
            false => causes(error),
        };
        if unsent { Reply::NotSent(why) } else { Reply::Lost(why) }
    }
}

/// The same bytes for the same body: no time, no file name, a fixed level.
pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = GzBuilder::new().mtime(0).write(Vec::with_capacity(body.len() / 4), GZIP_LEVEL);
    packer.write_all(body).and_then(|()| packer.finish()).expect("a Vec takes every write")
}

#[cfg(test)]
mod tests;
