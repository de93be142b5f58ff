"""Bugs in sending: the intent before the call, one id for life, when a request is sent again (laws 1, 2)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.send_window import SendGuard
from sat_hook.commands.handler import CommandResult, OrderCommandRequest, OrderCommandResult
from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_decisions as decisions
from sat_hook.domain.funds import is_reserved
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.pipeline import execution, intake, recovery, sender
from sat_hook.pipeline.group_commit import GroupCommitter
from sat_hook.pipeline.recovery import Recovery
from sat_hook.protocol.outcomes import CheckoutOutcome
from tests.simulation.planted.planting import bug, bug_of, decide_by


@bug(
    "intent after the call",
    "the intent is committed together with the outcome",
    "a checkout is written without a committed intent",
)
def _intent_after_call(stack: ExitStack) -> None:
    commit = GroupCommitter.commit
    put_off: dict[str, tuple[OrderCommandRequest, Order | None]] = {}

    async def late(
        self: GroupCommitter, ask: OrderCommandRequest, known: Order | None = None
    ) -> OrderCommandResult:
        if isinstance(ask.command, asked.RequestCheckout) and known is not None:
            answer = decisions.decide(known, ask.command)
            if isinstance(answer, tuple):
                put_off[ask.request_id] = ask, known
                after = known
                for event in answer:
                    after = evolve(after, ask.request_id, event, ask.command.now)
                return CommandResult(after, answer, None)
        if ask.request_id in put_off:
            await commit(self, *put_off.pop(ask.request_id))
        return await commit(self, ask, known)

    stack.enter_context(patch.object(GroupCommitter, "commit", late))


@bug(
    "send window ignored",
    "a request is written whenever its sender gets to it",
    "a checkout is written after its window",
)
def _send_window_ignored(stack: ExitStack) -> None:
    def before_writing(self: SendGuard) -> None:
        self.written = True

    stack.enter_context(patch.object(SendGuard, "before_writing", before_writing))


@bug(
    "new id on a resend",
    "what is sent again gets a fresh request id",
    "a checkout is written without a committed intent",
)
def _new_id_on_resend(stack: ExitStack) -> None:
    place_order = AsyncSATClient.place_order
    seen: set[str] = set()

    async def place(
        self: AsyncSATClient, body: bytes, request_id: str, window: Any = None
    ) -> CheckoutOutcome:
        if request_id in seen:
            body = body.replace(request_id.encode(), b"R" + request_id[1:].encode())
        seen.add(request_id)
        return await place_order(self, body, request_id, window)

    stack.enter_context(patch.object(AsyncSATClient, "place_order", place))


@bug(
    "new id on a second intake",
    "the request id is drawn when a row is read, not derived",
    "one business order was charged twice",
)
def _new_id_on_second_intake(stack: ExitStack) -> None:
    derive = intake.request_id_of
    numbers = count()
    stack.enter_context(
        patch.object(
            intake, "request_id_of", lambda account, order_id: derive(account, f"{order_id}/{next(numbers)}")
        )
    )
    stack.enter_context(patch.object(intake, "_is_own", lambda order, received: True))


bug_of(
    "clock not compared",
    "a machine sends whatever its clock says",
    "a checkout is written by a machine whose clock is far off",
    *((module, "clock_is_apart", lambda *_: None) for module in (execution, recovery)),
)


def _resend_freely(stack: ExitStack) -> None:
    stack.enter_context(patch.object(decisions, "_refuse_resend", lambda order, command: None))


@bug(
    "resend without asking",
    "an unknown order is sent again at once",
    "a resend without a not-found given after",
)
def _resend_without_asking(stack: ExitStack) -> None:
    _resend_freely(stack)
    stack.enter_context(
        patch.object(recovery, "is_known_to_be_absent", lambda order: order.state is OrderState.UNKNOWN)
    )


@bug(
    "resend before the deadline",
    "a not-found counts although the last attempt may still be under way",
    "a resend without a not-found given after",
)
def _resend_before_deadline(stack: ExitStack) -> None:
    _resend_freely(stack)
    real = decisions._record_not_found

    def record(order: Order, command: asked.RecordNotFound) -> Any:
        # The order's own deadline is removed for the decision.
        passed = None if order.settled_after is None else command.asked_at
        return real(order.model_copy(update={"settled_after": passed}), command)

    decide_by(stack, asked.RecordNotFound, record)
    stack.enter_context(
        patch.object(
            recovery,
            "is_known_to_be_absent",
            lambda order: order.state is OrderState.UNKNOWN and order.not_found_at is not None,
        )
    )


@bug("resend with another body", "every attempt builds its own body", "a resend with another body")
def _resend_with_another_body(stack: ExitStack) -> None:
    real_body = sender.checkout_body

    def body_of(order: Order) -> bytes:
        return real_body(order.model_copy(update={"downline_id": f"try-{order.attempt}"}))

    real_request = decisions._request_checkout

    def request(order: Order, command: asked.RequestCheckout) -> Any:
        return real_request(order.model_copy(update={"checkout_body": command.body}), command)

    real_intent = sender.Sender._intent

    def intent(self: Any, order: Order, resend_until: Any) -> asked.RequestCheckout:
        return replace(real_intent(self, order, resend_until), body=body_of(order).decode())

    stack.enter_context(patch.object(sender.Sender, "_intent", intent))
    decide_by(stack, asked.RequestCheckout, request)


@bug(
    "resend beyond the horizon",
    "an order is sent again however long SAT has had to forget its id",
    "a resend beyond the horizon",
)
def _resend_beyond_horizon(stack: ExitStack) -> None:
    def until(self: Recovery, order: Order) -> datetime:
        assert order.first_sent_at is not None
        return order.first_sent_at + timedelta(days=365)

    stack.enter_context(patch.object(Recovery, "_resend_until", until))


@bug(
    "submitting taken for abandoned",
    "a second run sends what another run is sending",
    "a resend without a not-found given after",
)
def _submitting_taken_for_abandoned(stack: ExitStack) -> None:
    real_slice = execution.OrderSlice

    def slice_of(batch_id: str, states: tuple[OrderState, ...], *rows: int) -> Any:
        return real_slice(batch_id, (*states, OrderState.SUBMITTING), *rows)

    real = decisions._request_checkout

    def request(order: Order, command: asked.RequestCheckout) -> Any:
        if order.state is OrderState.SUBMITTING:
            order = order.model_copy(update={"state": OrderState.QUOTED})
        return real(order, replace(command, based_on_version=None))

    def reserved(order: Order, up_to_row: int) -> bool:
        return is_reserved(order.model_copy(update={"state": OrderState.QUOTED}), up_to_row)

    stack.enter_context(patch.object(execution, "OrderSlice", slice_of))
    stack.enter_context(patch.object(execution, "is_reserved", reserved))
    decide_by(stack, asked.RequestCheckout, request)
