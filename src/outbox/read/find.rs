//! Where one shipment is: its events, and how far each lane is with them.
//!
//! The search goes by blocks of prints (finder.rs), the audit and the attempts that are kept. What they do not cover is walked in
//! bites that are a transaction each, so that the writer's log is not kept from shrinking meanwhile.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::search::{BITE, Hits, Walk, named_so, search};
use super::wanted::Wanted;
use super::{Bounds, HELD, Held, LaneStatus, LastAnswer, holds, lanes, said, words};
use crate::event::{Id, posting_id};
use crate::lane::{Class, RowKey, Storm};
use crate::milestone::{order, orders};
use crate::outbox::attempts::{NOBODY_HEARD, NOTHING_CAME, Tried, id_at};
use crate::outbox::delivery::unpack;
use crate::outbox::open::reading;
use crate::outbox::{StorageError, attempts};

/// What became of a row that is for show only, and was refused.
const IDLE: &str = "refused, and made idle by a later one of its subject, which was posted";
/// Bytes of a sample that are shown.
const RAW: i64 = 256;

/// What was found. Times are UTC milliseconds.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The newest first.
    pub events: Vec<Event>,
    /// Events that were looked at for it.
    pub looked_at: i64,
    /// The search ended at its limit: there may be older ones.
    pub more: bool,
}

/// One event, and how far each lane is with it.
#[derive(Debug, Default, Serialize)]
pub struct Event<D = Delivery> {
    /// Its number in the outbox.
    pub seq: i64,
    /// Its id, the same in all systems.
    pub id: String,
    /// Raw kind: `scan.carton`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// When the gateway saw it.
    pub occurred_at: i64,
    /// Whether that clock was set: `synced`, `unsynced`.
    pub time_quality: String,
    /// What the device itself says of the time.
    pub device_time: Option<String>,
    /// When it was stored.
    pub recorded_at: i64,
    /// Device of the key.
    pub device: String,
    /// Epoch text.
    pub epoch: String,
    /// Number in it, or what stands for one.
    pub number: String,
    /// `id@version` of the map that read it.
    pub map: String,
    /// Bytes that came; `None`: it was made by the gateway.
    pub length: Option<i64>,
    /// The first of them.
    #[serde(skip)]
    pub raw: Vec<u8>,
    /// One for each lane that took it.
    pub deliveries: Vec<D>,
}

impl<D> Event<D> {
    /// The beginning of the bytes that came, if any did.
    pub fn raw(&self) -> Option<&[u8]> {
        self.length.map(|_| self.raw.as_slice())
    }

    /// The same with more told of each delivery.
    pub(super) fn with<T>(self, deliveries: Vec<T>) -> (Event<T>, Vec<D>) {
        let Self { seq, id, kind, subject, occurred_at, time_quality, device_time, recorded_at, device, .. } = self;
        let Self { epoch, number, map, length, raw, deliveries: less, .. } = self;
        let event = Event {
            seq,
            id,
            kind,
            subject,
            occurred_at,
            time_quality,
            device_time,
            recorded_at,
            device,
            epoch,
            number,
            map,
            length,
            raw,
            deliveries,
        };
        (event, less)
    }
}

/// How far a lane is with an event.
#[derive(Debug, Default, Serialize)]
pub struct Delivery {
    /// Lane id.
    pub lane: String,
    /// System id.
    pub system: String,
    /// Transaction type.
    pub tx_type: String,
    /// `ready`, `sending`, `accepted`, `unknown`, `waiting`, `rejected`, `held`, `delivered`, `auto_resolved` or `skipped`.
    pub state: &'static str,
    /// Key of the posting.
    pub key: String,
    /// Since when it is in that state, where that is known.
    pub since: Option<i64>,
    /// Attempts so far; of a waiting row the ones that had no effect.
    pub attempts: Option<i64>,
    /// Not before then.
    pub next_at: Option<i64>,
    /// Why it is so, in the target's words or ours; of a delivered one how.
    pub reason: Option<String>,
    /// HTTP status of the answer that rejected it, or brought it to its end.
    pub status: Option<u16>,
    /// An attempt may have had effect, though it was rejected.
    pub maybe_posted: bool,
    /// The target's reference.
    pub reference: Option<String>,
    /// The row of its subject that goes first.
    pub behind: Option<Behind>,
    /// Why it may be there twice, though it is delivered once.
    pub suspect: Option<String>,
    /// The lane has stopped: too many subjects are parked, or it is in a `storm`.
    pub lane_stopped: bool,
    /// Too many rows of the lane were refused: single ones find out whether that is over.
    pub storm: Option<Storm>,
    /// What a person has stopped, and it with that.
    pub hold: Option<Held>,
    /// What becomes of it where nobody knows whether it is there.
    #[serde(skip)]
    pub unsure: Unsure,
    /// No gateway runs that sees to it.
    #[serde(skip)]
    pub rest: Option<Rest>,
    /// What the lane's target said last, if that keeps it.
    pub trouble: Option<LastAnswer>,
    /// Where the row stands.
    #[serde(skip)]
    pub place: Place,
}

/// What becomes of a delivery of which nobody knows whether it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsure {
    /// It is looked up, or goes again under its key.
    #[default]
    Again,
    /// Its target is sent nothing twice, and can't be asked: a person decides.
    Person,
}

/// No gateway runs on the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It goes on when one is started.
    Ended,
    /// The directory itself was named: it may be a copy, and a gateway may run on what it is one of.
    Copy,
}

impl Rest {
    /// What that says of an answer that was not there yet.
    pub(super) fn unheard(self) -> &'static str {
        match self {
            Self::Ended => NOBODY_HEARD,
            Self::Copy => NOTHING_CAME,
        }
    }
}

impl Delivery {
    /// No gateway runs: nothing is under way, and of what was nobody has heard.
    pub fn rest(&mut self, rest: Rest) {
        (self.rest, self.next_at) = (Some(rest), None);
        if self.state == "sending" {
            (self.state, self.reason) = ("unknown", Some(rest.unheard().to_owned()));
        }
        if let Some(behind) = self.behind.as_mut().filter(|behind| behind.state == "sending") {
            (behind.state, behind.reason) = ("unknown", Some(rest.unheard().to_owned()));
        }
    }
}

/// How many attempts are kept of a row; a question is none.
fn counted(tried: &[Tried]) -> i64 {
    i64::try_from(tried.iter().filter(|tried| tried.attempt > 0).count()).unwrap_or(i64::MAX)
}

/// Which row a delivery is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// The lane's number.
    pub lane: i64,
    /// Event and transaction type.
    pub key: RowKey,
    /// Revision of the posting's key.
    pub rev: u32,
    /// What orders it, while it is not at its end.
    pub order: Option<i64>,
}

/// The row of the same subject that is before it.
#[derive(Debug, Serialize)]
pub struct Behind {
    /// Its number in the outbox.
    pub seq: i64,
    /// Its state.
    pub state: &'static str,
    /// Why it is in that state, if there is something to say.
    pub reason: Option<String>,
}

/// The newest `limit` events of what is wanted in the outbox in `dir`. `bounds` tell whether a lane has stopped, and which lanes
/// park subjects.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn find(dir: &Path, wanted: &Wanted, limit: usize, bounds: Option<&Bounds>) -> Result<Found, StorageError> {
    events(dir, limit, bounds, |db, walk| search(db, wanted, walk))
}

/// The newest `limit` events that have it as their subject, id or key. A name of which nothing has come costs no walk.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn named(dir: &Path, wanted: &Wanted, limit: usize) -> Result<Found, StorageError> {
    events(dir, limit, None, |db, walk| named_so(db, wanted, walk))
}

fn events(
    dir: &Path,
    limit: usize,
    bounds: Option<&Bounds>,
    search: impl Fn(&Connection, &mut Walk<'_>) -> Result<Hits, rusqlite::Error>,
) -> Result<Found, StorageError> {
    let walk = &mut Walk { limit, bite: BITE, progress: &mut |_| {} };
    told(
        dir,
        RAW,
        bounds,
        limit,
        |db| search(db, walk),
        |look, hits, more| {
            let mut events = Vec::new();
            for seq in hits.seqs {
                events.extend(look.event(seq)?);
            }
            Ok(Found { events, looked_at: hits.looked_at, more })
        },
    )
}

/// What is told of the newest `limit` events that are found, all at one moment, and whether there may be others. `raw`: bytes of a
/// sample that are read.
pub(super) fn told<T>(
    dir: &Path,
    raw: i64,
    bounds: Option<&Bounds>,
    limit: usize,
    mut search: impl FnMut(&Connection) -> Result<Hits, rusqlite::Error>,
    tell: impl Fn(Look<'_>, Hits, bool) -> Result<T, rusqlite::Error>,
) -> Result<T, StorageError> {
    reading(dir, |db| {
        let mut hits = search(db)?;
        let more = hits.more(limit);
        hits.seqs.truncate(limit);
        let db = db.transaction()?; // one moment for all that is told
        let (lanes, holds) = (lanes(&db)?, holds::of(&db)?);
        tell(Look { db: &db, lanes: &lanes, holds: &holds, bounds, raw }, hits, more)
    })
}

pub(super) struct Look<'a> {
    pub(super) db: &'a Connection,
    pub(super) lanes: &'a [LaneStatus],
    pub(super) holds: &'a [Held],
    pub(super) bounds: Option<&'a Bounds>,
    /// Bytes of a sample that are read.
    pub(super) raw: i64,
}

/// A row of `pending`, as far as its state goes.
struct Open {
    lane: i64,
    key: RowKey,
    order: i64,
    state: i64,
    why: Option<String>,
}

impl Look<'_> {
    pub(super) fn event(&self, seq: i64) -> Result<Option<Event>, rusqlite::Error> {
        let sql =
            "SELECT e.id, k.text, e.subject, e.occurred_at, e.quality, e.device_time, e.recorded_at, s.name, ep.text,
                    coalesce(e.mark, e.pos || ''), m.text, length(w.raw), substr(w.raw, 1, ?2)
             FROM event e JOIN epoch ep ON ep.id = e.epoch JOIN source s ON s.id = ep.source
                  JOIN name k ON k.id = e.kind JOIN name m ON m.id = e.map
                  LEFT JOIN event w ON w.epoch = e.epoch AND w.pos = e.pos AND w.raw IS NOT NULL AND e.ordinal >= 0
             WHERE e.seq = ?1";
        let event = self.db.query_row(sql, [seq, self.raw], |r| {
            let id = id_at(r, 0)?.unwrap_or_default();
            let event = Event {
                seq,
                id: id.to_string(),
                kind: words(r, 1)?,
                subject: words(r, 2)?,
                occurred_at: r.get(3)?,
                time_quality: words(r, 4)?,
                device_time: said(r, 5)?,
                recorded_at: r.get(6)?,
                device: words(r, 7)?,
                epoch: words(r, 8)?,
                number: words(r, 9)?,
                map: words(r, 10)?,
                length: r.get(11)?,
                raw: r.get::<_, Option<Vec<u8>>>(12)?.unwrap_or_default(),
                deliveries: Vec::new(),
            };
            Ok((id, event))
        });
        let Some((id, mut event)) = event.optional()? else { return Ok(None) };
        event.deliveries = self.delivered(seq, id)?;
        let mut open = self.open(seq)?;
        // What is under way when a gateway ends is unknown, and is held then.
        for told in open.iter_mut().filter(|told| matches!(told.state, "ready" | "waiting" | "unknown" | "sending")) {
            let order = order(&told.tx_type, &event.subject, &told.lane);
            let parks = Bounds::parks_in(self.bounds, &told.lane);
            let keeps = |hold: &&Held| match hold.scope.as_str() {
                "subject" => parks && orders(&hold.name, &told.lane).contains(&order),
                _ => hold.keeps(&told.lane, &told.system),
            };
            told.hold = self.holds.iter().find(keeps).cloned();
        }
        event.deliveries.extend(open);
        Ok(Some(event))
    }

    fn delivered(&self, seq: i64, id: Id) -> Result<Vec<Delivery>, rusqlite::Error> {
        let sql = "SELECT l.name, l.system, t.text, d.at, d.attempt, d.how, d.ref, d.rev, d.status, l.id, d.tx, c.id, d.suspect, d.batch > 0
                   FROM done d JOIN lane l ON l.id = d.lane JOIN name t ON t.id = d.tx
                        LEFT JOIN correction c ON c.lane = d.lane AND c.seq = d.seq AND c.tx = d.tx
                   WHERE d.seq = ? ORDER BY l.id";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([seq], |r| {
            let (lane, key) = (r.get(9)?, RowKey { seq, tx: r.get(10)? });
            let tried = counted(&attempts::of_row(self.db, lane, key)?) + r.get::<_, i64>(13)?;
            let (system, tx_type) = (words(r, 1)?, words(r, 2)?);
            let (how, rev): (String, u32) = (words(r, 5)?, r.get(7)?);
            Ok(Delivery {
                lane: words(r, 0)?,
                key: posting_id(id_at(r, 11)?.unwrap_or(id), &system, &tx_type, rev).to_string(),
                system,
                tx_type,
                state: match how.as_str() {
                    "skipped" => "skipped",
                    "auto_resolved" => "auto_resolved",
                    _ => "delivered",
                },
                since: r.get(3)?,
                // Those of an earlier batch count as well.
                attempts: r.get::<_, Option<i64>>(4)?.map(|attempt| attempt.max(tried)),
                reason: Some(if how == "auto_resolved" { IDLE.to_owned() } else { how }),
                reference: said(r, 6)?,
                status: r.get(8)?,
                place: Place { lane, key, rev, order: None },
                suspect: said(r, 12)?,
                ..Delivery::default()
            })
        })?;
        rows.collect()
    }

    fn open(&self, seq: i64) -> Result<Vec<Delivery>, rusqlite::Error> {
        let sql = "SELECT l.id, p.tx, p.order8, p.state, p.why, l.name, l.system, t.text, p.posting, p.tries, p.since, p.not_before, p.rev
                   FROM lane l CROSS JOIN pending p ON p.lane = l.id JOIN name t ON t.id = p.tx
                   WHERE p.seq = ? ORDER BY l.id";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([seq], |r| {
            let key = RowKey { seq, tx: r.get(1)? };
            let open = Open { lane: r.get(0)?, key, order: r.get(2)?, state: r.get(3)?, why: said(r, 4)? };
            let delivery = Delivery {
                lane: words(r, 5)?,
                system: words(r, 6)?,
                tx_type: words(r, 7)?,
                key: id_at(r, 8)?.unwrap_or_default().to_string(),
                attempts: r.get(9)?,
                since: r.get(10)?,
                next_at: r.get(11)?,
                place: Place { lane: open.lane, key, rev: r.get(12)?, order: Some(open.order) },
                ..Delivery::default()
            };
            Ok((open, delivery))
        })?;
        rows.map(|row| row.and_then(|(open, delivery)| self.explained(&open, delivery))).collect()
    }

    /// Says what state an open row is in, and why.
    fn explained(&self, open: &Open, mut told: Delivery) -> Result<Delivery, rusqlite::Error> {
        (told.state, told.reason) = self.state(open)?;
        match told.state {
            "sending" | "unknown" => {
                let batch = self.batch(open.lane, open.key)?;
                let tried = attempts::of_row(self.db, open.lane, open.key)?;
                let sent = batch.as_ref().map(|batch| batch.sent);
                // An attempt that never left is none that it was sent with.
                told.since = match tried.iter().find(|tried| tried.sent == sent && !tried.left()) {
                    Some(_) => tried.iter().filter(|tried| tried.left()).filter_map(|tried| tried.sent).max(),
                    None => sent,
                };
                let own = i64::from(told.state == "sending");
                told.attempts = batch.map(|batch| batch.attempt.max(counted(&tried) + own));
                told.next_at = None;
            }
            "accepted" => {
                let under_way = self.batch(open.lane, open.key)?;
                let accepted = under_way.as_ref().and_then(|batch| batch.accepted.as_ref());
                (told.since, told.next_at) = (accepted.map(|a| a.since), accepted.and_then(|a| a.ask_at));
                let tried = attempts::of_row(self.db, open.lane, open.key)?;
                told.attempts = under_way.map(|batch| batch.attempt.max(counted(&tried)));
            }
            "rejected" => self.letter(open, &mut told)?,
            "ready" => told.behind = self.behind(open)?,
            _ => {}
        }
        if self.bounds.is_some_and(|bounds| bounds.once.contains(&told.lane)) {
            told.unsure = Unsure::Person;
        }
        let lane = self.lanes.iter().find(|lane| lane.lane == told.lane);
        if matches!(told.state, "ready" | "waiting") {
            told.storm = lane.and_then(|lane| lane.storm.clone());
            let parks = lane.zip(self.bounds).is_some_and(|(lane, bounds)| bounds.stop(lane));
            told.lane_stopped = parks || told.storm.is_some();
        }
        if matches!(told.state, "ready" | "waiting" | "unknown" | "sending" | "accepted") {
            // An answer that speaks of each item is told with the row it speaks of.
            let spoke = |last: &LastAnswer| last.help.is_some();
            let last = lane.filter(|lane| lane.meets_trouble()).and_then(|lane| lane.last_answer.clone());
            let goes =
                told.unsure == Unsure::Again || last.as_ref().is_some_and(|last| last.class != Class::Unknown.name());
            let last = last.filter(spoke);
            told.trouble = last.map(|last| LastAnswer { again: last.again.filter(|_| goes), ..last });
            let words = told.trouble.as_ref().and_then(|last| last.said.as_ref());
            let twice = |reason: &String| words.is_some_and(|words| reason.ends_with(words)) && told.state == "unknown";
            told.reason = told.reason.filter(|reason| !twice(reason));
        }
        Ok(told)
    }

    fn state(&self, open: &Open) -> Result<(&'static str, Option<String>), rusqlite::Error> {
        match self.batch(open.lane, open.key)? {
            Some(UnderWay { accepted: Some(Accepted { job, .. }), .. }) => {
                let how = job.map_or_else(|| "asked by lookup".to_owned(), |job| format!("asked at {job}"));
                return Ok(("accepted", Some(format!("the target has taken it over, and is {how}"))));
            }
            Some(batch) if batch.unknown => {
                let last = attempts::of_row(self.db, open.lane, open.key)?.pop();
                return Ok(("unknown", last.map(|last| last.said)));
            }
            Some(_) => return Ok(("sending", None)),
            None => {}
        }
        Ok(match open.state {
            1 => ("waiting", open.why.clone()),
            2 => ("rejected", self.reason(open)?),
            3 => ("held", Some(open.why.clone().unwrap_or_else(|| HELD.to_owned()))),
            _ => ("ready", None),
        })
    }

    /// The batch that has the row, if it is under way.
    pub(super) fn batch(&self, lane: i64, key: RowKey) -> Result<Option<UnderWay>, rusqlite::Error> {
        let sql = "SELECT rows, id, request, unknown IS NOT NULL, attempt, last_sent, accepted, job, ask_at FROM batch
                   WHERE lane = ?";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut found = statement.query([lane])?;
        while let Some(r) = found.next()? {
            let rows = unpack(r.get_ref(0)?.as_blob().unwrap_or_default());
            if rows.contains(&key) {
                let (job, ask_at) = (said(r, 7)?, r.get(8)?);
                let accepted = r.get::<_, Option<i64>>(6)?.map(|since| Accepted { since, job, ask_at });
                let (id, request, unknown) = (r.get(1)?, id_at(r, 2)?, r.get(3)?);
                let (attempt, sent) = (r.get(4)?, r.get(5)?);
                return Ok(Some(UnderWay { id, request, rows, attempt, sent, unknown, accepted }));
            }
        }
        Ok(None)
    }

    fn reason(&self, open: &Open) -> Result<Option<String>, rusqlite::Error> {
        let sql = "SELECT class || ': ' || reason FROM letter WHERE lane = ? AND seq = ? AND tx = ?";
        self.db.query_row(sql, [open.lane, open.key.seq, open.key.tx], |r| words(r, 0)).optional()
    }

    fn letter(&self, open: &Open, told: &mut Delivery) -> Result<(), rusqlite::Error> {
        let sql = "SELECT at, status, maybe FROM letter WHERE lane = ? AND seq = ? AND tx = ?";
        let row = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?));
        let letter = self.db.query_row(sql, [open.lane, open.key.seq, open.key.tx], row).optional()?;
        if let Some((at, status, maybe)) = letter {
            (told.since, told.status, told.maybe_posted, told.next_at) = (Some(at), status, maybe, None);
        }
        Ok(())
    }

    /// The first row of its subject that is not at its end, if that is another one. Where a lane parks nothing, rejected
    /// and held rows keep nobody.
    fn behind(&self, open: &Open) -> Result<Option<Behind>, rusqlite::Error> {
        let name: String = self.db.query_row("SELECT name FROM lane WHERE id = ?", [open.lane], |r| words(r, 0))?;
        let parks = Bounds::parks_in(self.bounds, &name);
        let sql = "SELECT seq, tx, state, why FROM pending WHERE lane = ?1 AND order8 = ?2 AND (seq, tx) < (?3, ?4)
                   AND (state < 2 OR ?5) ORDER BY seq, tx LIMIT 1";
        let first = self.db.query_row(sql, params![open.lane, open.order, open.key.seq, open.key.tx, parks], |r| {
            let key = RowKey { seq: r.get(0)?, tx: r.get(1)? };
            Ok(Open { lane: open.lane, key, order: open.order, state: r.get(2)?, why: said(r, 3)? })
        });
        let Some(first) = first.optional()? else { return Ok(None) };
        let (state, reason) = self.state(&first)?;
        let reason = reason.map(|words| words.strip_prefix(&format!("{state}: ")).unwrap_or(&words).to_owned());
        Ok(Some(Behind { seq: first.key.seq, state, reason }))
    }
}

/// A batch that is under way.
pub(super) struct UnderWay {
    /// The lane's number of it.
    pub(super) id: i64,
    /// What the target knows it by, where that does not follow from its rows.
    pub(super) request: Option<Id>,
    pub(super) rows: Vec<RowKey>,
    pub(super) attempt: i64,
    pub(super) sent: i64,
    unknown: bool,
    accepted: Option<Accepted>,
}

/// The target has taken it over.
struct Accepted {
    since: i64,
    job: Option<String>,
    ask_at: Option<i64>,
}
