-- name: keep_derived_tables_in_place()!
-- Taken before the snapshot: a table that was emptied by TRUNCATE after it would look empty inside it.
LOCK TABLE sat.stream_heads, sat.orders, sat.order_movements, sat.batches, sat.accounts, sat.product_prices,
    sat.breaks, sat.break_ages, sat.break_cursors IN ACCESS SHARE MODE;

-- name: keep_folded_tables_in_place()!
-- As an audit does, and only tables that the first release had: a replay runs before the schema is migrated.
LOCK TABLE sat.stream_heads, sat.orders, sat.batches, sat.accounts IN ACCESS SHARE MODE;

-- name: documents_of_orders(keys)
-- The projections of these orders.
SELECT request_id, document FROM sat.orders WHERE request_id = ANY (:keys);

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
GROUP BY m.request_id
ORDER BY 1;

-- name: heads_without_events()
-- Heads of streams that the log does not know. An append that wrote nothing may leave one at version 0.
SELECT stream, version
FROM sat.stream_heads AS h
WHERE h.version > 0 AND NOT EXISTS (SELECT FROM sat.events AS e WHERE e.stream = h.stream)
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

-- name: wait_without_limit()!
-- An audit reads the whole log; the limits of ordinary statements do not fit it.
SET LOCAL statement_timeout = 0;

-- name: lock_log()!
-- Lock out appends and closed positions until this transaction ends.
SELECT pg_advisory_xact_lock(sat.log_lock_key());

-- name: empty_derived_tables()!
-- Deleted and not truncated: concurrent readers keep their snapshot.
WITH orders AS (DELETE FROM sat.orders), movements AS (DELETE FROM sat.order_movements), batches AS (DELETE FROM sat.batches),
    accounts AS (DELETE FROM sat.accounts), prices AS (DELETE FROM sat.product_prices),
    breaks AS (DELETE FROM sat.breaks), ages AS (DELETE FROM sat.break_ages),
    followed AS (DELETE FROM sat.break_cursors)
DELETE FROM sat.stream_heads;

-- name: refill_product_prices()!
-- Intervals of prices as the evidence of the snapshots says.
INSERT INTO sat.product_prices (
    product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
)
SELECT product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
FROM sat.product_prices_by_evidence
-- The index of the exclusion takes scattered keys in half the time that it takes sorted ones in.
ORDER BY md5(product_id::text), valid;

-- name: collect_movements()!
-- Movements come stream by stream, and are put in order when all are there.
CREATE UNLOGGED TABLE sat.refilled_movements (LIKE sat.order_movements);

-- name: refill_heads(streams, versions)!
-- Heads as the log says.
INSERT INTO sat.stream_heads (stream, version)
SELECT * FROM unnest(:streams::text[], :versions::integer[]);

-- name: refill_orders(orders)!
-- Orders as their events say.
INSERT INTO sat.orders (
    request_id, document, changed_at, committed_rupiah, is_reservable, outstanding_until, refundable_until,
    counted_at
)
SELECT
    o.document ->> 'request_id', o.document, o.changed_at, o.committed_rupiah, o.is_reservable,
    o.outstanding_until, o.refundable_until, o.counted_at
FROM jsonb_to_recordset(:orders::jsonb) AS o (
    document jsonb, changed_at timestamptz, committed_rupiah bigint, is_reservable boolean, outstanding_until timestamptz,
    refundable_until timestamptz, counted_at timestamptz
);

-- name: refill_movements(movements)!
-- Movements as the events of their orders say.
INSERT INTO sat.refilled_movements
SELECT m.*
FROM jsonb_populate_recordset(NULL::sat.order_movements, :movements::jsonb) AS m;

-- name: refill_batches(keys, documents, submitted_by, submitted_at)!
-- Batches as their events say.
INSERT INTO sat.batches (batch_id, document, submitted_by, submitted_at)
SELECT *
FROM unnest(:keys::text[], :documents::jsonb[], :submitted_by::text[], :submitted_at::timestamptz[]);

-- name: refill_accounts(keys, documents)!
-- Accounts as their events say.
INSERT INTO sat.accounts (account_id, document)
SELECT * FROM unnest(:keys::text[], :documents::jsonb[]);

-- name: put_movements_in_order()!
-- A day is found by summaries of ranges of pages, which tell days apart only if rows are stored by their time.
INSERT INTO sat.order_movements SELECT * FROM sat.refilled_movements ORDER BY position;
DROP TABLE sat.refilled_movements;

-- name: kept_shape()$
-- The shape of the derived tables, as the release that filled them left it.
SELECT obj_description('sat'::regnamespace, 'pg_namespace');

-- name: keep_shape(shape)!
-- Remember the shape of the derived tables.
COMMENT ON SCHEMA sat IS :shape;
