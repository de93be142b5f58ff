-- migrate:up

-- A decision may be about many breaks, too. A part is then about breaks of one account, and keeps what became of it, so
-- that the outcome can be told account by account.
ALTER TABLE sat.bulk_decisions RENAME COLUMN orders TO chosen;
COMMENT ON TABLE sat.bulk_decisions IS 'operational: decisions of people about many orders or breaks, and how far each is; deleted some weeks after its end';
ALTER TABLE sat.bulk_decision_parts RENAME COLUMN request_ids TO ids;
ALTER TABLE sat.bulk_decision_parts
    ADD COLUMN account text NOT NULL DEFAULT '',
    ADD COLUMN done integer NOT NULL DEFAULT 0 CHECK (done >= 0),
    ADD COLUMN done_rupiah bigint NOT NULL DEFAULT 0;
COMMENT ON TABLE sat.bulk_decision_parts IS 'operational: the orders or breaks of a decision as they were shown, what became of them, and those that could not be decided';

-- migrate:down

DELETE FROM sat.bulk_decisions WHERE act IN ('explain', 'resolve', 'write-off');
ALTER TABLE sat.bulk_decision_parts DROP COLUMN account, DROP COLUMN done, DROP COLUMN done_rupiah;
ALTER TABLE sat.bulk_decision_parts RENAME COLUMN ids TO request_ids;
ALTER TABLE sat.bulk_decisions RENAME COLUMN chosen TO orders;
COMMENT ON TABLE sat.bulk_decisions IS 'operational: decisions of people about many orders, and how far each is; deleted some weeks after its end';
COMMENT ON TABLE sat.bulk_decision_parts IS 'operational: the orders of a decision as they were shown, and those of them that could not be decided';
