-- migrate:up
CREATE SCHEMA sat;

-- Evidence. Events only grow: privileges give INSERT and SELECT alone, and the trigger below stops even the
-- owner. A superuser can still go around both; that is what signed checkpoints are for.
CREATE TABLE sat.events (
    position       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream         text NOT NULL CHECK (stream ~ '^(order|batch)/[A-Z2-7]{26,32}$'),
    version        integer NOT NULL CHECK (version > 0),
    type           text NOT NULL CHECK (type <> ''),
    schema_version smallint NOT NULL CHECK (schema_version > 0),
    data           text NOT NULL,
    actor          text NOT NULL CHECK (actor <> ''),
    cause          text NOT NULL CHECK (cause <> ''),
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    digest         text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT events_stream_version_unique UNIQUE (stream, version)
);
COMMENT ON TABLE sat.events IS 'evidence: the log; data is stored and digested as text';

-- Evidence. The exact signed bytes of a status, with the signature that covers them. Holds vouchers and
-- serials: no reader role may select body.
CREATE TABLE sat.status_evidence (
    digest          text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    request_id      text NOT NULL,
    body            text NOT NULL,
    signature       text NOT NULL,
    key_fingerprint text NOT NULL,
    observed_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX status_evidence_request ON sat.status_evidence (request_id);
COMMENT ON TABLE sat.status_evidence IS 'evidence: signed statuses as received';

CREATE FUNCTION sat.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table %.% only grows: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.events
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();
CREATE TRIGGER status_evidence_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.status_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();

-- Derived: everything below can be dropped and rebuilt from sat.events.
CREATE TABLE sat.stream_heads (
    stream  text PRIMARY KEY,
    version integer NOT NULL
);
COMMENT ON TABLE sat.stream_heads IS 'derived: the last version of each stream; its rows are what appends lock';

CREATE TABLE sat.orders (
    request_id     text PRIMARY KEY,
    document       jsonb NOT NULL,
    version        integer NOT NULL GENERATED ALWAYS AS ((document ->> 'version')::integer) STORED,
    state          text NOT NULL GENERATED ALWAYS AS (document ->> 'state') STORED,
    account        text NOT NULL GENERATED ALWAYS AS (document ->> 'account') STORED,
    order_id       text NOT NULL GENERATED ALWAYS AS (document ->> 'order_id') STORED,
    batch_id       text NOT NULL GENERATED ALWAYS AS (document ->> 'batch_id') STORED,
    row_number     integer NOT NULL GENERATED ALWAYS AS ((document ->> 'row_number')::integer) STORED,
    product_code   text NOT NULL GENERATED ALWAYS AS (document ->> 'product_code') STORED,
    quote_rupiah   bigint GENERATED ALWAYS AS ((document ->> 'quote_rupiah')::bigint) STORED,
    charged_rupiah bigint GENERATED ALWAYS AS ((document ->> 'charged_rupiah')::bigint) STORED,
    CONSTRAINT orders_account_order_id_unique UNIQUE (account, order_id)
);
CREATE INDEX orders_batch_row ON sat.orders (batch_id, row_number);
CREATE INDEX orders_in_flight ON sat.orders (account, state)
    WHERE state IN ('submitting', 'pending', 'unknown', 'escalated');
COMMENT ON TABLE sat.orders IS 'derived: the fold of each order''s events';

CREATE TABLE sat.batches (
    batch_id text PRIMARY KEY,
    document jsonb NOT NULL,
    version  integer NOT NULL GENERATED ALWAYS AS ((document ->> 'version')::integer) STORED,
    state    text NOT NULL GENERATED ALWAYS AS (document ->> 'state') STORED,
    account  text NOT NULL GENERATED ALWAYS AS (document ->> 'account') STORED
);
COMMENT ON TABLE sat.batches IS 'derived: the fold of each batch''s events';

-- The advisory lock that every append holds shared, and that closing a position takes exclusively.
CREATE FUNCTION sat.log_lock_key() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 7248301100001 $$;

-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
CREATE FUNCTION sat.append_events(
    p_heads    jsonb,  -- [{stream, expected_version}]
    p_events   jsonb,  -- [{stream, version, type, schema_version, data, actor, cause, occurred_at, digest}]
    p_orders   jsonb,  -- [{stream, document}] the order after its events
    p_batches  jsonb,  -- [{stream, document}] likewise
    p_evidence jsonb   -- [{stream, digest, request_id, body, signature, key_fingerprint, observed_at}]
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    accepted text[];
    refused  text[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(sat.log_lock_key());

    INSERT INTO sat.stream_heads (stream, version)
    SELECT h.stream, 0
    FROM jsonb_to_recordset(p_heads) AS h (stream text, expected_version integer)
    WHERE h.expected_version = 0
    ORDER BY h.stream
    ON CONFLICT (stream) DO NOTHING;

    SELECT array_agg(locked.stream) FILTER (WHERE locked.version = locked.expected_version)
    INTO accepted
    FROM (
        SELECT s.stream, s.version, h.expected_version
        FROM sat.stream_heads AS s
        JOIN jsonb_to_recordset(p_heads) AS h (stream text, expected_version integer) USING (stream)
        ORDER BY s.stream
        FOR UPDATE OF s
    ) AS locked;
    accepted := coalesce(accepted, '{}');

    INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
    SELECT e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at, e.digest
    FROM ROWS FROM (
        jsonb_to_recordset(p_events) AS (
            stream text, version integer, type text, schema_version smallint, data text, actor text,
            cause text, occurred_at timestamptz, digest text
        )
    ) WITH ORDINALITY
        AS e (stream, version, type, schema_version, data, actor, cause, occurred_at, digest, place)
    WHERE e.stream = ANY (accepted)
    ORDER BY e.place;

    UPDATE sat.stream_heads AS s
    SET version = e.last_version
    FROM (
        SELECT x.stream, max(x.version) AS last_version
        FROM jsonb_to_recordset(p_events) AS x (stream text, version integer)
        GROUP BY x.stream
    ) AS e
    WHERE s.stream = e.stream AND s.stream = ANY (accepted);

    INSERT INTO sat.status_evidence (digest, request_id, body, signature, key_fingerprint, observed_at)
    SELECT v.digest, v.request_id, v.body, v.signature, v.key_fingerprint, v.observed_at
    FROM jsonb_to_recordset(p_evidence) AS v (
        stream text, digest text, request_id text, body text, signature text, key_fingerprint text,
        observed_at timestamptz
    )
    WHERE v.stream = ANY (accepted)
    ORDER BY v.digest
    ON CONFLICT (digest) DO NOTHING;

    INSERT INTO sat.orders (request_id, document)
    SELECT o.document ->> 'request_id', o.document
    FROM jsonb_to_recordset(p_orders) AS o (stream text, document jsonb)
    WHERE o.stream = ANY (accepted)
    ORDER BY o.stream
    ON CONFLICT (request_id) DO UPDATE SET document = EXCLUDED.document;

    INSERT INTO sat.batches (batch_id, document)
    SELECT b.document ->> 'batch_id', b.document
    FROM jsonb_to_recordset(p_batches) AS b (stream text, document jsonb)
    WHERE b.stream = ANY (accepted)
    ORDER BY b.stream
    ON CONFLICT (batch_id) DO UPDATE SET document = EXCLUDED.document;

    SELECT coalesce(array_agg(h.stream ORDER BY h.stream), '{}')
    INTO refused
    FROM jsonb_to_recordset(p_heads) AS h (stream text, expected_version integer)
    WHERE h.stream <> ALL (accepted);
    RETURN refused;
END
$$;

-- Every position up to the returned one is settled: an append in flight has either committed below it or
-- will get a higher one. Gaps are legal (an aborted append leaves one).
CREATE FUNCTION sat.close_position() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(sat.log_lock_key());
    RETURN (SELECT coalesce(max(position), 0) FROM sat.events);
END
$$;

-- migrate:down
DROP SCHEMA sat CASCADE;
