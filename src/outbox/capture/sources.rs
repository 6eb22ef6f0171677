//! Sources and their epochs, cached between commits.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Capture, Epoch, MAX_SOURCES, Source, Sql};
use crate::outbox::LastSeen;

impl Capture {
    /// The source's id; `None`: there are too many already.
    pub(super) fn source(&mut self, db: &Connection, device: &Arc<str>) -> Sql<Option<i64>> {
        if let Some(source) = self.sources.get(device) {
            return Ok(Some(source.id));
        }
        let found: Option<i64> = db
            .prepare_cached("SELECT id FROM source WHERE name = ?")?
            .query_row([&**device], |r| r.get(0))
            .optional()?;
        let id = if let Some(found) = found {
            found
        } else {
            let count: i64 = db.query_row("SELECT count(*) FROM source", [], |r| r.get(0))?;
            if usize::try_from(count).unwrap_or(usize::MAX) >= MAX_SOURCES {
                return Ok(None);
            }
            db.execute("INSERT INTO source(name) VALUES (?)", [&**device])?;
            db.last_insert_rowid()
        };
        self.sources.insert(device.clone(), Source { id, present: HashMap::new() });
        Ok(Some(id))
    }

    /// The source's latest epoch of that kind.
    pub(super) fn present(
        &mut self,
        db: &Connection,
        source: i64,
        device: &Arc<str>,
        kind: char,
    ) -> Sql<Option<Epoch>> {
        if let Some(present) = self.sources.get(device).and_then(|s| s.present.get(&kind)) {
            return Ok(Some(present.clone()));
        }
        let found = load_epoch(
            db,
            "source = ? AND text GLOB ? ORDER BY id DESC LIMIT 1",
            params![source, format!("{kind}:*")],
        )?;
        if let (Some(found), Some(source)) = (&found, self.sources.get_mut(device)) {
            source.present.insert(kind, found.clone());
        }
        Ok(found)
    }

    /// The source's epoch of that name, made when it is new.
    pub(super) fn epoch(&mut self, db: &Connection, source: i64, device: &Arc<str>, text: &str) -> Sql<Epoch> {
        let present = self.present(db, source, device, kind_of(text))?;
        if let Some(present) = present.filter(|e| &*e.text == text) {
            return Ok(present);
        }
        match load_epoch(db, "source = ? AND text = ?", params![source, text])? {
            Some(epoch) => Ok(epoch),
            None => new_epoch(db, source, text),
        }
    }

    /// A new epoch that the gateway counts: `g:` and `c:` with the incarnation and a number.
    pub(super) fn gateway_epoch(&mut self, db: &Connection, source: i64, kind: char) -> Sql<Epoch> {
        let n: i64 = db.query_row("SELECT 1 + coalesce(max(id), 0) FROM epoch", [], |r| r.get(0))?;
        new_epoch(db, source, &format!("{kind}:{}:{n}", self.incarnation))
    }

    /// Puts a moved epoch back into the cache, unless a later one of its kind is there: then it was a straggler from before a
    /// restart.
    pub(super) fn keep_epoch(&mut self, device: &Arc<str>, epoch: Epoch) {
        let Some(source) = self.sources.get_mut(device) else { return };
        let kind = kind_of(&epoch.text);
        if source.present.get(&kind).is_none_or(|present| present.id <= epoch.id) {
            source.present.insert(kind, epoch);
        }
    }

    /// Where the device stood at its last commit.
    pub(in crate::outbox) fn last_seen(&mut self, db: &Connection, device: &Arc<str>) -> Sql<Option<LastSeen>> {
        if !self.sources.contains_key(device) {
            let known: Option<i64> =
                db.query_row("SELECT id FROM source WHERE name = ?", [&**device], |r| r.get(0)).optional()?;
            if known.is_none() {
                return Ok(None);
            }
            self.source(db, device)?;
        }
        let source = self.sources.get(device).map_or(0, |s| s.id);
        let (own, ours) = (self.present(db, source, device, 'd')?, self.present(db, source, device, 'g')?);
        let latest = [own, ours].into_iter().flatten().max_by_key(|epoch| epoch.id);
        Ok(latest.and_then(|e| Some(LastSeen { epoch: e.text.to_string(), position: e.last? })))
    }
}

fn load_epoch(db: &Connection, which: &str, keys: &[&dyn rusqlite::ToSql]) -> Sql<Option<Epoch>> {
    let sql = format!(
        "SELECT id, text, nullif(max(floor, left_out, coalesce((SELECT max(pos) FROM event WHERE event.epoch = epoch.id), -1)),
                                 -1), floor FROM epoch WHERE {which}"
    );
    db.prepare_cached(&sql)?
        .query_row(keys, |r| {
            let text: String = r.get(1)?;
            Ok(Epoch { id: r.get(0)?, text: text.into(), last: r.get(2)?, floor: r.get(3)? })
        })
        .optional()
}

fn new_epoch(db: &Connection, source: i64, text: &str) -> Sql<Epoch> {
    db.execute("INSERT INTO epoch(source, text) VALUES (?, ?)", params![source, text])?;
    Ok(Epoch { id: db.last_insert_rowid(), text: text.into(), last: None, floor: -1 })
}

/// `d`, `g`, `m`, `o` or `c`: what an epoch's text begins with.
fn kind_of(text: &str) -> char {
    text.chars().next().unwrap_or('c')
}
