-- migrate:up
CREATE TABLE sat.full_verification (
    is_the_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_row),
    progress   text NOT NULL,
    key_id     text NOT NULL,
    signature  text NOT NULL
);
COMMENT ON TABLE sat.full_verification IS 'operational: how far the verification of everything has come, signed';

-- migrate:down
DROP TABLE sat.full_verification;
