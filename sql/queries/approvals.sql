-- name: products_asked_for(batch_id, with_held)
-- What an approval is about by product: the orders that would be sent, and their prices.
SELECT
    product_code, count(*), sum(price)::bigint, min(price)::bigint, max(price)::bigint
FROM (
    SELECT product_code, quote_rupiah AS price
    FROM sat.orders
    WHERE batch_id = :batch_id AND state = 'quoted' AND counted_at IS NOT NULL
    UNION ALL
    SELECT product_code, coalesce((document ->> 'held_rupiah')::bigint, quote_rupiah)
    FROM sat.orders
    WHERE :with_held AND batch_id = :batch_id AND state = 'held' AND reason_code <> 'left_out'
) AS asked
GROUP BY product_code
ORDER BY 3 DESC, product_code;

-- name: new_recipients(batch_id, account, with_held, looked, limit)
-- Of the orders that would be sent, so many of the dearest: those whose client number this account never paid.
-- One probe of an index for each of them and each product of the account: OFFSET keeps the planner from a join.
WITH RECURSIVE products AS (
    (SELECT product_code FROM sat.orders WHERE account = :account ORDER BY account, product_code LIMIT 1)
    UNION ALL
    SELECT (
        SELECT o.product_code FROM sat.orders AS o
        WHERE o.account = :account AND o.product_code > p.product_code
        ORDER BY o.account, o.product_code
        LIMIT 1
    )
    FROM products AS p
    WHERE p.product_code IS NOT NULL
),
dearest AS MATERIALIZED (
    SELECT row_number, quote_rupiah
    FROM sat.orders
    WHERE batch_id = :batch_id AND (state = 'quoted' OR (:with_held AND state = 'held'))
    ORDER BY quote_rupiah DESC NULLS LAST, row_number
    LIMIT :looked
),
fresh AS (
    SELECT o.*
    FROM dearest AS d
    JOIN sat.order_rows AS o ON o.batch_id = :batch_id AND o.row_number = d.row_number
    WHERE NOT EXISTS (
        SELECT FROM products AS p
        JOIN sat.orders AS e ON e.account = :account AND e.product_code = p.product_code
        WHERE e.client_number = o.client_number AND e.state = 'succeeded'
        OFFSET 0
    )
)
SELECT
    (SELECT count(*) FROM dearest), (SELECT count(*) FROM fresh),
    (SELECT document ->> 'file_name' FROM sat.batches WHERE batch_id = :batch_id), f.*
FROM (SELECT) AS once
LEFT JOIN (SELECT * FROM fresh ORDER BY quote_rupiah DESC NULLS LAST, row_number LIMIT :limit) AS f ON true
ORDER BY f.quote_rupiah DESC NULLS LAST, f.row_number;

-- name: batch_before(account, submitted_at, batch_id)$
-- When the account's batch before this one was submitted.
SELECT submitted_at
FROM sat.batches
WHERE account = :account AND (submitted_at, batch_id) < (:submitted_at, :batch_id)
ORDER BY submitted_at DESC, batch_id DESC
LIMIT 1;
