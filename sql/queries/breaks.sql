-- name: streams_ahead()
-- Streams of accounts that are ahead of the tables of breaks.
SELECT h.stream
FROM sat.accounts AS a
JOIN sat.stream_heads AS h ON h.stream = 'account/' || a.account_id
LEFT JOIN sat.break_cursors AS c USING (stream)
WHERE h.version > coalesce(c.version, 0)
ORDER BY h.stream;

-- name: begin_stream(stream)!
-- A cursor for a stream that has none.
INSERT INTO sat.break_cursors (stream, version) VALUES (:stream, 0) ON CONFLICT DO NOTHING;

-- name: lock_cursor(stream)$
-- Up to where a stream was read. Only one reader goes on from there.
SELECT version FROM sat.break_cursors WHERE stream = :stream FOR UPDATE;

-- name: head_of(stream)$
-- The version that a stream has reached.
SELECT version FROM sat.stream_heads WHERE stream = :stream;

-- name: events_since(stream, after_version, up_to_version, types)
-- Events of some types of a stream between two versions.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream AND version > :after_version AND version <= :up_to_version AND type = ANY (:types)
ORDER BY version;

-- name: move_cursor(stream, version)!
-- A stream was read up to a version.
UPDATE sat.break_cursors SET version = :version WHERE stream = :stream;

-- name: forget_close(account, day)!
-- A day is closed again: its breaks come once more with its new close.
WITH forgotten AS (DELETE FROM sat.break_ages WHERE account = :account AND closed_day = :day)
UPDATE sat.breaks AS b
SET closed_days = array_remove(closed_days, :day::date),
    closed_day = coalesce(
        (SELECT max(d.day) FROM unnest(array_remove(b.closed_days, :day::date)) AS d (day)), closed_day
    ),
    is_listed = cardinality(array_remove(closed_days, :day::date)) > 0
WHERE account = :account AND closed_day >= :day::date AND :day::date = ANY (closed_days);

-- name: book_breaks(account, day, version, breaks)!
-- Breaks as a close recorded them. A break that a later day has too stays as that one says.
INSERT INTO sat.breaks AS b (
    break_id, account, closed_day, day, first_seen, category, state, amount_rupiah, booked, reason, decided_by,
    decided_at, version, is_listed
)
SELECT
    r.break_id, :account, :day::date, r.day, r.first_seen, r.category, r.state, r.amount_rupiah, s.booked, r.reason,
    r.actor, r.decided_at, :version, true
FROM jsonb_array_elements(:breaks::jsonb) AS s (booked)
CROSS JOIN LATERAL jsonb_to_record(s.booked) AS r (
    break_id text, day date, first_seen date, category text, state text, amount_rupiah bigint, reason text,
    actor text, decided_at timestamptz
)
ON CONFLICT (break_id) DO UPDATE SET
    closed_day = EXCLUDED.closed_day, day = EXCLUDED.day, first_seen = EXCLUDED.first_seen,
    category = EXCLUDED.category, state = EXCLUDED.state, amount_rupiah = EXCLUDED.amount_rupiah,
    booked = EXCLUDED.booked, reason = EXCLUDED.reason, decided_by = EXCLUDED.decided_by,
    decided_at = EXCLUDED.decided_at, version = EXCLUDED.version, is_listed = true
WHERE NOT b.is_listed OR b.closed_day <= EXCLUDED.closed_day;

-- name: note_close(day, break_ids)!
-- The close of a day has these breaks.
UPDATE sat.breaks
SET closed_days = array_append(array_remove(closed_days, :day::date), :day::date), is_listed = true
WHERE break_id = ANY (:break_ids::text[]);

-- name: add_ages(account, day, ages, breaks, sizes)!
-- How many breaks of each age a part of a close carries forward.
INSERT INTO sat.break_ages AS a (account, closed_day, age_days, breaks, size_rupiah)
SELECT :account, :day::date, n.age_days, n.breaks, n.size_rupiah
FROM unnest(:ages::integer[], :breaks::integer[], :sizes::bigint[]) AS n (age_days, breaks, size_rupiah)
ON CONFLICT (account, closed_day, age_days) DO UPDATE
SET breaks = a.breaks + EXCLUDED.breaks, size_rupiah = a.size_rupiah + EXCLUDED.size_rupiah;

-- name: apply_decisions(break_ids, states, reasons, actors, moments, versions, first_positions)!
-- Decisions of people about breaks: the last and the position of the first for each break.
UPDATE sat.breaks AS b
SET state = d.state, reason = d.reason, decided_by = d.actor, decided_at = d.at, version = d.version,
    first_decided = coalesce(b.first_decided, d.first_position)
FROM unnest(
    :break_ids::text[], :states::text[], :reasons::text[], :actors::text[], :moments::timestamptz[],
    :versions::integer[], :first_positions::bigint[]
) AS d (break_id, state, reason, actor, at, version, first_position)
WHERE b.break_id = d.break_id;

-- name: apply_assignments(break_ids, assignees, versions)!
-- Who looks into breaks, at most once for each break.
UPDATE sat.breaks AS b
SET assignee = d.assignee, version = d.version
FROM unnest(:break_ids::text[], :assignees::text[], :versions::integer[]) AS d (break_id, assignee, version)
WHERE b.break_id = d.break_id;

-- name: count_note(break_id, comments, files)!
-- One more comment or file of a break.
UPDATE sat.breaks
SET comments = comments + :comments, files = files + :files
WHERE break_id = :break_id;

-- name: page_of_breaks(sort, account, states, category, day, first_seen_from, first_seen_until, assignee, after_key, after_id, limit)
-- A page of breaks, the oldest or the largest first.
SELECT
    break_id, account, closed_day, category, amount_rupiah, booked::text, state, reason, decided_by, decided_at, assignee, comments, files, version,
    CASE :sort WHEN 'size' THEN by_size ELSE by_age END
FROM sat.breaks
WHERE is_listed
  AND (:states::text[] IS NULL OR state = ANY (:states))
  AND (:account::text IS NULL OR account = :account)
  AND (:category::text IS NULL OR category = :category)
  AND (:day::date IS NULL OR day = :day)
  AND (:first_seen_from::date IS NULL OR first_seen >= :first_seen_from)
  AND (:first_seen_until::date IS NULL OR first_seen <= :first_seen_until)
  AND (:assignee::text IS NULL OR assignee = :assignee)
  AND (
      :after_key::bigint IS NULL
      OR (CASE :sort WHEN 'size' THEN by_size ELSE by_age END, break_id) > (:after_key, :after_id)
  )
ORDER BY CASE :sort WHEN 'size' THEN by_size ELSE by_age END, break_id
LIMIT :limit;

-- name: count_breaks(account, states, category, day, first_seen_from, first_seen_until, assignee, most)^
-- How many breaks a filter finds, up to a number, and their amounts without signs.
SELECT count(*), coalesce(sum(abs(amount_rupiah)), 0)::bigint
FROM (
    SELECT amount_rupiah
    FROM sat.breaks
    WHERE is_listed
      AND (:states::text[] IS NULL OR state = ANY (:states))
      AND (:account::text IS NULL OR account = :account)
      AND (:category::text IS NULL OR category = :category)
      AND (:day::date IS NULL OR day = :day)
      AND (:first_seen_from::date IS NULL OR first_seen >= :first_seen_from)
      AND (:first_seen_until::date IS NULL OR first_seen <= :first_seen_until)
      AND (:assignee::text IS NULL OR assignee = :assignee)
    LIMIT :most
) AS found;

-- name: breaks_named(break_ids)
-- These breaks, whether their days were closed again without them or not.
SELECT
    break_id, account, closed_day, category, amount_rupiah, booked::text, state, reason, decided_by, decided_at, assignee, comments, files, version,
    is_listed
FROM sat.breaks
WHERE break_id = ANY (:break_ids);

-- name: acts_about(stream, break_id, types)
-- What people did about a break.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream AND type = ANY (:types)
  -- Only texts that have the id are parsed.
  AND CASE WHEN strpos(data, :break_id) > 0 THEN data::jsonb ->> 'break_id' = :break_id ELSE false END
ORDER BY version;

-- name: decided_by(stream, after_version, actor, cause)
-- The breaks that one act of a person decided.
SELECT data::jsonb ->> 'break_id'
FROM sat.events
WHERE stream = :stream AND version > :after_version AND type = 'BreakDecided' AND actor = :actor AND cause = :cause;

-- name: ages(account, states)
-- Breaks of these states by the day on which they were first seen.
SELECT first_seen, count(*), coalesce(sum(abs(amount_rupiah)), 0)::bigint
FROM sat.breaks
WHERE is_listed AND state IN ('open', 'explained') AND state = ANY (:states)
  AND (:account::text IS NULL OR account = :account)
GROUP BY first_seen
ORDER BY first_seen;

-- name: ages_by_close(account, since)
-- What the closes of the days since a day carried forward, by age.
SELECT closed_day, age_days, sum(breaks)::integer, sum(size_rupiah)::bigint
FROM sat.break_ages
WHERE closed_day >= :since AND (:account::text IS NULL OR account = :account)
GROUP BY closed_day, age_days
ORDER BY closed_day, age_days;

-- name: decided_since_close(account, days, positions)
-- How many breaks of the closes of some days were decided for the first time after these closes, by day.
SELECT c.day, count(*)
FROM sat.breaks AS b
CROSS JOIN LATERAL unnest(b.closed_days) AS own (day)
JOIN unnest(:days::date[], :positions::bigint[]) AS c (day, position) ON c.day = own.day AND b.first_decided > c.position
WHERE b.account = :account AND b.first_decided > (SELECT min(p) FROM unnest(:positions::bigint[]) AS p)
GROUP BY c.day;

-- name: assignees()
-- Who looks into breaks that are not ended.
SELECT DISTINCT assignee
FROM sat.breaks
WHERE is_listed AND state IN ('open', 'explained') AND assignee <> ''
ORDER BY assignee
LIMIT 200;

-- name: followed_streams()
-- Up to which version of each account's stream the tables of breaks are filled.
SELECT stream, version FROM sat.break_cursors ORDER BY stream;

-- name: every_row()
-- The rows of breaks, for a comparison with the log.
SELECT
    break_id, account, closed_day, closed_days, day, first_seen, category, state, amount_rupiah, booked, reason, decided_by,
    decided_at, version, is_listed, first_decided, assignee, comments, files
FROM sat.breaks
ORDER BY break_id;

-- name: every_age()
-- The ages of breaks that closes carried forward, for the same comparison.
SELECT account, closed_day, age_days, breaks, size_rupiah FROM sat.break_ages;
