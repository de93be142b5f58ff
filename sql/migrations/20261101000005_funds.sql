-- migrate:up

-- Evidence. Every look at a deposit, as SAT answered it. `is_compared` marks the links of the chain in which
-- each saldo is compared with the one before, to see what our own orders do not explain.
CREATE TABLE sat.balance_observations (
    observation_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account         text NOT NULL,
    saldo_rupiah    bigint NOT NULL,
    requested_at    timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    response_digest text CHECK (response_digest ~ '^[0-9a-f]{64}$'),
    is_compared     boolean NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX balance_observations_last ON sat.balance_observations (account, requested_at, observation_id);
CREATE INDEX balance_observations_compared ON sat.balance_observations (account, observation_id)
    WHERE is_compared;
COMMENT ON TABLE sat.balance_observations IS 'evidence: what the deposit was seen to hold';
CREATE TRIGGER balance_observations_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.balance_observations
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();

-- A moment as our documents write it. Such a text always carries its offset, so unlike the cast in general
-- this one means the same in every session.
CREATE FUNCTION sat.moment(p_text text) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN p_text::timestamptz;
END
$$;

ALTER TABLE sat.orders
    ADD COLUMN debit_proven_at timestamptz
        GENERATED ALWAYS AS (sat.moment(document ->> 'debit_proven_at')) STORED,
    ADD COLUMN must_be_reserved_again boolean NOT NULL
        GENERATED ALWAYS AS (coalesce((document ->> 'must_be_reserved_again')::boolean, false)) STORED;
ALTER TABLE sat.batches
    ADD COLUMN reserved_up_to_row integer NOT NULL
        GENERATED ALWAYS AS (coalesce((document ->> 'reserved_up_to_row')::integer, 0)) STORED;

-- A look at an account's funds touches what is open and what is recent, never its whole history.
CREATE INDEX orders_quoted ON sat.orders (account, batch_id, row_number) WHERE state = 'quoted';
CREATE INDEX orders_debit_proven ON sat.orders (account, debit_proven_at) WHERE debit_proven_at IS NOT NULL;
CREATE INDEX orders_given_back ON sat.orders
    (account, greatest(debit_proven_at, sat.moment(document ->> 'evidence_at')))
    WHERE state IN ('failed', 'reversed');

-- The class of the advisory locks under which funds are reserved, one for each account. Two keys of four bytes
-- never meet the log's lock of eight.
CREATE FUNCTION sat.funds_lock_class() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 72483012 $$;

-- migrate:down
DROP FUNCTION sat.funds_lock_class();
DROP INDEX sat.orders_given_back, sat.orders_debit_proven, sat.orders_quoted;
ALTER TABLE sat.batches DROP COLUMN reserved_up_to_row;
ALTER TABLE sat.orders DROP COLUMN must_be_reserved_again, DROP COLUMN debit_proven_at;
DROP FUNCTION sat.moment(text);
DROP TABLE sat.balance_observations;
