"""The guards' rules, over histories that hypothesis makes up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.domain import order_events as happened
from sat_hook.domain.business_day import WIB, day_bounds
from sat_hook.domain.guards import (
    AccountRules,
    GuardRules,
    Usage,
    amount_of,
    counts,
    is_same_business,
    needs_ruling,
    rule_on,
)
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.domain.order_commands import Admit, Hold
from sat_hook.domain.order_events import HoldReason
from tests.fuzzing import examples
from tests.orders import ACCOUNT, T0, received

DUPLICATE, LIMIT = HoldReason.BUSINESS_DUPLICATE, HoldReason.LIMIT


def order(
    number: int,
    *,
    client: int = 0,
    price: int = 50_000,
    state: OrderState = OrderState.QUOTED,
    admitted_at: datetime | None = None,
    **more: object,
) -> Order:
    """Order ``number``, quoted unless said otherwise."""
    facts = received(number).model_dump() | {"client_number": f"0812{client:08d}"}
    return Order.model_validate(
        {
            "request_id": request_id_of(ACCOUNT, f"order-{number}"),
            "version": 3,
            "state": state,
            **facts,
            "is_inquiry": False,
            "quote_rupiah": price,
            "quote_source": happened.QuoteSource.CATALOGUE,
            "quote_valid_until": T0 + timedelta(minutes=30),
            "admitted_at": admitted_at,
            **more,
        }
    )


def held_for(
    orders: Sequence[Order],
    rules: GuardRules,
    kin: Sequence[Order] = (),
    batch_used: Usage | None = None,
    day_used: Usage | None = None,
    now: datetime = T0,
) -> list[HoldReason | None]:
    """Why each order is held, in their order; None for those let through."""
    rulings = rule_on(orders, kin, batch_used or Usage(), day_used or Usage(), rules, now)
    assert [ruling.request_id for ruling in rulings] == [one.request_id for one in orders]
    return [ruling.command.reason if isinstance(ruling.command, Hold) else None for ruling in rulings]


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 6).map(lambda n: n * 10_000)), min_size=1, max_size=20
)
LIMITS = st.none() | st.integers(0, 30).map(lambda n: n * 10_000)
COUNTS = st.none() | st.integers(0, 12)
RULES = st.builds(
    GuardRules,
    duplicate_days=st.integers(0, 9),
    order_limit_rupiah=LIMITS,
    batch_limit_rupiah=LIMITS,
    batch_limit_orders=COUNTS,
    day_limit_rupiah=LIMITS,
    day_limit_orders=COUNTS,
)
USAGES = st.builds(Usage, st.integers(0, 5), st.integers(0, 10).map(lambda n: n * 10_000))


@settings(max_examples=examples(150), deadline=None)
@given(rows=ROWS, rules=RULES, batch_used=USAGES, day_used=USAGES)
def test_what_is_let_through_fits_every_limit_and_is_no_duplicate(
    rows: list[tuple[int, int]], rules: GuardRules, batch_used: Usage, day_used: Usage
) -> None:
    """Whatever the rows and the limits: the admitted ones together break no rule."""
    orders = [order(number, client=client, price=price) for number, (client, price) in enumerate(rows)]
    reasons = held_for(orders, rules, batch_used=batch_used, day_used=day_used)
    admitted = [one for one, reason in zip(orders, reasons, strict=True) if reason is None]
    rupiah = sum(amount_of(one) for one in admitted)
    for used, limit, number in (
        (batch_used, rules.batch_limit_rupiah, rules.batch_limit_orders),
        (day_used, rules.day_limit_rupiah, rules.day_limit_orders),
    ):
        assert not admitted or limit is None or used.rupiah + rupiah <= limit
        assert not admitted or number is None or used.orders + len(admitted) <= number
    if rules.order_limit_rupiah is not None:
        assert all(amount_of(one) <= rules.order_limit_rupiah for one in admitted)
    if rules.duplicate_days:
        keys = [(one.product_code, one.client_number) for one in admitted]
        assert len(keys) == len(set(keys))


@settings(max_examples=examples(150), deadline=None)
@given(rows=ROWS, rules=RULES)
def test_nothing_is_held_without_need(rows: list[tuple[int, int]], rules: GuardRules) -> None:
    """An order is held only if it equals an admitted one before it, or did not fit when its turn came."""
    orders = [order(number, client=client, price=price) for number, (client, price) in enumerate(rows)]
    before: list[Order] = []
    for one, reason in zip(orders, held_for(orders, rules), strict=True):
        rupiah = sum(amount_of(other) for other in before) + amount_of(one)
        fits = all(
            limit is None or found <= limit
            for found, limit in (
                (amount_of(one), rules.order_limit_rupiah),
                (rupiah, rules.batch_limit_rupiah),
                (rupiah, rules.day_limit_rupiah),
                (len(before) + 1, rules.batch_limit_orders),
                (len(before) + 1, rules.day_limit_orders),
            )
        )
        again = rules.duplicate_days > 0 and any(is_same_business(one, other) for other in before)
        expected = DUPLICATE if again else None if fits else LIMIT
        assert reason is expected
        if reason is None:
            before.append(one)


@settings(max_examples=examples(100), deadline=None)
@given(rows=ROWS, rules=RULES, split=st.integers(0, 20))
def test_two_halves_one_after_the_other_are_ruled_as_one(
    rows: list[tuple[int, int]], rules: GuardRules, split: int
) -> None:
    """Rows are ruled on in groups; where the groups are cut changes nothing."""
    orders = [order(number, client=client, price=price) for number, (client, price) in enumerate(rows)]
    first, second = orders[:split], orders[split:]
    reasons = held_for(first, rules) if first else []
    passed = [
        one.model_copy(update={"admitted_at": T0})
        for one, reason in zip(first, reasons, strict=True)
        if reason is None
    ]
    used = Usage(len(passed), sum(amount_of(one) for one in passed))
    assert reasons + held_for(second, rules, passed, used, used) == held_for(orders, rules)


@pytest.mark.parametrize("state", list(OrderState))
def test_only_orders_that_may_cost_money_count(state: OrderState) -> None:
    """Rejected, cancelled, failed, reversed and held orders block no other; nor do those not admitted."""
    other = order(1, state=state, admitted_at=T0 - timedelta(days=1))
    blocking = {
        OrderState.QUOTED,
        OrderState.SUBMITTING,
        OrderState.PENDING,
        OrderState.UNKNOWN,
        OrderState.ESCALATED,
        OrderState.SUCCEEDED,
    }
    assert counts(other) == (state in blocking)
    [reason] = held_for([order(2)], GuardRules(), [other])
    assert reason == (DUPLICATE if state in blocking else None)
    assert not counts(order(1, state=OrderState.QUOTED))


def test_an_order_that_was_sent_without_guards_counts_from_its_sending() -> None:
    """Guards may have been introduced after it."""
    other = order(1, state=OrderState.SUCCEEDED, first_sent_at=T0 - timedelta(days=6))
    assert held_for([order(2)], GuardRules(), [other]) == [DUPLICATE]


@pytest.mark.parametrize(
    ("days", "age", "reason"),
    [
        (7, timedelta(days=7) - timedelta(seconds=1), DUPLICATE),
        (7, timedelta(days=7), None),
        (1, timedelta(days=2), None),
        (0, timedelta(0), None),
    ],
)
def test_duplicates_are_found_within_so_many_days(
    days: int, age: timedelta, reason: HoldReason | None
) -> None:
    """Counted in days of 24 hours from the other order's admission; 0 turns the guard off."""
    other = order(1, state=OrderState.SUCCEEDED, admitted_at=T0 - age)
    assert held_for([order(2)], GuardRules(duplicate_days=days), [other]) == [reason]


def test_the_hold_names_the_other_order_and_nobody_s_number() -> None:
    """The person who decides can find it; a client number is in no reason."""
    other = order(1, state=OrderState.PENDING, admitted_at=T0)
    [ruling] = rule_on([order(2)], [other], Usage(), Usage(), GuardRules(), T0)
    assert isinstance(ruling.command, Hold)
    assert "'order-1'" in ruling.command.detail
    assert other.batch_id in ruling.command.detail
    assert other.client_number not in ruling.command.detail


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"product_code": "100k-simpati"}, False),
        ({"client_number": "08129999999"}, False),
        ({"account": "another"}, False),
        ({"fields": (("year", "2026"),)}, False),
        ({"quote_rupiah": 60_000}, True),
        ({"amount_rupiah": 60_000}, True),
        ({"amount_rupiah": 60_000, "quote_rupiah": 60_000}, False),
    ],
)
def test_what_the_same_business_is(change: dict[str, object], same: bool) -> None:
    """Product, client number and fields, and the amount as the rows ask for it or as it costs."""
    one = order(1)
    other = order(2).model_copy(update=change)
    assert is_same_business(one, other) is same
    assert is_same_business(other, one) is same


@pytest.mark.parametrize("reason", [DUPLICATE, LIMIT])
def test_an_override_lifts_its_own_guard_only(reason: HoldReason) -> None:
    """Released as a duplicate, an order still has to fit the limits, and the other way round."""
    other = order(1, state=OrderState.PENDING, admitted_at=T0)
    released = order(2, overridden=(reason,))
    strict = GuardRules(order_limit_rupiah=1)
    [found] = held_for([released], strict, [other])
    assert found is (LIMIT if reason is DUPLICATE else DUPLICATE)
    both = order(2, overridden=(DUPLICATE, LIMIT))
    assert held_for([both], strict, [other]) == [None]


def test_an_order_admitted_before_today_has_to_fit_today_s_limits() -> None:
    """It goes out today. That it was no duplicate then stays settled; what came since is looked at."""
    old = order(1, admitted_at=T0 - timedelta(days=1))
    later = order(2, state=OrderState.PENDING, admitted_at=T0 - timedelta(hours=20))
    day_start, _ = day_bounds(T0)
    assert needs_ruling(old, day_start)
    assert not needs_ruling(order(3, admitted_at=T0), day_start)
    before = order(4, state=OrderState.PENDING, admitted_at=T0 - timedelta(days=2))
    assert held_for([old], GuardRules(), [before]) == [None]
    assert held_for([old], GuardRules(), [later]) == [HoldReason.BUSINESS_DUPLICATE]
    assert held_for([old], GuardRules(day_limit_orders=1), [before], day_used=Usage(1, 1)) == [LIMIT]


def test_the_business_day_is_jakarta_s() -> None:
    """From midnight WIB, which is 17:00 UTC, to the next."""
    start, end = day_bounds(datetime(2026, 11, 2, 16, 59, 59, tzinfo=UTC))
    assert start == datetime(2026, 11, 1, 17, tzinfo=UTC)
    assert end == datetime(2026, 11, 2, 17, tzinfo=UTC)
    assert day_bounds(end)[0] == end


@given(st.integers(0, 20 * 365 * 86_400))
def test_every_moment_is_in_its_business_day(seconds: int) -> None:
    """The day has 24 hours and one date."""
    moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    start, end = day_bounds(moment)
    assert start <= moment < end
    assert end - start == timedelta(days=1)
    assert start.astimezone(WIB).date() == moment.astimezone(WIB).date()


@settings(max_examples=examples(100), deadline=None)
@given(rows=ROWS, one=RULES, other=RULES)
def test_the_stricter_rules_let_nothing_through_that_either_holds(
    rows: list[tuple[int, int]], one: GuardRules, other: GuardRules
) -> None:
    """A run can only be stricter than its account: order by order, without regard to the others."""
    both = one.stricter(other)
    assert both == other.stricter(one)
    for number, (client, price) in enumerate(rows):
        single = [order(number, client=client, price=price)]
        if held_for(single, both) == [None]:
            assert held_for(single, one) == held_for(single, other) == [None]


def test_the_smaller_threshold_of_approval_counts() -> None:
    """None is never; a run without one leaves the account's in force."""
    strict, loose = AccountRules(approval_over_rupiah=0), AccountRules(approval_over_rupiah=10)
    assert strict.stricter(loose).approval_over_rupiah == 0
    assert AccountRules().stricter(loose).approval_over_rupiah == 10
    assert AccountRules().stricter(AccountRules()).approval_over_rupiah is None


def test_an_admission_tells_when_its_day_began() -> None:
    """So that the same day's second ruling finds it done."""
    [ruling] = rule_on([order(1)], [], Usage(), Usage(), GuardRules(), T0)
    assert ruling.command == Admit(day_bounds(T0)[0])


def test_a_dearer_quote_is_looked_at_by_the_guards_again() -> None:
    """A late quote must not carry an order past the limits that let its lower price through."""
    admitted = order(1, admitted_at=T0)
    for price, is_lost in (
        (admitted.quote_rupiah - 1, False),
        (admitted.quote_rupiah, False),
        (admitted.quote_rupiah + 1, True),
    ):
        quoted = happened.OrderQuoted(
            price_rupiah=price, source=happened.QuoteSource.CATALOGUE, admin_fee_rupiah=0, valid_until=T0
        )
        after = evolve(admitted, admitted.request_id, quoted, T0)
        assert needs_ruling(after, T0) is is_lost
