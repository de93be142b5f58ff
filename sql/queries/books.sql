-- name: head_of_books(stream)$
-- The position of the newest event of a stream. An event is appended after all earlier ones of its stream are
-- committed, so nothing below it appears later.
SELECT position FROM sat.events WHERE stream = :stream ORDER BY version DESC LIMIT 1;

-- name: decisions_together(stream, after_position, up_to_position)
-- People's decisions about breaks between two positions: one row for the breaks that were decided at once.
SELECT max(version), max(position), occurred_at, actor, state, reason, array_agg(break_id ORDER BY version)
FROM (
    SELECT
        e.version, e.position, e.occurred_at, e.actor, d.state, d.reason, d.break_id,
        e.version - row_number() OVER (PARTITION BY e.occurred_at, e.actor, d.state, d.reason ORDER BY e.version) AS run
    FROM sat.events AS e
    CROSS JOIN LATERAL jsonb_to_record(e.data::jsonb) AS d (break_id text, state text, reason text)
    WHERE e.stream = :stream AND e.type = 'BreakDecided'
      AND e.position > :after_position AND e.position <= :up_to_position
) AS decided
GROUP BY occurred_at, actor, state, reason, run
ORDER BY 1;

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

-- name: in_flight_by_day(account, cut_off_minutes)
-- How many orders that were sent have no end, by the business day on which they were sent first.
SELECT
    (first_sent_at AT TIME ZONE 'Asia/Jakarta' - make_interval(mins => :cut_off_minutes))::date AS day,
    count(*)
FROM sat.orders
WHERE account = :account AND state IN ('submitting', 'pending', 'unknown', 'escalated')
  AND first_sent_at IS NOT NULL
GROUP BY day
ORDER BY day;
