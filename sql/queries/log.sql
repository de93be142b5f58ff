-- name: streams_in_order(first_position, last_position)
-- A range of the log, or all of it (NULL), stream by stream and version by version, each event with the head that
-- the store keeps for its stream now. The first event of a stream here may be any of its versions.
SELECT
    e.position, e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at,
    e.recorded_at, e.digest, h.version
FROM sat.events AS e
LEFT JOIN sat.stream_heads AS h USING (stream)
WHERE (:first_position::bigint IS NULL OR e.position >= :first_position)
  AND (:last_position::bigint IS NULL OR e.position <= :last_position)
ORDER BY e.stream, e.version, e.position;

-- name: events_of_types(types, after_position, up_to_position)
-- The events of some types between two positions.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE type = ANY (:types) AND position > :after_position AND position <= :up_to_position
ORDER BY position;

-- name: other_events_of_people(types, after_position, up_to_position)
-- What people did besides events of these types, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position > :after_position AND position <= :up_to_position
  AND starts_with(actor, 'user:') AND type <> ALL (:types)
ORDER BY position;

-- name: actions_since(since, after_position, limit)
-- A page of what people did, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE recorded_at >= :since AND position > :after_position
  AND starts_with(actor, 'user:')
ORDER BY position
LIMIT :limit;

-- name: last_events(streams, types)
-- The last event of some types in each of these streams: when it occurred, and who recorded it.
SELECT s.stream, e.occurred_at, e.actor
FROM unnest(:streams::text[]) AS s (stream)
CROSS JOIN LATERAL (
    SELECT occurred_at, actor
    FROM sat.events
    WHERE stream = s.stream AND type = ANY (:types)
    ORDER BY version DESC
    LIMIT 1
) AS e;
