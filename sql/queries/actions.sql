-- name: actions_since(since, actor, after_position, limit)
-- A page of what people did, by position; of one of them, if one is named.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE recorded_at >= :since AND position > :after_position
  AND starts_with(actor, 'user:') AND (:actor::text IS NULL OR actor = :actor)
ORDER BY position
LIMIT :limit;
