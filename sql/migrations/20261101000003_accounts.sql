-- migrate:up

-- An account has a stream of its own: pauses, resumptions, top-ups and whatever else concerns the deposit as
-- a whole.
ALTER TABLE sat.events DROP CONSTRAINT events_stream_check;
ALTER TABLE sat.events ADD CONSTRAINT events_stream_check
    CHECK (stream ~ '^(order|batch|account)/[A-Z2-7]{26,32}$');

CREATE TABLE sat.accounts (
    account_id text PRIMARY KEY,
    document   jsonb NOT NULL,
    version    integer NOT NULL GENERATED ALWAYS AS ((document ->> 'version')::integer) STORED,
    account    text NOT NULL UNIQUE GENERATED ALWAYS AS (document ->> 'account') STORED
);
COMMENT ON TABLE sat.accounts IS 'derived: the fold of each account''s events';

DROP FUNCTION sat.append_events(jsonb, jsonb, jsonb, jsonb, jsonb);

-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
CREATE FUNCTION sat.append_events(
    p_heads    jsonb,  -- [{stream, expected_version}]
    p_events   jsonb,  -- [{stream, version, type, schema_version, data, actor, cause, occurred_at, digest}]
    p_orders   jsonb,  -- [{stream, document}] the order after its events
    p_batches  jsonb,  -- [{stream, document}] likewise
    p_accounts jsonb,  -- [{stream, document}] likewise
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

    INSERT INTO sat.accounts (account_id, document)
    SELECT a.document ->> 'account_id', a.document
    FROM jsonb_to_recordset(p_accounts) AS a (stream text, document jsonb)
    WHERE a.stream = ANY (accepted)
    ORDER BY a.stream
    ON CONFLICT (account_id) DO UPDATE SET document = EXCLUDED.document;

    SELECT coalesce(array_agg(h.stream ORDER BY h.stream), '{}')
    INTO refused
    FROM jsonb_to_recordset(p_heads) AS h (stream text, expected_version integer)
    WHERE h.stream <> ALL (accepted);
    RETURN refused;
END
$$;

-- migrate:down
DROP FUNCTION sat.append_events(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb);
DROP TABLE sat.accounts;
ALTER TABLE sat.events DROP CONSTRAINT events_stream_check;
ALTER TABLE sat.events ADD CONSTRAINT events_stream_check
    CHECK (stream ~ '^(order|batch)/[A-Z2-7]{26,32}$');

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
