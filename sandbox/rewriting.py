"""Rewrites SAT's documents with numbers and flags in another JSON type, or with invalid amounts."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from sandbox.faults import OtherTypes
from sandbox.wire import encode

_AMOUNTS = frozenset({"price", "sales_price", "base_price", "admin_fee", "partner_fee", "saldo"})
_ABSURD_RUPIAH = 2**40


def rewritten(body: bytes, rule: OtherTypes) -> bytes:
    """The document as the rule rewrites it; anything without data stays unchanged."""
    document = json.loads(body)
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, dict):
        _rewrite(data["attributes"], rule)
    elif isinstance(data, list):
        for product in data:
            if any(fnmatchcase(product["id"], pattern) for pattern in rule.listed):
                _rewrite(product["attributes"], rule)
    return encode(document)


def _rewrite(attributes: dict[str, Any], rule: OtherTypes) -> None:
    for name, value in attributes.items():
        if isinstance(value, bool):
            attributes[name] = int(value)
        elif rule.manner == "text":
            attributes[name] = f"{value}.0" if name in _AMOUNTS else _as_text(value)
        elif name in _AMOUNTS and isinstance(value, int):
            amounts = {"unreadable": f"{value:,}.-", "negative": -1 - value, "absurd": _ABSURD_RUPIAH + value}
            attributes[name] = amounts[rule.manner]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value
