-- migrate:up

CREATE TABLE sat.order_drafts (
    draft_id text PRIMARY KEY CHECK (draft_id ~ '^D[A-Z2-7]{25}$'),
    owner text NOT NULL CHECK (owner <> ''),
    version integer NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    document jsonb NOT NULL,
    first_rows integer[] NOT NULL,
    checked_version integer,
    summary jsonb,
    lights bytea
);
COMMENT ON TABLE sat.order_drafts IS 'operational: uploads that people mend before they submit them, each for its owner; deleted after some days';
CREATE INDEX order_drafts_of_owner ON sat.order_drafts (owner, changed_at);
CREATE INDEX order_drafts_changed ON sat.order_drafts (changed_at);

CREATE TABLE sat.order_draft_parts (
    draft_id text NOT NULL REFERENCES sat.order_drafts ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('upload', 'rows', 'findings')),
    part integer NOT NULL CHECK (part >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (draft_id, kind, part)
);
COMMENT ON TABLE sat.order_draft_parts IS 'operational: the bytes of a draft''s upload, its rows and the findings of its last check, some rows a part';

CREATE TABLE sat.order_column_mappings (
    account text NOT NULL CHECK (account <> ''),
    name text NOT NULL CHECK (name <> ''),
    fingerprint text NOT NULL,
    columns text[] NOT NULL,
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, name)
);
COMMENT ON TABLE sat.order_column_mappings IS 'operational: which of our columns the titles of an upload are, by name, and by the fingerprint of the titles';
CREATE INDEX order_column_mappings_of_titles ON sat.order_column_mappings (account, fingerprint, saved_at);

-- migrate:down

DROP TABLE sat.order_column_mappings, sat.order_draft_parts, sat.order_drafts;
