-- migrate:up

-- Closing a position takes no lock and waits for nothing. Before a statement inserts events, it takes a shared
-- advisory lock whose key tells the last position given out until then: -1 minus that position. The statement's
-- own positions are higher. The lock ends with its transaction, after its events have become visible. Negative
-- keys of this database belong to the log.
CREATE FUNCTION sat.hold_position() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(-1 - CASE WHEN s.is_called THEN s.last_value ELSE 0 END)
    FROM sat.events_position_seq AS s;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_hold_position BEFORE INSERT ON sat.events
    FOR EACH STATEMENT EXECUTE FUNCTION sat.hold_position();

-- Every position up to the returned one is settled: no append in flight will commit below it. Gaps are legal (an
-- aborted append leaves one). The last position given out is read before the locks: an append that holds none by
-- then has ended, or will get higher positions.
CREATE OR REPLACE FUNCTION sat.close_position() RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given_out bigint;
    held      bigint;
BEGIN
    SELECT last_value INTO given_out FROM sat.events_position_seq;
    SELECT min(-1 - ((l.classid::bigint << 32) | l.objid::bigint))
    INTO held
    FROM pg_locks AS l
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
      AND l.objsubid = 1
      AND l.granted
      AND l.classid::bigint >= 2147483648;
    RETURN (SELECT coalesce(max(position), 0) FROM sat.events WHERE position <= least(given_out, held));
END
$$;

-- migrate:down
DROP TRIGGER events_hold_position ON sat.events;
DROP FUNCTION sat.hold_position();
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
