"""The third match: compares the change between two observations of the deposit with orders and top-ups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from sat_hook.domain.books import AccountBooks, Entry, PostedClose
from sat_hook.domain.books_events import SaldoTerms, TopUpRecorded
from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.rupiah import rupiah
from sat_hook.reconciliation.break_factory import BreakFactory
from sat_hook.reconciliation.model import Break, MatchTotals, SaldoEquation, SaldoPoint, TopUp

if TYPE_CHECKING:
    import pandas as pd

NEAR_CUT_OFF = timedelta(hours=2)
"""Maximum distance of an observation of the deposit from the cut-off that it counts for."""
RULE = "equation"


def look_near(books: AccountBooks, moment: datetime) -> SaldoPoint | None:
    """Return the observation for a cut-off: the first one at or after it, else the last one before."""
    looks = [look for look in books.observations if abs(look.event.requested_at - moment) <= NEAR_CUT_OFF]
    after = [look for look in looks if look.event.requested_at >= moment]
    chosen = after[0] if after else looks[-1] if looks else None
    if chosen is None:
        return None
    return SaldoPoint(
        observed_at=chosen.event.requested_at,
        saldo_rupiah=chosen.event.saldo_rupiah,
        response_digest=chosen.event.response_digest,
        position=chosen.posted.position,
    )


def opening_look(books: AccountBooks, day: BusinessDay, yesterday: PostedClose | None) -> SaldoPoint | None:
    """Return a day's opening observation: yesterday's closing one, if yesterday was closed with one."""
    if yesterday is not None and yesterday.event.saldo is not None:
        saldo = yesterday.event.saldo
        found = [
            look
            for look in books.observations
            if (look.event.requested_at, look.event.saldo_rupiah)
            == (saldo.closing_observed_at, saldo.closing_rupiah)
        ]
        return SaldoPoint(
            observed_at=saldo.closing_observed_at,
            saldo_rupiah=saldo.closing_rupiah,
            response_digest=found[0].event.response_digest if found else None,
            position=found[0].posted.position if found else yesterday.posted.position,
        )
    return look_near(books, day.opens_at)


def top_ups_between(books: AccountBooks, after: datetime, up_to: datetime) -> list[Entry[TopUpRecorded]]:
    """Return the recorded top-ups credited in a span, including its end."""
    return [posted for posted in books.top_ups if after < posted.event.credited_at <= up_to]


def shown_top_up(posted: Entry[TopUpRecorded]) -> TopUp:
    return TopUp(
        reference=posted.event.reference,
        rupiah=posted.event.amount_rupiah,
        credited_at=posted.event.credited_at,
        actor=posted.posted.actor,
        position=posted.posted.position,
    )


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """The terms of the equation that are sums over orders."""

    debits_rupiah: int = 0
    refunds_rupiah: int = 0
    in_transit_opening_rupiah: int = 0
    in_transit_closing_rupiah: int = 0
    may_drift_rupiah: int = 0

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Self:
        """Those of the ledger's rows."""
        uncertain = rows.loc[rows["is_uncertain_at_close"], "charged_rupiah"]
        return cls(
            int(rows["debit_rupiah"].sum()),
            int(rows["refund_rupiah"].sum()),
            int(rows["in_transit_opening_rupiah"].sum()),
            int(rows["in_transit_closing_rupiah"].sum()),
            int(uncertain.sum()),
        )

    @classmethod
    def sum(cls, parts: Iterable[OrderTerms]) -> Self:
        """Those of all parts together."""
        return cls(*map(sum, zip(*map(astuple, parts), strict=True)))


def equation_of(
    opening: SaldoPoint, closing: SaldoPoint, terms: OrderTerms, top_ups_rupiah: int, in_transit_rupiah: int
) -> SaldoEquation:
    """Return the equation of the orders.

    :param in_transit_rupiah: at the opening; from yesterday's close, if there is one.
    """
    return SaldoEquation(
        opening=opening,
        closing=closing,
        top_ups_rupiah=top_ups_rupiah,
        debits_rupiah=terms.debits_rupiah,
        refunds_rupiah=terms.refunds_rupiah,
        in_transit_opening_rupiah=in_transit_rupiah,
        in_transit_closing_rupiah=terms.in_transit_closing_rupiah,
        may_drift_rupiah=terms.may_drift_rupiah,
    )


def terms_of(equation: SaldoEquation) -> SaldoTerms:
    return SaldoTerms(
        opening_observed_at=equation.opening.observed_at,
        opening_rupiah=equation.opening.saldo_rupiah,
        closing_observed_at=equation.closing.observed_at,
        closing_rupiah=equation.closing.saldo_rupiah,
        top_ups_rupiah=equation.top_ups_rupiah,
        debits_rupiah=equation.debits_rupiah,
        refunds_rupiah=equation.refunds_rupiah,
        in_transit_opening_rupiah=equation.in_transit_opening_rupiah,
        in_transit_closing_rupiah=equation.in_transit_closing_rupiah,
        unexplained_rupiah=equation.unexplained_rupiah,
    )


def judge_equation(finder: BreakFactory, equation: SaldoEquation) -> Break | None:
    """Return a break if even one rupiah is unexplained."""
    found = equation.unexplained_rupiah
    if found == 0:
        return None
    may_drift = abs(found) <= equation.may_drift_rupiah
    way = "more" if found > 0 else "less"
    return finder.found(
        RULE,
        finder.day.isoformat(),
        BreakCategory.TIMING if may_drift else BreakCategory.AMOUNT,
        f"the deposit holds {way} than orders and top-ups explain"
        + ("; orders around the closing look may be why" if may_drift else ""),
        ours=rupiah(equation.expected_rupiah),
        theirs=rupiah(equation.closing.saldo_rupiah),
        amount_rupiah=found,
        evidence=BreakEvidence(
            positions=(equation.opening.position, equation.closing.position),
            response_digest=equation.closing.response_digest,
        ),
    )


def totals_of(equation: SaldoEquation | None, breaks: int) -> MatchTotals:
    if equation is None:
        note = "The deposit was not looked at near both cut-offs; nothing could be compared."
        return MatchTotals(MatchKind.SALDO, False, note, 0, 0, 0, 0, 0, 0, breaks)
    agreed = int(equation.unexplained_rupiah == 0)
    return MatchTotals(
        kind=MatchKind.SALDO,
        was_made=True,
        note="The closing saldo against opening, top-ups, debits, refunds and what is in transit.",
        ours=1,
        ours_rupiah=equation.expected_rupiah,
        theirs=1,
        theirs_rupiah=equation.closing.saldo_rupiah,
        matched=agreed,
        matched_rupiah=equation.closing.saldo_rupiah if agreed else 0,
        breaks=breaks,
    )


def carry_equation(
    carried: Break, books: AccountBooks, today: Break | None, before: int
) -> tuple[Break, bool]:
    """Return an earlier equation's break as it stands now, and whether it cancels out today's.

    The break ends when top-ups recorded since explain all of it. It also ends when it came from the moment of
    the closing observation: today opens with that observation and lacks exactly the amount that was too much.
    This does not apply to two unexplained movements of the same size, nor to an opposite amount on any other
    day.

    :param before: events recorded after this position are new since the last close.
    """
    close = books.closes.get(carried.day)
    terms = close.event.saldo if close is not None else None
    left = carried.amount_rupiah
    if terms is not None:
        late = [
            posted
            for posted in top_ups_between(books, terms.opening_observed_at, terms.closing_observed_at)
            if posted.posted.position > before
        ]
        left -= sum(posted.event.amount_rupiah for posted in late)
        if left == 0 and late:
            references = ", ".join(posted.event.reference for posted in late)
            return _ended(carried, f"explained by a top-up recorded later ({references})"), False
    is_moment = carried.category is BreakCategory.TIMING
    follows = today is not None and today.day - carried.day == timedelta(days=1)
    if today is not None and is_moment and follows and today.amount_rupiah == -left:
        return _ended(carried, f"the next equation has the opposite: {rupiah(today.amount_rupiah)}"), True
    return replace(carried, amount_rupiah=left), False


def _ended(carried: Break, reason: str) -> Break:
    return replace(carried, state=BreakState.RESOLVED, reason=reason, actor="service:reconciliation")
