-- migrate:up

-- What the guards look orders up by: whom they pay, and since when they count (admitted, or first sent).
ALTER TABLE sat.orders
    ADD COLUMN client_number text GENERATED ALWAYS AS (document ->> 'client_number') STORED,
    ADD COLUMN counted_at timestamptz GENERATED ALWAYS AS (
        sat.moment(coalesce(document ->> 'admitted_at', document ->> 'first_sent_at'))
    ) STORED;

CREATE INDEX orders_same_business ON sat.orders (account, product_code, client_number, counted_at);
CREATE INDEX orders_counted ON sat.orders (account, counted_at) WHERE counted_at IS NOT NULL;

-- The class of the advisory locks under which orders are let through, one for each account.
CREATE FUNCTION sat.guard_lock_class() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 72483013 $$;

-- migrate:down
DROP FUNCTION sat.guard_lock_class();
DROP INDEX sat.orders_counted, sat.orders_same_business;
ALTER TABLE sat.orders DROP COLUMN counted_at, DROP COLUMN client_number;
