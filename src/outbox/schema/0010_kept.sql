-- How many rows the audit has and the hash of its last one, so that its end can't be taken off unseen.
INSERT INTO meta(k, v) SELECT 'audit_rows', count(*) FROM audit;
INSERT INTO meta(k, v) SELECT 'audit_head', coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '');

-- Until when a lane's target has asked us to stay away (Retry-After).
ALTER TABLE lane ADD COLUMN away_until INTEGER NOT NULL DEFAULT 0;
