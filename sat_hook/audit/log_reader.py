"""Reads the whole log stream by stream, in constant memory, inside one transaction.

A damaged log may hold values that Python cannot represent; they are reported like any other damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

from psycopg2.extensions import PYDATETIMETZ, new_type, register_type
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.domain.event_record import RecordedEvent, StreamId
from sat_hook.store.postgres import recorded_from_row
from sat_hook.store.statements import queries

ROWS_PER_FETCH = 2000
NO_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a time that Python cannot represent. No event has it, so it matches no digest and no leaf."""
_TIMESTAMPTZ = 1184


class Placed(NamedTuple):
    """One event, and the head that the store keeps for its stream (None if it keeps none)."""

    recorded: RecordedEvent
    head: int | None


def each_stream(
    connection: Connection, report: Report, until: int | None = None, *, first: int | None = None
) -> Iterator[tuple[StreamId, Iterable[Placed]]]:
    """Every stream with its events by version, optionally up to or from a position.

    Read a stream's events once, before the next stream. A server-side cursor keeps two thousand rows in
    memory, not the whole log. Events of unknown stream kinds are reported and left out.
    """
    queries("audit").wait_without_limit(connection)
    with connection.cursor(name="sat_streams") as cursor:
        cursor.itersize = ROWS_PER_FETCH
        read_any_time(cursor)
        if first is not None:
            cursor.execute(queries("audit").streams_from.sql, {"first_position": first})
        elif until is not None:
            cursor.execute(queries("audit").streams_until.sql, {"until": until})
        else:
            cursor.execute(queries("audit").streams_in_order.sql)
        yield from groupby(_placed(cursor, report), key=lambda item: item.recorded.stream)


def read_any_time(cursor: Cursor) -> None:
    """Make a cursor return :data:`NO_TIME` for NULL and for times before the year 1 or after 9999."""
    register_type(new_type((_TIMESTAMPTZ,), "SAT_ANY_TIME", _any_time), cursor)


def _any_time(text: str | bytes | None, cursor: Cursor) -> datetime:
    try:
        found: datetime | None = PYDATETIMETZ(text, cursor)
    except (ValueError, OverflowError):
        return NO_TIME
    return NO_TIME if found is None else found


def _placed(rows: Iterable[tuple[Any, ...]], report: Report) -> Iterator[Placed]:
    for row in rows:
        try:
            recorded = recorded_from_row(row[:11])
        except ValueError:
            report(
                Finding(
                    FindingKind.UNKNOWN_EVENT,
                    "a stream of another kind",
                    row[2],
                    row[0],
                    "an event of no stream of this release",
                    "one of an order, a batch, an account or an export",
                )
            )
            continue
        yield Placed(recorded, row[11])
