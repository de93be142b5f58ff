-- name: receive_callbacks(accounts, request_ids, digests, bodies, signatures, key_fingerprints, content_types, remote_addresses)
-- Keep a group of callbacks and announce the orders of the new ones. One row per callback, in the order given:
-- true when its bytes came for the first time. `announced` is read so that it is executed.
WITH stored AS MATERIALIZED (
    SELECT
        c.place,
        c.account,
        c.request_id,
        sat.receive_callback(
            c.account, c.request_id, c.digest, c.body, c.signature, c.key_fingerprint, c.content_type,
            c.remote_address
        ) AS is_new
    FROM unnest(
        :accounts::text[], :request_ids::text[], :digests::text[], :bodies::bytea[], :signatures::text[],
        :key_fingerprints::text[], :content_types::text[], :remote_addresses::text[]
    ) WITH ORDINALITY AS c (
        account, request_id, digest, body, signature, key_fingerprint, content_type, remote_address, place
    )
), announced AS MATERIALIZED (
    SELECT pg_notify(sat.callback_channel(fresh.account), named.payload)
    FROM (SELECT account, array_agg(request_id) AS request_ids FROM stored WHERE is_new GROUP BY account) AS fresh
    CROSS JOIN LATERAL sat.callback_payloads(fresh.account, fresh.request_ids) AS named (payload)
)
SELECT stored.is_new, (SELECT count(*) FROM announced)
FROM stored
ORDER BY stored.place;

-- name: is_reachable()$
-- Whether the database answers this role, and could keep a callback: a standby could not.
SELECT NOT current_setting('transaction_read_only')::boolean;

-- name: callbacks_of_order(account, request_id)
-- The verified callbacks of one order, by arrival, without their bodies.
SELECT
    i.received_at,
    i.key_fingerprint,
    i.remote_address,
    coalesce(r.repeats, 0),
    r.last_repeat_at,
    EXISTS (SELECT FROM sat.callback_queue AS q WHERE q.inbox_id = i.inbox_id)
FROM sat.callback_inbox AS i
LEFT JOIN sat.callback_repeats AS r USING (account, digest)
WHERE i.request_id = :request_id AND i.account = :account
ORDER BY i.inbox_id;

-- name: callbacks_of_orders(account, request_ids, limit)
-- What came for some orders of an account, with its bytes, by arrival; at most so many of each order.
SELECT i.request_id, i.body, i.signature, i.received_at
FROM unnest(:request_ids::text[]) AS asked (request_id)
CROSS JOIN LATERAL (
    SELECT c.inbox_id, c.request_id, c.body, c.signature, c.received_at
    FROM sat.callback_inbox AS c
    WHERE c.request_id = asked.request_id AND c.account = :account
    ORDER BY c.inbox_id DESC
    LIMIT :limit
) AS i
ORDER BY i.inbox_id;

-- name: callbacks_with_orders(account, settled_seconds, limit)
-- The next callbacks of an account's orders for the reader of misdirected ones, beside what was sent.
SELECT i.inbox_id, i.request_id, i.body, i.received_at, o.batch_id, o.product_code, o.client_number
FROM sat.callback_inbox AS i
JOIN sat.orders AS o ON o.request_id = i.request_id AND o.account = i.account
WHERE i.account = :account
  AND i.inbox_id > coalesce(
      (SELECT c.position FROM sat.log_cursors AS c WHERE c.reader = 'callbacks of ' || :account), 0
  )
  AND i.received_at < clock_timestamp() - make_interval(secs => :settled_seconds)
ORDER BY i.inbox_id
LIMIT :limit;

-- name: callbacks_were_read(account, inbox_id)!
-- The reader of misdirected callbacks has read up to here.
INSERT INTO sat.log_cursors AS c (reader, position) VALUES ('callbacks of ' || :account, :inbox_id)
ON CONFLICT (reader) DO UPDATE SET position = greatest(c.position, EXCLUDED.position);

-- name: count_refused(accounts, reasons, counts)
-- Add to this hour's counts of refused callbacks.
SELECT sat.count_refused_callbacks(:accounts::text[], :reasons::text[], :counts::bigint[]);
