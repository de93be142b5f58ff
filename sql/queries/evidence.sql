-- name: may_read_evidence()$
-- Whether this role may recompute the digests of signed texts and callbacks.
SELECT has_column_privilege('sat.status_evidence', 'body', 'SELECT')
    AND has_column_privilege('sat.callback_inbox', 'body', 'SELECT');

-- name: kept_evidence(digests)
-- Which of these signed texts are kept.
SELECT digest FROM sat.status_evidence WHERE digest = ANY (:digests);

-- name: changed_texts(digests)
-- Of these signed texts, those that are not what their digest says.
SELECT digest, encode(sha256(convert_to(body, 'UTF8')), 'hex')
FROM sat.status_evidence
WHERE digest = ANY (:digests) AND digest <> encode(sha256(convert_to(body, 'UTF8')), 'hex')
ORDER BY digest;

-- name: changed_evidence()
-- Signed texts and callbacks that are not what their digest says.
SELECT 'status_evidence', digest, encode(sha256(convert_to(body, 'UTF8')), 'hex')
FROM sat.status_evidence
WHERE digest <> encode(sha256(convert_to(body, 'UTF8')), 'hex')
UNION ALL
SELECT 'callback_inbox', digest, encode(sha256(body), 'hex')
FROM sat.callback_inbox
WHERE digest <> encode(sha256(body), 'hex')
ORDER BY 1, 2;

-- name: signed_texts(digests)
-- Signed texts with what they are evidence of, and their signatures.
SELECT digest, request_id, body, signature FROM sat.status_evidence WHERE digest = ANY (:digests);

-- name: first_events(streams)
-- How each of these streams began.
SELECT stream, data FROM sat.events WHERE stream = ANY (:streams) AND version = 1 AND type = 'OrderReceived';

-- name: kept_callbacks()
-- Every callback with its signature.
SELECT account, digest, body, signature FROM sat.callback_inbox ORDER BY inbox_id;

-- name: price_evidence()
-- Believed price snapshots by number, a line for each of their changes; one without a product where there are none.
SELECT
    s.snapshot_id, s.account, s.asked_at, s.listed, s.changes, s.state_digest, p.product_code, c.kind, c.name,
    c.price_rupiah, c.is_inquiry, c.status, c.operator_name, c.category_name
FROM sat.price_snapshots AS s
LEFT JOIN sat.price_changes AS c USING (snapshot_id)
LEFT JOIN sat.products AS p USING (product_id)
WHERE s.outcome = 'complete'
ORDER BY s.snapshot_id, p.product_code;

-- name: callbacks(recorded_from, recorded_before)
-- The inbox: what was received when, and which key fitted.
SELECT inbox_id, account, request_id, digest, key_fingerprint, content_type, received_at
FROM sat.callback_inbox
WHERE received_at >= :recorded_from AND received_at < :recorded_before
ORDER BY inbox_id;

-- name: callbacks_with_bytes(recorded_from, recorded_before)
-- The inbox with what was received, as base64.
SELECT inbox_id, account, request_id, digest, key_fingerprint, content_type, received_at,
    translate(encode(body, 'base64'), E'\n', '') AS body_base64, signature
FROM sat.callback_inbox
WHERE received_at >= :recorded_from AND received_at < :recorded_before
ORDER BY inbox_id;

-- name: signed_statuses(first_position, last_position, types)
-- The signed statuses that these events name. Read from the text: a damaged one must not stop a pack.
SELECT digest, request_id, key_fingerprint, observed_at, recorded_at
FROM sat.status_evidence
WHERE digest IN (
    SELECT substring(data FROM '"evidence_digest":"([0-9a-f]{64})"')
    FROM sat.events
    WHERE position BETWEEN :first_position AND :last_position AND type = ANY (:types)
)
ORDER BY recorded_at, digest;

-- name: signed_statuses_with_bytes(first_position, last_position, types)
-- The same with the text that was signed.
SELECT digest, request_id, key_fingerprint, observed_at, recorded_at,
    translate(encode(convert_to(body, 'UTF8'), 'base64'), E'\n', '') AS body_base64, signature
FROM sat.status_evidence
WHERE digest IN (
    SELECT substring(data FROM '"evidence_digest":"([0-9a-f]{64})"')
    FROM sat.events
    WHERE position BETWEEN :first_position AND :last_position AND type = ANY (:types)
)
ORDER BY recorded_at, digest;

-- name: deposits(recorded_from, recorded_before)
-- Looks at the deposit.
SELECT to_jsonb(o) AS observation
FROM sat.balance_observations AS o
WHERE o.recorded_at >= :recorded_from AND o.recorded_at < :recorded_before
ORDER BY o.recorded_at, to_jsonb(o)::text;

-- name: price_snapshots(recorded_from, recorded_before)
-- Every attempt to read a price list.
SELECT to_jsonb(s) AS snapshot
FROM sat.price_snapshots AS s
WHERE s.asked_at >= :recorded_from AND s.asked_at < :recorded_before
ORDER BY s.snapshot_id;

-- name: price_changes(recorded_from, recorded_before)
-- What changed in price lists, by the snapshot that found it.
SELECT p.account, p.product_code, to_jsonb(c) AS change
FROM sat.price_changes AS c
JOIN sat.price_snapshots AS s USING (snapshot_id)
JOIN sat.products AS p USING (product_id)
WHERE s.asked_at >= :recorded_from AND s.asked_at < :recorded_before
ORDER BY c.snapshot_id, c.product_id, to_jsonb(c)::text;
