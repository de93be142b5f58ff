-- name: load_batch(batch_id)
-- The current state of one batch.
SELECT document FROM sat.batches WHERE batch_id = :batch_id;

-- name: recent_batches(limit)
-- The batches submitted last.
SELECT document
FROM sat.batches
JOIN sat.events ON events.stream = 'batch/' || batches.batch_id AND events.version = 1
ORDER BY events.position DESC
LIMIT :limit;
