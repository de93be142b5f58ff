"""Pages of the log, the newest event first, by an index whatever the filter and however long the log is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sat_hook.domain.event_record import RecordedEvent, StreamId
from sat_hook.domain.order_events import PAID_ORDER_TYPES
from sat_hook.store.log import recorded_from_row
from sat_hook.store.statements import Statements, run

LAST_POSITION = 2**63 - 1
CLOCK_SLACK = timedelta(minutes=1)
"""Positions and times of recording may cross by less than this: the clock was set, or two appends met."""


@dataclass(frozen=True, slots=True)
class LogSlice:
    """Which events of the log. Members that are None, or False, ask for nothing.

    :param stream: one stream.
    :param types: the types of event.
    :param by_people: only what people did.
    :param actors: only what these people did, by the actors that the log has.
    :param since: recorded then or later; ``before`` is exclusive.
    """

    stream: StreamId | None = None
    types: tuple[str, ...] | None = None
    by_people: bool = False
    actors: tuple[str, ...] | None = None
    since: datetime | None = None
    before: datetime | None = None


class Subject(NamedTuple):
    """What a stream is about. Members that do not apply are None."""

    account: str | None = None
    batch_id: str | None = None
    file_name: str | None = None
    order_id: str | None = None
    row_number: int | None = None


class LogPages(Statements, room="log"):
    """Reads pages of the log."""

    def newest(
        self, which: LogSlice, limit: int, before_position: int = LAST_POSITION
    ) -> list[RecordedEvent]:
        page: dict[str, Any] = {
            "after_position": self._position_before(which.since),
            "before_position": before_position,
            "since": which.since,
            "before": which.before,
            "limit": limit,
        }
        if which.before is not None:
            end = self._run(self._sql.position_since, moment=which.before + CLOCK_SLACK)
            page["before_position"] = min(before_position, before_position if end is None else end)
        types = None if which.types is None else list(which.types)
        actors = None if which.actors is None else list(which.actors)
        if which.stream is not None:
            statement = self._sql.newest_events_of_stream
            page |= {
                "stream": str(which.stream),
                "types": types,
                "people_only": which.by_people,
                "actors": actors,
            }
        elif actors is not None or (which.by_people and types is not None):
            statement = self._sql.newest_events_of_persons
            page |= {"actors": self.people() if actors is None else actors, "types": types}
        elif which.by_people:
            statement = self._sql.newest_events_of_people
        elif types is not None:
            statement = self._sql.newest_events_of_types
            page |= {"types": types, "of_paid_orders": list(PAID_ORDER_TYPES)}
        else:
            statement = self._sql.newest_events
        return [recorded_from_row(row) for row in run(self._database, statement, **page)]

    def at(self, position: int) -> RecordedEvent | None:
        """The event at a position; None when there is none."""
        rows = self._run(self._sql.event_at, position=position)
        return recorded_from_row(rows[0]) if rows else None

    def people(self) -> list[str]:
        """Every actor of the log that is a person."""
        return [actor for (actor,) in self._run(self._sql.people)]

    def subjects(self, streams: Collection[StreamId]) -> dict[StreamId, Subject]:
        rows: Sequence[Any] = self._run(
            self._sql.subjects_of, streams=sorted({str(stream) for stream in streams})
        )
        return {StreamId.parse(stream): Subject(*about) for stream, *about in rows}

    def _position_before(self, since: datetime | None) -> int:
        if since is None:
            return 0
        first: int | None = self._run(self._sql.position_since, moment=since - CLOCK_SLACK)
        return 0 if first is None else first - 1
