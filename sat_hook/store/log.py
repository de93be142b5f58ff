"""Reads the log in bulk: stream by stream, by event type, by person. Memory holds one fetch of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId
from sat_hook.store.database import Database
from sat_hook.store.statements import queries, run, streamed

ACTIONS_PER_READ = 1_000

Unplaced = Callable[[int, int], None]
"""Called with version and position of an event whose stream is of no kind of this release."""


class Placed(NamedTuple):
    """One event, and the head that the store keeps for its stream (None if it keeps none)."""

    recorded: RecordedEvent
    head: int | None


class LastEvent(NamedTuple):
    """When an event occurred, and who recorded it."""

    at: datetime
    actor: str


def last_events(
    database: Database, streams: Sequence[StreamId], types: Sequence[str]
) -> dict[StreamId, LastEvent]:
    """The last event of some types in each stream that has one."""
    rows = run(database, queries("log").last_events, streams=list(map(str, streams)), types=list(types))
    return {StreamId.parse(stream): LastEvent(*rest) for stream, *rest in rows}


def cursor_of(database: Database, reader: str) -> int:
    """The position up to which a reader has read the log; 0 at first."""
    return int(run(database, queries("log_cursors").cursor_of, reader=reader) or 0)


def move_cursor(connection: Connection, reader: str, position: int) -> None:
    """Keep how far a reader has read the log, with what its transaction made of it. It never goes back."""
    queries("log_cursors").move_cursor(connection, reader=reader, position=position)


def each_stream(
    connection: Connection,
    unplaced: Unplaced,
    *,
    first_position: int | None = None,
    last_position: int | None = None,
) -> Iterator[tuple[StreamId, Iterable[Placed]]]:
    """Every stream with its events by version. Read a stream's events once, before the next stream.

    Heads are those of now, whatever the last position.
    """
    rows = streamed(
        connection,
        queries("log").streams_in_order,
        any_time=True,
        first_position=first_position,
        last_position=last_position,
    )
    yield from groupby(_placed(rows, unplaced), key=lambda item: item.recorded.stream)


def _placed(rows: Iterable[tuple[Any, ...]], unplaced: Unplaced) -> Iterator[Placed]:
    for row in rows:
        try:
            recorded = recorded_from_row(row[:11])
        except ValueError:
            unplaced(row[2], row[0])
        else:
            yield Placed(recorded, row[11])


def newest_versions(connection: Connection, streams: Sequence[StreamId]) -> dict[StreamId, int]:
    """The last version that the log has of each stream, by index."""
    rows = queries("log").newest_versions(connection, streams=list(map(str, streams)))
    return {StreamId.parse(stream): version for stream, version in rows}


def events_between(
    connection: Connection,
    after_position: int,
    up_to_position: int,
    *,
    types: Sequence[str] | None = None,
    people_besides: Sequence[str] | None = None,
) -> Iterator[RecordedEvent]:
    """The events of a range, by position.

    :param types: only events of these types.
    :param people_besides: only what people did, besides events of these types.
    """
    arguments: dict[str, Any] = {"after_position": after_position, "up_to_position": up_to_position}
    if types is not None:
        statement, arguments["types"] = queries("log").events_of_types, list(types)
    elif people_besides is not None:
        statement, arguments["types"] = queries("log").other_events_of_people, list(people_besides)
    else:
        statement, arguments["limit"] = queries("events").read_log, None
    return map(recorded_from_row, streamed(connection, statement, **arguments))


def actions_since(database: Database, since: datetime) -> Iterator[RecordedEvent]:
    """What people did since a moment, by position, page by page.

    :raises StoreUnavailableError: the database gave up.
    """
    statement, after = queries("log").actions_since, 0
    while rows := run(database, statement, since=since, after_position=after, limit=ACTIONS_PER_READ):
        yield from map(recorded_from_row, rows)
        after = rows[-1][0]


def recorded_from_row(row: Sequence[Any]) -> RecordedEvent:
    """A row of the event queries as a recorded event."""
    position, stream, version, type_name, schema_version, data, actor, cause, occurred, recorded, digest = row
    return RecordedEvent(
        position=position,
        stream=StreamId.parse(stream),
        version=version,
        type_name=type_name,
        schema_version=schema_version,
        data=data,
        provenance=Provenance(actor, cause),
        occurred_at=occurred,
        recorded_at=recorded,
        digest=digest,
    )
