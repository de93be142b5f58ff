"""A busy business day, written straight into the database: the result of a day of the pipeline, but faster.

Writes the events and the rows of their movements; `sat projections rebuild --check` confirms the movements.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg2

from sat_hook.domain.business_day import BusinessDay
from stack.databases import ApplicationDatabase

ACCOUNT = "bench"
SALDO_RUPIAH = 100_000_000_000

# One order per number: 95 % succeed, 4 % fail and are refunded, 1 % are in flight at the cut-off. Seven
# events each, ordered by time, with the signed status that the last one names. Request ids are spread over
# all partitions of a close, as real ones are.
_ORDERS = """
CREATE TEMPORARY TABLE lives AS
SELECT
    n,
    'S' || left(translate(md5(n::text), '0123456789abcdef', 'ACEGIKMOQSUWY246'), 31) AS id,
    %(opens)s::timestamptz + n * %(spacing)s::interval AS began,
    CASE WHEN n %% 100 < 95 THEN 'Success' WHEN n %% 100 < 99 THEN 'Failed' ELSE 'Pending' END AS fate,
    (ARRAY[10500, 24913, 52000, 102500])[n %% 4 + 1] AS price,
    (ARRAY['10k-three', '25k-xl', '50k-simpati', 'pln-prepaid-token-100k'])[n %% 4 + 1] AS product
FROM generate_series(1, %(orders)s) AS n;

CREATE TEMPORARY TABLE proofs AS
SELECT
    *,
    format('{"data":{"type":"order","id":"%%s","attributes":{"status":"%%s","error_code":"%%s",'
        '"product_code":"%%s","client_number":"08121%%s","sales_price":%%s,"admin_fee":0,"partner_fee":100,'
        '"fulfilled_at":"2026-11-22T03:00:00Z","client_name":"TOKOPXXXX UXX","voucher_code":"%%s",'
        '"serial_number":"%%s","fulfillment_result":[{"name":"Harga","value":"Rp %%s"}]}}}',
        id, fate, CASE fate WHEN 'Failed' THEN 'S02' ELSE '' END, product, lpad(n::text, 8, '0'), price,
        md5(id), md5(product || n), price) AS body
FROM lives;

INSERT INTO sat.status_evidence (digest, request_id, body, signature, key_fingerprint, observed_at)
SELECT encode(sha256(convert_to(body, 'UTF8')), 'hex'), id, body, repeat('s', 344), 'f',
    began + interval '9 s'
FROM proofs;

INSERT INTO sat.events (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
SELECT
    'order/' || id, version, type, 1, data, 'service:bench', 'bench', began + version * interval '1 s',
    encode(sha256(convert_to(id || version, 'UTF8')), 'hex')
FROM proofs
CROSS JOIN LATERAL (
    VALUES
    (1, 'OrderReceived', format('{"account":"%%s","order_id":"order-%%s","batch_id":"B%%s","row_number":%%s,'
        '"product_code":"%%s","client_number":"08121%%s","amount_rupiah":null,"max_rupiah":null,'
        '"downline_id":null,"fields":[],"payload_digest":"%%s"}', %(account)s, n, repeat('A', 25), n %% 50000,
        product, lpad(n::text, 8, '0'), repeat('0', 64))),
    (2, 'OrderValidated', format('{"is_inquiry":false,"list_price_rupiah":%%s}', price)),
    (3, 'OrderQuoted', format('{"price_rupiah":%%s,"source":"catalogue","admin_fee_rupiah":null,'
        '"valid_until":"2026-11-22T03:00:00Z"}', price)),
    (4, 'OrderAdmitted', format('{"price_rupiah":%%s}', price)),
    (5, 'CheckoutRequested', format('{"attempt":1,"body":"{\\"data\\":{\\"type\\":\\"order\\",\\"id\\":'
        '\\"%%s\\",\\"attributes\\":{\\"product_code\\":\\"%%s\\"}}}","price_rupiah":%%s,'
        '"send_before":"2026-11-22T03:00:00Z","settled_after":"2026-11-22T03:00:00Z"}', id, product, price)),
    (6, 'CheckoutAccepted', format('{"attempt":1,"reported_status":"Pending","sales_price_rupiah":%%s,'
        '"partner_fee_rupiah":100,"response_digest":"%%s"}', price, repeat('d', 64))),
    (7, CASE fate WHEN 'Success' THEN 'OrderSucceeded' WHEN 'Failed' THEN 'OrderFailed'
            ELSE 'OrderPending' END,
        format('{"evidence_digest":"%%s","observed_at":"2026-11-22T03:00:00Z","sales_price_rupiah":%%s,'
        '"admin_fee_rupiah":0,"partner_fee_rupiah":100,%%s}',
        encode(sha256(convert_to(body, 'UTF8')), 'hex'), price,
        CASE fate WHEN 'Success' THEN '"fulfilled_at":null'
            WHEN 'Failed' THEN '"error_code":"S02","error_detail":"Product is not available"'
            ELSE '"reported_status":"Pending"' END))
) AS life (version, type, data)
ORDER BY began + version * interval '1 s', n;

INSERT INTO sat.order_movements (
    position, request_id, occurred_at, mark, state, sent_at, quote_rupiah, charged_rupiah, admin_fee_rupiah,
    partner_fee_rupiah, succeeded_rupiah, end_proof, is_debited, is_doubted, is_mismatched, contradicts,
    is_remark
)
SELECT
    e.position, p.id, e.occurred_at, ('x' || left(e.digest, 15))::bit(60)::bigint, step.state,
    p.began + interval '5 s', p.price, step.charged, 0, step.partner_fee,
    CASE step.state WHEN 'succeeded' THEN p.price ELSE 0 END, step.proof, e.version > 5, false, false, false,
    false
FROM proofs AS p
JOIN sat.events AS e ON e.stream = 'order/' || p.id
JOIN LATERAL (
    VALUES
    (5, 'submitting', NULL::bigint, 0, 'none'),
    (6, 'pending', p.price, 100, 'none'),
    (7, CASE p.fate WHEN 'Success' THEN 'succeeded' WHEN 'Failed' THEN 'failed' ELSE 'pending' END, p.price,
        100, CASE p.fate WHEN 'Pending' THEN 'none' ELSE 'signed' END)
) AS step (version, state, charged, partner_fee, proof) USING (version)
ORDER BY e.position;

DROP TABLE lives, proofs;
"""


def write_orders(database: ApplicationDatabase, day: BusinessDay, orders: int) -> None:
    """Write this many orders' events and signed statuses, spread over the day."""
    spacing: timedelta = (day.closes_at - day.opens_at - timedelta(minutes=2)) / orders
    opens: datetime = day.opens_at
    connection = psycopg2.connect(database.owner_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(_ORDERS, {"opens": opens, "spacing": spacing, "orders": orders, "account": ACCOUNT})
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) sat.events, sat.order_movements, sat.status_evidence")
    connection.close()
