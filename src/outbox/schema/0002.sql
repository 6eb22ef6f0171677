-- What sources have to know of their devices after a restart: last values, counts, edges; in the commit of their events.
CREATE TABLE memory(name TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;

-- What moves with each commit stands in one row a lane. `batches`: the highest number of a batch; `good_at`: when all of an
-- answer was good last.
ALTER TABLE lane ADD COLUMN rows_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lane ADD COLUMN bytes_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lane ADD COLUMN batches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lane ADD COLUMN good_at INTEGER;
UPDATE lane SET
    rows_in = rows_out + (SELECT count(*) FROM pending WHERE pending.lane = lane.id),
    bytes_in = bytes_out + (SELECT coalesce(sum(pending.size), 0) FROM pending WHERE pending.lane = lane.id),
    batches = max((SELECT coalesce(max(batch.id), 0) FROM batch WHERE batch.lane = lane.id),
                  (SELECT coalesce(max(attempt.id), 0) FROM attempt));

-- An epoch's highest position is that of its events, or the highest that was purged.
UPDATE epoch SET floor = max(floor, coalesce(last, -1))
    WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.epoch = epoch.id);
ALTER TABLE epoch DROP COLUMN last;
ALTER TABLE epoch DROP COLUMN rows_in;
ALTER TABLE epoch DROP COLUMN bytes_in;

-- An attempt stands in `attempt` if not all of it was good; a delivery that reached its end says itself by which attempt.
CREATE TABLE ended(
    seq INTEGER, lane INTEGER, tx INTEGER, at INTEGER NOT NULL, batch INTEGER NOT NULL, attempt INTEGER NOT NULL,
    how TEXT NOT NULL, ref TEXT,
    PRIMARY KEY(seq, lane, tx)) WITHOUT ROWID;
INSERT INTO ended SELECT d.seq, d.lane, d.tx, coalesce(a.at, 0), coalesce(a.batch, 0), coalesce(a.attempt, 1), d.how, d.ref
    FROM done d LEFT JOIN attempt a ON a.id = d.attempt;
UPDATE lane SET good_at = (SELECT max(at) FROM attempt WHERE attempt.lane = lane.id AND class IN ('delivered', 'duplicate'));
DELETE FROM attempt WHERE class IN ('delivered', 'duplicate');
DROP TABLE done;
ALTER TABLE ended RENAME TO done;

-- `proven`: the broker has our PUBACK, so that it can't mean this message any more.
ALTER TABLE unacked ADD COLUMN proven INTEGER NOT NULL DEFAULT 0;

-- Events that were taken off. Sequences have no holes, so that nobody has to count what is left.
INSERT INTO meta(k, v) SELECT 'trimmed', max(coalesce((SELECT max(seq) FROM event), 0),
    coalesce((SELECT v FROM meta WHERE k = 'last_seq'), 0)) - (SELECT count(*) FROM event);
