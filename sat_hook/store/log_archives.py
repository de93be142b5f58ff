"""Archived partitions of the log, in the database: what is archived, and the exchange of a partition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_batch

from sat_hook.domain.event_record import StreamId, StreamKind, parse_event
from sat_hook.domain.identity import log_id
from sat_hook.domain.log_archives import EventsArchived, archives_in_effect
from sat_hook.domain.order_state import OrderState
from sat_hook.store.database import OneTransaction
from sat_hook.store.errors import LogArchivedError
from sat_hook.store.statements import Statements, queries, streamed

_EVENT_COLUMNS = (
    "position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest"
)


class LogArchives(Statements, room="archives"):
    """What is archived. Every method may raise StoreUnavailableError."""

    def in_effect(self) -> list[EventsArchived]:
        """The archives that were not brought back, by position."""
        rows = self._run(self._sql.archive_events, stream=str(StreamId(StreamKind.LOG, log_id())))
        return archives_in_effect((parse_event(name, version, data), at) for name, version, data, at in rows)

    def is_archived(self, stream: StreamId) -> bool:
        """Whether events of the stream are in a file only."""
        return self._first_archived([stream]) is not None

    def archived_among(self, streams: Iterable[StreamId]) -> set[StreamId]:
        """Those of these streams that have events in a file only."""
        rows = self._run(self._sql.archived_among, streams=list(map(str, streams)))
        return {StreamId.parse(stream) for (stream,) in rows}

    def require_streams(self, streams: Iterable[StreamId]) -> None:
        """Check that no event of these streams is in a file only.

        :raises LogArchivedError: naming the first one that is archived.
        """
        if found := self._first_archived(streams):
            raise self._error(*found)

    def require_batch(self, batch_id: str, first_position: int, last_position: int) -> None:
        """Check that no event of a batch's orders is in a file only.

        :param first_position: a range that has the beginnings of the orders.
        :raises LogArchivedError: they are archived.
        """
        if self._overlapping(first_position, last_position) is None:
            return
        if partition := self._run(self._sql.archived_partition_of_batch, batch_id=batch_id):
            raise self._error(f"batch {batch_id}", partition)

    def require_positions(self, first_position: int, last_position: int) -> None:
        """Check that no event of a range of positions is in a file only.

        :raises LogArchivedError: an archived partition overlaps it.
        """
        if archive := self._overlapping(first_position, last_position):
            raise self._error(f"positions {first_position:,} to {last_position:,}", archive.partition)

    def require_since(self, moment: datetime) -> None:
        """Check that no event that was recorded since then is in a file only.

        :raises LogArchivedError: an archived partition has such events.
        """
        for archive in self.in_effect():
            if archive.recorded_to >= moment:
                raise self._error(f"events since {moment:%Y-%m-%d}", archive.partition)

    def first_unsigned_day(self, first_position: int, last_position: int) -> str | None:
        """The first day with orders in a range that is not signed off, with its account."""
        where = {"first_position": first_position, "last_position": last_position}
        rows = self._run(self._sql.first_unsigned_day, **where)
        return f"day {rows[0][0]} of {rows[0][1]}" if rows else None

    def heads_of(self, streams: Sequence[str]) -> dict[str, int]:
        """The heads of these streams."""
        return dict(self._run(self._sql.heads_of, streams=list(streams)))

    def _first_archived(self, streams: Iterable[StreamId]) -> tuple[str, str] | None:
        """The first of these streams that is archived, and the partition."""
        # The schema may still be that of an earlier release, without the table and without archives.
        rows = (
            self._run(self._sql.first_archived, streams=list(map(str, streams))) if self.in_effect() else []
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def _overlapping(self, first_position: int, last_position: int) -> EventsArchived | None:
        overlapping = (
            archive
            for archive in self.in_effect()
            if archive.first_position <= last_position and archive.last_position >= first_position
        )
        return next(overlapping, None)

    def _error(self, where: str, partition: str) -> LogArchivedError:
        uris = [archive.uri for archive in self.in_effect() if archive.partition == partition]
        return LogArchivedError(where, partition, uris[-1] if uris else "an archive file")


class PartitionExchange:
    """Exchanges a partition for a smaller or a larger one, in the caller's transaction, as the owner.

    The work is done before anything is locked.
    """

    def __init__(self, connection: Connection, partition: str) -> None:
        self._connection = connection
        self._partition = partition
        self._sql = queries("archives")
        queries("projections").wait_without_limit(connection)
        self._replacement: str = self._sql.make_replacement(connection, partition=partition)

    def keep(self) -> tuple[int, int]:
        """Fill the replacement with the events that stay; return how many stay, and how many do not."""
        final = [state.value for state in OrderState if state.is_final]
        rows = list(self._sql.keep_events(self._connection, partition=self._partition, final_states=final))
        return rows[0][0], rows[0][1]

    def fill(self, groups: Iterable[Sequence[tuple[Any, ...]]]) -> int:
        """Fill the replacement with these events; return how many."""
        filled = 0
        values = ", ".join(["%s"] * len(_EVENT_COLUMNS.split(", ")))
        statement = f"INSERT INTO sat.{self._replacement} ({_EVENT_COLUMNS}) VALUES ({values})"  # noqa: S608 - names of our own
        with self._connection.cursor() as cursor:
            for group in groups:
                execute_batch(cursor, statement, group, page_size=1_000)
                filled += len(group)
        self._sql.forget_archived_streams(self._connection, partition=self._partition)
        return filled

    def swap(self) -> None:
        """Put the replacement in the partition's place and drop the partition.

        :raises StoreBusyError: behind a long reader of the log; nothing was changed.
        """
        list(self._sql.replace_partition(self._connection, partition=self._partition))


def rows_of_range(
    connection: Connection, first_position: int, last_position: int
) -> Iterator[tuple[Any, ...]]:
    """The events of a range of positions as rows, by position."""
    statement = queries("events").read_log
    where: dict[str, Any] = {"after_position": first_position - 1, "up_to_position": last_position}
    return streamed(connection, statement, limit=None, **where)


def archives_in(connection: Connection) -> LogArchives:
    """What is archived, in the transaction of a connection."""
    return LogArchives(OneTransaction(connection))
