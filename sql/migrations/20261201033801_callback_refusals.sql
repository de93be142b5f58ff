-- migrate:up

-- Operational: how many callbacks the receiver refused, by account, reason and hour. Nothing of a request is kept but the
-- account, and that only when it is known; requests to unknown accounts share the empty name. The receiver adds through
-- the function alone, which bounds the rows of an hour and forgets old hours, so a flood cannot fill the table.
CREATE TABLE sat.callback_refusals (
    account text NOT NULL CHECK (length(account) <= 200),
    reason  text NOT NULL CHECK (reason ~ '^[a-z_]{1,40}$'),
    hour    timestamptz NOT NULL,
    refused bigint NOT NULL CHECK (refused > 0),
    last_at timestamptz NOT NULL,
    PRIMARY KEY (account, hour, reason)
);
COMMENT ON TABLE sat.callback_refusals IS 'operational: how many callbacks were refused, by account, reason and hour; deleted after 30 days';
CREATE INDEX callback_refusals_hour ON sat.callback_refusals (hour);

CREATE FUNCTION sat.count_refused_callbacks(p_accounts text[], p_reasons text[], p_counts bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this_hour timestamptz := date_trunc('hour', clock_timestamp());
    has_room boolean;
BEGIN
    IF cardinality(p_accounts) > 1000 THEN
        RAISE EXCEPTION 'found % counts of refused callbacks; expected at most 1000', cardinality(p_accounts)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM sat.callback_refusals WHERE hour < this_hour - interval '30 days';
    SELECT count(*) < 2000 INTO has_room FROM sat.callback_refusals WHERE hour = this_hour;
    INSERT INTO sat.callback_refusals AS r (account, reason, hour, refused, last_at)
    SELECT c.account, c.reason, this_hour, sum(c.refused), clock_timestamp()
    FROM unnest(p_accounts, p_reasons, p_counts) AS c (account, reason, refused)
    WHERE has_room OR EXISTS (
        SELECT FROM sat.callback_refusals AS k
        WHERE k.account = c.account AND k.hour = this_hour AND k.reason = c.reason
    )
    GROUP BY c.account, c.reason
    -- Sorted, so that two receivers cannot deadlock.
    ORDER BY c.account, c.reason
    ON CONFLICT (account, hour, reason)
    DO UPDATE SET refused = r.refused + EXCLUDED.refused, last_at = EXCLUDED.last_at;
END
$$;

-- migrate:down

DROP FUNCTION sat.count_refused_callbacks(text[], text[], bigint[]);
DROP TABLE sat.callback_refusals;
