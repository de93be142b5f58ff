-- name: limit_time(milliseconds)$
-- Let no statement of this transaction take longer.
SELECT set_config('statement_timeout', :milliseconds::text, true);

-- name: orders_in_flight()
-- Orders that SAT may have, by account and state, and when the oldest of them was first sent.
SELECT
    account, state, '', count(*),
    extract(epoch FROM now() - min(coalesce(first_sent_at, changed_at)))::float8
FROM sat.orders
WHERE state IN ('submitting', 'pending', 'unknown')
GROUP BY account, state;

-- name: orders_of_people()
-- Held and escalated orders by account and reason, and for how long the oldest of them has waited.
SELECT
    account, state, coalesce(reason_code, ''), count(*), extract(epoch FROM now() - min(changed_at))::float8
FROM sat.orders
WHERE state IN ('held', 'escalated')
GROUP BY account, state, reason_code;

-- name: orders_of_open_batches(batches, orders)
-- The other orders of the newest batches that have not ended, at most so many of each batch.
SELECT b.account, o.state, coalesce(o.reason_code, ''), count(*)
FROM (
    SELECT batch_id, account
    FROM sat.batches
    WHERE state NOT IN ('refused', 'completed')
    ORDER BY submitted_at DESC
    LIMIT :batches
) AS b
CROSS JOIN LATERAL (
    SELECT state, reason_code
    FROM sat.orders
    WHERE batch_id = b.batch_id AND state NOT IN ('submitting', 'pending', 'unknown', 'held', 'escalated')
    LIMIT :orders
) AS o
GROUP BY b.account, o.state, o.reason_code;

-- name: orders_changed(orders)
-- Orders whose last event is at most a minute old, at most so many.
SELECT account, state, coalesce(reason_code, ''), count(*)
FROM (
    SELECT account, state, reason_code
    FROM sat.orders
    WHERE changed_at > now() - interval '1 minute'
    ORDER BY changed_at DESC
    LIMIT :orders
) AS newest
GROUP BY account, state, reason_code;

-- name: open_batches()
-- Batches that have not ended, and the age of the oldest.
SELECT account, state, count(*), extract(epoch FROM now() - min(greatest(submitted_at, 'epoch')))::float8
FROM sat.batches
WHERE state NOT IN ('refused', 'completed')
GROUP BY account, state;

-- name: callbacks_waiting(looked)
-- Of so many of the newest callbacks that wait for a status query, those about known orders.
SELECT q.account, count(*), extract(epoch FROM now() - min(q.received_at))::float8
FROM (SELECT * FROM sat.callback_queue ORDER BY inbox_id DESC LIMIT :looked) AS q
JOIN sat.orders AS o ON o.request_id = q.request_id AND o.account = q.account
GROUP BY q.account;

-- name: polls_due()
-- Status queries that are due, and for how long the first of them has been. Only orders in flight have one.
SELECT account, count(*), extract(epoch FROM now() - min(due_at))::float8
FROM sat.poll_schedule
WHERE due_at <= now()
GROUP BY account;

-- name: limits()
-- The shared limits by account: how far ahead moments are taken, and permits that processes hold and want.
SELECT
    p.account,
    greatest(0, extract(epoch FROM p.next_at - clock_timestamp()))::float8,
    coalesce(sum(l.permits), 0)::bigint,
    coalesce(sum(l.wanted), 0)::bigint
FROM sat.request_pace AS p
LEFT JOIN sat.request_leases AS l ON l.account = p.account AND l.expires_at > now()
GROUP BY p.account, p.next_at;

-- name: accounts_with_a_deposit()
-- Every account whose deposit was observed, by jumps through the index.
WITH RECURSIVE found AS (
    (SELECT account FROM sat.balance_observations ORDER BY account LIMIT 1)
    UNION ALL
    SELECT (SELECT min(o.account) FROM sat.balance_observations AS o WHERE o.account > found.account)
    FROM found
    WHERE found.account IS NOT NULL
)
SELECT account FROM found WHERE account IS NOT NULL;

-- name: log()^
-- The last position, the transactions that the database has committed, and the age of the oldest event without a
-- checkpoint.
SELECT
    (SELECT coalesce(max(position), 0) FROM sat.events),
    (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
    coalesce((
        SELECT extract(epoch FROM now() - recorded_at)::float8
        FROM sat.events
        WHERE position > (SELECT coalesce(max(last_position), 0) FROM sat.checkpoints)
        ORDER BY position
        LIMIT 1
    ), 0);

-- name: standing_breaks()
-- Breaks that are not ended, by state and age in days, and their amounts without signs.
SELECT
    account, state,
    CASE
        WHEN first_seen >= today - 1 THEN '0-1'
        WHEN first_seen >= today - 7 THEN '2-7'
        WHEN first_seen >= today - 30 THEN '8-30'
        ELSE '31+'
    END,
    count(*), sum(abs(amount_rupiah))::bigint
FROM sat.breaks, (SELECT (now() AT TIME ZONE 'Asia/Jakarta')::date AS today) AS t
WHERE is_listed AND state IN ('open', 'explained')
GROUP BY 1, 2, 3;

-- name: webhook_messages(looked)
-- Messages of webhooks that wait or were given up, at most so many.
SELECT webhook, state, count(*)
FROM (SELECT webhook, state FROM sat.webhook_messages WHERE state IN ('waiting', 'dead') LIMIT :looked) AS unsettled
GROUP BY webhook, state;
