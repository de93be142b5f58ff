-- name: lock_account(account)!
-- One at a time per account, until the transaction ends: what is read here is still true when it is acted on.
SELECT pg_advisory_xact_lock(sat.guard_lock_class(), hashtext(:account));

-- name: kin(account, product_codes, client_numbers, since)
-- Orders of the account for any of these products and client numbers (paired) that have counted since then.
SELECT o.document
FROM (
    SELECT DISTINCT *
    FROM unnest(:product_codes::text[], :client_numbers::text[]) AS k (product_code, client_number)
) AS wanted
JOIN sat.orders AS o USING (product_code, client_number)
WHERE o.account = :account AND o.counted_at > :since
ORDER BY o.counted_at, o.request_id;

-- name: used_by_batch(batch_id, request_ids)^
-- How many orders of the batch count, and for how much; without those named.
SELECT count(*), coalesce(sum(committed_rupiah), 0)::bigint
FROM sat.orders
WHERE batch_id = :batch_id AND counted_at IS NOT NULL AND request_id <> ALL (:request_ids);

-- name: used_in_period(account, period_start, period_end)^
-- How many orders of the account began to count in the period, and for how much. A row that is not rebuilt after
-- an upgrade has the last moment: it counts in every period.
SELECT count(*), coalesce(sum(committed_rupiah), 0)::bigint
FROM sat.orders
WHERE account = :account AND counted_at >= :period_start
  AND (counted_at < :period_end OR counted_at = '9999-01-01Z');
