-- migrate:up
-- When the first channel of a user took it. What the notifier of all alerts did is in notified_at and trouble.
ALTER TABLE sat.alerts ADD COLUMN told_at timestamptz;
ALTER TABLE sat.alerts ADD COLUMN acknowledged_at timestamptz;
ALTER TABLE sat.alerts ADD COLUMN acknowledged_by text;
CREATE INDEX alerts_raised ON sat.alerts (raised_at);
CREATE INDEX alerts_open ON sat.alerts (alert_id) WHERE acknowledged_at IS NULL;

CREATE TABLE sat.notification_choices (
    user_name  text NOT NULL,
    channel    text NOT NULL,
    address    text NOT NULL,
    kinds      text[] NOT NULL,
    is_digest  boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (user_name, channel)
);
COMMENT ON TABLE sat.notification_choices IS 'operational: what users want to be told of, by channel';

-- An alert without a row is still to be sent to the user.
CREATE TABLE sat.alert_deliveries (
    alert_id  bigint NOT NULL REFERENCES sat.alerts,
    user_name text NOT NULL,
    channel   text NOT NULL,
    told_at   timestamptz NOT NULL,
    PRIMARY KEY (alert_id, user_name, channel)
);
COMMENT ON TABLE sat.alert_deliveries IS 'operational: alerts that a channel took for a user';

-- migrate:down
DROP TABLE sat.alert_deliveries;
DROP TABLE sat.notification_choices;
DROP INDEX sat.alerts_open, sat.alerts_raised;
ALTER TABLE sat.alerts DROP COLUMN acknowledged_by;
ALTER TABLE sat.alerts DROP COLUMN acknowledged_at;
ALTER TABLE sat.alerts DROP COLUMN told_at;
