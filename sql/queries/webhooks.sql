-- name: events_for_webhooks(after_position, up_to_position, types, limit)
-- Events of some types, by position.
SELECT position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest
FROM sat.events
WHERE position > :after_position AND position <= :up_to_position AND type = ANY (:types::text[])
ORDER BY position
LIMIT :limit;

-- name: events_up_to(streams, versions)
-- The events of streams, each up to a version, with that version: what was known right after it.
SELECT
    u.version,
    e.position, e.stream, e.version, e.type, e.schema_version, e.data, e.actor, e.cause, e.occurred_at,
    e.recorded_at, e.digest
FROM unnest(:streams::text[], :versions::integer[]) AS u (stream, version)
JOIN sat.events AS e ON e.stream = u.stream AND e.version <= u.version
ORDER BY u.stream, u.version, e.version;

-- name: add_webhook_messages(webhooks, message_ids, topics, accounts, positions, bodies)
-- What is not known yet; returns the number of each new one.
INSERT INTO sat.webhook_messages (webhook, message_id, topic, account, position, body)
SELECT *
FROM unnest(
    :webhooks::text[], :message_ids::text[], :topics::text[], :accounts::text[], :positions::bigint[],
    :bodies::text[]
)
ON CONFLICT (webhook, message_id) DO NOTHING
RETURNING message_number;

-- name: claim_webhook_messages(webhook, now, lease_until, limit)
-- Lease messages that are due.
WITH claimed AS (
    UPDATE sat.webhook_messages
    SET next_try_at = :lease_until, tries = tries + 1, first_tried_at = coalesce(first_tried_at, :now)
    WHERE message_number IN (
        SELECT message_number
        FROM sat.webhook_messages
        WHERE webhook = :webhook AND state = 'waiting' AND next_try_at <= :now
        ORDER BY next_try_at, message_number
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    RETURNING message_number, message_id, body, tries, first_tried_at
)
SELECT * FROM claimed ORDER BY message_number;

-- name: settle_webhook_messages(numbers, states, next_tries, troubles, now)!
-- What became of attempts. A message that was settled meanwhile stays as it is.
UPDATE sat.webhook_messages AS m
SET
    state = s.state,
    next_try_at = s.next_try_at,
    trouble = s.trouble,
    settled_at = CASE WHEN s.state <> 'waiting' THEN :now::timestamptz END
FROM unnest(:numbers::bigint[], :states::text[], :next_tries::timestamptz[], :troubles::text[])
    AS s (message_number, state, next_try_at, trouble)
WHERE m.message_number = s.message_number AND m.state = 'waiting';

-- name: webhook_messages_page(state, webhook, before_number, limit)
-- A page of messages, the newest first.
SELECT
    topic, state, message_number, webhook, message_id, account, position, body, created_at, tries,
    CASE WHEN state = 'waiting' THEN next_try_at END, settled_at, trouble
FROM sat.webhook_messages
WHERE state = :state AND message_number < :before_number AND (:webhook::text IS NULL OR webhook = :webhook)
ORDER BY message_number DESC
LIMIT :limit;

-- name: unsettled_webhook_messages()
-- How many messages of each webhook wait or are dead, and since when the oldest of them.
SELECT webhook, state, count(*), min(created_at)
FROM sat.webhook_messages
WHERE state IN ('waiting', 'dead')
GROUP BY webhook, state;

-- name: settled_webhook_messages(webhook, message_ids)
-- Those of a webhook's messages that were delivered or are dead.
SELECT message_id FROM sat.webhook_messages
WHERE webhook = :webhook AND message_id = ANY (:message_ids) AND state <> 'waiting'
ORDER BY message_number;

-- name: resend_webhook_messages(webhook, message_ids, now)!
-- Send settled messages once more, for as long as new ones.
UPDATE sat.webhook_messages
SET
    state = 'waiting', settled_at = NULL, tries = 0, first_tried_at = NULL, next_try_at = :now, trouble = NULL
WHERE webhook = :webhook AND message_id = ANY (:message_ids) AND state <> 'waiting';

-- name: drop_webhook_messages(webhook)!
-- Forget the messages of a webhook that was removed.
DELETE FROM sat.webhook_messages WHERE webhook = :webhook;

-- name: purge_webhook_messages(delivered_before, dead_before, limit)!
-- Forget messages that were settled long ago.
DELETE FROM sat.webhook_messages
WHERE message_number IN (
    SELECT message_number
    FROM sat.webhook_messages
    WHERE settled_at < :delivered_before AND (state = 'delivered' OR settled_at < :dead_before)
    ORDER BY settled_at
    LIMIT :limit
);
