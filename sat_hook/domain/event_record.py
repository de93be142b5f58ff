"""A recorded event, and the digest that reveals a change to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from pydantic_core import to_json

from sat_hook.domain.event import Event, parse_event


class StreamKind(StrEnum):
    """The kind of thing that a stream describes."""

    ORDER = "order"
    BATCH = "batch"
    ACCOUNT = "account"
    EXPORT = "export"
    USER = "user"
    LOG = "log"
    RIGHTS = "rights"


class StreamId(NamedTuple):
    """The name of a stream: its kind and the id of its subject, for example ``order/<request id>``."""

    kind: StreamKind
    key: str

    def __str__(self) -> str:
        return f"{self.kind.value}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """The stream that ``text`` names; raises ValueError when it does not name one."""
        kind, _, key = text.partition("/")
        return cls(StreamKind(kind), key)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who recorded an event and how: a user or service, through a task try, poll, callback or command."""

    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One row of the log. Times are UTC; ``data`` is the stored and digested text."""

    position: int
    stream: StreamId
    version: int
    type_name: str
    schema_version: int
    data: str
    provenance: Provenance
    occurred_at: datetime
    recorded_at: datetime
    digest: str

    @property
    def event(self) -> Event:
        """The event itself; raises UnknownEventError for an event from another release."""
        return parse_event(self.type_name, self.schema_version, self.data)

    def computed_digest(self) -> str:
        """The digest that this row should have."""
        return event_digest(
            self.stream,
            self.version,
            self.type_name,
            self.schema_version,
            self.data,
            self.provenance,
            self.occurred_at,
        )


def event_digest(
    stream: StreamId,
    version: int,
    type_name: str,
    schema_version: int,
    data: str,
    provenance: Provenance,
    occurred_at: datetime,
) -> str:
    """SHA-256 (hex) over everything that the writer knows about an event.

    The database assigns position and recorded_at; the checkpoints' leaves cover them instead.
    """
    parts = [
        str(stream),
        version,
        type_name,
        schema_version,
        data,
        provenance.actor,
        provenance.cause,
        utc_text(occurred_at),
    ]
    # Compact JSON in UTF-8, escaping only what JSON requires: Python's json module alone reproduces it.
    return hashlib.sha256(to_json(parts)).hexdigest()


@lru_cache(maxsize=16)
def utc_text(moment: datetime) -> str:
    """A time in UTC, to the microsecond, as digests and evidence packs have it."""
    # Cached: the events of an append have one moment.
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
