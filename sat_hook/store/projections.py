"""The derived tables, read for a comparison with the log or filled from it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json

from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.guards import LimitUsage, Usage
from sat_hook.domain.order import Order
from sat_hook.domain.order_movements import OrderSums, PlacedMovement, moving_types, sums_of
from sat_hook.store.append_rows import as_json, usage_arguments
from sat_hook.store.database import Database
from sat_hook.store.event_store import Document
from sat_hook.store.log import recorded_from_row
from sat_hook.store.order_rows import members_of, order_row
from sat_hook.store.statements import queries, run

SUBMISSION_COLUMNS = ("submitted_by", "submitted_at")
LAST_POSITION = 2**63 - 1
KEPT = (StreamKind.ORDER, StreamKind.BATCH, StreamKind.ACCOUNT)
"""The kinds of streams that have a table. The others are few and folded on demand."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The fold of a stream's events, the first and the last of them, and the head that the store keeps."""

    stream: StreamId
    head: int | None
    first: RecordedEvent
    last: RecordedEvent
    after: Document
    movements: tuple[PlacedMovement, ...] = ()

    @property
    def version(self) -> int:
        """The version that the stream's head must have."""
        return self.last.version

    @property
    def document(self) -> dict[str, Any]:
        """What the store keeps of the fold."""
        if isinstance(self.after, Order):
            return self.after.model_dump(exclude_none=True)
        return self.after.model_dump(mode="json")

    @property
    def columns(self) -> dict[str, Any]:
        """What the store keeps beside the document."""
        if isinstance(self.after, Order):
            return {"changed_at": self.last.occurred_at, **sums_of(self.after)._asdict()}
        submission = (self.first.provenance.actor, self.first.occurred_at)
        return dict(zip(SUBMISSION_COLUMNS, submission, strict=True)) if isinstance(self.after, Batch) else {}


class DifferingUsage(NamedTuple):
    """A day or batch of which the use of limits is not the sum of its orders."""

    account: str
    scope: str
    found: Usage
    expected: Usage


class DerivedTables:
    """The derived tables inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tables = queries("projections")

    def keep_in_place(self) -> None:
        """Keep the tables from being emptied by TRUNCATE. Call it before the snapshot's first read."""
        self._tables.keep_derived_tables_in_place(self._connection)

    def keep_folded_in_place(self) -> None:
        """The same for the tables that every release has."""
        self._tables.keep_folded_tables_in_place(self._connection)

    def documents(self, group: Sequence[Folded]) -> dict[StreamId, dict[str, Any]]:
        """The stored documents of these streams, of an order its members; see :data:`KEPT`."""
        orders = self._tables.documents_of_orders(self._connection, keys=_keys(group, StreamKind.ORDER))
        found = {StreamId(StreamKind.ORDER, key): members_of(row) for key, row in orders}
        for kind, read in (
            (StreamKind.BATCH, self._tables.documents_of_batches),
            (StreamKind.ACCOUNT, self._tables.documents_of_accounts),
        ):
            rows = read(self._connection, keys=_keys(group, kind))
            found |= {StreamId(kind, key): document for key, document in rows}
        return found

    def columns(self, group: Sequence[Folded]) -> dict[StreamId, dict[str, Any]]:
        """What is stored beside the documents of these streams."""
        found: dict[StreamId, dict[str, Any]] = {}
        for kind, read, names in (
            (StreamKind.ORDER, self._tables.sums_of_orders, ("changed_at", *OrderSums._fields)),
            (StreamKind.BATCH, self._tables.submissions_of_batches, SUBMISSION_COLUMNS),
        ):
            rows = read(self._connection, keys=_keys(group, kind))
            found |= {StreamId(kind, key): dict(zip(names, row, strict=True)) for key, *row in rows}
        return found

    def movements_at(self, positions: Sequence[int]) -> dict[int, tuple[Any, ...]]:
        """The stored movements at these positions, in the order of :meth:`PlacedMovement.row`."""
        rows = self._tables.movements_at(self._connection, positions=list(positions))
        return {row[0]: row for row in rows}

    def rows_without_events(self) -> Iterator[tuple[str, str, int | None]]:
        """Rows of which the log knows nothing: table, stream, and position of a movement."""
        for table, stream in self._tables.projections_without_events(self._connection):
            yield table, stream, None
        for position, request_id in self._tables.movements_without_events(
            self._connection, types=moving_types()
        ):
            yield "order_movements", str(StreamId(StreamKind.ORDER, request_id)), position

    def heads_without_events(self) -> Iterator[tuple[str, int]]:
        """Streams with a head and without events, and the version of the head."""
        found: Iterator[tuple[str, int]] = self._tables.heads_without_events(self._connection)
        return found

    def differing_prices(self) -> list[str | None]:
        """Products whose listed intervals are not those of the price snapshots' evidence."""
        return [product for (product,) in self._tables.differing_product_prices(self._connection)]

    def usage(self) -> Iterator[tuple[tuple[str, str], Usage]]:
        """The use of limits, by account and scope."""
        for account, scope, *used in self._tables.usage_by_scope(self._connection):
            yield (account, scope), Usage(*used)

    def differing_usage(self, since: date | None = None) -> Iterator[DifferingUsage]:
        """Where the use of limits is not that of the orders that count; with a day, from that day on."""
        for account, scope, *numbers in self._tables.differing_usage(self._connection, since=since):
            yield DifferingUsage(account, scope, Usage(*numbers[:2]), Usage(*numbers[2:]))

    def shape(self) -> str | None:
        """The shape of the tables, as the release that filled them left it."""
        shape: str | None = self._tables.kept_shape(self._connection)
        return shape

    def keep_shape(self, shape: str) -> None:
        self._tables.keep_shape(self._connection, shape=shape)

    def refill(self, group: Sequence[Folded]) -> None:
        """Store the folds of some streams; rows that are right are left alone."""
        self._tables.refill_heads(
            self._connection,
            streams=[str(folded.stream) for folded in group],
            versions=[folded.version for folded in group],
        )
        of_kind = {kind: [folded for folded in group if folded.stream.kind is kind] for kind in StreamKind}
        orders = [
            order_row(folded.after, folded.last.occurred_at)
            for folded in of_kind[StreamKind.ORDER]
            if isinstance(folded.after, Order)
        ]
        self._tables.refill_orders(self._connection, orders=as_json(orders))
        movements = [moved.row() for moved in chain.from_iterable(folded.movements for folded in group)]
        self._tables.refill_movements(self._connection, movements=as_json(movements, exclude_none=True))
        self._tables.refill_batches(
            self._connection,
            keys=_keys(group, StreamKind.BATCH),
            documents=[Json(folded.document) for folded in of_kind[StreamKind.BATCH]],
            submitted_by=[folded.first.provenance.actor for folded in of_kind[StreamKind.BATCH]],
            submitted_at=[folded.first.occurred_at for folded in of_kind[StreamKind.BATCH]],
        )
        self._tables.refill_accounts(
            self._connection,
            keys=_keys(group, StreamKind.ACCOUNT),
            documents=[Json(folded.document) for folded in of_kind[StreamKind.ACCOUNT]],
        )


def _keys(group: Sequence[Folded], kind: StreamKind) -> list[str]:
    return [folded.stream.key for folded in group if folded.stream.kind is kind]


def remove_invented(database: Database) -> None:
    """Remove what no event accounts for, and fill the prices from their evidence. Appends go on.

    :param database: as the schema's owner.
    """
    tables = queries("projections")
    with database.transaction() as connection:
        tables.wait_without_limit(connection)
        tables.remove_breaks(connection)
        tables.remove_rows_without_events(connection)
        tables.remove_movements_without_events(connection, types=moving_types())
    with database.transaction() as connection:
        tables.wait_without_limit(connection)
        tables.lock_histories(connection)
        tables.remove_product_prices(connection)
        tables.refill_product_prices(connection)


def repair_usage(database: Database) -> None:
    """Make the use of limits what the orders' rows say, while appends go on.

    An append changes both alike, so what is missing at one moment is missing at any.

    :param database: as the schema's owner.
    """
    with database.transaction() as connection:
        queries("projections").wait_without_limit(connection)
        queries("projections").one_repair_of_usage(connection)
        missing = LimitUsage()
        for account, scope, found, expected in DerivedTables(connection).differing_usage():
            missing[account, scope] = Usage(expected.orders - found.orders, expected.rupiah - found.rupiah)
        queries("guards").add_usage(connection, **usage_arguments(missing))


def streams_by_name(database: Database, page: int) -> Iterator[list[StreamId]]:
    """The streams of the log, some at a time."""
    after = ""
    while names := [
        name for (name,) in run(database, queries("projections").streams_after, after=after, limit=page)
    ]:
        yield [StreamId.parse(name) for name in names]
        after = names[-1]


@contextmanager
def kept_still(
    database: Database, streams: Sequence[StreamId]
) -> Iterator[tuple[DerivedTables, Iterator[RecordedEvent]]]:
    """The derived tables and the events of some streams. Appends to these wait until the block ends."""
    names = [str(stream) for stream in streams]
    with database.transaction(durable=False) as connection:
        tables = queries("projections")
        tables.lock_heads(connection, streams=names)
        rows = queries("past").read_streams_until(connection, streams=names, up_to_position=LAST_POSITION)
        yield DerivedTables(connection), map(recorded_from_row, rows)
