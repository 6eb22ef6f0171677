//! Tokens of OAuth 2.0 client credentials: asked for once, kept until shortly before they expire.
//!
//! One request at a time: who wants a token while another fetches one waits for it. How it fails: a token server that
//! refuses us, and a secret that can't be read, is [`Reply::Refused`], any other trouble of it [`Reply::NotSent`]; in both nothing went to the target.
//! `docs/adr/0017` says why this is no crate.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url, header};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Tls;
use super::client::{address, causes, shut_out};
use super::login::{ClientAuth, OAuth, Pass, Secret};
use crate::lane::Reply;

/// A whole request for a token.
const PATIENCE: Duration = Duration::from_secs(20);

/// A token is replaced so long before it expires, or in the last fifth of a short life.
const BEFORE: Duration = Duration::from_mins(1);

/// Longest life that is believed; a later request asks again.
const LONGEST: Duration = Duration::from_hours(24);

/// Bytes of a token server's answer, and of its words in a reason.
const MAX_ANSWER: usize = 256 << 10;
const WORDS: usize = 300;

/// The token of one target.
#[derive(Debug)]
pub(super) struct Tokens {
    config: OAuth,
    url: Url,
    /// For saying what is wrong with it.
    tls: Tls,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Tokens that were given so far.
    count: u64,
    token: Option<Token>,
}

#[derive(Debug)]
struct Token {
    pass: Pass,
    /// Monotonic: after this it is replaced, if that works …
    fresh_until: Option<Instant>,
    /// … and after this it is not used.
    valid_until: Option<Instant>,
}

/// The answer of a token server (RFC 6749, 5.1). Some write the seconds as text.
#[derive(Deserialize)]
struct Given {
    access_token: String,
    token_type: String,
    expires_in: Option<serde_json::Value>,
}

/// Its refusal (5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl Tokens {
    pub(super) fn new(config: &OAuth, tls: &Tls) -> Result<Self, String> {
        let url = address(&config.token_url).map_err(|why| format!("token_url: {why}"))?;
        Ok(Self { config: config.clone(), url, tls: tls.clone(), kept: Mutex::default() })
    }

    /// The token that is kept, or a new one: where there is none, where it is about to expire, and where it is the
    /// `refused` one.
    pub(super) async fn pass(&self, client: &Client, refused: Option<u64>) -> Result<Pass, Reply> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        let before = |until: Option<Instant>| until.is_none_or(|until| now < until);
        let usable = kept.token.as_ref().filter(|token| token.pass.token != refused && before(token.valid_until));
        if let Some(token) = usable.filter(|token| before(token.fresh_until)) {
            return Ok(token.pass.clone());
        }
        match (self.fetch(client, now).await, usable) {
            (Ok(mut token), _) => {
                kept.count += 1;
                token.pass.token = Some(kept.count);
                let pass = token.pass.clone();
                kept.token = Some(token);
                Ok(pass)
            }
            // It is good for some seconds yet, and the token server may be back by then.
            (Err(_), Some(token)) => Ok(token.pass.clone()),
            (Err(failure), None) => Err(failure),
        }
    }

    async fn fetch(&self, client: &Client, now: Instant) -> Result<Token, Reply> {
        let secret = Secret::read("client secret", &self.config.client_secret_file).map_err(Reply::Refused)?;
        let trouble = |why: &str| format!("no token from {}: {why}", self.url);
        let unsent = |error: reqwest::Error| {
            if let Some(why) = shut_out(&error, "the token server", &self.tls) {
                return Reply::Refused(trouble(&why));
            }
            let why = if error.is_timeout() { "no answer in time".to_owned() } else { causes(&error) };
            Reply::NotSent(trouble(&secret.clear(&why)))
        };
        let mut response = self.request(client, &secret)?.send().await.map_err(unsent)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unsent)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Reply::NotSent(trouble("its answer is too long")));
            }
        }
        if status == 200 {
            return read(&body, now).map_err(|why| Reply::NotSent(trouble(&why)));
        }
        let words = serde_json::from_slice(&body).ok().map(|refusal: Refusal| {
            let words = [Some(refusal.error), refusal.error_description].into_iter().flatten();
            secret.clear(&words.collect::<Vec<_>>().join(": ")).chars().take(WORDS).collect::<String>()
        });
        let why = trouble(&format!("HTTP {status} {}", words.unwrap_or_default()).trim_end().replace('\n', " "));
        Err(match status {
            400 | 401 | 403 => Reply::Refused(why),
            _ => Reply::NotSent(why),
        })
    }

    fn request(&self, client: &Client, secret: &Secret) -> Result<RequestBuilder, Reply> {
        let OAuth { client_id, scope, audience, client_auth, .. } = &self.config;
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
        fields.extend(audience.as_deref().map(|audience| ("audience", audience)));
        let mut request = client.post(self.url.clone()).timeout(PATIENCE).header(header::ACCEPT, "application/json");
        match client_auth {
            ClientAuth::Basic => {
                let secret = Secret::new(form(&[(secret.text(), "")]).trim_end_matches('='));
                let pass = Pass::basic(form(&[(client_id, "")]).trim_end_matches('='), secret);
                let pass = pass.map_err(Reply::Refused)?;
                request = request.header(pass.name, pass.value);
            }
            ClientAuth::Body => fields.extend([("client_id", client_id.as_str()), ("client_secret", secret.text())]),
        }
        Ok(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(&fields)))
    }
}

fn read(body: &[u8], now: Instant) -> Result<Token, String> {
    // The words of serde may repeat what stands there.
    let given: Given = serde_json::from_slice(body)
        .map_err(|_| "its answer is no JSON with `access_token` and `token_type`".to_owned())?;
    if !given.token_type.eq_ignore_ascii_case("bearer") {
        return Err("it gives tokens of a type other than Bearer".to_owned());
    }
    let seconds = given.expires_in.as_ref().and_then(|s| s.as_u64().or_else(|| s.as_str()?.parse().ok()));
    let life = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST));
    Ok(Token {
        pass: Pass::bearer(&Secret::new(given.access_token))?,
        fresh_until: life.map(|life| now + life - BEFORE.min(life / 5)),
        valid_until: life.map(|life| now + life),
    })
}

/// `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("form:").expect("a scheme and nothing else is a URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_fresh_until_shortly_before_it_expires() {
        let now = Instant::now();
        let read = |body: &str| read(body.as_bytes(), now);
        let left = |until: Option<Instant>| until.map(|until| (until - now).as_secs());
        for (expires, fresh, valid) in [
            ("3600", Some(3_540), Some(3_600)),
            ("\"3600\"", Some(3_540), Some(3_600)),
            ("10", Some(8), Some(10)),
            ("null", None, None),
            ("99999999999", Some(86_340), Some(86_400)),
        ] {
            let body = format!(r#"{{"access_token":"tok-1234","token_type":"bearer","expires_in":{expires}}}"#);
            let token = read(&body).unwrap();
            assert_eq!((left(token.fresh_until), left(token.valid_until)), (fresh, valid), "{expires}");
            assert!(!format!("{token:?}").contains("tok-1234"));
        }
        for wrong in [r#"{"access_token":"tok-1234","token_type":"mac"}"#, r#"{"access_token":"tok-1234"}"#, "<html>"] {
            let why = read(wrong).map(drop).unwrap_err();
            assert!(!why.contains("tok-1234") && !why.contains("html"), "{why}");
        }
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form(&[("scope", "a b"), ("x", "ö&=")]), "scope=a+b&x=%C3%B6%26%3D");
        assert_eq!(form(&[("", "")]), "=");
    }
}
