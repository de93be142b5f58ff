"""Approvals and what happens beside them: holds that come later, rejections, chunks that are under way."""

from __future__ import annotations

import pytest

from sat_hook.domain.guards import GuardRules
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Hold, Release
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline import approval
from sat_hook.pipeline.approval import ApprovalPolicy, ApprovalRequest, quotes_digest
from sat_hook.pipeline.guarding import guard_batch
from sat_hook.pipeline.resolver import Ask
from sat_hook.store.guards import MemoryGuardLedger
from tests.integration.pipeline.test_approval import TWINS, TWO, Desk
from tests.orders import BY_TEST
from tests.quoted_batches import Row, quoted_batch

HELD_TOO = ApprovalPolicy(over_rupiah=0, held_too=True)
DAY_SECONDS = 86_400


def test_an_old_approval_does_not_release_what_the_guards_held_later() -> None:
    """Approved when nothing held it, held by the day's limit on the next day: a person is asked again."""
    rules = GuardRules(day_limit_orders=1)
    desk = Desk(Row(), rules=rules)
    desk.approve(desk.asked(HELD_TOO), policy=HELD_TOO)
    desk.clock.advance(DAY_SECONDS)
    other = quoted_batch(desk.resolver, "b", [Row("081211000009")])
    guard_batch(desk.resolver, MemoryGuardLedger(desk.store), other, rules, BY_TEST)
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
    desk.resolver.apply([Ask(desk.orders[1].request_id, again)], BY_TEST)
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
    look = approval._request

    def raced(*args: object) -> ApprovalRequest:
        found = look(*args)  # type: ignore[arg-type]
        if held_before:
            desk.resolver.apply([Ask(order.request_id, Release("by another run"))], BY_TEST)
        desk.resolver.apply([Ask(order.request_id, Hold(HoldReason.LIMIT, "by another run"))], BY_TEST)
        return found

    monkeypatch.setattr(approval, "_request", raced)
    desk.approve(terms, policy=HELD_TOO)
    assert desk.orders[0].approved_rupiah == 10_000
    assert (desk.orders[1].state, desk.orders[1].approved_rupiah) == (OrderState.HELD, None)


def test_the_digest_of_quotes_covers_holds() -> None:
    """Another reason, another hold or none is another digest."""
    prices = [("S1", 10), ("S2", 20)]
    held = [None, {"S1": ("limit", 4)}, {"S1": ("limit", 6)}, {"S1": ("approval", 4)}, {"S2": ("limit", 4)}]
    assert len({quotes_digest(prices, holds) for holds in held}) == 5
    assert quotes_digest(prices, {"S1": ("limit", 4)}) == quotes_digest(prices[::-1], {"S1": ("limit", 4)})
