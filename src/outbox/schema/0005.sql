-- What an attempt that was not all good said, row by row (`told`, see attempts.rs), when it left (`sent`), when the lane meant to
-- try again (`again`), and the id of the batch as the target saw it (`key`). Found by the rows between which a row lies.
ALTER TABLE attempt ADD COLUMN sent INTEGER;
ALTER TABLE attempt ADD COLUMN again INTEGER;
ALTER TABLE attempt ADD COLUMN key BLOB;
ALTER TABLE attempt ADD COLUMN told BLOB;
CREATE INDEX attempt_rows ON attempt(lane, first_seq, last_seq);
-- The attempt that brought a delivery to its end: how many milliseconds it took, and the HTTP status.
ALTER TABLE done ADD COLUMN took INTEGER;
ALTER TABLE done ADD COLUMN status INTEGER;
-- Where events lie by their ids, subjects and keys: a block for each 1,024 of them (finder.rs).
CREATE TABLE finder(last INTEGER PRIMARY KEY, first INTEGER NOT NULL, prints BLOB NOT NULL);
