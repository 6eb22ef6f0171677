-- No row of the lane before this one goes without a person: whoever looks for the oldest that does begins here, however many are
-- rejected before it.
ALTER TABLE lane ADD COLUMN goes_from INTEGER NOT NULL DEFAULT 0;
