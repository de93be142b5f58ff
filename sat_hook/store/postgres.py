"""The event store on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sat_hook.domain.account import AccountStanding
from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind, parse_event
from sat_hook.domain.guards import LimitUsage
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.domain.order_events import OrderReceived
from sat_hook.store.append_rows import append_arguments, usage_arguments
from sat_hook.store.as_of import StoreAsOf
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreBusyError
from sat_hook.store.event_store import (
    NEEDING_STATES,
    Change,
    Need,
    OrderSlice,
    StateCount,
    in_order_of_rows,
    in_order_of_states,
)
from sat_hook.store.log import recorded_from_row
from sat_hook.store.log_archives import LogArchives
from sat_hook.store.order_rows import order_of
from sat_hook.store.statements import queries, run

CLOSING_SECONDS = 90.0
CLOSING_PAUSE_SECONDS = 0.1


class PostgresEventStore:
    """:class:`~sat_hook.store.event_store.EventStore` on the application database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._events = queries("events")
        self._guards = queries("guards")
        self._orders = queries("orders")
        self._batches = queries("batches")
        self._accounts = queries("accounts")

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        if not changes:
            return frozenset()
        arguments = append_arguments(changes, provenance, occurred_at)
        with self.database.transaction() as connection:
            refused = self._events.append_events(connection, **arguments)
            conflicts = frozenset(StreamId.parse(name) for name in refused)
            used = LimitUsage().add(
                (change.before, change.after)
                for change in changes
                if isinstance(change.after, Order) and change.stream not in conflicts
            )
            if used:
                self._guards.add_usage(connection, **usage_arguments(used))
        return conflicts

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        rows = run(self.database, self._orders.load_orders, request_ids=list(request_ids))
        orders = (order_of(row) for row in rows)
        return {order.request_id: order for order in orders}

    def load_batch(self, batch_id: str) -> Batch | None:
        rows = run(self.database, self._batches.load_batch, batch_id=batch_id)
        return Batch.model_validate(rows[0][0]) if rows else None

    def load_batches(self, batch_ids: Sequence[str]) -> list[Batch]:
        """The current states of those of the batches that exist."""
        rows = run(self.database, self._batches.load_batches, batch_ids=list(batch_ids))
        return [Batch.model_validate(row[0]) for row in rows]

    def load_account(self, account_id: str) -> AccountStanding | None:
        rows = run(self.database, self._accounts.load_account, account_id=account_id)
        return AccountStanding.model_validate(rows[0][0]) if rows else None

    def accounts_of_client(self, client: str) -> list[str]:
        return [row[0] for row in run(self.database, self._accounts.accounts_of_client, client=client)]

    def orders_of_batch(self, which: OrderSlice, after_row: int = 0, limit: int = 1000) -> list[Order]:
        rows = run(
            self.database,
            self._orders.orders_of_batch,
            batch_id=which.batch_id,
            states=[state.value for state in which.states],
            first_row=which.first_row,
            last_row=which.last_row,
            after_row=after_row,
            limit=limit,
        )
        return [order_of(row) for row in rows]

    def orders_of_account(
        self, account: str, states: Sequence[OrderState], after_request_id: str = "", limit: int = 1000
    ) -> list[Order]:
        rows = run(
            self.database,
            self._orders.orders_of_account,
            account=account,
            states=[state.value for state in states],
            after_request_id=after_request_id,
            limit=limit,
        )
        return [order_of(row) for row in rows]

    def count_by_state(self, batch_id: str) -> list[StateCount]:
        rows = run(self.database, self._orders.count_by_state, batch_id=batch_id)
        return in_order_of_states(StateCount(OrderState(state), *sums) for state, *sums in rows)

    def needs(self, batch_ids: Sequence[str]) -> dict[str, tuple[Need, ...]]:
        rows = run(
            self.database,
            self._orders.needs,
            batch_ids=list(batch_ids),
            streams=[str(StreamId(StreamKind.BATCH, batch_id)) for batch_id in batch_ids],
            states=[state.value for state in NEEDING_STATES],
        )
        found: dict[str, list[Need]] = {batch_id: [] for batch_id in batch_ids}
        for batch_id, standing, code, number in rows:
            found[batch_id].append(Need(standing, code, number))
        return {batch_id: in_order_of_rows(needs) for batch_id, needs in found.items()}

    def read_stream(self, stream: StreamId) -> list[RecordedEvent]:
        """The events of a stream, by version.

        :raises LogArchivedError: its earlier events are in an archive file only.
        """
        rows = run(self.database, self._events.read_stream, stream=str(stream))
        if stream.kind is StreamKind.ORDER and (not rows or rows[0][2] != 1):
            LogArchives(self.database).require_streams([stream])
        return [recorded_from_row(row) for row in rows]

    def read_stream_of(self, stream: StreamId, types: Sequence[str]) -> list[RecordedEvent]:
        """The events of some types of a stream, by version."""
        rows = run(self.database, self._events.read_stream_of, stream=str(stream), types=list(types))
        return [recorded_from_row(row) for row in rows]

    def read_log(self, after_position: int, up_to_position: int, limit: int) -> list[RecordedEvent]:
        rows = run(
            self.database,
            self._events.read_log,
            after_position=after_position,
            up_to_position=up_to_position,
            limit=limit,
        )
        return [recorded_from_row(row) for row in rows]

    def database_time(self) -> datetime:
        now: datetime = run(self.database, self._events.database_time)
        return now

    def horizon(self) -> int:
        return int(run(self.database, self._events.close_position))

    def close_position(self) -> int:
        newest = int(run(self.database, self._events.newest_position))
        give_up = time.monotonic() + CLOSING_SECONDS
        while (settled := self.horizon()) < newest:
            if time.monotonic() >= give_up:
                raise StoreBusyError(
                    f"an append does not end: position {newest} is committed, but the log is settled up to "
                    f"{settled} only"
                )
            time.sleep(CLOSING_PAUSE_SECONDS)
        return settled

    def as_of(self, position: int) -> PostgresAsOf:
        return PostgresAsOf(self.database, position)

    def find_orders(self, reference: str) -> list[Order]:
        """Orders by request id or by the submitter's order id (several when accounts share one)."""
        rows = run(self.database, self._orders.find_order, reference=reference)
        return [order_of(row) for row in rows]

    def accounts_with_batches(self) -> list[str]:
        """The accounts that ever had a batch, by name."""
        return [row[0] for row in run(self.database, self._accounts.accounts_with_batches)]

    def accounts_with_events(self) -> list[str]:
        """The accounts of which something was ever recorded, by name."""
        return [row[0] for row in run(self.database, self._accounts.accounts_with_events)]

    def unsent_of_account(self, account: str, limit: int = 20) -> list[tuple[str, str, int]]:
        """Incomplete batches of the account: id, file name, number of unsent orders."""
        rows = run(self.database, self._batches.unsent_of_account, account=account, limit=limit)
        return [(batch_id, file_name, orders) for batch_id, file_name, orders in rows]

    def batch_of_run(self, dag_run: str) -> str | None:
        """The batch that a run (``DAG id/run id``) began to work on, by the log; None when there is none."""
        found: str | None = run(self.database, self._batches.batch_of_run, dag_run=dag_run)
        return found

    def last_run(self, batch_id: str) -> str | None:
        """The run (``DAG id/run id``) that began last to work on a batch; None when none did."""
        stream = str(StreamId(StreamKind.BATCH, batch_id))
        found: str | None = run(self.database, self._batches.last_run, stream=stream)
        return found

    def status_evidence(self, digests: Sequence[str]) -> dict[str, str]:
        """Signed status texts by digest, for deliveries only: they hold vouchers. Needs the writer role."""
        return dict(run(self.database, self._orders.status_evidence_of, digests=list(digests)))


class PostgresAsOf(StoreAsOf):
    """Reads with two statements that use the log's indexes."""

    def __init__(self, database: Database, position: int) -> None:
        super().__init__(position)
        self._database = database
        self._past = queries("past")

    def _received(self, batch_id: str, after_position: int, up_to_position: int) -> list[tuple[int, str]]:
        LogArchives(self._database).require_batch(batch_id, after_position, up_to_position)
        chosen = {"after_position": after_position, "up_to_position": up_to_position}
        rows = run(self._database, self._past.orders_received, batch_id=batch_id, **chosen)
        return [(row_number, StreamId.parse(stream).key) for stream, row_number in rows]

    def _events_of(self, streams: Sequence[StreamId]) -> Iterable[RecordedEvent]:
        names, until = [str(stream) for stream in streams], self.position
        rows = run(self._database, self._past.read_streams_until, streams=names, up_to_position=until)
        return [recorded_from_row(row) for row in rows]

    def _folded(self, request_ids: Sequence[str]) -> dict[str, Order]:
        # Reports of large batches spend most of their time here, so only what a fold needs is built.
        streams = {str(StreamId(StreamKind.ORDER, key)): key for key in request_ids}
        statement, until = self._past.facts_of_streams_until, self.position
        rows = run(self._database, statement, streams=list(streams), up_to_position=until)
        if not _begin(rows, streams):
            LogArchives(self._database).require_streams(StreamId.parse(stream) for stream in streams)
        found: dict[str, Order] = {}
        for stream, facts in groupby(rows, key=itemgetter(0)):
            events = ((parse_event(name, version, data), at) for _, name, version, data, at in facts)
            order = ORDER_DECIDER.fold(streams[stream], events)
            assert order is not None
            found[order.request_id] = order
        return found


def _begin(rows: Sequence[tuple[Any, ...]], streams: Collection[str]) -> bool:
    """Whether there is the beginning of each stream."""
    began = {row[0] for row in rows if row[1] == OrderReceived.__name__}
    return began.issuperset(streams)


def position_at(database: Database, moment: datetime) -> int:
    """The last settled position recorded by ``moment`` (aware); 0 when there is none."""
    settled = PostgresEventStore(database).close_position()
    return int(run(database, queries("past").position_at, moment=moment, up_to_position=settled))


def recorded_at(database: Database, position: int | None = None) -> datetime | None:
    """When the last event, up to a position if given, was recorded; None when there is none."""
    last = PostgresEventStore(database).close_position() if position is None else position
    found = run(database, queries("past").recorded_at, position=last)
    assert found is None or isinstance(found, datetime)
    return found
