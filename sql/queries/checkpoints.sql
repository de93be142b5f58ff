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

-- name: full_verification()
-- How far the verification of everything has come.
SELECT progress, key_id, signature FROM sat.full_verification;

-- name: keep_full_verification(progress, key_id, signature)!
-- Go on from here after a restart.
INSERT INTO sat.full_verification (progress, key_id, signature)
VALUES (:progress, :key_id, :signature)
ON CONFLICT (is_the_row) DO UPDATE SET
    progress = EXCLUDED.progress, key_id = EXCLUDED.key_id, signature = EXCLUDED.signature;

-- name: covering_checkpoint(position)
-- The checkpoint over a position, if there is one already. Of several rows that say so, the one
-- that another one names, or that covers least.
SELECT c.document, c.digest, c.key_id, c.signature
FROM sat.checkpoints AS c
WHERE c.first_position <= :position AND c.last_position >= :position
ORDER BY
    EXISTS (
        SELECT FROM sat.checkpoints AS n
        WHERE n.number = c.number + 1 AND n.document::jsonb ->> 'previous' = c.digest
    ) DESC,
    c.last_position - c.first_position
LIMIT 1;

-- name: checkpoints_between(first_number, last_number)
-- What stands under a range of numbers, by number, oldest first.
SELECT document, digest, key_id, signature
FROM sat.checkpoints
WHERE number BETWEEN :first_number AND :last_number
ORDER BY number, recorded_at;

-- name: checkpoints_after(number, limit)
-- A page of what stands in the table, by number: all of a number or nothing.
SELECT number, document, digest, key_id, signature
FROM sat.checkpoints
WHERE number > :number
ORDER BY number
FETCH FIRST :limit ROWS WITH TIES;

-- name: checkpoints_of_period(recorded_from, recorded_before)
-- What says of itself that it has events that were recorded in a period, by number.
SELECT document, digest, key_id, signature
FROM sat.checkpoints
WHERE CASE
    WHEN pg_input_is_valid(document::jsonb ->> 'recorded_to', 'timestamptz')
        AND pg_input_is_valid(document::jsonb ->> 'recorded_from', 'timestamptz')
    THEN (document::jsonb ->> 'recorded_to')::timestamptz >= :recorded_from
        AND (document::jsonb ->> 'recorded_from')::timestamptz < :recorded_before
END
ORDER BY number, recorded_at;

-- name: keep_checkpoint(document, digest, key_id, signature)!
-- Keep a checkpoint, unless it is kept already.
INSERT INTO sat.checkpoints (document, digest, key_id, signature)
VALUES (:document, :digest, :key_id, :signature)
ON CONFLICT DO NOTHING;

-- name: leaves(first_position, last_position, limit)
-- What a checkpoint covers of each event, by position; NULL is no limit.
SELECT position, recorded_at, digest
FROM sat.events
WHERE (:first_position::bigint IS NULL OR position >= :first_position)
  AND (:last_position::bigint IS NULL OR position <= :last_position)
ORDER BY position
LIMIT :limit;
