"""People's decisions that override the pipeline: ends of escalated orders, pauses of accounts.

The actor comes from the authenticated route that calls these, never from the caller's own words (law 13).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.account import AccountStanding, PauseAccount, ResumeAccount
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import AllowResend, AskStatus, EndByOperator, OperatorEnd, OrderCommand
from sat_hook.pipeline.account_rules import dedup_horizon_seconds, rules_of_account
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.pipeline.limits import RecoveryLimits


class Resolution(StrEnum):
    """How a person resolves an escalated order."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RESEND = "resend"


def resolve_order(
    handler: CommandHandler,
    request_id: str,
    resolution: Resolution,
    reason: str,
    provenance: Provenance,
    deployment: RecoveryLimits,
) -> Order:
    """Decide an escalated order. Later signed evidence may still contradict the decision; it is recorded.

    A resend decision only allows it: recovery asks SAT once more, and sends the same id and body only if SAT
    still does not know it, within the time in which SAT refuses duplicates.

    :raises OrderNotFoundError: when there is no such order.
    :raises OverrideRefusedError: when the order's state does not allow it, or no reason is given.
    """
    answer = resolve_orders(handler, [request_id], resolution, reason, provenance, deployment).get(request_id)
    if answer is None or answer.after is None:
        raise OrderNotFoundError(f"there is no order with request id {request_id}")
    if (refusal := answer.refusal) is not None:
        order = answer.after
        raise OverrideRefusedError(
            f"order {order.order_id!r} ({request_id}) is {order.state.value}: found {refusal.reason.value}: "
            f"{refusal.detail}; expected an escalated order"
        )
    return answer.after


def resolve_orders(
    handler: CommandHandler,
    request_ids: Sequence[str],
    resolution: Resolution,
    reason: str,
    provenance: Provenance,
    deployment: RecoveryLimits,
) -> dict[str, OrderCommandResult]:
    """Decide some escalated orders in one transaction; one that is not escalated refuses. See the single one.

    :returns: a result for each order that exists.
    """
    reason = checked_reason(reason)
    orders = handler.store.load_orders(request_ids)
    commands = [
        OrderCommandRequest(key, resolving_command(order, resolution, reason, handler, deployment))
        for key, order in orders.items()
    ]
    return handler.apply(commands, provenance)


def resolving_command(
    order: Order,
    resolution: Resolution,
    reason: str,
    handler: CommandHandler,
    deployment: RecoveryLimits,
) -> OrderCommand:
    """The command of a decision about an escalated order."""
    now = handler.clock.now()
    if resolution is not Resolution.RESEND:
        return EndByOperator(OperatorEnd(resolution.value), reason, now)
    rules = rules_of_account(handler.store, order.account)
    horizon = timedelta(seconds=dedup_horizon_seconds(rules, deployment))
    return AllowResend(reason, now, (order.first_sent_at or now) + horizon)


def ask_about(
    handler: CommandHandler, request_ids: Sequence[str], reason: str, provenance: Provenance
) -> dict[str, OrderCommandResult]:
    """Record in one transaction that a person has SAT asked about some orders; one that was never sent
    refuses.
    """
    command = AskStatus(reason)
    return handler.apply([OrderCommandRequest(key, command) for key in request_ids], provenance)


def pause_account(
    handler: CommandHandler, account: str, reason: str, provenance: Provenance
) -> AccountStanding:
    """Stop all sending from the account, on every machine, within a second."""
    return handler.apply_to_account(account, PauseAccount(checked_reason(reason)), provenance)[0]


def resume_account(
    handler: CommandHandler, account: str, reason: str, provenance: Provenance
) -> AccountStanding:
    """Let the account send again; stopped batches go on when their failed tasks are cleared."""
    return handler.apply_to_account(account, ResumeAccount(checked_reason(reason)), provenance)[0]
