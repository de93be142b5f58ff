"""The movements of orders up to a position, as one frame: kept rows, or the log folded again.

Closing a day reads the rows kept by each append. A replay folds the log instead: it shows the result of
today's fold, whichever release kept the rows, and needs no table that the log's release lacks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Protocol

import pandas as pd
from psycopg2.extensions import connection as Connection

from sat_hook.domain.event_record import StreamId
from sat_hook.domain.order_movements import PlacedMovement, fold_with_movements, moving_types
from sat_hook.store.postgres import recorded_from_row
from sat_hook.store.statements import queries

ROWS_PER_FETCH = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: One row per movement, in any order. Moments are microseconds since 1970, -1 if there is none. A charge of
#: -1 is not known.
MOVEMENT_COLUMNS = {
    "request_id": "str",
    "position": "int64",
    "occurred_us": "int64",
    "sent_us": "int64",
    "mark": "int64",
    "quote_rupiah": "int64",
    "charged_rupiah": "int64",
    "admin_fee_rupiah": "int64",
    "partner_fee_rupiah": "int64",
    "succeeded_rupiah": "int64",
    "is_debited": "int8",
    "is_doubted": "int8",
    "is_mismatched": "int8",
    "contradicts": "int8",
    "is_remark": "int8",
    "state": "category",
    "end_proof": "category",
}


class MovementReader(Protocol):
    """Reads movements inside the connection's snapshot, as :data:`MOVEMENT_COLUMNS`."""

    def since(self, connection: Connection, moment: datetime, position: int) -> pd.DataFrame:
        """Return the movements since a moment; of these orders also earlier movements, or not."""

    def of_streams(self, connection: Connection, streams: Sequence[str], position: int) -> pd.DataFrame:
        """Return all movements of these orders."""

    def moved_after(self, connection: Connection, position: int, sent_before: datetime) -> list[str]:
        """Return request ids of the orders that were sent before a moment and moved after a position."""


class KeptMovements:
    """:class:`MovementReader` of the rows kept by appends."""

    def since(self, connection: Connection, moment: datetime, position: int) -> pd.DataFrame:
        statement = queries("reconciliation").movements_since.sql
        return copied(connection, statement, {"since": moment, "position": position}, MOVEMENT_COLUMNS)

    def of_streams(self, connection: Connection, streams: Sequence[str], position: int) -> pd.DataFrame:
        statement = queries("reconciliation").movements_of.sql
        arguments = {"streams": list(streams), "position": position}
        return copied(connection, statement, arguments, MOVEMENT_COLUMNS)

    def moved_after(self, connection: Connection, position: int, sent_before: datetime) -> list[str]:
        rows = queries("reconciliation").moved_after(connection, position=position, sent_before=sent_before)
        return [request_id for (request_id,) in rows]


class FoldedMovements:
    """:class:`MovementReader` of the log itself: folds every order."""

    def since(self, connection: Connection, moment: datetime, position: int) -> pd.DataFrame:
        statement = queries("reconciliation").events_of_moved_orders.sql
        return _folded(connection, statement, since=moment, types=moving_types(), position=position)

    def of_streams(self, connection: Connection, streams: Sequence[str], position: int) -> pd.DataFrame:
        statement = queries("past").read_streams_until.sql
        return _folded(connection, statement, streams=list(streams), up_to_position=position)

    def moved_after(self, connection: Connection, position: int, sent_before: datetime) -> list[str]:
        rows = queries("reconciliation").streams_moved_after(
            connection, position=position, sent_before=sent_before, types=moving_types()
        )
        return [StreamId.parse(stream).key for (stream,) in rows]


def copied(
    connection: Connection, statement: str, arguments: dict[str, Any], types: dict[str, str]
) -> pd.DataFrame:
    """Return a statement's result as a frame, copied through a file so that memory holds it once."""
    with connection.cursor() as cursor, tempfile.TemporaryFile() as file:
        bound = cursor.mogrify(statement, arguments).decode("utf-8").rstrip().rstrip(";")
        cursor.copy_expert(f"COPY ({bound}) TO STDOUT (FORMAT csv)", file)
        file.seek(0)
        return pd.read_csv(
            file, header=None, names=list(types), dtype=types, keep_default_na=False, na_filter=False
        )


def _folded(connection: Connection, statement: str, **arguments: Any) -> pd.DataFrame:
    with connection.cursor(name="sat_movements") as cursor:
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(statement, arguments)
        streams = groupby(map(recorded_from_row, cursor), key=lambda recorded: recorded.stream)
        rows = [
            _row(placed)
            for stream, events in streams
            for placed in fold_with_movements(stream.key, events)[1]
        ]
    return pd.DataFrame(rows, columns=list(MOVEMENT_COLUMNS)).astype(MOVEMENT_COLUMNS)


def _row(placed: PlacedMovement) -> tuple[Any, ...]:
    row = placed.row()
    row["occurred_us"] = _microseconds(placed.occurred_at)
    row["sent_us"] = -1 if row["sent_at"] is None else _microseconds(row["sent_at"])
    row["charged_rupiah"] = -1 if row["charged_rupiah"] is None else row["charged_rupiah"]
    return tuple(
        str(row[name]) if kind == "category" else row[name] for name, kind in MOVEMENT_COLUMNS.items()
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
