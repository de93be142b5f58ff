-- name: enroll(batch_id, account, due_at, late_due_at, late_since)!
-- Put every order in flight of a batch, or of an account, on the schedule; those that are there keep their place.
-- Of an account, also what was handed to people and was sent since `late_since`: seldom, for an end that comes late.
-- And reversals that a signed Success has put in doubt since then.
INSERT INTO sat.poll_schedule (request_id, account, batch_id, due_at)
SELECT request_id, account, batch_id, :due_at
FROM sat.orders
WHERE (:batch_id::text IS NULL OR batch_id = :batch_id)
  AND (:account::text IS NULL OR account = :account)
  AND state IN ('submitting', 'pending', 'unknown')
UNION ALL
SELECT request_id, account, batch_id, :late_due_at
FROM sat.orders
WHERE account = :account AND state = 'escalated'
  AND changed_at > :late_since AND first_sent_at > :late_since
UNION ALL
SELECT request_id, account, batch_id, :due_at
FROM sat.orders
WHERE account = :account AND state = 'reversed'
  AND changed_at > :late_since AND sat.moment(document ->> 'doubted_at') > :late_since
ON CONFLICT (request_id) DO NOTHING;

-- name: enroll_batches(batch_ids, account, due_at)!
-- Put the orders in flight of these batches of an account on the schedule, as `enroll` does.
INSERT INTO sat.poll_schedule (request_id, account, batch_id, due_at)
SELECT o.request_id, o.account, o.batch_id, :due_at
FROM sat.orders AS o
WHERE o.account = :account
  AND o.state IN ('submitting', 'pending', 'unknown')
  AND o.batch_id = ANY (:batch_ids)
  AND NOT EXISTS (SELECT FROM sat.poll_schedule AS p WHERE p.request_id = o.request_id)
ON CONFLICT (request_id) DO NOTHING;

-- name: hasten(batch_id, account, batch_ids, due_at)
-- Callbacks that came for orders of a batch, or of an account, make those orders due at once, and leave the queue.
WITH called AS (
    DELETE FROM sat.callback_queue
    WHERE inbox_id IN (
        SELECT q.inbox_id
        FROM sat.callback_queue AS q
        JOIN sat.orders AS o ON o.request_id = q.request_id AND o.account = q.account
        WHERE (:batch_id::text IS NULL OR o.batch_id = :batch_id)
          AND (:account::text IS NULL OR o.account = :account)
          AND (:batch_ids::text[] IS NULL OR o.batch_id = ANY (:batch_ids))
          AND o.state NOT IN ('received', 'quoted')
        FOR UPDATE OF q SKIP LOCKED
    )
    RETURNING request_id
)
INSERT INTO sat.poll_schedule AS p (request_id, account, batch_id, due_at)
SELECT DISTINCT o.request_id, o.account, o.batch_id, :due_at::timestamptz
FROM called
JOIN sat.orders AS o USING (request_id)
ORDER BY o.request_id
ON CONFLICT (request_id) DO UPDATE SET due_at = least(p.due_at, EXCLUDED.due_at)
RETURNING p.request_id;

-- name: ask_now(request_ids, due_at)
-- Make orders due at once, whatever their state, if they may have been sent.
INSERT INTO sat.poll_schedule AS p (request_id, account, batch_id, due_at)
SELECT request_id, account, batch_id, :due_at::timestamptz
FROM sat.orders
WHERE request_id = ANY (:request_ids) AND state NOT IN ('received', 'rejected', 'quoted', 'held', 'cancelled')
ORDER BY request_id
ON CONFLICT (request_id) DO UPDATE SET due_at = least(p.due_at, EXCLUDED.due_at)
RETURNING p.request_id;

-- name: forget_strangers(account, before)!
-- What was called back before a moment, of orders of an account that are not known here, waits no longer.
DELETE FROM sat.callback_queue AS q
WHERE q.account = :account
  AND q.received_at < :before
  AND NOT EXISTS (SELECT FROM sat.orders AS o WHERE o.request_id = q.request_id AND o.account = q.account);

-- name: claim_due(batch_id, account, batch_ids, now, lease_until, limit)
-- Lease orders that are due.
UPDATE sat.poll_schedule AS p
SET due_at = :lease_until, polls = p.polls + 1
WHERE p.request_id IN (
    SELECT s.request_id
    FROM sat.poll_schedule AS s
    WHERE (:batch_id::text IS NULL OR s.batch_id = :batch_id)
      AND (:account::text IS NULL OR s.account = :account)
      AND (:batch_ids::text[] IS NULL OR s.batch_id = ANY (:batch_ids))
      AND s.due_at <= :now
    ORDER BY s.due_at, s.request_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
RETURNING p.request_id, p.polls;

-- name: reschedule(request_ids, due_ats, lease_until)!
-- When each order is asked about next. One that a callback hastened since it was claimed keeps its place: the
-- answer that was just recorded may be older than what the callback was about.
UPDATE sat.poll_schedule AS p
SET due_at = n.due_at
FROM (
    SELECT unnest(:request_ids::text[]) AS request_id, unnest(:due_ats::timestamptz[]) AS due_at
) AS n
WHERE p.request_id = n.request_id AND p.due_at = :lease_until;

-- name: forget(request_ids, lease_until)!
-- These orders need no more questions, unless a callback came for them since they were claimed.
DELETE FROM sat.poll_schedule WHERE request_id = ANY (:request_ids) AND due_at = :lease_until;

-- name: next_due(batch_id, account, batch_ids)$
-- When the next question of a batch is due.
SELECT min(due_at)
FROM sat.poll_schedule
WHERE (:batch_id::text IS NULL OR batch_id = :batch_id)
  AND (:account::text IS NULL OR account = :account)
  AND (:batch_ids::text[] IS NULL OR batch_id = ANY (:batch_ids));

-- name: accounts_of_batches(batch_ids)
-- The account of each of these batches.
SELECT batch_id, account FROM sat.batches WHERE batch_id = ANY (:batch_ids);

-- name: in_flight_of_batches(account, batch_ids)
-- How many orders of these batches are in flight; batches without any have no row.
SELECT batch_id, count(*)
FROM sat.orders
WHERE account = :account
  AND state IN ('submitting', 'pending', 'unknown')
  AND batch_id = ANY (:batch_ids)
GROUP BY batch_id;

-- name: states_of_orders(account, request_ids)
-- The state of each of these orders.
SELECT request_id, state FROM sat.orders WHERE account = :account AND request_id = ANY (:request_ids);
