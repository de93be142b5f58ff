-- name: batches(account, submitted_by, text, since, before, states, withdrawn, rejected, after_at, after_id, limit)
-- A page of batches, the last submitted first.
SELECT batch_id, document, submitted_by, submitted_at
FROM sat.batches
WHERE (:account::text IS NULL OR account = :account)
  AND (:submitted_by::text IS NULL OR submitted_by = :submitted_by)
  AND (
      :text::text IS NULL
      OR strpos(lower(document ->> 'file_name'), lower(:text)) > 0
      OR strpos(lower(document ->> 'reference'), lower(:text)) > 0
  )
  AND (:since::timestamptz IS NULL OR submitted_at >= :since)
  AND (:before::timestamptz IS NULL OR submitted_at < :before)
  AND (:states::text[] IS NULL OR state = ANY (:states))
  AND (:withdrawn::boolean IS NULL OR ((document ->> 'withdrawn') IS NOT NULL) = :withdrawn)
  AND (:rejected::boolean IS NULL OR ((document ->> 'rejecter') IS NOT NULL) = :rejected)
  AND (:after_at::timestamptz IS NULL OR (submitted_at, batch_id) < (:after_at, :after_id))
ORDER BY submitted_at DESC, batch_id DESC
LIMIT :limit;

-- name: batches_of(batch_ids)
-- These batches.
SELECT batch_id, document, submitted_by, submitted_at FROM sat.batches WHERE batch_id = ANY (:batch_ids);

-- name: quoted_batches()
-- Batches that wait for an approval or for funds, or that are being paid.
SELECT batch_id, document, submitted_by, submitted_at
FROM sat.batches
WHERE state NOT IN ('refused', 'completed') AND state = 'quoted';

-- name: order_counts(batch_ids)
-- How the orders of some batches stand, and what of their quotes has no reservation.
SELECT b.batch_id, o.state, o.orders, o.quoted, o.charged, o.unreserved
FROM sat.batches AS b
CROSS JOIN LATERAL (
    SELECT
        state,
        count(*) AS orders,
        coalesce(sum(quote_rupiah), 0)::bigint AS quoted,
        coalesce(sum(charged_rupiah), 0)::bigint AS charged,
        coalesce(sum(quote_rupiah) FILTER (
            WHERE state = 'quoted' AND NOT (is_reservable AND row_number <= b.reserved_up_to_row)
        ), 0)::bigint AS unreserved
    FROM sat.orders
    WHERE batch_id = b.batch_id
    GROUP BY state
) AS o
WHERE b.batch_id = ANY (:batch_ids);

-- name: refused_rows(streams)
-- How many rows of these batches became no order and no other batch's either. The text is counted, not parsed: a
-- large file may have had all of its rows refused.
SELECT
    split_part(stream, '/', 2),
    sum((length(data) - length(replace(data, '"verdict":"refused"', ''))) / length('"verdict":"refused"'))
FROM sat.events
WHERE stream = ANY (:streams) AND type = 'RowsTakenIn'
GROUP BY stream;

-- name: batch_events(stream)
-- The events of a batch but for the rows that it took in.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream AND type <> 'RowsTakenIn'
ORDER BY version;

-- name: last_events(streams, types)
-- The last event of some types in each of these streams: when it occurred, and who recorded it.
SELECT s.stream, e.occurred_at, e.actor
FROM unnest(:streams::text[]) AS s (stream)
CROSS JOIN LATERAL (
    SELECT occurred_at, actor
    FROM sat.events
    WHERE stream = s.stream AND type = ANY (:types)
    ORDER BY version DESC
    LIMIT 1
) AS e;

-- name: accounts()
-- Every account that had a batch or another event.
SELECT account FROM sat.accounts UNION SELECT account FROM sat.batches ORDER BY 1;

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
    counted.orders, o.document::text, o.changed_at, b.document ->> 'file_name', p.number, p.word
FROM (
    SELECT CASE WHEN :most::integer IS NOT NULL THEN (
        SELECT count(*) FROM (SELECT FROM chosen LIMIT :most) AS limited
    ) END AS orders
) AS counted
LEFT JOIN (
    page AS p
    JOIN sat.orders AS o USING (batch_id, row_number)
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
SELECT o.document::text, o.changed_at, b.document ->> 'file_name'
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
JOIN sat.orders AS o USING (request_id)
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
SELECT key, kind, account, text, occurred_at, batch_id, subject, tries, raised_at, notified_at, trouble
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

-- name: untold_alerts(looked)
-- Of so many alerts, the newest, those that reached nobody, by account and kind.
SELECT account, kind, count(*), min(occurred_at)
FROM (SELECT * FROM sat.alerts ORDER BY alert_id DESC LIMIT :looked) AS newest
WHERE notified_at IS NULL OR trouble IS NOT NULL
GROUP BY account, kind
ORDER BY account, kind;

-- name: standings()
-- The accounts with events.
SELECT document FROM sat.accounts ORDER BY account;

-- name: daily_observations(account, since, days)
-- The last look at a deposit on each day, and on the days without one nothing.
SELECT o.requested_at, o.saldo_rupiah
FROM generate_series(0, :days - 1) AS d (day)
CROSS JOIN LATERAL (
    SELECT requested_at, saldo_rupiah
    FROM sat.balance_observations
    WHERE account = :account
      AND requested_at >= :since::timestamptz + d.day * interval '1 day'
      AND requested_at < :since::timestamptz + (d.day + 1) * interval '1 day'
      AND requested_at <= recorded_at + interval '30 seconds'
    ORDER BY requested_at DESC, observation_id DESC
    LIMIT 1
) AS o
ORDER BY o.requested_at;

-- name: products(accounts, text, after_account, after_code, limit)
-- A page of products as they were listed last, by account and code.
SELECT
    p.account, p.product_code, h.name, h.price_rupiah, h.is_inquiry, h.status, h.operator_name, h.category_name,
    lower(h.valid), upper(h.valid)
FROM sat.products AS p
CROSS JOIN LATERAL (
    SELECT *
    FROM sat.product_prices AS l
    WHERE l.product_id = p.product_id
    ORDER BY lower(l.valid) DESC
    LIMIT 1
) AS h
WHERE p.account = ANY (:accounts)
  AND (:after_account::text IS NULL OR (p.account, p.product_code) > (:after_account, :after_code))
  AND (
      :text::text IS NULL
      OR strpos(lower(p.product_code), lower(:text)) > 0
      OR strpos(lower(h.name), lower(:text)) > 0
      OR strpos(lower(h.operator_name), lower(:text)) > 0
  )
ORDER BY p.account, p.product_code
LIMIT :limit;

-- name: last_callback(account, looked)
-- When the last callback of an account came, and which key signed it, if it is among so many of the newest.
SELECT received_at, key_fingerprint
FROM (SELECT * FROM sat.callback_inbox ORDER BY inbox_id DESC LIMIT :looked) AS newest
WHERE account = :account
ORDER BY inbox_id DESC
LIMIT 1;

-- name: last_answer(account)$
-- When SAT last answered a call of the account whose answer is kept: a look at the deposit or a price list.
SELECT greatest(
    (
        SELECT received_at FROM sat.balance_observations
        WHERE account = :account
        ORDER BY requested_at DESC, observation_id DESC
        LIMIT 1
    ),
    (
        SELECT ended_at FROM sat.price_snapshots
        WHERE account = :account AND outcome = 'complete'
        ORDER BY asked_at DESC, snapshot_id DESC
        LIMIT 1
    )
);
