-- What a person has stopped: a lane, a system or a subject.
CREATE TABLE hold(
    scope TEXT, name TEXT, at INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY(scope, name)) WITHOUT ROWID;
