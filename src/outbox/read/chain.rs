//! Whether the audit is as it was written: row by row, and up to its end.
//!
//! The hashes and their end lie in the same file: whoever can write it can make all of them anew. That shows by a head that was
//! noted elsewhere, and by nothing else.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;

use super::legible;
use crate::outbox::StorageError;
use crate::outbox::audit::{chained, kept};
use crate::outbox::open::reading;

/// An audit that is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// How many rows it has.
    pub rows: i64,
    /// The hash of the last of them, which is over all of them; empty where there is none.
    pub head: String,
    /// The number of the row with the head that was noted, where one was asked for.
    pub noted: Option<i64>,
}

/// The first thing that is wrong with an audit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A row.
    #[error("row {row} of the audit ({deed}) is not as it was written, or one before it is gone")]
    Changed {
        /// Its number.
        row: i64,
        /// What it says.
        deed: String,
    },
    /// A row that is not there.
    #[error("row {0} of the audit is gone")]
    Gone(i64),
    /// All from a row on.
    #[error("row {row} of the audit is gone{}: {written} were written", if row < written { ", and all behind it" } else { "" })]
    CutOff {
        /// The first that is not there.
        row: i64,
        /// How many were written.
        written: i64,
    },
    /// A row behind the last one.
    #[error("row {row} of the audit is not the gateway's: {} were written", row - 1)]
    Added {
        /// Its number.
        row: i64,
    },
    /// The audit is as it was written, and another one than was noted of.
    #[error(
        "no row of the audit has the head {0}: it was written anew, or is of another outbox, or of a copy from before it was noted"
    )]
    OtherHead(String),
}

impl Broken {
    /// The number of the row, where it is about one.
    pub fn row(&self) -> Option<i64> {
        match self {
            Self::Changed { row, .. } | Self::Gone(row) | Self::CutOff { row, .. } | Self::Added { row } => Some(*row),
            Self::OtherHead(_) => None,
        }
    }
}

/// Whether each row of the audit is as it was written, none is gone, and one of them has the head that was `noted`.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub fn verified(dir: &Path, noted: Option<&str>) -> Result<Result<Chain, Broken>, StorageError> {
    reading(dir, |db| chain(&*db.transaction()?, noted)) // one moment, whatever the writer does meanwhile
}

fn chain(db: &Connection, noted: Option<&str>) -> Result<Result<Chain, Broken>, rusqlite::Error> {
    let mut statement = db.prepare(
        "SELECT id, hash, request, CAST(at AS TEXT), actor, act, lane, CAST(seq AS TEXT), tx_type, subject, posting, reason, outcome
         FROM audit ORDER BY id",
    )?;
    let mut found = statement.query([])?;
    let (mut chain, mut last) = (Chain { rows: 0, head: String::new(), noted: None }, String::new());
    while let Some(row) = found.next()? {
        let texts: Vec<(String, bool)> = (2..13).map(|column| legible(row, column)).collect::<Result<_, _>>()?;
        let fields: [&str; 11] = std::array::from_fn(|i| texts[i].0.as_str());
        let (id, (hash, _)): (i64, _) = (row.get(0)?, legible(row, 1)?);
        chain.rows += 1;
        if id > chain.rows {
            return Ok(Err(Broken::Gone(chain.rows)));
        }
        let [_, _, actor, act, .., posting, _, _] = fields;
        last = format!("{act} by {actor}: {posting}");
        if id < chain.rows || texts.iter().any(|(_, whole)| !whole) || chained(&chain.head, &fields) != hash {
            return Ok(Err(Broken::Changed { row: chain.rows, deed: last }));
        }
        if noted.is_some_and(|noted| noted.eq_ignore_ascii_case(&hash)) {
            chain.noted = Some(chain.rows);
        }
        chain.head = hash;
    }
    let (written, head) = kept(db)?;
    Ok(match noted {
        _ if chain.rows < written => Err(Broken::CutOff { row: chain.rows + 1, written }),
        _ if chain.rows > written => Err(Broken::Added { row: written + 1 }),
        _ if chain.head != head => Err(Broken::Changed { row: chain.rows, deed: last }),
        Some(noted) if chain.noted.is_none() => Err(Broken::OtherHead(noted.to_owned())),
        _ => Ok(chain),
    })
}
