-- name: forget_old_keys(kept_seconds, limit)!
-- Remove what is older than answers are kept.
DELETE FROM sat.idempotency_keys
WHERE (person, key) IN (
    SELECT person, key
    FROM sat.idempotency_keys
    WHERE claimed_at < clock_timestamp() - make_interval(secs => :kept_seconds)
    ORDER BY claimed_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
);

-- name: claim_key(person, key, request_digest, abandoned_seconds)
-- Begin a request: a row if the key is new, or if the process that began the same request has not ended it in time.
INSERT INTO sat.idempotency_keys AS k (person, key, request_digest)
VALUES (:person, :key, :request_digest)
ON CONFLICT (person, key) DO UPDATE SET claimed_at = clock_timestamp()
WHERE k.status IS NULL
  AND k.request_digest = EXCLUDED.request_digest
  AND k.claimed_at < clock_timestamp() - make_interval(secs => :abandoned_seconds)
RETURNING claimed_at;

-- name: known_request(person, key)
-- The request of a key, and how it was answered.
SELECT request_digest, status, media_type, response
FROM sat.idempotency_keys
WHERE person = :person AND key = :key;

-- name: keep_answer(person, key, claimed_at, status, media_type, response)!
-- The request was answered.
UPDATE sat.idempotency_keys
SET status = :status, media_type = :media_type, response = :response
WHERE person = :person AND key = :key AND claimed_at = :claimed_at;

-- name: release_key(person, key, claimed_at)!
-- The request came to nothing; the next one with this key begins again.
DELETE FROM sat.idempotency_keys
WHERE person = :person AND key = :key AND claimed_at = :claimed_at AND status IS NULL;
