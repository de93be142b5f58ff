"""The event store in memory: single-threaded, for simulations. Passes the same conformance suite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sat_hook.domain.account import AccountStanding
from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind, event_digest
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_events import OrderReceived
from sat_hook.domain.ports import Clock
from sat_hook.store.as_of import StateTally, StoreAsOf
from sat_hook.store.event_store import Change, Need, OrderSlice, StateCount, StatusEvidence, needs_of


class MemoryEventStore:
    """:class:`~sat_hook.store.event_store.EventStore` without a database."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.log: list[RecordedEvent] = []
        self.orders: dict[str, Order] = {}
        self.batches: dict[str, Batch] = {}
        self.accounts: dict[str, AccountStanding] = {}
        self.evidence: dict[str, StatusEvidence] = {}
        self._heads: dict[StreamId, int] = {}

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        conflicts = set()
        for change in changes:
            if self._heads.get(change.stream, 0) != change.expected_version:
                conflicts.add(change.stream)
                continue
            self._append_one(change, provenance, occurred_at)
        return frozenset(conflicts)

    def _append_one(self, change: Change, provenance: Provenance, occurred_at: datetime) -> None:
        for version, event in enumerate(change.events, change.expected_version + 1):
            data = event.to_text()
            self.log.append(
                RecordedEvent(
                    position=len(self.log) + 1,
                    stream=change.stream,
                    version=version,
                    type_name=event.type_name,
                    schema_version=event.schema_version,
                    data=data,
                    provenance=provenance,
                    occurred_at=occurred_at,
                    recorded_at=self._clock.now(),
                    digest=event_digest(
                        change.stream,
                        version,
                        event.type_name,
                        event.schema_version,
                        data,
                        provenance,
                        occurred_at,
                    ),
                )
            )
        self._heads[change.stream] = change.expected_version + len(change.events)
        for item in change.evidence:
            self.evidence.setdefault(item.digest, item)
        match change.after:
            case Order():
                self.orders[change.stream.key] = change.after
            case Batch():
                self.batches[change.stream.key] = change.after
            case AccountStanding():
                self.accounts[change.stream.key] = change.after

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        return {key: self.orders[key] for key in request_ids if key in self.orders}

    def load_batch(self, batch_id: str) -> Batch | None:
        return self.batches.get(batch_id)

    def load_account(self, account_id: str) -> AccountStanding | None:
        return self.accounts.get(account_id)

    def accounts_of_client(self, client: str) -> list[str]:
        return sorted(one.account for one in self.accounts.values() if client in one.clients)

    def orders_of_batch(self, which: OrderSlice, after_row: int = 0, limit: int = 1000) -> list[Order]:
        chosen = (
            order
            for order in self.orders.values()
            if order.batch_id == which.batch_id
            and order.state in which.states
            and which.first_row <= order.row_number <= which.last_row
            and order.row_number > after_row
        )
        return sorted(chosen, key=lambda order: order.row_number)[:limit]

    def orders_of_account(
        self, account: str, states: Sequence[OrderState], after_request_id: str = "", limit: int = 1000
    ) -> list[Order]:
        chosen = (
            order
            for order in self.orders.values()
            if order.account == account and order.state in states and order.request_id > after_request_id
        )
        return sorted(chosen, key=lambda order: order.request_id)[:limit]

    def count_by_state(self, batch_id: str) -> list[StateCount]:
        tally = StateTally()
        for order in self.orders.values():
            if order.batch_id == batch_id:
                tally.add(order)
        return tally.counts

    def needs(self, batch_ids: Sequence[str]) -> dict[str, tuple[Need, ...]]:
        return {batch_id: needs_of(self, batch_id) for batch_id in batch_ids}

    def read_stream(self, stream: StreamId) -> list[RecordedEvent]:
        return [recorded for recorded in self.log if recorded.stream == stream]

    def read_log(self, after_position: int, up_to_position: int, limit: int) -> list[RecordedEvent]:
        return self.log[after_position : min(up_to_position, after_position + limit)]

    def database_time(self) -> datetime:
        return self._clock.now()

    def horizon(self) -> int:
        return len(self.log)

    def close_position(self) -> int:
        return len(self.log)

    def as_of(self, position: int) -> StoreAsOf:
        return MemoryAsOf(self.log, position)


class MemoryAsOf(StoreAsOf):
    """The log up to the position, by stream."""

    def __init__(self, log: Sequence[RecordedEvent], position: int) -> None:
        super().__init__(position)
        self._streams: dict[StreamId, list[RecordedEvent]] = {}
        for recorded in log[:position]:
            self._streams.setdefault(recorded.stream, []).append(recorded)

    def _received(self, batch_id: str, after_position: int, up_to_position: int) -> list[tuple[int, str]]:
        return sorted(
            (event.row_number, stream.key)
            for stream, events in self._streams.items()
            if stream.kind is StreamKind.ORDER
            for recorded in events
            if after_position < recorded.position <= up_to_position
            for event in (recorded.event,)
            if isinstance(event, OrderReceived) and event.batch_id == batch_id
        )

    def _events_of(self, streams: Sequence[StreamId]) -> Iterator[RecordedEvent]:
        for stream in streams:
            yield from self._streams.get(stream, ())
