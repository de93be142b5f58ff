-- migrate:up
CREATE TABLE sat.webhook_messages (
    message_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook        text NOT NULL,
    message_id     text NOT NULL,
    topic          text NOT NULL,
    account        text NOT NULL,
    position       bigint NOT NULL,
    body           text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    state          text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
    tries          integer NOT NULL DEFAULT 0,
    first_tried_at timestamptz,
    next_try_at    timestamptz NOT NULL DEFAULT now(),
    settled_at     timestamptz CHECK ((settled_at IS NULL) = (state = 'waiting')),
    trouble        text,
    UNIQUE (webhook, message_id)
);
COMMENT ON TABLE sat.webhook_messages IS 'operational: what webhooks are to be told, and were told';
CREATE INDEX webhook_messages_due ON sat.webhook_messages (webhook, next_try_at) WHERE state = 'waiting';
CREATE INDEX webhook_messages_by_state ON sat.webhook_messages (state, message_number);
CREATE INDEX webhook_messages_settled ON sat.webhook_messages (settled_at) WHERE settled_at IS NOT NULL;

-- migrate:down
DROP TABLE sat.webhook_messages;
