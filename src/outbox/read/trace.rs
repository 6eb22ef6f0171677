//! The whole way of what a word names: samples, events, postings, each attempt, what persons did, and what waits behind it.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::find::{Delivery, Event, Look, Place, Rest, told};
use super::parked::{Deed, deeds, rejected};
use super::search::{BITE, Hits, Walk, search, within};
use super::wanted::Wanted;
use super::{Bounds, said, words};
use crate::event::{Id, posting_id, short_ref, traceparent};
use crate::lane::{Category, Parked, sentence};
use crate::outbox::StorageError;
use crate::outbox::attempts::{self, UNHEARD, id_at, sent_as};

/// Bytes of a sample that are told.
const RAW: i64 = 65_536;
/// The class of an attempt that is not answered yet.
const UNDER_WAY: &str = "under_way";
/// Successors that are named; all are counted.
const SUCCESSORS: usize = 10;

impl Followed {
    /// No gateway runs: as of [`Delivery::rest`].
    pub fn rest(&mut self, rest: Rest) {
        self.delivery.rest(rest);
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.class == UNDER_WAY) {
            let (class, reason) = rest.unheard().split_once(": ").unwrap_or((UNHEARD, rest.unheard()));
            (attempt.class, attempt.reason) = (class.to_owned(), Some(reason.to_owned()));
        }
    }
}

/// What was found. Times are UTC milliseconds.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// In the order in which they were committed.
    pub events: Vec<Traced>,
    /// Events that were looked at for it.
    pub looked_at: i64,
    /// The search ended at its limit: there may be older ones.
    pub more: bool,
    /// It stands in a field, or in the bytes that came, and is the subject of none.
    pub within: bool,
    /// When the oldest event was stored that is kept.
    pub history_since: Option<i64>,
    /// Attempts before then are gone, where they were no good.
    pub attempts_since: Option<i64>,
}

/// One event with all that is kept of it.
#[derive(Debug, Serialize)]
pub struct Traced {
    /// The event, and how far each lane is with it.
    #[serde(flatten)]
    pub event: Event<Followed>,
    /// Which event of its sample it is; -1: made by the gateway.
    pub ordinal: i64,
    /// Its data.
    pub fields: serde_json::Value,
}

/// How far a lane is with an event, and how it came there.
#[derive(Debug, Default, Serialize)]
pub struct Followed {
    /// How far it is.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The key in its short form.
    pub short_ref: String,
    /// W3C trace context that goes out with it: the trace is the event's id.
    pub traceparent: String,
    /// What a person corrected: it is posted in place of the event's own fields.
    pub correction: Option<serde_json::Value>,
    /// 1 and more: a person gave it a new key.
    pub revision: u32,
    /// How a delivered one came there: `first`, `duplicate`, `lookup` or `manual`.
    pub how: Option<&'static str>,
    /// Which of the warehouse's troubles a rejected or held one is.
    pub category: Option<Category>,
    /// What is wrong with a rejected or held one, in a sentence.
    pub sentence: Option<String>,
    /// The target's word for the reason.
    pub code: Option<String>,
    /// Its own part of the answer that rejected it, or the beginning of all of it where it has none.
    pub answer: Option<String>,
    /// In their order. In JSON they stand in the place of their number.
    pub attempts: Vec<Attempt>,
    /// What persons did, in order.
    pub deeds: Vec<Deed>,
    /// Later rows of its subject in this lane, if it keeps them waiting.
    pub successors: i64,
    /// The numbers of their events, the first of them.
    pub first_successors: Vec<i64>,
}

/// One attempt to post, or one question for what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// From 1: which one of this posting it is, as far as they are kept.
    pub n: usize,
    /// From 1, within its batch; 0: the target was asked whether it has it.
    pub attempt: i64,
    /// The lane's number of the batch.
    pub batch: i64,
    /// The key under which it went, where the posting has another one now.
    pub key: Option<String>,
    /// The batch as the target saw it, where it is known.
    pub batch_id: Option<String>,
    /// When it left.
    pub sent_at: Option<i64>,
    /// When the answer was there, or was given up.
    pub answered_at: Option<i64>,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What it meant for this row; `under_way`: no answer yet, `unheard`: the gateway ended before it.
    pub class: String,
    /// In the target's words, or ours.
    pub reason: Option<String>,
    /// The beginning of an answer that was not all good.
    pub answer: Option<String>,
    /// When the batch or its lane was to go on, as far as it was known then; `None` where the row was not to go again.
    pub next_at: Option<i64>,
}

/// All of what is wanted, at most the newest `limit` events. `progress` hears how many events were looked at, while there is no
/// short way.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn trace(
    dir: &Path,
    wanted: &Wanted,
    limit: usize,
    bounds: Option<&Bounds>,
    progress: &mut dyn FnMut(i64),
) -> Result<Trace, StorageError> {
    let walk = &mut Walk { limit, bite: BITE, progress };
    let seek = |db: &Connection| {
        let hits = search(db, wanted, walk)?;
        if !hits.seqs.is_empty() {
            return Ok(hits);
        }
        let found = within(db, wanted, walk)?;
        Ok(Hits { looked_at: hits.looked_at.max(found.looked_at), ..found })
    };
    told(dir, RAW, bounds, limit, seek, |look, hits, more| {
        let db = look.db;
        let mut gather = Gather { look, queues: HashMap::new() };
        let mut events = Vec::new();
        for seq in hits.seqs.into_iter().rev() {
            events.extend(gather.event(seq)?);
        }
        let first = |sql: &str| db.query_row(sql, [], |r| r.get(0)).optional();
        Ok(Trace {
            looked_at: hits.looked_at,
            more,
            within: hits.within && !events.is_empty(),
            events,
            history_since: first("SELECT recorded_at FROM event ORDER BY seq LIMIT 1")?,
            attempts_since: first(
                "SELECT at FROM attempt WHERE (SELECT min(id) FROM attempt) > 1 ORDER BY id LIMIT 1",
            )?,
        })
    })
}

/// A damaged body is shown as the text that it is.
fn parsed(body: String) -> serde_json::Value {
    serde_json::from_str(&body).unwrap_or(serde_json::Value::String(body))
}

struct Gather<'a> {
    look: Look<'a>,
    /// By lane and what orders them: the rows of a subject that are not at their end.
    queues: HashMap<(i64, i64), Vec<i64>>,
}

impl Gather<'_> {
    fn event(&mut self, seq: i64) -> Result<Option<Traced>, rusqlite::Error> {
        let Some(event) = self.look.event(seq)? else { return Ok(None) };
        let sql = "SELECT ordinal, body, id FROM event WHERE seq = ?";
        let (ordinal, body, id) =
            self.look.db.query_row(sql, [seq], |r| Ok((r.get(0)?, words(r, 1)?, id_at(r, 2)?.unwrap_or_default())))?;
        let subject = event.subject.clone();
        let (mut event, deliveries) = event.with(Vec::new());
        for delivery in deliveries {
            event.deliveries.push(self.followed(delivery, &subject, id)?);
        }
        Ok(Some(Traced { event, ordinal, fields: parsed(body) }))
    }

    fn followed(&mut self, delivery: Delivery, subject: &str, id: Id) -> Result<Followed, rusqlite::Error> {
        let Place { lane, key, rev, order } = delivery.place;
        let (system, tx_type) = (delivery.system.clone(), delivery.tx_type.clone());
        let sql = "SELECT id, body FROM correction WHERE lane = ? AND seq = ? AND tx = ?";
        let correction = self
            .look
            .db
            .query_row(sql, [lane, key.seq, key.tx], |r| Ok((id_at(r, 0)?.unwrap_or_default(), words(r, 1)?)));
        let correction = correction.optional()?;
        let id = correction.as_ref().map_or(id, |(id, _)| *id);
        let posting = posting_id(id, &system, &tx_type, rev);
        let mut told = Followed {
            short_ref: short_ref(id, &system, &tx_type, rev),
            traceparent: traceparent(id, posting, 1).to_string(),
            correction: correction.map(|(_, body)| parsed(body)),
            revision: rev,
            how: how(&delivery),
            attempts: self.attempts(&delivery)?,
            deeds: deeds(self.look.db, &delivery.lane, key.seq, &tx_type)?,
            delivery,
            ..Followed::default()
        };
        told.take_decisions();
        self.need(&mut told, subject)?;
        if let Some(order) = order.filter(|_| told.delivery.behind.is_none() && told.delivery.state != "ready") {
            let parks = Bounds::parks_in(self.look.bounds, &told.delivery.lane);
            if parks || !matches!(told.delivery.state, "rejected" | "held") {
                let behind: Vec<i64> = self.queue(lane, order)?.iter().copied().filter(|seq| *seq > key.seq).collect();
                told.successors = i64::try_from(behind.len()).unwrap_or(i64::MAX);
                told.first_successors = behind.into_iter().take(SUCCESSORS).collect();
            }
        }
        Ok(told)
    }

    /// What a rejected or held row means, and what the target said.
    fn need(&self, told: &mut Followed, subject: &str) -> Result<(), rusqlite::Error> {
        let Place { lane, key, .. } = told.delivery.place;
        let (system, tx_type) = (&told.delivery.system, &told.delivery.tx_type);
        let visibility = !Bounds::parks_in(self.look.bounds, &told.delivery.lane);
        let (parked, reason) = match told.delivery.state {
            "held" => (Parked::Held, told.delivery.reason.clone().unwrap_or_default()),
            "rejected" => {
                let sql = "SELECT class, maybe, reason, code, answer FROM letter WHERE lane = ? AND seq = ? AND tx = ?";
                let letter = self.look.db.query_row(sql, [lane, key.seq, key.tx], |r| {
                    (told.code, told.answer) = (said(r, 3)?, said(r, 4)?);
                    Ok((rejected(r, [0, 1])?, words(r, 2)?))
                });
                let Some(letter) = letter.optional()? else { return Ok(()) };
                letter
            }
            _ => return Ok(()),
        };
        told.category =
            Some(Bounds::desks(self.look.bounds).of_parked(parked, tx_type, told.code.as_deref(), visibility));
        told.sentence = Some(sentence(parked, tx_type, subject, system, &reason));
        Ok(())
    }

    /// Attempts that were no good for the row; then the one that is under way, or brought it to its end.
    fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, rusqlite::Error> {
        let Place { lane, key, .. } = delivery.place;
        let mut all: Vec<Attempt> = attempts::of_row(self.look.db, lane, key)?.into_iter().map(Attempt::of).collect();
        match delivery.state {
            "delivered" => all.extend(self.good(lane, key.seq, key.tx)?),
            "sending" => all.extend(self.under_way(delivery)?),
            _ => {}
        }
        all.iter_mut().zip(1..).for_each(|(attempt, n)| attempt.n = n);
        Ok(all)
    }

    fn good(&self, lane: i64, seq: i64, tx: i64) -> Result<Option<Attempt>, rusqlite::Error> {
        let sql = "SELECT at, batch, attempt, how, took, status, request FROM done WHERE seq = ? AND lane = ? AND tx = ? AND batch > 0";
        let good = self.look.db.query_row(sql, [seq, lane, tx], |r| {
            let (at, took): (i64, Option<i64>) = (r.get(0)?, r.get(4)?);
            let (attempt, class): (i64, String) = (r.get(2)?, words(r, 3)?);
            let answered_at = Some(at);
            let sent_at = took.map(|took| at - took);
            let (batch, status) = (r.get(1)?, r.get(5)?);
            let batch_id = id_at(r, 6)?.map(|id| id.to_string());
            Ok(Attempt { attempt, batch, batch_id, sent_at, answered_at, status, class, ..Attempt::default() })
        });
        good.optional()
    }

    fn under_way(&self, delivery: &Delivery) -> Result<Option<Attempt>, rusqlite::Error> {
        let Place { lane, key, .. } = delivery.place;
        let Some(batch) = self.look.batch(lane, key)? else { return Ok(None) };
        let batch_id = sent_as(self.look.db, lane, batch.request, &batch.rows)?.map(|id| id.to_string());
        let (sent_at, class) = (Some(batch.sent), UNDER_WAY.to_owned());
        Ok(Some(Attempt { attempt: batch.attempt, batch: batch.id, batch_id, sent_at, class, ..Attempt::default() }))
    }

    /// The rows of a subject that are not at their end, in order. Walks the lane's backlog, once.
    fn queue(&mut self, lane: i64, order: i64) -> Result<&[i64], rusqlite::Error> {
        if !self.queues.contains_key(&(lane, order)) {
            let sql = "SELECT seq FROM pending WHERE lane = ? AND order8 = ? ORDER BY seq";
            let mut statement = self.look.db.prepare_cached(sql)?;
            let rows = statement.query_map(params![lane, order], |r| r.get(0))?.collect::<Result<Vec<i64>, _>>()?;
            self.queues.insert((lane, order), rows);
        }
        Ok(self.queues.get(&(lane, order)).map(Vec::as_slice).unwrap_or_default())
    }
}

fn how(delivery: &Delivery) -> Option<&'static str> {
    match (delivery.state, delivery.reason.as_deref()?) {
        ("delivered", "delivered") => Some("first"),
        ("delivered", "duplicate") => Some("duplicate"),
        ("delivered", "found") => Some("lookup"),
        ("delivered", "manual") => Some("manual"),
        _ => None,
    }
}

impl Followed {
    /// A row that a person decides on was not to go again, and what is sent after that may have another key.
    fn take_decisions(&mut self) {
        let parked = matches!(self.delivery.state, "rejected" | "held" | "delivered" | "auto_resolved" | "skipped");
        let decided = |tried: &Attempt| self.deeds.iter().find(|deed| tried.is_before(deed));
        let decisions: Vec<Option<&Deed>> = self.attempts.iter().map(decided).collect();
        let ends = |i: usize| match decisions.get(i + 1) {
            Some(next) => decisions[i].map(|deed| deed.at) != next.map(|deed| deed.at),
            None => decisions[i].is_some() || parked,
        };
        for (i, tried) in self.attempts.iter_mut().enumerate() {
            tried.key = decisions[i].map(|deed| deed.key.clone()).filter(|key| *key != self.delivery.key);
            tried.next_at = tried.next_at.filter(|_| !ends(i));
        }
    }
}

impl Attempt {
    fn is_before(&self, deed: &Deed) -> bool {
        self.answered_at.map_or(self.sent_at.is_some_and(|sent| sent < deed.at), |answered| answered <= deed.at)
    }

    fn of(tried: attempts::Tried) -> Self {
        let (class, reason) = match tried.said.split_once(": ") {
            Some((class, reason)) => (class.to_owned(), Some(reason.to_owned())),
            None => (tried.said, None),
        };
        let heard = class != UNHEARD;
        Self {
            n: 0,
            attempt: tried.attempt,
            batch: tried.batch,
            key: None,
            batch_id: tried.key.map(|key| key.to_string()),
            sent_at: tried.sent,
            answered_at: heard.then_some(tried.at),
            status: tried.status,
            class,
            reason,
            answer: tried.excerpt.filter(|excerpt| !excerpt.is_empty()),
            next_at: tried.again,
        }
    }
}

impl Traced {
    /// The beginning of the bytes that came, if any did.
    pub fn raw(&self) -> Option<&[u8]> {
        self.event.raw()
    }
}
