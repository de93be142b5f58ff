"""Callbacks as the receiver keeps them, without HTTP and without signatures that anybody looks at."""

from __future__ import annotations

import psycopg2

from stack.databases import ApplicationDatabase
from tests.pipeline import Line


def call_back(line: Line, database: ApplicationDatabase, batch_id: str) -> None:
    """What the receiver does for each order of the batch, without HTTP."""
    connection = psycopg2.connect(database.receiver_dsn)
    with connection, connection.cursor() as cursor:
        for number, order in enumerate(line.orders(batch_id).values()):
            cursor.execute(
                "SELECT sat.receive_callback('demo', %s, %s, %s, 'sig', 'key', 'application/json', '::1')",
                (order.request_id, f"{number:064x}", b"{}"),
            )
        cursor.execute("SELECT pg_notify(sat.callback_channel('demo'), '')")
    connection.close()
