"""The only sender: every first sending and every resend of an order goes through this module.

Intent committed → window checked at the last moment → request written → outcome committed. The version fence
on the intent gives every attempt one sender. The window stops a replaced sender from writing late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sat_hook.commands.handler import OrderCommandRequest, OrderCommandResult
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import RequestCheckout
from sat_hook.domain.order_events import CheckoutRequested, CheckoutUnknown
from sat_hook.domain.ports import Clock, SendWindow
from sat_hook.pipeline.group_commit import GroupCommitter
from sat_hook.pipeline.limits import ExecutionLimits
from sat_hook.pipeline.outcome_commands import reply_of
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.protocol.exchange import FaultKind, TransportFault
from sat_hook.protocol.messages import NameValue, OrderRequest, encode_order
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict, classify_checkout
from sat_hook.telemetry.probes import drawn_order

_STOPPED = TransportFault(FaultKind.SENDING_STOPPED, sent=False, detail="the sending was stopped before")


@dataclass(frozen=True, slots=True)
class Sending:
    """The result of one sending; ``outcome`` is None when the order was changed elsewhere before."""

    order: Order | None
    outcome: CheckoutOutcome | None


class Sender:
    """Sends orders of one account. Senders with the same committer share its commits.

    At most ``limits.in_flight`` checkouts are under way at once; the other orders are committing an intent or
    an outcome.

    :param is_stopped: checked again just before an order is written; an order stopped then is recorded as
        never sent.
    """

    def __init__(
        self,
        sat: SATApi,
        committer: GroupCommitter,
        clock: Clock,
        limits: ExecutionLimits,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._sat = sat
        self._committer = committer
        self._clock = clock
        self._limits = limits
        self._is_stopped = is_stopped
        self._turns = asyncio.Semaphore(limits.in_flight)

    async def send(self, order: Order, resend_until: datetime | None = None) -> Sending:
        """Send ``order`` once.

        :param resend_until: until when SAT is trusted to refuse a duplicate; a second attempt needs it.
        :raises StoreUnavailableError: when intent or outcome could not be committed.
        """
        with drawn_order("sat.order", order.request_id, order.account, batch_id=order.batch_id):
            return await self._send(order, resend_until)

    async def _send(self, order: Order, resend_until: datetime | None) -> Sending:
        # Taken before the commit: neither the wait nor a jump of the wall clock may widen the window.
        closes_at = self._clock.boottime_seconds() + self._limits.send_window_seconds
        intent = await self._committer.commit(
            OrderCommandRequest(order.request_id, self._intent(order, resend_until)), order
        )
        requested = next((event for event in intent.events if isinstance(event, CheckoutRequested)), None)
        if requested is None or intent.after is None:
            return Sending(intent.after, None)
        window = SendWindow(requested.send_before, closes_at)
        async with self._turns:
            outcome = await self._place(requested.body, order.request_id, window)
        recorded = await self._committer.commit(
            OrderCommandRequest(order.request_id, reply_of(outcome, requested.attempt)), intent.after
        )
        return Sending(recorded.after, _as_recorded(outcome, recorded))

    async def _place(self, body: str, request_id: str, window: SendWindow) -> CheckoutOutcome:
        if self._is_stopped():
            return classify_checkout(_STOPPED, request_id)
        return await self._sat.place_order(body.encode("utf-8"), request_id, window)

    def _intent(self, order: Order, resend_until: datetime | None) -> RequestCheckout:
        now = self._clock.now()
        send_before = now + timedelta(seconds=self._limits.send_window_seconds)
        settling = self._limits.reply_timeout_seconds + self._limits.grace_seconds
        # A request that may have arrived is only resent with its original bytes, never rebuilt.
        kept = order.checkout_body if order.may_have_arrived else None
        return RequestCheckout(
            body=kept or checkout_body(order).decode("utf-8"),
            now=now,
            # A resend is written within the time in which SAT refuses duplicates, or not at all.
            send_before=send_before if resend_until is None else min(send_before, resend_until),
            settled_after=send_before + timedelta(seconds=settling),
            resend_until=resend_until,
            based_on_version=order.version,
        )


def _as_recorded(outcome: CheckoutOutcome, recorded: OrderCommandResult) -> CheckoutOutcome:
    """The outcome as the order recorded it: a reply about something else does not accept the order."""
    unknown = next((event for event in recorded.events if isinstance(event, CheckoutUnknown)), None)
    if unknown is None or outcome.verdict is CheckoutVerdict.UNKNOWN:
        return outcome
    return replace(outcome, verdict=CheckoutVerdict.UNKNOWN, reason=unknown.reason)


def checkout_body(order: Order) -> bytes:
    """The exact bytes of the order's checkout. The same bytes are stored, signed and sent.

    Prepaid products carry no amount; bills carry the inquiry's sales price (protocol section 5.5).
    """
    return encode_order(
        OrderRequest(
            request_id=order.request_id,
            product_code=order.product_code,
            client_number=order.client_number,
            amount_rupiah=order.quote_rupiah if order.is_inquiry else None,
            fields=tuple(NameValue(name=name, value=value) for name, value in order.fields),
            downline_id=order.downline_id,
        )
    )
