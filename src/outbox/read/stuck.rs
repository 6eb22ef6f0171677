//! The rows that do not go on by themselves, or not yet: dead letters, held rows, waiting rows.

use rusqlite::{Connection, Row};
use serde::Serialize;

use super::{HELD, all, legible, said, words};
use crate::event::Id;

/// A row that needs a person.
#[derive(Debug, Clone, Serialize)]
pub struct Letter {
    /// Lane id.
    pub lane: String,
    /// Commit sequence of the event.
    pub seq: i64,
    /// Kind of the event.
    pub kind: String,
    /// Its subject; parked until this is resolved.
    pub subject: String,
    /// Key of its posting.
    pub key: String,
    /// When it was rejected first.
    pub opened_at: i64,
    /// When it was rejected last.
    pub at: i64,
    /// Class of the rejection.
    pub class: String,
    /// An attempt may have had effect.
    pub maybe_posted: bool,
    /// Why, in the target's words or ours.
    pub reason: String,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Its own part of the answer, or the beginning of all of it where it has none.
    pub answer: Option<String>,
}

/// A row that is not sent until a person decides.
#[derive(Debug, Clone, Serialize)]
pub struct HeldRow {
    /// Lane id.
    pub lane: String,
    /// Commit sequence of the event.
    pub seq: i64,
    /// Kind of the event.
    pub kind: String,
    /// Its subject; parked until this is resolved.
    pub subject: String,
    /// Key of its posting.
    pub key: String,
    /// When it was captured, and held.
    pub at: i64,
    /// Why.
    pub reason: String,
}

/// A row that had no effect and goes again. The later ones of its subject wait behind it.
#[derive(Debug, Clone, Serialize)]
pub struct WaitingRow {
    /// Lane id.
    pub lane: String,
    /// Commit sequence of the event.
    pub seq: i64,
    /// Kind of the event.
    pub kind: String,
    /// Its subject.
    pub subject: String,
    /// Key of its posting.
    pub key: String,
    /// The class of the last answer, and why, in the target's words.
    pub reason: String,
    /// Tries that had no effect.
    pub tries: i64,
    /// When the first of them was.
    pub since: i64,
    /// It goes again then, or is on its way when that is over.
    pub next_at: i64,
}

/// A delivered row that may be there twice: its target had it before, and not by us.
#[derive(Debug, Clone, Serialize)]
pub struct SuspectRow {
    /// Lane id.
    pub lane: String,
    /// Commit sequence of the event.
    pub seq: i64,
    /// Kind of the event.
    pub kind: String,
    /// Its subject.
    pub subject: String,
    /// When the target said so.
    pub at: i64,
    /// The target's reference.
    pub reference: Option<String>,
    /// What the target said.
    pub reason: String,
}

pub(super) fn suspect_rows(db: &Connection, most: u32) -> Result<Vec<SuspectRow>, rusqlite::Error> {
    let sql = format!(
        "SELECT l.name, d.seq, k.text, e.subject, d.at, d.ref, d.suspect
         FROM done d JOIN lane l ON l.id = d.lane JOIN event e ON e.seq = d.seq JOIN name k ON k.id = e.kind
         WHERE d.suspect IS NOT NULL ORDER BY d.at DESC, d.seq DESC LIMIT {most}"
    );
    all(db, &sql, |r| {
        Ok(SuspectRow {
            lane: words(r, 0)?,
            seq: r.get(1)?,
            kind: words(r, 2)?,
            subject: legible(r, 3)?.0,
            at: r.get(4)?,
            reference: said(r, 5)?,
            reason: words(r, 6)?,
        })
    })
}

pub(super) fn letters(db: &Connection, most: u32) -> Result<Vec<Letter>, rusqlite::Error> {
    let sql = format!(
        "SELECT l.name, d.seq, k.text, e.subject, p.posting, d.at, d.class, d.maybe, d.reason, d.status, d.answer,
                coalesce(p.opened, d.at)
         FROM letter d JOIN lane l ON l.id = d.lane JOIN event e ON e.seq = d.seq JOIN name k ON k.id = e.kind
              JOIN pending p ON p.lane = d.lane AND p.seq = d.seq AND p.tx = d.tx
         ORDER BY 12, d.seq LIMIT {most}"
    );
    all(db, &sql, |r| {
        Ok(Letter {
            lane: words(r, 0)?,
            seq: r.get(1)?,
            kind: words(r, 2)?,
            subject: legible(r, 3)?.0,
            key: key(r, 4)?,
            at: r.get(5)?,
            opened_at: r.get(11)?,
            class: words(r, 6)?,
            maybe_posted: r.get(7)?,
            reason: words(r, 8)?,
            status: r.get(9)?,
            answer: said(r, 10)?,
        })
    })
}

pub(super) fn held_rows(db: &Connection, most: u32) -> Result<Vec<HeldRow>, rusqlite::Error> {
    let sql = format!(
        "{} WHERE p.state = 3 AND p.state <> 0 ORDER BY p.seq LIMIT {most}",
        of_pending("e.recorded_at, p.why")
    );
    all(db, &sql, |r| {
        let why = said(r, 6)?;
        Ok(HeldRow {
            lane: words(r, 0)?,
            seq: r.get(1)?,
            kind: words(r, 2)?,
            subject: legible(r, 3)?.0,
            key: key(r, 4)?,
            at: r.get(5)?,
            reason: why.unwrap_or_else(|| HELD.to_owned()),
        })
    })
}

pub(super) fn waiting_rows(db: &Connection, most: u32) -> Result<Vec<WaitingRow>, rusqlite::Error> {
    let sql = format!(
        "{} WHERE p.state = 1 AND p.state <> 0 ORDER BY p.since, p.seq LIMIT {most}",
        of_pending("p.why, p.tries, p.since, p.not_before")
    );
    all(db, &sql, |r| {
        Ok(WaitingRow {
            lane: words(r, 0)?,
            seq: r.get(1)?,
            kind: words(r, 2)?,
            subject: legible(r, 3)?.0,
            key: key(r, 4)?,
            reason: words(r, 5)?,
            tries: r.get::<_, Option<i64>>(6)?.unwrap_or(0),
            since: r.get::<_, Option<i64>>(7)?.unwrap_or(0),
            next_at: r.get::<_, Option<i64>>(8)?.unwrap_or(0),
        })
    })
}

/// Lane, sequence, kind, subject and key of a row that is not at its end, and `more` of it.
fn of_pending(more: &str) -> String {
    format!(
        "SELECT l.name, p.seq, k.text, e.subject, p.posting, {more}
         FROM lane l JOIN pending p ON p.lane = l.id JOIN event e ON e.seq = p.seq JOIN name k ON k.id = e.kind"
    )
}

fn key(row: &Row<'_>, column: usize) -> Result<String, rusqlite::Error> {
    Ok(Id(row.get(column)?).to_string())
}
