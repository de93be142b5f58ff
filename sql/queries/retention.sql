-- name: old_batches(before, require_signed_days, final_states, unsent_states, final_batch_states)
-- Batches that were submitted before a moment, with their files and what keeps them: whether they have ended, how many
-- orders have no end, whether one changed later, and the first day (WIB) of an order's end that is not signed off.
WITH signed AS (
    SELECT a.document ->> 'account' AS account, (e.data::jsonb ->> 'day')::date AS day
    FROM sat.events AS e
    JOIN sat.accounts AS a ON a.account_id = substr(e.stream, 9)
    WHERE e.type = 'DayCertified'
)
SELECT
    b.account, b.document ->> 'spool_uri', (b.document ->> 'size_bytes')::bigint, b.document ->> 'results_uri',
    b.state = ANY (:final_batch_states),
    o.in_flight, coalesce(greatest(o.changed_at, b.submitted_at) >= :before, false),
    CASE WHEN :require_signed_days THEN (
        SELECT min(d.day)
        FROM (
            SELECT DISTINCT (own.changed_at AT TIME ZONE 'Asia/Jakarta')::date AS day
            FROM sat.orders AS own
            WHERE own.batch_id = b.batch_id AND own.state <> ALL (:unsent_states)
        ) AS d
        WHERE NOT EXISTS (SELECT FROM signed AS s WHERE s.account = b.account AND s.day = d.day)
    ) END
FROM sat.batches AS b
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state <> ALL (:final_states)) AS in_flight, max(changed_at) AS changed_at
    FROM sat.orders
    WHERE batch_id = b.batch_id
) AS o
WHERE b.submitted_at < :before
ORDER BY b.submitted_at, b.batch_id;

-- name: old_exports(before)
-- Evidence packs that were written before a moment.
SELECT data::jsonb ->> 'uri', (data::jsonb ->> 'size_bytes')::bigint
FROM sat.events
WHERE type = 'ExportWritten' AND recorded_at < :before
ORDER BY position;

-- name: removed_among(uris)
-- Those of these files that retention has removed.
SELECT uri FROM sat.removed_files WHERE uri = ANY (:uris);

-- name: record_removed(uri, kind, size_bytes)!
-- Record that a file was removed.
INSERT INTO sat.removed_files (uri, kind, size_bytes) VALUES (:uri, :kind, :size_bytes) ON CONFLICT DO NOTHING;

-- name: old_alerts(before)
-- Alerts that were settled and announced before a moment, and all others of that age: number and bytes.
SELECT
    count(*) FILTER (WHERE is_settled), coalesce(sum(size) FILTER (WHERE is_settled), 0),
    count(*) FILTER (WHERE NOT is_settled)
FROM (
    SELECT pg_column_size(a) AS size, notified_at IS NOT NULL AND announced_at IS NOT NULL AS is_settled
    FROM sat.alerts AS a
    WHERE raised_at < :before
) AS old;

-- name: remove_old_alerts(before)
-- Remove these alerts, with what was told of them.
WITH old AS (
    SELECT alert_id FROM sat.alerts
    WHERE raised_at < :before AND notified_at IS NOT NULL AND announced_at IS NOT NULL
    ORDER BY alert_id
    LIMIT 10000
), told AS (
    DELETE FROM sat.alert_deliveries WHERE alert_id IN (SELECT alert_id FROM old)
)
DELETE FROM sat.alerts WHERE alert_id IN (SELECT alert_id FROM old) RETURNING alert_id;

-- name: old_intake(before)
-- Rows of order_intake that a batch has taken before a moment, and rows of that age that no batch has taken.
SELECT
    count(*) FILTER (WHERE batch_id IS NOT NULL AND claimed_at < :before),
    coalesce(sum(pg_column_size(i)) FILTER (WHERE batch_id IS NOT NULL AND claimed_at < :before), 0),
    count(*) FILTER (WHERE batch_id IS NULL)
FROM sat.order_intake AS i
WHERE created_at < :before;

-- name: remove_old_intake(before)
-- Remove the rows that a batch has taken.
DELETE FROM sat.order_intake
WHERE intake_id IN (
    SELECT intake_id FROM sat.order_intake
    WHERE created_at < :before AND batch_id IS NOT NULL AND claimed_at < :before
    ORDER BY intake_id
    LIMIT 10000
)
RETURNING intake_id;
