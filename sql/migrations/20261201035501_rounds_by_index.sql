-- migrate:up

-- What rounds and pages ask for again and again is found by index, whatever has ended and was told.
CREATE INDEX orders_reversed ON sat.orders (account, changed_at) WHERE state = 'reversed';
CREATE INDEX alerts_kinds ON sat.alerts (kind, alert_id);
CREATE INDEX alerts_untold ON sat.alerts (alert_id)
    WHERE told_at IS NULL AND (notified_at IS NULL OR trouble IS NOT NULL);

-- migrate:down
DROP INDEX sat.alerts_untold, sat.alerts_kinds, sat.orders_reversed;
