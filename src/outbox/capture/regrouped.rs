//! Lanes whose types moved between them while rows were pending: what comes would go past what waits or was rejected.
//!
//! Rows stay with the lane that they were stored for, and keep the order key that they had. So a start compares the lanes with those
//! of the last one, and walks the backlog of each only where they differ.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::Sql;
use crate::lane::Config;
use crate::outbox::StorageError;

/// What a lane was configured with, as far as order goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::outbox) struct Known {
    pub(in crate::outbox) business_unit: String,
    take: Vec<String>,
}

/// What the lanes are configured with, and those that no longer are: they may have rows.
pub(in crate::outbox) type Lanes = BTreeMap<String, Known>;

/// What the last start remembered of them.
pub(in crate::outbox) fn known(db: &Connection) -> Sql<Lanes> {
    let sql = "SELECT v FROM meta WHERE k = 'lanes'";
    let known: Option<String> = db.query_row(sql, [], |r| r.get(0)).optional()?;
    Ok(known.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Remembers what the lanes are configured with.
pub(super) fn remember(db: &Connection, lanes: &Lanes) -> Sql<()> {
    let text = serde_json::to_string(lanes).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    db.execute("INSERT OR REPLACE INTO meta(k, v) VALUES ('lanes', ?)", [text])?;
    Ok(())
}

/// Refuses lanes with rows whose keys would change, and lanes by which a row would overtake an earlier one of its subject; else
/// returns what is to be remembered of them, if it is something new.
pub(in crate::outbox) fn check(db: &Connection, lanes: &[Config]) -> Result<Option<Lanes>, StorageError> {
    let mut statement = db.prepare("SELECT id, name, system FROM lane")?;
    let stored = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let stored: Vec<(i64, String, String)> = stored.collect::<Sql<_>>()?;
    for (id, name, system) in &stored {
        let Some(config) = lanes.iter().find(|lane| lane.id == *name && lane.system != *system) else { continue };
        let open = "SELECT EXISTS (SELECT 1 FROM pending WHERE lane = ?)";
        if db.query_row(open, [id], |r| r.get(0))? {
            let (lane, stored, configured) = (name.clone(), system.clone(), config.system.clone());
            return Err(StorageError::OtherSystem { lane, stored, configured });
        }
    }
    let before = known(db)?;
    let mut now = before.clone();
    now.extend(lanes.iter().map(|lane| {
        let known = Known { business_unit: lane.business_unit.clone(), take: lane.take.clone() };
        (lane.id.clone(), known)
    }));
    if now == before {
        return Ok(None);
    }
    for (id, name, system) in stored {
        let unit = before.get(&name).map(|known| known.business_unit.as_str());
        let config = lanes.iter().find(|lane| lane.id == name);
        if config.is_some_and(|config| !config.parks()) {
            continue; // nothing waits behind its rows
        }
        let moved = config.zip(unit).filter(|(config, unit)| config.business_unit != **unit);
        let heirs = |lane: &&Config| {
            lane.id != name
                && lane.system == system
                && lane.parks()
                && unit.is_none_or(|unit| unit == lane.business_unit)
        };
        let heirs: Vec<&Config> = lanes.iter().filter(heirs).collect();
        if moved.is_none() && heirs.is_empty() {
            continue;
        }
        let types = pending_types(db, id)?;
        if let Some((config, unit)) = moved.filter(|_| !types.is_empty()) {
            let (stored, configured) = (unit.to_owned(), config.business_unit.clone());
            return Err(StorageError::OtherUnit { lane: name, stored, configured });
        }
        for tx_type in types.into_iter().filter(|tx_type| config.is_none_or(|config| !config.takes(tx_type))) {
            if let Some(heir) = heirs.iter().find(|heir| heir.takes(&tx_type)) {
                return Err(StorageError::Regrouped { lane: name, tx_type, heir: heir.id.clone() });
            }
        }
    }
    Ok(Some(now))
}

/// Types of the lane's rows that are not at their end.
fn pending_types(db: &Connection, lane: i64) -> Sql<Vec<String>> {
    let sql = "SELECT text FROM name WHERE id IN (SELECT DISTINCT tx FROM pending WHERE lane = ?)";
    db.prepare(sql)?.query_map([lane], |r| r.get(0))?.collect()
}
