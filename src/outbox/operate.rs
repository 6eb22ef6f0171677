//! What a person decides of postings that do not go on by themselves: checked, stored with its audit row in one commit, and
//! told to the lane.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::event::{Id, Millis, manual_event_id, posting_id, steers};
use crate::lane::{Act, Becomes, Change, Class, Edited, Parked, Row, RowKey, decide, edited};
use crate::outbox::attempts::id_at;
use crate::outbox::audit::{self, Deed};
use crate::outbox::capture::Route;
use crate::outbox::hold;
use crate::outbox::read::parked::parked;
use crate::outbox::read::{legible, words};

type Sql<T> = Result<T, rusqlite::Error>;

/// How long a first person's word waits for a second one's.
pub(super) const SECOND_WITHIN_MS: i64 = 24 * 3_600_000;

/// A person's command, for some postings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names the command: the same one again changes nothing.
    pub id: String,
    /// What is done.
    pub act: Act,
    /// The postings.
    pub keys: Vec<Named>,
    /// Why, in the person's words.
    pub reason: String,
    /// With [`Act::Resolve`]: the document at the target.
    #[serde(default)]
    pub reference: Option<String>,
    /// With [`Act::Edit`]: what is corrected.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// A posting that a person has named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its key.
    pub key: String,
    /// What the person was shown of it, and decides on.
    #[serde(default)]
    pub seen: Option<Seen>,
}

/// How a posting stood when it was shown: meanwhile it may have been retried and refused anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Since when it needs a person.
    pub at: Millis,
    /// As what it was refused, or `held`.
    pub class: String,
}

impl Order {
    /// Postings of one command.
    pub const MOST: usize = 1_000;

    /// Why it is refused, whatever its postings are.
    pub fn fault(&self) -> Option<String> {
        if let Some(why) = unfit(&self.id, &self.reason, self.reference.as_deref()) {
            return Some(why);
        }
        let n = self.keys.len();
        if n > Self::MOST {
            return Some(format!("{n} postings at once: at most {}", Self::MOST));
        }
        if self.act != Act::Resolve {
            return None;
        }
        if self.reference.as_deref().is_none_or(|reference| reference.trim().is_empty()) {
            return Some("a posting that is there has a document: give its number as the reference".to_owned());
        }
        (n > 1).then(|| format!("{n} postings and one reference: `resolve` each with the number of its own document"))
    }
}

/// Why the audit can't keep a command with these words: there are none, or they would forge a line where they are read.
pub(super) fn unfit(id: &str, reason: &str, reference: Option<&str>) -> Option<String> {
    if reason.trim().is_empty() {
        return Some("the reason is empty: say why, the audit keeps it".to_owned());
    }
    if id.is_empty() {
        return Some("the request's id is empty: leave it out, or name it".to_owned());
    }
    let words = [("id", id), ("reason", reason), ("reference", reference.unwrap_or_default())];
    let (name, _) = words.into_iter().find(|(_, words)| words.contains(steers))?;
    Some(format!("its {name} has a line end or another control character: write it on one line, without"))
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
    lane: i64,
    row: Row,
    parked: Parked,
    seen: Seen,
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
    Named { key, seen }: &Named,
    actor: &str,
    now: Millis,
) -> Sql<(Acted, Option<(usize, Freed)>)> {
    let told = |done, text: String| Acted { key: key.clone(), done, text };
    let Some(id) = Id::parse(key) else {
        return Ok((told(false, "that is no key of a posting".to_owned()), None));
    };
    let found = find(db, id)?;
    let lane_of = |found: &Found| routes.iter().position(|route| route.id == found.lane);
    let Some((lane, found)) = found.iter().find_map(|found| Some((lane_of(found)?, found))) else {
        return Ok((told(false, why_none(db, key, found.first())?), None));
    };
    if order.act == Act::Edit && order.changes.is_empty() {
        return Ok((told(false, "nothing of it is changed: name what is".to_owned()), None));
    }
    if seen.as_ref().is_some_and(|seen| *seen != found.seen) {
        let Seen { at, class } = &found.seen;
        return Ok((
            told(false, format!("it was parked anew since it was shown: now {class}, since {at}; look again")),
            None,
        ));
    }
    let asked = asked(db, key, now)?;
    let becomes = match decide(order.act, found.parked, asked.iter().any(|(who, _)| who != actor)) {
        Ok(Becomes::Asked) if !asked.is_empty() => {
            let (at, until) = (asked[0].1, Millis(asked[0].1.0 + SECOND_WITHIN_MS));
            let text = format!(
                "a second word of {actor}, who asked for it at {at}, does not count: another user's `repost` until {until} sends it"
            );
            return Ok((told(false, text), None));
        }
        Ok(Becomes::Ready) if routes[lane].config.replays_errors && found.parked != Parked::Held => Becomes::Revised,
        Ok(becomes) => becomes,
        Err(why) => return Ok((told(false, why), None)),
    };
    let route = &routes[lane];
    let corrected = if becomes == Becomes::Corrected {
        let id = manual_event_id(site, actor, &format!("{}/{key}", order.id));
        match correct(db, route, found, id, &order.changes, now)? {
            Ok(changes) => Some((id, changes)),
            Err(why) => return Ok((told(false, why), None)),
        }
    } else {
        None
    };
    let (outcome, freed) =
        apply(db, (site, route), found, becomes, corrected.as_ref(), order.reference.as_deref(), now)?;
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

const FIND: &str = "
    SELECT p.seq, p.tx, p.order8, p.size, p.state, p.rev, d.class, d.maybe, coalesce(c.id, e.id), t.text, e.subject,
           coalesce(c.body, e.body), p.lane, coalesce(d.at, e.recorded_at)
    FROM pending p INDEXED BY pending_key JOIN event e ON e.seq = p.seq JOIN name t ON t.id = p.tx
         LEFT JOIN correction c ON c.lane = p.lane AND c.seq = p.seq AND c.tx = p.tx
         LEFT JOIN letter d ON d.lane = p.lane AND d.seq = p.seq AND d.tx = p.tx
    WHERE p.state IN (2, 3) AND p.posting = ?";

/// The rows of that key that need a person: one, unless a lane that is no longer configured has it as well.
fn find(db: &Connection, posting: Id) -> Sql<Vec<Found>> {
    let mut statement = db.prepare_cached(FIND)?;
    let found = statement.query_map([posting.0], |r| {
        let stored = parked(r, [4, 6, 7])?;
        let ((subject, whole), (body, body_whole)) = (legible(r, 10)?, legible(r, 11)?);
        let event = id_at(r, 8)?;
        let damaged = || {
            let maybe = matches!(stored, Parked::Rejected { maybe: true, .. });
            Parked::Rejected { class: Class::Corrupt, maybe }
        };
        Ok(Found {
            lane: r.get(12)?,
            row: Row { key: RowKey { seq: r.get(0)?, tx: r.get(1)? }, order: r.get(2)?, size: r.get(3)?, held: false },
            parked: if whole && body_whole && event.is_some() { stored } else { damaged() },
            seen: Seen { at: Millis(r.get(13)?), class: stored.class().to_owned() },
            rev: r.get(5)?,
            event: event.unwrap_or_default(),
            tx_type: r.get(9)?,
            subject,
            body,
        })
    })?;
    found.collect()
}

/// Why a key names none that a person of this gateway can decide; `elsewhere`: the row in a lane that is not configured.
fn why_none(db: &Connection, key: &str, elsewhere: Option<&Found>) -> Sql<String> {
    if let Some(found) = elsewhere {
        let name: String = db.query_row("SELECT name FROM lane WHERE id = ?", [found.lane], |r| r.get(0))?;
        return Ok(format!("its lane {name} is not in the configuration: put it back, then decide"));
    }
    let told = |r: &rusqlite::Row<'_>| {
        let (actor, act, at, outcome): (_, _, i64, _) = (words(r, 0)?, words(r, 1)?, r.get(2)?, words(r, 3)?);
        Ok(format!(
            "no posting of this key needs a person any more: `{act}` by {actor} at {}: {outcome}; `floorgate trace {key}` tells what came of it",
            Millis(at)
        ))
    };
    let sql = "SELECT actor, act, CAST(at AS INTEGER), outcome FROM audit WHERE posting = ? ORDER BY id DESC LIMIT 1";
    let dealt_with = db.prepare_cached(sql)?.query_row([key], told).optional()?;
    Ok(dealt_with.unwrap_or_else(|| {
        format!("no posting of this key needs a person: it goes on by itself, or was posted; `floorgate trace {key}` tells which")
    }))
}

/// Who has asked for a new key, and when, not long ago; the first one first.
pub(super) fn asked(db: &Connection, key: &str, now: Millis) -> Sql<Vec<(String, Millis)>> {
    let sql =
        "SELECT actor, CAST(at AS INTEGER) FROM audit WHERE posting = ? AND act = 'repost' AND at > ? ORDER BY id";
    let mut statement = db.prepare_cached(sql)?;
    let asked =
        statement.query_map(params![key, now.0 - SECOND_WITHIN_MS], |r| Ok((words(r, 0)?, Millis(r.get(1)?))))?;
    asked.collect()
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
    let mut statement = db.prepare_cached(MAKE_IDLE)?;
    let idle = statement.query_map(params![route.id, row.seq, row.tx], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let idle: Vec<(i64, i64, u32)> = idle.collect::<Result<_, _>>()?;
    for (seq, _, rev) in &idle {
        let key = RowKey { seq: *seq, ..row };
        answer_letter(db, route.id, key)?;
        done(db, route.id, key, *rev, ("auto_resolved", None), now)?;
    }
    Ok((i64::try_from(idle.len()).unwrap_or(i64::MAX), idle.iter().map(|(_, size, _)| size).sum()))
}

const MAKE_IDLE: &str = "
    DELETE FROM pending INDEXED BY pending_parked WHERE lane = ?1 AND state IN (2, 3) AND state = 2 AND seq < ?2 AND tx = ?3
        AND order8 = (SELECT order8 FROM pending WHERE lane = ?1 AND seq = ?2 AND tx = ?3)
    RETURNING seq, size, rev";

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

/// Stores the waiting rows of these subjects as in line: behind what a person lets go nothing may go first after a restart,
/// however long it has waited. Walks the lane's waiting rows, once.
pub(super) fn line_up(db: &Connection, lane: i64, orders: &[i64]) -> Sql<()> {
    let orders = serde_json::Value::from(orders).to_string();
    db.prepare_cached(LINE_UP)?.execute(params![lane, orders])?;
    Ok(())
}

const LINE_UP: &str = "
    UPDATE pending INDEXED BY pending_exception
    SET state = 0, not_before = NULL, why = NULL, tries = NULL, since = NULL
    WHERE lane = ? AND state = 1 AND state <> 0 AND order8 IN (SELECT value FROM json_each(?))";

/// The first row of a subject that needs a person.
pub(super) fn first_parked(db: &Connection, lane: i64, order: i64) -> Sql<Option<RowKey>> {
    let key = |r: &rusqlite::Row<'_>| Ok(RowKey { seq: r.get(0)?, tx: r.get(1)? });
    db.prepare_cached(FIRST_PARKED)?.query_row([lane, order], key).optional()
}

const FIRST_PARKED: &str = "
    SELECT seq, tx FROM pending INDEXED BY pending_parked
    WHERE lane = ? AND state IN (2, 3) AND order8 = ? ORDER BY seq, tx LIMIT 1";

/// What is checked of a correction before it is sent.
pub(super) fn correction_sum(id: Id, body: &str) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&id.0);
    sum.update(body.as_bytes());
    i64::from(sum.finalize())
}

/// What stands before a new key that a posting is given, and behind what is done of a subject on hold.
const GIVEN: &str = "under the new key ";
const ONCE_RELEASED: &str = ", once its subject is released";

/// The new key that a posting was given, by what the audit says of it: at its end, where no word of a person stands.
pub(super) fn given(outcome: &str) -> Option<Id> {
    let (_, key) = outcome.strip_suffix(ONCE_RELEASED).unwrap_or(outcome).rsplit_once(GIVEN)?;
    Id::parse(key)
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
                (Becomes::Revised, ..) => format!("in line {GIVEN}{posting}"),
                (_, Some((_, changes)), _) => format!("corrected ({changes}): in line in its place, {GIVEN}{posting}"),
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
    if hold::keeps(db, site, route, row.order)? {
        return Ok((format!("{said}{ONCE_RELEASED}"), Some(Freed { row: *row, next: Some(RowKey::default()), ended })));
    }
    let next = first_parked(db, route.id, row.order)?;
    Ok((said, Some(Freed { row: *row, next, ended })))
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// The steps of SQLite's machine that each statement of a command takes beside so many rows that need a person.
    fn steps(exceptions: i64) -> Sql<Vec<i32>> {
        let db = crate::outbox::open::empty()?;
        db.execute_batch(&format!(
            "INSERT INTO lane(id, name, system) VALUES (1, 'a', 'erp'); INSERT INTO name(id, text) VALUES (1, 'scan');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {exceptions})
             INSERT INTO event(seq, epoch, pos, ordinal, id, kind, subject, occurred_at, quality, run, mono, recorded_at, map, body, sum)
             SELECT i, 1, i, 0, CAST(printf('%016d', i) AS BLOB), 1, 's' || i, 0, 'x', 1, 0, 0, 1, '{{}}', 0 FROM n;
             INSERT INTO pending(lane, seq, tx, order8, posting, size, state) SELECT 1, seq, 1, seq, id, 1, 2 + seq % 2 FROM event;
             UPDATE pending SET state = 1 WHERE seq = 1"
        ))?;
        let last = format!("{exceptions:016}").into_bytes();
        let mut taken = Vec::new();
        let mut run = |sql, bound: &[&dyn rusqlite::ToSql]| {
            let mut statement = db.prepare(sql)?;
            let mut rows = statement.query(bound)?;
            let mut n = 0;
            while rows.next()?.is_some() {
                n += 1;
            }
            drop(rows);
            taken.push(statement.get_status(StatementStatus::VmStep));
            Ok::<usize, rusqlite::Error>(n)
        };
        assert_eq!((run(FIND, &[&last])?, run(FIRST_PARKED, &[&1, &exceptions])?), (1, 1));
        assert_eq!((run(LINE_UP, &[&1, &"[1]"])?, db.changes()), (0, 1));
        assert_eq!(run(MAKE_IDLE, &[&1, &exceptions, &1])?, 0);
        Ok(taken)
    }

    #[test]
    fn a_command_takes_as_long_beside_ten_times_as_many_that_need_a_person() -> Sql<()> {
        let (few, many) = (steps(200)?, steps(2_000)?);
        let longer = |(few, many): (&i32, &i32)| *many > few + 20;
        assert!(!few.iter().zip(&many).any(longer), "{few:?} steps, and {many:?}");
        Ok(())
    }

    #[test]
    fn a_persons_act_does_not_walk_the_backlog() -> Sql<()> {
        let db = crate::outbox::open::empty()?;
        for (sql, place) in [
            (FIND, "pending_key (posting=?)"),
            (FIRST_PARKED, "pending_parked (lane=? AND order8=?)"),
            (LINE_UP, "pending_exception (lane=? AND state=?)"),
            (MAKE_IDLE, "pending_parked (lane=? AND order8=?"),
        ] {
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let plan: Vec<String> = statement.raw_query().mapped(|r| r.get(3)).collect::<Result<_, _>>()?;
            let is_walk = |step: &String| step.starts_with("SCAN") && !step.contains("json_each");
            assert!(plan[0].contains(place) && !plan.iter().any(is_walk), "{sql}: {plan:?}");
        }
        Ok(())
    }
}
