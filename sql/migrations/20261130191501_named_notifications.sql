-- migrate:up

-- Notifications name what was called back, so that only its waits look: a batch and its orders' request ids,
-- separated by blanks. An order that is not known here has the batch '-'. A payload has less than 8,000 bytes.
CREATE FUNCTION sat.callback_payloads(p_account text, p_request_ids text[]) RETURNS SETOF text LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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

-- Polls of an account, and of some of its batches, are claimed in the order in which they are due.
CREATE INDEX poll_schedule_of_account ON sat.poll_schedule (account, due_at);
-- Which batches still have orders in flight is read from the index, whatever has ended.
DROP INDEX sat.orders_in_flight;
CREATE INDEX orders_in_flight ON sat.orders (account, state, batch_id)
    WHERE state IN ('submitting', 'pending', 'unknown', 'escalated');

-- migrate:down
DROP INDEX sat.orders_in_flight;
CREATE INDEX orders_in_flight ON sat.orders (account, state)
    WHERE state IN ('submitting', 'pending', 'unknown', 'escalated');
DROP INDEX sat.poll_schedule_of_account;
DROP FUNCTION sat.callback_payloads(text, text[]);
