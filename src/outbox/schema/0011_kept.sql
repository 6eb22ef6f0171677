-- How many rows the audit has and the hash of its last one, so that its end can't be taken off unseen.
INSERT INTO meta(k, v) SELECT 'audit_rows', count(*) FROM audit;
INSERT INTO meta(k, v) SELECT 'audit_head', coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '');

-- When a person was needed for a row first: it stays when it goes again and comes back.
ALTER TABLE pending ADD COLUMN opened INTEGER;
UPDATE pending SET opened = (SELECT at FROM letter d WHERE d.lane = pending.lane AND d.seq = pending.seq AND d.tx = pending.tx)
    WHERE (lane, seq, tx) IN (SELECT lane, seq, tx FROM letter);

-- Until when a lane's target has asked us to stay away (Retry-After).
ALTER TABLE lane ADD COLUMN away_until INTEGER NOT NULL DEFAULT 0;
