//! What a person decides of postings that do not go on by themselves: checked, stored with its audit row in one commit, and
//! told to the lane.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::event::{Id, Millis, manual_event_id, posting_id};
use crate::lane::{Act, Becomes, Change, Class, Edited, Parked, Row, RowKey, decide, edited};
use crate::outbox::audit::{self, Deed};
use crate::outbox::capture::Route;
use crate::outbox::hold;
use crate::outbox::read::legible;

type Sql<T> = Result<T, rusqlite::Error>;

/// How long a first person's word waits for a second one's.
const SECOND_WITHIN_MS: i64 = 24 * 3_600_000;

/// A person's command, for some postings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names the command: the same one again changes nothing.
    pub id: String,
    /// What is done.
    pub act: Act,
    /// Keys of the postings.
    pub keys: Vec<String>,
    /// Why, in the person's words.
    pub reason: String,
    /// With [`Act::Resolve`]: the document at the target.
    #[serde(default)]
    pub reference: Option<String>,
    /// With [`Act::Edit`]: what is corrected.
    #[serde(default)]
    pub changes: Vec<Change>,
}

impl Order {
    /// Postings of one command.
    pub const MOST: usize = 1_000;
}

/// What came of it for one posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Key of the posting.
    pub key: String,
    /// It was done, now or when the same request came before.
    pub done: bool,
    /// What became of it, or why not.
    pub text: String,
}

/// A row that a person was found for, as stored.
struct Found {
    row: Row,
    parked: Parked,
    rev: u32,
    event: Id,
    tx_type: String,
    subject: String,
    body: String,
}

/// What the lane and its counters have to hear.
pub(super) struct Freed {
    pub(super) row: Row,
    pub(super) next: Option<RowKey>,
    /// Bytes of a row that has come to its end, and whether it was taken out.
    pub(super) ended: Option<(i64, bool)>,
}

/// Carries out the command for one posting, within the caller's transaction.
pub(super) fn act(
    db: &Connection,
    site: &str,
    routes: &[Route],
    order: &Order,
    key: &str,
    actor: &str,
    now: Millis,
) -> Sql<(Acted, Option<(usize, Freed)>)> {
    let told = |done, text: String| Acted { key: key.to_owned(), done, text };
    let Some(id) = Id::parse(key) else {
        return Ok((told(false, "that is no key of a posting".to_owned()), None));
    };
    let in_lane = |(lane, route)| find(db, route, id).map(|row| row.map(|row| (lane, row))).transpose();
    let Some((lane, found)) = routes.iter().enumerate().find_map(in_lane).transpose()? else {
        let text = "no posting of this key needs a person: it goes on by itself, was dealt with, or its lane is not configured";
        return Ok((told(false, text.to_owned()), None));
    };
    if order.act == Act::Edit && order.changes.is_empty() {
        return Ok((told(false, "nothing of it is changed: name what is".to_owned()), None));
    }
    let becomes = match decide(order.act, found.parked, seconded(db, key, actor, now)?) {
        Ok(Becomes::Ready) if routes[lane].config.replays_errors && found.parked != Parked::Held => Becomes::Revised,
        Ok(becomes) => becomes,
        Err(why) => return Ok((told(false, why), None)),
    };
    let route = &routes[lane];
    let corrected = if becomes == Becomes::Corrected {
        let id = manual_event_id(site, actor, &format!("{}/{key}", order.id));
        match correct(db, route, &found, id, &order.changes, now)? {
            Ok(changes) => Some((id, changes)),
            Err(why) => return Ok((told(false, why), None)),
        }
    } else {
        None
    };
    let (outcome, freed) =
        apply(db, (site, route), &found, becomes, corrected.as_ref(), order.reference.as_deref(), now)?;
    let deed = Deed {
        request: &order.id,
        actor,
        act: order.act.name(),
        lane: &route.config.id,
        seq: found.row.key.seq,
        tx_type: &found.tx_type,
        subject: &found.subject,
        posting: key,
        reason: &order.reason,
        outcome: &outcome,
    };
    audit::append(db, &deed, now)?;
    Ok((told(true, outcome), freed.map(|freed| (lane, freed))))
}

fn find(db: &Connection, route: &Route, posting: Id) -> Sql<Option<Found>> {
    let mut statement = db.prepare_cached(
        "SELECT p.seq, p.tx, p.order8, p.size, p.state, p.rev, d.class, d.maybe, coalesce(c.id, e.id), t.text, e.subject,
                coalesce(c.body, e.body)
         FROM pending p INDEXED BY pending_exception JOIN event e ON e.seq = p.seq JOIN name t ON t.id = p.tx
              LEFT JOIN correction c ON c.lane = p.lane AND c.seq = p.seq AND c.tx = p.tx
              LEFT JOIN letter d ON d.lane = p.lane AND d.seq = p.seq AND d.tx = p.tx
         WHERE p.lane = ? AND p.state IN (2, 3) AND p.state <> 0 AND p.posting = ?",
    )?;
    let found = statement.query_row(params![route.id, posting.0], |r| {
        let held = r.get::<_, i64>(4)? == 3;
        let class = r.get::<_, Option<String>>(6)?.and_then(|name| Class::parse(&name)).unwrap_or(Class::Unresolvable);
        let maybe = r.get::<_, Option<bool>>(7)?.unwrap_or(true);
        let ((subject, whole), (body, body_whole)) = (legible(r, 10)?, legible(r, 11)?);
        let parked = match (held, whole && body_whole) {
            (true, true) => Parked::Held,
            (false, true) => Parked::Rejected { class, maybe },
            (held, false) => Parked::Rejected { class: Class::Corrupt, maybe: maybe && !held },
        };
        Ok(Found {
            row: Row { key: RowKey { seq: r.get(0)?, tx: r.get(1)? }, order: r.get(2)?, size: r.get(3)?, held: false },
            parked,
            rev: r.get(5)?,
            event: Id(r.get(8)?),
            tx_type: r.get(9)?,
            subject,
            body,
        })
    });
    found.optional()
}

/// Another person has asked for the same, not long ago.
fn seconded(db: &Connection, key: &str, actor: &str, now: Millis) -> Sql<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM audit WHERE posting = ? AND act = 'repost' AND actor <> ? AND at > ?)";
    db.prepare_cached(sql)?.query_row(params![key, actor, now.0 - SECOND_WITHIN_MS], |r| r.get(0))
}

/// Stores the corrected content of the row under `id` and says what was changed, or why it can't be.
fn correct(
    db: &Connection,
    route: &Route,
    found: &Found,
    id: Id,
    changes: &[Change],
    now: Millis,
) -> Sql<Result<String, String>> {
    let Found { row, event, subject, body, .. } = found;
    let Edited { body, changes } = match edited(body, subject, &event.to_string(), changes) {
        Ok(edited) => edited,
        Err(why) => return Ok(Err(why)),
    };
    db.execute(
        "INSERT OR REPLACE INTO correction(lane, seq, tx, id, at, body, sum) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![route.id, row.key.seq, row.key.tx, id.0, now.0, body, correction_sum(id, &body)],
    )?;
    Ok(Ok(changes))
}

/// In a lane that parks nothing a posting makes the rejected ones before it idle, of its subject and type: the display that it
/// is for has the later state. Returns how many, and their bytes.
pub(super) fn auto_resolve(db: &Connection, route: &Route, row: RowKey, now: Millis) -> Sql<(i64, i64)> {
    if route.config.parks() {
        return Ok((0, 0));
    }
    let sql = "DELETE FROM pending INDEXED BY pending_rejected WHERE lane = ?1 AND state = 2 AND seq < ?2 AND tx = ?3
                   AND order8 = (SELECT order8 FROM pending WHERE lane = ?1 AND seq = ?2 AND tx = ?3)
               RETURNING seq, size, rev";
    let mut statement = db.prepare_cached(sql)?;
    let idle = statement.query_map(params![route.id, row.seq, row.tx], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let idle: Vec<(i64, i64, u32)> = idle.collect::<Result<_, _>>()?;
    for (seq, _, rev) in &idle {
        let key = RowKey { seq: *seq, ..row };
        answer_letter(db, route.id, key)?;
        done(db, route.id, key, *rev, ("auto_resolved", None), now)?;
    }
    Ok((i64::try_from(idle.len()).unwrap_or(i64::MAX), idle.iter().map(|(_, size, _)| size).sum()))
}

/// A row has come to its end without an attempt.
fn done(
    db: &Connection,
    lane: i64,
    key: RowKey,
    rev: u32,
    (how, reference): (&str, Option<&str>),
    now: Millis,
) -> Sql<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO done(seq, lane, tx, at, batch, attempt, how, ref, rev) VALUES (?, ?, ?, ?, 0, 0, ?, ?, ?)",
    )?
    .execute(params![key.seq, lane, key.tx, now.0, how, reference, rev])?;
    Ok(())
}

/// The row no longer needs a person.
fn answer_letter(db: &Connection, lane: i64, key: RowKey) -> Sql<()> {
    db.prepare_cached("DELETE FROM letter WHERE lane = ? AND seq = ? AND tx = ?")?.execute([lane, key.seq, key.tx])?;
    Ok(())
}

/// Stores the waiting rows of a subject as in line: behind what a person lets go nothing may go first after a restart, however
/// long it has waited.
pub(super) fn line_up(db: &Connection, lane: i64, order: i64) -> Sql<()> {
    db.prepare_cached(LINE_UP)?.execute([lane, order])?;
    Ok(())
}

const LINE_UP: &str = "UPDATE pending INDEXED BY pending_exception
    SET state = 0, not_before = NULL, why = NULL, tries = NULL, since = NULL
    WHERE lane = ? AND state = 1 AND state <> 0 AND order8 = ?";

/// The first row of a subject that needs a person.
pub(super) fn first_parked(db: &Connection, lane: i64, order: i64) -> Sql<Option<RowKey>> {
    let sql = "SELECT seq, tx FROM pending INDEXED BY pending_exception
               WHERE lane = ? AND state IN (2, 3) AND state <> 0 AND order8 = ? ORDER BY seq, tx LIMIT 1";
    let key = |r: &rusqlite::Row<'_>| Ok(RowKey { seq: r.get(0)?, tx: r.get(1)? });
    db.prepare_cached(sql)?.query_row([lane, order], key).optional()
}

/// What is checked of a correction before it is sent.
pub(super) fn correction_sum(id: Id, body: &str) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&id.0);
    sum.update(body.as_bytes());
    i64::from(sum.finalize())
}

/// Stores what becomes of the row; says it in a sentence.
fn apply(
    db: &Connection,
    (site, route): (&str, &Route),
    found: &Found,
    becomes: Becomes,
    corrected: Option<&(Id, String)>,
    reference: Option<&str>,
    now: Millis,
) -> Sql<(String, Option<Freed>)> {
    let Found { row, rev, event, tx_type, .. } = found;
    let mut ended = None;
    let said = match becomes {
        Becomes::Asked => {
            let text = "asked for a new key: it is sent when another person says the same within a day";
            return Ok((text.to_owned(), None));
        }
        Becomes::Ready | Becomes::Revised | Becomes::Corrected => {
            let rev = if corrected.is_some() { 0 } else { rev + u32::from(becomes == Becomes::Revised) };
            let posting = posting_id(corrected.map_or(*event, |(id, _)| *id), &route.config.system, tx_type, rev);
            db.prepare_cached(
                "UPDATE pending SET state = 0, not_before = NULL, why = NULL, tries = NULL, since = NULL, rev = ?, posting = ?
                 WHERE lane = ? AND seq = ? AND tx = ?",
            )?
            .execute(params![rev, posting.0, route.id, row.key.seq, row.key.tx])?;
            match (becomes, corrected, found.parked) {
                (Becomes::Revised, ..) => format!("in line under the new key {posting}"),
                (_, Some((_, changes)), _) => {
                    format!("corrected ({changes}): in line in its place, under the new key {posting}")
                }
                (.., Parked::Held) => "released: in line".to_owned(),
                _ => "in line again under its key".to_owned(),
            }
        }
        Becomes::Delivered | Becomes::Skipped => {
            let skipped = becomes == Becomes::Skipped;
            let size: i64 = db
                .prepare_cached("DELETE FROM pending WHERE lane = ? AND seq = ? AND tx = ? RETURNING size")?
                .query_row([route.id, row.key.seq, row.key.tx], |r| r.get(0))?;
            ended = Some((size, skipped));
            let how = if skipped { "skipped" } else { "manual" };
            done(db, route.id, row.key, *rev, (how, reference), now)?;
            match (skipped, reference) {
                (true, _) => "taken out: it will not be posted".to_owned(),
                (false, Some(reference)) => format!("booked as {reference}, says a person"),
                (false, None) => "booked, says a person".to_owned(),
            }
        }
    };
    answer_letter(db, route.id, row.key)?;
    line_up(db, route.id, row.order)?;
    if hold::keeps(db, site, route, row.order)? {
        return Ok((
            format!("{said}, once its subject is released"),
            Some(Freed { row: *row, next: Some(RowKey::default()), ended }),
        ));
    }
    let next = first_parked(db, route.id, row.order)?;
    Ok((said, Some(Freed { row: *row, next, ended })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_act_does_not_walk_the_backlog() -> Sql<()> {
        let db = crate::outbox::open::empty()?;
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {LINE_UP}"))?;
        let plan: Vec<String> = statement.query_map([1, 2], |r| r.get(3))?.collect::<Result<_, _>>()?;
        assert!(plan.iter().all(|step| step.contains("pending_exception (lane=? AND state=?)")), "{plan:?}");
        Ok(())
    }
}
