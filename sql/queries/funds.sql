-- name: lock_funds(account)!
-- Lock reservations and deposit observations of this account until this transaction ends.
SELECT pg_advisory_xact_lock(sat.funds_lock_class(), hashtext(:account));

-- name: record_observation(account, saldo_rupiah, requested_at, received_at, response_digest, is_compared)!
-- Keep one look at the deposit.
INSERT INTO sat.balance_observations
    (account, saldo_rupiah, requested_at, received_at, response_digest, is_compared)
VALUES
    (:account, :saldo_rupiah, :requested_at, :received_at, :response_digest, :is_compared);

-- name: last_observation(account)
-- The newest look at the deposit. One that claims to have been asked for after it was recorded was dated by a
-- clock that is ahead: it would outrank every true one until then, so it counts only where there is no other.
SELECT account, saldo_rupiah, requested_at, received_at, response_digest
FROM (
    (
        SELECT *, 1 AS rank
        FROM sat.balance_observations
        WHERE account = :account AND requested_at <= recorded_at + interval '30 seconds'
        ORDER BY requested_at DESC, observation_id DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT *, 2
        FROM sat.balance_observations
        WHERE account = :account
        ORDER BY requested_at DESC, observation_id DESC
        LIMIT 1
    )
) AS looks
ORDER BY rank
LIMIT 1;

-- name: last_compared(account)
-- The last link of the chain in which saldos are compared.
SELECT account, saldo_rupiah, requested_at, received_at, response_digest
FROM sat.balance_observations
WHERE account = :account AND is_compared
ORDER BY observation_id DESC
LIMIT 1;

-- name: outstanding(account, included_before)
-- What is reserved and unsent; what was sent and is not proven debited before the moment.
SELECT
    (
        SELECT coalesce(sum(o.committed_rupiah), 0)::bigint
        FROM sat.orders AS o
        JOIN sat.batches AS b USING (batch_id)
        WHERE o.account = :account AND o.is_reservable AND o.row_number <= b.reserved_up_to_row
    ),
    (
        SELECT coalesce(sum(committed_rupiah), 0)::bigint
        FROM sat.orders
        WHERE account = :account AND outstanding_until >= :included_before
    );

-- name: may_come_back(account, since)$
-- The most that refunds may bring after a moment.
SELECT coalesce(sum(committed_rupiah), 0)::bigint
FROM sat.orders
WHERE account = :account AND refundable_until >= :since;

-- name: unreserved(batch_id)
-- The quoted orders of a batch behind which no funds stand, by row number.
SELECT o.request_id, o.row_number, o.quote_rupiah, o.must_be_reserved_again
FROM sat.orders AS o
JOIN sat.batches AS b USING (batch_id)
WHERE o.batch_id = :batch_id
  AND o.state = 'quoted'
  AND NOT (o.is_reservable AND o.row_number <= b.reserved_up_to_row)
ORDER BY o.row_number;
