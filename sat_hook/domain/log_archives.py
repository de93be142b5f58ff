"""Months of the log that were moved to files, and brought back: the events, and what they come to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import AwareDatetime

from sat_hook.domain.event_record import Event, register


@register
class EventsArchived(Event):
    """The events of a partition were written to a file, and those of ended orders left the database.

    The file has all ``events`` between the two positions; ``digest`` is its SHA-256. ``moved_events`` of them
    are in the file only. ``checkpoint`` is the number of the signed checkpoint that covers the last position;
    ``recorded_to`` is the latest time of recording.
    """

    partition: str
    first_position: int
    last_position: int
    events: int
    moved_events: int
    recorded_to: AwareDatetime
    uri: str
    digest: str
    size_bytes: int
    checkpoint: int


@register
class EventsRestored(Event):
    """The events of an archived partition were put back into the database from the file with this digest."""

    partition: str
    digest: str


def archives_in_effect(events: Iterable[tuple[Event, datetime]]) -> list[EventsArchived]:
    """The archives that were not brought back, by position."""
    found: dict[str, EventsArchived] = {}
    for event, _ in events:
        if isinstance(event, EventsArchived):
            found[event.partition] = event
        elif isinstance(event, EventsRestored):
            found.pop(event.partition, None)
    return sorted(found.values(), key=lambda archive: archive.first_position)
