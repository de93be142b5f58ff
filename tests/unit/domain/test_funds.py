"""Funds: what counts against a saldo, how far it reaches, and what moved that was not ours."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain import order_events as happened
from sat_hook.domain.account import (
    AccountStanding,
    ForeignSpendSuspected,
    ReportMovement,
    TopUpSeen,
    decide_account,
    evolve_account,
)
from sat_hook.domain.decision import Refusal, RefusalReason
from sat_hook.domain.event_record import Event
from sat_hook.domain.funds import (
    Commitment,
    Movement,
    MovementKind,
    Outstanding,
    available_rupiah,
    commitment_of,
    may_be_compared,
    may_come_back_rupiah,
    movement_between,
    outstanding,
    reach,
)
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.domain.order_decisions import ORDER_DECIDER, decide
from tests.deposits import seen
from tests.orders import T0
from tests.unit.domain.situations import COMMANDS, HISTORIES, REQUEST_ID, SIGNED, SITUATIONS

RESERVED_ROW, UNRESERVED_ROW = 1, 0
MOMENTS = st.integers(0, 100).map(lambda seconds: T0 + timedelta(seconds=seconds))
RUPIAH = st.integers(0, 1_000_000)
COMMITMENTS = st.lists(
    st.builds(Commitment, RUPIAH, st.booleans(), st.one_of(st.none(), MOMENTS)), max_size=20
)

# What each history takes from the deposit: nothing, funds that are merely reserved, something that may be
# under way, or a debit that is proven.
NOTHING, RESERVED, UNDER_WAY, PROVEN = "nothing", "reserved", "under way", "proven"
TAKES = {
    "received": NOTHING,
    "validated": NOTHING,
    "rejected": NOTHING,
    "quoted": RESERVED,
    "held": NOTHING,
    "released": NOTHING,
    "released and reserved again": RESERVED,
    "cancelled": NOTHING,
    "submitting": UNDER_WAY,
    "never sent, quoted again": RESERVED,
    "pending": PROVEN,
    "signed pending": PROVEN,
    "unknown": UNDER_WAY,
    "unknown and not found": UNDER_WAY,
    "abandoned and not found": UNDER_WAY,
    "sent again": UNDER_WAY,
    "second attempt never left": UNDER_WAY,
    "escalated": UNDER_WAY,
    "resend allowed": UNDER_WAY,
    "succeeded": PROVEN,
    "failed": PROVEN,
    "rejected at checkout": NOTHING,
    "reversed": PROVEN,
    "succeeded by operator": PROVEN,
    "failed by operator": PROVEN,
}


def order_after(*events: Event, at: datetime = T0) -> Order:
    """An order after events that all happened at one moment."""
    order = ORDER_DECIDER.fold(REQUEST_ID, ((event, at) for event in events))
    assert order is not None
    return order


@pytest.mark.parametrize("name", TAKES)
def test_what_each_history_takes_from_the_deposit(name: str) -> None:
    """Every state counts as its history says, and only a reserved row counts while nothing was sent."""
    order = order_after(*HISTORIES[name])
    found = commitment_of(order, RESERVED_ROW)
    expected = {
        NOTHING: None,
        RESERVED: Commitment(52_000, is_sent=False),
        UNDER_WAY: Commitment(52_000, is_sent=True),
        PROVEN: Commitment(52_000, is_sent=True, debit_proven_at=T0),
    }[TAKES[name]]
    assert found == expected
    unreserved = commitment_of(order, UNRESERVED_ROW)
    assert unreserved == (None if TAKES[name] in (NOTHING, RESERVED) else expected)


def test_every_state_is_in_the_table() -> None:
    """A new state has to say what it takes."""
    known = {s.order.state for s in SITUATIONS if s.order is not None and s.name in TAKES}
    assert known == set(OrderState)


def test_a_debit_counts_until_a_saldo_is_certain_to_include_it() -> None:
    """Proven before the look less the lag: inside the saldo. At that very moment, or later: outstanding."""
    proven = Commitment(100, is_sent=True, debit_proven_at=T0)
    for seconds, is_out in ((29, True), (30, True), (31, False)):
        look = seen(1_000, T0 + timedelta(seconds=seconds))
        assert proven.is_outstanding(look.includes_before(30.0)) is is_out


def test_a_charge_above_the_quote_counts_as_charged() -> None:
    """The dearer of quote and charge is what the deposit has to bear."""
    dear = HISTORIES["pending"][-1].model_copy(update={"sales_price_rupiah": 60_000})
    order = order_after(*HISTORIES["submitting"], dear)
    found = commitment_of(order, RESERVED_ROW)
    assert found is not None
    assert found.rupiah == 60_000


def test_the_first_proof_counts_and_a_new_attempt_needs_a_new_one() -> None:
    """Later statuses do not make a debit younger; an order that is sent again may be charged again."""
    order = order_after(*HISTORIES["pending"])
    pending = happened.OrderPending(**SIGNED, reported_status="Pending")
    order = evolve(order, REQUEST_ID, pending, T0 + timedelta(seconds=5))
    assert order.debit_proven_at == T0
    again = HISTORIES["submitting"][-1].model_copy(update={"attempt": 2})
    assert evolve(order, REQUEST_ID, again, T0 + timedelta(seconds=9)).debit_proven_at is None


def test_a_released_or_dearer_order_is_not_sent_before_it_is_reserved_again() -> None:
    """The funds of then are not the funds of now; a cheaper quote keeps them."""
    released = order_after(*HISTORIES["released"])
    dearer = order_after(
        *HISTORIES["quoted"], HISTORIES["quoted"][-1].model_copy(update={"price_rupiah": 53_000})
    )
    cheaper = order_after(
        *HISTORIES["quoted"], HISTORIES["quoted"][-1].model_copy(update={"price_rupiah": 51_000})
    )
    for order, is_lost in ((released, True), (dearer, True), (cheaper, False)):
        assert order.must_be_reserved_again is is_lost
        refused = decide(order, COMMANDS["checkout"])
        assert isinstance(refused, Refusal) is is_lost
        if isinstance(refused, Refusal):
            assert refused.reason is RefusalReason.NOT_RESERVED
    renewal = decide(dearer, COMMANDS["renew reservation"])
    assert isinstance(renewal, Refusal)
    assert renewal.reason is RefusalReason.QUOTE_STALE, "funds for 52,000 do not carry 53,000"
    assert not isinstance(decide(released, COMMANDS["renew reservation"]), Refusal)


@given(COMMITMENTS, MOMENTS)
def test_every_commitment_counts_once_at_most(commitments: list[Commitment], moment: datetime) -> None:
    """The sum is that of the outstanding ones, in one of its two parts each."""
    found = outstanding(commitments, moment)
    assert found.total_rupiah == sum(c.rupiah for c in commitments if c.is_outstanding(moment))
    assert found.reserved_rupiah <= sum(c.rupiah for c in commitments if not c.is_sent)
    assert found.sent_rupiah <= sum(c.rupiah for c in commitments if c.is_sent)


@given(COMMITMENTS, MOMENTS, MOMENTS, RUPIAH, st.floats(0, 50), st.floats(0, 50))
def test_a_younger_saldo_or_a_shorter_lag_never_frees_less(
    commitments: list[Commitment], first: datetime, second: datetime, saldo: int, lag: float, other_lag: float
) -> None:
    """The formula is monotone: waiting, for the same saldo, only ever frees funds."""

    def free(at: datetime, lag_seconds: float) -> int:
        look = seen(saldo, at)
        return available_rupiah(look, outstanding(commitments, look.includes_before(lag_seconds)))

    assert free(max(first, second), lag) >= free(min(first, second), lag)
    assert free(first, min(lag, other_lag)) >= free(first, max(lag, other_lag))


@given(st.lists(RUPIAH, max_size=30), st.integers(-1_000, 3_000_000))
def test_funds_reach_without_skipping(prices: list[int], available: int) -> None:
    """The reached ones fit together, and the next one does not."""
    reached = reach(prices, available)
    assert sum(prices[:reached]) <= max(available, 0)
    if reached < len(prices):
        assert sum(prices[: reached + 1]) > available


@given(RUPIAH, RUPIAH, RUPIAH, st.integers(0, 500_000), st.integers(0, 500_000), RUPIAH, RUPIAH)
def test_what_is_reported_moved_is_never_more_than_what_moved(
    saldo: int, may_go: int, may_come: int, went: int, came: int, foreign: int, top_up: int
) -> None:
    """Our own orders never raise an alarm; a foreign spend is reported at most as large as it was."""
    went, came = min(went, may_go), min(came, may_come)
    before, after = seen(saldo), seen(saldo - went + came - foreign + top_up)
    movement = movement_between(before, after, may_go, may_come)
    if foreign == top_up:
        assert movement is None
    elif movement is not None:
        net = top_up - foreign
        expected = MovementKind.TOP_UP if net > 0 else MovementKind.FOREIGN_SPEND
        assert movement.kind is expected
        assert 0 < movement.rupiah <= abs(net)
    if may_go == may_come == 0 and foreign != top_up:
        assert movement is not None, "with nothing of ours under way, every rupiah is seen"


def test_saldos_are_compared_only_when_their_order_is_certain() -> None:
    """A lagging saldo may be older than one that was asked for before it."""
    earlier, later = seen(100, T0), seen(50, T0 + timedelta(seconds=30))
    assert may_be_compared(earlier, later, 30.0)
    assert not may_be_compared(earlier, later, 30.1)


@pytest.mark.parametrize(
    ("name", "since", "rupiah"),
    [
        ("quoted", T0, 0),
        ("unknown", T0, 52_000),
        ("escalated", T0, 52_000),
        ("succeeded", T0, 0),
        ("rejected at checkout", T0, 0),
        ("failed", T0, 52_000),
        ("reversed", SIGNED["observed_at"], 52_000),
        ("failed", T0 + timedelta(hours=1), 0),
    ],
)
def test_what_refunds_may_still_bring(name: str, since: datetime, rupiah: int) -> None:
    """Orders under way, and those without success until their refund is certain to be there."""
    assert may_come_back_rupiah(order_after(*HISTORIES[name]), since) == rupiah


def test_a_movement_is_reported_once_for_each_look() -> None:
    """Two tasks that compare the same look leave one event; the sums add up over looks."""
    standing = AccountStanding(account_id="A", account="demo")
    spend = Movement(MovementKind.FOREIGN_SPEND, expected_rupiah=900, found_rupiah=650)
    command = ReportMovement(spend, T0 + timedelta(seconds=60), T0)
    answer = decide_account(standing, command)
    assert not isinstance(answer, Refusal)
    assert [type(event) for event in answer] == [ForeignSpendSuspected]
    standing = evolve_account(standing, answer[0])
    assert (standing.foreign_spend_rupiah, standing.top_up_rupiah) == (250, 0)
    assert isinstance(decide_account(standing, command), Refusal)

    top_up = ReportMovement(
        Movement(MovementKind.TOP_UP, 650, 1_650), T0 + timedelta(seconds=120), T0 + timedelta(seconds=60)
    )
    answer = decide_account(standing, top_up)
    assert not isinstance(answer, Refusal)
    assert [type(event) for event in answer] == [TopUpSeen]
    standing = evolve_account(standing, answer[0])
    assert (standing.foreign_spend_rupiah, standing.top_up_rupiah, standing.version) == (250, 1_000, 2)


def test_nothing_outstanding_leaves_the_whole_saldo() -> None:
    """The simplest case of the formula."""
    assert available_rupiah(seen(50_000), Outstanding()) == 50_000
    assert available_rupiah(seen(50_000), Outstanding(30_000, 40_000)) == -20_000
