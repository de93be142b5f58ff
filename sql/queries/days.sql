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

-- name: beginnings(since, streams, position, first, beyond)
-- What is said of the orders that were taken in since a moment, and of these; an order that was received again has
-- a row for each time.
SELECT substr(e.stream, 7), e.version, e.facts ->> 'account', e.facts ->> 'order_id', e.facts ->> 'batch_id',
    e.facts ->> 'row_number', e.facts ->> 'product_code',
    left(e.facts ->> 'client_number', 4) || '***' || right(e.facts ->> 'client_number', 3),
    ('x' || left(md5(e.facts ->> 'client_number'), 15))::bit(60)::bigint
FROM (
    SELECT stream, version, data::jsonb AS facts
    FROM sat.events
    WHERE type = 'OrderReceived' AND occurred_at >= :since AND position <= :position
      AND stream COLLATE "C" >= 'order/' || :first AND stream COLLATE "C" < 'order/' || :beyond
    UNION ALL
    SELECT stream, version, data::jsonb
    FROM sat.events
    WHERE stream = ANY (:streams) AND type = 'OrderReceived' AND position <= :position
    OFFSET 0
) AS e;

-- name: movements(since, streams, position, first, beyond)
-- What happened to sent orders since a moment, and to the orders of these streams from their beginning; times in
-- microseconds.
SELECT
    m.request_id, m.position, round(date_part('epoch', m.occurred_at) * 1000000)::bigint,
    coalesce(round(date_part('epoch', m.sent_at) * 1000000)::bigint, -1), m.mark, m.quote_rupiah,
    coalesce(m.charged_rupiah, -1), m.admin_fee_rupiah, m.partner_fee_rupiah, m.succeeded_rupiah,
    m.is_debited::integer, m.is_doubted::integer, m.is_mismatched::integer, m.contradicts::integer,
    m.is_remark::integer, m.state, m.end_proof
FROM (
    SELECT *
    FROM sat.order_movements
    WHERE occurred_at >= :since AND position <= :position
      AND request_id COLLATE "C" >= :first AND request_id COLLATE "C" < :beyond
    UNION ALL
    SELECT m.*
    FROM sat.events AS e
    JOIN sat.order_movements AS m USING (position)
    WHERE e.stream = ANY (:streams) AND e.position <= :position
) AS m;

-- name: movements_since(since, position)$
-- How many movements of all accounts there are since a moment.
SELECT count(*) FROM sat.order_movements WHERE occurred_at >= :since AND position <= :position;

-- name: waiting(account, position, sent_before, first, beyond)
-- Orders whose end is not known now, whichever day they came from, and those that were sent before a moment and to
-- which something happened after a position.
SELECT request_id
FROM (
    SELECT request_id
    FROM sat.orders
    WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated')
    UNION
    SELECT request_id FROM sat.order_movements WHERE position > :position AND sent_at < :sent_before
) AS w
WHERE request_id COLLATE "C" >= :first AND request_id COLLATE "C" < :beyond;

-- name: waiting_by_log(account, position, sent_before, types, first, beyond)
-- The same, with what happened as the log itself says.
SELECT request_id
FROM (
    SELECT request_id
    FROM sat.orders
    WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated')
    UNION
    SELECT substr(e.stream, 7)
    FROM sat.events AS e
    WHERE e.position > :position AND e.type = ANY (:types) AND EXISTS (
        SELECT FROM sat.events AS s
        WHERE s.stream = e.stream AND s.type = 'CheckoutRequested' AND s.occurred_at < :sent_before
    )
) AS w
WHERE request_id COLLATE "C" >= :first AND request_id COLLATE "C" < :beyond;

-- name: events_of_moved_orders(since, types, up_to_position, first, beyond)
-- All events of the orders to which something happened since a moment; by stream, by version.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position <= :up_to_position AND stream IN (
    SELECT stream
    FROM sat.events
    WHERE occurred_at >= :since AND position <= :up_to_position AND type = ANY (:types)
      AND stream COLLATE "C" >= 'order/' || :first AND stream COLLATE "C" < 'order/' || :beyond
)
ORDER BY stream, version;

-- name: totals(types, position, opens_at, closes_at)
-- The day counted once more, event by event and without any fold, for all accounts: how many, what sum, which
-- digest, how many first sendings.
SELECT
    count(*),
    coalesce(bit_xor(('x' || left(digest, 15))::bit(60)::bigint), 0),
    -- At most 1,000,000,000,000: what is more is no amount. A pattern would cost more than all the rest.
    coalesce(sum(named::bigint) FILTER (
        WHERE length(named) BETWEEN 1 AND 13 AND ltrim(named, '0123456789') = ''
          AND (length(named) < 13 OR named = '1000000000000')), 0)::bigint,
    count(*) FILTER (WHERE type = 'CheckoutRequested' AND data ~ '"attempt":1[,}]')
FROM (
    SELECT
        type, data, digest,
        CASE type WHEN 'OrderSucceeded' THEN
            split_part(translate(split_part(data, '"sales_price_rupiah":', 2), '}', ','), ',', 1)
        END AS named
    FROM sat.events
    WHERE occurred_at >= :opens_at AND occurred_at < :closes_at AND position <= :position AND type = ANY (:types)
) AS e;

-- name: signed_ends(streams, position, opens_at, closes_at, first, beyond)
-- The signed ends of the day, and all of these streams, held against the signed texts that are kept: a row for
-- each, with what was found. Of those that agree only what is counted.
WITH ends AS (
    SELECT
        substr(e.stream, 7) AS request_id, e.position,
        -- Cut from our own text: parsing it would take as long as reading it.
        split_part(split_part(e.data, '"evidence_digest":"', 2), '"', 1) AS digest,
        CASE e.type WHEN 'OrderSucceeded' THEN 'Success' ELSE 'Failed' END AS our_status,
        nullif(
            split_part(translate(split_part(e.data, '"sales_price_rupiah":', 2), '}', ','), ',', 1), 'null'
        )::bigint AS our_rupiah
    FROM (
        SELECT stream, position, type, data
        FROM sat.events
        WHERE occurred_at >= :opens_at AND occurred_at < :closes_at AND position <= :position
          AND type IN ('OrderSucceeded', 'OrderFailed', 'OrderReversed')
          AND stream COLLATE "C" >= 'order/' || :first AND stream COLLATE "C" < 'order/' || :beyond
        UNION ALL
        SELECT stream, position, type, data
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
told AS (
    SELECT
        request_id, position, digest, our_status, our_rupiah, is_kept, is_unchanged, their_request_id, said,
        said ->> 'status' AS their_status, said ->> 'sales_price' AS sales_price,
        said ->> 'admin_fee' AS admin_fee, said ->> 'partner_fee' AS partner_fee
    FROM beside
    OFFSET 0
),
read AS (
    SELECT
        request_id, position, digest, our_status, our_rupiah, is_kept, is_unchanged, their_request_id, said,
        their_status,
        CASE WHEN is_plain THEN sales_price::bigint ELSE sat.named_amount(said -> 'sales_price') END
            AS their_rupiah,
        CASE WHEN is_plain THEN '' ELSE concat_ws(', ',
            CASE WHEN sat.is_no_amount(said -> 'sales_price') THEN 'sales_price' END,
            CASE WHEN sat.is_no_amount(said -> 'admin_fee') THEN 'admin_fee' END,
            CASE WHEN sat.is_no_amount(said -> 'partner_fee') THEN 'partner_fee' END
        ) END AS no_amounts
    FROM (
        -- Three plain numbers need no function, which would cost more than the rest of the row. None of them
        -- begins with 0, unless it is 0.
        SELECT *,
            length(sales_price) BETWEEN 1 AND 12 AND length(admin_fee) BETWEEN 1 AND 12
            AND length(partner_fee) BETWEEN 1 AND 12
            AND ltrim(sales_price || admin_fee || partner_fee, '0123456789') = ''
            AND (left(sales_price, 1) <> '0' OR sales_price = '0') AND (left(admin_fee, 1) <> '0' OR admin_fee = '0')
            AND (left(partner_fee, 1) <> '0' OR partner_fee = '0') AS is_plain
        FROM told
        OFFSET 0
    ) AS t
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

-- name: ended_again(since, position, ends, first, beyond)
-- Orders that had ended up to one position, and that ended again after it.
SELECT DISTINCT substr(e.stream, 7)
FROM sat.events AS e
WHERE e.position > :since AND e.position <= :position AND e.type = ANY (:ends)
  AND e.stream COLLATE "C" >= 'order/' || :first AND e.stream COLLATE "C" < 'order/' || :beyond
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
  AND o.account = :account AND o.ended_by_operator
ORDER BY 1;
