-- name: read_in_bulk()!
-- A day is read in a few large statements; the limits of ordinary ones do not fit them.
SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '256MB'; SET LOCAL jit = off;

-- name: input_position(closed_position, day, bookkeeping)$
-- The last settled event that may change the close of a day. What closing that day or a later one wrote itself
-- does not.
SELECT position
FROM sat.events
WHERE position <= :closed_position
  AND (NOT type = ANY (:bookkeeping) OR data::jsonb ->> 'day' < :day)
ORDER BY position DESC
LIMIT 1;

-- name: received(account, since, position)
-- What never changes of the orders that were taken in since then.
SELECT substr(e.stream, 7), r.order_id, r.batch_id, r.row_number, r.product_code,
    left(r.client_number, 4) || '***' || right(r.client_number, 3)
FROM sat.events AS e
CROSS JOIN LATERAL jsonb_to_record(e.data::jsonb) AS r (
    account text, order_id text, batch_id text, row_number integer, product_code text, client_number text
)
WHERE e.type = 'OrderReceived' AND e.occurred_at >= :since AND e.position <= :position
  AND r.account = :account;

-- name: received_of(account, streams, position)
-- What never changes of these orders, those of other accounts left out.
SELECT substr(e.stream, 7), r.order_id, r.batch_id, r.row_number, r.product_code,
    left(r.client_number, 4) || '***' || right(r.client_number, 3)
FROM sat.events AS e
CROSS JOIN LATERAL jsonb_to_record(e.data::jsonb) AS r (
    account text, order_id text, batch_id text, row_number integer, product_code text, client_number text
)
WHERE e.stream = ANY (:streams) AND e.version = 1 AND e.type = 'OrderReceived' AND e.position <= :position
  AND r.account = :account;

-- name: moves(since, streams, types, position, before, opens_at, closes_at, opening_at, closing_at)
-- Every order about which something happened since a moment, and these streams from their beginning, folded: one
-- row each, numbers only. A packed number has the version above, so the largest is the latest. Amounts fit into
-- 40 bits (a trillion rupiah).
WITH chosen AS (
    SELECT stream, version, position, occurred_at, type, data, digest
    FROM sat.events
    WHERE occurred_at >= :since AND type = ANY (:types)
    UNION ALL
    SELECT stream, version, position, occurred_at, type, data, digest
    FROM sat.events
    WHERE stream = ANY (:streams) AND type = ANY (:types)
),
read AS (
    SELECT
        stream, version::bigint AS version, position, occurred_at, type,
        array_position(:types, type) AS code,
        CASE WHEN type IN (
            'CheckoutRequested', 'CheckoutAccepted', 'OrderPending', 'OrderSucceeded', 'OrderFailed',
            'OrderReversed'
        ) THEN data::jsonb END AS facts,
        ('x' || left(digest, 15))::bit(60)::bigint AS mark
    FROM chosen
    OFFSET 0  -- so that a document is read once
),
numbered AS (
    SELECT
        *,
        version << 5 | code AS step,
        version << 40 | (facts ->> 'price_rupiah')::bigint AS price,
        version << 40 | (facts ->> 'sales_price_rupiah')::bigint AS charge,
        version << 40 | (facts ->> 'admin_fee_rupiah')::bigint AS admin_fee,
        version << 40 | (facts ->> 'partner_fee_rupiah')::bigint AS partner_fee,
        position <= :position AS is_known,
        type NOT IN ('StatusNotFound', 'EvidenceContradicted') AS is_step,
        type IN ('CheckoutAccepted', 'OrderPending', 'OrderSucceeded', 'OrderFailed', 'OrderReversed',
            'SucceededByOperator', 'FailedByOperator') AS proves_debit,
        position <= :position AND occurred_at >= :opens_at AND occurred_at < :closes_at AS is_in_day
    FROM read
)
SELECT
    substr(stream, 7),
    bool_or(type = 'CheckoutRequested' AND (facts ->> 'attempt') = '1')::integer,
    count(*) FILTER (WHERE is_known AND type = 'CheckoutRequested'),
    count(*) FILTER (WHERE is_known AND type = 'CheckoutNotSent'),
    count(*) FILTER (WHERE is_known AND type NOT IN ('CheckoutRequested', 'CheckoutNotSent')),
    coalesce(max(step) FILTER (WHERE is_known AND is_step), 0),
    coalesce(max(step) FILTER (WHERE is_known AND is_step AND occurred_at < :opening_at), 0),
    coalesce(max(step) FILTER (WHERE is_known AND is_step AND occurred_at < :closing_at), 0),
    coalesce(max(step) FILTER (WHERE position <= :before AND is_step), 0),
    coalesce(max(version) FILTER (WHERE is_known AND type = 'StatusNotFound'), 0),
    coalesce(max(version) FILTER (WHERE is_known AND type = 'EvidenceContradicted'), 0),
    coalesce(max(price) FILTER (WHERE is_known), 0) & 1099511627775,
    coalesce(max(charge) FILTER (WHERE is_known), -1),
    coalesce(max(charge) FILTER (WHERE position <= :before), -1),
    coalesce(max(admin_fee) FILTER (WHERE is_known), 0) & 1099511627775,
    coalesce(max(partner_fee) FILTER (WHERE is_known), 0) & 1099511627775,
    bool_or(is_known AND proves_debit)::integer,
    coalesce((extract(epoch FROM min(occurred_at) FILTER (
        WHERE is_known AND type = 'CheckoutRequested')) * 1000000)::bigint, -1),
    coalesce((extract(epoch FROM min(occurred_at) FILTER (
        WHERE is_known AND type IN ('CheckoutRejected', 'OrderSucceeded', 'OrderFailed', 'OrderReversed',
            'SucceededByOperator', 'FailedByOperator'))) * 1000000)::bigint, -1),
    coalesce((extract(epoch FROM max(occurred_at) FILTER (WHERE is_known AND is_step)) * 1000000)::bigint, -1),
    coalesce(max(position) FILTER (WHERE is_known), 0),
    count(*) FILTER (WHERE is_in_day),
    coalesce(bit_xor(mark) FILTER (WHERE is_in_day), 0)
FROM numbered
GROUP BY stream;

-- name: in_flight(account)
-- Orders whose end is not known now; whichever day they came from.
SELECT request_id
FROM sat.orders
WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated');
