"""The named SQL statements of ``sql/queries``, loaded once, and results that are too large for memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, ClassVar

import aiosql
from psycopg2.extensions import PYDATETIMETZ, new_type, register_type
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import RealDictCursor

from sat_hook.shipped import shipped
from sat_hook.store.database import Database

ROWS_PER_FETCH = 2_000
NO_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a time that Python cannot represent. No event has it, so it matches no digest and no leaf."""
_TIMESTAMPTZ = 1184
_numbers = count()


@cache
def queries(room: str) -> Any:
    """The named statements of ``sql/queries/<room>.sql``, for psycopg2."""
    return aiosql.from_path(shipped("sql") / "queries" / f"{room}.sql", "psycopg2")


def run(database: Database, statement: Any, **arguments: Any) -> Any:
    """Run a named statement in a transaction of its own. Returns its rows as a list, or its one value.

    :param statement: one of :func:`queries`.
    :raises StoreUnavailableError: the database gave up.
    """
    with database.transaction() as connection:
        result = statement(connection, **arguments)
        return list(result) if isinstance(result, Iterator) else result


class Statements:
    """Base of what reads and writes tables by named statements.

    Every method may raise :class:`~sat_hook.store.errors.StoreUnavailableError`.

    :param room: the file below ``sql/queries`` that has the statements.
    """

    _room: ClassVar[str]

    def __init_subclass__(cls, *, room: str, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls._room = room

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries(self._room)

    def _run(self, statement: Any, **arguments: Any) -> Any:
        """Run a statement in a transaction of its own. Returns its rows as a list, or its one value."""
        return run(self._database, statement, **arguments)


def streamed(
    connection: Connection,
    statement: Any,
    *,
    any_time: bool = False,
    by_name: bool = False,
    rows_per_fetch: int | None = None,
    **arguments: Any,
) -> Iterator[Any]:
    """Stream the rows of a named statement through a server-side cursor: memory holds one fetch of them.

    :param statement: one of :func:`queries`.
    :param any_time: return NULL and times before the year 1 or after 9999 as :data:`NO_TIME`. A damaged table
        may hold them.
    :param by_name: return dicts, not tuples.
    """
    factory = RealDictCursor if by_name else Cursor
    # An abandoned result keeps its cursor until the transaction ends.
    name = f"sat_{statement.__name__}_{next(_numbers)}"
    cursor = connection.cursor(name=name, cursor_factory=factory)
    cursor.itersize = rows_per_fetch or ROWS_PER_FETCH
    if any_time:
        register_type(new_type((_TIMESTAMPTZ,), "SAT_ANY_TIME", _any_time), cursor)
    cursor.execute(statement.sql, arguments)
    for row in cursor:  # noqa: UP028 - "yield from" closes an abandoned cursor, whose transaction may be over
        yield row
    cursor.close()


def _any_time(text: str | bytes | None, cursor: Cursor) -> datetime:
    try:
        found: datetime | None = PYDATETIMETZ(text, cursor)
    except (ValueError, OverflowError):
        return NO_TIME
    return NO_TIME if found is None else found
