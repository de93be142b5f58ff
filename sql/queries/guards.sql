-- name: lock_account(account)!
-- One at a time per account, until the transaction ends: what is read here is still true when it is acted on.
SELECT pg_advisory_xact_lock(sat.guard_lock_class(), hashtext(:account));

-- name: kin(account, product_codes, client_numbers, since)
-- Orders of the account for any of these products and client numbers (paired) that have counted since then.
SELECT o.*
FROM (
    SELECT DISTINCT *
    FROM unnest(:product_codes::text[], :client_numbers::text[]) AS k (product_code, client_number)
) AS wanted
JOIN sat.orders AS c USING (product_code, client_number)
JOIN sat.order_rows AS o USING (request_id)
WHERE c.account = :account AND c.counted_at > :since
ORDER BY c.counted_at, c.request_id;

-- name: add_usage(accounts, scopes, orders, rupiah)!
-- What an append changes in the use of limits.
INSERT INTO sat.limit_usage (account, scope, orders, rupiah)
SELECT * FROM unnest(:accounts::text[], :scopes::text[], :orders::bigint[], :rupiah::bigint[]);

-- name: usage(account, scopes, without)^
-- How many orders of the scopes count, and for how much, less the orders named; and the number of rows that say so.
SELECT
    coalesce(sum(u.orders), 0)::bigint - (
        SELECT count(*) FROM sat.orders WHERE request_id = ANY (:without) AND counted_at IS NOT NULL
    ),
    coalesce(sum(u.rupiah), 0)::bigint - (
        SELECT coalesce(sum(committed_rupiah), 0)::bigint
        FROM sat.orders
        WHERE request_id = ANY (:without) AND counted_at IS NOT NULL
    ),
    count(*)
FROM sat.limit_usage AS u
WHERE u.account = :account AND u.scope = ANY (:scopes);

-- name: put_usage_together(account, scopes)!
-- Make the rows of each scope one row. The account is locked; appends add rows meanwhile, which stay.
WITH gone AS (
    DELETE FROM sat.limit_usage
    WHERE account = :account AND scope = ANY (:scopes)
    RETURNING scope, orders, rupiah
)
INSERT INTO sat.limit_usage (account, scope, orders, rupiah)
SELECT :account, scope, sum(orders), sum(rupiah)
FROM gone
GROUP BY scope;
