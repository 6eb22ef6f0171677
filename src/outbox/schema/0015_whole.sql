-- Whether the answer spoke of the batch as a whole, or of its items; NULL: of an earlier version, or nobody heard one.
ALTER TABLE attempt ADD COLUMN whole INTEGER;
