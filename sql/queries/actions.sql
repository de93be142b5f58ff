-- name: actions_since(since, after_position, limit)
-- A page of what people did, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE recorded_at >= :since AND position > :after_position
  AND starts_with(actor, 'user:')
ORDER BY position
LIMIT :limit;
