"""Fills a database with what a console lists: batches, orders, prices, deposits, alerts, callbacks.

Each kind of order is made once by the fold of its events, and copied by SQL under other ids. Of each order's
events the first and the last are written, so the tables are not what a rebuild would make of this log.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2

from sat_hook.domain import batch_events
from sat_hook.domain import order_events as happened
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_decisions import BATCH_DECIDER
from sat_hook.domain.event_record import Event
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.order import Order
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.store.append_rows import as_json
from sat_hook.store.order_rows import order_row

ACCOUNT = "bench"
NOW = datetime(2026, 11, 30, 5, 0, tzinfo=UTC)
DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is.

    :param orders: of all batches together.
    :param largest: orders of the largest batch, which is one of the newest.
    :param others: orders of every other batch.
    """

    orders: int = 1_000_000
    largest: int = 100_000
    others: int = 1_000
    products: int = 5_000
    alerts: int = 5_000
    callbacks: int = 20_000
    days: int = 30


_QUOTED: tuple[Event, ...] = (
    happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000),
    happened.OrderQuoted(
        price_rupiah=52_000,
        source=happened.QuoteSource.CATALOGUE,
        admin_fee_rupiah=None,
        valid_until=NOW + timedelta(hours=1),
    ),
    happened.OrderAdmitted(price_rupiah=52_000),
)
_SENT: tuple[Event, ...] = (
    *_QUOTED,
    happened.CheckoutRequested(
        attempt=1,
        body='{"data":{"type":"order","id":"' + "S" * 32 + '","attributes":{"product_code":"50k-simpati",'
        '"client_number":"081234567890","amount":null,"downline_id":null}}}',
        price_rupiah=52_000,
        send_before=NOW,
        settled_after=NOW,
    ),
    happened.CheckoutAccepted(
        attempt=1,
        reported_status="Pending",
        sales_price_rupiah=52_000,
        partner_fee_rupiah=100,
        response_digest=DIGEST,
    ),
)
_SIGNED = {
    "evidence_digest": DIGEST,
    "observed_at": NOW,
    "sales_price_rupiah": 52_000,
    "admin_fee_rupiah": 0,
    "partner_fee_rupiah": 100,
}
#: One of each kind, with how many of 1,000 orders are so.
LIVES: Sequence[tuple[int, tuple[Event, ...]]] = (
    (940, (*_SENT, happened.OrderSucceeded(**_SIGNED, fulfilled_at=None))),
    (
        30,
        (*_SENT, happened.OrderFailed(**_SIGNED, error_code="S02", error_detail="Product is not available")),
    ),
    (
        10,
        (happened.OrderRejected(reason=happened.RejectionReason.UNKNOWN_PRODUCT, detail="found no product"),),
    ),
    (2, (*_QUOTED, happened.OrderHeld(reason=happened.HoldReason.LIMIT, detail="more than the day's limit"))),
    (1, (*_SENT, happened.OrderEscalated(reason="SAT has not ended it for 24 hours"))),
    (7, _SENT),
    (10, _QUOTED),
)

_ORDERS = """
INSERT INTO sat.orders
SELECT r.*
FROM (
    SELECT
        n, batch, 'S' || left(translate(upper(md5(n::text)), '0189', 'GHIJ'), 31) AS request_id,
        'B' || left(translate(upper(md5('b' || batch)), '0189', 'GHIJ'), 25) AS batch_id,
        CASE WHEN n <= %(largest)s THEN n ELSE (n - %(largest)s - 1) %% %(others)s + 1 END + 1 AS row_number,
        %(now)s::timestamptz - (batch + 5) * %(spacing)s::interval AS submitted_at
    FROM generate_series(%(orders)s, 1, -1) AS n
    CROSS JOIN LATERAL (
        SELECT CASE WHEN n <= %(largest)s THEN 0 ELSE (n - %(largest)s - 1) / %(others)s + 1 END AS batch
    ) AS b
) AS o
CROSS JOIN LATERAL (
    SELECT made.at AS changed_at, %(now)s::timestamptz - made.at AS age
    FROM (SELECT o.submitted_at + o.row_number / 500 * interval '2 s' + interval '1 min') AS made (at)
) AS m
JOIN (
    SELECT
        sum(r.share) OVER (ORDER BY r.place) - r.share AS first, sum(r.share) OVER (ORDER BY r.place) AS past,
        r.*
    FROM jsonb_to_recordset(%(templates)s::jsonb) AS r (place integer, share integer, row jsonb)
) AS t ON o.n::bigint * 7919 %% 1000 >= t.first AND o.n::bigint * 7919 %% 1000 < t.past
CROSS JOIN LATERAL jsonb_populate_record(NULL::sat.orders, t.row) AS like_it
CROSS JOIN LATERAL jsonb_populate_record(
    like_it,
    jsonb_build_object(
        'request_id', o.request_id, 'order_id', 'INV-' || o.n, 'batch_id', o.batch_id,
        'row_number', o.row_number,
        'product_code', 'P' || o.n %% 300, 'client_number', '0812' || lpad((o.n %% 800000)::text, 8, '0'),
        'quote_rupiah', CASE WHEN like_it.quote_rupiah > 0 THEN 5000 + o.n %% 97 * 1000 END,
        'charged_rupiah', CASE WHEN like_it.charged_rupiah > 0 THEN 5000 + o.n %% 97 * 1000 END,
        'changed_at', m.changed_at,
        'outstanding_until', CASE WHEN like_it.outstanding_until > %(now)s
            THEN like_it.outstanding_until ELSE like_it.outstanding_until - m.age END,
        'refundable_until', CASE WHEN like_it.refundable_until > %(now)s
            THEN like_it.refundable_until ELSE like_it.refundable_until - m.age END,
        'counted_at', like_it.counted_at - m.age
    )
) AS r;

INSERT INTO sat.batches (batch_id, document, submitted_by, submitted_at)
SELECT
    batch_id,
    %(batch)s::jsonb || jsonb_build_object(
        'batch_id', batch_id, 'orders', orders, 'last_row_read', orders + 1,
        'reference', 'reference ' || batch, 'file_name', 'orders-' || batch || '.csv',
        'state', CASE WHEN batch %% 40 = 0 THEN 'quoted' ELSE 'completed' END,
        'reserved_up_to_row', orders + 1
    ),
    'user:maker' || batch %% 9,
    %(now)s::timestamptz - (batch + 5) * %(spacing)s::interval
FROM (
    SELECT batch, 'B' || left(translate(upper(md5('b' || batch)), '0189', 'GHIJ'), 25) AS batch_id,
        CASE batch WHEN 0 THEN %(largest)s ELSE %(others)s END AS orders
    FROM generate_series(0, (%(orders)s - %(largest)s) / %(others)s) AS batch
) AS made;

INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
SELECT
    'order/' || o.request_id, e.version, e.type, 1, e.data, 'service:bench', 'bench', o.changed_at, %(digest)s
FROM sat.orders AS o
CROSS JOIN LATERAL (
    VALUES
        (1, 'OrderReceived', to_jsonb(o)::text),
        (o.version, 'OrderSucceeded', '{"sales_price_rupiah":52000}')
) AS e (version, type, data);
INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
SELECT
    'batch/' || batch_id, 1, 'BatchSubmitted', 1, document::text, submitted_by, 'bench', submitted_at,
    %(digest)s
FROM sat.batches;
INSERT INTO sat.stream_heads (stream, version) SELECT stream, max(version) FROM sat.events GROUP BY stream;
"""

_PLAIN_INDEXES = """
SELECT i.indexrelid::regclass::text, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
FROM pg_index AS i
WHERE i.indrelid IN ('sat.orders'::regclass, 'sat.events'::regclass)
  AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
"""

_REST = """
INSERT INTO sat.accounts (account_id, document)
VALUES (
    %(account_id)s, jsonb_build_object('account_id', %(account_id)s, 'account', %(account)s, 'version', 0)
);
INSERT INTO sat.price_snapshots (
    account, outcome, asked_at, ended_at, listed, changes, state_digest, missing_limit_percent, actor, cause
)
VALUES (
    %(account)s, 'complete', %(now)s, %(now)s, %(products)s, %(products)s, %(digest)s, 30, 'service:bench',
    'bench'
);
INSERT INTO sat.products (account, product_code, first_seen_at)
SELECT %(account)s, 'P' || n, %(now)s::timestamptz - interval '90 days'
FROM generate_series(0, %(products)s - 1) AS n;
INSERT INTO sat.product_prices (
    product_id, valid, snapshot_id, name, price_rupiah, is_inquiry, status, operator_name, category_name
)
SELECT
    product_id,
    tstzrange(%(now)s::timestamptz - (10 - k) * interval '9 days',
        CASE WHEN k < 9 THEN %(now)s::timestamptz - (9 - k) * interval '9 days' END),
    1, 'Pulsa ' || product_code, 5000 + product_id + k * 100, false, 1,
    'Operator ' || product_id %% 20, 'Pulsa'
FROM sat.products, generate_series(0, 9) AS k;
INSERT INTO sat.balance_observations (account, saldo_rupiah, requested_at, received_at, is_compared)
SELECT %(account)s, 1000000000 + n * 1000, at, at, true
FROM generate_series(1, %(days)s * 96) AS n
CROSS JOIN LATERAL (SELECT %(now)s::timestamptz - n * interval '15 min' AS at) AS moment;
INSERT INTO sat.alerts (key, kind, account, subject, text, occurred_at, notified_at)
SELECT 'event/' || n, 'price_jump', %(account)s, 'P' || n, 'a price moved', %(now)s,
    CASE WHEN n %% 10 > 0 THEN %(now)s::timestamptz END
FROM generate_series(1, %(alerts)s) AS n;
INSERT INTO sat.callback_inbox (account, request_id, digest, body, signature, key_fingerprint, content_type,
    remote_address)
SELECT
    account, request_id, encode(sha256(convert_to(request_id, 'UTF8')), 'hex'), '', 's', 'f',
    'application/json', '::1'
FROM (
    SELECT account, request_id FROM sat.orders WHERE state = 'succeeded' LIMIT %(callbacks)s
) AS called_back;
INSERT INTO sat.status_evidence (digest, request_id, body, signature, key_fingerprint, observed_at)
SELECT encode(sha256(convert_to(request_id, 'UTF8')), 'hex'), request_id, '', 's', 'f', %(now)s
FROM sat.callback_inbox;
"""


def batch_of_number(number: int) -> str:
    """The SQL expression's batch id, for asking about a batch: 0 is the largest."""
    import hashlib

    digest = hashlib.md5(f"b{number}".encode(), usedforsecurity=False).hexdigest().upper()
    return "B" + digest.translate(str.maketrans("0189", "GHIJ"))[:25]


def fill(owner_dsn: str, sizes: Sizes) -> None:
    """Fill an empty database with the schema, as its owner, and analyse it."""
    received = happened.OrderReceived(
        account=ACCOUNT,
        order_id="INV-0",
        batch_id="B",
        row_number=1,
        product_code="P0",
        client_number="081200000000",
        amount_rupiah=None,
        max_rupiah=None,
        downline_id=None,
        fields=(),
        payload_digest=DIGEST,
    )
    templates = []
    for place, (share, life) in enumerate(LIVES):
        order = ORDER_DECIDER.fold("S", [(event, NOW) for event in (received, *life)])
        assert isinstance(order, Order)
        templates.append({"row": order_row(order, NOW), "place": place, "share": share})
    submitted = batch_events.BatchSubmitted(
        account=ACCOUNT,
        reference="",
        source=batch_events.BatchSource.FILE,
        file_name="",
        spool_uri="file:///spool/orders.csv",
        digest=DIGEST,
        size_bytes=1,
    )
    batch = BATCH_DECIDER.fold("B", [(submitted, NOW)])
    assert isinstance(batch, Batch)
    batches = 1 + (sizes.orders - sizes.largest) // sizes.others
    values = {
        "orders": sizes.orders,
        "largest": sizes.largest,
        "others": sizes.others,
        "products": sizes.products,
        "alerts": sizes.alerts,
        "callbacks": sizes.callbacks,
        "days": sizes.days,
        "now": NOW,
        "spacing": timedelta(days=90) / batches,
        "templates": as_json(templates),
        "batch": batch.model_dump_json(),
        "digest": DIGEST,
        "account": ACCOUNT,
        "account_id": account_id_of(ACCOUNT),
    }
    with closing(psycopg2.connect(owner_dsn)) as connection, connection.cursor() as cursor:
        # Indexes are made faster for all rows at once.
        cursor.execute(_PLAIN_INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute(_ORDERS, values)
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute(_REST, values)
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
