"""What can be done with many orders at once, and why an order is not decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sat_hook.application.decisions import OwnBatches
from sat_hook.application.errors import OwnBatchError
from sat_hook.application.rights import Right
from sat_hook.application.service import handler_on
from sat_hook.commands.handler import CommandResult, OrderCommandResult
from sat_hook.domain.decision import Refusal
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import OrderCommand, Withdraw
from sat_hook.domain.order_decisions import decide
from sat_hook.pipeline.guards import reopen
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_orders, held_command
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.pipeline.overrides import Resolution, ask_about, resolve_orders, resolving_command
from sat_hook.pipeline.withdrawal import withdraw_orders
from sat_hook.store.poll_schedule import PostgresPollSchedule
from sat_hook.store.postgres import PostgresEventStore

NOT_FOUND, NEVER_SENT, FAILED, OWN_BATCH = "not_found", "never_sent", "failed", "own_batch"


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


NEEDS_ANOTHER = frozenset({BulkAct.RELEASE, BulkAct.SUCCEEDED, BulkAct.FAILED, BulkAct.RESEND})
"""What the maker of an order's batch never does; see :mod:`sat_hook.application.decisions`."""


@dataclass(frozen=True, slots=True)
class Undone:
    """An order that cannot be decided.

    :param code: the refusal's reason, :data:`NOT_FOUND`, :data:`NEVER_SENT`, :data:`OWN_BATCH` or
        :data:`FAILED`.
    :param order_id: None when there is no such order; then ``batch_id`` and ``row_number`` are None, too.
    """

    request_id: str
    code: str
    text: str
    order_id: str | None = None
    batch_id: str | None = None
    row_number: int | None = None


class ActOnOrders:
    """An act of a user and what it needs.

    :param limits: the deployment's limits of resending.
    """

    def __init__(self, act: BulkAct, store: PostgresEventStore, limits: RecoveryLimits, user: str) -> None:
        self.act = act
        self._store = store
        self._limits = limits
        self._own = OwnBatches(store, user)
        self._handler = handler_on(store)

    def refusal(self, request_id: str, order: Order | None) -> Undone | None:
        """Why the order would not be decided now; None when it would. Changes nothing."""
        if order is None:
            return _undone(request_id, None, None)
        if text := self._refused_maker(order):
            return _undone(request_id, order, OwnBatchError(text))
        if self.act is BulkAct.RECHECK:
            return _undone(request_id, order, NEVER_SENT if order.state.was_never_sent else "")
        decision = decide(order, self._command(order))
        return _undone(request_id, order, decision) if isinstance(decision, Refusal) else None

    def decide(self, orders: Mapping[str, Order | None], reason: str, by: Provenance) -> list[Undone]:
        """Do it to some orders in one transaction. Returns those that it was not done to.

        :raises StepError: it could not be recorded.
        """
        makers = {key: self._refused_maker(order) for key, order in orders.items()}
        own = {key: OwnBatchError(text) for key, text in makers.items() if text}
        others = {key: order for key, order in orders.items() if key not in own}
        results = {**own, **(self._decide(others, reason, by) if others else {})}
        undone = (_undone(request_id, order, results.get(request_id)) for request_id, order in orders.items())
        return [one for one in undone if one is not None]

    def finish(self, orders: Mapping[str, Order | None], by: Provenance) -> None:
        """Do what follows from orders that were decided before a process died."""
        if self.act is BulkAct.RELEASE:
            for batch_id in {order.batch_id for order in orders.values() if order is not None}:
                reopen(self._handler, batch_id, by)

    def _refused_maker(self, order: Order | None) -> str | None:
        return self._own.refusal(order.batch_id) if order is not None and self.act in NEEDS_ANOTHER else None

    def _decide(
        self, orders: Mapping[str, Order | None], reason: str, by: Provenance
    ) -> Mapping[str, OrderCommandResult | str]:
        handler, request_ids = self._handler, list(orders)
        match self.act:
            case BulkAct.RELEASE | BulkAct.CANCEL:
                return {**decide_held_orders(handler, request_ids, HeldDecision(self.act), reason, by)}
            case BulkAct.SUCCEEDED | BulkAct.FAILED | BulkAct.RESEND:
                return {
                    **resolve_orders(handler, request_ids, Resolution(self.act), reason, by, self._limits)
                }
            case BulkAct.WITHDRAW:
                return {**withdraw_orders(handler, request_ids, reason, by)}
            case BulkAct.RECHECK:
                recorded = ask_about(handler, request_ids, reason, by)
                sent = [key for key, result in recorded.items() if result.is_accepted]
                schedule = PostgresPollSchedule(self._store.database)
                asked = set(schedule.ask_now(sent, handler.clock.now()))
                return {key: "" if key in asked else NEVER_SENT for key in request_ids}

    def _command(self, order: Order) -> OrderCommand:
        match self.act:
            case BulkAct.RELEASE | BulkAct.CANCEL:
                return held_command(HeldDecision(self.act), "")
            case BulkAct.WITHDRAW:
                return Withdraw("")
            case _:
                return resolving_command(order, Resolution(self.act), "", self._handler, self._limits)


def failed(request_id: str, order: Order | None, error: StepError) -> Undone:
    """An order about which nothing could be recorded."""
    undone = _undone(request_id, order, error)
    assert undone is not None
    return undone


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
        code, text = OWN_BATCH if isinstance(refusal, OwnBatchError) else FAILED, str(refusal)
    else:
        code, text = refusal, f"the order is {order.state.value}: SAT has never seen it"
    return Undone(request_id, code, text, order.order_id, order.batch_id, order.row_number)
