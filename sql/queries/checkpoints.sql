-- name: last_checkpoint()
-- The newest checkpoint, if there is one.
SELECT document, digest, key_id, signature FROM sat.checkpoints ORDER BY number DESC LIMIT 1;

-- name: checkpoint(number)
-- One checkpoint.
SELECT document, digest, key_id, signature FROM sat.checkpoints WHERE number = :number;

-- name: checkpoints_after(number, limit)
-- A page of checkpoints, by number.
SELECT number, document, digest, key_id, signature
FROM sat.checkpoints
WHERE number > :number
ORDER BY number
LIMIT :limit;

-- name: keep_checkpoint(document, digest, key_id, signature)!
-- Keep a checkpoint, unless somebody was faster with the same number.
INSERT INTO sat.checkpoints (document, digest, key_id, signature)
VALUES (:document, :digest, :key_id, :signature)
ON CONFLICT DO NOTHING;

-- name: leaves_after(position, up_to_position, limit)
-- What a checkpoint covers of each event, by position.
SELECT position, recorded_at, digest
FROM sat.events
WHERE position > :position AND position <= :up_to_position
ORDER BY position
LIMIT :limit;

-- name: every_leaf()
-- What checkpoints cover of each event, by position: the whole log.
SELECT position, recorded_at, digest FROM sat.events ORDER BY position;

-- name: leaves_from(position)
-- The same from a position on.
SELECT position, recorded_at, digest FROM sat.events WHERE position >= :position ORDER BY position;

-- name: first_number_since(since)$
-- The first checkpoint with events that were recorded since then; after the last one when there is none.
SELECT coalesce(
    min(number) FILTER (WHERE (document::jsonb ->> 'recorded_to')::timestamptz >= :since), max(number) + 1, 1
)
FROM sat.checkpoints;

-- name: checkpoints_between(recorded_from, recorded_before)
-- The first and the last checkpoint with events that were recorded in a period; NULL when there is none.
SELECT min(number), max(number)
FROM sat.checkpoints
WHERE (document::jsonb ->> 'recorded_to')::timestamptz >= :recorded_from
  AND (document::jsonb ->> 'recorded_from')::timestamptz < :recorded_before;
