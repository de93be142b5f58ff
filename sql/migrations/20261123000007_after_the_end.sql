-- migrate:up

-- Operational: how far those who read the whole log by and by have come.
CREATE TABLE sat.log_cursors (
    reader   text PRIMARY KEY CHECK (reader <> ''),
    position bigint NOT NULL CHECK (position >= 0)
);
COMMENT ON TABLE sat.log_cursors IS 'operational: up to which position each reader of the log has read';

-- What happened before there were alerts is nobody's news.
INSERT INTO sat.log_cursors (reader, position) SELECT 'alerts', coalesce(max(position), 0) FROM sat.events;

-- Operational: what people have to be told. The key says what it is about, so nothing is told twice.
CREATE TABLE sat.alerts (
    alert_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          text NOT NULL UNIQUE CHECK (key <> ''),
    kind         text NOT NULL CHECK (kind ~ '^[a-z_]+$'),
    account      text NOT NULL,
    batch_id     text,
    subject      text,
    text         text NOT NULL CHECK (text <> '' AND char_length(text) <= 300),
    occurred_at  timestamptz NOT NULL,
    raised_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_try_at  timestamptz NOT NULL DEFAULT '-infinity',
    tries        integer NOT NULL DEFAULT 0,
    trouble      text,
    notified_at  timestamptz,
    announced_at timestamptz
);
CREATE INDEX alerts_to_notify ON sat.alerts (next_try_at, alert_id) WHERE notified_at IS NULL;
CREATE INDEX alerts_to_announce ON sat.alerts (alert_id) WHERE announced_at IS NULL;
COMMENT ON TABLE sat.alerts IS 'operational: what people are told, and whether they were';

-- Operational: when each ended order is looked at once more. One row for each end and each mark (days after
-- the business day of that end). A row that is still open when its business day is over was missed.
CREATE TABLE sat.final_watch (
    end_position bigint NOT NULL,
    days         smallint NOT NULL CHECK (days > 0),
    request_id   text NOT NULL,
    account      text NOT NULL,
    due_at       timestamptz NOT NULL,
    overdue_at   timestamptz NOT NULL CHECK (overdue_at > due_at),
    next_try_at  timestamptz NOT NULL,
    tries        integer NOT NULL DEFAULT 0,
    trouble      text,
    closed_at    timestamptz,
    finding      text CHECK (finding IN ('same', 'changed', 'not_found', 'given_up')),
    PRIMARY KEY (end_position, days),
    CONSTRAINT final_watch_closed_with_finding CHECK ((closed_at IS NULL) = (finding IS NULL))
);
CREATE INDEX final_watch_open ON sat.final_watch (account, next_try_at, end_position) WHERE closed_at IS NULL;
CREATE INDEX final_watch_request ON sat.final_watch (request_id);
COMMENT ON TABLE sat.final_watch IS 'operational: when ended orders are looked at again, and what was found';

-- migrate:down
DROP TABLE sat.final_watch, sat.alerts, sat.log_cursors;
