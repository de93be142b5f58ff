"""Breaks as lists show them: derived from the accounts' streams, and brought up to date when they are read.

A close writes its breaks to the log. Lists need them by age, size and state, with later decisions, so each
reader first applies what the log has since the last one. The tables can be emptied at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection
from pydantic_core import to_json

from sat_hook.domain import books_events as happened
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId
from sat_hook.store.log import recorded_from_row
from sat_hook.store.statements import Statements, queries, streamed

MAXIMUM_COUNTED = 10_000
"""More breaks than this are not counted, and not decided at once."""

ACTS = ("BreakDecided", "BreakAssigned", "BreakCommented", "BreakFileAttached")
"""What people do about a break."""

_FOLLOWED = ("DayClosed", "BreaksRecorded", *ACTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakFilter:
    """Selects breaks. None selects all.

    :param day: the day that they are about.
    :param first_seen_from: by age, with ``first_seen_until``: when they were first seen.
    :param assignee: a user's name; empty: assigned to no one.
    """

    account: str | None = None
    states: tuple[BreakState, ...] | None = None
    category: BreakCategory | None = None
    day: date | None = None
    first_seen_from: date | None = None
    first_seen_until: date | None = None
    assignee: str | None = None


class BreakPlace(NamedTuple):
    """Where in a sorted list a break is."""

    key: int
    break_id: str


class FoundBreak(NamedTuple):
    """A break as it stands.

    :param closed_day: the newest day whose close has it.
    :param text: what that close recorded of it, as JSON. Who asks for thousands seldom needs it.
    :param version: of the account's stream, when something last happened to it.
    :param is_listed: False when the days that had it were closed again without it.
    """

    break_id: str
    account: str
    closed_day: date
    category: BreakCategory
    amount_rupiah: int
    text: str
    state: BreakState
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    assignee: str
    comments: int
    files: int
    version: int
    is_listed: bool = True

    @property
    def booked(self) -> happened.BookedBreak:
        """The break as that close recorded it."""
        return happened.BookedBreak.model_validate_json(self.text)


class Aged(NamedTuple):
    """Breaks that were first seen on a day."""

    first_seen: date
    breaks: int
    size_rupiah: int


class AgedAtClose(NamedTuple):
    """Breaks of an age that the closes of a day carried forward."""

    closed_day: date
    age_days: int
    breaks: int
    size_rupiah: int


class FollowedTables:
    """The tables of breaks inside a transaction that reads one snapshot, to compare them with the log."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._breaks = queries("breaks")

    def followed_events(self) -> Iterator[Iterator[RecordedEvent]]:
        """For each account the events that its rows are made of, in order."""
        for stream, version in list(self._breaks.followed_streams(self._connection)):
            rows = streamed(
                self._connection,
                self._breaks.events_since,
                stream=stream,
                after_version=0,
                up_to_version=version,
                types=list(_FOLLOWED),
            )
            yield map(recorded_from_row, rows)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of breaks: the id, then the columns that the log determines."""
        return streamed(self._connection, self._breaks.every_row)

    def ages(self) -> Iterator[tuple[str, date, int, int, int]]:
        """The account, the closed day, the age in days, the number of breaks and their size."""
        return streamed(self._connection, self._breaks.every_age)


class BreakTable(Statements, room="breaks"):
    """The tables of breaks, for the writer."""

    def catch_up(self) -> None:
        """Apply what the log has since the tables were last read."""
        ahead = [stream for (stream,) in self._run(self._sql.streams_ahead)]
        for stream in ahead:
            with self._database.transaction() as connection:
                self._follow(connection, stream)

    def page(
        self, which: BreakFilter, *, by_size: bool, after: BreakPlace | None, limit: int
    ) -> tuple[list[FoundBreak], BreakPlace | None]:
        """A page of breaks, the oldest or the largest first, and where the next one begins."""
        rows = self._run(
            self._sql.page_of_breaks,
            **_filters(which),
            sort="size" if by_size else "age",
            after_key=None if after is None else after.key,
            after_id=None if after is None else after.break_id,
            limit=limit + 1,
        )
        found = [_found(row[:14]) for row in rows[:limit]]
        following = BreakPlace(rows[limit - 1][14], rows[limit - 1][0]) if len(rows) > limit else None
        return found, following

    def count(self, which: BreakFilter) -> tuple[int, int]:
        """How many there are, at most one more than :data:`MAXIMUM_COUNTED`, and their size in rupiah."""
        count, size = self._run(self._sql.count_breaks, **_filters(which), most=MAXIMUM_COUNTED + 1)
        return count, size

    def named(self, break_ids: Sequence[str]) -> dict[str, FoundBreak]:
        """These breaks, by id."""
        return {row[0]: _found(row) for row in self._run(self._sql.breaks_named, break_ids=list(break_ids))}

    def acts_about(self, stream: StreamId, break_id: str) -> list[RecordedEvent]:
        """What people did about a break, oldest first."""
        rows = self._run(self._sql.acts_about, stream=str(stream), break_id=break_id, types=list(ACTS))
        return [recorded_from_row(row) for row in rows]

    def decided_by(self, stream: StreamId, since_version: int, by: Provenance) -> set[str]:
        """The breaks that one act of a person decided, after a version of the stream."""
        rows = self._run(
            self._sql.decided_by,
            stream=str(stream),
            after_version=since_version,
            actor=by.actor,
            cause=by.cause,
        )
        return {break_id for (break_id,) in rows}

    def ages(self, account: str | None, states: Sequence[BreakState]) -> list[Aged]:
        """Breaks that stand in one of these states, by the day on which they were first seen."""
        rows = self._run(self._sql.ages, account=account, states=[state.value for state in states])
        return [Aged(*row) for row in rows]

    def ages_by_close(self, account: str | None, since: date) -> list[AgedAtClose]:
        """What the closes of the days since a day carried forward, by age."""
        return [AgedAtClose(*row) for row in self._run(self._sql.ages_by_close, account=account, since=since)]

    def decided_since(self, account: str, closes: Mapping[date, int]) -> dict[date, int]:
        """How many breaks of the newest closes of some days were decided for the first time since, by day.

        :param closes: the position of each day's newest close.
        """
        rows = self._run(
            self._sql.decided_since_close, account=account, days=list(closes), positions=list(closes.values())
        )
        return dict(rows)

    def assignees(self) -> list[str]:
        """The users who look into breaks."""
        return [name for (name,) in self._run(self._sql.assignees)]

    def _follow(self, connection: Connection, stream: str) -> None:
        self._sql.begin_stream(connection, stream=stream)
        version = self._sql.lock_cursor(connection, stream=stream)
        head = self._sql.head_of(connection, stream=stream)
        rows = self._sql.events_since(
            connection,
            stream=stream,
            after_version=version,
            up_to_version=head,
            types=list(_FOLLOWED),
        )
        events = map(recorded_from_row, list(rows))
        for kind, of_kind in groupby(events, key=lambda item: type(item.event)):
            self._apply(connection, kind, list(of_kind))
        self._sql.move_cursor(connection, stream=stream, version=head)

    def _apply(self, connection: Connection, kind: type[object], events: Sequence[RecordedEvent]) -> None:
        if kind is happened.BreakDecided:
            self._decide(connection, events)
        elif kind is happened.BreakAssigned:
            self._assign(connection, events)
        else:
            for item in events:
                self._apply_one(connection, item)

    def _apply_one(self, connection: Connection, item: RecordedEvent) -> None:
        match item.event:
            case happened.DayClosed() as closed:
                self._sql.forget_close(connection, account=closed.account, day=closed.day)
            case happened.BreaksRecorded() as recorded:
                of_close = {"account": recorded.account, "day": recorded.day}
                self._sql.book_breaks(
                    connection,
                    **of_close,
                    version=item.version,
                    breaks=to_json(recorded.breaks).decode("utf-8"),
                )
                self._sql.note_close(
                    connection, day=recorded.day, break_ids=[booked.break_id for booked in recorded.breaks]
                )
                ages, breaks, sizes = ages_of(recorded)
                self._sql.add_ages(connection, **of_close, ages=ages, breaks=breaks, sizes=sizes)
            case happened.BreakCommented() as commented:
                self._sql.count_note(connection, break_id=commented.break_id, comments=1, files=0)
            case happened.BreakFileAttached() as attached:
                self._sql.count_note(connection, break_id=attached.break_id, comments=0, files=1)

    def _decide(self, connection: Connection, events: Iterable[RecordedEvent]) -> None:
        last: dict[str, tuple[happened.BreakDecided, RecordedEvent]] = {}
        first: dict[str, int] = {}
        for item in events:
            if isinstance(item.event, happened.BreakDecided):
                last[item.event.break_id] = item.event, item
                first.setdefault(item.event.break_id, item.position)
        self._sql.apply_decisions(
            connection,
            break_ids=list(last),
            states=[event.state.value for event, _ in last.values()],
            reasons=[event.reason for event, _ in last.values()],
            actors=[item.provenance.actor for _, item in last.values()],
            moments=[item.occurred_at for _, item in last.values()],
            versions=[item.version for _, item in last.values()],
            first_positions=[first[break_id] for break_id in last],
        )

    def _assign(self, connection: Connection, events: Iterable[RecordedEvent]) -> None:
        last = {
            item.event.break_id: (item.event.assignee, item.version)
            for item in events
            if isinstance(item.event, happened.BreakAssigned)
        }
        self._sql.apply_assignments(
            connection,
            break_ids=list(last),
            assignees=[assignee for assignee, _ in last.values()],
            versions=[version for _, version in last.values()],
        )


def ages_of(recorded: happened.BreaksRecorded) -> tuple[list[int], list[int], list[int]]:
    """Ages in days, and how many breaks with what size a part of a close carries forward at each."""
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for booked in recorded.breaks:
        if not booked.state.is_final:
            counted = counts[(recorded.day - booked.first_seen).days]
            counted[0] += 1
            counted[1] += abs(booked.amount_rupiah)
    ages = sorted(counts)
    return ages, [counts[age][0] for age in ages], [counts[age][1] for age in ages]


def _filters(which: BreakFilter) -> dict[str, Any]:
    return {
        "account": which.account,
        "states": None if which.states is None else [state.value for state in which.states],
        "category": None if which.category is None else which.category.value,
        "day": which.day,
        "first_seen_from": which.first_seen_from,
        "first_seen_until": which.first_seen_until,
        "assignee": which.assignee,
    }


def _found(row: Sequence[Any]) -> FoundBreak:
    break_id, account, closed_day, category, amount_rupiah, text, state, *rest = row
    return FoundBreak(
        break_id,
        account,
        closed_day,
        BreakCategory(category),
        amount_rupiah,
        text,
        BreakState(state),
        *rest,
    )
