"""People's decisions about held orders. The actor comes from the authenticated route (law 13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult, load_batch
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Cancel, Release
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.pipeline.guards import reopen
from sat_hook.store.event_store import OrderSlice, each_order


class HeldDecision(StrEnum):
    """The decisions about a held order: let it go on, or end it unsent."""

    RELEASE = "release"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class HeldReport:
    """The number of orders of a batch that were decided, and the number still held."""

    decided: int
    still_held: int


def decide_held_order(
    handler: CommandHandler, request_id: str, decision: HeldDecision, reason: str, provenance: Provenance
) -> Order:
    """Release or cancel one held order.

    A released order is quoted again, at the new price if the price had held it. The next run of its batch
    sends it. The guards check it once more; only the reason that held it before is overridden.

    :raises OrderNotFoundError: when there is no such order.
    :raises OverrideRefusedError: when the order is not held, or no reason is given.
    """
    done = decide_held_orders(handler, [request_id], decision, reason, provenance)[request_id]
    if done.after is None:
        raise OrderNotFoundError(f"there is no order with request id {request_id}")
    if done.refusal is not None:
        raise OverrideRefusedError(
            f"order {done.after.order_id!r} ({request_id}): found {done.after.state.value}; expected a held "
            "order"
        )
    return done.after


def decide_held_orders(
    handler: CommandHandler,
    request_ids: Sequence[str],
    decision: HeldDecision,
    reason: str,
    provenance: Provenance,
) -> dict[str, OrderCommandResult]:
    """Release or cancel some orders in one transaction; one that is not held refuses. See the single one."""
    reason = checked_reason(reason)
    command = held_command(decision, reason)
    done = handler.apply([OrderCommandRequest(key, command) for key in request_ids], provenance)
    if decision is HeldDecision.RELEASE:
        released = [one.after for one in done.values() if one.is_accepted and one.after is not None]
        for batch_id in {order.batch_id for order in released}:
            reopen(handler, batch_id, provenance)
    return done


def decide_held_batch(
    handler: CommandHandler,
    batch_id: str,
    decision: HeldDecision,
    reason: str,
    provenance: Provenance,
    held_for: HoldReason | None = None,
) -> HeldReport:
    """Release or cancel every held order of a batch, or those held for one reason. See the single one.

    :raises BatchNotFoundError: when there is no such batch.
    :raises OverrideRefusedError: when nothing is held for that reason, or no reason is given.
    """
    reason = checked_reason(reason)
    load_batch(handler.store, batch_id)
    command = held_command(decision, reason)
    decided = handler.apply_to_each(_held(handler, batch_id, held_for), lambda _: command, provenance)
    still_held = sum(1 for _ in each_order(handler.store, OrderSlice(batch_id, (OrderState.HELD,))))
    if not decided:
        for_what = f" for {held_for.value}" if held_for else ""
        raise OverrideRefusedError(
            f"batch {batch_id}: found no order held{for_what}; expected at least one. Orders that "
            "were not sent and are not held are ended by: sat batch withdraw"
        )
    if decision is HeldDecision.RELEASE:
        reopen(handler, batch_id, provenance)
    return HeldReport(decided, still_held)


def hold_reason(text: str | None) -> HoldReason | None:
    """The reason that ``text`` names; None for none.

    :raises OverrideRefusedError: when there is no such reason.
    """
    if text is None:
        return None
    try:
        return HoldReason(text.strip().lower())
    except ValueError:
        expected = ", ".join(HoldReason)
        raise OverrideRefusedError(f"held for: found {text!r}; expected one of {expected}") from None


def held_command(decision: HeldDecision, reason: str) -> Release | Cancel:
    """The command of a decision about a held order."""
    return Release(reason) if decision is HeldDecision.RELEASE else Cancel(reason)


def _held(handler: CommandHandler, batch_id: str, held_for: HoldReason | None) -> Iterator[Order]:
    for order in each_order(handler.store, OrderSlice(batch_id, (OrderState.HELD,))):
        if held_for is None or order.reason_code == held_for.value:
            yield order
