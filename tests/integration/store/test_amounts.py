"""The database reads the amounts of a signed text as the client does."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg2

from sat_hook.domain.rupiah import MAXIMUM_AMOUNT_RUPIAH, is_amount
from sat_hook.protocol.messages import parse_order
from stack.databases import ApplicationDatabase
from tests.unit.protocol.test_messages import order_body


def test_a_signed_amount_is_read_as_the_client_reads_it(module_database: ApplicationDatabase) -> None:
    """Numbers, the same as text, and everything that is no amount."""
    texts = ["null", '""', "0", "25100", "25100.0", "25100.5", "1e3", "-1", "-0", "1e30", "true", "[1]", "{}"]
    texts += [
        f'"{text}"' for text in ("0", "25100", "25100.0", "25100.00", "12.000", "12,500", "-5", " 1", "٣")
    ]
    texts += [str(MAXIMUM_AMOUNT_RUPIAH), str(MAXIMUM_AMOUNT_RUPIAH + 1), f'"{10**13}"', "9" * 40]
    with closing(psycopg2.connect(module_database.writer_dsn)) as connection, connection.cursor() as cursor:
        for text in texts:
            cursor.execute("SELECT sat.named_amount(%s), sat.is_no_amount(%s)", (text, text))
            read = parse_order(order_body(status="Success", sales_price=json.loads(text)))
            number = read.sales_price_rupiah
            expected = number if number is not None and is_amount(number) else None
            is_none = expected is None and text not in ("null", '""')
            assert cursor.fetchone() == (expected, is_none), text
