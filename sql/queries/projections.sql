-- name: keep_derived_tables_in_place()!
-- Taken before the snapshot: a table that was emptied by TRUNCATE after it would look empty inside it.
LOCK TABLE sat.stream_heads, sat.orders, sat.order_movements, sat.batches, sat.accounts, sat.limit_usage,
    sat.product_prices, sat.breaks, sat.break_ages, sat.break_cursors IN ACCESS SHARE MODE;

-- name: keep_folded_tables_in_place()!
-- As an audit does, and only tables that the first release had: a replay runs before the schema is migrated.
LOCK TABLE sat.stream_heads, sat.orders, sat.batches, sat.accounts IN ACCESS SHARE MODE;

-- name: documents_of_orders(keys)
-- The rows of these orders, whatever columns the release that filled them had.
SELECT request_id, to_jsonb(o) FROM sat.orders AS o WHERE request_id = ANY (:keys);

-- name: documents_of_batches(keys)
-- The projections of these batches.
SELECT batch_id, document FROM sat.batches WHERE batch_id = ANY (:keys);

-- name: documents_of_accounts(keys)
-- The projections of these accounts.
SELECT account_id, document FROM sat.accounts WHERE account_id = ANY (:keys);

-- name: sums_of_orders(keys)
-- When these orders changed last, and what is summed of them, as OrderSums.
SELECT request_id, changed_at, committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at
FROM sat.orders
WHERE request_id = ANY (:keys);

-- name: movements_at(positions)
-- The movements at these positions.
SELECT
    position, request_id, occurred_at, mark, state, end_proof, sent_at, quote_rupiah, charged_rupiah,
    admin_fee_rupiah, partner_fee_rupiah, succeeded_rupiah, is_debited, is_doubted, is_mismatched, contradicts,
    is_remark
FROM sat.order_movements
WHERE position = ANY (:positions);

-- name: submissions_of_batches(keys)
-- Who submitted these batches, and when.
SELECT batch_id, submitted_by, submitted_at FROM sat.batches WHERE batch_id = ANY (:keys);

-- name: projections_without_events()
-- Rows of derived tables whose stream the log does not know.
SELECT 'orders', 'order/' || o.request_id
FROM sat.orders AS o
WHERE NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = 'order/' || o.request_id)
  AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = 'order/' || o.request_id)
UNION ALL
SELECT 'batches', 'batch/' || b.batch_id
FROM sat.batches AS b
WHERE NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = 'batch/' || b.batch_id)
UNION ALL
SELECT 'accounts', 'account/' || a.account_id
FROM sat.accounts AS a
WHERE NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = 'account/' || a.account_id)
ORDER BY 1, 2;

-- name: movements_without_events(types)
-- The first movement of each order at a position where the log has no event of that order that leaves one.
SELECT min(m.position), m.request_id
FROM sat.order_movements AS m
LEFT JOIN sat.events AS e
    ON e.position = m.position AND e.stream = 'order/' || m.request_id AND e.type = ANY (:types)
WHERE e.position IS NULL
  AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = 'order/' || m.request_id)
GROUP BY m.request_id
ORDER BY 1;

-- name: heads_without_events()
-- Heads of streams that the log does not know. An append that wrote nothing may leave one at version 0.
SELECT stream, version
FROM sat.stream_heads AS h
WHERE h.version > 0 AND NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = h.stream)
  AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = h.stream)
ORDER BY stream;

-- name: differing_product_prices()
-- Products whose intervals are not what the evidence of the snapshots says.
SELECT DISTINCT p.account || '/' || p.product_code
FROM (
    (TABLE sat.product_prices EXCEPT ALL TABLE sat.product_prices_by_evidence)
    UNION ALL
    (TABLE sat.product_prices_by_evidence EXCEPT ALL TABLE sat.product_prices)
) AS differing
LEFT JOIN sat.products AS p USING (product_id)
ORDER BY 1;

-- name: usage_by_scope()
-- The use of limits, by account and by what a limit applies to. What is used no more is left out.
SELECT account, scope, sum(orders)::bigint, sum(rupiah)::bigint
FROM sat.limit_usage
GROUP BY account, scope
HAVING sum(orders) <> 0 OR sum(rupiah) <> 0;

-- name: differing_usage(since)
-- Where the use of limits is not the sum of the orders that count: account and scope, what stands there, and what
-- should. With a day (WIB) only that day and later ones, found by index; else all days and batches.
WITH RECURSIVE accounts AS (
    (SELECT account FROM sat.orders WHERE counted_at IS NOT NULL ORDER BY account LIMIT 1)
    UNION ALL
    SELECT following.account
    FROM accounts AS a
    CROSS JOIN LATERAL (
        SELECT account FROM sat.orders
        WHERE counted_at IS NOT NULL AND account > a.account
        ORDER BY account
        LIMIT 1
    ) AS following
), stands AS (
    SELECT account, scope, sum(orders)::bigint AS orders, sum(rupiah)::bigint AS rupiah
    FROM sat.limit_usage
    WHERE scope >= coalesce('day/' || :since::date, '')
    GROUP BY account, scope
), counts AS (
    SELECT a.account, s.scope, count(*) AS orders, sum(o.committed_rupiah)::bigint AS rupiah
    FROM accounts AS a
    CROSS JOIN LATERAL (
        SELECT batch_id, counted_at, committed_rupiah
        FROM sat.orders
        WHERE account = a.account
          AND counted_at >= coalesce(:since::date::timestamp AT TIME ZONE 'Asia/Jakarta', '-infinity')
    ) AS o
    CROSS JOIN LATERAL (VALUES
        (('day/' || to_char(o.counted_at AT TIME ZONE 'Asia/Jakarta', 'YYYY-MM-DD')) COLLATE "C"),
        ('batch/' || o.batch_id)
    ) AS s (scope)
    WHERE s.scope >= coalesce('day/' || :since::date, '')
    GROUP BY a.account, s.scope
)
SELECT
    account, scope, coalesce(stands.orders, 0), coalesce(stands.rupiah, 0), coalesce(counts.orders, 0),
    coalesce(counts.rupiah, 0)
FROM stands
FULL JOIN counts USING (account, scope)
WHERE (coalesce(stands.orders, 0), coalesce(stands.rupiah, 0))
    <> (coalesce(counts.orders, 0), coalesce(counts.rupiah, 0))
ORDER BY account, scope;

-- name: one_repair_of_usage()!
-- Two repairs at once would each add what is missing. Appends and guards go on.
LOCK TABLE sat.limit_usage IN SHARE UPDATE EXCLUSIVE MODE;

-- name: wait_without_limit()!
-- An audit reads the whole log; the limits of ordinary statements do not fit it.
SET LOCAL statement_timeout = 0;

-- name: remove_breaks()!
-- Breaks are followed from the log again, from its beginning.
WITH breaks AS (DELETE FROM sat.breaks), ages AS (DELETE FROM sat.break_ages)
DELETE FROM sat.break_cursors;

-- name: lock_histories()!
-- Lock the price lists of every account until this transaction ends.
SELECT pg_advisory_xact_lock(sat.price_lock_class(), a.key)
FROM (SELECT DISTINCT hashtext(account) AS key FROM sat.products ORDER BY 1) AS a;

-- name: remove_product_prices()!
-- Deleted and not truncated: concurrent readers keep their snapshot.
DELETE FROM sat.product_prices;

-- name: refill_product_prices()!
-- Intervals of prices as the evidence of the snapshots says.
INSERT INTO sat.product_prices (
    product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
)
SELECT product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
FROM sat.product_prices_by_evidence
-- The index of the exclusion takes scattered keys in half the time that it takes sorted ones in.
ORDER BY md5(product_id::text), valid;

-- name: remove_rows_without_events()!
-- Rows of streams that the log does not know. An append writes a stream's events and its rows together.
WITH orders AS (
    DELETE FROM sat.orders AS o
    WHERE NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = 'order/' || o.request_id)
      AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = 'order/' || o.request_id)
), batches AS (
    DELETE FROM sat.batches AS b
    WHERE NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = 'batch/' || b.batch_id)
), accounts AS (
    DELETE FROM sat.accounts AS a
    WHERE NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = 'account/' || a.account_id)
)
DELETE FROM sat.stream_heads AS h
WHERE h.version > 0 AND NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = h.stream)
  AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = h.stream);

-- name: remove_movements_without_events(types)!
-- Movements at positions where the log has no event of their order that leaves one.
DELETE FROM sat.order_movements AS m
WHERE NOT EXISTS (
    SELECT FROM sat.events AS e
    WHERE e.position = m.position AND e.stream = 'order/' || m.request_id AND e.type = ANY (:types)
) AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = 'order/' || m.request_id);

-- name: streams_after(after, limit)
-- The next streams of the log that the database has from their beginning, by name.
SELECT DISTINCT e.stream
FROM sat.events AS e
WHERE e.stream > :after AND NOT EXISTS (SELECT FROM sat.archived_streams AS x WHERE x.stream = e.stream)
ORDER BY e.stream
LIMIT :limit;

-- name: lock_heads(streams)!
-- Keep appends to these streams out until the transaction ends, in the order in which appends lock them.
INSERT INTO sat.stream_heads (stream, version)
SELECT s.stream, 0
FROM unnest(:streams::text[]) AS s (stream)
ORDER BY s.stream
ON CONFLICT (stream) DO NOTHING;
SELECT h.stream FROM sat.stream_heads AS h WHERE h.stream = ANY (:streams) ORDER BY h.stream FOR UPDATE;

-- name: refill_heads(streams, versions)!
-- Heads as the log says.
UPDATE sat.stream_heads AS h
SET version = n.version
FROM unnest(:streams::text[], :versions::integer[]) AS n (stream, version)
WHERE h.stream = n.stream AND h.version <> n.version;

-- name: refill_orders(orders)!
-- Orders as their events say. Rows that are right stay as they are.
DELETE FROM sat.orders AS o
USING jsonb_populate_recordset(NULL::sat.orders, :orders::jsonb) AS r
WHERE o.request_id = r.request_id AND o IS DISTINCT FROM r;
INSERT INTO sat.orders
SELECT r.*
FROM jsonb_populate_recordset(NULL::sat.orders, :orders::jsonb) AS r
ORDER BY r.request_id
ON CONFLICT (request_id) DO NOTHING;

-- name: refill_movements(movements)!
-- Movements as the events of their orders say. Rows that are right stay where they are: a day is found by
-- summaries of ranges of pages.
DELETE FROM sat.order_movements AS m
USING jsonb_populate_recordset(NULL::sat.order_movements, :movements::jsonb) AS r
WHERE m.position = r.position AND m IS DISTINCT FROM r;
INSERT INTO sat.order_movements
SELECT r.*
FROM jsonb_populate_recordset(NULL::sat.order_movements, :movements::jsonb) AS r
ORDER BY r.position
ON CONFLICT (position) DO NOTHING;

-- name: refill_batches(keys, documents, submitted_by, submitted_at)!
-- Batches as their events say.
INSERT INTO sat.batches AS b (batch_id, document, submitted_by, submitted_at)
SELECT *
FROM unnest(:keys::text[], :documents::jsonb[], :submitted_by::text[], :submitted_at::timestamptz[])
ON CONFLICT (batch_id) DO UPDATE SET
    document = EXCLUDED.document, submitted_by = EXCLUDED.submitted_by, submitted_at = EXCLUDED.submitted_at
WHERE (b.document, b.submitted_by, b.submitted_at)
    IS DISTINCT FROM (EXCLUDED.document, EXCLUDED.submitted_by, EXCLUDED.submitted_at);

-- name: refill_accounts(keys, documents)!
-- Accounts as their events say.
INSERT INTO sat.accounts AS a (account_id, document)
SELECT * FROM unnest(:keys::text[], :documents::jsonb[])
ON CONFLICT (account_id) DO UPDATE SET document = EXCLUDED.document
WHERE a.document IS DISTINCT FROM EXCLUDED.document;

-- name: kept_shape()$
-- The shape of the derived tables, as the release that filled them left it.
SELECT obj_description('sat'::regnamespace, 'pg_namespace');

-- name: keep_shape(shape)!
-- Remember the shape of the derived tables.
COMMENT ON SCHEMA sat IS :shape;
