-- migrate:up

-- Evidence. A verified callback exactly as it came. Repetitions of the same bytes are counted beside it.
CREATE TABLE sat.callback_inbox (
    inbox_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account         text NOT NULL,
    request_id      text NOT NULL,
    digest          text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    body            bytea NOT NULL,
    signature       text NOT NULL,
    key_fingerprint text NOT NULL,
    content_type    text NOT NULL,
    remote_address  text NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT callback_inbox_account_digest_unique UNIQUE (account, digest)
);
CREATE INDEX callback_inbox_request ON sat.callback_inbox (request_id);
COMMENT ON TABLE sat.callback_inbox IS 'evidence: verified callbacks as received';
CREATE TRIGGER callback_inbox_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.callback_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();

-- Operational: how often the same bytes came again.
CREATE TABLE sat.callback_repeats (
    account        text NOT NULL,
    digest         text NOT NULL,
    repeats        integer NOT NULL CHECK (repeats > 0),
    last_repeat_at timestamptz NOT NULL,
    PRIMARY KEY (account, digest)
);
COMMENT ON TABLE sat.callback_repeats IS 'operational: arrivals of a callback after its first';

-- Operational: callbacks that have not yet led to a status check. An order that is not known yet stays here.
CREATE TABLE sat.callback_queue (
    inbox_id    bigint PRIMARY KEY,
    account     text NOT NULL,
    request_id  text NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX callback_queue_request ON sat.callback_queue (request_id);
COMMENT ON TABLE sat.callback_queue IS 'operational: verified callbacks that wait for a status check';

-- Operational: when each order in flight is asked about next.
CREATE TABLE sat.poll_schedule (
    request_id text PRIMARY KEY,
    account    text NOT NULL,
    batch_id   text NOT NULL,
    due_at     timestamptz NOT NULL,
    polls      integer NOT NULL DEFAULT 0
);
CREATE INDEX poll_schedule_due ON sat.poll_schedule (batch_id, due_at);
COMMENT ON TABLE sat.poll_schedule IS 'operational: the poll schedule of orders in flight';

-- Operational: rows that people fill in instead of uploading a file. Everything is text, so that a wrong
-- amount is reported like the same mistake in a file. Claimed rows are spooled; the spooled bytes count.
CREATE TABLE sat.order_intake (
    intake_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account         text NOT NULL,
    batch_reference text,
    order_id        text,
    product_code    text,
    client_number   text,
    amount_rupiah   text,
    max_rupiah      text,
    downline_id     text,
    fields          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(fields) = 'object'),
    created_by      text NOT NULL DEFAULT session_user,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by      text,
    claimed_at      timestamptz,
    CONSTRAINT order_intake_claim_is_whole CHECK ((claimed_by IS NULL) = (claimed_at IS NULL))
);
CREATE INDEX order_intake_unclaimed ON sat.order_intake (account, intake_id) WHERE claimed_by IS NULL;
CREATE INDEX order_intake_claimed ON sat.order_intake (claimed_by) WHERE claimed_by IS NOT NULL;
COMMENT ON TABLE sat.order_intake IS 'operational: orders filled in by hand, until a batch claims them';

-- The receiver's one act, in one statement: keep the callback, queue its order, wake who waits.
-- Returns true when these bytes came for the first time.
CREATE FUNCTION sat.receive_callback(
    p_account text, p_request_id text, p_digest text, p_body bytea, p_signature text,
    p_key_fingerprint text, p_content_type text, p_remote_address text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_id bigint;
BEGIN
    INSERT INTO sat.callback_inbox
        (account, request_id, digest, body, signature, key_fingerprint, content_type, remote_address)
    VALUES
        (p_account, p_request_id, p_digest, p_body, p_signature, p_key_fingerprint, p_content_type,
         p_remote_address)
    ON CONFLICT (account, digest) DO NOTHING
    RETURNING inbox_id INTO new_id;
    IF new_id IS NULL THEN
        INSERT INTO sat.callback_repeats AS r (account, digest, repeats, last_repeat_at)
        VALUES (p_account, p_digest, 1, clock_timestamp())
        ON CONFLICT (account, digest)
        DO UPDATE SET repeats = r.repeats + 1, last_repeat_at = EXCLUDED.last_repeat_at;
        RETURN false;
    END IF;
    INSERT INTO sat.callback_queue (inbox_id, account, request_id, received_at)
    VALUES (new_id, p_account, p_request_id, clock_timestamp());
    RETURN true;
END
$$;

-- The channel of an account carries no payload: it only says "look".
CREATE FUNCTION sat.callback_channel(p_account text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'sat_callback_' || md5(p_account) $$;

-- migrate:down
DROP FUNCTION sat.callback_channel(text);
DROP FUNCTION sat.receive_callback(text, text, text, bytea, text, text, text, text);
DROP TABLE sat.order_intake, sat.poll_schedule, sat.callback_queue, sat.callback_repeats, sat.callback_inbox;
