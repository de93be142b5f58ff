"""Quoting: price each order from the catalogue or, where the product needs it, by inquiry.

Inquiries have no side effects, so an inquiry without an answer is simply repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult, load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_events import BatchQuoted
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Quote, Reject
from sat_hook.domain.order_events import QuoteSource, RejectionReason
from sat_hook.domain.order_state import ENDED_UNSENT
from sat_hook.domain.ports import Clock
from sat_hook.domain.pricing import CatalogueEntry, Rejection, judge_bill, judge_row
from sat_hook.pipeline.errors import SATUnavailableError
from sat_hook.pipeline.group_commit import GroupCommitter
from sat_hook.pipeline.limits import QuotingLimits, at_hand
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.work_queue import orders_of
from sat_hook.protocol.errors import SATError, SystemTroubleError
from sat_hook.protocol.messages import InquiryRequest, NameValue
from sat_hook.store.event_store import OrderSlice

SILENCE = 200
"""Consecutive unanswered inquiries (or all of a smaller slice) after which SAT is considered down."""


@dataclass(frozen=True, slots=True)
class QuotingReport:
    """The result of quoting a chunk. Rupiah."""

    quoted: int
    rejected: int
    total_rupiah: int


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """SAT gave no usable answer about one bill in any of the tries."""

    error: SATError


class Quoter:
    """Prices orders of one account."""

    def __init__(
        self,
        handler: CommandHandler,
        sat: SATApi,
        catalogue: Mapping[str, CatalogueEntry],
        limits: QuotingLimits,
    ) -> None:
        self._handler = handler
        self._sat = sat
        self._catalogue = catalogue
        self._limits = limits
        self._clock: Clock = handler.clock

    async def quote_slice(self, which: OrderSlice, provenance: Provenance) -> QuotingReport:
        """Quote every validated order of the slice that has no price yet.

        :raises SATUnavailableError: when SAT is down; the orders stay as they are for another try.
        """
        slice_ = OrderSlice(which.batch_id, (OrderState.RECEIVED,), which.first_row, which.last_row)
        orders = orders_of(self._handler, slice_, lambda page: page)
        round_ = _Round()
        limits = self._limits
        async with GroupCommitter(
            self._handler,
            provenance,
            group_size=limits.group_size,
            group_wait_seconds=limits.group_wait_seconds,
        ) as committer:
            turns = asyncio.Semaphore(limits.in_flight)

            async def quote(order: Order) -> None:
                async with turns:
                    answer = await self.price(order)
                round_.hear(order, answer, self._needs_inquiry(order))
                if not isinstance(answer, NoAnswer):
                    round_.count(await committer.commit(OrderCommandRequest(order.request_id, answer), order))

            await orders.each(quote, at_hand(limits.in_flight), lambda: round_.is_stopped)
            round_.raise_if_silent()
            # SAT answers other inquiries, so the billers of these bills are down.
            commands = [
                OrderCommandRequest(order.request_id, _unavailable(answer))
                for order, answer in round_.unanswered
            ]
            known = {order.request_id: order for order, _ in round_.unanswered}
            given_up = await self._handler.offload(lambda: self._handler.apply(commands, provenance, known))
        for resolution in given_up.values():
            round_.count(resolution)
        return QuotingReport(round_.quoted, round_.rejected, round_.total_rupiah)

    def _needs_inquiry(self, order: Order) -> bool:
        entry = self._catalogue.get(order.product_code)
        return entry is not None and entry.is_inquiry

    async def price(self, order: Order) -> Quote | Reject | NoAnswer:
        """The command that prices ``order`` as of now, or rejects it."""
        entry = self._catalogue.get(order.product_code)
        rejection = judge_row(order, entry)
        if rejection is not None:
            return _reject(rejection)
        assert entry is not None
        if not entry.is_inquiry:
            assert entry.price_rupiah is not None
            return self._quote(entry.price_rupiah, QuoteSource.CATALOGUE, None)
        return await self._price_bill(order)

    async def _price_bill(self, order: Order) -> Quote | Reject | NoAnswer:
        request = InquiryRequest(
            product_code=order.product_code,
            client_number=order.client_number,
            amount_rupiah=order.amount_rupiah,
            fields=tuple(NameValue(name=name, value=value) for name, value in order.fields),
            downline_id=order.downline_id,
        )
        pause = self._limits.first_pause_seconds
        for remaining in reversed(range(self._limits.tries)):
            try:
                bill = await self._sat.inquiry(request)
            except SATError as error:
                if error.definite and error.sent:
                    return Reject(RejectionReason.INQUIRY_REFUSED, f"SAT refused the inquiry: {error}")
                if not remaining:
                    return NoAnswer(error)
                await asyncio.sleep(pause)
                pause *= 2
                continue
            rejection = judge_bill(order, bill.sales_price_rupiah, bill.base_price_rupiah)
            if rejection is not None:
                return _reject(rejection)
            return self._quote(bill.sales_price_rupiah, QuoteSource.INQUIRY, bill.admin_fee_rupiah)
        raise AssertionError("the loop returns on its last try")

    def _quote(self, price: int, source: QuoteSource, admin_fee: int | None) -> Quote:
        lifetime = timedelta(seconds=self._limits.quote_lifetime_seconds)
        return Quote(price, source, admin_fee, self._clock.now() + lifetime)


class _Round:
    """One slice while it is priced, and the signs that SAT is down.

    One bill without an answer means that its biller is down. SAT is considered down when every bill of the
    slice, or ``SILENCE`` of them in a row, has no answer, or SAT itself does not answer. Then no order is
    changed.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self.unanswered: list[tuple[Order, NoAnswer]] = []
        self.quoted = self.rejected = self.total_rupiah = 0
        self._bills = 0
        self._in_a_row = 0

    def hear(self, order: Order, answer: Quote | Reject | NoAnswer, is_bill: bool) -> None:
        """SAT's answer about one order's price, or the lack of an answer in all tries."""
        self._bills += is_bill
        if isinstance(answer, NoAnswer):
            self.unanswered.append((order, answer))
            self._in_a_row += 1
            if self._in_a_row >= SILENCE or not isinstance(answer.error, SystemTroubleError):
                self.is_stopped = True
        elif is_bill:
            self._in_a_row = 0

    def count(self, resolution: OrderCommandResult) -> None:
        after = resolution.after
        if after is not None and after.state is OrderState.QUOTED:
            self.quoted += 1
            self.total_rupiah += after.quote_rupiah or 0
        elif after is not None and after.state is OrderState.REJECTED:
            self.rejected += 1

    def raise_if_silent(self) -> None:
        """:raises SATUnavailableError: when SAT is down."""
        if self.is_stopped or len(self.unanswered) == self._bills > 1:
            raise SATUnavailableError(
                f"inquiries get no answer ({len(self.unanswered)} of {self._bills}): {self._last.error}"
            ) from self._last.error

    @property
    def _last(self) -> NoAnswer:
        return self.unanswered[-1][1]


def close_quoting(handler: CommandHandler, batch_id: str, provenance: Provenance) -> Batch:
    """Record that every order of the batch that can be sent has a price.

    :raises SATUnavailableError: when orders still lack a price.
    """
    batch = load_batch(handler.store, batch_id)
    if batch.state is not BatchState.VALIDATED:
        return batch
    counts = {count.state: count for count in handler.store.count_by_state(batch_id)}
    unpriced = counts.get(OrderState.RECEIVED)
    if unpriced is not None:
        raise SATUnavailableError(f"{unpriced.orders} orders of batch {batch_id} have no price yet")
    priced = [count for state, count in counts.items() if state not in ENDED_UNSENT]
    rejected = counts.get(OrderState.REJECTED)
    priced_all = BatchQuoted(
        quoted=sum(count.orders for count in priced),
        rejected=rejected.orders if rejected else 0,
        total_rupiah=sum(count.quoted_rupiah for count in priced),
    )
    batch, _ = handler.apply_to_batch(batch_id, Record(priced_all), provenance)
    return batch


def _reject(rejection: Rejection) -> Reject:
    return Reject(rejection.reason, rejection.detail)


def _unavailable(answer: NoAnswer) -> Reject:
    codes = ", ".join(answer.error.codes) or type(answer.error).__name__
    return Reject(
        RejectionReason.INQUIRY_UNAVAILABLE,
        f"the biller gave no bill ({codes}) in every try; the order was never sent",
    )
