-- Rows that need a person, by the key that they name, and by what orders them: a command finds each at once, however many wait.
CREATE INDEX pending_key ON pending(posting) WHERE state IN (2, 3);
CREATE INDEX pending_parked ON pending(lane, order8) WHERE state IN (2, 3);
DROP INDEX pending_rejected;
