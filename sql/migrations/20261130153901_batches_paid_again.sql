-- migrate:up

-- The batches that pay failed orders of an earlier batch again are found by that batch.
CREATE INDEX batches_pay_again ON sat.batches ((document ->> 'pays_again'))
WHERE (document ->> 'pays_again') IS NOT NULL;

-- migrate:down

DROP INDEX sat.batches_pay_again;
