-- name: look(batch_id, since)
-- How a batch's orders stand, and what of them SAT has settled since a moment.
SELECT
    state,
    count(*),
    coalesce(sum(quote_rupiah), 0)::bigint,
    coalesce(sum(charged_rupiah), 0)::bigint,
    count(*) FILTER (WHERE settled_at >= :since),
    min(settled_at) FILTER (WHERE settled_at >= :since)
FROM (
    SELECT
        state,
        quote_rupiah,
        charged_rupiah,
        CASE WHEN state IN ('succeeded', 'failed', 'reversed') THEN sat.moment(document ->> 'evidence_at') END
            AS settled_at
    FROM sat.orders
    WHERE batch_id = :batch_id
) AS standing
GROUP BY state;
