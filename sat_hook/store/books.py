"""Reads how an account's days stand, with the breaks of one day at most: a close may have many."""

from __future__ import annotations

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
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import midnight
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


NOT_READ = midnight(date(2000, 1, 1))
"""As both ends of a time: no observation of the deposit is read."""


class DecidedTogether(NamedTuple):
    """Breaks that a person decided at once: events of the account's stream that follow one another.

    :param version: of the last of these events; ``position`` is its place in the log.
    """

    version: int
    position: int
    at: datetime
    actor: str
    state: BreakState
    reason: str
    break_ids: tuple[str, ...]


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
        up_to_position: int = LAST_POSITION,
    ) -> list[RecordedEvent]:
        """The events of an account's books by version, without people's decisions about breaks.

        :param since: observations of the deposit are those recorded from this moment until ``before``.
        :param day: breaks are those of the closes of this day; None reads none.
        """
        rows = self._run(
            self._sql.day_events,
            stream=_stream_of(account),
            types=DAY_TYPES,
            observed_since=since,
            observed_before=before,
            day=None if day is None else day.isoformat(),
            up_to_position=up_to_position,
        )
        return [recorded_from_row(row) for row in rows]

    def decisions(self, account: str, after_position: int, up_to_position: int) -> list[DecidedTogether]:
        """People's decisions about breaks between two positions of the log, oldest first."""
        rows = self._run(
            self._sql.decisions_together,
            stream=_stream_of(account),
            after_position=after_position,
            up_to_position=up_to_position,
        )
        return [
            DecidedTogether(version, position, at, actor, BreakState(state), reason, tuple(break_ids))
            for version, position, at, actor, state, reason, break_ids in rows
        ]

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
