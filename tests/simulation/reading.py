"""Reads bodies from the wire as far as possible; an unreadable body gives nothing."""

from __future__ import annotations

import json
from typing import Any

from sat_hook.protocol.exchange import TransportFault, WireResponse


def attributes_of(body: bytes) -> dict[str, Any]:
    """Return the attributes of a document with one item; empty if it is not one."""
    try:
        attributes = json.loads(body)["data"]["attributes"]
    except (ValueError, KeyError, TypeError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def id_of(body: bytes) -> str | None:
    """Return the id of a document with one item."""
    try:
        return str(json.loads(body)["data"]["id"])
    except (ValueError, KeyError, TypeError):
        return None


def codes_of(reply: WireResponse | TransportFault | None) -> frozenset[str]:
    """Return the codes of an error document."""
    if not isinstance(reply, WireResponse):
        return frozenset()
    try:
        return frozenset(str(entry["code"]) for entry in json.loads(reply.body)["errors"])
    except (ValueError, KeyError, TypeError):
        return frozenset()
