-- migrate:up

-- The events so far become the first partition of the log. The constraint lets PostgreSQL attach them without reading
-- them again under a lock: it is added here, checked in the next migration beside running appends, and used in the
-- one after that.
ALTER TABLE sat.events ADD CONSTRAINT events_0000_positions CHECK (position <= 10000000000) NOT VALID;

-- migrate:down
ALTER TABLE sat.events DROP CONSTRAINT IF EXISTS events_0000_positions;
