"""Reads how an account's days stand, with the breaks of one day at most: a close may have many."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import NamedTuple

from sat_hook.domain.books_events import (
    BooksEvent,
    BreakAssigned,
    BreakCommented,
    BreakDecided,
    BreakFileAttached,
    BreaksRecorded,
)
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind, registered_events
from sat_hook.domain.identity import account_id_of
from sat_hook.store.log import recorded_from_row
from sat_hook.store.log_pages import LAST_POSITION
from sat_hook.store.statements import Statements

DAY_TYPES = sorted(
    name
    for (name, _), event_type in registered_events().items()
    if issubclass(event_type, BooksEvent)
    and not issubclass(
        event_type, BreaksRecorded | BreakDecided | BreakAssigned | BreakCommented | BreakFileAttached
    )
)
"""The events that say how days stand, but for those about breaks: there may be very many."""


class OpenBreak(NamedTuple):
    """A break that was open when a day was closed at a log position."""

    day: date
    position: int
    break_id: str
    first_seen: date


class DayStore(Statements, room="books"):
    """Reads days with any role that may read."""

    def head(self, account: str) -> int:
        """The position of the newest event of an account; 0 when it has none."""
        return self._run(self._sql.head_of_books, stream=_stream_of(account)) or 0

    def day_events(
        self,
        account: str,
        since: datetime,
        before: datetime,
        day: date | None = None,
        *,
        with_decisions: bool = False,
        up_to_position: int = LAST_POSITION,
    ) -> list[RecordedEvent]:
        """The events of an account's books by version.

        :param since: observations of the deposit are those recorded from this moment until ``before``.
        :param day: breaks are those of the closes of this day; None reads none.
        :param with_decisions: with people's decisions about breaks.
        """
        decisions = [BreakDecided.__name__] if with_decisions else []
        rows = self._run(
            self._sql.day_events,
            stream=_stream_of(account),
            types=DAY_TYPES + decisions,
            observed_since=since,
            observed_before=before,
            day=None if day is None else day.isoformat(),
            up_to_position=up_to_position,
        )
        return [recorded_from_row(row) for row in rows]

    def first_decisions(self, account: str, since_position: int, up_to_position: int) -> dict[str, int]:
        """Where each break was decided first, of those first decided between two positions."""
        rows = self._run(
            self._sql.first_decisions,
            stream=_stream_of(account),
            since_position=since_position,
            up_to_position=up_to_position,
        )
        return dict(rows)

    def open_when_closed(
        self, account: str, since_position: int, days: Iterable[date], break_ids: Collection[str]
    ) -> list[OpenBreak]:
        """Which of some breaks were open when some days were closed.

        :param since_position: earlier closes are not read.
        """
        rows = self._run(
            self._sql.open_when_closed,
            stream=_stream_of(account),
            since_position=since_position,
            days=[day.isoformat() for day in days],
            break_ids=list(break_ids),
        )
        return [OpenBreak(*row) for row in rows]

    def in_flight_by_day(self, account: str, cut_off_minutes: int) -> dict[date, int]:
        """How many orders that were sent have no end, by the business day on which each was sent first."""
        rows = self._run(
            self._sql.in_flight_by_day,
            account=account,
            cut_off_minutes=cut_off_minutes,
        )
        return dict(rows)


def _stream_of(account: str) -> str:
    return str(StreamId(StreamKind.ACCOUNT, account_id_of(account)))
