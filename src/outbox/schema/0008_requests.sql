-- A batch that the target no longer tells, whatever becomes of it: it is never sent again.
ALTER TABLE batch ADD COLUMN outdated INTEGER NOT NULL DEFAULT 0;
