"""Recovery: query, resend or escalate orders that any batch left in flight.

An order is sent again (same id, same body) only when SAT has said that it does not know the id, after the
last attempt could no longer be under way, and only while SAT is trusted to refuse a duplicate (law 2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, standing_of
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import LONGEST_ATTEMPT, Order, OrderState
from sat_hook.domain.order_commands import Escalate
from sat_hook.domain.ports import Randomness
from sat_hook.domain.same_order import mismatch_in_words
from sat_hook.pipeline.errors import ClockApartError
from sat_hook.pipeline.group_commit import GroupCommitter
from sat_hook.pipeline.limits import ExecutionLimits, PollingLimits, RecoveryLimits
from sat_hook.pipeline.pause_watch import PauseWatch
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.sender import Sender
from sat_hook.pipeline.status_polling import StatusPoller
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.store.clock import clock_is_apart
from sat_hook.store.event_store import each_order_of_account
from sat_hook.store.poll_schedule import PollSchedule, PollScope

IN_FLIGHT = tuple(state for state in OrderState if state.is_in_flight)


@dataclass(slots=True)
class RecoveryReport:
    """One round over one account."""

    asked: int = 0
    ended: int = 0
    sent_again: int = 0
    escalated: int = 0
    waiting: int = 0
    paused: str | None = None


class Recovery:
    """Recovers the orders of an account that are in flight, from every batch.

    :param limits: within the account's rules.
    """

    def __init__(
        self,
        handler: CommandHandler,
        schedule: PollSchedule,
        sat: SATApi,
        chance: Randomness,
        provenance: Provenance,
        *,
        limits: RecoveryLimits,
        polling: PollingLimits,
        sending: ExecutionLimits,
        trusted: TrustedCallbacks | None = None,
    ) -> None:
        self._handler = handler
        self._clock = handler.clock
        self._poller = StatusPoller(handler, schedule, sat, chance, polling, trusted)
        self._sat = sat
        self._provenance = provenance
        self._limits = limits
        self._sending = sending

    async def run(self, account: str) -> RecoveryReport:
        """Query the due orders, resend those that may be, escalate those that will not end by themselves.

        A paused account's orders are only queried.

        :raises ClockApartError: when this machine's clock is too far off to resend.
        :raises StoreUnavailableError: when the database is away; the next round starts over.
        """
        report = RecoveryReport()
        polled = await self._poller.poll_due(PollScope(account=account), self._provenance)
        report.asked, report.ended = polled.asked, polled.ended
        in_flight = await self._handler.offload(
            lambda: list(each_order_of_account(self._handler.store, account, IN_FLIGHT))
        )
        now = self._clock.now()
        absent = [order for order in in_flight if is_known_to_be_absent(order)]
        resendable = [order for order in absent if self._may_send_again(order, now)]
        chosen = {order.request_id for order in resendable}
        overdue = [
            order for order in in_flight if order.request_id not in chosen and self._is_over(order, now)
        ]
        report.escalated = await self._escalate(overdue, now)
        report.waiting = len(in_flight) - report.escalated
        standing = await self._handler.offload(lambda: standing_of(self._handler.store, account))
        if standing.is_paused:
            report.paused = standing.pause_reason
            return report
        if resendable:
            await self._refuse_when_clock_is_apart(len(resendable))
        await self._send_again(account, resendable, report)
        return report

    async def _refuse_when_clock_is_apart(self, orders: int) -> None:
        look = partial(clock_is_apart, self._clock, self._sending.grace_seconds)
        if (apart := await self._handler.offload(look)) is not None:
            raise ClockApartError(f"{orders} orders were not sent again: {apart}")

    def _may_send_again(self, order: Order, now: datetime) -> bool:
        return now < self._resend_until(order) and (
            order.attempt < self._limits.attempts or order.resend_allowed_at is not None
        )

    def _resend_until(self, order: Order) -> datetime:
        assert order.first_sent_at is not None
        return order.first_sent_at + timedelta(seconds=self._limits.dedup_horizon_seconds)

    def _is_over(self, order: Order, now: datetime) -> bool:
        """Whether to escalate: no resend is allowed, or the time is up."""
        if order.settled_after is None or order.may_be_under_way(now):
            return False
        if order.mismatch is not None:
            return True
        began = max(filter(None, (order.first_sent_at, order.resend_allowed_at)), default=now)
        patience = timedelta(seconds=self._limits.give_up_after_seconds)
        # A send time in the future comes from a clock that was ahead.
        if now >= began + patience or began > now + LONGEST_ATTEMPT:
            return True
        return is_known_to_be_absent(order)

    async def _escalate(self, orders: list[Order], now: datetime) -> int:
        escalated = 0
        for group in grouped(orders):
            commands = [OrderCommandRequest(o.request_id, Escalate(self._reason(o, now), now)) for o in group]
            done = await self._handler.offload(partial(self._handler.apply, commands, self._provenance))
            escalated += sum(1 for resolution in done.values() if resolution.is_accepted)
        return escalated

    def _reason(self, order: Order, now: datetime) -> str:
        if order.mismatch is not None:
            return mismatch_in_words(order.mismatch)
        if is_known_to_be_absent(order):
            if now >= self._resend_until(order):
                return "SAT does not know the order, and the time in which a resend is safe has passed"
            return f"SAT does not know the order after {order.attempt} attempts"
        hours = self._limits.give_up_after_seconds / 3600
        return f"no end {hours:g} hours after it was sent; last known to be {order.state.value}"

    async def _send_again(self, account: str, orders: list[Order], report: RecoveryReport) -> None:
        if not orders:
            return
        waiting = iter(orders)

        def stop(reason: str) -> None:
            report.paused = reason

        async with (
            GroupCommitter(self._handler, self._provenance, group_size=self._sending.group_size) as committer,
            PauseWatch(self._handler, [account], stop),
        ):
            sender = Sender(
                self._sat, committer, self._clock, self._sending, lambda: report.paused is not None
            )

            async def work() -> None:
                while report.paused is None and (order := next(waiting, None)) is not None:
                    sending = await sender.send(order, self._resend_until(order))
                    report.sent_again += sending.outcome is not None

            await _all(work() for _ in range(min(self._sending.in_flight, len(orders))))


def is_known_to_be_absent(order: Order) -> bool:
    """SAT said "not found" after the last attempt could no longer be under way, and nothing came since."""
    return (
        order.state is OrderState.UNKNOWN
        and order.mismatch is None
        and order.not_found_at is not None
        and order.settled_after is not None
        and order.not_found_at >= order.settled_after
    )


async def _all(work: Iterable[object]) -> None:
    # Every call is brought to its recorded outcome before the first failure is raised.
    ends = await asyncio.gather(*work, return_exceptions=True)  # type: ignore[call-overload]
    for end in ends:
        if isinstance(end, BaseException):
            raise end
