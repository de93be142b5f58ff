"""Masks customers' data: in events, in free text that quotes a number, and single numbers. Pure.

Members of events are masked by name at any depth, so events of a later release are masked as well. Free text
from SAT or a check may quote a customer's number, so every long run of digits in it is masked. In file names
and references only longer runs are masked that are neither a date nor part of a digest. Order ids stay,
because they say which order an event is about.

A masked event is pseudonymous, not anonymous: it keeps its original digest, and trying all numbers finds the
one that matches.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

MASK = "***"
_KEPT_AT_START, _KEPT_AT_END = 4, 2
_LEAST_MASKED = 4

PERSONAL = frozenset(
    {
        "body",
        "cell_after",
        "cell_before",
        "client_name",
        "client_number",
        "downline_id",
        "fields",
        "fulfillment_result",
        "inquiry_result",
        "meter_id",
        "payload_digest",
        "serial_number",
        "voucher_code",
    }
)
"""Members whose values are customers' data or goods."""

IN_WORDS = frozenset({"detail", "error_detail", "message", "note", "ours", "reason", "theirs", "what"})
"""Members with free text that may quote a customer's number."""

NAMES = frozenset({"file_name", "name", "reference", "spool_uri", "title", "upload_name", "uri"})
"""Members with names that people gave to things."""

SET_ASIDE = "set_aside"
"""Rows that did not become orders: the value in place of an order's id may be any cell of the file."""

_MAY_NEED_MASK = re.compile(
    "|".join(f'"{name}"' for name in sorted(PERSONAL | IN_WORDS | NAMES | {SET_ASIDE}))
)
_NUMBER = re.compile(r"\d(?:[\s.\-/()_\u2010-\u2015]{0,3}\d){7,}")
_CAPITALS = re.compile(r"\b[A-Z][A-Z'.]+(?:\s+[A-Z][A-Z'.]*)+")
_AFTER_MARK = re.compile(
    r"(?i:\b(a\.?\s?n\.?\s*:?\s+|a/n\s*:?\s*|atas nama\s*:?\s+|nama(?: pelanggan)?\s*:?\s+))"
    r"(?:[A-Z][\w'.]*)(?:\s+[A-Z][\w'.]*)*"
)
_LONG_NUMBER = re.compile(r"(?<![0-9a-f])\d{9,}(?![0-9a-f])")


def masked_data(data: str) -> tuple[str, bool]:
    """The text of an event without customers' data, and whether anything was masked."""
    if _MAY_NEED_MASK.search(data) is None:
        return data, False
    try:
        members = json.loads(data)
    except ValueError:
        # Damaged: its contents are unknown, so none of it is shown.
        return MASK, True
    masked = _masked(members)
    if masked == members:
        return data, False
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":")), True


def masked_members(data: str, most_characters: int | None = None) -> Any:
    """The members of an event without customers' data: what :func:`masked_data` writes, without writing it.

    :param most_characters: of a longer text only the members at its beginning are read.
    :raises ValueError: the text cannot be read.
    """
    if most_characters is not None and len(data) > most_characters:
        data = data[:most_characters]
        members = from_json(data, allow_partial=True)
    else:
        members = json.loads(data)
    return members if _MAY_NEED_MASK.search(data) is None else _masked(members)


def masked_words(text: str) -> str:
    """A text that a person typed, without long numbers."""
    return _NUMBER.sub(MASK, text)


def masked_person(words: str) -> str:
    """SAT's text about an order, without long numbers and without the customer's name."""
    return _AFTER_MARK.sub(rf"\1{MASK}", _CAPITALS.sub(MASK, masked_words(words)))


def masked_number(number: str) -> str:
    """A masked number that only people who know it recognise: ``0811******11``."""
    hidden = len(number) - _KEPT_AT_START - _KEPT_AT_END
    if hidden < _LEAST_MASKED:
        return "*" * len(number)
    return number[:_KEPT_AT_START] + "*" * hidden + number[-_KEPT_AT_END:]


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked_member(name, member) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value


def _masked_member(name: str, value: Any) -> Any:
    if name in PERSONAL:
        return MASK if value else value
    if name in IN_WORDS and isinstance(value, str):
        return masked_words(value)
    if name in NAMES and isinstance(value, str):
        return _LONG_NUMBER.sub(MASK, value)
    if name == SET_ASIDE and isinstance(value, list):
        return [_without_number(row) for row in _masked(value)]
    return _masked(value)


def _without_number(row: Any) -> Any:
    order_id = row.get("order_id") if isinstance(row, dict) else None
    return {**row, "order_id": _LONG_NUMBER.sub(MASK, order_id)} if isinstance(order_id, str) else row
