-- migrate:up

-- What an order counts for in limits, sums for approval, and funds; sat_hook/domain/amounts.py says the same.
-- A charge that is no amount (0 to 1,000,000,000,000) is unknown money: the quote counts.
CREATE FUNCTION sat.committed_rupiah(quote_rupiah bigint, charged_rupiah bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT greatest(quote_rupiah, CASE WHEN charged_rupiah BETWEEN 0 AND 1000000000000 THEN charged_rupiah END, 0)
$$;

-- An amount with the version of its event above it, so that the largest of an order's is its latest. Amounts
-- take 40 bits. One that is no amount has all 40 set and runs into nothing.
CREATE FUNCTION sat.packed_amount(version bigint, rupiah bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT version << 40 | CASE
        WHEN rupiah BETWEEN 0 AND 1000000000000 THEN rupiah
        WHEN rupiah IS NOT NULL THEN 1099511627775
    END
$$;

-- An amount as SAT wrote it, a number or the same as text; NULL when it is none. As sat_hook/protocol/values.py.
CREATE FUNCTION sat.named_amount(named jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN number BETWEEN 0 AND 1000000000000 AND number = trunc(number) THEN number::bigint END
    FROM (
        SELECT CASE jsonb_typeof(named)
            WHEN 'number' THEN named::numeric
            WHEN 'string' THEN CASE WHEN named #>> '{}' ~ '^(0|[1-9][0-9]{0,12})([.]0{1,2})?$'
                THEN (named #>> '{}')::numeric END
        END
    ) AS read (number)
$$;

-- Whether SAT named an amount that is none. One that it left out (null, "") is none of these.
CREATE FUNCTION sat.is_no_amount(named jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(named NOT IN ('null', '""'), false) AND sat.named_amount(named) IS NULL
$$;

-- migrate:down
DROP FUNCTION sat.is_no_amount(jsonb);
DROP FUNCTION sat.named_amount(jsonb);
DROP FUNCTION sat.packed_amount(bigint, bigint);
DROP FUNCTION sat.committed_rupiah(bigint, bigint);
