"""The port of the event store, implemented by PostgreSQL and in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sat_hook.domain.account import AccountStanding
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import RowsTakenIn, RowVerdict
from sat_hook.domain.console_users import ConsoleUser
from sat_hook.domain.event_record import Event, Provenance, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.export import Export
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.domain.rights_seen import RightsStanding
from sat_hook.domain.verifications import LogStanding
from sat_hook.domain.webhooks import WebhookStanding

if TYPE_CHECKING:
    from sat_hook.store.as_of import StoreAsOf


@dataclass(frozen=True, slots=True)
class StatusEvidence:
    """The exact signed text of a status, and its signature."""

    digest: str
    request_id: str
    body: str
    signature: str
    key_fingerprint: str
    observed_at: datetime

    def __repr__(self) -> str:
        return f"StatusEvidence(digest={self.digest}, request_id={self.request_id}, body=***)"


Document = (
    Order | Batch | AccountStanding | Export | ConsoleUser | LogStanding | RightsStanding | WebhookStanding
)
"""The projection that the store keeps beside a stream's events."""


@dataclass(frozen=True, slots=True)
class Change:
    """Events for one stream, fenced by the version they were decided on, and the fold after them.

    :param between: the folds after each event but the last. An order needs them (:meth:`of_order` has them).
    :param before: the order at the expected version; None for other streams and at an order's beginning.
    :raises ValueError: folds of an order are missing.
    """

    stream: StreamId
    expected_version: int
    events: tuple[Event, ...]
    after: Document
    evidence: tuple[StatusEvidence, ...] = ()
    between: tuple[Document, ...] = ()
    before: Order | None = None

    def __post_init__(self) -> None:
        if self.stream.kind is StreamKind.ORDER and len(self.between) != len(self.events) - 1:
            raise ValueError(
                f"{self.stream}: found {len(self.between)} folds between {len(self.events)} events; expected "
                "one less than events"
            )

    @classmethod
    def of_order(
        cls,
        request_id: str,
        before: Order | None,
        events: Sequence[Event],
        occurred_at: datetime,
        evidence: tuple[StatusEvidence, ...] = (),
    ) -> Change:
        """What ``events`` make of the order ``before`` when they happen at ``occurred_at``."""
        folds: list[Order] = []
        order = before
        for event in events:
            order = evolve(order, request_id, event, occurred_at)
            folds.append(order)
        return cls(
            StreamId(StreamKind.ORDER, request_id),
            before.version if before is not None else 0,
            tuple(events),
            folds[-1],
            evidence,
            tuple(folds[:-1]),
            before,
        )

    @property
    def steps(self) -> Iterable[tuple[Event, Document]]:
        """Each event with the fold after it, or with the last fold where those between are not given."""
        if not self.between:
            return ((event, self.after) for event in self.events)
        return zip(self.events, (*self.between, self.after), strict=True)


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many orders of a batch are in a state, and their rupiah."""

    state: OrderState
    orders: int
    quoted_rupiah: int
    charged_rupiah: int


class Need(NamedTuple):
    """Rows of a batch that need a person for the same reason.

    :param standing: ``refused`` for rows that did not become orders; otherwise the state of their orders.
    :param code: the reason.
    """

    standing: str
    code: str
    rows: int


@dataclass(frozen=True, slots=True)
class OrderSlice:
    """Selects orders of a batch by state and by an inclusive range of row numbers."""

    batch_id: str
    states: tuple[OrderState, ...] = tuple(OrderState)
    first_row: int = 1
    last_row: int = 2**31 - 1


class BatchReader(Protocol):
    """The data source of batch reports: the store now, or as of a position.

    Every method may raise :class:`~sat_hook.store.errors.StoreUnavailableError`.
    """

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        """The state of the orders that exist."""

    def load_batch(self, batch_id: str) -> Batch | None:
        """The state of a batch."""

    def orders_of_batch(self, which: OrderSlice, after_row: int = 0, limit: int = 1000) -> list[Order]:
        """A page of orders, ordered by row number, with ``row_number > after_row``."""

    def count_by_state(self, batch_id: str) -> list[StateCount]:
        """The orders of a batch by state, in the usual order of states; empty states are left out."""

    def needs(self, batch_ids: Sequence[str]) -> dict[str, tuple[Need, ...]]:
        """The rows of each batch that need a person, by reason, the most frequent first."""

    def read_stream(self, stream: StreamId) -> list[RecordedEvent]:
        """All events of one stream, by version."""


class EventStore(BatchReader, Protocol):
    """Append-only events with optimistic concurrency, and their projections.

    Every method may raise :class:`~sat_hook.store.errors.StoreUnavailableError`.
    """

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        """Append all changes whose stream is still at the expected version, in one transaction.

        :returns: the streams that were at another version; nothing was written to those. Each stream may
            appear only once.
        """

    def load_account(self, account_id: str) -> AccountStanding | None:
        """The standing of an account; None when it has no events."""

    def accounts_of_client(self, client: str) -> list[str]:
        """The accounts that have paid as a SAT client; one, unless two started at the same moment."""

    def orders_of_account(
        self, account: str, states: Sequence[OrderState], after_request_id: str = "", limit: int = 1000
    ) -> list[Order]:
        """A page of an account's orders in some states, ordered by request id."""

    def read_log(self, after_position: int, up_to_position: int, limit: int) -> list[RecordedEvent]:
        """A page of the log, by position."""

    def database_time(self) -> datetime:
        """The database's time, which all machines share, aware, in UTC."""

    def horizon(self) -> int:
        """The last settled position now: no event can still appear at or below it. 0 when the log is empty.

        An append in flight holds it back; readers that come again use it, because it never waits.
        """

    def close_position(self) -> int:
        """A settled position that covers every event committed before the call.

        It waits for appends in flight that began before those events; other appends go on.

        :raises StoreBusyError: when such an append does not end.
        """

    def as_of(self, position: int) -> StoreAsOf:
        """The store as of a settled position; see :func:`~sat_hook.store.as_of.as_of_position`."""


def each_order(store: BatchReader, which: OrderSlice, page: int = 1000) -> Iterator[Order]:
    """Every order of the slice, page by page, so that memory stays constant."""
    after_row = 0
    while orders := store.orders_of_batch(which, after_row, page):
        yield from orders
        after_row = orders[-1].row_number


def each_order_of_account(
    store: EventStore, account: str, states: Sequence[OrderState], page: int = 1000
) -> Iterator[Order]:
    """Every order of the account in one of the states, page by page."""
    after = ""
    while orders := store.orders_of_account(account, states, after, page):
        yield from orders
        after = orders[-1].request_id


def in_order_of_states(counts: Iterable[StateCount]) -> list[StateCount]:
    """The counts, with states in their usual order."""
    place = {state: number for number, state in enumerate(OrderState)}
    return sorted(counts, key=lambda count: place[count.state])


NEEDING_STATES = (OrderState.REJECTED, OrderState.HELD, OrderState.ESCALATED)
"""States of orders that need a person: to correct, to release or to decide."""


def needs_of(reader: BatchReader, batch_id: str) -> tuple[Need, ...]:
    """Compute :meth:`BatchReader.needs` of one batch from its events and orders."""
    counted: Counter[tuple[str, str]] = Counter()
    for recorded in reader.read_stream(StreamId(StreamKind.BATCH, batch_id)):
        if recorded.type_name == RowsTakenIn.__name__ and isinstance(event := recorded.event, RowsTakenIn):
            refused = (row for row in event.set_aside if row.verdict is RowVerdict.REFUSED)
            counted.update((RowVerdict.REFUSED.value, row.code) for row in refused)
    for order in each_order(reader, OrderSlice(batch_id, NEEDING_STATES)):
        counted[order.state.value, order.reason_code or ""] += 1
    return in_order_of_rows(Need(standing, code, rows) for (standing, code), rows in counted.items())


def in_order_of_rows(needs: Iterable[Need]) -> tuple[Need, ...]:
    """The most frequent first."""
    return tuple(sorted(needs, key=lambda need: (-need.rows, need.standing, need.code)))
