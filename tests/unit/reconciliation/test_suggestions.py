"""Suggested explanations of breaks: each rests on facts, and none is made without them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain.books_events import BookedBreak
from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.order_state import OrderState
from sat_hook.reconciliation.suggestions import (
    NEAR_CUT_OFF,
    USUAL_REFUND_DAYS,
    BreakFacts,
    KnownTopUp,
    SeenMovement,
    SuggestionKind,
    suggestions,
)

DAY = BusinessDay(date(2026, 11, 2))
NOON = datetime(2026, 11, 2, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def booked(match: MatchKind, category: BreakCategory, amount: int) -> BookedBreak:
    """A break of the day."""
    return BookedBreak(
        break_id="K" + "A" * 15,
        match=match,
        category=category,
        subject="x",
        day=DAY.day,
        first_seen=DAY.day,
        request_id=None,
        order_id=None,
        what="a difference",
        ours="",
        theirs="",
        amount_rupiah=amount,
        evidence=BreakEvidence(),
        state=BreakState.OPEN,
        reason=None,
        actor=None,
        decided_at=None,
        is_adjustment=False,
    )


def facts(match: MatchKind, category: BreakCategory, amount: int, **more: object) -> BreakFacts:
    """What is known around such a break, read the day after."""
    found = booked(match, category, amount)
    return BreakFacts(booked=found, day=DAY, **{"today": DAY.day + timedelta(days=1), **more})  # type: ignore[arg-type]


def kinds(of: BreakFacts) -> list[SuggestionKind]:
    """What is suggested."""
    return [one.kind for one in suggestions(of)]


@pytest.mark.parametrize(
    ("days", "kind"),
    [
        (1, SuggestionKind.REFUND_EXPECTED),
        (USUAL_REFUND_DAYS, SuggestionKind.REFUND_EXPECTED),
        (USUAL_REFUND_DAYS + 1, SuggestionKind.REFUND_OVERDUE),
    ],
)
@pytest.mark.parametrize("state", [OrderState.FAILED, OrderState.REVERSED])
def test_a_charge_for_an_unpaid_order_awaits_its_refund(
    state: OrderState, days: int, kind: SuggestionKind
) -> None:
    """After a week it is overdue."""
    known = facts(
        MatchKind.SETTLEMENT,
        BreakCategory.STATUS,
        52_000,
        order_state=state,
        sent_at=NOON,
        ended_at=NOON + MINUTE,
        today=DAY.day + timedelta(days=days),
        file_days=frozenset({DAY.day + timedelta(days=1)}),
    )
    (found,) = suggestions(known)
    assert (found.kind, found.facts["amount"], found.facts["days"]) == (kind, 52_000, days)


def test_an_order_near_the_cut_off_may_be_in_the_other_days_file() -> None:
    """The nearest moment and the cut-off are named; the file of the next day that has not come, too."""
    sent = DAY.closes_at - 10 * MINUTE
    known = facts(
        MatchKind.SETTLEMENT,
        BreakCategory.EXISTENCE,
        -52_000,
        order_state=OrderState.SUCCEEDED,
        sent_at=sent,
        ended_at=DAY.closes_at + 3 * MINUTE,
    )
    timing, late = suggestions(known)
    assert (timing.kind, timing.facts["minutes"]) == (SuggestionKind.OVER_CUT_OFF, 3)
    assert timing.facts["moment"] == DAY.closes_at + 3 * MINUTE
    assert (late.kind, late.facts) == (SuggestionKind.LATE_FILE, {"day": DAY.day + timedelta(days=1)})


def test_a_rise_of_exactly_the_amount_is_a_top_up_that_was_not_recorded() -> None:
    """Another rise is not; without a rise and without any top-up one may be missing."""
    seen = SeenMovement(1_000_000, NOON)
    of_saldo = (MatchKind.SALDO, BreakCategory.AMOUNT, 1_000_000)
    assert kinds(facts(*of_saldo, movements=(seen,))) == [SuggestionKind.TOP_UP_SEEN]
    assert kinds(facts(*of_saldo, movements=(SeenMovement(999_999, NOON),))) == [
        SuggestionKind.TOP_UP_MISSING
    ]
    recorded = (KnownTopUp("BCA-1", 5, NOON),)
    assert kinds(facts(*of_saldo, top_ups=recorded)) == []


def test_money_that_is_missing_was_spent_by_others_or_never_arrived() -> None:
    """A recorded top-up of exactly the amount may be recorded twice."""
    of_saldo = (MatchKind.SALDO, BreakCategory.AMOUNT, -1_000_000)
    recorded = (KnownTopUp("BCA-1", 1_000_000, NOON),)
    assert kinds(facts(*of_saldo, top_ups=recorded)) == [SuggestionKind.TOP_UP_NOT_CREDITED]
    spent = (SeenMovement(-400_000, NOON), SeenMovement(-300_000, NOON + MINUTE))
    (found,) = suggestions(facts(*of_saldo, movements=spent))
    assert (found.kind, found.facts["amount"]) == (SuggestionKind.FOREIGN_SPEND, 700_000)


MOMENTS = st.none() | st.timedeltas(timedelta(hours=-5), timedelta(hours=30)).map(
    lambda after: DAY.opens_at + after
)
MOVEMENTS = st.lists(
    st.builds(SeenMovement, st.integers(-3, 3).map(lambda n: n * 1_000), st.just(NOON)), max_size=3
)
TOP_UPS = st.lists(
    st.builds(KnownTopUp, st.just("BCA-1"), st.integers(1, 3).map(lambda n: n * 1_000), st.just(NOON)),
    max_size=2,
)


@given(
    match=st.sampled_from(MatchKind),
    category=st.sampled_from(BreakCategory),
    amount=st.integers(-3, 3).map(lambda n: n * 1_000),
    state=st.none() | st.sampled_from(OrderState),
    sent_at=MOMENTS,
    ended_at=MOMENTS,
    waited=st.integers(0, 20),
    has_next_file=st.booleans(),
    movements=MOVEMENTS,
    top_ups=TOP_UPS,
)
def test_every_suggestion_rests_on_facts(
    match: MatchKind,
    category: BreakCategory,
    amount: int,
    state: OrderState | None,
    sent_at: datetime | None,
    ended_at: datetime | None,
    waited: int,
    has_next_file: bool,
    movements: list[SeenMovement],
    top_ups: list[KnownTopUp],
) -> None:
    """Whatever is known: each kind at most once, and only where its facts are so."""
    following = DAY.day + timedelta(days=1)
    known = facts(
        match,
        category,
        amount,
        order_state=state,
        sent_at=sent_at,
        ended_at=ended_at,
        today=DAY.day + timedelta(days=waited),
        file_days=frozenset({following} if has_next_file else ()),
        movements=tuple(movements),
        top_ups=tuple(top_ups),
    )
    found = {one.kind: one.facts for one in suggestions(known)}
    assert len(found) == len(suggestions(known))
    for kind, said in found.items():
        match kind:
            case SuggestionKind.REFUND_EXPECTED | SuggestionKind.REFUND_OVERDUE:
                assert state in (OrderState.FAILED, OrderState.REVERSED)
                assert said["amount"] == amount > 0
            case SuggestionKind.OVER_CUT_OFF if match is not MatchKind.SALDO:
                moment, cut_off = said["moment"], said["cut_off"]
                assert isinstance(moment, datetime)
                assert isinstance(cut_off, datetime)
                assert moment in (sent_at, ended_at)
                assert abs(moment - cut_off) <= NEAR_CUT_OFF
            case SuggestionKind.OVER_CUT_OFF:
                assert category is BreakCategory.TIMING
            case SuggestionKind.LATE_FILE:
                assert not has_next_file
                assert amount < 0
            case SuggestionKind.TOP_UP_SEEN:
                assert amount in [seen.rupiah for seen in movements]
            case SuggestionKind.TOP_UP_MISSING:
                assert not top_ups
                assert amount > 0
            case SuggestionKind.TOP_UP_NOT_CREDITED:
                assert -amount in [top_up.rupiah for top_up in top_ups]
            case SuggestionKind.FOREIGN_SPEND:
                assert amount < 0
                assert said["amount"] == -sum(seen.rupiah for seen in movements if seen.rupiah < 0)
