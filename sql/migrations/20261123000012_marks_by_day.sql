-- migrate:up

-- How the marks of the last days stand is asked every hour; the table keeps those of all days.
CREATE INDEX final_watch_overdue ON sat.final_watch (overdue_at);

-- migrate:down
DROP INDEX sat.final_watch_overdue;
