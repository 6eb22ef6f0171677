//! The outbox's file, read from outside and read-only: what is committed, what is not settled.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// What stood in the file at one moment.
pub(crate) struct Database {
    /// `DEVICE/EPOCH/SEQ` of each event.
    pub(crate) events: HashSet<String>,
    /// Keys of postings that are not settled.
    pub(crate) pending: HashSet<String>,
    /// Packets whose PUBACK is not proven to have arrived.
    pub(crate) unproven: i64,
}

impl Database {
    /// Reads the file in the data directory; a file that is not there yet has nothing in it.
    pub(crate) fn read(data: &Path) -> Self {
        let file = data.join("outbox.db");
        if !file.exists() {
            return Self { events: HashSet::new(), pending: HashSet::new(), unproven: 0 };
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
            unproven: db
                .query_row("SELECT count(*) FROM unacked WHERE NOT proven", [], |row| row.get(0))
                .expect("the outbox can be counted"),
        }
    }

    /// Whether the posting of this key (a UUID) is not settled.
    pub(crate) fn is_pending(&self, key: &str) -> bool {
        self.pending.contains(&key.replace('-', ""))
    }
}
