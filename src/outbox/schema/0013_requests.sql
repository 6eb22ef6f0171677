-- What the target knows a batch by, where that is the key of a request and not of its rows: it has the time of the first sending in it,
-- and does not follow from what is kept of the rows. NULL: it does.
ALTER TABLE batch ADD COLUMN request BLOB;
ALTER TABLE done ADD COLUMN request BLOB;
-- What a correction made of an id follows from the audit.
DROP INDEX correction_id;
