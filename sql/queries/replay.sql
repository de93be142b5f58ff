-- name: keep_folded_tables_in_place()!
-- As an audit does, and only tables that the first release had: a replay runs before the schema is migrated.
LOCK TABLE sat.stream_heads, sat.orders, sat.batches, sat.accounts IN ACCESS SHARE MODE;

-- name: events_of_types(types, after_position, up_to_position)
-- The events of some types between two positions.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE type = ANY (:types) AND position > :after_position AND position <= :up_to_position
ORDER BY position;
