-- name: load_account(account_id)
-- The standing of one account.
SELECT document FROM sat.accounts WHERE account_id = :account_id;
