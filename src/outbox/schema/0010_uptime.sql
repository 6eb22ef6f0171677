-- Milliseconds from the machine's start to the first sending, by a clock that nobody sets. NULL: the machine has started since.
ALTER TABLE batch ADD COLUMN uptime INTEGER;
