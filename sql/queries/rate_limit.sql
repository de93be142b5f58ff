-- name: take_requests(account, holder, requests_per_second, max_in_flight, in_use, wanted, moments, lease_seconds)
-- Renew a lease on the limits of an account and take the next moments.
SELECT permits, holders, moments, delay_seconds
FROM sat.take_requests(
    :account, :holder, :requests_per_second, :max_in_flight, :in_use, :wanted, :moments, :lease_seconds
);
