"""Decisions in bulk: one decision about many orders, chosen one by one or by a filter.

:meth:`BulkDecisions.preview` says what will happen and what cannot be done. :meth:`BulkDecisions.begin` keeps
the decision with the orders that were shown; see :mod:`~sat_hook.application.kept_decisions`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from sat_hook.application.decision_acts import RIGHTS, ActOnOrders, BulkAct, Undone
from sat_hook.application.errors import SelectionChangedError
from sat_hook.application.kept_decisions import SHOWN_UNDONE, KeptDecisions
from sat_hook.application.rights import Person
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.grouping import ORDERS_A_COMMIT, grouped
from sat_hook.domain.guards import amount_of
from sat_hook.domain.order import Order
from sat_hook.store.bulk_decisions import Shown, ShownPart
from sat_hook.store.order_lists import OrderFilter, OrderLists, OrderPlace, OrderSort

MAXIMUM_ORDERS = 100_000
ORDERS_A_PART = ORDERS_A_COMMIT
READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """The orders of a decision: by request id, or by a filter that names a batch or open states."""

    request_ids: tuple[str, ...] = ()
    which: OrderFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPreview:
    """What a decision will do. Rupiah: an order counts for the larger of quote and charge.

    :param digest: names exactly these orders as they are; :meth:`BulkDecisions.begin` repeats it.
    :param by_standing: orders and rupiah of those that will be decided, by state and reason.
    :param batch_ids: their batches. The next run of a batch sends what is released or may be sent again.
    :param undone: the first orders that cannot be decided; ``undone_by_code`` counts all of them.
    """

    act: BulkAct
    digest: str
    orders: int
    rupiah: int
    by_standing: Mapping[tuple[str, str | None], tuple[int, int]]
    batch_ids: tuple[str, ...]
    undone: tuple[Undone, ...]
    undone_by_code: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BulkDecisions(KeptDecisions):
    """Decisions about many orders.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for the act,
    and those that choose orders :class:`~sat_hook.commands.errors.OverrideRefusedError` for a filter that no
    index serves, a filter by client number, or more than :data:`MAXIMUM_ORDERS` orders.
    """

    about = BulkAct

    def preview(self, act: BulkAct, chosen: Chosen, person: Person) -> BulkPreview:
        """What the act would do to the chosen orders now. Changes nothing."""
        person.require(*RIGHTS[act])
        acting, digest = self._acting(act, person), hashlib.sha256()
        standing: dict[tuple[str, str | None], list[int]] = {}
        undone: list[Undone] = []
        batch_ids: dict[str, None] = {}
        for request_id, order in self._chosen(chosen):
            _add_to(digest.update, request_id, order)
            if (refused := acting.refusal(request_id, order)) is not None:
                undone.append(refused)
                continue
            assert order is not None
            counted = standing.setdefault((order.state.value, order.reason_code), [0, 0])
            counted[0] += 1
            counted[1] += amount_of(order)
            batch_ids[order.batch_id] = None
        return BulkPreview(
            act=act,
            digest=digest.hexdigest(),
            orders=sum(orders for orders, _ in standing.values()),
            rupiah=sum(rupiah for _, rupiah in standing.values()),
            by_standing={
                key: (orders, rupiah) for key, (orders, rupiah) in sorted(standing.items(), key=str)
            },
            batch_ids=tuple(batch_ids),
            undone=tuple(undone[:SHOWN_UNDONE]),
            undone_by_code=dict(Counter(one.code for one in undone)),
        )

    def begin(self, act: BulkAct, chosen: Chosen, digest: str, reason: str, person: Person) -> str:
        """Decide what the preview showed, from now on. The same decision, sent again meanwhile, is one.

        :param digest: what the preview showed.
        :returns: the decision's id, for :meth:`find`.
        :raises ReasonRefusedError: no reason is given.
        :raises SelectionChangedError: the orders have changed since the preview.
        """
        person.require(*RIGHTS[act])
        reason, found = checked_reason(reason), hashlib.sha256()
        shown: list[Shown] = []
        for request_id, order in self._chosen(chosen):
            _add_to(found.update, request_id, order)
            shown.append(Shown(request_id, *((0, 0) if order is None else (order.version, amount_of(order)))))
        if found.hexdigest() != digest:
            raise SelectionChangedError(
                f"the chosen orders have changed since they were shown (now {len(shown)}); look at them again"
            )
        parts = [ShownPart("", part) for part in grouped(shown, ORDERS_A_PART)]
        return self.keep(act, digest, reason, person, parts)

    def _chosen(self, chosen: Chosen) -> Iterator[tuple[str, Order | None]]:
        """The chosen orders, in a fixed order; None for an id that no order has."""
        which, ids = chosen.which, list(dict.fromkeys(chosen.request_ids))
        is_served = which is None or (which.is_narrow and which.client_number is None)
        if not is_served or (which is None) == (not ids):
            raise OverrideRefusedError(
                "orders: expected either request ids, or a filter that names a batch, the beginning of an id "
                "or open states, and no client number"
            )
        if len(ids) > MAXIMUM_ORDERS:
            raise _too_many(len(ids))
        store = self.store
        for start in range(0, len(ids), READ_AT_ONCE):
            group = ids[start : start + READ_AT_ONCE]
            found = store.load_orders(group)
            yield from ((request_id, found.get(request_id)) for request_id in group)
        if which is not None:
            yield from self._filtered(which)

    def _filtered(self, which: OrderFilter) -> Iterator[tuple[str, Order]]:
        lists = OrderLists(self.database)
        if which.account is not None:
            which = replace(which, account=self.account_of(which.account))
        after: OrderPlace | None = None
        number = 0
        while True:
            page = lists.orders(which, OrderSort.ROW, after, READ_AT_ONCE)
            number += len(page.orders)
            if number > MAXIMUM_ORDERS:
                raise _too_many(number)
            yield from ((found.order.request_id, found.order) for found in page.orders)
            if page.following is None:
                return
            assert isinstance(page.following, OrderPlace)
            after = page.following

    def _acting(self, act: BulkAct, person: Person) -> ActOnOrders:
        limits = self.installation.settings().recovery
        return ActOnOrders(act, self.store, limits, person.name)


def _add_to(update: Callable[[bytes], None], request_id: str, order: Order | None) -> None:
    """An order's version names its state: whatever happens to it makes another digest."""
    update(f"{request_id} {0 if order is None else order.version}\n".encode("ascii", "replace"))


def _too_many(number: int) -> OverrideRefusedError:
    return OverrideRefusedError(
        f"orders: found {number} or more; expected at most {MAXIMUM_ORDERS} at once: narrow the filter"
    )
