-- migrate:up

-- Which batch took a row in. A claimed row without one was claimed by a run that came to nothing.
ALTER TABLE sat.order_intake ADD COLUMN batch_id text;
ALTER TABLE sat.order_intake ADD CONSTRAINT order_intake_batch_has_a_claim
    CHECK (batch_id IS NULL OR claimed_by IS NOT NULL);
COMMENT ON COLUMN sat.order_intake.batch_id IS 'the batch that took the row in; a claim without one is freed';

-- Claims of earlier releases: the batch of the same reference that took in as many rows.
WITH claims AS (
    SELECT account, claimed_by, batch_reference, count(*) AS taken
    FROM sat.order_intake
    WHERE claimed_by IS NOT NULL
    GROUP BY account, claimed_by, batch_reference
)
UPDATE sat.order_intake AS intake
SET batch_id = batches.batch_id
FROM claims
JOIN sat.batches
    ON batches.account = claims.account
    AND batches.document ->> 'reference'
        = btrim(coalesce(claims.batch_reference, 'order_intake ' || claims.claimed_by))
    AND (batches.document ->> 'orders')::integer + (batches.document ->> 'set_aside')::integer = claims.taken
WHERE intake.account = claims.account
    AND intake.claimed_by = claims.claimed_by
    AND intake.batch_reference IS NOT DISTINCT FROM claims.batch_reference;

DROP INDEX sat.order_intake_claimed;
CREATE INDEX order_intake_claimed ON sat.order_intake (account, claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX order_intake_without_batch ON sat.order_intake (account, claimed_at)
    WHERE claimed_by IS NOT NULL AND batch_id IS NULL;

-- migrate:down
ALTER TABLE sat.order_intake DROP COLUMN batch_id;
DROP INDEX sat.order_intake_claimed;
CREATE INDEX order_intake_claimed ON sat.order_intake (claimed_by) WHERE claimed_by IS NOT NULL;
