"""The base of all events, an event as it is recorded, and the digest that reveals a change to it.

An event is a fact that has happened. It is named in the past tense and never changed (law 5). Its data is
stored and digested as the exact text that :meth:`Event.to_text` returned.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from sat_hook.domain.errors import UnknownEventError


class Frozen(BaseModel):
    """Base of events, folds and their parts: they never change, and have exactly the declared members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Frozen):
    """Base of every event. Subclasses are registered by their class name."""

    schema_version: ClassVar[int] = 1

    @property
    def type_name(self) -> str:
        """The name under which the event is stored."""
        return type(self).__name__

    def to_text(self) -> str:
        """The event's data as compact JSON, which is stored and digested."""
        return self.model_dump_json()


E = TypeVar("E", bound=Event)
_registry: dict[tuple[str, int], type[Event]] = {}


def register(event_type: type[E]) -> type[E]:
    """Class decorator: makes an event type readable from the log."""
    key = (event_type.__name__, event_type.schema_version)
    if key in _registry:
        raise ValueError(f"event {key} is registered twice")
    _registry[key] = event_type
    return event_type


def parse_event(type_name: str, schema_version: int, text: str) -> Event:
    """Read a stored event.

    :raises UnknownEventError: for a type or schema version from another release.
    """
    event_type = _registry.get((type_name, schema_version))
    if event_type is None:
        raise UnknownEventError(
            f"event type {type_name!r} with schema version {schema_version} is not known to this release"
        )
    return event_type.model_validate_json(text)


def registered_events() -> dict[tuple[str, int], type[Event]]:
    """Every known (name, schema version): for the docs and the tests."""
    return dict(_registry)


class StreamKind(StrEnum):
    """The kind of thing that a stream describes."""

    ORDER = "order"
    BATCH = "batch"
    ACCOUNT = "account"
    EXPORT = "export"
    USER = "user"
    LOG = "log"
    RIGHTS = "rights"
    WEBHOOK = "webhook"


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
