"""The store as of a settled position of the log: folded from events, never read from projections.

The log only grows, so the same position always gives the same answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_decisions import BATCH_DECIDER
from sat_hook.domain.batch_events import BatchReceived
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.store.errors import UnsettledPositionError
from sat_hook.store.event_store import (
    BatchReader,
    EventStore,
    Need,
    OrderSlice,
    StateCount,
    each_order,
    needs_of,
)

STREAMS_PER_READ = 500
_INTAKE_ENDED = BatchReceived.__name__


class StateTally:
    """Counts orders by state."""

    def __init__(self) -> None:
        self._sums = {state: [0, 0, 0] for state in OrderState}

    def add(self, order: Order) -> None:
        sums = self._sums[order.state]
        sums[0] += 1
        sums[1] += order.quote_rupiah or 0
        sums[2] += order.charged_rupiah or 0

    @property
    def counts(self) -> list[StateCount]:
        """The counts, with states in their usual order; empty states are left out."""
        return [StateCount(state, *sums) for state, sums in self._sums.items() if sums[0]]


class StoreAsOf(BatchReader, ABC):
    """A batch and its orders as of ``position``. Use an instance once: it caches the order of rows.

    Every method may raise StoreUnavailableError.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self._rows: dict[str, list[tuple[int, str]]] = {}

    @abstractmethod
    def _received(self, batch_id: str, after_position: int, up_to_position: int) -> list[tuple[int, str]]:
        """Row number and request id of the orders that the batch received between two positions."""

    @abstractmethod
    def _events_of(self, streams: Sequence[StreamId]) -> Iterable[RecordedEvent]:
        """The events of the streams up to the position, grouped by stream, by version."""

    def read_stream(self, stream: StreamId) -> list[RecordedEvent]:
        return list(self._events_of([stream]))

    def load_batch(self, batch_id: str) -> Batch | None:
        events = self.read_stream(StreamId(StreamKind.BATCH, batch_id))
        return BATCH_DECIDER.fold(batch_id, ((recorded.event, recorded.occurred_at) for recorded in events))

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        found: dict[str, Order] = {}
        for page in grouped(sorted(set(request_ids)), STREAMS_PER_READ):
            found |= self._folded(page)
        return found

    def _folded(self, request_ids: Sequence[str]) -> dict[str, Order]:
        streams = [StreamId(StreamKind.ORDER, key) for key in request_ids]
        found: dict[str, Order] = {}
        for stream, events in groupby(self._events_of(streams), key=lambda recorded: recorded.stream):
            order = ORDER_DECIDER.fold(
                stream.key, ((recorded.event, recorded.occurred_at) for recorded in events)
            )
            assert order is not None
            found[stream.key] = order
        return found

    def orders_of_batch(self, which: OrderSlice, after_row: int = 0, limit: int = 1000) -> list[Order]:
        rows = self._rows_of(which.batch_id)
        start = bisect_right(rows, max(after_row, which.first_row - 1), key=lambda row: row[0])
        end = bisect_right(rows, which.last_row, key=lambda row: row[0])
        chosen: list[Order] = []
        while start < end and len(chosen) < limit:
            page = [request_id for _, request_id in rows[start : min(end, start + STREAMS_PER_READ)]]
            start += len(page)
            orders = self.load_orders(page)
            found = (orders[request_id] for request_id in page)
            chosen += [o for o in found if o.batch_id == which.batch_id and o.state in which.states]
        return chosen[:limit]

    def moved_on(self, batch_id: str) -> Iterator[Order]:
        """Orders that the batch rejected and a later batch received again."""
        for page in grouped((request_id for _, request_id in self._rows_of(batch_id)), STREAMS_PER_READ):
            yield from (order for order in self.load_orders(page).values() if order.batch_id != batch_id)

    def count_by_state(self, batch_id: str) -> list[StateCount]:
        tally = StateTally()
        for order in each_order(self, OrderSlice(batch_id)):
            tally.add(order)
        return tally.counts

    def needs(self, batch_ids: Sequence[str]) -> dict[str, tuple[Need, ...]]:
        return {batch_id: needs_of(self, batch_id) for batch_id in batch_ids}

    def _rows_of(self, batch_id: str) -> list[tuple[int, str]]:
        if batch_id not in self._rows:
            events = self.read_stream(StreamId(StreamKind.BATCH, batch_id))
            if not events:
                return []
            # The orders of a batch begin only while its rows are read.
            ended = (e.position for e in events if e.type_name == _INTAKE_ENDED)
            self._rows[batch_id] = self._received(batch_id, events[0].position, next(ended, self.position))
        return self._rows[batch_id]


def as_of_position(store: EventStore, position: int) -> StoreAsOf:
    """The store as of ``position``.

    :raises UnsettledPositionError: when the log does not reach the position, or may still grow below it.
    """
    return store.as_of(settled_position(store, position))


def settled_position(store: EventStore, position: int | None) -> int:
    """``position``, or the newest settled one for None.

    :raises UnsettledPositionError: when the log does not reach the position, or may still grow below it.
    """
    settled = store.close_position()
    if position is not None and not 0 <= position <= settled:
        raise UnsettledPositionError(
            f"position {position}: found a log that is settled from 1 to {settled}; expected one of these"
        )
    return settled if position is None else position


def as_of_now(store: EventStore) -> StoreAsOf:
    """The store as of the newest settled position."""
    return store.as_of(store.close_position())
