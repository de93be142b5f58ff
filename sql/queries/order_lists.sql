-- name: orders(way, batch_id, accounts, states, product_code, reason_code, least_rupiah, most_rupiah, text_pattern, request_from, request_to, client_number, sort, descending, after_number, after_word, after_batch, after_row, most, limit)
-- A page of orders that are found in one of four ways, and, if `most` is given, how many there are up to so many.
-- Every page reads: one batch; open orders; orders by the beginning of an id; or orders of one client number. A
-- condition that is not asked for is a constant, and the planner leaves it and its branch out.
WITH RECURSIVE products AS (
    (
        SELECT account, product_code FROM sat.orders
        WHERE :way = 'number'
        ORDER BY account, product_code
        LIMIT 1
    )
    UNION ALL
    SELECT following.account, following.product_code
    FROM products
    CROSS JOIN LATERAL (
        SELECT o.account, o.product_code FROM sat.orders AS o
        WHERE (o.account, o.product_code) > (products.account, products.product_code)
        ORDER BY o.account, o.product_code
        LIMIT 1
    ) AS following
),
found AS NOT MATERIALIZED (
    SELECT batch_id, row_number, state, reason_code, product_code, quote_rupiah, charged_rupiah, changed_at
    FROM sat.orders
    WHERE :way = 'batch' AND batch_id = :batch_id
      AND (:accounts::text[] IS NULL OR EXISTS (
          SELECT FROM sat.batches AS b WHERE b.batch_id = :batch_id AND b.account = ANY (:accounts)
      ))
      AND (:text_pattern::text IS NULL OR order_id LIKE :text_pattern
           OR request_id BETWEEN :request_from AND :request_to)
      AND (:client_number::text IS NULL OR client_number = :client_number)
      -- A later page by row, which is not counted, begins where it begins in the index.
      AND (:sort <> 'row' OR :most::integer IS NOT NULL OR :after_row::integer IS NULL
           OR CASE WHEN :descending THEN row_number < :after_row ELSE row_number > :after_row END)
    UNION ALL
    SELECT batch_id, row_number, state, reason_code, product_code, quote_rupiah, charged_rupiah, changed_at
    FROM sat.orders
    WHERE :way = 'open' AND account = ANY (:accounts) AND state IN ('held', 'escalated')
    UNION ALL
    SELECT batch_id, row_number, state, reason_code, product_code, quote_rupiah, charged_rupiah, changed_at
    FROM sat.orders
    WHERE :way = 'open' AND account = ANY (:accounts) AND state IN ('submitting', 'pending', 'unknown')
    UNION ALL
    (
        SELECT batch_id, row_number, state, reason_code, product_code, quote_rupiah, charged_rupiah, changed_at
        FROM sat.orders
        WHERE :way = 'text' AND account = ANY (:accounts) AND order_id LIKE :text_pattern
        LIMIT 10001
    )
    UNION ALL
    (
        SELECT batch_id, row_number, state, reason_code, product_code, quote_rupiah, charged_rupiah, changed_at
        FROM sat.orders
        WHERE :way = 'text' AND request_id BETWEEN :request_from AND :request_to
          AND account = ANY (:accounts) AND order_id NOT LIKE :text_pattern
        LIMIT 10001
    )
    UNION ALL
    (
        SELECT
            o.batch_id, o.row_number, o.state, o.reason_code, o.product_code, o.quote_rupiah, o.charged_rupiah,
            o.changed_at
        FROM products AS p
        JOIN sat.orders AS o USING (account, product_code)
        WHERE :way = 'number' AND o.client_number = :client_number AND o.account = ANY (:accounts)
          AND (:text_pattern::text IS NULL OR o.order_id LIKE :text_pattern
               OR o.request_id BETWEEN :request_from AND :request_to)
        LIMIT 10001
    )
),
chosen AS NOT MATERIALIZED (
    SELECT
        batch_id,
        row_number,
        CASE :sort
            WHEN 'amount' THEN coalesce(charged_rupiah, quote_rupiah, 0)
            WHEN 'changed' THEN round(date_part('epoch', greatest(changed_at, 'epoch')) * 1000000)::bigint
            ELSE 0
        END AS number,
        CASE :sort WHEN 'product' THEN product_code WHEN 'state' THEN state ELSE '' END COLLATE "C" AS word
    FROM found
    WHERE (:states::text[] IS NULL OR state = ANY (:states))
      AND (:product_code::text IS NULL OR product_code = :product_code)
      AND (:reason_code::text IS NULL OR reason_code = :reason_code)
      AND (:least_rupiah::bigint IS NULL OR coalesce(charged_rupiah, quote_rupiah, 0) >= :least_rupiah)
      AND (:most_rupiah::bigint IS NULL OR coalesce(charged_rupiah, quote_rupiah, 0) <= :most_rupiah)
),
page AS (
    SELECT batch_id, row_number, number, word
    FROM chosen
    WHERE :after_row::integer IS NULL OR CASE
        WHEN :descending THEN (number, word, batch_id, row_number)
            < (:after_number::bigint, :after_word::text COLLATE "C", :after_batch::text, :after_row::integer)
        ELSE (number, word, batch_id, row_number)
            > (:after_number::bigint, :after_word::text COLLATE "C", :after_batch::text, :after_row::integer)
    END
    ORDER BY
        CASE WHEN NOT :descending THEN number END, CASE WHEN :descending THEN number END DESC,
        CASE WHEN NOT :descending THEN word END, CASE WHEN :descending THEN word END DESC,
        CASE WHEN NOT :descending THEN batch_id END, CASE WHEN :descending THEN batch_id END DESC,
        CASE WHEN NOT :descending THEN row_number END, CASE WHEN :descending THEN row_number END DESC
    LIMIT :limit
)
SELECT
    counted.orders, b.document ->> 'file_name', p.number, p.word, o.*
FROM (
    SELECT CASE WHEN :most::integer IS NOT NULL THEN (
        SELECT count(*) FROM (SELECT FROM chosen LIMIT :most) AS limited
    ) END AS orders
) AS counted
LEFT JOIN (
    page AS p
    JOIN sat.order_rows AS o USING (batch_id, row_number)
    JOIN sat.batches AS b USING (batch_id)
) ON true
ORDER BY
    CASE WHEN NOT :descending THEN p.number END, CASE WHEN :descending THEN p.number END DESC,
    CASE WHEN NOT :descending THEN p.word END, CASE WHEN :descending THEN p.word END DESC,
    CASE WHEN NOT :descending THEN o.batch_id END, CASE WHEN :descending THEN o.batch_id END DESC,
    CASE WHEN NOT :descending THEN o.row_number END, CASE WHEN :descending THEN o.row_number END DESC;

-- name: orders_changed(accounts, states, product_code, reason_code, least_rupiah, most_rupiah, after_at, after_request, looked, limit)
-- The orders of all batches that changed last, the newest change first. At most so many are looked at: what is found
-- among them is the page, and the next one goes on where this one has stopped.
SELECT b.document ->> 'file_name', o.*
FROM (
    SELECT request_id, changed_at
    FROM (
        SELECT
            request_id, changed_at, account, state, product_code, reason_code, quote_rupiah, charged_rupiah
        FROM sat.orders
        WHERE :after_at::timestamptz IS NULL
           OR (changed_at <= :after_at AND (changed_at, request_id) < (:after_at, :after_request))
        ORDER BY changed_at DESC, request_id DESC
        LIMIT :looked
    ) AS looked_at
    WHERE (:accounts::text[] IS NULL OR account = ANY (:accounts))
      AND (:states::text[] IS NULL OR state = ANY (:states))
      AND (:product_code::text IS NULL OR product_code = :product_code)
      AND (:reason_code::text IS NULL OR reason_code = :reason_code)
      AND (:least_rupiah::bigint IS NULL OR coalesce(charged_rupiah, quote_rupiah, 0) >= :least_rupiah)
      AND (:most_rupiah::bigint IS NULL OR coalesce(charged_rupiah, quote_rupiah, 0) <= :most_rupiah)
    ORDER BY changed_at DESC, request_id DESC
    LIMIT :limit
) AS found
JOIN sat.order_rows AS o USING (request_id)
JOIN sat.batches AS b USING (batch_id)
ORDER BY found.changed_at DESC, found.request_id DESC;

-- name: looked_up_to(after_at, after_request, looked)
-- Where a look at so many of the orders that changed last stops; nothing when all have been looked at.
SELECT changed_at, request_id
FROM sat.orders
WHERE :after_at::timestamptz IS NULL
   OR (changed_at <= :after_at AND (changed_at, request_id) < (:after_at, :after_request))
ORDER BY changed_at DESC, request_id DESC
OFFSET :looked - 1
LIMIT 1;

-- name: kept_evidence_of(request_id)
-- The signed statuses of an order, without their contents.
SELECT digest, signature, key_fingerprint, observed_at, recorded_at
FROM sat.status_evidence
WHERE request_id = :request_id
ORDER BY recorded_at, digest;

-- name: alerts_about(keys)
-- Alerts by key.
SELECT key, kind, account, text, occurred_at, batch_id, subject, tries, raised_at,
    coalesce(told_at, notified_at), CASE WHEN told_at IS NULL THEN trouble END
FROM sat.alerts
WHERE key = ANY (:keys)
ORDER BY alert_id;

-- name: orders_for_people()
-- Held and escalated orders by account: how many, and since when the one that waits longest.
SELECT account, state, count(*), min(changed_at)
FROM sat.orders
WHERE state IN ('held', 'escalated')
GROUP BY account, state
ORDER BY account, state;
