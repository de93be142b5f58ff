-- migrate:up

ALTER TABLE sat.breaks ADD COLUMN first_decided bigint;
COMMENT ON COLUMN sat.breaks.first_decided IS 'log position of the first decision of a person about it';
UPDATE sat.breaks AS b
SET first_decided = d.position
FROM (
    SELECT data::jsonb ->> 'break_id' AS break_id, min(position) AS position
    FROM sat.events
    WHERE type = 'BreakDecided'
    GROUP BY break_id
) AS d
WHERE d.break_id = b.break_id;
CREATE INDEX breaks_decided ON sat.breaks (account, first_decided) WHERE first_decided IS NOT NULL;

-- migrate:down

ALTER TABLE sat.breaks DROP COLUMN first_decided;
