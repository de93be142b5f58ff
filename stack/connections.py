"""Merges the stack's connections with people's edits: edited values stay, the rest is updated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Attributes = Mapping[str, Any]


def merged(stored: Attributes, current: Attributes, wanted: Attributes) -> dict[str, Any]:
    """The new attributes of a connection.

    :param stored: what the stack stored last time; empty when unknown.
    :param current: the connection's current values, which a person may have edited.
    :param wanted: what the stack would store, for example an address with another port.
    """
    if not stored:
        return dict(wanted)
    kept = {name: _chosen(stored.get(name), current.get(name), value) for name, value in wanted.items()}
    added = {name: value for name, value in current.items() if name not in wanted and value is not None}
    return {**added, **kept}


def _chosen(stored: Any, current: Any, wanted: Any) -> Any:
    before, now, then = _members(stored), _members(current), _members(wanted)
    if before is None or now is None or then is None:
        return wanted if _text(current) == _text(stored) else current
    names = [*then, *(name for name in now if name not in then)]
    chosen = {name: then.get(name) if now.get(name) == before.get(name) else now.get(name) for name in names}
    return json.dumps({name: value for name, value in chosen.items() if value is not None})


def _members(value: Any) -> dict[str, Any] | None:
    """The members of an extra, which is JSON text."""
    try:
        document = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
