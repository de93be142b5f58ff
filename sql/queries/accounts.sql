-- name: load_account(account_id)
-- The standing of one account.
SELECT document FROM sat.accounts WHERE account_id = :account_id;

-- name: accounts_with_batches()
-- Every account that ever had a batch.
SELECT DISTINCT account FROM sat.batches ORDER BY account;

-- name: accounts_with_events()
-- Accounts of which something was ever recorded.
SELECT account FROM sat.accounts ORDER BY account;

-- name: accounts_of_client(client)
-- The accounts that have paid as a client of SAT's. There are few accounts.
SELECT account FROM sat.accounts WHERE document -> 'clients' @> to_jsonb(:client::text) ORDER BY account;
