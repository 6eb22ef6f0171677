//! The outbox's file, read from outside and read-only: what is committed, what is not settled.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// One event that is committed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Committed {
    /// The device.
    pub(crate) device: String,
    pub(crate) kind: String,
    pub(crate) subject: String,
    /// Its fields.
    pub(crate) body: Value,
}

/// What stood in the file at one moment.
pub(crate) struct Database {
    /// `DEVICE/EPOCH/SEQ` of each event.
    pub(crate) events: HashSet<String>,
    /// Keys of postings that are not settled.
    pub(crate) pending: HashSet<String>,
    /// Packets whose PUBACK is proven to have arrived.
    pub(crate) proven: i64,
}

impl Database {
    /// Reads the file in the data directory; a file that is not there yet has nothing in it.
    pub(crate) fn read(data: &Path) -> Self {
        let file = data.join("outbox.db");
        if !file.exists() {
            return Self { events: HashSet::new(), pending: HashSet::new(), proven: 0 };
        }
        let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the outbox opens");
        let all = |sql: &str| -> HashSet<String> {
            let mut statement = db.prepare(sql).expect("the outbox has this table");
            let rows = statement.query_map([], |row| row.get(0)).expect("the outbox can be read");
            rows.map(|row| row.expect("a row can be read")).collect()
        };
        Self {
            events: all("SELECT source.name || '/' || epoch.text || '/' || ifnull(event.mark, event.pos)
                 FROM event JOIN epoch ON epoch.id = event.epoch JOIN source ON source.id = epoch.source"),
            pending: all("SELECT lower(hex(posting)) FROM pending"),
            proven: db
                .query_row("SELECT count(*) FROM unacked WHERE proven", [], |row| row.get(0))
                .expect("the outbox can be counted"),
        }
    }

    /// The events, in the order in which they were committed.
    pub(crate) fn committed(data: &Path) -> Vec<Committed> {
        let file = data.join("outbox.db");
        let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the outbox opens");
        let mut statement = db
            .prepare(
                "SELECT source.name, name.text, event.subject, event.body FROM event
                 JOIN epoch ON epoch.id = event.epoch JOIN source ON source.id = epoch.source
                 JOIN name ON name.id = event.kind ORDER BY event.seq",
            )
            .expect("the outbox has these tables");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let rows = statement.query_map([], row).expect("it can be read");
        let event = |row: Result<(String, String, String, String), _>| {
            let (device, kind, subject, body) = row.expect("a row can be read");
            Committed { device, kind, subject, body: serde_json::from_str(&body).expect("bodies are JSON") }
        };
        rows.map(event).collect()
    }

    /// Whether the posting of this key (a UUID) is not settled.
    pub(crate) fn is_pending(&self, key: &str) -> bool {
        self.pending.contains(&key.replace('-', ""))
    }
}
