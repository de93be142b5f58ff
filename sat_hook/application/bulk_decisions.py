"""Decisions in bulk: one decision about many orders, chosen one by one or by a filter.

:meth:`BulkDecisions.preview` says what will happen and what cannot be done. :meth:`BulkDecisions.apply` does
it in groups, each its own transaction, and goes on after a failure. Both use the single decisions' commands.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sat_hook.application.installation import Installation
from sat_hook.application.person import Person
from sat_hook.application.rights import Right
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler, CommandResult, OrderCommandResult
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.decision import Refusal
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.domain.guards import amount_of
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import OrderCommand, Withdraw
from sat_hook.domain.order_decisions import decide
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_orders, held_command
from sat_hook.pipeline.overrides import Resolution, resolve_orders, resolving_command
from sat_hook.pipeline.withdrawal import withdraw_orders
from sat_hook.store.clock import shared_clock
from sat_hook.store.listings import ListingStore, OrderFilter, OrderPlace, OrderSort
from sat_hook.store.poll_schedule import PostgresPollSchedule

MAXIMUM_ORDERS = 100_000
READ_AT_ONCE = 1_000
SHOWN_UNDONE = 1_000
"""Orders that cannot be decided are named up to so many; all are counted."""

NOT_FOUND, NEVER_SENT, FAILED = "not_found", "never_sent", "failed"


class BulkAct(StrEnum):
    """What is done to each order."""

    RELEASE = "release"
    CANCEL = "cancel"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RESEND = "resend"
    RECHECK = "recheck"
    WITHDRAW = "withdraw"


RIGHTS: Mapping[BulkAct, tuple[Right, ...]] = {
    **dict.fromkeys(BulkAct, (Right.DECIDE,)),
    BulkAct.WITHDRAW: (Right.SUBMIT, Right.DECIDE),
    BulkAct.RECHECK: (Right.SUBMIT, Right.DECIDE),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The orders of a decision: by request id, or by a filter that names a batch or open states."""

    request_ids: tuple[str, ...] = ()
    which: OrderFilter | None = None


@dataclass(frozen=True, slots=True)
class Undone:
    """An order that cannot be decided.

    :param code: the refusal's reason, :data:`NOT_FOUND`, :data:`NEVER_SENT` or :data:`FAILED`.
    :param order_id: None when there is no such order; then ``batch_id`` and ``row_number`` are None, too.
    """

    request_id: str
    code: str
    text: str
    order_id: str | None = None
    batch_id: str | None = None
    row_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPreview:
    """What a decision will do. Rupiah: an order counts for the larger of quote and charge.

    :param digest: names exactly these orders as they are; :meth:`BulkDecisions.apply` repeats it.
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


@dataclass(slots=True, kw_only=True)
class BulkProgress:
    """How far a decision is. ``undone`` holds the first orders that were not decided, and why."""

    orders: int
    done: int = 0
    done_rupiah: int = 0
    undone: list[Undone] = field(default_factory=list)
    undone_by_code: Counter[str] = field(default_factory=Counter)

    @property
    def looked_at(self) -> int:
        """The orders that were decided or refused so far."""
        return self.done + self.undone_by_code.total()

    def add_undone(self, undone: Undone) -> None:
        """Count an order that was not decided."""
        self.undone_by_code[undone.code] += 1
        if len(self.undone) < SHOWN_UNDONE:
            self.undone.append(undone)


class SelectionChangedError(StepError):
    """The chosen orders are not those that the preview showed; nothing was decided."""

    is_worth_a_retry = False


@dataclass(frozen=True, slots=True)
class BulkDecisions:
    """Decisions about many orders.

    Every method raises :class:`~sat_hook.application.person.RightMissingError` without the right for the act,
    and :class:`~sat_hook.commands.errors.OverrideRefusedError` for a filter that no index serves, a filter by
    client number, or more than :data:`MAXIMUM_ORDERS` orders.
    """

    installation: Installation

    def preview(self, act: BulkAct, chosen: Chosen, person: Person) -> BulkPreview:
        """What the act would do to the chosen orders now. Changes nothing."""
        person.require(*RIGHTS[act])
        handler, digest = self._handler(), hashlib.sha256()
        standing: dict[tuple[str, str | None], list[int]] = {}
        refused = BulkProgress(orders=0)
        batch_ids: dict[str, None] = {}
        for request_id, order in self._chosen(chosen):
            _add_to(digest.update, request_id, order)
            refused.orders += 1
            if (undone := self._refusal(handler, act, request_id, order)) is not None:
                refused.add_undone(undone)
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
            undone=tuple(refused.undone),
            undone_by_code=dict(refused.undone_by_code),
        )

    def apply(
        self, act: BulkAct, chosen: Chosen, digest: str, reason: str, person: Person
    ) -> Iterator[BulkProgress]:
        """Do it, group by group. Yields the same progress after each group; the last one is the result.

        :param digest: what the preview showed.
        :raises ReasonRefusedError: no reason is given.
        :raises SelectionChangedError: the orders have changed since the preview.
        :raises StoreUnavailableError: the database is away. A new preview shows what was decided before.
        """
        person.require(*RIGHTS[act])
        reason, found, shown = checked_reason(reason), hashlib.sha256(), []
        for request_id, order in self._chosen(chosen):
            _add_to(found.update, request_id, order)
            shown.append((request_id, order))
        if found.hexdigest() != digest:
            raise SelectionChangedError(
                f"the chosen orders have changed since they were shown (now {len(shown)}); look at them again"
            )
        return self._applied(act, shown, reason, person)

    def _applied(
        self, act: BulkAct, shown: Sequence[tuple[str, Order | None]], reason: str, person: Person
    ) -> Iterator[BulkProgress]:
        progress, handler = BulkProgress(orders=len(shown)), self._handler()
        for group in grouped(shown):
            orders = dict(group)
            try:
                results = self._decide(act, handler, list(orders), reason, person.by(act))
            except StepError as error:
                # A new preview shows what of this group was decided. The other groups go on.
                results = dict.fromkeys(orders, error)
            for request_id, order in orders.items():
                undone = _undone(request_id, order, results.get(request_id))
                if undone is not None:
                    progress.add_undone(undone)
                    continue
                progress.done += 1
                progress.done_rupiah += amount_of(order) if order is not None else 0
            yield progress

    def _decide(
        self,
        act: BulkAct,
        handler: CommandHandler,
        request_ids: Sequence[str],
        reason: str,
        by: Provenance,
    ) -> dict[str, OrderCommandResult | StepError | str]:
        match act:
            case BulkAct.RELEASE | BulkAct.CANCEL:
                return {**decide_held_orders(handler, request_ids, HeldDecision(act), reason, by)}
            case BulkAct.SUCCEEDED | BulkAct.FAILED | BulkAct.RESEND:
                recovery = self.installation.settings().recovery
                return {**resolve_orders(handler, request_ids, Resolution(act), reason, by, recovery)}
            case BulkAct.WITHDRAW:
                return {**withdraw_orders(handler, request_ids, reason, by)}
            case BulkAct.RECHECK:
                schedule = PostgresPollSchedule(self.installation.store().database)
                asked = set(schedule.ask_now(request_ids, handler.clock.now()))
                return {key: "" if key in asked else NEVER_SENT for key in request_ids}

    def _refusal(
        self, handler: CommandHandler, act: BulkAct, request_id: str, order: Order | None
    ) -> Undone | None:
        if order is None:
            return _undone(request_id, None, None)
        if act is BulkAct.RECHECK:
            return _undone(request_id, order, NEVER_SENT if order.state.was_never_sent else "")
        decision = decide(order, self._command(handler, act, order))
        return _undone(request_id, order, decision) if isinstance(decision, Refusal) else None

    def _command(self, handler: CommandHandler, act: BulkAct, order: Order) -> OrderCommand:
        match act:
            case BulkAct.RELEASE | BulkAct.CANCEL:
                return held_command(HeldDecision(act), "")
            case BulkAct.WITHDRAW:
                return Withdraw("")
            case _:
                recovery = self.installation.settings().recovery
                return resolving_command(order, Resolution(act), "", handler, recovery)

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
        store = self.installation.store()
        for start in range(0, len(ids), READ_AT_ONCE):
            group = ids[start : start + READ_AT_ONCE]
            found = store.load_orders(group)
            yield from ((request_id, found.get(request_id)) for request_id in group)
        if which is not None:
            yield from self._filtered(which)

    def _filtered(self, which: OrderFilter) -> Iterator[tuple[str, Order]]:
        listings = ListingStore(self.installation.store().database)
        if which.account is not None:
            which = replace(which, account=self.installation.accounts.account_of(which.account))
        after: OrderPlace | None = None
        number = 0
        while True:
            page = listings.orders(which, OrderSort.ROW, after, READ_AT_ONCE)
            number += len(page.orders)
            if number > MAXIMUM_ORDERS:
                raise _too_many(number)
            yield from ((found.order.request_id, found.order) for found in page.orders)
            if page.following is None:
                return
            assert isinstance(page.following, OrderPlace)
            after = page.following

    def _handler(self) -> CommandHandler:
        store = self.installation.store()
        return CommandHandler(store, shared_clock(store, SystemClock()))


def _add_to(update: Callable[[bytes], None], request_id: str, order: Order | None) -> None:
    """An order's version names its state: whatever happens to it makes another digest."""
    update(f"{request_id} {0 if order is None else order.version}\n".encode("ascii", "replace"))


def _undone(
    request_id: str,
    order: Order | None,
    result: OrderCommandResult | Refusal | StepError | str | None,
) -> Undone | None:
    """Why an order is not decided; None when it is."""
    if order is None or result is None:
        return Undone(request_id, NOT_FOUND, f"there is no order with request id {request_id}")
    refusal = result.refusal if isinstance(result, CommandResult) else result
    if not refusal:
        return None
    if isinstance(refusal, Refusal):
        code, text = refusal.reason.value, refusal.detail or f"the order is {order.state.value}"
    elif isinstance(refusal, StepError):
        code, text = FAILED, str(refusal)
    else:
        code, text = refusal, f"the order is {order.state.value}: SAT has never seen it"
    return Undone(request_id, code, text, order.order_id, order.batch_id, order.row_number)


def _too_many(number: int) -> OverrideRefusedError:
    return OverrideRefusedError(
        f"orders: found {number} or more; expected at most {MAXIMUM_ORDERS} at once: narrow the filter"
    )
