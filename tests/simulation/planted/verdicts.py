"""Bugs in reading answers: unknown is a state, not a failure (law 3)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from sat_hook.application.batch_run import BatchRun
from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_decisions as decisions
from sat_hook.domain import order_events as happened
from sat_hook.domain import status_decisions
from sat_hook.domain.order import Order
from sat_hook.pipeline.recovery import Recovery
from sat_hook.protocol import outcomes
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict
from sat_hook.store.poll_schedule import DuePoll
from sat_hook.testing.poll_schedule import MemoryPollSchedule
from tests.simulation.planted.planting import bug, bug_of, classify_checkout_by, decide_by, rejected

bug_of(
    "P03 taken as failure",
    "a duplicate request id counts as a rejection",
    "failed without a listed rejection",
    (outcomes, "DEFINITE_CHECKOUT_REJECTIONS", frozenset({"P03", "P04"})),
    (outcomes, "DUPLICATE_REQUEST_ID", "none"),
)


@bug("5xx taken as failure", "a server error counts as a rejection", "failed without a listed rejection")
def _5xx_as_failure(stack: ExitStack) -> None:
    classify_checkout_by(
        stack,
        lambda reply, _: rejected("S00") if isinstance(reply, WireResponse) and reply.status >= 500 else None,
    )


@bug(
    "unlisted code taken as failure",
    "any HTTP 400 counts as a rejection",
    "failed without a listed rejection",
)
def _unlisted_as_failure(stack: ExitStack) -> None:
    classify_checkout_by(
        stack,
        lambda reply, _: rejected("P98") if isinstance(reply, WireResponse) and reply.status == 400 else None,
    )


@bug(
    "timeout taken as failure", "no answer in time counts as a rejection", "failed without a listed rejection"
)
def _timeout_as_failure(stack: ExitStack) -> None:
    def wrong(reply: Any, _: str) -> CheckoutOutcome | None:
        is_timeout = isinstance(reply, TransportFault) and reply.kind is FaultKind.TIMEOUT
        return rejected("timeout") if is_timeout else None

    classify_checkout_by(stack, wrong)


@bug(
    "reset taken as never sent",
    "a broken connection counts as proof that nothing left",
    "called never sent, although it was",
)
def _reset_as_never_sent(stack: ExitStack) -> None:
    def wrong(reply: Any, _: str) -> CheckoutOutcome | None:
        is_reset = isinstance(reply, TransportFault) and reply.kind is FaultKind.CONNECTION_RESET
        return CheckoutOutcome(CheckoutVerdict.NOT_SENT, "connection_reset") if is_reset else None

    classify_checkout_by(stack, wrong)


@bug(
    "P02 taken as failure",
    "an order that SAT does not know counts as failed",
    "failed without a listed rejection",
)
def _p02_as_failure(stack: ExitStack) -> None:
    def record(order: Order, command: asked.RecordNotFound) -> Any:
        if not order.state.is_in_flight:
            return decisions._record_not_found(order, command)
        return (
            happened.CheckoutRejected(attempt=order.attempt, code="P02", detail="not found", http_status=400),
        )

    decide_by(stack, asked.RecordNotFound, record)


@bug(
    "rejection after an ambiguous send",
    "a listed rejection ends an order that may have arrived before",
    "a rejection ended an order that had been sent before",
)
def _rejection_after_ambiguous_send(stack: ExitStack) -> None:
    real = decisions._record_reply

    def record(order: Order, command: asked.RecordReply) -> Any:
        return real(order.model_copy(update={"may_have_arrived": False}), command)

    decide_by(stack, asked.RecordReply, record)


@bug(
    "redirect followed",
    "a redirect of a checkout counts as its acceptance",
    "called accepted without SAT having said so",
)
def _redirect_followed(stack: ExitStack) -> None:
    classify_checkout_by(
        stack,
        lambda reply, _: (
            CheckoutOutcome(CheckoutVerdict.ACCEPTED, "accepted", reported_status="Pending")
            if isinstance(reply, WireResponse) and reply.status // 100 == 3
            else None
        ),
    )


@bug(
    "another id accepted",
    "the id in a checkout's reply is not compared",
    "called accepted without SAT having said so",
)
def _another_id_accepted(stack: ExitStack) -> None:
    real = outcomes.parse_order

    def wrong(reply: Any, request_id: str) -> CheckoutOutcome | None:
        if not isinstance(reply, WireResponse) or reply.status != 200:
            return None
        try:
            status = real(reply.body).status
        except outcomes.UnreadableReplyError:
            return None
        return CheckoutOutcome(CheckoutVerdict.ACCEPTED, "accepted", reported_status=status)

    classify_checkout_by(stack, wrong)


@bug(
    "acceptance taken as success",
    "an accepted checkout ends the order, though nothing is signed",
    "a status without its evidence",
)
def _acceptance_as_success(stack: ExitStack) -> None:
    real = decisions._record_reply

    def ended(event: Any, order: Order) -> Any:
        if not isinstance(event, happened.CheckoutAccepted):
            return event
        return happened.OrderSucceeded(
            evidence_digest=event.response_digest or "0" * 64,
            observed_at=order.send_before or datetime.now(UTC),
            sales_price_rupiah=event.sales_price_rupiah,
            admin_fee_rupiah=None,
            partner_fee_rupiah=None,
            fulfilled_at=None,
        )

    def record(order: Order, command: asked.RecordReply) -> Any:
        answer = real(order, command)
        return tuple(ended(event, order) for event in answer) if isinstance(answer, tuple) else answer

    decide_by(stack, asked.RecordReply, record)


@bug(
    "unknown status taken as success",
    "an unlisted signed status ends the order",
    "OrderSucceeded on a status",
)
def _unknown_status_as_success(stack: ExitStack) -> None:
    real = status_decisions.record_status

    def record(order: Order, command: asked.RecordStatus) -> Any:
        if command.status not in ("Pending", "Failed"):
            command = replace(command, status="Success")
        return real(order, command)

    decide_by(stack, asked.RecordStatus, record)


@bug(
    "escalation as failure", "an order that was given up is called failed", "ended by an operator who is none"
)
def _escalation_as_failure(stack: ExitStack) -> None:
    def escalate(order: Order, command: asked.Escalate) -> Any:
        if not order.state.is_in_flight:
            return decisions._escalate(order, command)
        return (happened.FailedByOperator(reason=command.reason),)

    decide_by(stack, asked.Escalate, escalate)


@bug("no escalation", "orders that do not end are left as they are", "an order never ends")
def _nobody_is_told(stack: ExitStack) -> None:
    async def escalate(self: Recovery, orders: list[Order], now: datetime) -> int:
        return 0

    stack.enter_context(patch.object(Recovery, "_escalate", escalate))
    stack.enter_context(patch.object(BatchRun, "escalate", lambda self, reason: 0))


@bug(
    "claimed and forgotten",
    "an order that was asked about once is never asked about again",
    "given up although SAT had ended it",
)
def _claimed_and_forgotten(stack: ExitStack) -> None:
    real = MemoryPollSchedule.claim_due

    def claim(
        self: MemoryPollSchedule, scope: Any, now: datetime, lease_until: datetime, limit: int
    ) -> list[DuePoll]:
        return real(self, scope, now, now + timedelta(days=3650), limit)

    stack.enter_context(patch.object(MemoryPollSchedule, "claim_due", claim))
