-- name: events_of_types(types, after_position, up_to_position)
-- The events of some types between two positions.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE type = ANY (:types) AND position > :after_position AND position <= :up_to_position
ORDER BY position;
