-- migrate:up

-- Operational: decisions of people about many orders, kept until each is carried out, and their outcome for some weeks.
-- A part is what one transaction decides; the process that decides it holds the lock on the decision's row.
CREATE TABLE sat.bulk_decisions (
    decision_id     text PRIMARY KEY CHECK (decision_id ~ '^L[A-Z2-7]{25}$'),
    act             text NOT NULL,
    reason          text NOT NULL CHECK (reason <> ''),
    decided_by      text NOT NULL CHECK (decided_by <> ''),
    digest          text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    orders          integer NOT NULL CHECK (orders >= 0),
    parts           integer NOT NULL CHECK (parts >= 0),
    next_part       integer NOT NULL DEFAULT 0 CHECK (next_part BETWEEN 0 AND parts),
    done            integer NOT NULL DEFAULT 0,
    done_rupiah     bigint NOT NULL DEFAULT 0,
    undone_by_code  jsonb NOT NULL DEFAULT '{}',
    begun_at        timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    CHECK ((ended_at IS NULL) = (next_part < parts))
);
COMMENT ON TABLE sat.bulk_decisions IS 'operational: decisions of people about many orders, and how far each is; deleted some weeks after its end';
-- The same decision sent twice is one while it is under way.
CREATE UNIQUE INDEX bulk_decisions_under_way ON sat.bulk_decisions (decided_by, act, digest) WHERE ended_at IS NULL;
CREATE INDEX bulk_decisions_begun ON sat.bulk_decisions (begun_at);

CREATE TABLE sat.bulk_decision_parts (
    decision_id text NOT NULL REFERENCES sat.bulk_decisions ON DELETE CASCADE,
    part        integer NOT NULL CHECK (part >= 0),
    request_ids text[] NOT NULL,
    versions    integer[] NOT NULL,
    rupiah      bigint[] NOT NULL,
    undone      jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (decision_id, part)
);
COMMENT ON TABLE sat.bulk_decision_parts IS 'operational: the orders of a decision as they were shown, and those of them that could not be decided';

-- migrate:down

DROP TABLE sat.bulk_decision_parts, sat.bulk_decisions;
