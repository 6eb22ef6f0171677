-- What a person has stopped: a lane, a system or a subject.
CREATE TABLE hold(
    scope TEXT, name TEXT, at INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY(scope, name)) WITHOUT ROWID;
-- What a person corrected of a posting that was refused: posted in place of its event's own content, under a key of its own.
-- `sum`: CRC-32 over id and body, checked before it is sent.
CREATE TABLE correction(
    lane INTEGER, seq INTEGER, tx INTEGER, id BLOB NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY(lane, seq, tx)) WITHOUT ROWID;
CREATE INDEX correction_id ON correction(id);
-- What a later posting of the same kind makes idle, in lanes that park nothing.
CREATE INDEX pending_rejected ON pending(lane, order8) WHERE state = 2;
