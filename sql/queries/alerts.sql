-- name: alerting_events(after_position, up_to_position, types, after_an_end, ends, limit)
-- Events that may be news, each with the ends that its stream had before it, its account and its batch.
SELECT
    e.position, e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at,
    e.recorded_at, e.digest,
    earlier.ends,
    coalesce(o.account, b.account, a.account, ''),
    coalesce(o.batch_id, b.batch_id)
FROM sat.events AS e
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(x.type), '{}') AS ends
    FROM sat.events AS x
    WHERE e.type = ANY (:after_an_end::text[])
      AND x.stream = e.stream AND x.version < e.version AND x.type = ANY (:ends::text[])
) AS earlier
LEFT JOIN sat.orders AS o ON starts_with(e.stream, 'order/') AND o.request_id = substr(e.stream, 7)
LEFT JOIN sat.batches AS b ON starts_with(e.stream, 'batch/') AND b.batch_id = substr(e.stream, 7)
LEFT JOIN sat.accounts AS a ON starts_with(e.stream, 'account/') AND a.account_id = substr(e.stream, 9)
WHERE e.position > :after_position
  AND e.position <= :up_to_position
  AND e.type = ANY (:types::text[])
  AND (e.type <> ALL (:after_an_end::text[]) OR cardinality(earlier.ends) > 0)
ORDER BY e.position
LIMIT :limit;

-- name: add_alerts(keys, kinds, accounts, batch_ids, subjects, texts, occurred_ats)
-- What is not known yet; returns the keys of what is new.
INSERT INTO sat.alerts (key, kind, account, batch_id, subject, text, occurred_at)
SELECT *
FROM unnest(
    :keys::text[], :kinds::text[], :accounts::text[], :batch_ids::text[], :subjects::text[], :texts::text[],
    :occurred_ats::timestamptz[]
)
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: claim_alerts_to_notify(now, lease_until, limit)
-- Lease alerts that were not sent yet.
WITH claimed AS (
    UPDATE sat.alerts
    SET next_try_at = :lease_until, tries = tries + 1
    WHERE alert_id IN (
        SELECT alert_id
        FROM sat.alerts
        WHERE notified_at IS NULL AND next_try_at <= :now
        ORDER BY alert_id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    RETURNING alert_id, key, kind, account, text, occurred_at, batch_id, subject, tries
)
SELECT * FROM claimed ORDER BY alert_id;

-- name: settle_notified(keys, now)!
-- People have been told.
UPDATE sat.alerts SET notified_at = :now, trouble = NULL WHERE key = ANY (:keys);

-- name: settle_logged(keys, now, trouble)!
-- Not sent, and never will be: the alert is in a task's log, with the reason.
UPDATE sat.alerts SET notified_at = :now, trouble = :trouble WHERE key = ANY (:keys);

-- name: settle_not_notified(keys, next_try_at, trouble)!
-- It did not work; another time.
UPDATE sat.alerts SET next_try_at = :next_try_at, trouble = :trouble
WHERE key = ANY (:keys) AND notified_at IS NULL;

-- name: alerts_to_announce(limit)
-- Alerts without an asset event.
SELECT key, kind, account, text, occurred_at, batch_id, subject, tries
FROM sat.alerts
WHERE announced_at IS NULL
ORDER BY alert_id
LIMIT :limit;

-- name: settle_announced(keys, now)!
-- Their asset events are under way.
UPDATE sat.alerts SET announced_at = :now WHERE key = ANY (:keys);

-- name: recent_alerts(only_untold, before_id, limit)
-- What people were told last, or only what they were not told, newest first; all of it without before_id.
SELECT
    key, kind, account, text, occurred_at, batch_id, subject, tries, raised_at,
    coalesce(told_at, notified_at), CASE WHEN told_at IS NULL THEN trouble END, alert_id
FROM sat.alerts
WHERE
    alert_id < coalesce(:before_id, 9223372036854775807)
    AND (NOT :only_untold OR told_at IS NULL AND (notified_at IS NULL OR trouble IS NOT NULL))
ORDER BY alert_id DESC
LIMIT :limit;

-- name: alerts_of_kinds(kinds, limit)
-- The newest alerts of some kinds: each kind's newest, then the newest of them. The comparison of rows keeps the
-- planner from looking for a rare kind from the table's end.
SELECT key, kind, account, text, occurred_at, batch_id, subject, tries, raised_at,
    coalesce(told_at, notified_at), CASE WHEN told_at IS NULL THEN trouble END
FROM unnest(:kinds::text[]) AS k (wanted)
CROSS JOIN LATERAL (
    SELECT *
    FROM sat.alerts
    WHERE (kind, alert_id) >= (k.wanted, 0) AND (kind, alert_id) < (k.wanted, 9223372036854775807)
    ORDER BY kind DESC, alert_id DESC
    LIMIT :limit
) AS a
ORDER BY alert_id DESC
LIMIT :limit;
