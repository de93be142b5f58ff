"""Reads what lists for people show: batches, orders, what needs a person, deposits, products, accounts.

Every statement reads a bounded number of rows by an index, however many orders there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.account import AccountStanding
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.prices import ListedProduct
from sat_hook.store.alerts import ToldAlert, told_alert
from sat_hook.store.database import Database
from sat_hook.store.event_store import StateCount
from sat_hook.store.log import recorded_from_row
from sat_hook.store.statements import queries

MAXIMUM_COUNTED = 10_000
"""More orders than this are not counted."""

MAXIMUM_LOOKED_AT = 20_000
"""Orders that one page over all batches looks at. A page may be short, and still have a next one."""

NEWEST_ALERTS = 10_000
NEWEST_CALLBACKS = 10_000

_OPEN_STATES = frozenset(
    {OrderState.HELD, OrderState.ESCALATED, OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN}
)
"""Few orders of many are in these; they have indexes of their own."""


class OrderSort(StrEnum):
    """What a list of orders is sorted by."""

    ROW = "row"
    AMOUNT = "amount"
    PRODUCT = "product"
    STATE = "state"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Selects orders. None selects all. Rupiah: what SAT charged, else the quote, else 0.

    :param text: the beginning of an order id or of a request id.
    :param client_number: the whole number.
    """

    batch_id: str | None = None
    account: str | None = None
    states: tuple[OrderState, ...] | None = None
    product_code: str | None = None
    reason_code: str | None = None
    least_rupiah: int | None = None
    most_rupiah: int | None = None
    text: str | None = None
    client_number: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether an index finds the orders, so that they can be sorted by anything."""
        return (
            self.batch_id is not None
            or self.text is not None
            or self.client_number is not None
            or (self.states is not None and _OPEN_STATES.issuperset(self.states))
        )


class OrderPlace(NamedTuple):
    """Where in a sorted list an order is."""

    number: int
    word: str
    batch_id: str
    row_number: int


class ChangePlace(NamedTuple):
    """Where in the list of last changes an order is."""

    changed_at: datetime
    request_id: str


class FoundOrder(NamedTuple):
    """An order of a list. ``changed_at``: when its last event occurred."""

    order: Order
    changed_at: datetime
    file_name: str


@dataclass(frozen=True, slots=True)
class FoundOrders:
    """A page of orders.

    :param following: where the next page begins; None at the end.
    :param count: how many there are, at most one more than :data:`MAXIMUM_COUNTED`; None when not counted.
    """

    orders: list[FoundOrder]
    following: OrderPlace | ChangePlace | None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """Selects batches. None selects all.

    :param text: a part of the file's name or of the reference.
    :param submitted_by: the actor who submitted it.
    """

    account: str | None = None
    submitted_by: str | None = None
    text: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    states: tuple[BatchState, ...] | None = None
    is_withdrawn: bool | None = None
    is_rejected: bool | None = None


class FoundBatch(NamedTuple):
    """A batch of a list, with the actor who submitted it."""

    batch: Batch
    submitted_by: str
    submitted_at: datetime


class BatchPlace(NamedTuple):
    """Where in the list of batches a batch is."""

    submitted_at: datetime
    batch_id: str


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How the orders of a batch stand.

    :param unreserved_rupiah: the quotes of its orders for which no funds are reserved.
    """

    states: tuple[StateCount, ...] = ()
    unreserved_rupiah: int = 0


class LastEvent(NamedTuple):
    """When an event occurred, and who recorded it."""

    at: datetime
    actor: str


class WaitingOrders(NamedTuple):
    """Orders of an account that wait for a person, and since when the first of them."""

    account: str
    state: OrderState
    orders: int
    since: datetime


class UntoldAlerts(NamedTuple):
    """Alerts of one kind that reached no person."""

    account: str
    kind: str
    alerts: int
    since: datetime


class SaldoPoint(NamedTuple):
    """What a deposit held."""

    observed_at: datetime
    saldo_rupiah: int


class FoundProduct(NamedTuple):
    """A product as it was listed last; ``gone_at`` is None while it is listed."""

    account: str
    product: ListedProduct
    changed_at: datetime
    gone_at: datetime | None


class KeptEvidence(NamedTuple):
    """A signed status that is kept, without its contents."""

    digest: str
    signature: str
    key_fingerprint: str
    observed_at: datetime
    recorded_at: datetime


class ListingStore:
    """Reads lists with any role that may read. Every method may raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._listings = queries("listings")

    def batches(self, which: BatchFilter, after: BatchPlace | None, limit: int) -> list[FoundBatch]:
        """A page of batches, the newest first."""
        with self.database.transaction() as connection:
            rows = list(
                self._listings.batches(
                    connection,
                    account=which.account,
                    submitted_by=which.submitted_by,
                    text=which.text,
                    since=which.since,
                    before=which.before,
                    states=None if which.states is None else [state.value for state in which.states],
                    withdrawn=which.is_withdrawn,
                    rejected=which.is_rejected,
                    after_at=None if after is None else after.submitted_at,
                    after_id=None if after is None else after.batch_id,
                    limit=limit,
                )
            )
        return [_found_batch(row) for row in rows]

    def batches_of(self, batch_ids: Sequence[str]) -> dict[str, FoundBatch]:
        """The batches that exist, by id."""
        with self.database.transaction() as connection:
            rows = list(self._listings.batches_of(connection, batch_ids=list(batch_ids)))
        return {row[0]: _found_batch(row) for row in rows}

    def quoted_batches(self) -> list[FoundBatch]:
        """The batches that wait for an approval or for funds, or that are being paid."""
        with self.database.transaction() as connection:
            return [_found_batch(row) for row in self._listings.quoted_batches(connection)]

    def counts(self, batch_ids: Sequence[str]) -> dict[str, BatchCounts]:
        """How the orders of each batch stand."""
        found: dict[str, list[tuple[StateCount, int]]] = {batch_id: [] for batch_id in batch_ids}
        with self.database.transaction() as connection:
            for batch_id, state, orders, quoted, charged, unreserved in self._listings.order_counts(
                connection, batch_ids=list(batch_ids)
            ):
                found[batch_id].append((StateCount(OrderState(state), orders, quoted, charged), unreserved))
        place = {state: number for number, state in enumerate(OrderState)}
        return {
            batch_id: BatchCounts(
                tuple(sorted((count for count, _ in counts), key=lambda count: place[count.state])),
                sum(unreserved for _, unreserved in counts),
            )
            for batch_id, counts in found.items()
        }

    def refused_rows(self, batch_ids: Sequence[str]) -> dict[str, int]:
        """How many rows of each batch became no order, and are no other batch's order either."""
        streams = [str(StreamId(StreamKind.BATCH, batch_id)) for batch_id in batch_ids]
        with self.database.transaction() as connection:
            return {
                batch_id: int(rows)
                for batch_id, rows in self._listings.refused_rows(connection, streams=streams)
            }

    def batch_events(self, batch_id: str) -> list[RecordedEvent]:
        """The events of a batch, without those that say which rows it took in."""
        stream = str(StreamId(StreamKind.BATCH, batch_id))
        with self.database.transaction() as connection:
            return [recorded_from_row(row) for row in self._listings.batch_events(connection, stream=stream)]

    def last_events(self, streams: Sequence[StreamId], types: Sequence[str]) -> dict[StreamId, LastEvent]:
        """The last event of some types in each stream that has one."""
        with self.database.transaction() as connection:
            rows = self._listings.last_events(connection, streams=list(map(str, streams)), types=list(types))
            return {StreamId.parse(stream): LastEvent(*rest) for stream, *rest in rows}

    def accounts(self) -> list[str]:
        """Every account that had a batch or another event."""
        with self.database.transaction() as connection:
            return [account for (account,) in self._listings.accounts(connection)]

    def orders(
        self,
        which: OrderFilter,
        sort: OrderSort,
        after: OrderPlace | None,
        limit: int,
        *,
        descending: bool = False,
        counted: bool = False,
    ) -> FoundOrders:
        """A page of orders that an index finds (:attr:`OrderFilter.is_narrow`), in any order."""
        arguments = {
            **_ways_of(which),
            **_filters_of(which),
            "sort": sort.value,
            "descending": descending,
            "after_number": None if after is None else after.number,
            "after_word": None if after is None else after.word,
            "after_batch": None if after is None else after.batch_id,
            "after_row": None if after is None else after.row_number,
            "most": MAXIMUM_COUNTED + 1 if counted else None,
            "limit": limit + 1,
        }
        with self.database.transaction() as connection:
            arguments["accounts"] = self._accounts_of(connection, which)
            rows = list(self._listings.orders(connection, **arguments))
        count = rows[0][0]
        found = [(_found_order(row[1:4]), row[4], row[5]) for row in rows if row[1] is not None]
        following = None
        if len(found) > limit:
            last, number, word = found[limit - 1]
            following = OrderPlace(number, word, last.order.batch_id, last.order.row_number)
        return FoundOrders([order for order, _, _ in found[:limit]], following, count)

    def orders_changed(self, which: OrderFilter, after: ChangePlace | None, limit: int) -> FoundOrders:
        """A page of the orders of all batches, the last change first.

        A page may be short, or empty, while there are more: at most :data:`MAXIMUM_LOOKED_AT` orders are
        looked at. Filters that an index serves are for :meth:`orders`.
        """
        place: dict[str, Any] = {
            "after_at": None if after is None else after.changed_at,
            "after_request": None if after is None else after.request_id,
            "looked": MAXIMUM_LOOKED_AT,
        }
        filters = _filters_of(which)
        filters["accounts"] = None if which.account is None else [which.account]
        with self.database.transaction() as connection:
            found = [
                _found_order(row)
                for row in self._listings.orders_changed(connection, **filters, **place, limit=limit + 1)
            ]
            if len(found) > limit:
                last = found[limit - 1]
                following = ChangePlace(last.changed_at, last.order.request_id)
                return FoundOrders(found[:limit], following)
            ends = list(self._listings.looked_up_to(connection, **place))
        return FoundOrders(found, ChangePlace(*ends[0]) if ends else None)

    def evidence_of(self, request_id: str) -> list[KeptEvidence]:
        """The signed statuses of an order."""
        with self.database.transaction() as connection:
            rows = list(self._listings.kept_evidence_of(connection, request_id=request_id))
        return [KeptEvidence(*row) for row in rows]

    def alerts_about(self, keys: Sequence[str]) -> list[ToldAlert]:
        """The alerts that were raised under these keys."""
        with self.database.transaction() as connection:
            return [told_alert(row) for row in self._listings.alerts_about(connection, keys=list(keys))]

    def orders_for_people(self) -> list[WaitingOrders]:
        """Held and escalated orders by account."""
        with self.database.transaction() as connection:
            rows = list(self._listings.orders_for_people(connection))
        return [WaitingOrders(account, OrderState(state), *rest) for account, state, *rest in rows]

    def untold_alerts(self) -> list[UntoldAlerts]:
        """Of the newest alerts, those that reached no person."""
        with self.database.transaction() as connection:
            rows = list(self._listings.untold_alerts(connection, looked=NEWEST_ALERTS))
        return [UntoldAlerts(*row) for row in rows]

    def standings(self) -> list[AccountStanding]:
        """The accounts with events."""
        with self.database.transaction() as connection:
            return [AccountStanding.model_validate(row[0]) for row in self._listings.standings(connection)]

    def daily_observations(self, account: str, since: datetime, days: int) -> list[SaldoPoint]:
        """What the deposit held at the end of each day, on the days on which it was observed."""
        with self.database.transaction() as connection:
            rows = list(
                self._listings.daily_observations(connection, account=account, since=since, days=days)
            )
        return [SaldoPoint(*row) for row in rows]

    def products(
        self, accounts: Sequence[str], text: str | None, after: tuple[str, str] | None, limit: int
    ) -> list[FoundProduct]:
        """A page of products by account and code, as they were listed last.

        :param text: a part of the code, the name or the operator's name.
        """
        after_account, after_code = after or (None, None)
        with self.database.transaction() as connection:
            rows = list(
                self._listings.products(
                    connection,
                    accounts=list(accounts),
                    text=text,
                    after_account=after_account,
                    after_code=after_code,
                    limit=limit,
                )
            )
        return [FoundProduct(row[0], ListedProduct(*row[1:8]), row[8], row[9]) for row in rows]

    def last_callback(self, account: str) -> tuple[datetime, str] | None:
        """When the last callback came, and the fingerprint of its key; None if it is not among the newest."""
        with self.database.transaction() as connection:
            rows = list(self._listings.last_callback(connection, account=account, looked=NEWEST_CALLBACKS))
        return tuple(rows[0]) if rows else None

    def last_answer(self, account: str) -> datetime | None:
        """When SAT last gave this account an answer that is kept."""
        with self.database.transaction() as connection:
            found = self._listings.last_answer(connection, account=account)
        assert found is None or isinstance(found, datetime)
        return found

    def _accounts_of(self, connection: Connection, which: OrderFilter) -> list[str] | None:
        if which.account is not None:
            return [which.account]
        if which.batch_id is not None:
            return None
        return [account for (account,) in self._listings.accounts(connection)]


def _ways_of(which: OrderFilter) -> dict[str, Any]:
    """How the orders are found, and what the ways need."""
    if which.batch_id is not None:
        way = "batch"
    elif which.client_number is not None:
        way = "number"
    else:
        way = "text" if which.text is not None else "open"
    text = which.text
    beginning = None if text is None else text.upper()
    return {
        "way": way,
        "batch_id": which.batch_id,
        "client_number": which.client_number,
        "text_pattern": None if text is None else f"{_escaped(text)}%",
        "request_from": beginning,
        # Request ids are S and 31 characters of A-Z and 2-7: nothing that begins so comes after this.
        "request_to": None if beginning is None else beginning.ljust(32, "Z"),
    }


def _filters_of(which: OrderFilter) -> dict[str, Any]:
    return {
        "states": None if which.states is None else [state.value for state in which.states],
        "product_code": which.product_code,
        "reason_code": which.reason_code,
        "least_rupiah": which.least_rupiah,
        "most_rupiah": which.most_rupiah,
    }


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _found_batch(row: Sequence[Any]) -> FoundBatch:
    return FoundBatch(Batch.model_validate(row[1]), row[2], row[3])


def _found_order(row: Sequence[Any]) -> FoundOrder:
    return FoundOrder(Order.model_validate_json(row[0]), row[1], row[2])
