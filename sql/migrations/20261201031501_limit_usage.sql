-- migrate:up

-- How much of its limits an account has used, by what a limit applies to: an append adds what it changes, so its
-- rows are added up. No row is ever updated, so appends do not wait for each other; the guards, one at a time for each
-- account, put the rows of a day or batch together into one.
CREATE TABLE sat.limit_usage (
    account text NOT NULL,
    scope   text NOT NULL COLLATE "C" CHECK (scope ~ '^(day|batch)/.'),
    orders  bigint NOT NULL,
    rupiah  bigint NOT NULL
);
COMMENT ON TABLE sat.limit_usage IS 'derived: orders that count, and their rupiah, by day and batch; its rows are added up';
CREATE INDEX limit_usage_scope ON sat.limit_usage (account, scope);

INSERT INTO sat.limit_usage (account, scope, orders, rupiah)
SELECT o.account, s.scope, count(*), sum(o.committed_rupiah)
FROM sat.orders AS o
CROSS JOIN LATERAL (VALUES
    ('day/' || to_char(o.counted_at AT TIME ZONE 'Asia/Jakarta', 'YYYY-MM-DD')),
    ('batch/' || o.batch_id)
) AS s (scope)
WHERE o.counted_at IS NOT NULL
GROUP BY 1, 2;

-- migrate:down
DROP TABLE sat.limit_usage;
