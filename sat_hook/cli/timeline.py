"""An order's history as lines of text: its events and the callbacks between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sat_hook.cli.formatting import moment, rupiah

MAXIMUM_TEXT_CHARACTERS = 160

_SHOWN = frozenset(
    {
        "admin_fee_rupiah", "amount_rupiah", "attempt", "charged_rupiah", "code", "detail", "error_code",
        "error_detail", "found", "fulfilled_at", "http_status", "is_inquiry", "is_signed",
        "list_price_rupiah", "max_rupiah", "member", "partner_fee_rupiah", "price_rupiah", "product_code",
        "reason", "reported_status", "row_number", "sales_price_rupiah", "send_before", "source",
        "valid_until",
    }
)  # fmt: skip
"""Members of events that are shown. Bodies, fields, names and digests stay in the log."""

_MOMENTS = frozenset({"fulfilled_at", "send_before", "valid_until"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline."""

    at: datetime
    name: str
    detail: str
    by: str

    @property
    def when(self) -> str:
        """The moment, as shown."""
        return moment(self.at)


def timeline(history: Iterable[Mapping[str, Any]], callbacks: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return an order's events and callbacks, as the API has them, by time."""
    lines = [
        Line(
            datetime.fromisoformat(entry["at"]),
            f"{entry['version']} {entry['kind']}",
            _detail(entry["parameters"]),
            f"{entry['actor']} · {entry['cause']}",
        )
        for entry in history
    ]
    lines += [
        Line(
            datetime.fromisoformat(seen["received_at"]),
            "· callback",
            _of_callback(seen),
            seen["remote_address"] or "unknown source",
        )
        for seen in callbacks
    ]
    return sorted(lines, key=lambda line: line.at)


def _detail(parameters: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{_label(name)} {_value(name, value)}"
        for name, value in parameters.items()
        if name in _SHOWN and value is not None and value != ""
    )


def _of_callback(seen: Mapping[str, Any]) -> str:
    parts = [f"verified with key {seen['key_fingerprint']}"]
    if seen["repeats"] and seen["last_repeat_at"] is not None:
        last = moment(datetime.fromisoformat(seen["last_repeat_at"]))
        parts.append(f"came {seen['repeats']} more times, last at {last}")
    if seen["is_waiting"]:
        parts.append("waits for a status check")
    return ", ".join(parts)


def _label(name: str) -> str:
    return name.removesuffix("_rupiah").replace("_", " ")


def _value(name: str, value: Any) -> str:
    if name.endswith("_rupiah"):
        return rupiah(value)
    if name in _MOMENTS:
        return moment(datetime.fromisoformat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    return text if len(text) <= MAXIMUM_TEXT_CHARACTERS else f"{text[:MAXIMUM_TEXT_CHARACTERS]}…"
