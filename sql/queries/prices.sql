-- name: lock_history(account)!
-- Lock the account's price lists until this transaction ends.
SELECT pg_advisory_xact_lock(sat.price_lock_class(), hashtext(:account));

-- name: last_complete_at(account)$
-- When the newest price list that was believed had been asked for.
SELECT max(asked_at) FROM sat.price_snapshots WHERE account = :account AND outcome = 'complete';

-- name: known_products(account)
-- Every product of the account as it was listed last, and whether it still is.
SELECT
    p.product_code, h.name, h.price_rupiah, h.is_inquiry, h.status, h.operator_name, h.category_name,
    p.product_id, upper_inf(h.valid)
FROM sat.products AS p
JOIN (
    SELECT DISTINCT ON (product_id) *
    FROM sat.product_prices
    WHERE product_id IN (SELECT product_id FROM sat.products WHERE account = :account)
    ORDER BY product_id, lower(valid) DESC
) AS h USING (product_id)
WHERE p.account = :account;

-- name: record_snapshot(account, outcome, reason, asked_at, ended_at, response_digest, listed, missing, unconfirmed, contradictory, changes, state_digest, missing_limit_percent, actor, cause)$
-- Keep one attempt; returns its number.
INSERT INTO sat.price_snapshots (
    account, outcome, reason, asked_at, ended_at, response_digest, listed, missing, unconfirmed, contradictory,
    changes, state_digest, missing_limit_percent, actor, cause
) VALUES (
    :account, :outcome, :reason, :asked_at, :ended_at, :response_digest, :listed, :missing, :unconfirmed,
    :contradictory, :changes, :state_digest, :missing_limit_percent, :actor, :cause
)
RETURNING snapshot_id;

-- name: add_products(account, codes, seen_at)!
-- Give a number to each product that is new.
INSERT INTO sat.products (account, product_code, first_seen_at)
SELECT :account, code, :seen_at
FROM unnest(:codes::text[]) AS c (code)
ORDER BY code;

-- name: record_changes(snapshot_id, account, codes, kinds, names, prices_rupiah, are_inquiry, statuses, operator_names, category_names)!
-- Keep what changed, each line with its place in all of these lists.
INSERT INTO sat.price_changes (
    snapshot_id, product_id, kind, name, price_rupiah, is_inquiry, status, operator_name, category_name
)
SELECT
    :snapshot_id, p.product_id, c.kind, c.name, c.price_rupiah, c.is_inquiry, c.status, c.operator_name,
    c.category_name
FROM unnest(
    :codes::text[], :kinds::text[], :names::text[], :prices_rupiah::bigint[], :are_inquiry::boolean[],
    :statuses::bigint[], :operator_names::text[], :category_names::text[]
) AS c (product_code, kind, name, price_rupiah, is_inquiry, status, operator_name, category_name)
JOIN sat.products AS p ON p.account = :account AND p.product_code = c.product_code
ORDER BY p.product_id;

-- name: close_intervals(snapshot_id, at)!
-- End what was listed otherwise until this snapshot.
UPDATE sat.product_prices AS h
SET valid = tstzrange(lower(h.valid), :at)
FROM sat.price_changes AS c
WHERE c.snapshot_id = :snapshot_id AND h.product_id = c.product_id AND upper_inf(h.valid);

-- name: open_intervals(snapshot_id, at)!
-- Begin what is listed since this snapshot.
INSERT INTO sat.product_prices (
    product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
)
SELECT
    product_id, tstzrange(:at, NULL), snapshot_id, name, price_rupiah, is_inquiry, status, operator_name,
    category_name
FROM sat.price_changes
WHERE snapshot_id = :snapshot_id AND kind <> 'disappeared'
-- The index of the exclusion takes scattered keys in half the time that it takes sorted ones in.
ORDER BY md5(product_id::text);

-- name: accounts()
-- Accounts whose prices were ever asked for.
SELECT DISTINCT account FROM sat.price_snapshots ORDER BY account;

-- name: snapshots_between(account, since, until, before_id, limit)
-- Attempts of a period, the newest first. With before_id, those before that attempt of the moment until, too.
SELECT
    snapshot_id, outcome, reason, asked_at, ended_at, listed, missing, unconfirmed, contradictory, changes,
    response_digest, state_digest, missing_limit_percent, actor, cause
FROM sat.price_snapshots
WHERE account = :account AND asked_at >= :since AND (asked_at, snapshot_id) < (:until, :before_id)
ORDER BY asked_at DESC, snapshot_id DESC
LIMIT :limit;

-- name: complete_moments(account, since, until)
-- When the believed price lists of a period were asked for, and the last one before it.
(
    SELECT asked_at FROM sat.price_snapshots
    WHERE account = :account AND outcome = 'complete' AND asked_at < :since
    ORDER BY asked_at DESC
    LIMIT 1
)
UNION ALL
(
    SELECT asked_at FROM sat.price_snapshots
    WHERE account = :account AND outcome = 'complete' AND asked_at >= :since AND asked_at < :until
)
ORDER BY 1;

-- name: product_at(account, product_code, at)
-- One product as it was listed at a moment; nothing when it was not.
SELECT
    p.product_code, h.name, h.price_rupiah, h.is_inquiry, h.status, h.operator_name, h.category_name,
    h.snapshot_id, lower(h.valid), upper(h.valid)
FROM sat.products AS p
JOIN sat.product_prices AS h USING (product_id)
WHERE p.account = :account AND p.product_code = :product_code AND h.valid @> :at::timestamptz;

-- name: product_history(account, product_code)
-- All that one product was ever listed as, the oldest first.
SELECT
    p.product_code, h.name, h.price_rupiah, h.is_inquiry, h.status, h.operator_name, h.category_name,
    h.snapshot_id, lower(h.valid), upper(h.valid)
FROM sat.products AS p
JOIN sat.product_prices AS h USING (product_id)
WHERE p.account = :account AND p.product_code = :product_code
ORDER BY lower(h.valid);

-- name: similar_codes(account, product_code, limit)
-- Codes of the account that contain the typed text, or begin like it.
SELECT product_code FROM sat.products
WHERE account = :account
  AND (strpos(lower(product_code), lower(:product_code)) > 0
       OR left(lower(product_code), 4) = left(lower(:product_code), 4))
ORDER BY product_code
LIMIT :limit;

-- name: changes_between(account, since, after_id, after_code, until, limit)
-- What changed in a period, the oldest first: the product before (as it was listed last) and after.
-- Begins after the change of product after_code in list after_id of the moment since; 0 for its first one.
SELECT
    s.snapshot_id, s.asked_at, p.product_code, c.kind,
    b.name, b.price_rupiah, b.is_inquiry, b.status, b.operator_name, b.category_name,
    c.name, c.price_rupiah, c.is_inquiry, c.status, c.operator_name, c.category_name
FROM sat.price_snapshots AS s
JOIN sat.price_changes AS c USING (snapshot_id)
JOIN sat.products AS p USING (product_id)
LEFT JOIN LATERAL (
    SELECT h.*
    FROM sat.product_prices AS h
    WHERE h.product_id = c.product_id AND lower(h.valid) < s.asked_at
    ORDER BY lower(h.valid) DESC
    LIMIT 1
) AS b ON c.kind <> 'appeared'
WHERE
    s.account = :account
    AND s.asked_at < :until
    AND (s.asked_at, s.snapshot_id, p.product_code) > (:since, :after_id, :after_code)
ORDER BY s.asked_at, s.snapshot_id, p.product_code
LIMIT :limit;

-- name: listed_at(account, at)
-- The whole price list as it was valid at a moment.
SELECT
    p.product_code, h.name, h.price_rupiah, h.is_inquiry, h.status, h.operator_name, h.category_name
FROM sat.products AS p
JOIN sat.product_prices AS h USING (product_id)
WHERE p.account = :account AND h.valid @> :at::timestamptz
ORDER BY p.product_code;

-- name: unannounced(account, announced_by)
-- Snapshots whose changes are not announced, or were announced by an earlier try of this run; oldest first.
SELECT s.snapshot_id, s.asked_at, s.changes
FROM sat.price_snapshots AS s
LEFT JOIN sat.price_announcements AS a USING (snapshot_id)
WHERE s.account = :account AND s.changes > 0 AND (a.snapshot_id IS NULL OR a.announced_by = :announced_by)
ORDER BY s.asked_at;

-- name: mark_announced(snapshot_ids, announced_by, announced_at)!
-- These changes are announced.
INSERT INTO sat.price_announcements (snapshot_id, announced_by, announced_at)
SELECT snapshot_id, :announced_by, :announced_at FROM unnest(:snapshot_ids::bigint[]) AS a (snapshot_id)
ON CONFLICT (snapshot_id) DO NOTHING;

-- name: margins(account, since, until)
-- Orders of a period by the moment of their first sending, with the price that was listed at that moment.
SELECT
    o.order_id, o.request_id, o.batch_id, o.row_number, o.product_code, h.name, o.state, o.first_sent_at,
    h.price_rupiah, h.is_inquiry, lower(h.valid), o.quote_rupiah, o.charged_rupiah,
    o.admin_fee_rupiah, o.partner_fee_rupiah
FROM sat.orders AS o
LEFT JOIN sat.products AS p ON p.account = o.account AND p.product_code = o.product_code
LEFT JOIN sat.product_prices AS h ON h.product_id = p.product_id AND h.valid @> o.first_sent_at
WHERE o.account = :account AND o.first_sent_at >= :since AND o.first_sent_at < :until
  AND o.changed_at >= :since  -- by the index of the last change, which is never before the sending
ORDER BY o.first_sent_at, o.request_id;

-- name: margins_by_day(account, since, until)
-- Succeeded orders by the WIB day of their first sending and by product: how many, what SAT charged, our commission,
-- and how many have none.
SELECT
    (o.first_sent_at AT TIME ZONE 'Asia/Jakarta')::date, o.product_code, count(*),
    coalesce(sum(o.charged_rupiah), 0)::bigint, coalesce(sum(o.partner_fee_rupiah), 0)::bigint,
    count(*) FILTER (WHERE o.partner_fee_rupiah IS NULL)
FROM sat.orders AS o
WHERE o.account = :account AND o.state = 'succeeded' AND o.changed_at >= :since
  AND o.first_sent_at >= :since AND o.first_sent_at < :until
GROUP BY 1, 2
ORDER BY 1 DESC, 2;

-- name: newest_changes(account, since, until, is_first, after_at, after_snapshot, after_code, limit)
-- A page of what changed in a period, the newest first, in a snapshot by code: the product before and after.
SELECT
    s.snapshot_id, s.asked_at, p.product_code, c.kind,
    b.name, b.price_rupiah, b.is_inquiry, b.status, b.operator_name, b.category_name,
    c.name, c.price_rupiah, c.is_inquiry, c.status, c.operator_name, c.category_name
FROM sat.price_snapshots AS s
JOIN sat.price_changes AS c USING (snapshot_id)
JOIN sat.products AS p USING (product_id)
LEFT JOIN LATERAL (
    SELECT h.*
    FROM sat.product_prices AS h
    WHERE h.product_id = c.product_id AND lower(h.valid) < s.asked_at
    ORDER BY lower(h.valid) DESC
    LIMIT 1
) AS b ON c.kind <> 'appeared'
WHERE s.account = :account AND s.asked_at >= :since AND s.asked_at < :until
  AND s.asked_at <= :after_at
  AND (
      :is_first
      OR (s.asked_at, s.snapshot_id) < (:after_at, :after_snapshot)
      OR ((s.asked_at, s.snapshot_id) = (:after_at, :after_snapshot) AND p.product_code > :after_code)
  )
ORDER BY s.asked_at DESC, s.snapshot_id DESC, p.product_code
LIMIT :limit;
