"""Reads single members of SAT's messages from JSON (protocol section 4.1).

SAT writes amounts as numbers, but may one day write them as text, or flags as 0 and 1. Exact equivalents are
accepted; ambiguous values are refused with :class:`ValueError`.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator

MAXIMUM_RUPIAH = 10**15
"""Far above any deposit, and far below where a float loses whole rupiah or a bigint overflows."""

MAXIMUM_DIGITS = 30
"""Longer numbers are refused."""

# At most two decimals: "12.000" is twelve thousand in Indonesia, and twelve elsewhere.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.0{1,2})?")
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ProductStatus(IntEnum):
    """Whether a product can be ordered (protocol section 5.3)."""

    ACTIVE = 1
    INACTIVE = 2
    TEMPORARILY_INACTIVE = 3


def whole_number(value: object) -> int:
    """Read a whole number: ``12500``, ``12500.0``, ``"12500"`` and ``"12500.0"``.

    :raises ValueError: for ``12500.5``, ``"12.500"``, ``true`` and any other value.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) <= MAXIMUM_DIGITS and _NUMBER.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic collects ValueError
    if abs(value) >= 10**MAXIMUM_DIGITS:
        raise ValueError(f"has more than {MAXIMUM_DIGITS} digits")
    return value


def _rupiah(value: object) -> int:
    """Whole rupiah, at most :data:`MAXIMUM_RUPIAH`."""
    number = whole_number(value)
    if abs(number) > MAXIMUM_RUPIAH:
        raise ValueError("is more rupiah than this client believes")
    return number


def _sent_rupiah(value: object) -> int:
    """Amounts that we send must already be numbers."""
    if isinstance(value, str):
        raise ValueError("must be a whole number of rupiah")  # noqa: TRY004 - pydantic collects ValueError
    return _rupiah(value)


def is_absent(value: object) -> bool:
    """Whether SAT left an amount out; ``null`` and ``""`` count as absent (protocol section 4.1)."""
    return value is None or value == ""


def _optional_rupiah(value: object) -> int | None:
    return None if is_absent(value) else _rupiah(value)


def text(value: object) -> object:
    """Read a text. Absent becomes empty; an id or number sent as an integer keeps its digits."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def any_text(value: object) -> str:
    """Read a text that decides nothing: any scalar as text, anything else as its JSON."""
    if value is None:
        return ""
    try:
        return _compact(value) if isinstance(value, (dict, list)) else str(value)
    except ValueError:
        return ""  # a number with more digits than Python converts to text


def listed(value: object) -> object:
    """Read a list; ``null``, ``""`` and ``{}`` are seen for an empty one (protocol section 4.1)."""
    if value in (None, "", {}):
        return ()
    return value


def name_values(value: object) -> object:
    """Read name/value lines in any shape; anything else becomes the value of a line without a name."""
    if isinstance(value, dict) and value and not value.keys() & {"name", "value"}:
        return [{"name": name, "value": line} for name, line in value.items()]
    lines = listed(value)
    if not isinstance(lines, (list, tuple)):
        lines = [lines]
    return [
        {"value": line} if line is None or isinstance(line, (str, int, float, list)) else line
        for line in lines
    ]


def shape_of(value: object) -> str:
    """Describe what was found instead of an amount, no longer than a price could be."""
    if isinstance(value, str):
        digits = sum(character.isdigit() for character in value)
        is_price = len(value) <= 40 and digits <= 15 and re.fullmatch(r"[0-9Rp., +-]+", value)
        return value if is_price else f"a text of {len(value)} characters"
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return f"a number of more than {MAXIMUM_DIGITS} digits"
    return "a list" if isinstance(value, list) else "an object"


def moment(value: object) -> datetime | None:
    """Read an RFC 3339 time with any offset, as UTC. Anything else is None: a bad display time must not make
    a
    signed status unreadable, and the exact text stays in the evidence."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo is not None else None
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        return None if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _product_status(value: object) -> ProductStatus | int:
    """Keep an unknown status as a number: one new status must not make the whole catalogue unreadable."""
    number = 0 if value is None else whole_number(value)
    try:
        return ProductStatus(number)
    except ValueError:
        return number


def _flag(value: object) -> object:
    """Pydantic reads ``true``, 1, ``"1"``, ``"true"`` and their opposites; absent is false."""
    return False if is_absent(value) else value


Rupiah = Annotated[int, BeforeValidator(_rupiah)]
SentRupiah = Annotated[int, BeforeValidator(_sent_rupiah)]
OptionalRupiah = Annotated[int | None, BeforeValidator(_optional_rupiah)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, BeforeValidator(text)]
DisplayText = Annotated[str, BeforeValidator(any_text)]
Moment = Annotated[datetime | None, PlainValidator(moment)]
Status = Annotated[ProductStatus | int, PlainValidator(_product_status)]
