-- migrate:up

-- A payload is limited in bytes, and ids of other clients' orders may have letters of four bytes: a payload takes ids
-- up to 7,000 bytes, and the one that crosses that.
CREATE OR REPLACE FUNCTION sat.callback_payloads(p_account text, p_request_ids text[]) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT named.batch_id || ' ' || string_agg(named.request_id, ' ')
    FROM (
        SELECT
            coalesce(o.batch_id, '-') AS batch_id,
            asked.request_id,
            sum(octet_length(asked.request_id) + 1) OVER (
                PARTITION BY o.batch_id ORDER BY asked.request_id ROWS UNBOUNDED PRECEDING
            ) / 7000 AS part
        FROM (SELECT DISTINCT left(u.id, 64) AS request_id FROM unnest(p_request_ids) AS u (id)) AS asked
        LEFT JOIN sat.orders AS o ON o.request_id = asked.request_id AND o.account = p_account
    ) AS named
    GROUP BY named.batch_id, named.part
$$;

-- migrate:down
CREATE OR REPLACE FUNCTION sat.callback_payloads(p_account text, p_request_ids text[]) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT named.batch_id || ' ' || string_agg(named.request_id, ' ')
    FROM (
        SELECT
            coalesce(o.batch_id, '-') AS batch_id,
            asked.request_id,
            (row_number() OVER (PARTITION BY o.batch_id) - 1) / 100 AS part
        FROM (SELECT DISTINCT left(u.id, 64) AS request_id FROM unnest(p_request_ids) AS u (id)) AS asked
        LEFT JOIN sat.orders AS o ON o.request_id = asked.request_id AND o.account = p_account
    ) AS named
    GROUP BY named.batch_id, named.part
$$;
