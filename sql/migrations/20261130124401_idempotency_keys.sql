-- migrate:up

-- Operational: requests that their sender may repeat, and what they were answered. Kept for a day. An answer without
-- a status is not given yet; one without a response is not kept.
CREATE TABLE sat.idempotency_keys (
    person         text NOT NULL,
    key            text NOT NULL CHECK (key <> '' AND octet_length(key) <= 255),
    request_digest text NOT NULL CHECK (request_digest ~ '^[0-9a-f]{64}$'),
    claimed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    status         smallint,
    media_type     text,
    response       text CHECK (octet_length(response) <= 65536),
    PRIMARY KEY (person, key)
);
CREATE INDEX idempotency_keys_claimed ON sat.idempotency_keys (claimed_at);
COMMENT ON TABLE sat.idempotency_keys IS 'operational: requests that may be repeated, and their answers, for a day';

-- migrate:down
DROP TABLE sat.idempotency_keys;
