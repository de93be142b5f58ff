"""Reads lists of orders: of a batch, of all batches, and what belongs to one of them.

Every statement reads a bounded number of rows by an index, however many orders there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.order import Order, OrderState
from sat_hook.store.alerts import ToldAlert, told_alert
from sat_hook.store.order_rows import order_of
from sat_hook.store.statements import Statements, queries

MAXIMUM_COUNTED = 10_000
"""More orders than this are not counted."""

MAXIMUM_LOOKED_AT = 20_000
"""Orders that one page over all batches looks at. A page may be short, and still have a next one."""

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

    @classmethod
    def of(cls, row: Sequence[Any], file_name: str) -> FoundOrder:
        """The order of a row of ``sat.order_rows``, with the file of its batch."""
        return cls(order_of(row), row[-1], file_name)


@dataclass(frozen=True, slots=True)
class FoundOrders:
    """A page of orders.

    :param following: where the next page begins; None at the end.
    :param count: how many there are, at most one more than :data:`MAXIMUM_COUNTED`; None when not counted.
    """

    orders: list[FoundOrder]
    following: OrderPlace | ChangePlace | None
    count: int | None = None


class WaitingOrders(NamedTuple):
    """Orders of an account that wait for a person, and since when the first of them."""

    account: str
    state: OrderState
    orders: int
    since: datetime


class KeptEvidence(NamedTuple):
    """A signed status that is kept, without its contents."""

    digest: str
    signature: str
    key_fingerprint: str
    observed_at: datetime
    recorded_at: datetime


class OrderLists(Statements, room="order_lists"):
    """Reads with any role that may read."""

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
        with self._database.transaction() as connection:
            arguments["accounts"] = self._accounts_of(connection, which)
            rows = list(self._sql.orders(connection, **arguments))
        count = rows[0][0]
        found = [
            (FoundOrder.of(order, file_name), number, word)
            for _, file_name, number, word, *order in rows
            if order[0] is not None
        ]
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
        with self._database.transaction() as connection:
            found = [
                FoundOrder.of(order, file_name)
                for file_name, *order in self._sql.orders_changed(
                    connection, **filters, **place, limit=limit + 1
                )
            ]
            if len(found) > limit:
                last = found[limit - 1]
                following = ChangePlace(last.changed_at, last.order.request_id)
                return FoundOrders(found[:limit], following)
            ends = list(self._sql.looked_up_to(connection, **place))
        return FoundOrders(found, ChangePlace(*ends[0]) if ends else None)

    def evidence_of(self, request_id: str) -> list[KeptEvidence]:
        """The signed statuses of an order."""
        return [KeptEvidence(*row) for row in self._run(self._sql.kept_evidence_of, request_id=request_id)]

    def alerts_about(self, keys: Sequence[str]) -> list[ToldAlert]:
        """The alerts that were raised under these keys."""
        return [told_alert(row) for row in self._run(self._sql.alerts_about, keys=list(keys))]

    def orders_for_people(self) -> list[WaitingOrders]:
        """Held and escalated orders by account."""
        rows = self._run(self._sql.orders_for_people)
        return [WaitingOrders(account, OrderState(state), *rest) for account, state, *rest in rows]

    def _accounts_of(self, connection: Connection, which: OrderFilter) -> list[str] | None:
        if which.account is not None:
            return [which.account]
        if which.batch_id is not None:
            return None
        return [account for (account,) in queries("account_lists").accounts(connection)]


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
