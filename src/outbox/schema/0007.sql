-- Highest position of which the map left out everything: no event says that it was there.
ALTER TABLE epoch ADD COLUMN left_out INTEGER NOT NULL DEFAULT -1;
