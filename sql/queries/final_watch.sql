-- name: watch_cursor(reader)$
-- Up to which position the log has been read for one mark; locks out other readers of it.
WITH kept AS (
    INSERT INTO sat.log_cursors (reader, position) VALUES (:reader, 0)
    ON CONFLICT (reader) DO UPDATE SET position = log_cursors.position
    RETURNING position
)
SELECT position FROM kept;

-- name: move_watch_cursor(reader, position)!
-- Read up to here.
UPDATE sat.log_cursors SET position = :position WHERE reader = :reader;

-- name: enroll_ends(days, hour, after_position, up_to_position, types)$
-- Every end of an order gets this mark: so many business days (WIB) later, from some hour until midnight. Returns how
-- many are new.
WITH added AS (
    INSERT INTO sat.final_watch (end_position, days, request_id, account, due_at, overdue_at, next_try_at)
    SELECT e.position, :days, o.request_id, o.account, look.due_at, look.overdue_at, look.due_at
    FROM sat.events AS e
    JOIN sat.orders AS o ON o.request_id = substr(e.stream, 7)
    CROSS JOIN LATERAL (
        SELECT
            (day + make_interval(hours => :hour)) AT TIME ZONE 'Asia/Jakarta' AS due_at,
            (day + make_interval(days => 1)) AT TIME ZONE 'Asia/Jakarta' AS overdue_at
        FROM (
            SELECT date_trunc('day', e.occurred_at AT TIME ZONE 'Asia/Jakarta') + make_interval(days => :days)
        ) AS x (day)
    ) AS look
    WHERE e.position > :after_position
      AND e.position <= :up_to_position
      AND e.type = ANY (:types::text[])
    ON CONFLICT (end_position, days) DO NOTHING
    RETURNING account, days, due_at, overdue_at
), counted AS (
    INSERT INTO sat.recheck_counts (account, days, due_at, overdue_at, waiting)
    SELECT account, days, due_at, overdue_at, count(*)
    FROM added
    GROUP BY account, days, due_at, overdue_at
)
SELECT count(*) FROM added;

-- name: claim_looks(account, days, now, lease_until, limit)
-- Lease rechecks that are due.
UPDATE sat.final_watch AS w
SET next_try_at = :lease_until, tries = w.tries + 1
FROM (
    SELECT end_position, days
    FROM sat.final_watch
    WHERE account = :account AND closed_at IS NULL AND next_try_at <= :now AND days = ANY (:days::smallint[])
    ORDER BY next_try_at, end_position, days
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
) AS due
WHERE w.end_position = due.end_position AND w.days = due.days
RETURNING w.end_position, w.days, w.request_id, w.tries;

-- name: close_looks(end_positions, days, findings, now)!
-- These looks have been had; the first finding stays.
WITH closed AS (
    UPDATE sat.final_watch AS w
    SET closed_at = :now, finding = f.finding, trouble = NULL
    FROM (
        SELECT
            unnest(:end_positions::bigint[]) AS end_position,
            unnest(:days::smallint[]) AS days,
            unnest(:findings::text[]) AS finding
    ) AS f
    WHERE w.end_position = f.end_position AND w.days = f.days AND w.closed_at IS NULL
    RETURNING w.account, w.days, w.due_at, w.overdue_at, w.closed_at < w.overdue_at AS is_in_time, w.finding
)
INSERT INTO sat.recheck_counts
SELECT
    account, days, due_at, overdue_at, -count(*),
    count(*) FILTER (WHERE finding <> 'given_up' AND is_in_time),
    count(*) FILTER (WHERE finding <> 'given_up' AND NOT is_in_time),
    count(*) FILTER (WHERE finding = 'given_up'),
    count(*) FILTER (WHERE finding = 'changed')
FROM closed
GROUP BY account, days, due_at, overdue_at;

-- name: postpone_looks(end_positions, days, next_try_ats, troubles)!
-- No answer that proves anything; another time.
UPDATE sat.final_watch AS w
SET next_try_at = p.next_try_at, trouble = p.trouble
FROM (
    SELECT
        unnest(:end_positions::bigint[]) AS end_position,
        unnest(:days::smallint[]) AS days,
        unnest(:next_try_ats::timestamptz[]) AS next_try_at,
        unnest(:troubles::text[]) AS trouble
) AS p
WHERE w.end_position = p.end_position AND w.days = p.days AND w.closed_at IS NULL;

-- name: give_up_looks(account, overdue_before, now, limit)$
-- Looks that are overdue for too long are closed without an answer, the oldest first. By their places: joined by
-- their keys, many of them would be found by reading the whole table. Returns how many.
WITH closed AS (
    UPDATE sat.final_watch
    SET closed_at = :now, finding = 'given_up'
    WHERE ctid = ANY (ARRAY(
        SELECT ctid
        FROM sat.final_watch
        WHERE account = :account AND closed_at IS NULL AND overdue_at < :overdue_before
        ORDER BY overdue_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING account, days, due_at, overdue_at
), counted AS (
    INSERT INTO sat.recheck_counts (account, days, due_at, overdue_at, waiting, given_up)
    SELECT account, days, due_at, overdue_at, -count(*), count(*)
    FROM closed
    GROUP BY account, days, due_at, overdue_at
)
SELECT count(*) FROM closed;

-- name: put_counts_together(account, since)!
-- Make the rows of each day and mark one row. Of two that do it at once, the second finds nothing left to do.
WITH gone AS (
    DELETE FROM sat.recheck_counts WHERE account = :account AND overdue_at > :since RETURNING *
)
INSERT INTO sat.recheck_counts
SELECT
    account, days, due_at, overdue_at, sum(waiting), sum(in_time), sum(late), sum(given_up), sum(changed)
FROM gone
GROUP BY account, days, due_at, overdue_at;

-- name: count_looks(now, since)
-- How the marks stand, by account, mark and the day (WIB) on which they fall.
SELECT
    account,
    days,
    (due_at AT TIME ZONE 'Asia/Jakarta')::date,
    coalesce(sum(waiting) FILTER (WHERE overdue_at > :now), 0)::bigint,
    sum(in_time)::bigint,
    sum(late)::bigint,
    (sum(given_up) + coalesce(sum(waiting) FILTER (WHERE overdue_at <= :now), 0))::bigint,
    sum(changed)::bigint
FROM sat.recheck_counts
WHERE due_at <= :now AND overdue_at > :since
GROUP BY 1, 2, 3
ORDER BY 1, 3, 2;
