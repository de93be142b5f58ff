-- name: choices()
-- What every user wants to be told of.
SELECT user_name, channel, address, kinds, is_digest, changed_at
FROM sat.notification_choices
ORDER BY user_name, channel;

-- name: choices_of(user_name)
-- What one user wants to be told of.
SELECT user_name, channel, address, kinds, is_digest, changed_at
FROM sat.notification_choices
WHERE user_name = :user_name
ORDER BY channel;

-- name: keep_choice(user_name, channel, address, kinds, is_digest, changed_at)!
-- Keep a user's choice for a channel.
INSERT INTO sat.notification_choices (user_name, channel, address, kinds, is_digest, changed_at)
VALUES (:user_name, :channel, :address, :kinds, :is_digest, :changed_at)
ON CONFLICT (user_name, channel) DO UPDATE SET
    address = EXCLUDED.address, kinds = EXCLUDED.kinds, is_digest = EXCLUDED.is_digest,
    changed_at = EXCLUDED.changed_at;

-- name: drop_choice(user_name, channel)!
-- The user wants nothing on this channel any more.
DELETE FROM sat.notification_choices WHERE user_name = :user_name AND channel = :channel;

-- name: alerts_to_tell(user_name, channel, kinds, since, limit)
-- Alerts of some kinds, raised since a moment, that this channel did not take for this user yet; oldest first.
SELECT a.key, a.kind, a.account, a.text, a.occurred_at, a.batch_id, a.subject
FROM sat.alerts AS a
WHERE a.raised_at >= :since AND a.kind = ANY (:kinds)
  AND NOT EXISTS (
      SELECT FROM sat.alert_deliveries AS d
      WHERE d.user_name = :user_name AND d.channel = :channel AND d.alert_id = a.alert_id
  )
ORDER BY a.alert_id
LIMIT :limit;

-- name: record_deliveries(user_name, channel, keys, now)!
-- The channel took these for the user.
INSERT INTO sat.alert_deliveries (alert_id, user_name, channel, told_at)
SELECT alert_id, :user_name, :channel, :now FROM sat.alerts WHERE key = ANY (:keys)
ON CONFLICT DO NOTHING;

-- name: mark_told(keys, now)!
-- A channel took these, so they were told, whatever became of another one.
UPDATE sat.alerts SET told_at = coalesce(told_at, :now) WHERE key = ANY (:keys);

-- name: alerts_page(kinds, account, only_open, before_id, limit)
-- A page of alerts, the newest first, each with the channels of users that took it.
SELECT
    a.alert_id, a.key, a.kind, a.account, a.text, a.occurred_at, a.batch_id, a.subject, a.tries, a.raised_at,
    coalesce(a.told_at, a.notified_at), CASE WHEN a.told_at IS NULL THEN a.trouble END, a.acknowledged_at, a.acknowledged_by,
    ARRAY(SELECT DISTINCT d.channel FROM sat.alert_deliveries AS d WHERE d.alert_id = a.alert_id ORDER BY d.channel)
FROM sat.alerts AS a
WHERE a.alert_id < :before_id
  AND (:kinds::text[] IS NULL OR a.kind = ANY (:kinds))
  AND (:account::text IS NULL OR a.account = :account)
  AND (NOT :only_open OR a.acknowledged_at IS NULL)
ORDER BY a.alert_id DESC
LIMIT :limit;

-- name: acknowledge(keys, user_name, now)
-- A person has seen these; returns the keys of those that nobody had acknowledged.
UPDATE sat.alerts SET acknowledged_at = :now, acknowledged_by = :user_name
WHERE key = ANY (:keys) AND acknowledged_at IS NULL
RETURNING key;
