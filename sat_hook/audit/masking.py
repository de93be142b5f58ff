"""Hides customers' data in the text of events, for packs without personal data.

By the names of members, at any depth, so that an event of a later release is masked, too. What SAT or a check
said in words may quote a customer's number: there every long run of digits is hidden.

A masked text is pseudonymous, not anonymous: its original digest stands beside it, and whoever tries all
numbers finds the one that fits.
"""

from __future__ import annotations

import json
import re
from typing import Any

MASK = "***"

PERSONAL = frozenset(
    {
        "body",
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
"""Members whose values are customers' data, or goods."""

IN_WORDS = frozenset({"detail", "error_detail", "message", "note", "ours", "reason", "theirs", "what"})
"""Members with words in which a customer's number may be quoted."""

_MAY_NEED_MASK = re.compile("|".join(f'"{name}"' for name in sorted(PERSONAL | IN_WORDS)))
_NUMBER = re.compile(r"\d(?:[ .\-]?\d){7,}")


def masked_data(data: str) -> tuple[str, bool]:
    """The text of an event without customers' data, and whether anything had to be hidden."""
    if _MAY_NEED_MASK.search(data) is None:
        return data, False
    try:
        members = json.loads(data)
    except ValueError:
        # Damaged: what it holds cannot be told, so nothing of it leaves.
        return MASK, True
    masked = _masked(members)
    if masked == members:
        return data, False
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":")), True


def masked_words(text: str) -> str:
    """What a person typed, without long numbers."""
    return _NUMBER.sub(MASK, text)


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
    return _masked(value)
