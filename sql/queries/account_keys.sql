-- name: record(account, use, fingerprints)!
-- Record the keys of an account that were never seen. The first ones of a use may be older than that.
INSERT INTO sat.account_keys (account, use, fingerprint, is_older)
SELECT
    :account,
    :use,
    given.fingerprint,
    NOT EXISTS (SELECT FROM sat.account_keys WHERE account = :account AND use = :use)
FROM unnest(:fingerprints::text[]) AS given (fingerprint)
WHERE NOT EXISTS (
    SELECT FROM sat.account_keys AS k
    WHERE k.account = :account AND k.use = :use AND k.fingerprint = given.fingerprint
)
ON CONFLICT DO NOTHING;

-- name: keys_of(account)
-- Every key that was seen of an account, the newest first.
SELECT use, fingerprint, first_seen_at, is_older
FROM sat.account_keys
WHERE account = :account
ORDER BY first_seen_at DESC, fingerprint;
