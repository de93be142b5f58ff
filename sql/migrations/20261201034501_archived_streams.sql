-- migrate:up

-- Streams of which a partition's events are in an archive file only. Derived from the files: what reads a stream in
-- the database, and does not find its beginning, learns here that it is archived.
CREATE TABLE sat.archived_streams (
    stream    text NOT NULL,
    partition text NOT NULL,
    PRIMARY KEY (stream, partition)
);
COMMENT ON TABLE sat.archived_streams IS 'derived: the streams whose events of a partition are in an archive file only';

-- A table with the shape, the indexes and the bounds of a partition, which can take the partition's place at once.
-- Only the schema's owner may call this and what follows.
CREATE FUNCTION sat.make_events_replacement(p_partition text) RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := p_partition || '_replacement';
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = 'sat.events'::regclass AND inhrelid = to_regclass('sat.' || quote_ident(p_partition))
    ) THEN
        RAISE EXCEPTION 'found no partition % of sat.events', p_partition USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format('CREATE TABLE sat.%I (LIKE sat.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
        name);
    EXECUTE format('ALTER TABLE sat.%I ADD CONSTRAINT %I UNIQUE (stream, version)', name,
        name || '_stream_version_unique');
    -- With it, attaching needs no look at the rows.
    EXECUTE format('ALTER TABLE sat.%I ADD CONSTRAINT %I CHECK (%s)', name, name || '_bounds',
        pg_get_partition_constraintdef(('sat.' || quote_ident(p_partition))::regclass));
    RETURN name;
END
$$;

-- Fills the replacement with the events that stay: all but those of orders that have ended, that nothing looks at
-- any more, and that no person decided about. A stream whose earlier events are in the database stays, too: what is
-- archived of a stream is its beginning.
CREATE FUNCTION sat.keep_events(p_partition text, p_final_states text[], OUT kept bigint, OUT moved bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lowest bigint;
BEGIN
    EXECUTE format('SELECT min(position) FROM sat.%I', p_partition) INTO lowest;
    EXECUTE format(
        'INSERT INTO sat.archived_streams (stream, partition)
         SELECT s.stream, %1$L
         FROM (
            SELECT e.stream
            FROM sat.%2$I AS e
            WHERE starts_with(e.stream, ''order/'')
            GROUP BY e.stream
            HAVING bool_and(NOT starts_with(e.actor, ''user:''))
                AND count(*) FILTER (WHERE e.type = ''OrderReceived'') < 2
         ) AS s
         JOIN sat.orders AS o ON o.request_id = substr(s.stream, 7)
         WHERE o.state = ANY ($1)
           AND NOT EXISTS (SELECT FROM sat.poll_schedule AS p WHERE p.request_id = o.request_id)
           AND NOT EXISTS (SELECT FROM sat.callback_queue AS q WHERE q.request_id = o.request_id)
           AND NOT EXISTS (
                SELECT FROM sat.final_watch AS f WHERE f.request_id = o.request_id AND f.closed_at IS NULL
           )
           AND NOT EXISTS (SELECT FROM sat.events AS b WHERE b.stream = s.stream AND b.position < $2)',
        p_partition, p_partition
    ) USING p_final_states, lowest;
    EXECUTE format(
        'INSERT INTO sat.%1$I
         SELECT e.* FROM sat.%2$I AS e
         WHERE NOT EXISTS (
            SELECT FROM sat.archived_streams AS a WHERE a.stream = e.stream AND a.partition = %2$L
         )
         ORDER BY e.position',
        p_partition || '_replacement', p_partition
    );
    GET DIAGNOSTICS kept = ROW_COUNT;
    EXECUTE format('SELECT count(*) - $1 FROM sat.%I', p_partition) INTO moved USING kept;
END
$$;

-- Puts the replacement in the partition's place and drops the partition. Appends and readers wait for an instant;
-- behind a long reader of the log it gives up soon, and nothing was changed.
CREATE FUNCTION sat.replace_events_partition(p_partition text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    replacement text := p_partition || '_replacement';
    bounds text;
    part record;
BEGIN
    PERFORM sat.guard_events_partition(replacement);
    SELECT pg_get_expr(c.relpartbound, c.oid) INTO bounds
    FROM pg_class AS c
    WHERE c.oid = ('sat.' || quote_ident(p_partition))::regclass;
    EXECUTE format('ALTER TABLE sat.events DETACH PARTITION sat.%I', p_partition);
    EXECUTE format('DROP TABLE sat.%I', p_partition);
    EXECUTE format('ALTER TABLE sat.%I RENAME TO %I', replacement, p_partition);
    EXECUTE format('ALTER TABLE sat.events ATTACH PARTITION sat.%I %s', p_partition, bounds);
    EXECUTE format('ALTER TABLE sat.%I DROP CONSTRAINT %I', p_partition, replacement || '_bounds');
    FOR part IN
        SELECT c.relname FROM pg_class AS c
        JOIN pg_index AS i ON i.indexrelid = c.oid
        WHERE i.indrelid = ('sat.' || quote_ident(p_partition))::regclass AND starts_with(c.relname, replacement)
    LOOP
        EXECUTE format('ALTER INDEX sat.%I RENAME TO %I', part.relname,
            p_partition || substr(part.relname, length(replacement) + 1));
    END LOOP;
END
$$;

-- migrate:down
DROP FUNCTION sat.replace_events_partition(text), sat.keep_events(text, text[]), sat.make_events_replacement(text);
DROP TABLE sat.archived_streams;
