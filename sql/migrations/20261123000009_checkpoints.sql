-- migrate:up

-- Which kinds of streams there are is the release's to know; the database keeps their shape.
ALTER TABLE sat.events DROP CONSTRAINT events_stream_check;
ALTER TABLE sat.events ADD CONSTRAINT events_stream_check CHECK (stream ~ '^[a-z]+/[A-Z2-7]{26,32}$');

-- Evidence. Each row signs a closed range of positions and the row before it. The text is what was signed; the
-- columns are read from it, so they cannot say anything else.
CREATE TABLE sat.checkpoints (
    number         bigint PRIMARY KEY
        GENERATED ALWAYS AS ((document::jsonb ->> 'number')::bigint) STORED CHECK (number > 0),
    first_position bigint NOT NULL UNIQUE
        GENERATED ALWAYS AS ((document::jsonb ->> 'first_position')::bigint) STORED,
    last_position  bigint NOT NULL UNIQUE
        GENERATED ALWAYS AS ((document::jsonb ->> 'last_position')::bigint) STORED,
    document       text NOT NULL,
    digest         text NOT NULL UNIQUE
        CHECK (digest = encode(sha256(convert_to(document, 'UTF8')), 'hex')),
    key_id         text NOT NULL CHECK (key_id ~ '^[0-9a-f]{16}$'),
    signature      text NOT NULL CHECK (signature <> ''),
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT checkpoints_range_is_not_empty CHECK (first_position <= last_position)
);
COMMENT ON TABLE sat.checkpoints IS 'evidence: signed and chained checkpoints over closed ranges of the log';
CREATE TRIGGER checkpoints_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();

-- migrate:down
DROP TABLE sat.checkpoints;
ALTER TABLE sat.events DROP CONSTRAINT events_stream_check;
ALTER TABLE sat.events ADD CONSTRAINT events_stream_check
    CHECK (stream ~ '^(order|batch|account)/[A-Z2-7]{26,32}$');
