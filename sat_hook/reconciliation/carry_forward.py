"""Earlier days' breaks in today's close: carried forward with their first day, ended only by evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.books_events import BookedBreak
from sat_hook.domain.breaks import BreakCategory, BreakState, MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation.break_factory import REST
from sat_hook.reconciliation.deposit_match import carry_equation
from sat_hook.reconciliation.model import Break

SERVICE = "service:reconciliation"

Judge = Callable[[date, Sequence[Break]], Iterable[Break]]
"""Repeats one match of an earlier day for the subjects of its breaks. Returns what it finds now."""


def break_of(booked: BookedBreak) -> Break:
    return Break(**{name: getattr(booked, name) for name in BookedBreak.model_fields})


def booked_of(item: Break) -> BookedBreak:
    return BookedBreak(**{name: getattr(item, name) for name in BookedBreak.model_fields})


def carry(
    books: AccountBooks,
    carried: Sequence[Break],
    found: Sequence[Break],
    judges: dict[MatchKind, Judge],
    before: int,
) -> list[Break]:
    """Combine today's breaks with those of earlier days, each once.

    :param found: what today's matches found.
    :param judges: repeat the matches with signed statuses and settlement files for earlier breaks.
    :param before: the position of the last close.
    """
    now = {item.break_id: item for item in found}
    result: dict[str, Break] = {}
    again: dict[tuple[MatchKind, date], list[Break]] = defaultdict(list)
    for item in carried:
        if item.break_id in now:
            result[item.break_id] = _with_history(now.pop(item.break_id), item)
        elif item.match in judges and not item.subject.startswith(REST):
            again[item.match, item.day].append(item)
        elif item.match is MatchKind.SALDO:
            equation = _equation_in(now)
            still, cancels = carry_equation(item, books, equation, before)
            result[item.break_id] = still
            if cancels and equation is not None:
                now[equation.break_id] = _resolved(equation, f"cancels out break {item.break_id}")
        else:
            result[item.break_id] = item
    for (match, day), items in again.items():
        standing = {item.break_id: item for item in judges[match](day, items)}
        for item in items:
            still_there = standing.get(item.break_id)
            result[item.break_id] = (
                _with_history(still_there, item)
                if still_there is not None
                else _resolved(item, _why_over(books, item))
            )
    return [*result.values(), *now.values()]


def decided(books: AccountBooks, items: Iterable[Break], cut_off_minutes: int) -> list[Break]:
    """Return the breaks with people's decisions. Evidence that ended a break takes precedence."""
    result = []
    for item in items:
        decision = books.decisions.get(item.break_id)
        # A decision about an earlier break of the same subject does not apply to a new one.
        began = BusinessDay(item.first_seen, cut_off_minutes).opens_at
        if decision is None or decision.posted.at < began or item.state.is_final:
            result.append(item)
        else:
            result.append(
                replace(
                    item,
                    state=decision.event.state,
                    reason=decision.event.reason,
                    actor=decision.posted.actor,
                    decided_at=decision.posted.at,
                )
            )
    return result


def _equation_in(now: dict[str, Break]) -> Break | None:
    return next(
        (
            item
            for item in now.values()
            if item.match is MatchKind.SALDO and item.state is not BreakState.RESOLVED
        ),
        None,
    )


def _with_history(item: Break, earlier: Break) -> Break:
    return replace(item, day=earlier.day, first_seen=earlier.first_seen, is_adjustment=earlier.is_adjustment)


def _why_over(books: AccountBooks, item: Break) -> str:
    told = books.cleared.get(item.evidence.file_name or "")
    return told if told is not None and item.category is BreakCategory.FILE else "the evidence agrees now"


def _resolved(item: Break, reason: str) -> Break:
    return replace(item, state=BreakState.RESOLVED, reason=reason, actor=SERVICE)
