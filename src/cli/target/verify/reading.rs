//! The first part of the checklist: what reads, and what every endpoint refuses. Harmless on a productive system.

use super::judge;
use super::run::{Left, Outcome, Run};
use super::talk::Ask;
use crate::event::Id;

/// A batch without items.
const EMPTY: &[u8] = br#"{"events":[]}"#;

impl Run {
    /// A check of the first part.
    pub(super) async fn reads(&mut self, name: &str) -> Outcome {
        match name {
            "discovery" => self.discovery(),
            "wrong-credentials" => self.wrong_credentials().await,
            "lookup-absent" => self.absent(1).await,
            "lookup-many" => self.absent(self.discovery.max_lookup).await,
            "lookup-too-many" => self.too_many_keys().await,
            "lookup-bad-key" => self.bad_keys().await,
            "empty-batch" => self.empty_batch().await,
            "bad-body" => self.bad_bodies().await,
            "wrong-media" => self.wrong_media().await,
            "other-version" => self.other_version().await,
            "unknown-job" => self.unknown_job().await,
            _ => unreachable!("{name} is no check of this part of the page"),
        }
    }

    /// It was fetched before all others, and is judged here.
    fn discovery(&mut self) -> Outcome {
        match self.undiscovered.take() {
            Some(why) if self.refused_us => {
                let ours = self.logs_in.as_deref().unwrap_or("the target has no `auth`");
                Err(format!("our own credentials are refused ({ours}): {why}"))
            }
            Some(why) => Err(why),
            None if self.discovery.faults.is_empty() => Ok(None),
            None => Err(self.discovery.faults.join("; ")),
        }
    }

    async fn wrong_credentials(&mut self) -> Outcome {
        if self.logs_in.is_none() {
            return Left::because("the target logs in with certificates, or not at all");
        }
        let key = self.fresh().key.to_string();
        let empty = Ask::events(EMPTY.to_vec(), &[]);
        for (ask, what) in [(Ask::contract(), "discovery"), (Ask::lookup(vec![key]), "a lookup"), (empty, "a batch")] {
            if self.talk.hear(&ask).await?.status == 401 {
                return Err(format!(
                    "{what} with our own credentials: HTTP 401 as well, and so nothing is known of wrong ones"
                ));
            }
            for (ask, with) in self.shut_out(&ask) {
                let heard = self.talk.hear(&ask).await?;
                judge::problem(&heard, 401, "unauthorized").map_err(|why| format!("{what} {with}: {why}"))?;
            }
        }
        Ok(None)
    }

    /// The same with credentials that are wrong, and with none.
    fn shut_out(&self, ask: &Ask) -> [(Ask, &'static str); 2] {
        let wrong = Some(format!("wrong-{}", self.name));
        [
            (Ask { wrong, ..ask.clone() }, "with wrong credentials"),
            (Ask { bare: true, ..ask.clone() }, "without credentials"),
        ]
    }

    async fn absent(&mut self, count: u64) -> Outcome {
        if count == 0 {
            return Left::because("discovery does not say max_lookup");
        }
        let keys: Vec<Id> = (0..count).map(|_| self.fresh().key).collect();
        let found = self.talk.lookup(&keys).await?;
        match found.iter().find(|found| **found != judge::Found::Absent) {
            None => Ok(None),
            Some(other) => Err(format!("a key that was never used is {}", other.word())),
        }
    }

    async fn too_many_keys(&mut self) -> Outcome {
        if self.discovery.max_lookup == 0 {
            return Left::because("discovery does not say max_lookup");
        }
        let keys = (0..=self.discovery.max_lookup).map(|_| self.fresh().key.to_string()).collect();
        let heard = self.talk.hear(&Ask::lookup(keys)).await?;
        judge::problem(&heard, 413, "too_large")?;
        Ok(None)
    }

    async fn bad_keys(&mut self) -> Outcome {
        let heard = self.talk.hear(&Ask::lookup(vec!["x".to_owned()])).await?;
        judge::problem(&heard, 400, "malformed").map_err(|why| format!("a key that is no UUID: {why}"))?;
        let heard = self.talk.hear(&Ask::lookup(Vec::new())).await?;
        judge::problem(&heard, 400, "malformed").map_err(|why| format!("a lookup without a key: {why}"))?;
        Ok(None)
    }

    async fn empty_batch(&mut self) -> Outcome {
        let heard = self.talk.hear(&Ask::events(EMPTY.to_vec(), &[])).await?;
        judge::results(&judge::json(&heard, 200)?, &[])?;
        Ok(None)
    }

    async fn bad_bodies(&mut self) -> Outcome {
        for (body, what) in [(r#"{"events":["#, "half a JSON document"), ("{}", "a body without `events`")] {
            let heard = self.talk.hear(&Ask::events(body.into(), &[])).await?;
            judge::problem(&heard, 400, "malformed").map_err(|why| format!("{what}: {why}"))?;
        }
        Ok(None)
    }

    async fn wrong_media(&mut self) -> Outcome {
        let ask = Ask { media: Some("text/plain"), ..Ask::events(EMPTY.to_vec(), &[]) };
        let heard = self.talk.hear(&ask).await?;
        judge::problem(&heard, 415, "unsupported_media")?;
        if self.discovery.max_batch > 0 && !self.discovery.gzip {
            let heard = self.talk.hear(&Ask { gzip: true, ..Ask::events(EMPTY.to_vec(), &[]) }).await?;
            judge::problem(&heard, 415, "unsupported_media")
                .map_err(|why| format!("a packed body, and gzip is false: {why}"))?;
        }
        Ok(None)
    }

    async fn other_version(&mut self) -> Outcome {
        for (ask, what) in [(Ask::contract(), "discovery"), (Ask::events(EMPTY.to_vec(), &[]), "a batch")] {
            let heard = self.talk.hear(&Ask { version: Some("999"), ..ask }).await?;
            let body = judge::problem(&heard, 400, "unsupported_version").map_err(|why| format!("{what}: {why}"))?;
            let listed =
                body.get("versions").and_then(serde_json::Value::as_array).is_some_and(|list| !list.is_empty());
            if !listed {
                return Err(format!("{what}: the problem has no list `versions`"));
            }
        }
        Ok(None)
    }

    /// With jobs their path is known from a `Location` only, of which the last part is the job's name.
    async fn unknown_job(&mut self) -> Outcome {
        let name = self.fresh().key.to_string();
        if let Some((url, _)) = self.talk.job.clone().filter(|_| self.logs_in.is_some()) {
            for (ask, with) in self.shut_out(&Ask::default()) {
                let heard = self.talk.job_asked(&url, &ask).await?;
                judge::problem(&heard, 401, "unauthorized").map_err(|why| format!("a job {with}: {why}"))?;
            }
        }
        let url = match &self.talk.job {
            Some((url, _)) => {
                let end = url.rfind(['/', '=']).map_or(url.len(), |end| end + 1);
                format!("{}{name}", &url[..end])
            }
            None if self.discovery.jobs => {
                return Left::because("no answer was a 202, and so the path of its jobs is not known");
            }
            None => self.talk.base.at(&format!("/jobs/{name}"), &[]),
        };
        let heard = self.talk.job(&url).await?;
        if !self.discovery.jobs && heard.status == 404 {
            return Ok(None); // there is nothing at all at that path
        }
        judge::problem(&heard, 404, "unknown_job")?;
        Ok(None)
    }
}
