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

-- name: newest_versions(streams)
-- The last version that the log has of each stream.
SELECT s.stream, newest.version
FROM unnest(:streams::text[]) AS s (stream)
CROSS JOIN LATERAL (
    SELECT version FROM sat.events WHERE stream = s.stream ORDER BY version DESC LIMIT 1
) AS newest;

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

-- name: position_since(moment)$
-- The first position that was recorded at a moment or later, by halving: positions and times rise together, but
-- for the moments that two appends take. One past the last position when there is none, NULL in an empty log.
WITH RECURSIVE halves AS (
    SELECT min(position) AS low, max(position) + 1 AS high FROM sat.events
    UNION ALL
    SELECT
        CASE WHEN probe.recorded_at < :moment THEN probe.position + 1 ELSE h.low END,
        CASE WHEN probe.recorded_at < :moment THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halves AS h
    CROSS JOIN LATERAL (
        SELECT position, recorded_at
        FROM sat.events
        WHERE position >= (h.low + h.high) / 2
        ORDER BY position
        LIMIT 1
    ) AS probe
    WHERE h.low < h.high
)
SELECT high FROM halves WHERE low >= high LIMIT 1;

-- name: newest_events(after_position, before_position, since, before, limit)
-- A page of the log, the newest first.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position > :after_position AND position < :before_position
  AND (:since::timestamptz IS NULL OR recorded_at >= :since)
  AND (:before::timestamptz IS NULL OR recorded_at < :before)
ORDER BY position DESC
LIMIT :limit;

-- name: newest_events_of_stream(stream, types, people_only, actors, after_position, before_position, since, before, limit)
-- The same of one stream, by the index of its versions.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream
  AND (:types::text[] IS NULL OR type = ANY (:types))
  AND (NOT :people_only OR starts_with(actor, 'user:'))
  AND (:actors::text[] IS NULL OR actor = ANY (:actors))
  AND position > :after_position AND position < :before_position
  AND (:since::timestamptz IS NULL OR recorded_at >= :since)
  AND (:before::timestamptz IS NULL OR recorded_at < :before)
ORDER BY version DESC
LIMIT :limit;

-- name: newest_events_of_types(types, of_paid_orders, after_position, before_position, since, before, limit)
-- The same of some types: each type's newest, then the newest of them. The comparison of rows leaves only the index
-- of types: with "type = …" the planner may look for a rare type from the log's end. The types that every paid order
-- has are not in that index; they are found from the log's end.
SELECT
    e.position, e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at,
    e.recorded_at, e.digest
FROM (
    SELECT rare.*
    FROM unnest(:types::text[]) AS t (type)
    CROSS JOIN LATERAL (
        SELECT *
        FROM sat.events
        WHERE (type, position) > (t.type, :after_position) AND (type, position) < (t.type, :before_position)
          AND type <> ALL (:of_paid_orders::text[])
          AND (:since::timestamptz IS NULL OR recorded_at >= :since)
          AND (:before::timestamptz IS NULL OR recorded_at < :before)
        ORDER BY type DESC, position DESC
        LIMIT :limit
    ) AS rare
    UNION ALL
    (
        SELECT *
        FROM sat.events
        WHERE :types::text[] && :of_paid_orders::text[]
          AND type = ANY (:types)
          AND type = ANY (:of_paid_orders::text[])
          AND position > :after_position AND position < :before_position
          AND (:since::timestamptz IS NULL OR recorded_at >= :since)
          AND (:before::timestamptz IS NULL OR recorded_at < :before)
        ORDER BY position DESC
        LIMIT :limit
    )
) AS e
ORDER BY e.position DESC
LIMIT :limit;

-- name: newest_events_of_people(after_position, before_position, since, before, limit)
-- The same of what people did.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE starts_with(actor, 'user:')
  AND position > :after_position AND position < :before_position
  AND (:since::timestamptz IS NULL OR recorded_at >= :since)
  AND (:before::timestamptz IS NULL OR recorded_at < :before)
ORDER BY position DESC
LIMIT :limit;

-- name: newest_events_of_persons(actors, types, after_position, before_position, since, before, limit)
-- The same of what some people did, for all types or some.
WITH RECURSIVE done AS (
    SELECT a.actor, first.type
    FROM unnest(:actors::text[]) AS a (actor)
    CROSS JOIN LATERAL (
        SELECT type FROM sat.events
        WHERE starts_with(actor, 'user:') AND actor = a.actor
        ORDER BY type
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT d.actor, following.type
    FROM done AS d
    CROSS JOIN LATERAL (
        SELECT type FROM sat.events
        WHERE starts_with(actor, 'user:') AND actor = d.actor AND type > d.type
        ORDER BY type
        LIMIT 1
    ) AS following
)
SELECT
    e.position, e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at,
    e.recorded_at, e.digest
FROM done AS d
CROSS JOIN LATERAL (
    SELECT *
    FROM sat.events
    WHERE starts_with(actor, 'user:')
      AND (actor, type, position) > (d.actor, d.type, :after_position)
      AND (actor, type, position) < (d.actor, d.type, :before_position)
      AND (:since::timestamptz IS NULL OR recorded_at >= :since)
      AND (:before::timestamptz IS NULL OR recorded_at < :before)
    ORDER BY actor DESC, type DESC, position DESC
    LIMIT :limit
) AS e
WHERE :types::text[] IS NULL OR d.type = ANY (:types)
ORDER BY e.position DESC
LIMIT :limit;

-- name: people()
-- Every actor who is a person, by the index of what people did.
WITH RECURSIVE people AS (
    (SELECT actor FROM sat.events WHERE starts_with(actor, 'user:') ORDER BY actor LIMIT 1)
    UNION ALL
    SELECT following.actor
    FROM people AS p
    CROSS JOIN LATERAL (
        SELECT actor FROM sat.events
        WHERE starts_with(actor, 'user:') AND actor > p.actor
        ORDER BY actor
        LIMIT 1
    ) AS following
)
SELECT actor FROM people;

-- name: event_at(position)
-- The event at a position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position = :position;

-- name: subjects_of(streams)
-- What streams are about: the account, the batch, and the order of an order's stream.
SELECT s.stream, coalesce(o.account, b.account, a.account), coalesce(o.batch_id, b.batch_id),
    coalesce(b.document ->> 'file_name', ob.document ->> 'file_name'), o.order_id, o.row_number
FROM unnest(:streams::text[]) AS s (stream)
LEFT JOIN sat.orders AS o ON starts_with(s.stream, 'order/') AND o.request_id = substr(s.stream, 7)
LEFT JOIN sat.batches AS ob ON ob.batch_id = o.batch_id
LEFT JOIN sat.batches AS b ON starts_with(s.stream, 'batch/') AND b.batch_id = substr(s.stream, 7)
LEFT JOIN sat.accounts AS a ON starts_with(s.stream, 'account/') AND a.account_id = substr(s.stream, 9);
