-- migrate:up

-- Evidence. The number under which the history of one account's product is kept; prices are negotiated, so two
-- accounts never share a product.
CREATE TABLE sat.products (
    product_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       text NOT NULL CHECK (account <> ''),
    product_code  text NOT NULL CHECK (product_code <> ''),
    first_seen_at timestamptz NOT NULL,
    CONSTRAINT products_account_code_unique UNIQUE (account, product_code)
);
COMMENT ON TABLE sat.products IS 'evidence: the products that an account was ever offered';

-- Evidence. Every attempt to read a price list, also one that failed or is not believed. Only a complete one
-- changes anything; from asked_at on it is what SAT offered. state_digest is over all products that are listed
-- after it, so a history that was changed afterwards does not fit any more.
CREATE TABLE sat.price_snapshots (
    snapshot_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account               text NOT NULL CHECK (account <> ''),
    outcome               text NOT NULL CHECK (outcome IN ('complete', 'suspect', 'overtaken', 'failed')),
    reason                text CHECK (char_length(reason) <= 300),
    asked_at              timestamptz NOT NULL,
    ended_at              timestamptz NOT NULL CHECK (ended_at >= asked_at),
    response_digest       text CHECK (response_digest ~ '^[0-9a-f]{64}$'),
    listed                integer CHECK (listed >= 0),
    missing               integer CHECK (missing >= 0),
    unconfirmed           integer CHECK (unconfirmed >= 0),
    contradictory         integer CHECK (contradictory >= 0),
    changes               integer CHECK (changes >= 0),
    state_digest          text CHECK (state_digest ~ '^[0-9a-f]{64}$'),
    missing_limit_percent integer NOT NULL CHECK (missing_limit_percent BETWEEN 0 AND 100),
    actor                 text NOT NULL CHECK (actor <> ''),
    cause                 text NOT NULL CHECK (cause <> ''),
    recorded_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT price_snapshots_complete_is_whole CHECK (
        (outcome = 'complete') = (state_digest IS NOT NULL AND changes IS NOT NULL)
    ),
    CONSTRAINT price_snapshots_trouble_has_reason CHECK ((outcome = 'complete') = (reason IS NULL))
);
CREATE INDEX price_snapshots_asked ON sat.price_snapshots (account, asked_at, snapshot_id);
COMMENT ON TABLE sat.price_snapshots IS 'evidence: every attempt to read a price list, and what came of it';

-- Evidence. What a complete snapshot found otherwise than the one before: the product as it is listed from then
-- on, or nothing of it when it was gone. What did not change is not written again.
CREATE TABLE sat.price_changes (
    snapshot_id   bigint NOT NULL,
    product_id    integer NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('appeared', 'returned', 'changed', 'disappeared')),
    name          text,
    price_rupiah  bigint,
    is_inquiry    boolean,
    status        bigint,
    operator_name text,
    category_name text,
    PRIMARY KEY (snapshot_id, product_id),
    CONSTRAINT price_changes_gone_or_whole CHECK (
        CASE WHEN kind = 'disappeared'
            THEN num_nonnulls(name, price_rupiah, is_inquiry, status, operator_name, category_name) = 0
            ELSE num_nulls(name, is_inquiry, status, operator_name, category_name) = 0
        END
    )
);
CREATE INDEX price_changes_product ON sat.price_changes (product_id, snapshot_id);
COMMENT ON TABLE sat.price_changes IS 'evidence: what changed in a price list';

CREATE TRIGGER products_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.products
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();
CREATE TRIGGER price_snapshots_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.price_snapshots
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();
CREATE TRIGGER price_changes_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.price_changes
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();

-- Derived from the three above: since when and until when a product was listed as what. A product that is not
-- listed has no row for that time. The exclusion works on ranges alone, because "=" on integers in GiST would
-- need the extension btree_gist, which not every server has.
CREATE TABLE sat.product_prices (
    product_id    integer NOT NULL,
    valid         tstzrange NOT NULL CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
    snapshot_id   bigint NOT NULL,
    name          text NOT NULL,
    price_rupiah  bigint,
    is_inquiry    boolean NOT NULL,
    status        bigint NOT NULL,
    operator_name text NOT NULL,
    category_name text NOT NULL,
    CONSTRAINT product_prices_never_overlap
        EXCLUDE USING gist (int4range(product_id, product_id, '[]') WITH &&, valid WITH &&)
        WITH (fillfactor = 50)
);
CREATE UNIQUE INDEX product_prices_one_open ON sat.product_prices (product_id) WHERE upper_inf(valid);
CREATE INDEX product_prices_latest ON sat.product_prices (product_id, lower(valid));
COMMENT ON TABLE sat.product_prices IS 'derived: since when and until when a product was listed as what';

-- The intervals as the evidence tells them; what the derived table must be.
CREATE VIEW sat.product_prices_by_evidence AS
SELECT product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
FROM (
    SELECT
        c.*,
        tstzrange(s.asked_at, lead(s.asked_at) OVER (PARTITION BY c.product_id ORDER BY s.asked_at)) AS valid
    FROM sat.price_changes AS c
    JOIN sat.price_snapshots AS s USING (snapshot_id)
) AS lives
WHERE kind <> 'disappeared';

-- Operational: which changes were announced to whoever waits for the asset, and by which run.
CREATE TABLE sat.price_announcements (
    snapshot_id  bigint PRIMARY KEY,
    announced_by text NOT NULL CHECK (announced_by <> ''),
    announced_at timestamptz NOT NULL
);
COMMENT ON TABLE sat.price_announcements IS 'operational: which changes of prices were announced';

-- The class of the advisory locks under which price lists are recorded, one for each account.
CREATE FUNCTION sat.price_lock_class() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 72483014 $$;

-- migrate:down
DROP FUNCTION sat.price_lock_class();
DROP VIEW sat.product_prices_by_evidence;
DROP TABLE sat.price_announcements, sat.product_prices, sat.price_changes, sat.price_snapshots, sat.products;
