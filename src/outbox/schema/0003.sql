-- What persons did, a row for each posting. `hash`: SHA-256 over the row and the hash before it, so that no row can be changed
-- or taken out unseen. `request`: what asked for it; the same one again changes nothing.
CREATE TABLE audit(
    id INTEGER PRIMARY KEY, request TEXT NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL, act TEXT NOT NULL,
    lane TEXT NOT NULL, seq INTEGER NOT NULL, tx_type TEXT NOT NULL, subject TEXT NOT NULL, posting TEXT NOT NULL,
    reason TEXT NOT NULL, outcome TEXT NOT NULL, hash TEXT NOT NULL,
    UNIQUE(request, posting));
CREATE INDEX audit_posting ON audit(posting);
-- Under which revision of its key a delivery reached its end.
ALTER TABLE done ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
-- Deliveries that a person took out: they count in rows_out and are not delivered.
ALTER TABLE lane ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
-- The target's own word for the reason.
ALTER TABLE letter ADD COLUMN code TEXT;
