-- migrate:up

CREATE TABLE sat.settlement_uploads (
    upload_id text PRIMARY KEY CHECK (upload_id ~ '^U[A-Z2-7]{25}$'),
    owner text NOT NULL CHECK (owner <> ''),
    account text NOT NULL CHECK (account <> ''),
    name text NOT NULL CHECK (name <> ''),
    content bytea NOT NULL,
    mapping jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sat.settlement_uploads IS 'operational: settlement files that people look at before they are imported, each for its owner; deleted after a day';
CREATE INDEX settlement_uploads_of_owner ON sat.settlement_uploads (owner, created_at);
CREATE INDEX settlement_uploads_created ON sat.settlement_uploads (created_at);

-- migrate:down

DROP TABLE sat.settlement_uploads;
