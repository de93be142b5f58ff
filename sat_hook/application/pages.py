"""Pages of lists, and cursors: where the next page begins, as an opaque text for its caller."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast, get_args, get_type_hints

from sat_hook.application.errors import CursorError, ListingRefusedError

MAXIMUM_CURSOR_CHARACTERS = 1_000
MAXIMUM_PAGE = 200
USUAL_PAGE = 50

T = TypeVar("T")
P = TypeVar("P", bound="tuple[str | int | datetime, ...]")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list.

    :param next: the cursor of the next page; None at the end.
    """

    items: tuple[T, ...]
    next: str | None


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


def place_in(name: str, cursor: str | None, kind: type[P]) -> P | None:
    """The place that a cursor of the list ``name`` holds; None without a cursor.

    :param kind: a tuple of texts, whole numbers and moments.
    :raises CursorError: it is not this list's.
    """
    if cursor is None:
        return None
    if len(cursor) > MAXIMUM_CURSOR_CHARACTERS:
        raise CursorError
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        raise CursorError from None
    kinds = get_args(kind) or tuple(get_type_hints(kind).values())
    if not isinstance(found, list) or len(found) != len(kinds) + 1 or found[0] != name:
        raise CursorError
    members = [_member(value, one) for value, one in zip(found[1:], kinds, strict=True)]
    return cast("P", getattr(kind, "_make", tuple)(members))


def page_of(
    name: str, found: Sequence[T], limit: int, place: Callable[[T], Sequence[str | int | datetime]]
) -> Page[T]:
    """A page of the rows that were found: one more than ``limit`` where there is a next page."""
    rows = tuple(found[:limit])
    return Page(rows, cursor_of(name, place(rows[-1])) if len(found) > limit else None)


def limited(limit: int) -> int:
    """The limit of a page.

    :raises ListingRefusedError: it is not possible.
    """
    if not 1 <= limit <= MAXIMUM_PAGE:
        raise ListingRefusedError(f"limit: found {limit}; expected 1 to {MAXIMUM_PAGE}")
    return limit


def _member(value: object, kind: type) -> str | int | datetime:
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
