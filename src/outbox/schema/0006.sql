-- A batch that the target has taken over and will give its effect later. `accepted`: since when; `job`: where it is asked for, NULL:
-- by lookup; `ask_at`: when next. Such a batch is never sent again while the target is at work on it.
ALTER TABLE batch ADD COLUMN accepted INTEGER;
ALTER TABLE batch ADD COLUMN job TEXT;
ALTER TABLE batch ADD COLUMN ask_at INTEGER;
-- Why somebody should look whether a delivered posting is there twice.
ALTER TABLE done ADD COLUMN suspect TEXT;
CREATE INDEX done_suspect ON done(lane, at) WHERE suspect IS NOT NULL;
