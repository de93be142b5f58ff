-- name: append_events(actor, cause, occurred_at, heads, events, movements, orders, batches, accounts, evidence)$
-- Append to many streams at once; returns the streams that had moved on.
SELECT sat.append_events(
    :actor, :cause, :occurred_at, :heads, :events, :movements, :orders, :batches::jsonb, :accounts::jsonb,
    :evidence::jsonb
);

-- name: read_stream(stream)
-- All events of one stream, by version.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream
ORDER BY version;

-- name: read_stream_of(stream, types)
-- The events of some types of one stream, by version.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream AND type = ANY (:types)
ORDER BY version;

-- name: read_log(after_position, up_to_position, limit)
-- A page of the log, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position > :after_position AND position <= :up_to_position
ORDER BY position
LIMIT :limit;

-- name: database_time()$
-- The clock that every machine shares.
SELECT clock_timestamp();

-- name: close_position()$
-- A position below which nothing can appear any more.
SELECT sat.close_position();

-- name: newest_position()$
-- The highest position that is committed.
SELECT coalesce(max(position), 0) FROM sat.events;
