-- name: load_orders(request_ids)
-- The current state of the orders that exist.
SELECT * FROM sat.order_rows WHERE request_id = ANY (:request_ids);

-- name: orders_of_batch(batch_id, after_row, first_row, last_row, states, limit)
-- A page of a batch's orders, by row number.
SELECT *
FROM sat.order_rows
WHERE batch_id = :batch_id
  AND row_number > :after_row
  AND row_number BETWEEN :first_row AND :last_row
  AND state = ANY (:states)
ORDER BY row_number
LIMIT :limit;

-- name: count_by_state(batch_id)
-- How a batch's orders stand.
SELECT
    state,
    count(*),
    coalesce(sum(quote_rupiah), 0)::bigint,
    coalesce(sum(charged_rupiah), 0)::bigint
FROM sat.orders
WHERE batch_id = :batch_id
GROUP BY state;

-- name: needs(batch_ids, streams, states)
-- The rows of some batches that need a person, by reason: refused rows, and orders in these states.
SELECT batch_id, state, coalesce(reason_code, ''), count(*)
FROM sat.orders
WHERE batch_id = ANY (:batch_ids) AND state = ANY (:states)
GROUP BY 1, 2, 3
UNION ALL
SELECT split_part(stream, '/', 2), 'refused', item ->> 'code', count(*)
FROM sat.events, jsonb_array_elements(data::jsonb -> 'set_aside') AS item
WHERE stream = ANY (:streams) AND type = 'RowsTakenIn' AND item ->> 'verdict' = 'refused'
GROUP BY 1, 3;

-- name: find_order(reference)
-- Orders by request id, or by the submitter's order id.
SELECT * FROM sat.order_rows WHERE request_id = :reference OR order_id = :reference ORDER BY account;

-- name: status_evidence_of(digests)
-- The signed text that ended an order.
SELECT digest, body FROM sat.status_evidence WHERE digest = ANY (:digests);

-- name: orders_of_account(account, states, after_request_id, limit)
-- A page of an account's orders in some states, by request id.
SELECT *
FROM sat.order_rows
WHERE account = :account AND state = ANY (:states) AND request_id > :after_request_id
ORDER BY request_id
LIMIT :limit;
