"""The tables of breaks as the log says that they must be: folded in memory, and held against the stored rows.

The store fills the tables with statements of SQL that follow the log. This fold is written apart from them:
it finds their errors as well as an altered row.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from sat_hook.audit.findings import Finding, FindingKind
from sat_hook.domain import books_events as happened
from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.store.breaks import FollowedTables, ages_of

_EXPECTED = "what the account's events say"


class BreakRow(NamedTuple):
    """A row of ``sat.breaks``, in the order of its columns here and in the statement that reads them."""

    account: str
    closed_day: date
    closed_days: list[date]
    day: date
    first_seen: date
    category: str
    state: str
    amount_rupiah: int
    booked: dict[str, Any]
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    version: int
    is_listed: bool
    first_decided: int | None = None
    assignee: str = ""
    comments: int = 0
    files: int = 0


@dataclass(slots=True)
class BreaksInLog:
    """The rows that the events of accounts make."""

    rows: dict[str, BreakRow] = field(default_factory=dict)
    ages: dict[tuple[str, date, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    closes: set[tuple[str, date]] = field(default_factory=set)

    def apply(self, item: RecordedEvent) -> None:
        """Apply an event; those of an account in order."""
        match item.event:
            case happened.DayClosed() as closed:
                if (closed.account, closed.day) in self.closes:
                    self._forget_close(closed.account, closed.day)
                self.closes.add((closed.account, closed.day))
            case happened.BreaksRecorded() as recorded:
                for booked in recorded.breaks:
                    self._book(booked, recorded, item.version)
                for age, breaks, size in zip(*ages_of(recorded), strict=True):
                    counted = self.ages[recorded.account, recorded.day, age]
                    counted[0] += breaks
                    counted[1] += size
            case happened.BreakDecided() as decided:
                self._change(
                    decided.break_id,
                    state=decided.state.value,
                    reason=decided.reason,
                    decided_by=item.provenance.actor,
                    decided_at=item.occurred_at,
                    version=item.version,
                )
                if (row := self.rows.get(decided.break_id)) is not None and row.first_decided is None:
                    self._change(decided.break_id, first_decided=item.position)
            case happened.BreakAssigned() as assigned:
                self._change(assigned.break_id, assignee=assigned.assignee, version=item.version)
            case happened.BreakCommented(break_id=break_id) if break_id in self.rows:
                self._change(break_id, comments=self.rows[break_id].comments + 1)
            case happened.BreakFileAttached(break_id=break_id) if break_id in self.rows:
                self._change(break_id, files=self.rows[break_id].files + 1)

    def _forget_close(self, account: str, day: date) -> None:
        """A day is closed again: its breaks come once more with its new close."""
        for key in [key for key in self.ages if key[:2] == (account, day)]:
            del self.ages[key]
        for break_id, row in self.rows.items():
            if row.account == account and day in row.closed_days:
                left = [one for one in row.closed_days if one != day]
                closed_day = max(left, default=row.closed_day)
                self._change(break_id, closed_days=left, closed_day=closed_day, is_listed=bool(left))

    def _book(self, booked: happened.BookedBreak, recorded: happened.BreaksRecorded, version: int) -> None:
        known = self.rows.get(booked.break_id)
        closed_days = [] if known is None else [day for day in known.closed_days if day != recorded.day]
        closed_days.append(recorded.day)
        if known is not None and known.is_listed and known.closed_day > recorded.day:
            # The newer day, which has it too, stays the one that counts.
            self._change(booked.break_id, closed_days=closed_days)
            return
        row = BreakRow(
            account=recorded.account if known is None else known.account,
            closed_day=recorded.day,
            closed_days=closed_days,
            day=booked.day,
            first_seen=booked.first_seen,
            category=booked.category.value,
            state=booked.state.value,
            amount_rupiah=booked.amount_rupiah,
            booked=json.loads(to_json(booked)),
            reason=booked.reason,
            decided_by=booked.actor,
            decided_at=booked.decided_at,
            version=version,
            is_listed=True,
        )
        if known is not None:
            row = row._replace(
                first_decided=known.first_decided,
                assignee=known.assignee,
                comments=known.comments,
                files=known.files,
            )
        self.rows[booked.break_id] = row

    def _change(self, break_id: str, **members: Any) -> None:
        if break_id in self.rows:
            self.rows[break_id] = self.rows[break_id]._replace(**members)


def compare_breaks(tables: FollowedTables, report: Callable[[Finding], None]) -> None:
    """Compare the tables of breaks with the log, each account up to where its tables are filled.

    An account whose events cannot be read is left out; its stream has a finding of its own.
    """
    found = BreaksInLog()
    for events in tables.followed_events():
        _apply_all(found, events)
    for break_id, *values in tables.rows():
        row, expected = BreakRow(*values), found.rows.pop(break_id, None)
        if expected is None:
            report(Finding.at(FindingKind.PROJECTION_WITHOUT_EVENTS, f"breaks {break_id}", "a row", "no row"))
        elif row != expected:
            pairs = zip(row._fields, row, expected, strict=True)
            said = f"other values in {', '.join(name for name, one, other in pairs if one != other)}"
            report(Finding.at(FindingKind.PROJECTION_DIFFERS, f"breaks {break_id}", said, _EXPECTED))
    for break_id in found.rows:
        report(Finding.at(FindingKind.PROJECTION_MISSING, f"breaks {break_id}", "no row", "a row"))
    ages = {(account, day, age): [*counted] for account, day, age, *counted in tables.ages()}
    keys = ages.keys() | found.ages.keys()
    for account, day in sorted({key[:2] for key in keys if ages.get(key) != found.ages.get(key)}):
        place = f"break_ages of {account} on {day}"
        report(Finding.at(FindingKind.PROJECTION_DIFFERS, place, "other ages", _EXPECTED))


def _apply_all(found: BreaksInLog, events: Iterable[RecordedEvent]) -> None:
    try:
        for item in events:
            found.apply(item)
    except (UnknownEventError, ValidationError):
        return
