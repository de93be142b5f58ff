-- migrate:up
CREATE TABLE sat.account_keys (
    account       text NOT NULL,
    use           text NOT NULL CHECK (use IN ('signs_requests', 'verifies_statuses')),
    fingerprint   text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_older      boolean NOT NULL,
    PRIMARY KEY (account, use, fingerprint)
);
COMMENT ON TABLE sat.account_keys IS 'operational: since when each key of a connection is in use';
COMMENT ON COLUMN sat.account_keys.is_older IS
    'the first keys that were seen of an account may have been in use before';

-- migrate:down
DROP TABLE sat.account_keys;
