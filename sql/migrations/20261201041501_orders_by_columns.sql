-- migrate:up

-- An order's row has a column for each member that most orders have. The document keeps the others by name, and is
-- NULL when there is none. Until now it held all of them, and thirteen columns repeated some. The columns are in an
-- order that PostgreSQL stores without gaps.
ALTER TABLE sat.orders RENAME TO orders_with_documents;
CREATE TABLE sat.orders (
    request_id             text NOT NULL,
    committed_rupiah       bigint NOT NULL,
    amount_rupiah          bigint,
    list_price_rupiah      bigint,
    quote_rupiah           bigint,
    charged_rupiah         bigint,
    admin_fee_rupiah       bigint,
    partner_fee_rupiah     bigint,
    quote_valid_until      timestamptz,
    admitted_at            timestamptz,
    send_before            timestamptz,
    settled_after          timestamptz,
    first_sent_at          timestamptz,
    debit_proven_at        timestamptz,
    evidence_at            timestamptz,
    outstanding_until      timestamptz,
    refundable_until       timestamptz,
    counted_at             timestamptz,
    changed_at             timestamptz NOT NULL DEFAULT '-infinity',
    version                integer NOT NULL,
    row_number             integer NOT NULL,
    attempt                integer NOT NULL DEFAULT 0,
    is_reservable          boolean NOT NULL,
    is_inquiry             boolean,
    ended_by_operator      boolean NOT NULL DEFAULT false,
    may_have_arrived       boolean NOT NULL DEFAULT false,
    must_be_reserved_again boolean NOT NULL DEFAULT false,
    state                  text NOT NULL,
    account                text NOT NULL,
    order_id               text NOT NULL,
    batch_id               text NOT NULL,
    product_code           text NOT NULL,
    client_number          text NOT NULL,
    payload_digest         text NOT NULL,
    quote_source           text,
    reason_code            text,
    checkout_body          text,
    reported_status        text,
    evidence_digest        text,
    document               jsonb
);
CREATE FUNCTION sat.rest_of_order(p_document jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(m.key, m.value)
    FROM jsonb_each(p_document) AS m
    WHERE m.value NOT IN ('null', '[]') AND m.key <> ALL (ARRAY[
        'request_id', 'state', 'account', 'order_id', 'batch_id', 'product_code', 'client_number',
        'payload_digest', 'quote_source', 'reason_code', 'checkout_body', 'reported_status', 'evidence_digest',
        'version', 'row_number', 'attempt', 'amount_rupiah', 'list_price_rupiah', 'quote_rupiah',
        'charged_rupiah', 'admin_fee_rupiah', 'partner_fee_rupiah', 'is_inquiry', 'must_be_reserved_again',
        'may_have_arrived', 'ended_by_operator', 'quote_valid_until', 'admitted_at', 'send_before',
        'settled_after', 'first_sent_at', 'debit_proven_at', 'evidence_at'
    ])
$$;
INSERT INTO sat.orders (
    request_id, committed_rupiah, amount_rupiah, list_price_rupiah, quote_rupiah, charged_rupiah,
    admin_fee_rupiah, partner_fee_rupiah, quote_valid_until, admitted_at, send_before, settled_after,
    first_sent_at, debit_proven_at, evidence_at, outstanding_until, refundable_until, counted_at, changed_at,
    version, row_number, attempt, is_reservable, is_inquiry, ended_by_operator, may_have_arrived,
    must_be_reserved_again, state, account, order_id, batch_id, product_code, client_number, payload_digest,
    quote_source, reason_code, checkout_body, reported_status, evidence_digest, document
)
SELECT
    request_id, committed_rupiah, (document ->> 'amount_rupiah')::bigint,
    (document ->> 'list_price_rupiah')::bigint, (document ->> 'quote_rupiah')::bigint,
    (document ->> 'charged_rupiah')::bigint, (document ->> 'admin_fee_rupiah')::bigint,
    (document ->> 'partner_fee_rupiah')::bigint, sat.moment(document ->> 'quote_valid_until'),
    sat.moment(document ->> 'admitted_at'), sat.moment(document ->> 'send_before'),
    sat.moment(document ->> 'settled_after'), sat.moment(document ->> 'first_sent_at'),
    sat.moment(document ->> 'debit_proven_at'), sat.moment(document ->> 'evidence_at'), outstanding_until,
    refundable_until, counted_at, changed_at, (document ->> 'version')::integer,
    (document ->> 'row_number')::integer, coalesce((document ->> 'attempt')::integer, 0), is_reservable,
    (document ->> 'is_inquiry')::boolean, coalesce((document ->> 'ended_by_operator')::boolean, false),
    coalesce((document ->> 'may_have_arrived')::boolean, false),
    coalesce((document ->> 'must_be_reserved_again')::boolean, false), document ->> 'state',
    document ->> 'account', document ->> 'order_id', document ->> 'batch_id', document ->> 'product_code',
    coalesce(document ->> 'client_number', ''), coalesce(document ->> 'payload_digest', ''),
    document ->> 'quote_source', document ->> 'reason_code', document ->> 'checkout_body',
    document ->> 'reported_status', document ->> 'evidence_digest', sat.rest_of_order(document)
FROM sat.orders_with_documents;
DROP FUNCTION sat.rest_of_order(jsonb);
DROP TABLE sat.orders_with_documents;
ALTER TABLE sat.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (request_id);
CREATE UNIQUE INDEX orders_account_order_id_unique ON sat.orders (account, order_id text_pattern_ops);
CREATE INDEX orders_batch_row ON sat.orders (batch_id, row_number)
    INCLUDE (state, reason_code, product_code, quote_rupiah, charged_rupiah, is_reservable, changed_at);
CREATE INDEX orders_changed ON sat.orders (changed_at);
CREATE INDEX orders_for_people ON sat.orders (account, state, changed_at) WHERE state IN ('held', 'escalated');
CREATE INDEX orders_in_flight ON sat.orders (account, state, batch_id)
    WHERE state IN ('submitting', 'pending', 'unknown', 'escalated');
CREATE INDEX orders_reservable ON sat.orders (account, batch_id, row_number) WHERE is_reservable;
CREATE INDEX orders_outstanding ON sat.orders (account, outstanding_until) WHERE outstanding_until IS NOT NULL;
CREATE INDEX orders_refundable ON sat.orders (account, refundable_until) WHERE refundable_until IS NOT NULL;
CREATE INDEX orders_counted ON sat.orders (account, counted_at) WHERE counted_at IS NOT NULL;
CREATE INDEX orders_same_business ON sat.orders (account, product_code, client_number, counted_at);
CREATE INDEX orders_reversed ON sat.orders (account, changed_at) WHERE state = 'reversed';
COMMENT ON TABLE sat.orders IS 'derived: the fold of each order''s events';
COMMENT ON COLUMN sat.orders.changed_at IS 'when the order''s last event occurred';
COMMENT ON COLUMN sat.orders.document IS 'the members that have no column and are set, by name';
ANALYZE sat.orders;

-- The members of an order in the order in which the store reads them, and when it changed last.
CREATE VIEW sat.order_rows AS
SELECT
    request_id, state, account, order_id, batch_id, product_code, client_number, payload_digest, quote_source,
    reason_code, checkout_body, reported_status, evidence_digest, version, row_number, attempt, amount_rupiah,
    list_price_rupiah, quote_rupiah, charged_rupiah, admin_fee_rupiah, partner_fee_rupiah, is_inquiry,
    must_be_reserved_again, may_have_arrived, ended_by_operator, quote_valid_until, admitted_at, send_before,
    settled_after, first_sent_at, debit_proven_at, evidence_at, document, changed_at
FROM sat.orders;
COMMENT ON VIEW sat.order_rows IS 'derived: orders as the store reads them';

-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
--
-- A text[] holds the columns of a table, each as one text whose values are separated by U+001F; an empty value
-- is NULL, or U+001E where a text may be empty. All events of an append have one actor, cause and time.
CREATE OR REPLACE FUNCTION sat.append_events(
    p_actor       text,
    p_cause       text,
    p_occurred_at timestamptz,
    p_heads       text[],  -- stream, version expected, version after
    p_events      text[],  -- stream, version, type, schema_version, data, digest
    p_movements   text[],  -- stream, version, mark, then the members of OrderMovement
    p_orders      text[],  -- the columns of ORDER_COLUMNS, the document, then the members of OrderSums
    p_batches     jsonb,   -- [{stream, document}] the batch after its events
    p_accounts    jsonb,   -- [{stream, document}] likewise
    p_evidence    jsonb    -- [{stream, digest, request_id, body, signature, key_fingerprint, observed_at}]
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    sep      constant text := E'\x1f';
    streams  constant text[] := string_to_array(p_heads[1], sep);
    expected constant integer[] := string_to_array(p_heads[2], sep);
    reached  constant integer[] := string_to_array(p_heads[3], sep);
    begun    text[] := '{}';  -- streams that begin with this append
    moved_on text[] := '{}';  -- streams that exist and are at the expected version
    accepted text[];
    is_whole boolean;  -- nothing is refused, so nothing has to be left out
BEGIN
    IF 0 = ANY (expected) THEN
        WITH made AS (
            INSERT INTO sat.stream_heads (stream, version)
            SELECT h.stream, h.reached
            FROM unnest(streams, expected, reached) AS h (stream, expected, reached)
            WHERE h.expected = 0
            ORDER BY h.stream
            ON CONFLICT (stream) DO NOTHING
            RETURNING stream
        )
        SELECT coalesce(array_agg(m.stream), '{}') INTO begun FROM made AS m;
    END IF;

    IF cardinality(begun) < cardinality(streams) THEN
        SELECT coalesce(array_agg(locked.stream) FILTER (WHERE locked.version = locked.expected), '{}')
        INTO moved_on
        FROM (
            SELECT s.stream, s.version, h.expected
            FROM unnest(streams, expected) AS h (stream, expected)
            JOIN sat.stream_heads AS s USING (stream)
            WHERE s.stream <> ALL (begun)
            ORDER BY s.stream
            FOR UPDATE OF s
        ) AS locked;

        UPDATE sat.stream_heads AS s
        SET version = h.reached
        FROM unnest(streams, reached) AS h (stream, reached)
        WHERE s.stream = h.stream AND s.stream = ANY (moved_on);
    END IF;
    accepted := begun || moved_on;
    is_whole := cardinality(accepted) = cardinality(streams);

    WITH written AS (
        INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
        SELECT e.stream, e.version, e.type, e.schema_version, e.data, p_actor, p_cause, p_occurred_at, e.digest
        FROM unnest(
            string_to_array(p_events[1], sep),
            string_to_array(p_events[2], sep)::integer[],
            string_to_array(p_events[3], sep),
            string_to_array(p_events[4], sep)::smallint[],
            string_to_array(p_events[5], sep),
            string_to_array(p_events[6], sep)
        ) WITH ORDINALITY AS e (stream, version, type, schema_version, data, digest, place)
        WHERE is_whole OR e.stream = ANY (accepted)
        ORDER BY e.place
        RETURNING position, stream, version
    )
    INSERT INTO sat.order_movements (
        position, request_id, occurred_at, mark, state, end_proof, sent_at, quote_rupiah, charged_rupiah,
        admin_fee_rupiah, partner_fee_rupiah, succeeded_rupiah, is_debited, is_doubted, is_mismatched,
        contradicts, is_remark
    )
    SELECT
        w.position, substr(w.stream, 7), p_occurred_at, m.mark, m.state, m.end_proof, m.sent_at, m.quote_rupiah,
        m.charged_rupiah, m.admin_fee_rupiah, m.partner_fee_rupiah, m.succeeded_rupiah, m.is_debited,
        m.is_doubted, m.is_mismatched, m.contradicts, m.is_remark
    FROM unnest(
        string_to_array(p_movements[1], sep),
        string_to_array(p_movements[2], sep)::integer[],
        string_to_array(p_movements[3], sep)::bigint[],
        string_to_array(p_movements[4], sep),
        string_to_array(p_movements[5], sep),
        string_to_array(p_movements[6], sep, '')::timestamptz[],
        string_to_array(p_movements[7], sep)::bigint[],
        string_to_array(p_movements[8], sep, '')::bigint[],
        string_to_array(p_movements[9], sep)::bigint[],
        string_to_array(p_movements[10], sep)::bigint[],
        string_to_array(p_movements[11], sep)::bigint[],
        string_to_array(p_movements[12], sep)::boolean[],
        string_to_array(p_movements[13], sep)::boolean[],
        string_to_array(p_movements[14], sep)::boolean[],
        string_to_array(p_movements[15], sep)::boolean[],
        string_to_array(p_movements[16], sep)::boolean[]
    ) AS m (
        stream, version, mark, state, end_proof, sent_at, quote_rupiah, charged_rupiah, admin_fee_rupiah,
        partner_fee_rupiah, succeeded_rupiah, is_debited, is_doubted, is_mismatched, contradicts, is_remark
    )
    JOIN written AS w USING (stream, version);

    IF p_evidence <> '[]' THEN
        INSERT INTO sat.status_evidence (digest, request_id, body, signature, key_fingerprint, observed_at)
        SELECT v.digest, v.request_id, v.body, v.signature, v.key_fingerprint, v.observed_at
        FROM jsonb_to_recordset(p_evidence) AS v (
            stream text, digest text, request_id text, body text, signature text, key_fingerprint text,
            observed_at timestamptz
        )
        WHERE is_whole OR v.stream = ANY (accepted)
        ORDER BY v.digest
        ON CONFLICT DO NOTHING;
    END IF;

    INSERT INTO sat.orders (
        request_id, state, account, order_id, batch_id, product_code, client_number, payload_digest,
        quote_source, reason_code, checkout_body, reported_status, evidence_digest, version, row_number,
        attempt, amount_rupiah, list_price_rupiah, quote_rupiah, charged_rupiah, admin_fee_rupiah,
        partner_fee_rupiah, is_inquiry, must_be_reserved_again, may_have_arrived, ended_by_operator,
        quote_valid_until, admitted_at, send_before, settled_after, first_sent_at, debit_proven_at, evidence_at,
        document, committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at, changed_at
    )
    SELECT
        o.request_id, o.state, o.account, o.order_id, o.batch_id, o.product_code, o.client_number,
        o.payload_digest, o.quote_source, o.reason_code, o.checkout_body, o.reported_status, o.evidence_digest,
        o.version, o.row_number, o.attempt, o.amount_rupiah, o.list_price_rupiah, o.quote_rupiah,
        o.charged_rupiah, o.admin_fee_rupiah, o.partner_fee_rupiah, o.is_inquiry, o.must_be_reserved_again,
        o.may_have_arrived, o.ended_by_operator, o.quote_valid_until, o.admitted_at, o.send_before,
        o.settled_after, o.first_sent_at, o.debit_proven_at, o.evidence_at, o.document, o.committed_rupiah,
        o.is_reservable, o.outstanding_until, o.refundable_until, o.counted_at, p_occurred_at
    FROM unnest(
        string_to_array(p_orders[1], sep),
        string_to_array(p_orders[2], sep),
        string_to_array(p_orders[3], sep),
        string_to_array(p_orders[4], sep),
        string_to_array(p_orders[5], sep),
        string_to_array(p_orders[6], sep),
        string_to_array(p_orders[7], sep),
        string_to_array(p_orders[8], sep),
        string_to_array(p_orders[9], sep, E'\x1e'),
        string_to_array(p_orders[10], sep, E'\x1e'),
        string_to_array(p_orders[11], sep, E'\x1e'),
        string_to_array(p_orders[12], sep, E'\x1e'),
        string_to_array(p_orders[13], sep, E'\x1e'),
        string_to_array(p_orders[14], sep)::integer[],
        string_to_array(p_orders[15], sep)::integer[],
        string_to_array(p_orders[16], sep)::integer[],
        string_to_array(p_orders[17], sep, '')::bigint[],
        string_to_array(p_orders[18], sep, '')::bigint[],
        string_to_array(p_orders[19], sep, '')::bigint[],
        string_to_array(p_orders[20], sep, '')::bigint[],
        string_to_array(p_orders[21], sep, '')::bigint[],
        string_to_array(p_orders[22], sep, '')::bigint[],
        string_to_array(p_orders[23], sep, '')::boolean[],
        string_to_array(p_orders[24], sep)::boolean[],
        string_to_array(p_orders[25], sep)::boolean[],
        string_to_array(p_orders[26], sep)::boolean[],
        string_to_array(p_orders[27], sep, '')::timestamptz[],
        string_to_array(p_orders[28], sep, '')::timestamptz[],
        string_to_array(p_orders[29], sep, '')::timestamptz[],
        string_to_array(p_orders[30], sep, '')::timestamptz[],
        string_to_array(p_orders[31], sep, '')::timestamptz[],
        string_to_array(p_orders[32], sep, '')::timestamptz[],
        string_to_array(p_orders[33], sep, '')::timestamptz[],
        string_to_array(p_orders[34], sep, '')::jsonb[],
        string_to_array(p_orders[35], sep)::bigint[],
        string_to_array(p_orders[36], sep)::boolean[],
        string_to_array(p_orders[37], sep, '')::timestamptz[],
        string_to_array(p_orders[38], sep, '')::timestamptz[],
        string_to_array(p_orders[39], sep, '')::timestamptz[]
    ) AS o (
        request_id, state, account, order_id, batch_id, product_code, client_number, payload_digest,
        quote_source, reason_code, checkout_body, reported_status, evidence_digest, version, row_number,
        attempt, amount_rupiah, list_price_rupiah, quote_rupiah, charged_rupiah, admin_fee_rupiah,
        partner_fee_rupiah, is_inquiry, must_be_reserved_again, may_have_arrived, ended_by_operator,
        quote_valid_until, admitted_at, send_before, settled_after, first_sent_at, debit_proven_at, evidence_at,
        document, committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at
    )
    WHERE is_whole OR 'order/' || o.request_id = ANY (accepted)
    ORDER BY o.request_id
    ON CONFLICT (request_id) DO UPDATE SET (
        state, account, order_id, batch_id, product_code, client_number, payload_digest, quote_source,
        reason_code, checkout_body, reported_status, evidence_digest, version, row_number, attempt,
        amount_rupiah, list_price_rupiah, quote_rupiah, charged_rupiah, admin_fee_rupiah, partner_fee_rupiah,
        is_inquiry, must_be_reserved_again, may_have_arrived, ended_by_operator, quote_valid_until, admitted_at,
        send_before, settled_after, first_sent_at, debit_proven_at, evidence_at, document, committed_rupiah,
        is_reservable, outstanding_until, refundable_until, counted_at, changed_at
    ) = ROW (
        EXCLUDED.state, EXCLUDED.account, EXCLUDED.order_id, EXCLUDED.batch_id, EXCLUDED.product_code,
        EXCLUDED.client_number, EXCLUDED.payload_digest, EXCLUDED.quote_source, EXCLUDED.reason_code,
        EXCLUDED.checkout_body, EXCLUDED.reported_status, EXCLUDED.evidence_digest, EXCLUDED.version,
        EXCLUDED.row_number, EXCLUDED.attempt, EXCLUDED.amount_rupiah, EXCLUDED.list_price_rupiah,
        EXCLUDED.quote_rupiah, EXCLUDED.charged_rupiah, EXCLUDED.admin_fee_rupiah, EXCLUDED.partner_fee_rupiah,
        EXCLUDED.is_inquiry, EXCLUDED.must_be_reserved_again, EXCLUDED.may_have_arrived,
        EXCLUDED.ended_by_operator, EXCLUDED.quote_valid_until, EXCLUDED.admitted_at, EXCLUDED.send_before,
        EXCLUDED.settled_after, EXCLUDED.first_sent_at, EXCLUDED.debit_proven_at, EXCLUDED.evidence_at,
        EXCLUDED.document, EXCLUDED.committed_rupiah, EXCLUDED.is_reservable, EXCLUDED.outstanding_until,
        EXCLUDED.refundable_until, EXCLUDED.counted_at, EXCLUDED.changed_at
    );

    IF p_batches <> '[]' THEN
        INSERT INTO sat.batches (batch_id, document, submitted_by, submitted_at)
        SELECT b.document ->> 'batch_id', b.document, p_actor, p_occurred_at
        FROM jsonb_to_recordset(p_batches) AS b (stream text, document jsonb)
        WHERE is_whole OR b.stream = ANY (accepted)
        ORDER BY b.stream
        ON CONFLICT (batch_id) DO UPDATE SET document = EXCLUDED.document;
    END IF;

    IF p_accounts <> '[]' THEN
        INSERT INTO sat.accounts (account_id, document)
        SELECT a.document ->> 'account_id', a.document
        FROM jsonb_to_recordset(p_accounts) AS a (stream text, document jsonb)
        WHERE is_whole OR a.stream = ANY (accepted)
        ORDER BY a.stream
        ON CONFLICT (account_id) DO UPDATE SET document = EXCLUDED.document;
    END IF;

    IF is_whole THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT h.stream FROM unnest(streams) AS h (stream) WHERE h.stream <> ALL (accepted) ORDER BY 1);
END
$$;

-- migrate:down
ALTER TABLE sat.orders RENAME TO orders_with_columns;
CREATE TABLE sat.orders (
    request_id             text,
    document               jsonb NOT NULL,
    version                integer NOT NULL GENERATED ALWAYS AS ((document ->> 'version')::integer) STORED,
    state                  text NOT NULL GENERATED ALWAYS AS (document ->> 'state') STORED,
    account                text NOT NULL GENERATED ALWAYS AS (document ->> 'account') STORED,
    order_id               text NOT NULL GENERATED ALWAYS AS (document ->> 'order_id') STORED,
    batch_id               text NOT NULL GENERATED ALWAYS AS (document ->> 'batch_id') STORED,
    row_number             integer NOT NULL GENERATED ALWAYS AS ((document ->> 'row_number')::integer) STORED,
    product_code           text NOT NULL GENERATED ALWAYS AS (document ->> 'product_code') STORED,
    quote_rupiah           bigint GENERATED ALWAYS AS ((document ->> 'quote_rupiah')::bigint) STORED,
    charged_rupiah         bigint GENERATED ALWAYS AS ((document ->> 'charged_rupiah')::bigint) STORED,
    must_be_reserved_again boolean NOT NULL
        GENERATED ALWAYS AS (coalesce((document ->> 'must_be_reserved_again')::boolean, false)) STORED,
    client_number          text GENERATED ALWAYS AS (document ->> 'client_number') STORED,
    committed_rupiah       bigint NOT NULL,
    is_reservable          boolean NOT NULL,
    outstanding_until      timestamptz,
    refundable_until       timestamptz,
    counted_at             timestamptz,
    changed_at             timestamptz NOT NULL DEFAULT '-infinity',
    reason_code            text GENERATED ALWAYS AS (document ->> 'reason_code') STORED
);
-- A time as the document has it: ISO 8601, without a fraction when it is 0.
CREATE FUNCTION sat.time_in_document(p_moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT replace(to_char(p_moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')
$$;
INSERT INTO sat.orders (
    request_id, document, committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at, changed_at
)
SELECT
    request_id,
    '{"fields": [], "overridden": [], "rejected_before": []}' || jsonb_strip_nulls(jsonb_build_object(
        'request_id', request_id, 'state', state, 'account', account, 'order_id', order_id,
        'batch_id', batch_id, 'product_code', product_code, 'client_number', client_number,
        'payload_digest', payload_digest, 'quote_source', quote_source, 'reason_code', reason_code,
        'checkout_body', checkout_body, 'reported_status', reported_status, 'evidence_digest', evidence_digest,
        'version', version, 'row_number', row_number, 'attempt', attempt, 'amount_rupiah', amount_rupiah,
        'list_price_rupiah', list_price_rupiah, 'quote_rupiah', quote_rupiah, 'charged_rupiah', charged_rupiah,
        'admin_fee_rupiah', admin_fee_rupiah, 'partner_fee_rupiah', partner_fee_rupiah,
        'is_inquiry', is_inquiry, 'must_be_reserved_again', must_be_reserved_again,
        'may_have_arrived', may_have_arrived, 'ended_by_operator', ended_by_operator,
        'quote_valid_until', sat.time_in_document(quote_valid_until),
        'admitted_at', sat.time_in_document(admitted_at), 'send_before', sat.time_in_document(send_before),
        'settled_after', sat.time_in_document(settled_after),
        'first_sent_at', sat.time_in_document(first_sent_at),
        'debit_proven_at', sat.time_in_document(debit_proven_at),
        'evidence_at', sat.time_in_document(evidence_at)
    )) || coalesce(document, '{}'),
    committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at, changed_at
FROM sat.orders_with_columns;
DROP FUNCTION sat.time_in_document(timestamptz);
DROP VIEW sat.order_rows;
DROP TABLE sat.orders_with_columns;
ALTER TABLE sat.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (request_id);
CREATE UNIQUE INDEX orders_account_order_id_unique ON sat.orders (account, order_id text_pattern_ops);
CREATE INDEX orders_batch_row ON sat.orders (batch_id, row_number)
    INCLUDE (state, reason_code, product_code, quote_rupiah, charged_rupiah, is_reservable, changed_at);
CREATE INDEX orders_changed ON sat.orders (changed_at);
CREATE INDEX orders_for_people ON sat.orders (account, state, changed_at) WHERE state IN ('held', 'escalated');
CREATE INDEX orders_in_flight ON sat.orders (account, state, batch_id)
    WHERE state IN ('submitting', 'pending', 'unknown', 'escalated');
CREATE INDEX orders_reservable ON sat.orders (account, batch_id, row_number) WHERE is_reservable;
CREATE INDEX orders_outstanding ON sat.orders (account, outstanding_until) WHERE outstanding_until IS NOT NULL;
CREATE INDEX orders_refundable ON sat.orders (account, refundable_until) WHERE refundable_until IS NOT NULL;
CREATE INDEX orders_counted ON sat.orders (account, counted_at) WHERE counted_at IS NOT NULL;
CREATE INDEX orders_same_business ON sat.orders (account, product_code, client_number, counted_at);
CREATE INDEX orders_reversed ON sat.orders (account, changed_at) WHERE state = 'reversed';
COMMENT ON TABLE sat.orders IS 'derived: the fold of each order''s events';
COMMENT ON COLUMN sat.orders.changed_at IS 'when the order''s last event occurred';

-- Append to many streams in one round trip. Heads are locked in sorted order, so two appends never deadlock.
-- Streams whose head is not at the expected version are left alone and returned as conflicts; the others are
-- written together with their projections.
--
-- A text[] holds the columns of a table, each as one text whose values are separated by U+001F; an empty value
-- is NULL. All events of an append have one actor, cause and time.
CREATE OR REPLACE FUNCTION sat.append_events(
    p_actor       text,
    p_cause       text,
    p_occurred_at timestamptz,
    p_heads       text[],  -- stream, version expected, version after
    p_events      text[],  -- stream, version, type, schema_version, data, digest
    p_movements   text[],  -- stream, version, mark, then the members of OrderMovement
    p_orders      text[],  -- stream, document after its events, then the members of OrderSums
    p_batches     jsonb,   -- [{stream, document}] the batch after its events
    p_accounts    jsonb,   -- [{stream, document}] likewise
    p_evidence    jsonb    -- [{stream, digest, request_id, body, signature, key_fingerprint, observed_at}]
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    sep      constant text := E'\x1f';
    streams  constant text[] := string_to_array(p_heads[1], sep);
    expected constant integer[] := string_to_array(p_heads[2], sep);
    reached  constant integer[] := string_to_array(p_heads[3], sep);
    begun    text[] := '{}';  -- streams that begin with this append
    moved_on text[] := '{}';  -- streams that exist and are at the expected version
    accepted text[];
    is_whole boolean;  -- nothing is refused, so nothing has to be left out
BEGIN
    IF 0 = ANY (expected) THEN
        WITH made AS (
            INSERT INTO sat.stream_heads (stream, version)
            SELECT h.stream, h.reached
            FROM unnest(streams, expected, reached) AS h (stream, expected, reached)
            WHERE h.expected = 0
            ORDER BY h.stream
            ON CONFLICT (stream) DO NOTHING
            RETURNING stream
        )
        SELECT coalesce(array_agg(m.stream), '{}') INTO begun FROM made AS m;
    END IF;

    IF cardinality(begun) < cardinality(streams) THEN
        SELECT coalesce(array_agg(locked.stream) FILTER (WHERE locked.version = locked.expected), '{}')
        INTO moved_on
        FROM (
            SELECT s.stream, s.version, h.expected
            FROM unnest(streams, expected) AS h (stream, expected)
            JOIN sat.stream_heads AS s USING (stream)
            WHERE s.stream <> ALL (begun)
            ORDER BY s.stream
            FOR UPDATE OF s
        ) AS locked;

        UPDATE sat.stream_heads AS s
        SET version = h.reached
        FROM unnest(streams, reached) AS h (stream, reached)
        WHERE s.stream = h.stream AND s.stream = ANY (moved_on);
    END IF;
    accepted := begun || moved_on;
    is_whole := cardinality(accepted) = cardinality(streams);

    WITH written AS (
        INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
        SELECT e.stream, e.version, e.type, e.schema_version, e.data, p_actor, p_cause, p_occurred_at, e.digest
        FROM unnest(
            string_to_array(p_events[1], sep),
            string_to_array(p_events[2], sep)::integer[],
            string_to_array(p_events[3], sep),
            string_to_array(p_events[4], sep)::smallint[],
            string_to_array(p_events[5], sep),
            string_to_array(p_events[6], sep)
        ) WITH ORDINALITY AS e (stream, version, type, schema_version, data, digest, place)
        WHERE is_whole OR e.stream = ANY (accepted)
        ORDER BY e.place
        RETURNING position, stream, version
    )
    INSERT INTO sat.order_movements (
        position, request_id, occurred_at, mark, state, end_proof, sent_at, quote_rupiah, charged_rupiah,
        admin_fee_rupiah, partner_fee_rupiah, succeeded_rupiah, is_debited, is_doubted, is_mismatched,
        contradicts, is_remark
    )
    SELECT
        w.position, substr(w.stream, 7), p_occurred_at, m.mark, m.state, m.end_proof, m.sent_at, m.quote_rupiah,
        m.charged_rupiah, m.admin_fee_rupiah, m.partner_fee_rupiah, m.succeeded_rupiah, m.is_debited,
        m.is_doubted, m.is_mismatched, m.contradicts, m.is_remark
    FROM unnest(
        string_to_array(p_movements[1], sep),
        string_to_array(p_movements[2], sep)::integer[],
        string_to_array(p_movements[3], sep)::bigint[],
        string_to_array(p_movements[4], sep),
        string_to_array(p_movements[5], sep),
        string_to_array(p_movements[6], sep, '')::timestamptz[],
        string_to_array(p_movements[7], sep)::bigint[],
        string_to_array(p_movements[8], sep, '')::bigint[],
        string_to_array(p_movements[9], sep)::bigint[],
        string_to_array(p_movements[10], sep)::bigint[],
        string_to_array(p_movements[11], sep)::bigint[],
        string_to_array(p_movements[12], sep)::boolean[],
        string_to_array(p_movements[13], sep)::boolean[],
        string_to_array(p_movements[14], sep)::boolean[],
        string_to_array(p_movements[15], sep)::boolean[],
        string_to_array(p_movements[16], sep)::boolean[]
    ) AS m (
        stream, version, mark, state, end_proof, sent_at, quote_rupiah, charged_rupiah, admin_fee_rupiah,
        partner_fee_rupiah, succeeded_rupiah, is_debited, is_doubted, is_mismatched, contradicts, is_remark
    )
    JOIN written AS w USING (stream, version);

    IF p_evidence <> '[]' THEN
        INSERT INTO sat.status_evidence (digest, request_id, body, signature, key_fingerprint, observed_at)
        SELECT v.digest, v.request_id, v.body, v.signature, v.key_fingerprint, v.observed_at
        FROM jsonb_to_recordset(p_evidence) AS v (
            stream text, digest text, request_id text, body text, signature text, key_fingerprint text,
            observed_at timestamptz
        )
        WHERE is_whole OR v.stream = ANY (accepted)
        ORDER BY v.digest
        ON CONFLICT DO NOTHING;
    END IF;

    INSERT INTO sat.orders (
        request_id, document, changed_at, committed_rupiah, is_reservable, outstanding_until, refundable_until,
        counted_at
    )
    SELECT
        substr(o.stream, 7), o.document::jsonb, p_occurred_at, o.committed_rupiah, o.is_reservable,
        o.outstanding_until, o.refundable_until, o.counted_at
    FROM unnest(
        string_to_array(p_orders[1], sep),
        string_to_array(p_orders[2], sep),
        string_to_array(p_orders[3], sep)::bigint[],
        string_to_array(p_orders[4], sep)::boolean[],
        string_to_array(p_orders[5], sep, '')::timestamptz[],
        string_to_array(p_orders[6], sep, '')::timestamptz[],
        string_to_array(p_orders[7], sep, '')::timestamptz[]
    ) AS o (
        stream, document, committed_rupiah, is_reservable, outstanding_until, refundable_until, counted_at
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

    IF p_batches <> '[]' THEN
        INSERT INTO sat.batches (batch_id, document, submitted_by, submitted_at)
        SELECT b.document ->> 'batch_id', b.document, p_actor, p_occurred_at
        FROM jsonb_to_recordset(p_batches) AS b (stream text, document jsonb)
        WHERE is_whole OR b.stream = ANY (accepted)
        ORDER BY b.stream
        ON CONFLICT (batch_id) DO UPDATE SET document = EXCLUDED.document;
    END IF;

    IF p_accounts <> '[]' THEN
        INSERT INTO sat.accounts (account_id, document)
        SELECT a.document ->> 'account_id', a.document
        FROM jsonb_to_recordset(p_accounts) AS a (stream text, document jsonb)
        WHERE is_whole OR a.stream = ANY (accepted)
        ORDER BY a.stream
        ON CONFLICT (account_id) DO UPDATE SET document = EXCLUDED.document;
    END IF;

    IF is_whole THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT h.stream FROM unnest(streams) AS h (stream) WHERE h.stream <> ALL (accepted) ORDER BY 1);
END
$$;
