-- migrate:up

-- Every position up to the returned one is settled: an append in flight has either committed below it or
-- will get a higher one. Gaps are legal (an aborted append leaves one).
--
-- The lock is held for an instant and never longer than the call, so that whoever may close a position cannot
-- keep appends out. Behind an append that does not end it is waited for briefly: later appends wait behind it.
CREATE OR REPLACE FUNCTION sat.close_position() RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    closed bigint;
BEGIN
    BEGIN
        PERFORM pg_advisory_lock(sat.log_lock_key());
        SELECT coalesce(max(position), 0) INTO closed FROM sat.events;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        -- A lock of the session outlives an error. It may not have been reached yet.
        PERFORM pg_advisory_unlock(sat.log_lock_key())
        FROM pg_locks
        WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'
          AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = sat.log_lock_key();
        RAISE;
    END;
    PERFORM pg_advisory_unlock(sat.log_lock_key());
    RETURN closed;
END
$$;

-- migrate:down
CREATE OR REPLACE FUNCTION sat.close_position() RETURNS bigint LANGUAGE plpgsql
SECURITY INVOKER AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(sat.log_lock_key());
    RETURN (SELECT coalesce(max(position), 0) FROM sat.events);
END
$$;
