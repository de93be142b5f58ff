-- name: load_batch(batch_id)
-- The current state of one batch.
SELECT document FROM sat.batches WHERE batch_id = :batch_id;

-- name: load_batches(batch_ids)
-- The current states of some batches.
SELECT document FROM sat.batches WHERE batch_id = ANY(:batch_ids);

-- name: unsent_of_account(account, limit)
-- Batches of an account that are not complete, with the orders that could still be sent and are not.
SELECT batches.batch_id, batches.document ->> 'file_name', count(*)
FROM sat.batches
JOIN sat.orders USING (batch_id)
WHERE batches.account = :account
  AND batches.state NOT IN ('refused', 'completed')
  AND orders.state IN ('received', 'quoted')
GROUP BY batches.batch_id
ORDER BY count(*) DESC, batches.batch_id
LIMIT :limit;

-- name: last_run(stream)$
-- The run that began last to work on a batch.
SELECT data::jsonb ->> 'run'
FROM sat.events
WHERE stream = :stream AND type = 'BatchRunStarted'
ORDER BY version DESC
LIMIT 1;

-- name: batch_of_run(dag_run)$
-- The batch that a run began to work on. The condition repeats the words of the index events_batch_runs.
SELECT substr(stream, length('batch/') + 1)
FROM sat.events
WHERE type = 'BatchRunStarted' AND data::jsonb ->> 'run' = :dag_run
LIMIT 1;
