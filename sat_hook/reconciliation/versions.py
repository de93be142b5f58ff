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
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation.day_figures import DayFigures
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.model import DayClose
from sat_hook.store.books import NOT_READ, DayStore, DecidedTogether
from sat_hook.store.database import Database

_BREAK_ID = re.compile(r'"break_id":"(K[A-Z2-7]{15})"')
VersionEvent = DayClosed | BreakDecided | DayPrepared | DayCertified
"""The events that make versions."""
_TYPES = {kind.__name__ for kind in (DayClosed, DayPrepared, DayCertified)}


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a day's report, and what made it.

    :param number: counts the events that made versions from 1, over all closes of the day. Several breaks
        that were decided at once make one version, with the number of the last of them.
    :param position: of ``event``, which made it: for several breaks, that of the last.
    :param close: the close that it shows, as it was recorded at ``closed_at``.
    :param break_ids: what a decision is about; empty for others.
    """

    number: int
    position: int
    at: datetime
    actor: str
    what: str
    event: VersionEvent
    close: DayClosed
    closed_at: int
    break_ids: tuple[str, ...] = ()

    @property
    def breaks(self) -> int:
        """How many breaks were decided."""
        return len(self.break_ids)

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


def versions_of(
    database: Database, account: str, day: date, *, up_to_position: int | None = None
) -> list[Version]:
    """Read the versions of a day's report, oldest first.

    What is read grows with how often people decided, not with how many breaks.
    """
    store = DayStore(database)
    up_to = store.head(account) if up_to_position is None else up_to_position
    recorded = store.day_events(account, NOT_READ, NOT_READ, day, up_to_position=up_to)
    event_of = {item.version: _event_of(day, item) for item in recorded}
    closed = next((item.position for item in recorded if isinstance(event_of[item.version], DayClosed)), None)
    decisions = [] if closed is None else store.decisions(account, closed, up_to)
    versions: list[Version] = []
    close: tuple[DayClosed, int] | None = None
    break_ids: set[str] = set()
    in_order: list[RecordedEvent | DecidedTogether] = [*recorded, *decisions]
    for item in sorted(in_order, key=lambda one: one.version):
        about: tuple[str, ...] = ()
        if isinstance(item, DecidedTogether):
            about = tuple(break_id for break_id in item.break_ids if break_id in break_ids)
            event: VersionEvent | None = _decision(account, about, item) if about else None
            actor, at = item.actor, item.at
        elif item.type_name == BreaksRecorded.__name__:
            # There may be very many: their ids are read without the breaks.
            break_ids.update(_BREAK_ID.findall(item.data))
            continue
        else:
            event, actor, at = event_of[item.version], item.provenance.actor, item.occurred_at
        if isinstance(event, DayClosed):
            close, break_ids = (event, item.position), set()
        if event is not None and close is not None:
            number = (versions[-1].number if versions else 0) + max(1, len(about))
            what = _what(event, len(about))
            versions.append(Version(number, item.position, at, actor, what, event, *close, about))
    return versions


def _event_of(day: date, item: RecordedEvent) -> DayClosed | DayPrepared | DayCertified | None:
    """The event that makes a version of the day's report; None if it does not."""
    if item.type_name not in _TYPES:
        return None
    event = item.event
    if isinstance(event, DayClosed | DayPrepared | DayCertified) and event.day == day:
        return event
    return None


def _decision(account: str, break_ids: tuple[str, ...], decided: DecidedTogether) -> BreakDecided:
    return BreakDecided(account=account, break_id=break_ids[-1], state=decided.state, reason=decided.reason)


def _what(event: VersionEvent, breaks: int) -> str:
    match event:
        case DayClosed():
            return f"closed at log position {event.position}, result {event.result_digest[:16]}"
        case BreakDecided():
            about = f"break {event.break_id}" if breaks == 1 else f"{breaks:,} breaks"
            return f"{about} {event.state.value.replace('_', ' ')}: {event.reason}"
        case DayPrepared():
            return f"prepared, result {event.result_digest[:16]}: {event.note}"
        case DayCertified():
            sealed = f", checkpoint {event.checkpoint[:16]}" if event.checkpoint else ""
            return f"certified, result {event.result_digest[:16]}{sealed}: {event.note}"


def version_numbered(versions: list[Version], day: date, number: int | None) -> Version:
    """Return the version with a number; the newest one by default.

    :raises BooksRefusedError: there is none.
    """
    if not versions:
        raise BooksRefusedError(f"{day}: found no close; expected a day that is closed")
    if number is None:
        return versions[-1]
    found = next((version for version in versions if version.number == number), None)
    if found is None:
        raise BooksRefusedError(
            f"{day}: found no version {number}; expected the number of one, up to {versions[-1].number}"
        )
    return found


SIGNATURES = ((_("Prepared by"), DayPrepared), (_("Approved by"), DayCertified))
"""The signatures under a day, in their order, and the events that add them."""


def signatures_of(versions: Iterable[Version]) -> dict[type[VersionEvent], Version]:
    """The signatures under the newest close, by their events."""
    signed: dict[type[VersionEvent], Version] = {}
    for version in versions:
        if isinstance(version.event, DayClosed):
            signed.clear()
        signed[type(version.event)] = version
    return signed


Result = TypeVar("Result", DayClose, DayFigures)


def as_decided(close: Result, versions: Iterable[Version], version: Version) -> Result:
    """Return the result of a close with people's decisions about its breaks up to one of its versions."""
    said = {
        break_id: (item, item.event)
        for item in versions
        if version.closed_at < item.position <= version.position and isinstance(item.event, BreakDecided)
        for break_id in item.break_ids
    }
    breaks = []
    for one in close.breaks:
        if one.break_id in said:
            item, event = said[one.break_id]
            one = replace(one, state=event.state, reason=event.reason, actor=item.actor, decided_at=item.at)
        breaks.append(one)
    return replace(close, breaks=tuple(breaks))
