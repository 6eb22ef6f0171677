-- What the gateway keeps. Times are UTC milliseconds; ids are 16 bytes; names (kinds, maps, transaction types) are
-- interned in `name`. Keys have locality: (epoch, position) grows at each source's own end, everything else by sequence.

CREATE TABLE meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
-- One start of the gateway: monotonic times are comparable within it only.
CREATE TABLE run(id INTEGER PRIMARY KEY, boot TEXT NOT NULL, at INTEGER NOT NULL);

CREATE TABLE source(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- `last`: highest position; `floor`: positions up to here were purged; rows_in, bytes_in: deliveries made from here.
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, text TEXT NOT NULL,
    last INTEGER, floor INTEGER NOT NULL DEFAULT -1,
    rows_in INTEGER NOT NULL DEFAULT 0, bytes_in INTEGER NOT NULL DEFAULT 0,
    UNIQUE(source, text));
-- Contents without a number: their last occurrence. Message ids: that they were there.
CREATE TABLE seen(
    source INTEGER, hash BLOB, n INTEGER NOT NULL, first_mono INTEGER NOT NULL, last_mono INTEGER NOT NULL,
    run INTEGER NOT NULL, device_ms INTEGER, first_device_ms INTEGER, at INTEGER NOT NULL,
    PRIMARY KEY(source, hash)) WITHOUT ROWID;
CREATE INDEX seen_at ON seen(at);
-- What was committed last under each packet identifier of a session: tells a redelivery from a second scan.
CREATE TABLE unacked(link TEXT, packet INTEGER, hash BLOB NOT NULL, PRIMARY KEY(link, packet)) WITHOUT ROWID;

-- `mark`: the sequence text of the key where it isn't the position. `sum`: CRC-32 over the row, checked before it is sent.
CREATE TABLE event(
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, pos INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    id BLOB NOT NULL, kind INTEGER NOT NULL, mark TEXT, subject TEXT NOT NULL,
    occurred_at INTEGER NOT NULL, quality TEXT NOT NULL, device_time TEXT, run INTEGER NOT NULL, mono INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL, map INTEGER NOT NULL, raw BLOB, body TEXT NOT NULL, sum INTEGER NOT NULL,
    UNIQUE(epoch, pos, ordinal));

CREATE TABLE lane(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, system TEXT NOT NULL,
    rows_out INTEGER NOT NULL DEFAULT 0, bytes_out INTEGER NOT NULL DEFAULT 0);
-- The backlog, and nothing else. state: 0 ready, 1 waiting, 2 rejected, 3 held; sending and unknown rows are those of `batch`.
CREATE TABLE pending(
    lane INTEGER, seq INTEGER, tx INTEGER, order8 INTEGER NOT NULL, posting BLOB NOT NULL, rev INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, tries INTEGER, since INTEGER, not_before INTEGER, why TEXT,
    PRIMARY KEY(lane, seq, tx)) WITHOUT ROWID;
CREATE INDEX pending_exception ON pending(lane, state, seq) WHERE state <> 0;
-- A batch from its first send until the target has spoken of each row. `rows`: (seq, tx) pairs as varints. `unknown`: since when its last
-- attempt is over without a word on these rows; NULL while it is sending. A resend is
-- rendered from the same rows by the same `renderer` and must give the same `sum`.
CREATE TABLE batch(
    lane INTEGER, id INTEGER, attempt INTEGER NOT NULL, first_sent INTEGER NOT NULL, last_sent INTEGER NOT NULL,
    unknown INTEGER, renderer INTEGER NOT NULL, sum INTEGER NOT NULL, rows BLOB NOT NULL,
    PRIMARY KEY(lane, id)) WITHOUT ROWID;

-- One row an answer; one row a delivery that reached its end; the letter of each one that needs a person.
CREATE TABLE attempt(
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, batch INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL,
    status INTEGER, rows INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    class TEXT NOT NULL, excerpt TEXT);
CREATE TABLE done(
    seq INTEGER, lane INTEGER, tx INTEGER, attempt INTEGER NOT NULL, how TEXT NOT NULL, ref TEXT,
    PRIMARY KEY(seq, lane, tx)) WITHOUT ROWID;
CREATE TABLE letter(
    lane INTEGER, seq INTEGER, tx INTEGER, at INTEGER NOT NULL, class TEXT NOT NULL, maybe INTEGER NOT NULL,
    reason TEXT NOT NULL, status INTEGER, answer TEXT,
    PRIMARY KEY(lane, seq, tx)) WITHOUT ROWID;

-- What could not be read, with its bytes: the newest 10,000.
CREATE TABLE bad_input(
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL,
    length INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE tally(source TEXT, what TEXT, n INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(source, what)) WITHOUT ROWID;
