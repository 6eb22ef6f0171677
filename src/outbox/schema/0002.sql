-- What sources have to know of their devices after a restart: last values, counts, edges; in the commit of their events.
CREATE TABLE memory(name TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
