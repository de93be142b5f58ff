"""Reads what closing a business day needs: an account's orders up to a position of the log, as frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from psycopg2.extensions import connection as Connection

from sat_hook.domain.books_events import BOOKKEEPING
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order_events import END_TYPES
from sat_hook.domain.order_movements import PlacedMovement, fold_with_movements, moving_types
from sat_hook.domain.partitions import WHOLE, Partition
from sat_hook.store.database import Database
from sat_hook.store.log import recorded_from_row
from sat_hook.store.statements import queries, run, streamed

if TYPE_CHECKING:
    import pandas as pd

STREAMS_PER_STATEMENT = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = "infinity"

#: One row per movement, in any order. Moments are microseconds since 1970, -1 if there is none. A charge of
#: -1 is not known.
MOVEMENT_COLUMNS = (
    {"request_id": "str"}
    | dict.fromkeys(("position", "occurred_us", "sent_us", "mark", "quote_rupiah"), "int64")
    | dict.fromkeys(("charged_rupiah", "admin_fee_rupiah", "partner_fee_rupiah", "succeeded_rupiah"), "int64")
    | dict.fromkeys(("is_debited", "is_doubted", "is_mismatched", "contradicts", "is_remark"), "int8")
    | dict.fromkeys(("state", "end_proof"), "category")
)
BEGINNING_COLUMNS = {
    "request_id": "str",
    "version": "int32",
    "account": "category",
    "order_id": "str",
    "batch_id": "category",
    "row_number": "int32",
    "product_code": "category",
    "client_number": "str",
    "client_mark": "int64",
}
SIGNED_END_COLUMNS = {
    "request_id": "str",
    "position": "int64",
    "digest": "str",  # empty if it agrees
    "our_status": "category",
    "our_rupiah": "int64",
    "their_status": "category",
    "their_rupiah": "int64",
    "finding": "category",
}


class DayReader:
    """An account's orders up to a position, in one snapshot. Movements are the rows kept by appends.

    Movements and beginnings of other accounts are read too.

    :param partition: only its orders are read, unless they are named.
    """

    def __init__(
        self, connection: Connection, account: str, position: int, partition: Partition = WHOLE
    ) -> None:
        self.account = account
        self.position = position
        self.partition = partition
        self._connection = connection
        self._days = queries("days")
        self._range = {"first": partition.first, "beyond": partition.beyond}

    @classmethod
    @contextmanager
    def opened(
        cls, database: Database, account: str, position: int, partition: Partition = WHOLE
    ) -> Iterator[Self]:
        """Open the snapshot for the block."""
        with database.transaction(snapshot=True) as connection:
            queries("days").read_in_bulk(connection)
            yield cls(connection, account, position, partition)

    def count_movements(self, since: datetime) -> int:
        """The number of movements since a moment, of all accounts and partitions."""
        return int(self._days.movements_since(self._connection, since=since, position=self.position))

    def movements_since(self, moment: datetime) -> pd.DataFrame:
        """The movements since a moment; of these orders also earlier movements, or not."""
        return self._movements(moment, [])

    def movements_of(self, request_ids: Iterable[str]) -> Iterator[pd.DataFrame]:
        """All movements of these orders, group by group; one empty frame when there are none."""
        return (self._movements(None, streams) for streams in _streams_of(request_ids))

    def waiting(self, sent_before: datetime) -> set[str]:
        """Orders whose end is not known now, and those sent before a moment that moved after the position."""
        return self._waiting("waiting", sent_before)

    def beginnings_since(self, moment: datetime) -> pd.DataFrame:
        """How orders began that were received since a moment."""
        return self._beginnings(since=moment, streams=[])

    def beginnings_of(self, request_ids: Iterable[str]) -> pd.DataFrame:
        """How these orders began."""
        import pandas as pd  # takes a second; DAG files load this module and read no frames

        frames = (self._beginnings(since=_NEVER, streams=streams) for streams in _streams_of(request_ids))
        return pd.concat(frames, ignore_index=True)

    def signed_ends(self, opens_at: datetime, closes_at: datetime) -> pd.DataFrame:
        """The signed ends of a period, compared with the signed texts that are kept."""
        period = {"opens_at": opens_at, "closes_at": closes_at}
        return self._copied("signed_ends", SIGNED_END_COLUMNS, streams=[], **period)

    def signed_ends_of(self, request_ids: Iterable[str]) -> pd.DataFrame:
        """All signed ends of these orders, likewise."""
        chosen = {"streams": [f"order/{key}" for key in request_ids], "opens_at": _NEVER, "closes_at": _NEVER}
        return self._copied("signed_ends", SIGNED_END_COLUMNS, **chosen)

    def totals(self, opens_at: datetime, closes_at: datetime) -> tuple[int, int, int, int]:
        """A period's events of all accounts, without any fold: number, digest, rupiah, first sendings."""
        ((events, mark, rupiah, sendings),) = self._days.totals(
            self._connection,
            types=moving_types(),
            position=self.position,
            opens_at=opens_at,
            closes_at=closes_at,
        )
        return events, mark, rupiah, sendings

    def ended_again(self, since: int) -> list[str]:
        """Orders that had ended up to an earlier position, and ended again after it."""
        rows = self._days.ended_again(
            self._connection, since=since, position=self.position, ends=list(END_TYPES), **self._range
        )
        return [request_id for (request_id,) in rows]

    def _beginnings(self, since: datetime | str, streams: list[str]) -> pd.DataFrame:
        found = self._copied("beginnings", BEGINNING_COLUMNS, since=since, streams=streams)
        if not found["request_id"].is_unique:
            # An order that was received again is as it was last received.
            found = found.sort_values("version").drop_duplicates("request_id", keep="last", ignore_index=True)
        return found.drop(columns="version")

    def _movements(self, since: datetime | None, streams: list[str]) -> pd.DataFrame:
        return self._copied("movements", MOVEMENT_COLUMNS, since=since or _NEVER, streams=streams)

    def _waiting(self, query: str, sent_before: datetime, **arguments: Any) -> set[str]:
        arguments |= {"account": self.account, "position": self.position, "sent_before": sent_before}
        arguments |= self._range
        return {request_id for (request_id,) in getattr(self._days, query)(self._connection, **arguments)}

    def _copied(self, query: str, columns: dict[str, str], **arguments: Any) -> pd.DataFrame:
        """A statement's result, copied through a file so that memory holds it once."""
        import pandas as pd  # takes a second; DAG files load this module and read no frames

        statement = getattr(self._days, query).sql
        with self._connection.cursor() as cursor, tempfile.TemporaryFile() as file:
            chosen = {**arguments, **self._range, "position": self.position}
            bound = cursor.mogrify(statement, chosen).decode("utf-8")
            cursor.copy_expert(f"COPY ({bound.rstrip().rstrip(';')}) TO STDOUT (FORMAT csv)", file)
            file.seek(0)
            return pd.read_csv(
                file, header=None, names=list(columns), dtype=columns, keep_default_na=False, na_filter=False
            )


class RefoldedDayReader(DayReader):
    """Folds every order from the log again, with the current code. It needs no table of movements."""

    def _movements(self, since: datetime | None, streams: list[str]) -> pd.DataFrame:
        import pandas as pd  # takes a second; DAG files load this module and read no frames

        arguments: dict[str, Any] = {"up_to_position": self.position}
        if since is None:
            statement, arguments["streams"] = queries("past").read_streams_until, streams
        else:
            statement = self._days.events_of_moved_orders
            arguments |= {"since": since, "types": moving_types(), **self._range}
        read = streamed(self._connection, statement, **arguments)
        events = groupby(map(recorded_from_row, read), key=lambda recorded: recorded.stream)
        rows = [
            _row(placed)
            for stream, of_order in events
            for placed in fold_with_movements(stream.key, of_order)[1]
        ]
        return pd.DataFrame(rows, columns=list(MOVEMENT_COLUMNS)).astype(MOVEMENT_COLUMNS)

    def count_movements(self, since: datetime) -> int:
        return self.totals(since, datetime.max.replace(tzinfo=UTC))[0]

    def waiting(self, sent_before: datetime) -> set[str]:
        return self._waiting("waiting_by_log", sent_before, types=moving_types())


def input_position(database: Database, closed_position: int, day: date) -> int:
    """The last settled position that may change the close of ``day``; 0 when the log is empty."""
    statement, bookkeeping = queries("days").input_position, list(BOOKKEEPING)
    arguments = {"closed_position": closed_position, "day": day.isoformat(), "bookkeeping": bookkeeping}
    return int(run(database, statement, **arguments) or 0)


def ended_by_people(database: Database, account: str, since: datetime) -> list[str]:
    """Orders that a person ended since a moment, and that no signed status has ended after all."""
    rows = run(database, queries("days").ended_by_people, account=account, since=since)
    return [request_id for (request_id,) in rows]


def _streams_of(request_ids: Iterable[str]) -> list[list[str]]:
    streams = (f"order/{request_id}" for request_id in sorted(set(request_ids)))
    return list(grouped(streams, STREAMS_PER_STATEMENT)) or [[]]


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
