"""Approvals and what happens beside them: holds that come later, rejections, chunks that are under way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult, load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import BatchCommand, RefuseBatch, RejectApproval
from sat_hook.domain.decision import Refusal
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import GuardRules, is_same_business
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Hold, Quote, Release
from sat_hook.domain.order_events import HoldReason, QuoteSource
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.pipeline import approval
from sat_hook.pipeline.approval import ask_for_approval, reject
from sat_hook.pipeline.approval_request import ApprovalPolicy, ApprovalRequest, quotes_digest
from sat_hook.pipeline.errors import (
    ApprovalRejectedError,
    ApprovalTermsChangedError,
    BatchStoppedError,
    ChunkIncompleteError,
)
from sat_hook.pipeline.execution import ChunkExecutor, Gate
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.limits import ExecutionLimits, QuotingLimits
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict
from sat_hook.store.event_store import OrderSlice
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.testing.guards import MemoryGuardLedger
from tests.integration.pipeline.test_approval import ALWAYS, CHECKER, CSV, MAKER, TWINS, TWO, Desk, ready
from tests.orders import BY_TEST, ManualClock
from tests.pipeline import Line
from tests.quoted_batches import Row, orders_of, quoted_batch

HELD_TOO = ApprovalPolicy(over_rupiah=0, held_too=True)
DAY_SECONDS = 86_400


def test_an_old_approval_does_not_release_what_the_guards_held_later() -> None:
    """Approved when nothing held it, held by the day's limit on the next day: a person is asked again."""
    rules = GuardRules(day_limit_orders=1)
    desk = Desk(Row(), rules=rules)
    desk.approve(desk.asked(HELD_TOO), policy=HELD_TOO)
    desk.clock.advance(DAY_SECONDS)
    other = quoted_batch(desk.handler, "b", [Row("081211000009")])
    guard_batch(desk.handler, MemoryGuardLedger(desk.store), other, rules, BY_TEST)
    desk.guard()
    assert desk.orders[0].state is OrderState.HELD
    request = desk.ask(HELD_TOO)
    assert request is not None
    assert dict(request.held) == {"limit": 1}
    assert desk.orders[0].state is OrderState.HELD
    desk.approve(request.terms, policy=HELD_TOO)
    assert desk.orders[0].state is OrderState.QUOTED


def test_an_approval_is_of_one_hold_and_not_of_the_next() -> None:
    """Held, approved and released, then held for the same reason at the same price: asked again."""
    desk = Desk(*TWINS)
    desk.approve(desk.asked(HELD_TOO), policy=HELD_TOO)
    again = Hold(HoldReason.BUSINESS_DUPLICATE, "by another run")
    desk.handler.apply([OrderCommandRequest(desk.orders[1].request_id, again)], BY_TEST)
    assert desk.ask(HELD_TOO) is not None
    assert desk.orders[1].state is OrderState.HELD


@pytest.mark.parametrize("held_before", [False, True])
def test_what_is_held_while_an_approval_is_given_stays_held(
    monkeypatch: pytest.MonkeyPatch, held_before: bool
) -> None:
    """A guard of another run holds an order between the look at the batch and the orders' approval."""
    desk = Desk(*(TWINS if held_before else TWO))
    terms = desk.asked(HELD_TOO)
    order = desk.orders[1]
    look = approval.request_of

    def raced(*args: object) -> ApprovalRequest:
        found = look(*args)  # type: ignore[arg-type]
        if held_before:
            desk.handler.apply([OrderCommandRequest(order.request_id, Release("by another run"))], BY_TEST)
        desk.handler.apply(
            [OrderCommandRequest(order.request_id, Hold(HoldReason.LIMIT, "by another run"))], BY_TEST
        )
        return found

    monkeypatch.setattr(approval, "request_of", raced)
    desk.approve(terms, policy=HELD_TOO)
    assert desk.orders[0].approved_rupiah == 10_000
    assert (desk.orders[1].state, desk.orders[1].approved_rupiah) == (OrderState.HELD, None)


def test_the_digest_of_quotes_covers_holds() -> None:
    """Another reason, another hold or none is another digest."""
    prices = [("S1", 10), ("S2", 20)]
    held = [None, {"S1": ("limit", 4)}, {"S1": ("limit", 6)}, {"S1": ("approval", 4)}, {"S2": ("limit", 4)}]
    assert len({quotes_digest(prices, holds) for holds in held}) == 5
    assert quotes_digest(prices, {"S1": ("limit", 4)}) == quotes_digest(prices[::-1], {"S1": ("limit", 4)})


def test_a_rejection_beside_an_approval_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejected between the look and the approval's record: no order is approved, and the refusal is kept."""
    desk = Desk(*TWO)
    terms = desk.asked()
    look = approval.request_of

    def raced(*args: object) -> ApprovalRequest:
        found = look(*args)  # type: ignore[arg-type]
        desk.handler.apply_to_batch(desk.batch_id, RejectApproval(terms, "mia"), MAKER)
        return found

    monkeypatch.setattr(approval, "request_of", raced)
    with pytest.raises(ApprovalTermsChangedError, match="'mia' rejected"):
        desk.approve(terms)
    assert not any(order.approved_rupiah for order in desk.orders)
    assert not desk.events("BatchApproved")
    assert len(desk.events("ApprovalRefused")) == 1


@pytest.mark.parametrize("dies_at", [RejectApproval, RefuseBatch])
@pytest.mark.parametrize("approved_before", [False, True])
def test_a_rejection_cut_short_is_finished_under_its_rejecter(approved_before: bool, dies_at: type) -> None:
    """The process dies after the rejection, or after its orders: the next run ends all, approves nothing."""
    desk = Desk(*TWINS)
    terms = desk.asked()
    if approved_before:
        desk.approve(terms)

    class CutShortError(Exception):
        """The process dies here."""

    class Dying(CommandHandler):
        def apply(self, *args: Any, **kwargs: Any) -> dict[str, OrderCommandResult]:
            if dies_at is RejectApproval:
                raise CutShortError
            return super().apply(*args, **kwargs)

        def apply_to_batch(
            self, batch_id: str, command: BatchCommand, provenance: Provenance
        ) -> tuple[Batch, Refusal | None]:
            if isinstance(command, RefuseBatch):
                raise CutShortError
            return super().apply_to_batch(batch_id, command, provenance)

    with pytest.raises(CutShortError):
        reject(Dying(desk.store, desk.clock), desk.batch_id, terms, CHECKER)
    with pytest.raises(ApprovalRejectedError, match="'carl' rejected the batch"):
        desk.ask()
    assert {order.reason_code for order in desk.orders} == {"approval_rejected", "cancelled"}
    batch = load_batch(desk.store, desk.batch_id)
    assert (batch.state, batch.refusal_code) == (BatchState.REFUSED, "approval_rejected")
    with pytest.raises(BatchStoppedError):
        desk.ask()


@pytest.mark.parametrize("answer", ["asked", "rejected"])
def test_a_chunk_under_way_stops_when_approval_matters(line: Line, answer: str) -> None:
    """Another run asks for an approval, or a person rejects: within a second nothing more is sent."""
    batch_id = ready(line, CSV + b"A3,25k-xl,081811110003\n")
    if answer == "rejected":
        request = ask_for_approval(line.handler, batch_id, ALWAYS, BY_TEST)
        assert request is not None
        approval.approve(line.handler, batch_id, ALWAYS, request.terms, CHECKER)

    class Slow:
        sent = 0

        async def place_order(self, *_: object) -> CheckoutOutcome:
            self.sent += 1
            if answer == "asked":
                ask_for_approval(line.handler, batch_id, ALWAYS, BY_TEST)
            else:
                assert request is not None
                line.handler.apply_to_batch(batch_id, RejectApproval(request.terms, "mia"), MAKER)
            await asyncio.sleep(1.0)
            return CheckoutOutcome(CheckoutVerdict.ACCEPTED, "accepted", reported_status="Pending")

    sat = Slow()
    listed = {"25k-xl": _entry(line, batch_id)}
    gate = Gate(True, answer == "rejected")
    executor = ChunkExecutor(
        line.handler, sat, listed, BY_TEST, ExecutionLimits(in_flight=1), QuotingLimits(), gate
    )  # type: ignore[arg-type]
    text = "approval is required" if answer == "asked" else "'mia' rejected"
    with pytest.raises(ChunkIncompleteError, match=f"2 orders .*{text}"):
        asyncio.run(executor.run(OrderSlice(batch_id)))
    assert sat.sent == 1


def _entry(line: Line, batch_id: str) -> CatalogueEntry:
    price = line.orders(batch_id)["A1"].quote_rupiah
    assert price is not None
    return CatalogueEntry("25k-xl", price, is_inquiry=False, is_active=True, status=1)


@pytest.mark.parametrize("limited", [True, False])
def test_a_limit_of_the_day_is_not_gone_around_by_waiting(line: Line, limited: bool) -> None:
    """Admitted yesterday, sent today: with a limit of the day it stays quoted until the guards look again."""
    batch_id = ready(line)
    clock = ManualClock(datetime.now(UTC))
    clock.advance(DAY_SECONDS)
    handler = CommandHandler(line.store, clock)
    until = clock.now() + timedelta(minutes=30)
    for order in line.orders(batch_id).values():
        assert order.quote_rupiah is not None
        renewed = Quote(order.quote_rupiah, QuoteSource.CATALOGUE, None, until)
        handler.apply([OrderCommandRequest(order.request_id, renewed)], BY_TEST)

    class Counting:
        sent = 0

        async def place_order(self, *_: object) -> CheckoutOutcome:
            self.sent += 1
            return CheckoutOutcome(CheckoutVerdict.ACCEPTED, "accepted", reported_status="Pending")

    sat = Counting()
    listed = {"25k-xl": _entry(line, batch_id)}

    def send() -> int:
        gate = Gate(True, False, GuardRules(day_limit_orders=2 if limited else None).limits_the_day)
        executor = ChunkExecutor(handler, sat, listed, BY_TEST, ExecutionLimits(), QuotingLimits(), gate)  # type: ignore[arg-type]
        return asyncio.run(executor.run(OrderSlice(batch_id))).admitted_earlier

    assert (send(), sat.sent) == ((2, 0) if limited else (0, 2))
    ledger = PostgresGuardLedger(line.store.database)
    guard_batch(handler, ledger, batch_id, GuardRules(day_limit_orders=2), BY_TEST)
    assert (send(), sat.sent) == (0, 2)


def test_an_order_admitted_long_ago_is_measured_against_what_came_since() -> None:
    """After its duplicate days another order is let through: of both, one goes out on that day."""
    desk = Desk(Row())
    desk.clock.advance(8 * DAY_SECONDS)
    other = quoted_batch(desk.handler, "b", [Row()])
    guard_batch(desk.handler, MemoryGuardLedger(desk.store), other, GuardRules(), BY_TEST)
    desk.guard()
    assert desk.orders[0].reason_code == "business_duplicate"
    assert orders_of(desk.handler, other)[0].state is OrderState.QUOTED


def test_the_order_of_columns_does_not_hide_a_duplicate() -> None:
    """The same fields in another order are the same business; other values are not."""
    order = Desk(Row()).orders[0]
    one = order.model_copy(update={"fields": (("a", "1"), ("b", "2"))})
    assert is_same_business(one, order.model_copy(update={"fields": (("b", "2"), ("a", "1"))}))
    assert not is_same_business(one, order.model_copy(update={"fields": (("b", "1"), ("a", "2"))}))
