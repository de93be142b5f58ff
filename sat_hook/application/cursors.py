"""Cursors: where the next page of a list begins, as an opaque text for its caller."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar, cast

from sat_hook.application.errors import CursorError

MAXIMUM_CURSOR_CHARACTERS = 1_000

_Member = TypeVar("_Member", bound="str | int | datetime")


def list_name(kind: str, *asked: Any) -> str:
    """The name of a list for its cursors: a cursor begins a page of the same list only.

    :param asked: its filter and sort.
    """
    members = [asdict(one) if hasattr(one, "__dataclass_fields__") else one for one in asked]
    text = json.dumps(members, default=str, sort_keys=True)
    return f"{kind}/{hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]}"


def cursor_of(name: str, place: Sequence[str | int | datetime]) -> str:
    """The cursor of a place in the list ``name``. Equal lists, filters and sorts have equal names."""
    members = [member.isoformat() if isinstance(member, datetime) else member for member in place]
    text = json.dumps([name, *members], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("utf-8")).decode("ascii").rstrip("=")


def place_of(name: str, cursor: str, *kinds: type[_Member]) -> list[str | int | datetime]:
    """The place that a cursor of the list ``name`` holds: one member of each kind.

    :raises CursorError: it is not this list's.
    """
    if len(cursor) > MAXIMUM_CURSOR_CHARACTERS:
        raise CursorError
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        raise CursorError from None
    if not isinstance(found, list) or len(found) != len(kinds) + 1 or found[0] != name:
        raise CursorError
    return [_member(value, kind) for value, kind in zip(found[1:], kinds, strict=True)]


def _member(value: object, kind: type[_Member]) -> str | int | datetime:
    if kind is datetime and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise CursorError from None
        if moment.tzinfo is None:
            raise CursorError
        return moment
    if type(value) is not kind or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise CursorError
    return cast("str | int", value)
