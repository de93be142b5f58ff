-- migrate:up

-- What an order counts for in limits and for its account's deposit: the row OrderSums of
-- sat_hook/domain/order_sums.py, written with the document. Rows of an older release count for the most there
-- is until `sat db migrate` has rebuilt them, so that nothing is promised on what is not known.
DROP INDEX sat.orders_quoted, sat.orders_debit_proven, sat.orders_given_back, sat.orders_counted,
    sat.orders_same_business;
ALTER TABLE sat.orders
    DROP COLUMN debit_proven_at,
    DROP COLUMN counted_at,
    ADD COLUMN committed_rupiah bigint NOT NULL DEFAULT 1000000000000,
    ADD COLUMN is_reservable boolean NOT NULL DEFAULT false,
    ADD COLUMN outstanding_until timestamptz DEFAULT '9999-01-01Z',
    ADD COLUMN refundable_until timestamptz DEFAULT '9999-01-01Z',
    ADD COLUMN counted_at timestamptz DEFAULT '9999-01-01Z';
ALTER TABLE sat.orders
    ALTER COLUMN committed_rupiah DROP DEFAULT,
    ALTER COLUMN is_reservable DROP DEFAULT,
    ALTER COLUMN outstanding_until DROP DEFAULT,
    ALTER COLUMN refundable_until DROP DEFAULT,
    ALTER COLUMN counted_at DROP DEFAULT;

-- What is open and what is recent; never the whole history.
CREATE INDEX orders_reservable ON sat.orders (account, batch_id, row_number) WHERE is_reservable;
CREATE INDEX orders_outstanding ON sat.orders (account, outstanding_until) WHERE outstanding_until IS NOT NULL;
CREATE INDEX orders_refundable ON sat.orders (account, refundable_until) WHERE refundable_until IS NOT NULL;
CREATE INDEX orders_counted ON sat.orders (account, counted_at) WHERE counted_at IS NOT NULL;
CREATE INDEX orders_same_business ON sat.orders (account, product_code, client_number, counted_at);

-- Derived. One row for each event of a sent order: the order as the fold has it after that event. Closing a day
-- reads these rows and folds nothing. `sat db migrate` fills them from the log.
CREATE TABLE sat.order_movements (
    position           bigint PRIMARY KEY,
    occurred_at        timestamptz NOT NULL,
    sent_at            timestamptz,
    mark               bigint NOT NULL,
    quote_rupiah       bigint NOT NULL,
    charged_rupiah     bigint,
    admin_fee_rupiah   bigint NOT NULL,
    partner_fee_rupiah bigint NOT NULL,
    succeeded_rupiah   bigint NOT NULL,
    is_debited         boolean NOT NULL,
    is_doubted         boolean NOT NULL,
    is_mismatched      boolean NOT NULL,
    contradicts        boolean NOT NULL,
    is_remark          boolean NOT NULL,
    state              text NOT NULL,
    end_proof          text NOT NULL,
    request_id         text NOT NULL
);
-- A day is read by its time, orders of earlier days by the positions of their events: the key and a summary of
-- each range of pages are enough, and cost an append next to nothing.
CREATE INDEX order_movements_occurred ON sat.order_movements
    USING brin (occurred_at) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE sat.order_movements IS 'derived: each sent order after each of its events';

DROP FUNCTION sat.append_events(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb);

-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
CREATE FUNCTION sat.append_events(
    p_heads     jsonb,  -- [{stream, expected_version}]
    p_events    jsonb,  -- [{stream, version, type, schema_version, data, actor, cause, occurred_at, digest}]
    p_orders    jsonb,  -- [{stream, document}] the order after its events, with the numbers of OrderSums beside it
    p_movements jsonb,  -- [{stream, version, mark, …}] the members of OrderMovement; absent: 0 or false
    p_batches   jsonb,  -- [{stream, document}] the batch after its events
    p_accounts  jsonb,  -- [{stream, document}] likewise
    p_evidence  jsonb   -- [{stream, digest, request_id, body, signature, key_fingerprint, observed_at}]
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    accepted text[];
    refused  text[];
    is_whole boolean;  -- nothing is refused, so nothing has to be left out
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
    is_whole := cardinality(accepted) = jsonb_array_length(p_heads);

    WITH written AS (
        INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
        SELECT e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at, e.digest
        FROM ROWS FROM (
            jsonb_to_recordset(p_events) AS (
                stream text, version integer, type text, schema_version smallint, data text, actor text,
                cause text, occurred_at timestamptz, digest text
            )
        ) WITH ORDINALITY
            AS e (stream, version, type, schema_version, data, actor, cause, occurred_at, digest, place)
        WHERE is_whole OR e.stream = ANY (accepted)
        ORDER BY e.place
        RETURNING position, stream, version, occurred_at
    ),
    moved AS (
        INSERT INTO sat.order_movements (
            position, request_id, occurred_at, mark, state, sent_at, quote_rupiah, charged_rupiah,
            admin_fee_rupiah, partner_fee_rupiah, succeeded_rupiah, end_proof, is_debited, is_doubted,
            is_mismatched, contradicts, is_remark
        )
        SELECT
            w.position, substr(w.stream, 7), w.occurred_at, m.mark, m.state, m.sent_at,
            coalesce(m.quote_rupiah, 0), m.charged_rupiah, coalesce(m.admin_fee_rupiah, 0),
            coalesce(m.partner_fee_rupiah, 0), coalesce(m.succeeded_rupiah, 0), m.end_proof,
            coalesce(m.is_debited, false), coalesce(m.is_doubted, false), coalesce(m.is_mismatched, false),
            coalesce(m.contradicts, false), coalesce(m.is_remark, false)
        FROM written AS w
        JOIN jsonb_to_recordset(p_movements) AS m (
            stream text, version integer, mark bigint, state text, sent_at timestamptz, quote_rupiah bigint,
            charged_rupiah bigint, admin_fee_rupiah bigint, partner_fee_rupiah bigint,
            succeeded_rupiah bigint, end_proof text, is_debited boolean, is_doubted boolean,
            is_mismatched boolean, contradicts boolean, is_remark boolean
        ) USING (stream, version)
    )
    UPDATE sat.stream_heads AS s
    SET version = e.last_version
    FROM (SELECT w.stream, max(w.version) AS last_version FROM written AS w GROUP BY w.stream) AS e
    WHERE s.stream = e.stream;

    INSERT INTO sat.status_evidence (digest, request_id, body, signature, key_fingerprint, observed_at)
    SELECT v.digest, v.request_id, v.body, v.signature, v.key_fingerprint, v.observed_at
    FROM jsonb_to_recordset(p_evidence) AS v (
        stream text, digest text, request_id text, body text, signature text, key_fingerprint text,
        observed_at timestamptz
    )
    WHERE is_whole OR v.stream = ANY (accepted)
    ORDER BY v.digest
    ON CONFLICT (digest) DO NOTHING;

    INSERT INTO sat.orders (
        request_id, document, committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at
    )
    SELECT
        o.document ->> 'request_id', o.document, o.committed_rupiah, o.is_reservable, o.outstanding_until,
        o.refundable_until, o.counted_at
    FROM jsonb_to_recordset(p_orders) AS o (
        stream text, document jsonb, committed_rupiah bigint, is_reservable boolean, outstanding_until timestamptz,
        refundable_until timestamptz, counted_at timestamptz
    )
    WHERE is_whole OR o.stream = ANY (accepted)
    ORDER BY o.stream
    ON CONFLICT (request_id) DO UPDATE SET
        document = EXCLUDED.document,
        committed_rupiah = EXCLUDED.committed_rupiah,
        is_reservable = EXCLUDED.is_reservable,
        outstanding_until = EXCLUDED.outstanding_until,
        refundable_until = EXCLUDED.refundable_until,
        counted_at = EXCLUDED.counted_at;

    INSERT INTO sat.batches (batch_id, document)
    SELECT b.document ->> 'batch_id', b.document
    FROM jsonb_to_recordset(p_batches) AS b (stream text, document jsonb)
    WHERE is_whole OR b.stream = ANY (accepted)
    ORDER BY b.stream
    ON CONFLICT (batch_id) DO UPDATE SET document = EXCLUDED.document;

    INSERT INTO sat.accounts (account_id, document)
    SELECT a.document ->> 'account_id', a.document
    FROM jsonb_to_recordset(p_accounts) AS a (stream text, document jsonb)
    WHERE is_whole OR a.stream = ANY (accepted)
    ORDER BY a.stream
    ON CONFLICT (account_id) DO UPDATE SET document = EXCLUDED.document;

    IF is_whole THEN
        RETURN '{}';
    END IF;
    SELECT coalesce(array_agg(h.stream ORDER BY h.stream), '{}')
    INTO refused
    FROM jsonb_to_recordset(p_heads) AS h (stream text, expected_version integer)
    WHERE h.stream <> ALL (accepted);
    RETURN refused;
END
$$;

DROP FUNCTION sat.packed_amount(bigint, bigint), sat.committed_rupiah(bigint, bigint);

-- migrate:down
CREATE FUNCTION sat.committed_rupiah(quote_rupiah bigint, charged_rupiah bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT greatest(quote_rupiah, CASE WHEN charged_rupiah BETWEEN 0 AND 1000000000000 THEN charged_rupiah END, 0)
$$;

CREATE FUNCTION sat.packed_amount(version bigint, rupiah bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT version << 40 | CASE
        WHEN rupiah BETWEEN 0 AND 1000000000000 THEN rupiah
        WHEN rupiah IS NOT NULL THEN 1099511627775
    END
$$;

DROP FUNCTION sat.append_events(jsonb, jsonb, jsonb, jsonb, jsonb, jsonb, jsonb);

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

DROP INDEX sat.orders_same_business, sat.orders_counted, sat.orders_refundable, sat.orders_outstanding,
    sat.orders_reservable;
ALTER TABLE sat.orders
    DROP COLUMN counted_at,
    DROP COLUMN refundable_until,
    DROP COLUMN outstanding_until,
    DROP COLUMN is_reservable,
    DROP COLUMN committed_rupiah,
    ADD COLUMN debit_proven_at timestamptz GENERATED ALWAYS AS (sat.moment(document ->> 'debit_proven_at')) STORED,
    ADD COLUMN counted_at timestamptz GENERATED ALWAYS AS (
        sat.moment(coalesce(document ->> 'admitted_at', document ->> 'first_sent_at'))
    ) STORED;
CREATE INDEX orders_quoted ON sat.orders (account, batch_id, row_number) WHERE state = 'quoted';
CREATE INDEX orders_debit_proven ON sat.orders (account, debit_proven_at) WHERE debit_proven_at IS NOT NULL;
CREATE INDEX orders_given_back ON sat.orders
    (account, greatest(debit_proven_at, sat.moment(document ->> 'evidence_at')))
    WHERE state IN ('failed', 'reversed');
CREATE INDEX orders_same_business ON sat.orders (account, product_code, client_number, counted_at);
CREATE INDEX orders_counted ON sat.orders (account, counted_at) WHERE counted_at IS NOT NULL;

DROP TABLE sat.order_movements;
