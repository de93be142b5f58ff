-- name: archive_events(stream)
-- What was archived and brought back, by version.
SELECT type, schema_version, data, occurred_at
FROM sat.events
WHERE stream = :stream AND type IN ('EventsArchived', 'EventsRestored')
ORDER BY version;

-- name: first_archived(streams)
-- The first of these streams with events in a file only, and their partition.
SELECT stream, partition FROM sat.archived_streams WHERE stream = ANY (:streams) ORDER BY 1, 2 LIMIT 1;

-- name: archived_among(streams)
-- Those of these streams with events in a file only.
SELECT DISTINCT stream FROM sat.archived_streams WHERE stream = ANY (:streams);

-- name: archived_partition_of_batch(batch_id)$
-- The same of any order of a batch.
SELECT min(s.partition)
FROM sat.orders AS o
JOIN sat.archived_streams AS s ON s.stream = 'order/' || o.request_id
WHERE o.batch_id = :batch_id;

-- name: heads_of(streams)
-- The heads of these streams.
SELECT stream, version FROM sat.stream_heads WHERE stream = ANY (:streams);

-- name: first_unsigned_day(first_position, last_position)
-- The first day (WIB) and account with movements of orders in a range of positions that is not signed off.
SELECT m.day, m.account
FROM (
    SELECT DISTINCT (m.occurred_at AT TIME ZONE 'Asia/Jakarta')::date AS day, o.account
    FROM sat.order_movements AS m
    JOIN sat.orders AS o ON o.request_id = m.request_id
    WHERE m.position BETWEEN :first_position AND :last_position
) AS m
WHERE NOT EXISTS (
    SELECT FROM sat.events AS e
    JOIN sat.accounts AS a ON a.account_id = substr(e.stream, 9)
    WHERE e.type = 'DayCertified' AND a.document ->> 'account' = m.account
      AND (e.data::jsonb ->> 'day')::date = m.day
)
ORDER BY 1, 2
LIMIT 1;

-- name: make_replacement(partition)$
-- An empty table that can take a partition's place.
SELECT sat.make_events_replacement(:partition);

-- name: keep_events(partition, final_states)
-- Fill it with the events that stay; returns how many stay and how many do not.
SELECT kept, moved FROM sat.keep_events(:partition, :final_states);

-- name: replace_partition(partition)
-- Put it in the partition's place, and drop the partition.
SELECT sat.replace_events_partition(:partition);

-- name: forget_archived_streams(partition)!
-- The partition's events are in the database again.
DELETE FROM sat.archived_streams WHERE partition = :partition;
