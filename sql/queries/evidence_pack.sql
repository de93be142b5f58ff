-- name: events_between(first_position, last_position)
-- The events of whole checkpoints, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position BETWEEN :first_position AND :last_position
ORDER BY position;

-- name: checkpoints_of_pack(first_number, last_number)
-- Checkpoints as they are kept.
SELECT document, digest, key_id, signature
FROM sat.checkpoints
WHERE number BETWEEN :first_number AND :last_number
ORDER BY number;

-- name: checkpoints_of_period(recorded_from, recorded_before)
-- What says of itself that it has events that were recorded in a period, by number.
SELECT document, digest, key_id, signature
FROM sat.checkpoints
WHERE CASE
    WHEN pg_input_is_valid(document::jsonb ->> 'recorded_to', 'timestamptz')
        AND pg_input_is_valid(document::jsonb ->> 'recorded_from', 'timestamptz')
    THEN (document::jsonb ->> 'recorded_to')::timestamptz >= :recorded_from
        AND (document::jsonb ->> 'recorded_from')::timestamptz < :recorded_before
END
ORDER BY number, recorded_at;

-- name: callbacks(recorded_from, recorded_before)
-- The inbox: what was received when, and which key fitted.
SELECT inbox_id, account, request_id, digest, key_fingerprint, content_type, received_at
FROM sat.callback_inbox
WHERE received_at >= :recorded_from AND received_at < :recorded_before
ORDER BY inbox_id;

-- name: callbacks_with_bytes(recorded_from, recorded_before)
-- The inbox with what was received, as base64.
SELECT inbox_id, account, request_id, digest, key_fingerprint, content_type, received_at,
    encode(body, 'base64') AS body_base64, signature
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
    encode(convert_to(body, 'UTF8'), 'base64') AS body_base64, signature
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

-- name: events_of_types(first_position, last_position, types)
-- Events of some types, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position BETWEEN :first_position AND :last_position AND type = ANY (:types)
ORDER BY position;

-- name: events_of_people(first_position, last_position, types)
-- What people did besides events of these types, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position BETWEEN :first_position AND :last_position
  AND starts_with(actor, 'user:') AND type <> ALL (:types)
ORDER BY position;
