-- name: batches(account, submitted_by, text, since, before, states, withdrawn, rejected, after_at, after_id, limit)
-- A page of batches, the last submitted first.
SELECT batch_id, document, submitted_by, submitted_at
FROM sat.batches
WHERE (:account::text IS NULL OR account = :account)
  AND (:submitted_by::text IS NULL OR submitted_by = :submitted_by)
  AND (
      :text::text IS NULL
      OR strpos(lower(document ->> 'file_name'), lower(:text)) > 0
      OR strpos(lower(document ->> 'reference'), lower(:text)) > 0
  )
  AND (:since::timestamptz IS NULL OR submitted_at >= :since)
  AND (:before::timestamptz IS NULL OR submitted_at < :before)
  AND (:states::text[] IS NULL OR state = ANY (:states))
  AND (:withdrawn::boolean IS NULL OR ((document ->> 'withdrawn') IS NOT NULL) = :withdrawn)
  AND (:rejected::boolean IS NULL OR ((document ->> 'rejecter') IS NOT NULL) = :rejected)
  AND (:after_at::timestamptz IS NULL OR (submitted_at, batch_id) < (:after_at, :after_id))
ORDER BY submitted_at DESC, batch_id DESC
LIMIT :limit;

-- name: batches_of(batch_ids)
-- These batches.
SELECT batch_id, document, submitted_by, submitted_at FROM sat.batches WHERE batch_id = ANY (:batch_ids);

-- name: batches_paying_again(batch_id)
-- The batches that pay failed orders of a batch again, the first submitted first.
SELECT batch_id, document, submitted_by, submitted_at
FROM sat.batches
WHERE (document ->> 'pays_again') IS NOT NULL AND document ->> 'pays_again' = :batch_id
ORDER BY submitted_at, batch_id;

-- name: open_batches()
-- Batches that have not ended.
SELECT batch_id, document, submitted_by, submitted_at
FROM sat.batches
WHERE state NOT IN ('refused', 'completed');

-- name: order_counts(batch_ids, since)
-- How the orders of some batches stand, what of their quotes has no reservation, and how many came to their state
-- since a moment. Read from the index alone.
SELECT b.batch_id, o.state, o.orders, o.quoted, o.charged, o.unreserved, o.recent, o.first_recent_at
FROM sat.batches AS b
CROSS JOIN LATERAL (
    SELECT
        state,
        count(*) AS orders,
        coalesce(sum(quote_rupiah), 0)::bigint AS quoted,
        coalesce(sum(charged_rupiah), 0)::bigint AS charged,
        coalesce(sum(quote_rupiah) FILTER (
            WHERE state = 'quoted' AND NOT (is_reservable AND row_number <= b.reserved_up_to_row)
        ), 0)::bigint AS unreserved,
        count(*) FILTER (WHERE changed_at >= :since::timestamptz) AS recent,
        min(changed_at) FILTER (WHERE changed_at >= :since::timestamptz) AS first_recent_at
    FROM sat.orders
    WHERE batch_id = b.batch_id
    GROUP BY state
) AS o
WHERE b.batch_id = ANY (:batch_ids);

-- name: refused_rows(streams)
-- How many rows of these batches became no order and no other batch's either. The text is counted, not parsed: a
-- large file may have had all of its rows refused.
SELECT
    split_part(stream, '/', 2),
    sum((length(data) - length(replace(data, '"verdict":"refused"', ''))) / length('"verdict":"refused"'))
FROM sat.events
WHERE stream = ANY (:streams) AND type = 'RowsTakenIn'
GROUP BY stream;

-- name: batch_events(stream)
-- The events of a batch but for the rows that it took in.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE stream = :stream AND type <> 'RowsTakenIn'
ORDER BY version;
