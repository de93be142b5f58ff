-- name: claim_rows(account, claimed_by, limit, passed_over)!
-- Mark unclaimed rows of an account as this claimer's. The claim is the run's own name, so that a second try
-- of the same run finds the same rows and no other run takes them. Rows with a batch reference in `passed_over`
-- ('' is none) are left alone.
UPDATE sat.order_intake
SET claimed_by = :claimed_by, claimed_at = clock_timestamp()
WHERE intake_id IN (
    SELECT intake_id
    FROM sat.order_intake
    WHERE account = :account
      AND claimed_by IS NULL
      AND coalesce(batch_reference, '') <> ALL (:passed_over::text[])
      AND batch_reference IS NOT DISTINCT FROM (
          -- One batch has one reference: take the oldest row's, and the rows that share it.
          SELECT oldest.batch_reference
          FROM sat.order_intake AS oldest
          WHERE oldest.account = :account
            AND oldest.claimed_by IS NULL
            AND coalesce(oldest.batch_reference, '') <> ALL (:passed_over::text[])
          ORDER BY oldest.intake_id
          LIMIT 1
      )
    ORDER BY intake_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
);

-- name: release_rows(account, claimed_by)!
-- Give a claim's rows back, unless a batch took them in: the next run claims them.
UPDATE sat.order_intake
SET claimed_by = NULL, claimed_at = NULL
WHERE account = :account AND claimed_by = :claimed_by AND batch_id IS NULL;

-- name: settle_rows(account, claimed_by, batch_id)!
-- A claim's rows were taken in by a batch.
UPDATE sat.order_intake
SET batch_id = :batch_id
WHERE account = :account AND claimed_by = :claimed_by AND batch_id IS NULL;

-- name: claims_without_batch(account, seconds, limit)
-- Claims that no batch took in, older than so many seconds, the oldest first.
SELECT claimed_by, min(claimed_at) AS claimed_at
FROM sat.order_intake
WHERE account = :account AND claimed_by IS NOT NULL AND batch_id IS NULL
GROUP BY claimed_by
HAVING max(claimed_at) < clock_timestamp() - make_interval(secs => :seconds)
ORDER BY min(claimed_at)
LIMIT :limit;

-- name: claimed_rows(account, claimed_by)
-- The rows of one claim, in the order in which they were filled in.
SELECT
    batch_reference, order_id, product_code, client_number, amount_rupiah, max_rupiah, downline_id, fields
FROM sat.order_intake
WHERE account = :account AND claimed_by = :claimed_by
ORDER BY intake_id;
