-- migrate:up

CREATE TABLE sat.breaks (
    break_id text PRIMARY KEY,
    account text NOT NULL,
    closed_day date NOT NULL,
    closed_days date[] NOT NULL DEFAULT '{}',
    day date NOT NULL,
    first_seen date NOT NULL,
    category text NOT NULL,
    state text NOT NULL,
    amount_rupiah bigint NOT NULL,
    booked jsonb NOT NULL,
    reason text,
    decided_by text,
    decided_at timestamptz,
    assignee text NOT NULL DEFAULT '',
    comments integer NOT NULL DEFAULT 0,
    files integer NOT NULL DEFAULT 0,
    version integer NOT NULL,
    is_listed boolean NOT NULL,
    by_age bigint NOT NULL GENERATED ALWAYS AS (first_seen - date '2000-01-01') STORED,
    by_size bigint NOT NULL GENERATED ALWAYS AS (-abs(amount_rupiah)) STORED
);
COMMENT ON TABLE sat.breaks IS 'derived: each break as the newest close that has it and later decisions say; filled from the log when it is read';
COMMENT ON COLUMN sat.breaks.closed_days IS 'the days whose closes have it; closed_day is the newest of them';
COMMENT ON COLUMN sat.breaks.version IS 'of the account''s stream, when something last happened to the break';
COMMENT ON COLUMN sat.breaks.is_listed IS 'false: no close has it any more';
CREATE INDEX breaks_by_age ON sat.breaks (by_age, break_id) WHERE is_listed;
CREATE INDEX breaks_by_size ON sat.breaks (by_size, break_id) WHERE is_listed;
CREATE INDEX breaks_standing_by_age ON sat.breaks (by_age, break_id) WHERE is_listed AND state IN ('open', 'explained');
CREATE INDEX breaks_standing_by_size ON sat.breaks (by_size, break_id) WHERE is_listed AND state IN ('open', 'explained');
CREATE INDEX breaks_of_day ON sat.breaks (day, break_id) WHERE is_listed;
CREATE INDEX breaks_of_close ON sat.breaks (account, closed_day);

CREATE TABLE sat.break_ages (
    account text NOT NULL,
    closed_day date NOT NULL,
    age_days integer NOT NULL,
    breaks integer NOT NULL,
    size_rupiah bigint NOT NULL,
    PRIMARY KEY (account, closed_day, age_days)
);
COMMENT ON TABLE sat.break_ages IS 'derived: how many breaks of each age a close carried forward, and their amounts without signs';

CREATE TABLE sat.break_cursors (
    stream text PRIMARY KEY,
    version integer NOT NULL
);
COMMENT ON TABLE sat.break_cursors IS 'derived: up to which version of each account''s stream the tables of breaks are filled';

-- migrate:down

DROP TABLE sat.break_cursors, sat.break_ages, sat.breaks;
