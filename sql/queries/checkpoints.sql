-- name: lock_checkpoints()!
-- One process at a time makes checkpoints, until its transaction ends.
SELECT pg_advisory_xact_lock(sat.checkpoint_lock_class(), 0);

-- name: newest_checkpoints(number, digest, limit)
-- What stands in the table from the highest number down, each beside the row that it names as the one before.
SELECT
    c.number, c.document, c.digest, c.key_id, c.signature, p.document, p.digest, p.key_id, p.signature
FROM sat.checkpoints AS c
LEFT JOIN sat.checkpoints AS p ON p.digest = c.document::jsonb ->> 'previous'
WHERE (c.number, c.digest) < (:number, :digest)
ORDER BY c.number DESC, c.digest DESC
LIMIT :limit;

-- name: checkpoints_since(since)
-- The same of what was added since then, by number.
SELECT
    c.number, c.document, c.digest, c.key_id, c.signature, p.document, p.digest, p.key_id, p.signature
FROM sat.checkpoints AS c
LEFT JOIN sat.checkpoints AS p ON p.digest = c.document::jsonb ->> 'previous'
WHERE c.recorded_at >= :since
ORDER BY c.number, c.recorded_at;

-- name: newest_number()$
-- The highest number in the table, 0 when there is none.
SELECT coalesce(max(number), 0) FROM sat.checkpoints;

-- name: checkpoint(number)
-- What stands under a number, oldest first.
SELECT document, digest, key_id, signature FROM sat.checkpoints WHERE number = :number ORDER BY recorded_at;

-- name: checkpoints_after(number, limit)
-- A page of what stands in the table, by number: all of a number or nothing.
SELECT number, document, digest, key_id, signature
FROM sat.checkpoints
WHERE number > :number
ORDER BY number
FETCH FIRST :limit ROWS WITH TIES;

-- name: keep_checkpoint(document, digest, key_id, signature)!
-- Keep a checkpoint, unless it is kept already.
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
    min(number) FILTER (WHERE CASE WHEN pg_input_is_valid(document::jsonb ->> 'recorded_to', 'timestamptz')
        THEN (document::jsonb ->> 'recorded_to')::timestamptz >= :since END),
    max(number) + 1, 1
)
FROM sat.checkpoints;
