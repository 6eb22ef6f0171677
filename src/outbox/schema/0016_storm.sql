-- Why the lane sends nothing but single rows, to find out, as JSON; NULL: it does not.
ALTER TABLE lane ADD COLUMN storm TEXT;
