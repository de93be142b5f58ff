-- name: add_decision(decision_id, act, reason, decided_by, digest, chosen, parts)$
-- Keep a new decision: its id, or nothing when the same one is under way.
INSERT INTO sat.bulk_decisions (decision_id, act, reason, decided_by, digest, chosen, parts, ended_at)
VALUES (
    :decision_id, :act, :reason, :decided_by, :digest, :chosen, :parts, CASE WHEN :parts = 0 THEN now() END
)
ON CONFLICT (decided_by, act, digest) WHERE ended_at IS NULL DO NOTHING
RETURNING decision_id;

-- name: decision_under_way(act, decided_by, digest)$
-- The id of the same decision, while it is under way.
SELECT decision_id
FROM sat.bulk_decisions
WHERE decided_by = :decided_by AND act = :act AND digest = :digest AND ended_at IS NULL;

-- name: add_part(decision_id, part, account, ids, versions, rupiah)!
-- What one part of a decision is about, as it was shown.
INSERT INTO sat.bulk_decision_parts (decision_id, part, account, ids, versions, rupiah)
VALUES (:decision_id, :part, :account, :ids::text[], :versions::integer[], :rupiah::bigint[]);

-- name: decision(decision_id)^
-- A decision, and how far it is.
SELECT
    decision_id, act, reason, decided_by, chosen, done, done_rupiah, undone_by_code, begun_at, changed_at, ended_at
FROM sat.bulk_decisions
WHERE decision_id = :decision_id;

-- name: newest_decisions(acts, limit)
-- The decisions of some acts that were made last.
SELECT
    decision_id, act, reason, decided_by, chosen, done, done_rupiah, undone_by_code, begun_at, changed_at, ended_at
FROM sat.bulk_decisions
WHERE act = ANY (:acts::text[])
ORDER BY begun_at DESC
LIMIT :limit;

-- name: undone(decision_id, limit)
-- The first orders or breaks that could not be decided.
SELECT u.one
FROM sat.bulk_decision_parts AS p
CROSS JOIN LATERAL jsonb_array_elements(p.undone) WITH ORDINALITY AS u (one, place)
WHERE p.decision_id = :decision_id
ORDER BY p.part, u.place
LIMIT :limit;

-- name: outcome_by_account(decision_id)
-- What became of a decision in each account that its parts name.
SELECT
    account, sum(cardinality(ids))::integer, sum(done)::integer, sum(done_rupiah)::bigint,
    sum(jsonb_array_length(undone))::integer
FROM sat.bulk_decision_parts
WHERE decision_id = :decision_id AND account <> ''
GROUP BY account
ORDER BY account;

-- name: take_decision()^
-- Lock the decision under way that has waited longest, unless another process has it.
SELECT
    decision_id, act, reason, decided_by, chosen, done, done_rupiah, undone_by_code, begun_at, changed_at, ended_at,
    next_part
FROM sat.bulk_decisions
WHERE ended_at IS NULL
ORDER BY changed_at
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: part_of(decision_id, part)^
-- What a part is about.
SELECT account, ids, versions, rupiah FROM sat.bulk_decision_parts WHERE decision_id = :decision_id AND part = :part;

-- name: record_part(decision_id, part, done, done_rupiah, undone_by_code, undone)!
-- A part has been carried out; with the last one the decision ends.
WITH carried_out AS (
    UPDATE sat.bulk_decision_parts
    SET done = :done, done_rupiah = :done_rupiah, undone = :undone::jsonb
    WHERE decision_id = :decision_id AND part = :part
)
UPDATE sat.bulk_decisions
SET next_part = :part + 1,
    done = done + :done,
    done_rupiah = done_rupiah + :done_rupiah,
    undone_by_code = :undone_by_code::jsonb,
    changed_at = clock_timestamp(),
    ended_at = CASE WHEN :part + 1 = parts THEN clock_timestamp() END
WHERE decision_id = :decision_id;

-- name: forget_decisions(kept_seconds)!
-- Delete decisions that ended long ago.
DELETE FROM sat.bulk_decisions
WHERE begun_at < now() - make_interval(secs => :kept_seconds) AND ended_at < now() - make_interval(secs => :kept_seconds);
