"""The database's functions of amounts say what Python's do."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg2

from sat_hook.domain.amounts import MAXIMUM_AMOUNT_RUPIAH, is_amount
from sat_hook.protocol.messages import parse_order
from sat_hook.reconciliation.ledger import AMOUNT_BITS
from stack.databases import ApplicationDatabase
from tests.unit.protocol.test_messages import order_body

EDGES = [None, 0, 1, -1, 25_100, MAXIMUM_AMOUNT_RUPIAH, MAXIMUM_AMOUNT_RUPIAH + 1, 2**40 - 1, 2**40 + 25_100]
EDGES += [10**15, -(10**15)]


def test_packed_amounts_run_into_nothing(module_database: ApplicationDatabase) -> None:
    """Version and amount come back whole; a number that is no amount has all bits of one."""
    with closing(psycopg2.connect(module_database.writer_dsn)) as connection, connection.cursor() as cursor:
        for version in (1, 2, 70_000, 2**22):
            for rupiah in EDGES[1:]:
                assert rupiah is not None
                cursor.execute("SELECT sat.packed_amount(%s, %s)", (version, rupiah))
                (packed,) = cursor.fetchone() or (0,)
                assert packed >> 40 == version
                assert packed & AMOUNT_BITS == (rupiah if is_amount(rupiah) else AMOUNT_BITS)


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
