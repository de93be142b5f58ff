-- name: orders_received(batch_id, after_position, up_to_position)
-- The orders that a batch received between two positions, by row number.
SELECT stream, (data::jsonb ->> 'row_number')::integer
FROM sat.events
WHERE position > :after_position AND position <= :up_to_position
  AND type = 'OrderReceived' AND data::jsonb ->> 'batch_id' = :batch_id
ORDER BY 2;

-- name: read_streams_until(streams, up_to_position)
-- The events of many streams up to a position, stream by stream, by version.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = ANY (:streams) AND position <= :up_to_position
ORDER BY stream, version;

-- name: facts_of_streams_until(streams, up_to_position)
-- What a fold needs of them: by stream, by version.
SELECT stream, type, schema_version, data, occurred_at
FROM sat.events
WHERE stream = ANY (:streams) AND position <= :up_to_position
ORDER BY stream, version;

-- name: position_at(moment, up_to_position)$
-- The last settled position that was recorded by then.
SELECT coalesce(
    (
        SELECT position
        FROM sat.events
        WHERE recorded_at <= :moment::timestamptz AND position <= :up_to_position
        ORDER BY position DESC
        LIMIT 1
    ),
    0
);

-- name: recorded_at(position)$
-- When the last event up to a position was recorded; NULL before the first.
SELECT recorded_at FROM sat.events WHERE position <= :position ORDER BY position DESC LIMIT 1;
