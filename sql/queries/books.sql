-- name: head_of_books(stream)$
-- The position of the newest event of a stream. An event is appended after all earlier ones of its stream are
-- committed, so nothing below it appears later.
SELECT position FROM sat.events WHERE stream = :stream ORDER BY version DESC LIMIT 1;

-- name: first_decisions(stream, since_position, up_to_position)
-- Where each break was first decided, if between two positions.
SELECT data::jsonb ->> 'break_id' AS break_id, min(position)
FROM sat.events
WHERE stream = :stream AND type = 'BreakDecided' AND position <= :up_to_position
GROUP BY break_id
HAVING min(position) > :since_position;

-- name: day_events(stream, types, observed_since, observed_before, day, up_to_position)
-- The events that say how an account's days stand, with the observations of the deposit of a time, and with the breaks
-- of one day's closes, or of none. A close may have many breaks: only the beginnings of the others are read.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream AND position <= :up_to_position
  AND (type = ANY (:types) OR (
      type = 'BreaksRecorded' AND strpos(split_part(left(data, 400), '"breaks"', 1), '"day":"' || :day || '"') > 0
  ))
  AND (type <> 'DepositObserved' OR (occurred_at >= :observed_since AND occurred_at < :observed_before))
ORDER BY version;

-- name: open_when_closed(stream, since_position, days, break_ids)
-- Which of these breaks were open when these days were closed: the day, the log position of the close, the break, and
-- the day on which it was first seen.
SELECT
    (e.facts ->> 'day')::date, (e.facts ->> 'position')::bigint, b.one ->> 'break_id',
    (b.one ->> 'first_seen')::date
FROM (
    SELECT data::jsonb AS facts
    FROM sat.events
    WHERE stream = :stream AND type = 'BreaksRecorded' AND position >= :since_position
    OFFSET 0
) AS e
CROSS JOIN LATERAL jsonb_array_elements(e.facts -> 'breaks') AS b (one)
WHERE e.facts ->> 'day' = ANY (:days) AND b.one ->> 'state' = 'open' AND b.one ->> 'break_id' = ANY (:break_ids);

-- name: in_flight_by_day(account, cut_off_minutes)
-- How many orders that were sent have no end, by the business day on which they were sent first.
SELECT
    ((document ->> 'first_sent_at')::timestamptz AT TIME ZONE 'Asia/Jakarta'
        - make_interval(mins => :cut_off_minutes))::date AS day,
    count(*)
FROM sat.orders
WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated')
  AND document ->> 'first_sent_at' IS NOT NULL
GROUP BY day
ORDER BY day;
