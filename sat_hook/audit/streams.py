"""Reads the whole log stream by stream, in constant memory, inside one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.recorded import RecordedEvent, StreamId
from sat_hook.store.postgres import recorded_from_row
from sat_hook.store.sql_files import queries

ROWS_PER_FETCH = 2000


class Placed(NamedTuple):
    """One event, and the head that the store keeps for its stream (None when it keeps none)."""

    recorded: RecordedEvent
    head: int | None


def each_stream(
    connection: Connection, until: int | None = None
) -> Iterator[tuple[StreamId, Iterable[Placed]]]:
    """Every stream with its events by version, up to a position if one is given.

    The events are read once, before the next stream. A server-side cursor of the connection's transaction:
    two thousand rows are in memory, not the log.
    """
    queries("audit").wait_without_limit(connection)
    with connection.cursor(name="sat_streams") as cursor:
        cursor.itersize = ROWS_PER_FETCH
        if until is None:
            cursor.execute(queries("audit").streams_in_order.sql)
        else:
            cursor.execute(queries("audit").streams_until.sql, {"until": until})
        placed = (Placed(recorded_from_row(row[:11]), row[11]) for row in cursor)
        yield from groupby(placed, key=lambda item: item.recorded.stream)
