//! The audit: a row for each thing that a person did, each with a hash over itself and the row before.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::event::{Millis, content_hash};
use crate::outbox::read::words;

type Sql<T> = Result<T, rusqlite::Error>;

/// A row to write.
pub(super) struct Deed<'a> {
    /// Names the command.
    pub(super) request: &'a str,
    pub(super) actor: &'a str,
    pub(super) act: &'a str,
    /// The lane, where it is about one.
    pub(super) lane: &'a str,
    /// The event, where it is about one; else 0.
    pub(super) seq: i64,
    pub(super) tx_type: &'a str,
    pub(super) subject: &'a str,
    /// Key of the posting, or what else it is about.
    pub(super) posting: &'a str,
    pub(super) reason: &'a str,
    pub(super) outcome: &'a str,
}

/// Who gave the command `request`, and what it was, when it came before.
pub(super) fn command(db: &Connection, request: &str) -> Sql<Option<(String, String)>> {
    let sql = "SELECT actor, act FROM audit WHERE request = ? LIMIT 1";
    db.prepare_cached(sql)?.query_row([request], |r| Ok((words(r, 0)?, words(r, 1)?))).optional()
}

/// What came of the command for `posting` when it came `before`; or why it can't be carried out under its id: it names another
/// command, or the same one without this posting. `None`: it is new.
pub(super) fn repeated(
    db: &Connection,
    before: Option<&(String, String)>,
    (request, actor, act): (&str, &str, &str),
    posting: &str,
) -> Sql<Option<Result<String, String>>> {
    let sql = "SELECT outcome FROM audit WHERE request = ? AND posting = ?";
    let outcome = db.prepare_cached(sql)?.query_row([request, posting], |r| words(r, 0)).optional()?;
    Ok(match before {
        None => outcome.map(Ok),
        Some((who, what)) => Some(outcome.filter(|_| (who.as_str(), what.as_str()) == (actor, act)).ok_or_else(|| {
            format!("nothing is done: the id {request} names a `{what}` by {who} that was carried out before; give this an id of its own")
        })),
    })
}

/// Writes a row behind the last one, and keeps its hash beside them.
pub(super) fn append(db: &Connection, deed: &Deed<'_>, now: Millis) -> Sql<()> {
    let (rows, before) = kept(db)?;
    let (at, seq) = (now.0.to_string(), deed.seq.to_string());
    let Deed { request, actor, act, lane, tx_type, subject, posting, reason, outcome, .. } = *deed;
    let fields = [request, &at, actor, act, lane, &seq, tx_type, subject, posting, reason, outcome];
    let hash = chained(&before, &fields);
    db.prepare_cached(
        "INSERT INTO audit(request, at, actor, act, lane, seq, tx_type, subject, posting, reason, outcome, hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params_from_iter(fields.iter().chain(&[hash.as_str()])))?;
    db.prepare_cached("INSERT OR REPLACE INTO meta(k, v) VALUES ('audit_rows', ?), ('audit_head', ?)")?
        .execute(params![rows + 1, hash])?;
    Ok(())
}

/// How many rows were written, and the hash of the last of them: kept apart from the rows, so that the next one does not fit behind
/// another, and a missing end shows.
pub(super) fn kept(db: &Connection) -> Sql<(i64, String)> {
    let sql = "SELECT CAST(coalesce((SELECT v FROM meta WHERE k = 'audit_rows'), 0) AS INTEGER),
                      CAST(coalesce((SELECT v FROM meta WHERE k = 'audit_head'), '') AS TEXT)";
    // What was damaged is no reason to stop: it shows.
    db.prepare_cached(sql)?.query_row([], |r| Ok((r.get(0)?, words(r, 1)?)))
}

/// The hash of an audit row behind one with the hash `before`.
pub(super) fn chained(before: &str, fields: &[&str; 11]) -> String {
    let mut all = vec![before];
    all.extend(fields);
    content_hash(&all)
}
