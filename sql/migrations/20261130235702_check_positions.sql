-- migrate:up

-- Reads the whole table, and keeps no append waiting.
ALTER TABLE sat.events VALIDATE CONSTRAINT events_0000_positions;

-- migrate:down
SELECT 1;
