-- migrate:up

-- Operational: the limits of an account that all its workers share. Unlogged: after a crash of the server
-- everybody simply asks again.
CREATE UNLOGGED TABLE sat.request_pace (
    account text PRIMARY KEY,
    next_at timestamptz NOT NULL
);
COMMENT ON TABLE sat.request_pace IS 'operational: every moment before next_at belongs to some request already';

CREATE UNLOGGED TABLE sat.request_leases (
    account    text NOT NULL,
    holder     text NOT NULL,
    permits    integer NOT NULL CHECK (permits >= 0),
    wanted     integer NOT NULL CHECK (wanted >= 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account, holder)
);
COMMENT ON TABLE sat.request_leases IS 'operational: how many requests each process may have in flight, for a while';

-- One process' whole business with the limits of its account, in one round trip: it renews its lease, says how
-- many requests it has and would like in flight, and takes the moments at which its next ones may start.
--
-- A process may hold more than its fair share while the others do not want theirs, and gives it back at its
-- next call when they do. All leases together never exceed the limit, except by requests that are in flight
-- although their lease had ended.
CREATE FUNCTION sat.take_requests(
    p_account             text,
    p_holder              text,
    p_requests_per_second double precision,  -- NULL: no limit
    p_max_in_flight       integer,
    p_in_use              integer,
    p_wanted              integer,           -- in flight, those in use included
    p_moments             integer,           -- at most so many moments
    p_lease_seconds       double precision
) RETURNS TABLE (permits integer, holders integer, moments integer, delay_seconds double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment   timestamptz;
    first_at timestamptz;
    others   integer;
    fair     integer;
    held     integer;
    claimed  integer;
    mine     integer;
    taken    integer;
BEGIN
    -- What is lost in a crash is asked for again, so nobody needs to wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO sat.request_pace (account, next_at) VALUES (p_account, '-infinity')
    ON CONFLICT (account) DO NOTHING;
    -- Whoever has this row decides for the account.
    SELECT p.next_at INTO first_at FROM sat.request_pace AS p WHERE p.account = p_account FOR UPDATE;
    moment := clock_timestamp();
    first_at := greatest(first_at, moment);

    DELETE FROM sat.request_leases AS l
    WHERE l.account = p_account AND (l.expires_at <= moment OR l.holder = p_holder);
    SELECT count(*) INTO others FROM sat.request_leases AS l WHERE l.account = p_account;
    fair := greatest(1, p_max_in_flight / (others + 1));
    SELECT coalesce(sum(l.permits), 0), coalesce(sum(least(l.wanted, fair)), 0) INTO held, claimed
    FROM sat.request_leases AS l
    WHERE l.account = p_account;
    mine := least(p_wanted, greatest(fair, p_max_in_flight - claimed), p_max_in_flight - held);
    mine := greatest(mine, p_in_use, 0);
    IF p_wanted > 0 THEN
        INSERT INTO sat.request_leases (account, holder, permits, wanted, expires_at)
        VALUES (p_account, p_holder, mine, p_wanted, moment + make_interval(secs => p_lease_seconds));
    END IF;

    taken := p_moments;
    IF p_requests_per_second IS NOT NULL THEN
        taken := greatest(0, least(p_moments, mine - p_in_use));
        UPDATE sat.request_pace AS p
        SET next_at = first_at + make_interval(secs => taken / p_requests_per_second)
        WHERE p.account = p_account AND taken > 0;
    END IF;
    RETURN QUERY SELECT mine, others + 1, taken,
        CASE WHEN p_requests_per_second IS NULL THEN 0.0
             ELSE extract(epoch FROM first_at - clock_timestamp())::double precision END;
END
$$;

-- migrate:down
DROP FUNCTION sat.take_requests(text, text, double precision, integer, integer, integer, integer, double precision);
DROP TABLE sat.request_leases, sat.request_pace;
