-- migrate:up

-- A day of the log is read by its time. Positions and times grow together, so a summary of each range of pages
-- is enough, and costs an append next to nothing.
CREATE INDEX events_occurred ON sat.events USING brin (occurred_at) WITH (pages_per_range = 32, autosummarize = on);

-- migrate:down
DROP INDEX sat.events_occurred;
