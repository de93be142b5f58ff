-- migrate:up

-- What lists for people are filtered and sorted by. `sat db migrate` fills the new columns from the log.
ALTER TABLE sat.orders
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN reason_code text GENERATED ALWAYS AS (document ->> 'reason_code') STORED;
COMMENT ON COLUMN sat.orders.changed_at IS 'when the order''s last event occurred';
ALTER TABLE sat.batches
    ADD COLUMN submitted_by text NOT NULL DEFAULT '',
    ADD COLUMN submitted_at timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN sat.batches.submitted_by IS 'the actor of the batch''s first event';

-- Counts, filters and sorts of one batch read this index and not the orders.
DROP INDEX sat.orders_batch_row;
CREATE INDEX orders_batch_row ON sat.orders (batch_id, row_number)
    INCLUDE (state, reason_code, product_code, quote_rupiah, charged_rupiah, is_reservable, changed_at);
-- The last changes over all batches. The orders of one append share their time, so the index stays small.
CREATE INDEX orders_changed ON sat.orders (changed_at);
DROP INDEX sat.orders_for_people;
CREATE INDEX orders_for_people ON sat.orders (account, state, changed_at) WHERE state IN ('held', 'escalated');
-- Order ids are found by how they begin, whatever the database's collation.
ALTER TABLE sat.orders DROP CONSTRAINT orders_account_order_id_unique;
CREATE UNIQUE INDEX orders_account_order_id_unique ON sat.orders (account, order_id text_pattern_ops);
CREATE INDEX batches_submitted ON sat.batches (submitted_at, batch_id);
CREATE INDEX batches_open ON sat.batches (account) WHERE state NOT IN ('refused', 'completed');

-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
CREATE OR REPLACE FUNCTION sat.append_events(
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
    appended_at constant timestamptz := p_events -> 0 ->> 'occurred_at';  -- all events of an append have one
    appended_by constant text := p_events -> 0 ->> 'actor';
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
        request_id, document, changed_at, committed_rupiah, is_reservable, outstanding_until, refundable_until,
        counted_at
    )
    SELECT
        o.document ->> 'request_id', o.document, appended_at, o.committed_rupiah, o.is_reservable,
        o.outstanding_until, o.refundable_until, o.counted_at
    FROM jsonb_to_recordset(p_orders) AS o (
        stream text, document jsonb, committed_rupiah bigint, is_reservable boolean, outstanding_until timestamptz,
        refundable_until timestamptz, counted_at timestamptz
    )
    WHERE is_whole OR o.stream = ANY (accepted)
    ORDER BY o.stream
    ON CONFLICT (request_id) DO UPDATE SET
        document = EXCLUDED.document,
        changed_at = EXCLUDED.changed_at,
        committed_rupiah = EXCLUDED.committed_rupiah,
        is_reservable = EXCLUDED.is_reservable,
        outstanding_until = EXCLUDED.outstanding_until,
        refundable_until = EXCLUDED.refundable_until,
        counted_at = EXCLUDED.counted_at;

    INSERT INTO sat.batches (batch_id, document, submitted_by, submitted_at)
    SELECT b.document ->> 'batch_id', b.document, appended_by, appended_at
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

-- migrate:down
-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
CREATE OR REPLACE FUNCTION sat.append_events(
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

DROP INDEX sat.batches_open, sat.batches_submitted, sat.orders_account_order_id_unique, sat.orders_for_people,
    sat.orders_changed, sat.orders_batch_row;
ALTER TABLE sat.orders ADD CONSTRAINT orders_account_order_id_unique UNIQUE (account, order_id);
CREATE INDEX orders_for_people ON sat.orders (account, state) WHERE state IN ('held', 'escalated');
CREATE INDEX orders_batch_row ON sat.orders (batch_id, row_number);
ALTER TABLE sat.batches DROP COLUMN submitted_at, DROP COLUMN submitted_by;
ALTER TABLE sat.orders DROP COLUMN reason_code, DROP COLUMN changed_at;
