-- migrate:up

-- How many rechecks are open and were done, by account, mark and day. Each change of rechecks adds a row; a run of
-- an account puts its rows together. So a report reads some rows, however many orders have ended.
CREATE TABLE sat.recheck_counts (
    account    text NOT NULL,
    days       smallint NOT NULL,
    due_at     timestamptz NOT NULL,
    overdue_at timestamptz NOT NULL,
    waiting    bigint NOT NULL,
    in_time    bigint NOT NULL DEFAULT 0,
    late       bigint NOT NULL DEFAULT 0,
    given_up   bigint NOT NULL DEFAULT 0,
    changed    bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE sat.recheck_counts IS 'operational: how many rechecks are open and were done; its rows are added up';
CREATE INDEX recheck_counts_overdue ON sat.recheck_counts (overdue_at, account);

INSERT INTO sat.recheck_counts
SELECT
    account, days, due_at, overdue_at,
    count(*) FILTER (WHERE closed_at IS NULL),
    count(*) FILTER (WHERE finding <> 'given_up' AND closed_at < overdue_at),
    count(*) FILTER (WHERE finding <> 'given_up' AND closed_at >= overdue_at),
    count(*) FILTER (WHERE finding = 'given_up'),
    count(*) FILTER (WHERE finding = 'changed')
FROM sat.final_watch
GROUP BY account, days, due_at, overdue_at;
-- Only the counts were read by it.
DROP INDEX sat.final_watch_overdue;

-- migrate:down
CREATE INDEX final_watch_overdue ON sat.final_watch (overdue_at);
DROP TABLE sat.recheck_counts;
