"""The base of all events.

An event is a fact that has happened. It is named in the past tense and never changed (law 5). Its data is
stored and digested as the exact text that :meth:`Event.to_text` returned.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

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
