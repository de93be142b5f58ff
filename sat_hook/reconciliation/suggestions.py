"""Suggests explanations of a break, each with the facts that speak for it. Pure: it decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sat_hook.domain.books_events import BookedBreak
from sat_hook.domain.breaks import BreakCategory, MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.order_state import ENDED_UNPAID, OrderState

NEAR_CUT_OFF = timedelta(hours=2)
"""An order that was sent or ended this close to a cut-off may be in the other day's file."""
USUAL_REFUND_DAYS = 7
"""A refund that has not come after so many days is overdue."""


class SuggestionKind(StrEnum):
    """An explanation that the facts of a break speak for."""

    REFUND_EXPECTED = "refund_expected"
    REFUND_OVERDUE = "refund_overdue"
    OVER_CUT_OFF = "over_cut_off"
    LATE_FILE = "late_file"
    TOP_UP_SEEN = "top_up_seen"
    """A rise of the deposit by exactly this amount was observed, and no top-up is recorded for it."""
    TOP_UP_MISSING = "top_up_missing"
    TOP_UP_NOT_CREDITED = "top_up_not_credited"
    """A top-up of exactly the missing amount is recorded: it may not have arrived, or be recorded twice."""
    FOREIGN_SPEND = "foreign_spend"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggested explanation.

    :param facts: what speaks for it, by name: amounts in rupiah, days, moments, counts, references.
    """

    kind: SuggestionKind
    facts: Mapping[str, int | str | date | datetime]


@dataclass(frozen=True, slots=True)
class SeenMovement:
    """A movement of the deposit that our own orders do not explain. Negative: money left it."""

    rupiah: int
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class KnownTopUp:
    """A recorded top-up."""

    reference: str
    rupiah: int
    credited_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakFacts:
    """What is known around a break.

    :param day: the business day that it is about.
    :param today: the day on which the suggestions are read.
    :param order_state: of the order that it is about, if there is one; likewise ``sent_at``, ``ended_at``.
    :param file_days: the days for which a settlement file counts.
    :param movements: seen between the two observations of the deposit of the day; so are ``top_ups``.
    """

    booked: BookedBreak
    day: BusinessDay
    today: date
    order_state: OrderState | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    file_days: frozenset[date] = frozenset()
    movements: tuple[SeenMovement, ...] = ()
    top_ups: tuple[KnownTopUp, ...] = ()


def suggestions(facts: BreakFacts) -> tuple[Suggestion, ...]:
    """The explanations that the facts speak for, the likeliest first."""
    match facts.booked.match:
        case MatchKind.SETTLEMENT:
            return (*_of_refund(facts), *_of_cut_off(facts), *_of_late_file(facts))
        case MatchKind.EVIDENCE:
            return tuple(_of_cut_off(facts))
        case MatchKind.SALDO:
            return tuple(_of_deposit(facts))
        case MatchKind.CONTROL:
            return ()


def _of_refund(facts: BreakFacts) -> Iterator[Suggestion]:
    """The provider's file charges an order that was not paid: it gives the money back in a later file."""
    booked, ended_at = facts.booked, facts.ended_at
    if facts.order_state not in ENDED_UNPAID or booked.amount_rupiah <= 0 or ended_at is None:
        return
    if booked.category not in (BreakCategory.STATUS, BreakCategory.AMOUNT):
        return
    waited = (facts.today - BusinessDay.of(ended_at, facts.day.cut_off_minutes).day).days
    is_overdue = waited > USUAL_REFUND_DAYS
    kind = SuggestionKind.REFUND_OVERDUE if is_overdue else SuggestionKind.REFUND_EXPECTED
    yield Suggestion(kind, {"amount": booked.amount_rupiah, "ended_at": ended_at, "days": max(0, waited)})


def _of_cut_off(facts: BreakFacts) -> Iterator[Suggestion]:
    """What happened near a cut-off may be in another day on the other side."""
    if facts.booked.category not in (BreakCategory.TIMING, BreakCategory.EXISTENCE, BreakCategory.STATUS):
        return
    found = _nearest(facts)
    if found is not None:
        moment, cut_off = found
        minutes = round(abs((moment - cut_off).total_seconds()) / 60)
        yield Suggestion(
            SuggestionKind.OVER_CUT_OFF, {"moment": moment, "cut_off": cut_off, "minutes": minutes}
        )


def _nearest(facts: BreakFacts) -> tuple[datetime, datetime] | None:
    """The order's moment that is nearest to a cut-off, and that cut-off; None when none is near."""
    near = [
        (abs(moment - cut_off), moment, cut_off)
        for moment in (facts.sent_at, facts.ended_at)
        for cut_off in (facts.day.opens_at, facts.day.closes_at)
        if moment is not None and abs(moment - cut_off) <= NEAR_CUT_OFF
    ]
    return min(near)[1:] if near else None


def _of_late_file(facts: BreakFacts) -> Iterator[Suggestion]:
    """We have an order that their file lacks, and the next day's file has not come."""
    booked = facts.booked
    if booked.amount_rupiah >= 0 or booked.category not in (BreakCategory.TIMING, BreakCategory.EXISTENCE):
        return
    following = booked.day + timedelta(days=1)
    if following not in facts.file_days:
        yield Suggestion(SuggestionKind.LATE_FILE, {"day": following})


def _of_deposit(facts: BreakFacts) -> Iterator[Suggestion]:
    amount, cut_off = facts.booked.amount_rupiah, facts.day.closes_at
    if facts.booked.category is BreakCategory.TIMING:
        yield Suggestion(SuggestionKind.OVER_CUT_OFF, {"moment": cut_off, "cut_off": cut_off, "minutes": 0})
    if amount > 0:
        rises = [seen for seen in facts.movements if seen.rupiah == amount]
        for seen in rises[:1]:
            yield Suggestion(SuggestionKind.TOP_UP_SEEN, {"amount": amount, "observed_at": seen.observed_at})
        if not rises and not facts.top_ups:
            yield Suggestion(SuggestionKind.TOP_UP_MISSING, {"amount": amount})
    for top_up in [known for known in facts.top_ups if known.rupiah == -amount][:1]:
        yield Suggestion(
            SuggestionKind.TOP_UP_NOT_CREDITED, {"amount": -amount, "reference": top_up.reference}
        )
    spent = [seen for seen in facts.movements if seen.rupiah < 0] if amount < 0 else []
    if spent:
        yield Suggestion(
            SuggestionKind.FOREIGN_SPEND,
            {"amount": -sum(seen.rupiah for seen in spent), "observed_at": spent[0].observed_at},
        )
