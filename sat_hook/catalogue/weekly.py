"""A week of prices: what moved, what came and went, and how complete the data is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from sat_hook.domain.business_day import business_day, midnight
from sat_hook.domain.prices import (
    GAP_HOURS,
    ChangeKind,
    ListedProduct,
    PriceSnapshot,
    RecordedChange,
    SnapshotOutcome,
    gaps_between,
    ordered,
)
from sat_hook.store.prices import PriceHistory

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Week:
    """A week from Monday to Sunday, Jakarta time."""

    monday: date

    @classmethod
    def of(cls, day: date) -> Week:
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def last_before(cls, moment: datetime) -> Week:
        return cls.of(business_day(moment) - WEEK)

    @property
    def name(self) -> str:
        """By ISO 8601: ``2026-W47``."""
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"

    @property
    def since(self) -> datetime:
        """Its first moment, UTC."""
        return midnight(self.monday)

    @property
    def until(self) -> datetime:
        """The first moment after it, UTC."""
        return midnight(self.monday + WEEK)


@dataclass(frozen=True, slots=True)
class Move:
    """A product's price at the start and end of the week. ``changes`` counts the steps between."""

    before: ListedProduct
    after: ListedProduct
    changes: int

    @property
    def prices_rupiah(self) -> tuple[int, int]:
        """Both prices; only products that have both move."""
        assert self.before.price_rupiah is not None
        assert self.after.price_rupiah is not None
        return self.before.price_rupiah, self.after.price_rupiah


@dataclass(frozen=True, slots=True)
class WeekSummary:
    """The summary of a week of an account's prices.

    :param until: the end of the week, or the time of the summary if the week is not over.
    :param rises: products whose price rose over the week, largest percentage first.
    :param falls: likewise products whose price fell.
    :param there_and_back: products whose price changed and returned to its first value.
    :param statuses: changes of status, with the status before and after the week.
    :param gaps: spans without a list.
    """

    account: str
    week: Week
    until: datetime
    listed_before: int
    listed_after: int
    attempts: Mapping[SnapshotOutcome, int]
    gaps: tuple[tuple[datetime, datetime], ...]
    rises: tuple[Move, ...]
    falls: tuple[Move, ...]
    there_and_back: int
    appeared: tuple[ListedProduct, ...]
    returned: tuple[ListedProduct, ...]
    disappeared: tuple[ListedProduct, ...]
    statuses: tuple[tuple[ListedProduct, ListedProduct], ...]
    other_changes: int

    @property
    def was_watched(self) -> bool:
        """True when a list was accepted in the week."""
        return bool(self.attempts.get(SnapshotOutcome.COMPLETE))


def summary_of(
    account: str,
    week: Week,
    now: datetime,
    *,
    before: Mapping[str, ListedProduct],
    after: Mapping[str, ListedProduct],
    changes: Sequence[RecordedChange],
    attempts: Sequence[PriceSnapshot],
    moments: Sequence[datetime],
    gap_hours: float = GAP_HOURS,
) -> WeekSummary:
    """The summary of a week.

    :param now: used as the end of a week that is not over.
    :param before: the price list at the start of the week, by code; ``after`` is the list at its end.
    :param changes: all changes of the week, oldest first.
    :param attempts: all attempts of the week.
    :param moments: when accepted lists were requested, including the last one before the week.
    """
    until = min(now, week.until)
    touched: dict[str, list[RecordedChange]] = {}
    for recorded in changes:
        touched.setdefault(recorded.change.code, []).append(recorded)
    moves, there_and_back, statuses, others = [], 0, [], 0
    for code, steps in touched.items():
        first, last = before.get(code), after.get(code)
        if first is None or last is None:
            continue
        if first.status != last.status:
            statuses.append((first, last))
        priced = sum(step.change.prices_rupiah is not None for step in steps)
        if first.price_rupiah == last.price_rupiah:
            there_and_back += bool(priced)
        elif first.price_rupiah and last.price_rupiah:
            moves.append(Move(first, last, priced))
        others += sum(bool(set(step.change.attributes) - {"price_rupiah", "status"}) for step in steps)
    outcomes = [attempt.outcome for attempt in attempts]
    came = {code for code in after if code not in before}
    returned = {c for c in came if touched.get(c) and touched[c][0].change.kind is not ChangeKind.APPEARED}
    return WeekSummary(
        account=account,
        week=week,
        until=until,
        listed_before=len(before),
        listed_after=len(after),
        attempts={outcome: outcomes.count(outcome) for outcome in SnapshotOutcome if outcome in outcomes},
        gaps=tuple(gaps_between(moments, week.since, until, gap_hours)),
        rises=tuple(sorted((m for m in moves if _share(m) > 0), key=lambda m: (-_share(m), m.after.code))),
        falls=tuple(sorted((m for m in moves if _share(m) < 0), key=lambda m: (_share(m), m.after.code))),
        there_and_back=there_and_back,
        appeared=tuple(ordered(after[code] for code in came - returned)),
        returned=tuple(ordered(after[code] for code in returned)),
        disappeared=tuple(ordered(line for code, line in before.items() if code not in after)),
        statuses=tuple(sorted(statuses, key=lambda pair: pair[1].code)),
        other_changes=others,
    )


def _share(move: Move) -> Fraction:
    before, after = move.prices_rupiah
    return Fraction(after - before, abs(before))


def read_week(history: PriceHistory, account: str, week: Week, now: datetime) -> WeekSummary:
    """Summarise a week of an account's prices, up to now if it is not over.

    :raises StoreUnavailableError: when the database is away.
    """
    until = min(now, week.until)
    return summary_of(
        account,
        week,
        now,
        before=history.listed_at(account, week.since),
        after=history.listed_at(account, until),
        changes=history.changes(account, week.since, until),
        attempts=history.snapshots(account, week.since, until),
        moments=history.complete_moments(account, week.since, until),
    )
