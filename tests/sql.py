"""One statement on a database, for what tests look at or change around the product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import psycopg2


def execute(
    dsn: str, statement: Any, arguments: Sequence[object] | Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Execute one statement in a transaction of its own; returns its rows, if it has any."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return [] if cursor.description is None else list(cursor.fetchall())
