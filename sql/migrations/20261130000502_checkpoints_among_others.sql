-- migrate:up

-- A role that may add a row can add one that nobody signed. It takes no number and no position from the next
-- checkpoint: which rows are of the chain is told by signatures and links, not by who came first.
ALTER TABLE sat.checkpoints DROP CONSTRAINT checkpoints_pkey;
ALTER TABLE sat.checkpoints DROP CONSTRAINT checkpoints_first_position_key;
ALTER TABLE sat.checkpoints DROP CONSTRAINT checkpoints_last_position_key;
ALTER TABLE sat.checkpoints DROP CONSTRAINT checkpoints_digest_key;
ALTER TABLE sat.checkpoints ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (digest);
CREATE INDEX checkpoints_number ON sat.checkpoints (number);
CREATE INDEX checkpoints_last_position ON sat.checkpoints (last_position);
CREATE INDEX checkpoints_recorded_at ON sat.checkpoints (recorded_at);

-- The advisory lock under which one process at a time makes checkpoints.
CREATE FUNCTION sat.checkpoint_lock_class() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 72483015 $$;

-- migrate:down
DROP FUNCTION sat.checkpoint_lock_class();
DROP INDEX sat.checkpoints_number, sat.checkpoints_last_position, sat.checkpoints_recorded_at;
ALTER TABLE sat.checkpoints DROP CONSTRAINT checkpoints_pkey;
ALTER TABLE sat.checkpoints ADD CONSTRAINT checkpoints_digest_key UNIQUE (digest);
ALTER TABLE sat.checkpoints ADD CONSTRAINT checkpoints_first_position_key UNIQUE (first_position);
ALTER TABLE sat.checkpoints ADD CONSTRAINT checkpoints_last_position_key UNIQUE (last_position);
ALTER TABLE sat.checkpoints ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (number);
