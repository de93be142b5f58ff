"""The fourth match: counts the log in two ways, and checks the chain of days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from sat_hook.domain.books import PostedClose
from sat_hook.domain.breaks import BreakCategory, MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation.break_factory import BreakFactory
from sat_hook.reconciliation.ledger import Tally
from sat_hook.reconciliation.model import Break, ControlTotal, MatchTotals, SaldoPoint


def tally_of(rows: pd.DataFrame) -> Tally:
    """Return the tally of a report's rows."""
    return Tally(
        events=int(rows["day_events"].sum()),
        mark=int(np.bitwise_xor.reduce(rows["day_mark"].to_numpy())),
        rupiah=int(rows["day_rupiah"].sum()),
        sendings=int(rows["is_sent_in_day"].sum()),
    )


def control_totals(
    log: Tally,
    report: Tally,
    foreign: Tally,
    lost: int,
    opening: SaldoPoint | None,
    in_transit_rupiah: int,
    yesterday: PostedClose | None,
) -> tuple[ControlTotal, ...]:
    """Return the totals of log and report side by side, and the opening beside yesterday's closing.

    :param report: of the report's rows; ``foreign`` of other accounts' orders.
    :param lost: how many orders have no beginning.
    """
    ours = log.without(foreign)
    totals = [
        ControlTotal("events of the day's orders", f"{ours.events:,}", f"{report.events:,}"),
        ControlTotal("digest of these events", f"{ours.mark:015x}", f"{report.mark:015x}"),
        ControlTotal("orders sent for the first time", f"{ours.sendings:,}", f"{report.sendings:,}"),
        ControlTotal("rupiah of successes", f"{ours.rupiah:,}", f"{report.rupiah:,}"),
        ControlTotal("orders without a beginning", "0", f"{lost:,}"),
    ]
    saldo = yesterday.event.saldo if yesterday is not None else None
    if saldo is not None:
        shown = f"{opening.saldo_rupiah:,}" if opening is not None else "none"
        totals.append(
            ControlTotal("opening saldo is yesterday's closing", f"{saldo.closing_rupiah:,}", shown)
        )
        totals.append(
            ControlTotal(
                "in transit at the opening is yesterday's at the close",
                f"{saldo.in_transit_closing_rupiah:,}",
                f"{in_transit_rupiah:,}",
            )
        )
    return tuple(totals)


def control_breaks(
    finder: BreakFactory,
    day: BusinessDay,
    controls: Sequence[ControlTotal],
    opening: SaldoPoint | None,
    closing: SaldoPoint | None,
    last: PostedClose | None,
) -> Iterator[Break]:
    for total in controls:
        if not total.agrees:
            yield finder.found(
                total.name,
                day.day.isoformat(),
                BreakCategory.CONTROL,
                f"control total: {total.name}",
                ours=total.in_the_report,
                theirs=total.in_the_log,
            )
    if last is not None and (day.day - last.event.day).days > 1:
        yield finder.found(
            "chain",
            day.day.isoformat(),
            BreakCategory.CONTROL,
            "the day before was not closed",
            ours=f"last closed: {last.event.day}",
            theirs="the day before",
        )
    for name, look in (("opening", opening), ("closing", closing)):
        if look is None:
            yield finder.found(
                f"{name} look",
                day.day.isoformat(),
                BreakCategory.CONTROL,
                f"the deposit was not observed near the {name} cut-off",
                ours="no saldo",
                theirs="a saldo",
            )


def totals_of(controls: Sequence[ControlTotal], breaks: int) -> MatchTotals:
    agreeing = sum(1 for total in controls if total.agrees)
    return MatchTotals(
        kind=MatchKind.CONTROL,
        was_made=True,
        note="Totals of the log against totals of this report, and the opening against yesterday's closing.",
        ours=len(controls),
        ours_rupiah=0,
        theirs=len(controls),
        theirs_rupiah=0,
        matched=agreeing,
        matched_rupiah=0,
        breaks=breaks,
    )
