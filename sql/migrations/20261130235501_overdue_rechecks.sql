-- migrate:up

-- Rechecks that are overdue for too long are given up in every run. Without this index, each run reads all that are
-- open, or all that were ever overdue.
CREATE INDEX final_watch_overdue_open ON sat.final_watch (account, overdue_at) WHERE closed_at IS NULL;

-- migrate:down
DROP INDEX sat.final_watch_overdue_open;
