//! Single requests of a person's making, through the target's own client: with its certificates and credentials.
//!
//! For looking at an endpoint, never for postings of the floor: nothing here is durable.

use std::time::Duration;

use reqwest::{Url, header};
use tokio::time::Instant;

use super::client::address;
use super::http::{Heard, Http, MAX_ANSWER, NO_CACHE, gzip};
use super::login::Pass;
use crate::lane::Reply;

/// One request.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The whole address.
    pub url: String,
    /// Headers beside the credentials.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted; `None`: a GET.
    pub body: Option<Vec<u8>>,
    /// Pack the body.
    pub gzip: bool,
    /// What is shown.
    pub shown: Shown,
}

/// Credentials of a probe.
#[derive(Debug, Clone)]
pub enum Shown {
    /// The target's.
    Ours,
    /// Of the same kind, with this for a secret.
    Wrong(String),
    /// None.
    Nothing,
}

impl Http {
    /// Sends it once and reads the answer.
    ///
    /// # Errors
    /// As of a batch; never [`Reply::Http`].
    pub async fn probe(&self, probe: &Probe) -> Result<Heard, Reply> {
        let (client, url) = (self.clients.get().map_err(Reply::Refused)?, address(&probe.url).map_err(Reply::NotSent)?);
        let mut request = match &probe.body {
            None => client.get(url).header(header::CACHE_CONTROL, NO_CACHE),
            Some(body) if probe.gzip => client.post(url).header(header::CONTENT_ENCODING, "gzip").body(gzip(body)),
            Some(body) => client.post(url).body(body.clone()),
        };
        for (name, value) in &probe.headers {
            request = request.header(*name, value);
        }
        match (&probe.shown, &self.config.login) {
            (Shown::Wrong(wrong), Some(login)) => {
                let pass = Pass::wrong(login, wrong).map_err(Reply::NotSent)?;
                self.once(&request, Some(&pass), Instant::now() + self.config.timeout, MAX_ANSWER).await
            }
            (Shown::Nothing, _) => self.once(&request, None, Instant::now() + self.config.timeout, MAX_ANSWER).await,
            _ => self.exchange(&client, &request, MAX_ANSWER).await,
        }
    }

    /// Sends it and closes the connection `after` that, without waiting for the answer; what came if it was quicker.
    ///
    /// # Errors
    /// As [`Self::probe`].
    pub async fn cut(&self, probe: &Probe, after: Duration) -> Result<Option<Heard>, Reply> {
        tokio::time::timeout(after, self.probe(probe)).await.map_or(Ok(None), |heard| heard.map(Some))
    }
}

/// Below what the resources of an endpoint of the contract stand.
#[derive(Debug, Clone)]
pub struct Base(Url);

impl Base {
    /// Of a target that posts to `url`: what is before its `/events`.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn of(url: &str) -> Result<Self, String> {
        let mut base = address(url)?;
        let path = base.path().strip_suffix("/events").map(str::to_owned);
        let path = path.ok_or_else(|| {
            format!("its url `{url}` does not end with /events: the contract's other resources stand beside that one")
        })?;
        base.set_path(&path);
        base.set_fragment(None);
        Ok(Self(base))
    }

    /// The address of `/path` below it, with these parameters behind those that the target's own address has.
    pub fn at(&self, path: &str, query: &[(&str, String)]) -> String {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.into()
    }

    /// Where a `Location` leads that came with an answer to `/path`.
    ///
    /// # Errors
    /// When that is no address, or on another origin.
    pub fn follow(&self, path: &str, location: &str) -> Result<String, String> {
        let from = Url::parse(&self.at(path, &[])).expect("it was made of a URL");
        let to = from.join(location).map_err(|why| format!("the Location `{location}` is no address: {why}"))?;
        if to.origin() != self.0.origin() {
            return Err(format!("the Location `{location}` is on another origin than {self}"));
        }
        Ok(to.into())
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resources_of_the_contract_stand_beside_its_events() {
        let base = Base::of("https://erp.example.com/floorgate/v1/events?client=200").unwrap();
        assert_eq!(base.at("/contract", &[]), "https://erp.example.com/floorgate/v1/contract?client=200");
        let asked = base.at("/lookup", &[("key", "a&b".to_owned()), ("key", "c".to_owned())]);
        assert_eq!(asked, "https://erp.example.com/floorgate/v1/lookup?client=200&key=a%26b&key=c");
        assert_eq!(
            Base::of("http://localhost:8080/events").unwrap().at("/jobs/1", &[]),
            "http://localhost:8080/jobs/1"
        );
        for other in ["https://erp.example.com/post", "https://erp.example.com/events/", "https://erp.example.com"] {
            let why = Base::of(other).map(drop).unwrap_err();
            assert!(why.contains("does not end with /events"), "{why}");
        }
    }

    #[test]
    fn a_location_stays_on_its_origin() {
        let base = Base::of("https://erp.example.com/v1/events").unwrap();
        for (location, leads) in [
            ("/jobs/7", "https://erp.example.com/jobs/7"),
            ("jobs/7", "https://erp.example.com/v1/jobs/7"),
            ("https://erp.example.com/q?id=7", "https://erp.example.com/q?id=7"),
        ] {
            assert_eq!(base.follow("/events", location).as_deref(), Ok(leads));
        }
        assert!(base.follow("/events", "https://elsewhere.example.com/jobs/7").is_err());
    }
}
