//! What the target of a lane said last, and since when it keeps the lane from going on.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::{said, words};
use crate::lane::{Class, Outcome, advice};
use crate::outbox::attempts::{OfClass, UNHEARD};

/// Classes of answers that are told elsewhere: their rows are at their end, dead letters, or asked for.
pub(super) const TOLD_ELSEWHERE: [&str; 5] = ["delivered", "duplicate", "accepted", "validation", "key_clash"];

/// The last attempt of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LastAnswer {
    /// When it ended.
    pub at: i64,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The worst class of its rows: `delivered` and `duplicate` are good.
    pub class: String,
    /// The beginning of the answer, when it was not all good.
    pub excerpt: Option<String>,
    /// What it means, in one sentence; `None` where it was good, or an older version wrote it.
    pub said: Option<String>,
    /// When the first of the attempts came to nothing after which none was good; `None` where the last one speaks of single
    /// items.
    pub since: Option<i64>,
    /// When the lane goes on, as far as it knew then.
    pub again: Option<i64>,
    /// What a person does about it, where it speaks of the target and not of rows.
    pub help: Option<&'static str>,
    /// Number of the first posting that was answered so, where an answer came.
    pub seq: Option<i64>,
}

impl LastAnswer {
    /// It keeps a lane from going on.
    pub(super) fn keeps(&self) -> bool {
        !TOLD_ELSEWHERE.contains(&self.class.as_str())
    }
}

/// The last attempt of a lane, whose last good answer came at `good_at`; `posts`: its target has posted some of it.
pub(super) fn of(
    db: &Connection,
    lane: i64,
    good_at: Option<i64>,
    posts: bool,
) -> Result<Option<LastAnswer>, rusqlite::Error> {
    let sql = "SELECT at, status, class, excerpt, again, told, rows, whole FROM attempt
               WHERE lane = ? AND class <> ? ORDER BY id DESC LIMIT 1";
    let bad = db.query_row(sql, params![lane, UNHEARD], |r| {
        let (status, class, rows): (Option<u16>, String, i64) = (r.get(1)?, words(r, 2)?, r.get(6)?);
        let told = r.get_ref(5)?.as_blob_or_null()?.and_then(|told| OfClass::of(told, &class));
        let seq = told.as_ref().filter(|_| status.is_some()).map(|told| told.first.seq);
        let odd = told
            .as_ref()
            .and_then(|told| told.words.as_ref())
            .is_some_and(|words| words.starts_with(Outcome::ODD_STATUS));
        let whole = r.get::<_, Option<bool>>(7)?.unwrap_or_else(|| told.as_ref().is_none_or(|told| told.rows == rows));
        // An odd one of a target that has posted others is about the item.
        let of_items = !whole || (odd && rows == 1 && posts);
        let excerpt = said(r, 3)?;
        let said = told.and_then(|OfClass { words, rows: n, told, .. }| match (words?, rows - told) {
            (words, _) if whole => Some(words),
            (words, _) if rows == 1 => Some(format!("its one item: {words}")),
            (words, _) if n == rows => Some(format!("all of {rows} items: {words}")),
            (words, 0) => Some(format!("{n} of {rows} items: {words}")),
            (words, 1) => Some(format!("{n} of {rows} items, 1 is booked: {words}")),
            (words, booked) => Some(format!("{n} of {rows} items, {booked} are booked: {words}")),
        });
        let words = said.as_deref().unwrap_or_default();
        let help = Class::parse(&class).and_then(|class| advice(class, status, words)).filter(|_| !of_items);
        let (at, again) = (r.get(0)?, r.get(4)?);
        Ok((LastAnswer { at, status, help, said, class, excerpt, since: None, again, seq }, of_items))
    });
    let good = good_at.map(|at| LastAnswer { at, class: Class::Delivered.name().to_owned(), ..LastAnswer::default() });
    let newer = |(bad, _): &(LastAnswer, bool)| good_at.is_none_or(|good| good < bad.at);
    let Some((mut bad, of_items)) = bad.optional()?.filter(newer) else { return Ok(good) };
    if bad.keeps() && !of_items {
        let elsewhere = TOLD_ELSEWHERE.join("', '");
        let sql = format!(
            "SELECT min(at) FROM attempt WHERE lane = ?1 AND at > ?2 AND class <> ?3 AND id > coalesce(
                 (SELECT max(id) FROM attempt WHERE lane = ?1 AND (class IN ('{elsewhere}') OR whole = 0)), 0)"
        );
        bad.since = db.query_row(&sql, params![lane, good_at.unwrap_or(-1), UNHEARD], |r| r.get(0))?;
    }
    Ok(Some(bad))
}
