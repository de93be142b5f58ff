-- name: claim_rows(account, claimed_by, limit)!
-- Mark unclaimed rows of an account as this claimer's. The claim is the run's own name, so that a second try
-- of the same run finds the same rows and nobody else takes them.
UPDATE sat.order_intake
SET claimed_by = :claimed_by, claimed_at = clock_timestamp()
WHERE intake_id IN (
    SELECT intake_id
    FROM sat.order_intake
    WHERE account = :account
      AND claimed_by IS NULL
      AND batch_reference IS NOT DISTINCT FROM (
          -- One batch has one reference: take the oldest row's, and the rows that share it.
          SELECT oldest.batch_reference
          FROM sat.order_intake AS oldest
          WHERE oldest.account = :account AND oldest.claimed_by IS NULL
          ORDER BY oldest.intake_id
          LIMIT 1
      )
    ORDER BY intake_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
);

-- name: release_rows(account, claimed_by)!
-- Give a claim's rows back: they could not be submitted, and wait for whoever mends them.
UPDATE sat.order_intake
SET claimed_by = NULL, claimed_at = NULL
WHERE account = :account AND claimed_by = :claimed_by;

-- name: claimed_rows(account, claimed_by)
-- The rows of one claim, in the order in which they were filled in.
SELECT
    batch_reference, order_id, product_code, client_number, amount_rupiah, max_rupiah, downline_id, fields
FROM sat.order_intake
WHERE account = :account AND claimed_by = :claimed_by
ORDER BY intake_id;
