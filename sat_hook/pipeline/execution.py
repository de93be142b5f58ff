"""Execution: send the quoted orders of a chunk, each once, with a fixed number of calls under way.

For every order: intent committed → window checked → request written → outcome committed. Commits are shared
between orders (:mod:`~sat_hook.pipeline.group_commit`); the calls are concurrent. This module never sends an
order that may already have been sent: :mod:`~sat_hook.pipeline.status_polling` asks for its status.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from sat_hook.commands.errors import ContentionError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import ChunkStopped, StopCause
from sat_hook.domain.business_day import day_bounds
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import is_reserved
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Hold, OrderCommand, Reject
from sat_hook.domain.order_events import HoldReason
from sat_hook.domain.ports import Clock
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.domain.rupiah import is_above_quote
from sat_hook.pipeline.errors import (
    AccountPausedError,
    ChargedAboveQuoteError,
    ChunkIncompleteError,
    ClockApartError,
    NotReservedError,
)
from sat_hook.pipeline.group_commit import GroupCommitter
from sat_hook.pipeline.limits import ExecutionLimits, QuotingLimits, at_hand
from sat_hook.pipeline.pause_watch import PauseWatch
from sat_hook.pipeline.quoting import NoAnswer, Quoter
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.sender import Sender
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.pipeline.work_queue import orders_of
from sat_hook.protocol.errors import plain_code
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict
from sat_hook.store.clock import clock_is_apart
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import OrderSlice


@dataclass(frozen=True, slots=True)
class Gate:
    """What an order needs besides a price before it is sent.

    :param admitted_only: the guards admitted it; others stay quoted.
    :param approved_only: a person approved it at its price or above; others are held.
    :param admitted_today: the guards have let it through on the business day (WIB) on which it is sent, which
        a limit of the day wants; others stay quoted until the guards have looked again.
    """

    admitted_only: bool = False
    approved_only: bool = False
    admitted_today: bool = False


@dataclass(slots=True)
class ExecutionReport:
    """The outcomes of the chunk's calls."""

    not_admitted: int = 0
    admitted_earlier: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    held: int = 0
    not_sent: int = 0
    overtaken: int = 0
    unreserved: int = 0


class ChunkExecutor:
    """Sends the quoted orders of one chunk."""

    def __init__(
        self,
        handler: CommandHandler,
        sat: SATApi,
        catalogue: Mapping[str, CatalogueEntry],
        provenance: Provenance,
        limits: ExecutionLimits,
        quoting: QuotingLimits,
        gate: Gate,
    ) -> None:
        self._handler = handler
        self._clock: Clock = handler.clock
        self._sat = sat
        self._provenance = provenance
        self._limits = limits
        self._gate = gate
        quoting = replace(quoting, quote_lifetime_seconds=limits.quote_lifetime_seconds)
        self._quoter = Quoter(handler, sat, catalogue, quoting)
        self._catalogue = catalogue
        self._report = ExecutionReport()
        self._failures_in_a_row = 0
        self._last_failure = ""
        self._stopped = False
        self._is_breaker_open = False
        self._paused: str | None = None
        self._overcharged: str | None = None
        self._apart: str | None = None

    async def run(self, which: OrderSlice) -> ExecutionReport:
        """Send every quoted order of the slice that has a reservation; others stay quoted.

        :raises NotReservedError: when the batch never had a reservation.
        :raises AccountPausedError: when a person paused the account; the rest stays quoted.
        :raises ChargedAboveQuoteError: when SAT charged more than was quoted; the rest stays quoted.
        :raises ClockApartError: when this machine's clock is too far off; the rest stays quoted.
        :raises ChunkIncompleteError: when some were not sent (SAT down, breaker open); they stay quoted.
        :raises StoreUnavailableError: when outcomes could not be recorded; those orders are in flight.
        """
        slice_ = OrderSlice(which.batch_id, (OrderState.QUOTED,), which.first_row, which.last_row)
        batch = await self._handler.offload(lambda: load_batch(self._handler.store, which.batch_id))
        # Otherwise the orders of an interrupted withdrawal would make every try fail.
        await self._handler.offload(partial(finish_withdrawal, self._handler, batch, self._provenance))
        orders = orders_of(self._handler, slice_, partial(self._sendable, batch))
        async with (
            GroupCommitter(
                self._handler,
                self._provenance,
                group_size=self._limits.group_size,
                group_wait_seconds=self._limits.group_wait_seconds,
            ) as committer,
            PauseWatch(
                self._handler,
                [batch.account],
                self._stop,
                [self._stop_when_clock_is_apart, partial(self._stop_when_approval_matters, which.batch_id)],
            ),
        ):
            sender = Sender(self._sat, committer, self._clock, self._limits, lambda: self._stopped)

            async def send(order: Order) -> None:
                try:
                    await self._send(order, sender, committer)
                except BaseException:
                    self._stopped = True
                    raise

            await orders.each(send, at_hand(self._limits.in_flight), lambda: self._stopped)
        left = await orders.count_rest() + self._report.not_sent
        if (left or self._is_breaker_open) and (cause := self._stop_cause()) is not None:
            await self._handler.offload(partial(self._raise_alarm, which, left, cause))
        if self._overcharged is not None:
            raise ChargedAboveQuoteError(
                f"{self._overcharged}; {left} orders of rows {which.first_row} to {which.last_row} were not "
                "sent and stay quoted. Look at SAT's price list, then clear this task"
            )
        if left:
            text = (
                f"{left} orders of rows {which.first_row} to {which.last_row} were not sent and stay "
                f"quoted: {self._apart or self._paused or self._last_failure or 'the chunk was stopped'}"
            )
            if self._apart:
                raise ClockApartError(text)
            raise AccountPausedError(text) if self._paused else ChunkIncompleteError(text)
        return self._report

    def _stop_cause(self) -> StopCause | None:
        """Why some orders were not sent; None when a person decided so."""
        if self._overcharged is not None:
            return StopCause.OVERCHARGED
        if self._is_breaker_open:
            return StopCause.BREAKER
        return None if self._stopped and self._apart is None else StopCause.INCOMPLETE

    def _raise_alarm(self, which: OrderSlice, unsent: int, cause: StopCause) -> None:
        stopped = ChunkStopped(first_row=which.first_row, last_row=which.last_row, unsent=unsent, cause=cause)
        # The task fails and says so in any case; a failed alert must not hide the reason.
        with suppress(ContentionError, StoreUnavailableError):
            self._handler.apply_to_batch(which.batch_id, Record(stopped), self._provenance)

    def _sendable(self, batch: Batch, orders: list[Order]) -> list[Order]:
        """The orders that the guards admitted and that have a reservation."""
        admitted = self._admitted(orders)
        reserved = self._reserved(batch, admitted)
        self._report.not_admitted += len(orders) - len(admitted)
        self._report.unreserved += len(admitted) - len(reserved)
        return reserved

    def _admitted(self, orders: list[Order]) -> list[Order]:
        if not self._gate.admitted_only:
            return orders
        # Released after the guards had run: the guards check them again in the batch's next run.
        return [order for order in orders if order.admitted_at is not None]

    def _reserved(self, batch: Batch, orders: list[Order]) -> list[Order]:
        if orders and not batch.reserved_up_to_row:
            raise NotReservedError(f"no funds are reserved for batch {batch.batch_id}; nothing of it is sent")
        return [order for order in orders if is_reserved(order, batch.reserved_up_to_row)]

    def _is_of_an_earlier_day(self, order: Order) -> bool:
        """Whether a daily limit is still to be checked. A chunk may run past midnight."""
        if not self._gate.admitted_today:
            return False
        day_start, _ = day_bounds(self._clock.now())
        return order.admitted_at is None or order.admitted_at < day_start

    def _stop(self, reason: str) -> None:
        self._stopped = True
        self._paused = reason

    def _stop_when_clock_is_apart(self) -> bool:
        self._apart = clock_is_apart(self._clock, self._limits.grace_seconds)
        self._stopped |= self._apart is not None
        return self._apart is not None

    def _stop_when_approval_matters(self, batch_id: str) -> bool:
        """Stop when another run has asked for an approval since this chunk began, or a person rejected."""
        batch = load_batch(self._handler.store, batch_id)
        if batch.rejecter is not None:
            self._last_failure = f"user {batch.rejecter!r} rejected the batch"
        elif batch.withdrawn is not None:
            self._last_failure = "the batch was withdrawn"
        elif batch.approval_required and not self._gate.approved_only:
            self._last_failure = "an approval is required by now"
        else:
            return False
        self._stopped = True
        return True

    async def _send(self, order: Order, sender: Sender, committer: GroupCommitter) -> None:
        if self._is_of_an_earlier_day(order):
            self._report.admitted_earlier += 1
            return
        ready = await self._with_fresh_price(order, committer)
        if ready is None:
            return
        sending = await sender.send(ready)
        if sending.outcome is None:
            # Another try of this task, or a person, has changed the order. Leave it to them.
            self._report.overtaken += 1
            return
        outcome = sending.outcome
        self._count(outcome.verdict, reason_for_log(outcome))
        if outcome.verdict is CheckoutVerdict.ACCEPTED:
            self._stop_when_overcharged(ready, outcome.sales_price_rupiah)

    async def _with_fresh_price(self, order: Order, committer: GroupCommitter) -> Order | None:
        """The order, ready to be sent at an approved price; None when it must not be sent now."""
        command = await self._price_check(order)
        if command is None:
            return order
        if isinstance(command, NoAnswer):
            self._report.not_sent += 1
            self._last_failure = f"the price could not be renewed: {command.error}"
            return None
        done = await committer.commit(OrderCommandRequest(order.request_id, command), order)
        if done.after is not None and done.after.state is OrderState.QUOTED and done.is_accepted:
            return done.after
        self._report.held += 1
        return None

    async def _price_check(self, order: Order) -> OrderCommand | NoAnswer | None:
        assert order.quote_rupiah is not None
        assert order.quote_valid_until is not None
        is_stale = self._clock.now() >= order.quote_valid_until
        entry = self._catalogue.get(order.product_code)
        # A prepaid checkout carries no amount: the catalogue of this very chunk is its only price check.
        price_moved = not order.is_inquiry and (entry is None or entry.price_rupiah != order.quote_rupiah)
        if not is_stale and not price_moved:
            return self._unapproved(order, order.quote_rupiah)
        priced = await self._quoter.price(order)
        if isinstance(priced, Reject | NoAnswer):
            return priced
        if priced.price_rupiah > order.quote_rupiah:
            return Hold(
                HoldReason.PRICE_ABOVE_QUOTE,
                f"found a price of {priced.price_rupiah} rupiah; the quote was {order.quote_rupiah}",
                priced.price_rupiah,
                {"found": priced.price_rupiah, "most": order.quote_rupiah},
            )
        return self._unapproved(order, priced.price_rupiah) or priced

    def _unapproved(self, order: Order, price_rupiah: int) -> Hold | None:
        """The command that holds an order when an approval is required and it has none at this price."""
        if not self._gate.approved_only:
            return None
        if order.approved_rupiah is not None and price_rupiah <= order.approved_rupiah:
            return None
        approved = "nothing" if order.approved_rupiah is None else f"{order.approved_rupiah} rupiah"
        return Hold(
            HoldReason.APPROVAL,
            f"found a price of {price_rupiah} rupiah; approved was {approved}",
            price_rupiah,
            {"found": price_rupiah, "most": order.approved_rupiah or 0},
        )

    def _stop_when_overcharged(self, order: Order, charged_rupiah: int | None) -> None:
        """Stop after a charge above the quote: a prepaid checkout names no amount that would prevent it."""
        assert order.quote_rupiah is not None
        if is_above_quote(order.quote_rupiah, charged_rupiah) and not self._overcharged:
            self._stopped = True
            quoted = f"order {order.order_id!r} was quoted {order.quote_rupiah} rupiah"
            self._overcharged = f"{quoted} and charged {charged_rupiah}"

    def _count(self, verdict: CheckoutVerdict, reason: str) -> None:
        match verdict:
            case CheckoutVerdict.ACCEPTED:
                self._report.accepted += 1
            case CheckoutVerdict.REJECTED:
                self._report.rejected += 1
            case CheckoutVerdict.UNKNOWN:
                self._report.unknown += 1
            case CheckoutVerdict.NOT_SENT:
                self._report.not_sent += 1
        if verdict in (CheckoutVerdict.ACCEPTED, CheckoutVerdict.REJECTED):
            self._failures_in_a_row = 0
        else:
            self._failures_in_a_row += 1
            # Once stopped, report the reason for the stop, not its effect on the other orders.
            self._last_failure = self._last_failure if self._stopped else reason
            self._is_breaker_open |= (
                not self._stopped and self._failures_in_a_row >= self._limits.failures_to_stop
            )
            self._stopped = self._stopped or self._is_breaker_open


def reason_for_log(outcome: CheckoutOutcome) -> str:
    """Why a checkout was not accepted, for the task's log.

    SAT's own words may quote a customer's number or name. They stay in the order's event.
    """
    parts = [outcome.reason]
    if outcome.http_status is None:
        parts.append(outcome.detail or "")
    elif outcome.code:
        parts.append(plain_code(outcome.code))
    return " ".join(part for part in parts if part)
