"""Versions of a closed day's report. Each close, decision and signature makes one; none ever changes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeVar

from sat_hook.domain.books_events import BreakDecided, BreaksRecorded, DayCertified, DayClosed, DayPrepared
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.reconciliation.day_figures import DayFigures
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.model import DayClose

_LONGEST_BEGINNING = 400
"""Characters of the event that have its account and its day."""
_BREAK_ID = re.compile(r'"break_id":"(K[A-Z2-7]{15})"')
VersionEvent = DayClosed | BreakDecided | DayPrepared | DayCertified
"""The events that make versions."""
_TYPES = {kind.__name__ for kind in (DayClosed, BreakDecided, DayPrepared, DayCertified)}


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a day's report, and what made it.

    :param number: counts from 1 over all closes of the day.
    :param position: of ``event``, which made it.
    :param close: the close that it shows, as it was recorded at ``closed_at``.
    """

    number: int
    position: int
    at: datetime
    actor: str
    what: str
    event: VersionEvent
    close: DayClosed
    closed_at: int

    @property
    def business_day(self) -> BusinessDay:
        return BusinessDay(self.close.day, self.close.cut_off_minutes)

    @property
    def place(self) -> str:
        """Its folder below the results. Versions after a close are beside that close's report."""
        is_close = self.position == self.closed_at
        return self.place_of_close if is_close else f"{self.place_of_close}/version-{self.number}"

    @property
    def place_of_close(self) -> str:
        """The folder of its close's own version, which has the day's figures and orders."""
        return f"reconciliation/{self.close.account}/{self.close.day}/{self.close.position}"


def versions_of(recorded: Iterable[RecordedEvent], day: date) -> list[Version]:
    """Return the versions of a day's report, oldest first.

    :param recorded: the account's stream.
    """
    versions: list[Version] = []
    close: tuple[DayClosed, int] | None = None
    break_ids: set[str] = set()
    of_day = f'"day":"{day.isoformat()}"'
    for item in recorded:
        if item.type_name == BreaksRecorded.__name__:
            # There may be very many: their ids are read without the breaks.
            if of_day in item.data[:_LONGEST_BEGINNING].partition('"breaks"')[0]:
                break_ids.update(_BREAK_ID.findall(item.data))
            continue
        if item.type_name not in _TYPES or not _may_be_of(item, break_ids):
            continue
        event = item.event
        if not isinstance(event, VersionEvent) or (what := _what(event, day, break_ids)) is None:
            continue
        if isinstance(event, DayClosed):
            close, break_ids = (event, item.position), set()
        if close is not None:
            number, actor = len(versions) + 1, item.provenance.actor
            versions.append(Version(number, item.position, item.occurred_at, actor, what, event, *close))
    return versions


def _may_be_of(item: RecordedEvent, break_ids: set[str]) -> bool:
    """False for a decision about the break of another day, which is not parsed: there may be very many."""
    if item.type_name != BreakDecided.__name__:
        return True
    found = _BREAK_ID.search(item.data)
    return found is not None and found[1] in break_ids


def _what(event: VersionEvent, day: date, break_ids: set[str]) -> str | None:
    match event:
        case DayClosed() if event.day == day:
            return f"closed at log position {event.position}, result {event.result_digest[:16]}"
        case BreakDecided() if event.break_id in break_ids:
            return f"break {event.break_id} {event.state.value.replace('_', ' ')}: {event.reason}"
        case DayPrepared() if event.day == day:
            return f"prepared, result {event.result_digest[:16]}: {event.note}"
        case DayCertified() if event.day == day:
            sealed = f", checkpoint {event.checkpoint[:16]}" if event.checkpoint else ""
            return f"certified, result {event.result_digest[:16]}{sealed}: {event.note}"
        case _:
            return None


def version_numbered(versions: list[Version], day: date, number: int | None) -> Version:
    """Return the version with a number; the newest one by default.

    :raises BooksRefusedError: there is none.
    """
    if not versions:
        raise BooksRefusedError(f"{day}: found no close; expected a day that is closed")
    if number is None:
        return versions[-1]
    if not 1 <= number <= len(versions):
        raise BooksRefusedError(f"{day}: found no version {number}; expected 1 to {len(versions)}")
    return versions[number - 1]


Result = TypeVar("Result", DayClose, DayFigures)


def as_decided(close: Result, versions: Iterable[Version], version: Version) -> Result:
    """Return the result of a close with people's decisions about its breaks up to one of its versions."""
    said = {
        item.event.break_id: (item, item.event)
        for item in versions
        if version.closed_at < item.position <= version.position and isinstance(item.event, BreakDecided)
    }
    breaks = []
    for one in close.breaks:
        if one.break_id in said:
            item, event = said[one.break_id]
            one = replace(one, state=event.state, reason=event.reason, actor=item.actor, decided_at=item.at)
        breaks.append(one)
    return replace(close, breaks=tuple(breaks))
