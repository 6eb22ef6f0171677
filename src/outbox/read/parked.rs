//! The postings that need a person, with what they mean; and what persons have done.

use std::path::Path;

use rusqlite::{Connection, Row, ToSql, params};
use serde::Serialize;

use super::wanted::Wanted;
use super::{HELD, all, said, words};
use crate::event::{Id, Millis};
use crate::lane::{Act, Category, Class, Desks, Parked, decide, sentence};
use crate::outbox::attempts::id_at;
use crate::outbox::open::reading;
use crate::outbox::operate::{SECOND_WITHIN_MS, asked};
use crate::outbox::read::Bounds;
use crate::outbox::{Named, Seen, StorageError};

/// Who looks after an exception, and how late it is.
#[derive(Debug, Clone, Serialize)]
pub struct Whose {
    /// Which of the warehouse's troubles it is.
    pub category: Category,
    /// Who looks after it.
    pub owner: String,
    /// How they are reached.
    pub contact: Option<String>,
    /// Who else is to hear of it, once it is later than agreed.
    pub escalate: Option<String>,
    /// How its age stands: `ok`, `warn`, `breach`.
    pub lateness: &'static str,
}

impl Whose {
    /// Of an exception of that category and age.
    pub fn of(desks: &Desks, category: Category, age_ms: u64) -> Self {
        let lateness = desks.lateness(category, age_ms);
        let desk = desks.0.get(&category).cloned().unwrap_or_default();
        let escalate = desk.escalate.filter(|_| lateness == "breach");
        Self { category, owner: desks.owner(category).to_owned(), contact: desk.contact, escalate, lateness }
    }
}

/// A posting that does not go on until a person decides. Times are UTC milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Need {
    /// Key of the posting.
    pub key: String,
    /// Commit sequence of the event.
    pub seq: i64,
    /// Lane id.
    pub lane: String,
    /// System id.
    pub system: String,
    /// Kind of the event.
    pub kind: String,
    /// Transaction type.
    pub tx_type: String,
    /// Its subject, whose later rows wait behind it.
    pub subject: String,
    /// `rejected` or `held`.
    pub state: &'static str,
    /// Since when it needs a person: what was tried again in vain meanwhile counts from the first time.
    pub opened_at: i64,
    /// When it was refused last.
    pub at: i64,
    /// What the machines know.
    pub class: String,
    /// Who looks after it, and how late it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// What is wrong, in a sentence.
    pub sentence: String,
    /// What usually helps.
    pub action: &'static str,
    /// What may be done: `retry`, `edit`, `repost`, `resolve`, `skip`.
    pub may: Vec<&'static str>,
    /// Who has asked for a `repost`, which waits for another person's word.
    pub asked: Option<Asked>,
    /// An attempt may have had effect.
    pub maybe_posted: bool,
    /// The target's word for the reason.
    pub code: Option<String>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Its own part of the answer, or the beginning of all of it where it has none.
    pub answer: Option<String>,
    /// First 64 bits of what orders it.
    #[serde(skip)]
    order: i64,
    #[serde(skip)]
    lane_id: i64,
}

impl Need {
    /// Whether it is meant: by its number, its key, or its subject.
    pub fn is(&self, wanted: &Wanted) -> bool {
        is(wanted, self.seq, &self.key, &self.subject)
    }

    /// For a decision about it as it is shown.
    pub fn named(&self) -> Named {
        Named { key: self.key.clone(), seen: Some(Seen { at: Millis(self.at), class: self.class.clone() }) }
    }
}

/// A first person's word for a `repost`.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// Who.
    pub by: String,
    /// When.
    pub at: i64,
    /// Until then another person's word counts.
    pub until: i64,
}

/// What a person did.
#[derive(Debug, Clone, Serialize)]
pub struct Deed {
    /// When.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// `retry`, `edit`, `repost`, `resolve`, `skip`, `hold`, `release`.
    pub act: String,
    /// Lane id.
    pub lane: String,
    /// The number of the posting's event; 0 where it is about none.
    pub seq: i64,
    /// Subject of the posting.
    pub subject: String,
    /// Its key then.
    pub key: String,
    /// Why, in their words.
    pub reason: String,
    /// What became of it.
    pub outcome: String,
    /// What asked for it.
    pub request: String,
}

impl Deed {
    /// Whether its posting is meant, as of [`Need::is`].
    pub fn is(&self, wanted: &Wanted) -> bool {
        is(wanted, self.seq, &self.key, &self.subject)
    }
}

fn is(wanted: &Wanted, seq: i64, key: &str, subject: &str) -> bool {
    wanted.seq == Some(seq) || Id::parse(key).is_some_and(|key| wanted.has_key(key)) || wanted.has_subject(subject)
}

/// All that needs a person, the oldest first. `bounds` tell which lanes are for show only.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn needs(dir: &Path, bounds: Option<&Bounds>, now: Millis) -> Result<Vec<Need>, StorageError> {
    let sql =
        "SELECT p.posting, p.seq, l.name, l.system, k.text, t.text, e.subject, p.state, coalesce(d.at, e.recorded_at),
                d.class, d.maybe, d.code, d.status, d.answer, coalesce(d.reason, p.why), p.order8, l.id,
                coalesce(p.opened, d.at, e.recorded_at)
         FROM lane l CROSS JOIN pending p INDEXED BY pending_exception ON p.lane = l.id
              JOIN event e ON e.seq = p.seq JOIN name k ON k.id = e.kind JOIN name t ON t.id = p.tx
              LEFT JOIN letter d ON d.lane = p.lane AND d.seq = p.seq AND d.tx = p.tx
         WHERE p.state IN (2, 3) AND p.state <> 0 ORDER BY 18, p.seq";
    reading(dir, |db| {
        let mut needs = all(db, sql, |r| need(r, bounds, now))?;
        for need in needs.iter_mut().filter(|need| need.may.contains(&Act::Repost.name())) {
            let first = asked(db, &need.key, now)?.into_iter().next();
            need.asked = first.map(|(by, at)| Asked { by, at: at.0, until: at.0 + SECOND_WITHIN_MS });
        }
        Ok::<_, rusqlite::Error>(needs)
    })
}

/// Why a row needs a person: by the columns of its state, and of its letter's class and `maybe`.
pub(in crate::outbox) fn parked(r: &Row<'_>, [state, class, maybe]: [usize; 3]) -> Result<Parked, rusqlite::Error> {
    if r.get::<_, i64>(state)? == 3 {
        return Ok(Parked::Held);
    }
    rejected(r, [class, maybe])
}

/// Why a row is a dead letter: by the columns of its letter's class and `maybe`.
pub(super) fn rejected(r: &Row<'_>, [class, maybe]: [usize; 2]) -> Result<Parked, rusqlite::Error> {
    let class = Class::parse(&words(r, class)?).unwrap_or(Class::Unresolvable);
    Ok(Parked::Rejected { class, maybe: r.get::<_, Option<bool>>(maybe)?.unwrap_or(true) })
}

fn need(r: &Row<'_>, bounds: Option<&Bounds>, now: Millis) -> Result<Need, rusqlite::Error> {
    let (lane, system, tx_type) = (words(r, 2)?, words(r, 3)?, words(r, 5)?);
    let subject = words(r, 6)?;
    let visibility = !Bounds::parks_in(bounds, &lane);
    let (parked, at, opened_at) = (parked(r, [7, 9, 10])?, r.get(8)?, r.get(17)?);
    let code = said(r, 11)?;
    let reason = said(r, 14)?.unwrap_or_else(|| HELD.to_owned());
    let desks = Bounds::desks(bounds);
    let category = desks.of_parked(parked, &tx_type, code.as_deref(), visibility);
    let acts = [Act::Retry, Act::Edit, Act::Repost, Act::Resolve, Act::Skip];
    Ok(Need {
        key: id_at(r, 0)?.unwrap_or_default().to_string(),
        seq: r.get(1)?,
        kind: words(r, 4)?,
        state: if parked == Parked::Held { "held" } else { "rejected" },
        opened_at,
        at,
        class: parked.class().to_owned(),
        whose: Whose::of(desks, category, now.since(Millis(opened_at))),
        sentence: sentence(parked, &tx_type, &subject, &system, &reason),
        action: category.helps(parked, code.as_deref().filter(|code| !desks.know(code))),
        may: acts.into_iter().filter(|act| decide(*act, parked, false).is_ok()).map(Act::name).collect(),
        asked: None,
        maybe_posted: matches!(parked, Parked::Rejected { maybe: true, .. }),
        code,
        status: r.get(12)?,
        answer: said(r, 13)?,
        order: r.get(15)?,
        lane_id: r.get(16)?,
        lane,
        system,
        tx_type,
        subject,
    })
}

/// How many rows of its subject wait behind it, and since when the oldest of them is recorded. Walks the lane's backlog.
///
/// # Errors
/// When the outbox can't be read.
pub fn behind(dir: &Path, need: &Need) -> Result<(i64, Option<i64>), StorageError> {
    let sql = "SELECT count(*), min(e.recorded_at) FROM pending p JOIN event e ON e.seq = p.seq
               WHERE p.lane = ? AND p.order8 = ? AND p.seq > ?";
    reading(dir, |db| db.query_row(sql, [need.lane_id, need.order, need.seq], |r| Ok((r.get(0)?, r.get(1)?))))
}

/// The audit: what persons did, the newest first; of one posting or subject, if one is named.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn audit(dir: &Path, of: Option<&str>, most: u32) -> Result<Vec<Deed>, StorageError> {
    let which = "?1 IS NULL OR posting = ?1 OR subject = ?1 ORDER BY id DESC LIMIT ?2";
    reading(dir, |db| deeds_where(db, which, params![of, most]))
}

/// What the command `request` has done, in order.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn requested(dir: &Path, request: &str) -> Result<Vec<Deed>, StorageError> {
    reading(dir, |db| deeds_where(db, "request = ? ORDER BY id", params![request]))
}

/// What persons did with a posting that needs one again, in order.
///
/// # Errors
/// When the outbox can't be read.
pub fn history(dir: &Path, need: &Need) -> Result<Vec<Deed>, StorageError> {
    reading(dir, |db| deeds(db, &need.lane, need.seq, &need.tx_type))
}

/// What persons did with one posting, in order, whatever its key was then.
pub(super) fn deeds(db: &Connection, lane: &str, seq: i64, tx_type: &str) -> Result<Vec<Deed>, rusqlite::Error> {
    deeds_where(db, "seq = ? AND lane = ? AND tx_type = ? ORDER BY id", params![seq, lane, tx_type])
}

fn deeds_where(db: &Connection, which: &str, bound: &[&dyn ToSql]) -> Result<Vec<Deed>, rusqlite::Error> {
    let sql = format!(
        "SELECT CAST(at AS INTEGER), actor, act, lane, subject, posting, reason, outcome, request, seq FROM audit WHERE {which}"
    );
    db.prepare_cached(&sql)?.query_map(bound, deed)?.collect()
}

fn deed(r: &Row<'_>) -> Result<Deed, rusqlite::Error> {
    Ok(Deed {
        at: r.get(0)?,
        actor: words(r, 1)?,
        act: words(r, 2)?,
        lane: words(r, 3)?,
        subject: words(r, 4)?,
        key: words(r, 5)?,
        reason: words(r, 6)?,
        outcome: words(r, 7)?,
        request: words(r, 8)?,
        seq: r.get(9)?,
    })
}

#[cfg(test)]
impl Need {
    /// One of lane `outbound` that was refused.
    pub(crate) fn example(seq: i64, subject: &str, may: &[&'static str]) -> Self {
        let text = str::to_owned;
        Self {
            key: Id(std::array::from_fn(|i| seq.to_be_bytes()[i % 8])).to_string(),
            seq,
            lane: text("outbound"),
            system: text("erp"),
            kind: text("scan.carton"),
            tx_type: text("scan.carton"),
            subject: text(subject),
            state: "rejected",
            opened_at: seq,
            at: seq,
            class: text("validation"),
            whose: Whose::of(&Desks::default(), Category::ShipmentBlocked, 0),
            sentence: text("erp refused it."),
            action: "mend it",
            may: may.to_vec(),
            asked: None,
            maybe_posted: false,
            code: None,
            status: None,
            answer: None,
            order: seq,
            lane_id: 1,
        }
    }
}
