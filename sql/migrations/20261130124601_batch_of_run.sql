-- migrate:up

-- The batch of a run is found by the run.
CREATE INDEX events_batch_runs ON sat.events ((data::jsonb ->> 'run')) WHERE type = 'BatchRunStarted';

-- migrate:down

DROP INDEX sat.events_batch_runs;
