-- name: look(batch_id, since)
-- How a batch's orders stand, and how many have ended by SAT's word since a moment. Read from the index alone.
SELECT
    state,
    count(*),
    coalesce(sum(quote_rupiah), 0)::bigint,
    coalesce(sum(charged_rupiah), 0)::bigint,
    count(*) FILTER (WHERE state IN ('succeeded', 'failed', 'reversed') AND changed_at >= :since),
    min(changed_at) FILTER (WHERE state IN ('succeeded', 'failed', 'reversed') AND changed_at >= :since)
FROM sat.orders
WHERE batch_id = :batch_id
GROUP BY state;
