-- name: read_in_bulk()!
-- A day is read in a few large statements.
SET LOCAL work_mem = '256MB'; SET LOCAL jit = off;

-- name: input_position(closed_position, day, bookkeeping)$
-- The last settled event that may change the close of a day. What closing that day or a later one wrote itself
-- does not.
SELECT position
FROM sat.events
WHERE position <= :closed_position
  AND CASE WHEN type = ANY (:bookkeeping) THEN data::jsonb ->> 'day' < :day ELSE true END
ORDER BY position DESC
LIMIT 1;

-- name: beginnings(since, streams, position)
-- What the newest row says of the orders that were taken in since a moment, and of these.
SELECT substr(e.stream, 7), r.account, r.order_id, r.batch_id, r.row_number, r.product_code,
    left(r.client_number, 4) || '***' || right(r.client_number, 3),
    ('x' || left(md5(r.client_number), 15))::bit(60)::bigint
FROM (
    SELECT DISTINCT ON (stream) stream, data
    FROM (
        SELECT stream, version, data
        FROM sat.events
        WHERE type = 'OrderReceived' AND occurred_at >= :since AND position <= :position
        UNION ALL
        SELECT stream, version, data
        FROM sat.events
        WHERE stream = ANY (:streams) AND type = 'OrderReceived' AND position <= :position
    ) AS received
    ORDER BY stream, version DESC
) AS e
CROSS JOIN LATERAL jsonb_to_record(e.data::jsonb) AS r (
    account text, order_id text, batch_id text, row_number integer, product_code text, client_number text
);

-- name: movements(since, streams, position)
-- What happened to sent orders since a moment, and to the orders of these streams from their beginning; times in
-- microseconds.
SELECT
    m.request_id, m.position, round(date_part('epoch', m.occurred_at) * 1000000)::bigint,
    coalesce(round(date_part('epoch', m.sent_at) * 1000000)::bigint, -1), m.mark, m.quote_rupiah,
    coalesce(m.charged_rupiah, -1), m.admin_fee_rupiah, m.partner_fee_rupiah, m.succeeded_rupiah,
    m.is_debited::integer, m.is_doubted::integer, m.is_mismatched::integer, m.contradicts::integer,
    m.is_remark::integer, m.state, m.end_proof
FROM (
    SELECT * FROM sat.order_movements WHERE occurred_at >= :since AND position <= :position
    UNION ALL
    SELECT m.*
    FROM sat.events AS e
    JOIN sat.order_movements AS m USING (position)
    WHERE e.stream = ANY (:streams) AND e.position <= :position
) AS m;

-- name: waiting(account, position, sent_before)
-- Orders whose end is not known now, whichever day they came from, and those that were sent before a moment and to
-- which something happened after a position.
SELECT request_id
FROM sat.orders
WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated')
UNION
SELECT request_id FROM sat.order_movements WHERE position > :position AND sent_at < :sent_before;

-- name: waiting_by_log(account, position, sent_before, types)
-- The same, with what happened as the log itself says.
SELECT request_id
FROM sat.orders
WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated')
UNION
SELECT substr(e.stream, 7)
FROM sat.events AS e
WHERE e.position > :position AND e.type = ANY (:types) AND EXISTS (
    SELECT FROM sat.events AS s
    WHERE s.stream = e.stream AND s.type = 'CheckoutRequested' AND s.occurred_at < :sent_before
);

-- name: events_of_moved_orders(since, types, up_to_position)
-- All events of the orders to which something happened since a moment; by stream, by version.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position <= :up_to_position AND stream IN (
    SELECT stream
    FROM sat.events
    WHERE occurred_at >= :since AND position <= :up_to_position AND type = ANY (:types)
)
ORDER BY stream, version;

-- name: totals(types, position, opens_at, closes_at)
-- The day counted once more, event by event and without any fold, for all accounts: how many, what sum, which
-- digest, how many first sendings.
SELECT
    count(*),
    coalesce(bit_xor(('x' || left(digest, 15))::bit(60)::bigint), 0),
    -- At most 1,000,000,000,000: what is more is no amount.
    coalesce(sum(substring(data FROM '"sales_price_rupiah":([0-9]{1,12}|10{12})[,}]')::bigint) FILTER (
        WHERE type = 'OrderSucceeded'), 0)::bigint,
    count(*) FILTER (WHERE type = 'CheckoutRequested' AND data ~ '"attempt":1[,}]')
FROM sat.events
WHERE occurred_at >= :opens_at AND occurred_at < :closes_at AND position <= :position AND type = ANY (:types);

-- name: signed_ends(streams, position, opens_at, closes_at)
-- The signed ends of the day, and all of these streams, held against the signed texts that are kept: a row for
-- each, with what was found. Of those that agree only what is counted.
WITH ends AS (
    SELECT
        substr(e.stream, 7) AS request_id, e.position, e.facts ->> 'evidence_digest' AS digest,
        CASE e.type WHEN 'OrderSucceeded' THEN 'Success' ELSE 'Failed' END AS our_status,
        (e.facts ->> 'sales_price_rupiah')::bigint AS our_rupiah
    FROM (
        SELECT stream, position, type, data::jsonb AS facts
        FROM sat.events
        WHERE occurred_at >= :opens_at AND occurred_at < :closes_at AND position <= :position
          AND type IN ('OrderSucceeded', 'OrderFailed', 'OrderReversed')
        UNION ALL
        SELECT stream, position, type, data::jsonb
        FROM sat.events
        WHERE stream = ANY (:streams) AND position <= :position
          AND type IN ('OrderSucceeded', 'OrderFailed', 'OrderReversed')
        OFFSET 0
    ) AS e
),
beside AS (
    SELECT
        e.request_id, e.position, e.digest, e.our_status, e.our_rupiah,
        v.digest IS NOT NULL AS is_kept,
        v.digest = encode(sha256(convert_to(v.body, 'UTF8')), 'hex') AS is_unchanged,
        v.request_id AS their_request_id,
        -- A text that jsonb refuses was readable for us once; it is a finding, not an error.
        CASE WHEN pg_input_is_valid(v.body, 'jsonb') THEN v.body::jsonb #> '{data,attributes}' END AS said
    FROM ends AS e
    LEFT JOIN sat.status_evidence AS v ON v.digest = e.digest
    OFFSET 0
),
read AS (
    SELECT
        *,
        said ->> 'status' AS their_status,
        -- For a plain number the functions are left out: they would cost more than the rest of the row.
        CASE WHEN jsonb_typeof(said -> 'sales_price') = 'number' AND said ->> 'sales_price' ~ '^[0-9]{1,12}$'
            THEN (said ->> 'sales_price')::bigint
            ELSE sat.named_amount(said -> 'sales_price')
        END AS their_rupiah,
        concat_ws(', ',
            CASE WHEN jsonb_typeof(said -> 'sales_price') = 'number' AND said ->> 'sales_price' ~ '^[0-9]{1,12}$' THEN NULL
                WHEN sat.is_no_amount(said -> 'sales_price') THEN 'sales_price' END,
            CASE WHEN jsonb_typeof(said -> 'admin_fee') = 'number' AND said ->> 'admin_fee' ~ '^[0-9]{1,12}$' THEN NULL
                WHEN sat.is_no_amount(said -> 'admin_fee') THEN 'admin_fee' END,
            CASE WHEN jsonb_typeof(said -> 'partner_fee') = 'number' AND said ->> 'partner_fee' ~ '^[0-9]{1,12}$' THEN NULL
                WHEN sat.is_no_amount(said -> 'partner_fee') THEN 'partner_fee' END
        ) AS no_amounts
    FROM beside
    OFFSET 0
),
judged AS (
    SELECT
        request_id, position, digest, our_status, our_rupiah, their_status, their_rupiah, no_amounts,
        CASE
            WHEN NOT is_kept THEN 'missing'
            WHEN NOT is_unchanged THEN 'changed'
            WHEN their_request_id <> request_id THEN 'other_order'
            WHEN said IS NULL THEN 'unreadable'
            WHEN their_status IS DISTINCT FROM our_status THEN 'status'
            WHEN no_amounts <> '' THEN 'unknown_amount'
            WHEN their_rupiah IS DISTINCT FROM our_rupiah THEN 'amount'
            ELSE 'agrees'
        END AS finding
    FROM read
)
SELECT
    request_id, position, CASE WHEN finding <> 'agrees' THEN digest END, our_status, coalesce(our_rupiah, 0),
    CASE WHEN finding = 'unknown_amount' THEN no_amounts
        ELSE left(translate(their_status, E'\r\n', '  '), 100) END,
    coalesce(their_rupiah, 0), finding
FROM judged;

-- name: ended_again(since, position, ends)
-- Orders that had ended up to one position, and that ended again after it.
SELECT DISTINCT substr(e.stream, 7)
FROM sat.events AS e
WHERE e.position > :since AND e.position <= :position AND e.type = ANY (:ends)
  AND EXISTS (
    SELECT FROM sat.events AS b
    WHERE b.stream = e.stream AND b.version < e.version AND b.position <= :since AND b.type = ANY (:ends)
  )
ORDER BY 1;

-- name: ended_by_people(account, since)
-- Orders that a person ended since then, and that no signed status has ended after all.
SELECT DISTINCT o.request_id
FROM sat.events AS e
JOIN sat.orders AS o ON o.request_id = substr(e.stream, 7)
WHERE e.occurred_at >= :since AND e.type IN ('SucceededByOperator', 'FailedByOperator')
  AND o.account = :account AND (o.document ->> 'ended_by_operator')::boolean
ORDER BY 1;
