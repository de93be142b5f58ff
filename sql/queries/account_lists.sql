-- name: accounts()
-- Every account that had a batch or another event.
SELECT account FROM sat.accounts UNION SELECT account FROM sat.batches ORDER BY 1;

-- name: untold_alerts(looked)
-- Of so many alerts, the newest, those that reached nobody and were acknowledged by nobody, by account and kind.
SELECT account, kind, count(*), min(occurred_at)
FROM (SELECT * FROM sat.alerts ORDER BY alert_id DESC LIMIT :looked) AS newest
WHERE told_at IS NULL AND (notified_at IS NULL OR trouble IS NOT NULL) AND acknowledged_at IS NULL
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

-- name: callbacks(account, looked)
-- How many callbacks of an account came within a day, among so many of the newest, and how many wait.
SELECT
    (
        SELECT count(*)
        FROM (SELECT * FROM sat.callback_inbox ORDER BY inbox_id DESC LIMIT :looked) AS newest
        WHERE account = :account AND received_at > clock_timestamp() - interval '24 hours'
    ),
    count(*),
    min(received_at)
FROM (SELECT * FROM sat.callback_queue WHERE account = :account LIMIT :looked) AS waiting;

-- name: refused_callbacks(account)
-- How many callbacks of an account were refused within a day, in whole hours, by reason.
SELECT reason, sum(refused)::bigint, max(last_at)
FROM sat.callback_refusals
WHERE account = :account AND hour > clock_timestamp() - interval '24 hours'
GROUP BY reason
ORDER BY sum(refused) DESC, reason;

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
