-- migrate:up

-- The log in partitions, one for each month. A partition holds a range of positions; the job that makes partitions
-- moves the sequence to the next range when a month has ended. So the position stays the only key, and a job that
-- did not run stops nothing: events go on in the range of the month before.
CREATE FUNCTION sat.positions_per_partition() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT 10000000000 $$;

CREATE FUNCTION sat.events_partition(p_number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'events_' || lpad(p_number::text, greatest(4, length(p_number::text)), '0') $$;

CREATE FUNCTION sat.partition_lock_key() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 7248301100002 $$;

-- Stops a second event with the version of another, whatever the stream's head says. In one partition a unique index
-- does that. A stream whose last event is in this partition has no later one in another: positions rise with versions.
-- For any other stream all partitions are looked at, but a new order is looked up in sat.orders instead.
CREATE FUNCTION sat.refuse_second_version() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    size    bigint := sat.positions_per_partition();
    lowest  bigint;
    highest bigint;
    bottom  bigint;
    again   text;
BEGIN
    SELECT min(a.position), max(a.position) INTO lowest, highest FROM added AS a;
    bottom := lowest - (lowest - 1) % size;
    IF highest <= size THEN
        RETURN NULL;  -- the first partition has all events
    END IF;
    SELECT n.stream
    INTO again
    FROM (SELECT a.stream, min(a.version) AS first FROM added AS a GROUP BY a.stream) AS n
    WHERE NOT coalesce(
        (
            SELECT highest < bottom + size
            FROM sat.events AS e
            WHERE e.stream = n.stream AND e.version = n.first - 1 AND e.position BETWEEN bottom AND highest
            LIMIT 1
        ),
        false
    ) AND CASE
        WHEN n.first = 1 AND starts_with(n.stream, 'order/')
        THEN EXISTS (SELECT FROM sat.orders AS o WHERE o.request_id = substr(n.stream, 7))
        ELSE coalesce(
            (
                SELECT true
                FROM sat.events AS e
                WHERE e.stream = n.stream AND e.version >= n.first
                  AND e.position <> ALL (ARRAY(SELECT a.position FROM added AS a WHERE a.stream = n.stream))
                LIMIT 1
            ),
            false
        )
    END
    LIMIT 1;
    IF again IS NOT NULL THEN
        RAISE EXCEPTION 'stream %: the log has an event with the version of a new one, or a later one', again
            USING ERRCODE = 'unique_violation', SCHEMA = 'sat', TABLE = 'events',
                CONSTRAINT = 'events_stream_version_unique';
    END IF;
    RETURN NULL;
END
$$;

-- What holds for the log holds for each of its partitions by itself. PostgreSQL copies the triggers for rows to every
-- partition, and none of those for statements.
CREATE FUNCTION sat.guard_events_partition(p_name text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('REVOKE ALL ON sat.%I FROM PUBLIC', p_name);
    EXECUTE format('CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change()', p_name);
    EXECUTE format('CREATE TRIGGER events_hold_position BEFORE INSERT ON sat.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION sat.hold_position()', p_name);
    EXECUTE format('CREATE TRIGGER events_refuse_second_version AFTER INSERT ON sat.%I'
        ' REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_second_version()', p_name);
END
$$;

-- Partition 7 has the positions from 70,000,000,001 to 80,000,000,000. NULL makes the partition of all positions that
-- no other has. Attaching takes a lock that no append and no reader waits for.
CREATE FUNCTION sat.make_events_partition(p_number bigint) RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := coalesce(sat.events_partition(p_number), 'events_default');
    size bigint := sat.positions_per_partition();
BEGIN
    IF to_regclass('sat.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE sat.%I (LIKE sat.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE sat.%I ADD CONSTRAINT %I UNIQUE (stream, version)', name,
        name || '_stream_version_unique');
    PERFORM sat.guard_events_partition(name);
    IF p_number IS NULL THEN
        EXECUTE format('ALTER TABLE sat.events ATTACH PARTITION sat.%I DEFAULT', name);
    ELSE
        EXECUTE format('ALTER TABLE sat.events ATTACH PARTITION sat.%I FOR VALUES FROM (%s) TO (%s)', name,
            p_number * size + 1, (p_number + 1) * size + 1);
    END IF;
    RETURN true;
END
$$;

-- Makes the next partitions, and turns to the next one when the month (WIB) of this one's first event has ended. The
-- sequence does not roll back, so it only turns to a partition that was there before. Attaching locks the partition
-- without bounds for an instant. Behind a long reader of the whole log it gives up soon, because appends would wait
-- behind it; there is a month's time to try again.
CREATE FUNCTION sat.make_partitions_ahead(OUT made integer, OUT turned boolean) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    ahead   CONSTANT integer := 2;
    size    bigint := sat.positions_per_partition();
    current bigint;
    began   timestamptz;
    is_next boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(sat.partition_lock_key());
    SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END / size INTO current FROM sat.events_position_seq AS s;
    is_next := to_regclass('sat.' || sat.events_partition(current + 1)) IS NOT NULL;
    made := 0;
    FOR following IN current + 1 .. current + ahead LOOP
        made := made + sat.make_events_partition(following)::integer;
    END LOOP;
    SELECT e.recorded_at INTO began FROM sat.events AS e
    WHERE e.position > current * size AND e.position <= (current + 1) * size
    ORDER BY e.position
    LIMIT 1;
    turned := is_next AND (
        to_regclass('sat.' || sat.events_partition(current)) IS NULL
        OR coalesce(date_trunc('month', began AT TIME ZONE 'Asia/Jakarta')
            < date_trunc('month', clock_timestamp() AT TIME ZONE 'Asia/Jakarta'), false)
    );
    IF turned THEN
        PERFORM setval('sat.events_position_seq', (current + 1) * size);
    END IF;
END
$$;

-- Each partition with what it holds, for reports and alerts. `is_guarded` tells that nobody has taken its triggers,
-- its unique index or its place in the log away.
CREATE FUNCTION sat.partitions_of_events() RETURNS TABLE (
    name text, first_position bigint, last_position bigint, is_current boolean, is_guarded boolean, bytes bigint,
    first_recorded_at timestamptz, last_recorded_at timestamptz
) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given_out bigint;
BEGIN
    SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END INTO given_out FROM sat.events_position_seq AS s;
    FOR name, is_guarded, bytes IN
        SELECT
            c.relname,
            (
                SELECT count(*) = 4 AND bool_and(t.tgenabled IN ('O', 'A'))
                FROM pg_trigger AS t
                WHERE t.tgrelid = c.oid AND t.tgname IN ('events_only_grow', 'events_rows_only_grow',
                    'events_hold_position', 'events_refuse_second_version')
            ) AND EXISTS (
                SELECT FROM pg_index AS x
                WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL
                  AND (
                    SELECT array_agg(a.attname ORDER BY k.place)
                    FROM unnest(x.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
                    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
                  ) = ARRAY['stream', 'version']::name[]
            ),
            pg_total_relation_size(c.oid)
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'sat.events'::regclass
        ORDER BY c.relname
    LOOP
        is_current := name = sat.events_partition(given_out / sat.positions_per_partition());
        EXECUTE format(
            'SELECT (SELECT position FROM sat.%1$I ORDER BY position LIMIT 1),'
            ' (SELECT position FROM sat.%1$I ORDER BY position DESC LIMIT 1),'
            ' (SELECT recorded_at FROM sat.%1$I ORDER BY position LIMIT 1),'
            ' (SELECT recorded_at FROM sat.%1$I ORDER BY position DESC LIMIT 1)', name
        ) INTO first_position, last_position, first_recorded_at, last_recorded_at;
        RETURN NEXT;
    END LOOP;
END
$$;

ALTER TABLE sat.events RENAME TO events_0000;
ALTER TABLE sat.events_0000 RENAME CONSTRAINT events_pkey TO events_0000_pkey;
ALTER TABLE sat.events_0000 RENAME CONSTRAINT events_stream_version_unique TO events_0000_stream_version_unique;
ALTER INDEX sat.events_occurred RENAME TO events_0000_occurred;
ALTER INDEX sat.events_types RENAME TO events_0000_types;
ALTER INDEX sat.events_of_people RENAME TO events_0000_of_people;
ALTER INDEX sat.events_of_person RENAME TO events_0000_of_person;
ALTER INDEX sat.events_batch_runs RENAME TO events_0000_batch_runs;

DO $$
DECLARE
    given_out bigint;
    was_called boolean;
    granted record;
BEGIN
    SELECT last_value, is_called INTO given_out, was_called FROM sat.events_position_seq;
    ALTER TABLE sat.events_0000 ALTER position DROP IDENTITY;
    CREATE TABLE sat.events (
        LIKE sat.events_0000 INCLUDING DEFAULTS INCLUDING CONSTRAINTS
    ) PARTITION BY RANGE (position);
    ALTER TABLE sat.events DROP CONSTRAINT IF EXISTS events_0000_positions;
    ALTER TABLE sat.events ALTER position ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME sat.events_position_seq);
    PERFORM setval('sat.events_position_seq', given_out, was_called);
    -- Roles go on with what they have until the privileges are set again.
    FOR granted IN
        SELECT x.grantee::regrole AS role, x.privilege_type || coalesce(' (' || quote_ident(column_name) || ')', '') AS what
        FROM (
            SELECT c.relacl AS acl, NULL::name AS column_name FROM pg_class AS c WHERE c.oid = 'sat.events_0000'::regclass
            UNION ALL
            SELECT a.attacl, a.attname FROM pg_attribute AS a WHERE a.attrelid = 'sat.events_0000'::regclass
        ) AS acls
        CROSS JOIN LATERAL aclexplode(acls.acl) AS x
        WHERE x.grantee NOT IN (0, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'sat.events'::regclass))
    LOOP
        EXECUTE format('GRANT %s ON sat.events TO %s', granted.what, granted.role);
        EXECUTE format('REVOKE ALL ON sat.events_0000 FROM %s', granted.role);
    END LOOP;
END
$$;

COMMENT ON TABLE sat.events IS 'evidence: the log; data is stored and digested as text';
ALTER TABLE sat.events ADD CONSTRAINT events_pkey PRIMARY KEY (position);
-- A log that had partitions before has higher positions.
DO $$
BEGIN
    EXECUTE format('ALTER TABLE sat.events ATTACH PARTITION sat.events_0000 FOR VALUES FROM (MINVALUE) TO (%s)',
        ((SELECT last_value FROM sat.events_position_seq) / sat.positions_per_partition() + 1)
            * sat.positions_per_partition() + 1);
END
$$;
ALTER TABLE sat.events_0000 DROP CONSTRAINT IF EXISTS events_0000_positions;
-- These take the indexes that the first partition has.
CREATE INDEX events_occurred ON sat.events USING brin (occurred_at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX events_types ON sat.events (type, position);
CREATE INDEX events_of_people ON sat.events (position) WHERE starts_with(actor, 'user:');
CREATE INDEX events_of_person ON sat.events (actor, type, position) WHERE starts_with(actor, 'user:');
CREATE INDEX events_batch_runs ON sat.events ((data::jsonb ->> 'run')) WHERE type = 'BatchRunStarted';

CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.events
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();
CREATE TRIGGER events_hold_position BEFORE INSERT ON sat.events
    FOR EACH STATEMENT EXECUTE FUNCTION sat.hold_position();
CREATE TRIGGER events_refuse_second_version AFTER INSERT ON sat.events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_second_version();
CREATE TRIGGER events_refuse_second_version AFTER INSERT ON sat.events_0000
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_second_version();
CREATE TRIGGER events_rows_only_grow BEFORE UPDATE OR DELETE ON sat.events
    FOR EACH ROW EXECUTE FUNCTION sat.refuse_change();

SELECT sat.make_events_partition(NULL), sat.make_partitions_ahead();

-- Every position up to the returned one is settled: no append in flight will commit below it. Gaps are legal (an
-- aborted append leaves one, and so does a month's end). The last position given out is read before the locks: an
-- append that holds none by then has ended, or will get higher positions.
CREATE OR REPLACE FUNCTION sat.close_position() RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    settled bigint;
    held    bigint;
BEGIN
    SELECT last_value INTO settled FROM sat.events_position_seq;
    SELECT min(-1 - ((l.classid::bigint << 32) | l.objid::bigint))
    INTO held
    FROM pg_locks AS l
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
      AND l.objsubid = 1
      AND l.granted
      AND l.classid::bigint >= 2147483648;
    settled := least(settled, held);
    -- The partition of that position has the answer, but for the first moments of a month.
    RETURN coalesce(
        (
            SELECT max(position) FROM sat.events
            WHERE position > settled - settled % sat.positions_per_partition() AND position <= settled
        ),
        (SELECT max(position) FROM sat.events WHERE position <= settled),
        0
    );
END
$$;

-- migrate:down
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

-- Later partitions are copied into the first one.
DO $$
DECLARE
    given_out bigint;
    was_called boolean;
    granted record;
    partition name;
BEGIN
    LOCK TABLE sat.events IN ACCESS EXCLUSIVE MODE;
    SELECT last_value, is_called INTO given_out, was_called FROM sat.events_position_seq;
    ALTER TABLE sat.events DETACH PARTITION sat.events_0000;
    ALTER TABLE sat.events_0000 DISABLE TRIGGER USER;
    INSERT INTO sat.events_0000 (position, stream, version, type, schema_version, data, actor, cause, occurred_at,
        recorded_at, digest)
    SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
    FROM sat.events
    ORDER BY position;
    ALTER TABLE sat.events_0000 ENABLE TRIGGER USER;
    FOR granted IN
        SELECT x.grantee::regrole AS role, x.privilege_type || coalesce(' (' || quote_ident(column_name) || ')', '') AS what
        FROM (
            SELECT c.relacl AS acl, NULL::name AS column_name FROM pg_class AS c WHERE c.oid = 'sat.events'::regclass
            UNION ALL
            SELECT a.attacl, a.attname FROM pg_attribute AS a WHERE a.attrelid = 'sat.events'::regclass
        ) AS acls
        CROSS JOIN LATERAL aclexplode(acls.acl) AS x
        WHERE x.grantee NOT IN (0, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'sat.events'::regclass))
    LOOP
        EXECUTE format('GRANT %s ON sat.events_0000 TO %s', granted.what, granted.role);
    END LOOP;
    DROP TABLE sat.events;
    ALTER TABLE sat.events_0000 RENAME TO events;
    ALTER TABLE sat.events ALTER position ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME sat.events_position_seq);
    PERFORM setval('sat.events_position_seq', given_out, was_called);
END
$$;
DROP TRIGGER events_refuse_second_version ON sat.events;
DROP FUNCTION sat.partitions_of_events(), sat.make_partitions_ahead(), sat.make_events_partition(bigint),
    sat.guard_events_partition(text), sat.refuse_second_version(), sat.events_partition(bigint),
    sat.partition_lock_key(), sat.positions_per_partition();
ALTER TABLE sat.events RENAME CONSTRAINT events_0000_pkey TO events_pkey;
ALTER TABLE sat.events RENAME CONSTRAINT events_0000_stream_version_unique TO events_stream_version_unique;
ALTER INDEX sat.events_0000_occurred RENAME TO events_occurred;
ALTER INDEX sat.events_0000_types RENAME TO events_types;
ALTER INDEX sat.events_0000_of_people RENAME TO events_of_people;
ALTER INDEX sat.events_0000_of_person RENAME TO events_of_person;
ALTER INDEX sat.events_0000_batch_runs RENAME TO events_batch_runs;
