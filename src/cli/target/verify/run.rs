//! One run through the checklist: what it knows of the endpoint, and what each check came to.

use std::time::Duration;

use serde::Serialize;

use super::broken_off::CUTS;
use super::discovery::Discovery;
use super::judge;
use super::page::{PAGE, ROWS, Row};
use super::talk::{Ask, Exchange, Talk};
use crate::event::{Millis, device_event_id, posting_id};
use crate::lane::{Posting, Reply};

/// Why the rest is left out of a run that is put off for too long.
const PUT_OFF: &str = "it asks for fewer requests";

/// What a check came to: an error says what is wrong.
pub(super) type Outcome = Result<Option<Left>, String>;

/// What is to be said of a check that did not fail.
#[derive(Debug)]
pub(super) enum Left {
    /// It was not made.
    Out(String),
    /// It was, and is good.
    Noted(String),
}

impl Left {
    #[expect(clippy::unnecessary_wraps, reason = "it is what a check returns")]
    pub(super) fn because(why: &str) -> Outcome {
        Ok(Some(Self::Out(why.to_owned())))
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Ok,
    Failed,
    LeftOut,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    pub(super) check: &'static str,
    pub(super) end: End,
    /// What is wrong, or why it was left out.
    pub(super) why: Option<String>,
    pub(super) wants: &'static str,
    /// Where the page says so.
    pub(super) page: String,
    /// What was said, of a check that failed.
    pub(super) exchanges: Vec<Exchange>,
}

/// An item that was posted, and how it was answered.
#[derive(Debug, Clone)]
pub(super) struct Booked {
    pub(super) item: Posting,
    pub(super) ask: Ask,
    pub(super) reference: String,
    pub(super) job: Option<String>,
}

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) talk: Talk,
    pub(super) discovery: Discovery,
    /// Discovery could not be read at all.
    pub(super) blind: bool,
    /// Why not.
    pub(super) undiscovered: Option<String>,
    /// The target's credentials beside a certificate, as people know them.
    pub(super) logs_in: Option<String>,
    /// They are refused, and so is whatever is asked.
    pub(super) refused_us: bool,
    /// Names this run: part of all its keys.
    pub(super) name: String,
    site: String,
    system: String,
    now: Millis,
    made: u64,
    pub(super) posted: Option<Booked>,
    /// Its key was refused.
    pub(super) refused: Option<Posting>,
    /// When `broken-off` closes its connections.
    pub(super) cuts: &'static [Duration],
}

impl Run {
    /// Reads discovery.
    ///
    /// # Errors
    /// When nobody answers.
    pub(super) async fn begin(
        mut talk: Talk,
        logs_in: Option<String>,
        (site, system): (&str, &str),
        (name, now): (String, Millis),
    ) -> Result<Self, Reply> {
        let heard = talk.say(&Ask::contract()).await?;
        let body = judge::json(&heard, 200);
        let (site, system) = (site.to_owned(), system.to_owned());
        Ok(Self {
            talk,
            blind: body.is_err(),
            discovery: body.as_ref().map(Discovery::read).unwrap_or_default(),
            undiscovered: body.err(),
            refused_us: heard.status == 401,
            logs_in,
            name,
            site,
            system,
            now,
            made: 0,
            posted: None,
            refused: None,
            cuts: CUTS,
        })
    }

    /// Goes through the checks that are asked for, telling each as it ends.
    pub(super) async fn go(&mut self, wanted: &[String], read_only: bool, mut tell: impl FnMut(&Done)) -> Vec<Done> {
        let mut all = Vec::new();
        let is_wanted = |row: &Row| wanted.is_empty() || wanted.iter().any(|name| name == row.name);
        let says_why = |row: &Row| self.refused_us && row.name == "discovery";
        for row in self.rows().into_iter().filter(|row| is_wanted(row) || says_why(row)).collect::<Vec<_>>() {
            if row.name != "discovery" {
                self.talk.exchanges.clear();
            }
            let outcome = self.check(row, read_only).await;
            let outcome = if self.talk.put_off { Left::because(PUT_OFF) } else { outcome };
            let exchanges = std::mem::take(&mut self.talk.exchanges);
            let (end, why) = match outcome {
                Ok(None) => (End::Ok, None),
                Ok(Some(Left::Noted(note))) => (End::Ok, Some(note)),
                Ok(Some(Left::Out(why))) => (End::LeftOut, Some(why)),
                Err(why) => (End::Failed, Some(why)),
            };
            let exchanges = if end == End::Failed { exchanges } else { Vec::new() };
            let page = format!("{PAGE}#{}", row.section);
            let done = Done { check: row.name, end, why, wants: row.wants, page, exchanges };
            tell(&done);
            all.push(done);
        }
        all
    }

    /// The rows in their order: with jobs, `unknown-job` after those that may show where jobs are.
    fn rows(&self) -> Vec<&'static Row> {
        let (late, mut rows): (Vec<&Row>, Vec<&Row>) =
            ROWS.iter().partition(|row| self.discovery.jobs && row.name == "unknown-job");
        rows.extend(late);
        rows
    }

    async fn check(&mut self, row: &Row, read_only: bool) -> Outcome {
        if self.talk.put_off {
            return Left::because(PUT_OFF);
        }
        if self.refused_us && row.name != "discovery" {
            return Left::because("our own credentials are refused");
        }
        if !row.posts {
            return self.reads(row.name).await;
        }
        if read_only {
            return Left::because("--read-only");
        }
        if !self.discovery.test_system {
            return Left::because("it posts, and discovery does not say `test_system: true`");
        }
        if self.discovery.sample.is_none() {
            return Left::because("it posts, and discovery has no `sample` that can be read");
        }
        self.posts(row.name).await
    }

    pub(super) fn sample_type(&self) -> String {
        self.discovery.sample.as_ref().map(|sample| sample.tx_type.clone()).unwrap_or_default()
    }

    /// The sample under a key that was never used, in a lane of its own.
    pub(super) fn fresh(&mut self) -> Posting {
        self.made += 1;
        let (device, epoch, seq) = ("floorgate-verify", format!("v:{}", self.name), self.made.to_string());
        let event = device_event_id(&self.site, device, &epoch, &seq, 0);
        let sample = self.discovery.sample.clone();
        let (kind, tx_type, subject, data) = sample.map_or_else(Default::default, |sample| {
            (sample.kind, sample.tx_type, sample.subject, sample.data.to_string())
        });
        Posting {
            key: posting_id(event, &self.system, &tx_type, 0),
            event,
            kind,
            tx_type,
            site: self.site.clone(),
            device: device.to_owned(),
            order_key: format!("{}/verify/{}/{}", self.site, self.name, self.made),
            subject,
            occurred_at: self.now,
            time_quality: "synced".to_owned(),
            epoch,
            seq,
            commit_seq: 0,
            data,
        }
    }
}
