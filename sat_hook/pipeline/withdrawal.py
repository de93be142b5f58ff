"""Withdrawal: a person ends orders that were not sent yet.

Withdrawing and sending are fenced by the same version of the order, so the first one wins and an order is
either withdrawn or sent. The reservation of a withdrawn order is free at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult, load_batch
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import RefuseBatch, WithdrawBatch
from sat_hook.domain.decision import Refusal, RefusalReason
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Withdraw
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.store.event_store import OrderSlice, each_order

UNSENT = (OrderState.RECEIVED, OrderState.QUOTED, OrderState.HELD)
REFUSAL_CODE = "withdrawn"


@dataclass(frozen=True, slots=True)
class WithdrawalReport:
    """The number of orders withdrawn from a batch, and of those that may have been sent and go on."""

    withdrawn: int
    may_have_been_sent: int


def withdraw_order(handler: CommandHandler, request_id: str, reason: str, provenance: Provenance) -> Order:
    """End one order that was not sent yet.

    :raises OrderNotFoundError: when there is no such order.
    :raises OverrideRefusedError: when it may have been sent or has ended, or no reason is given.
    """
    done = withdraw_orders(handler, [request_id], reason, provenance)[request_id]
    if done.after is None:
        raise OrderNotFoundError(f"there is no order with request id {request_id}")
    if done.refusal is not None:
        raise OverrideRefusedError(
            f"order {done.after.order_id!r} ({request_id}): {_why(done.refusal)}; expected an order that was "
            "not sent yet"
        )
    return done.after


def withdraw_orders(
    handler: CommandHandler, request_ids: Sequence[str], reason: str, provenance: Provenance
) -> dict[str, OrderCommandResult]:
    """End some orders in one transaction; one that may have been sent, or has ended, refuses."""
    command = Withdraw(checked_reason(reason))
    return handler.apply([OrderCommandRequest(key, command) for key in request_ids], provenance)


def withdraw_batch(
    handler: CommandHandler, batch_id: str, reason: str, provenance: Provenance
) -> WithdrawalReport:
    """End every order of a batch that was not sent yet. Orders that may have been sent go on to their end.

    The batch is marked first, so no run reads rows, reserves or asks for approval meanwhile. An interrupted
    withdrawal is finished when it is requested again, or by the next task of the batch. A batch of which no
    order was ever sent is refused as a whole.

    :raises BatchNotFoundError: when there is no such batch.
    :raises OverrideRefusedError: when no order is left to withdraw, or no reason is given.
    """
    reason = checked_reason(reason)
    batch = load_batch(handler.store, batch_id)
    left = sum(count.orders for count in handler.store.count_by_state(batch_id) if count.state in UNSENT)
    if not left and batch.state is not BatchState.SUBMITTED:
        raise OverrideRefusedError(
            f"batch {batch_id} is {batch.state.value}: found no order that was not sent yet; expected at "
            "least one"
        )
    handler.apply_to_batch(batch_id, WithdrawBatch(reason), provenance)
    refuse = RefuseBatch(REFUSAL_CODE, f"withdrawn: {reason}")
    if batch.state is BatchState.SUBMITTED:
        # Its intake stops at once; none of its orders can have been sent.
        handler.apply_to_batch(batch_id, refuse, provenance)
    withdrawn = _end_unsent(handler, batch_id, reason, provenance)
    counts = handler.store.count_by_state(batch_id)
    sent = sum(count.orders for count in counts if not count.state.was_never_sent)
    if not sent:
        handler.apply_to_batch(batch_id, refuse, provenance)
    return WithdrawalReport(withdrawn, sent)


def finish_withdrawal(handler: CommandHandler, batch: Batch, provenance: Provenance) -> None:
    """Withdraw the unsent orders of a batch whose withdrawal was interrupted; other batches do not change."""
    if batch.withdrawn is not None:
        _end_unsent(handler, batch.batch_id, batch.withdrawn, provenance)


def _end_unsent(handler: CommandHandler, batch_id: str, reason: str, provenance: Provenance) -> int:
    unsent = each_order(handler.store, OrderSlice(batch_id, UNSENT))
    return handler.apply_to_each(unsent, lambda _: Withdraw(reason), provenance)


def _why(refusal: Refusal) -> str:
    words = {
        RefusalReason.MAY_HAVE_BEEN_SENT: "it may have been sent",
        RefusalReason.ALREADY_ENDED: "it has ended",
    }
    return f"{words.get(refusal.reason, 'it cannot be withdrawn')} ({refusal.reason.value}: {refusal.detail})"
