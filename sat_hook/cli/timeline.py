"""An order's history as lines of text: its events and the callbacks between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sat_hook.cli.formatting import moment, rupiah
from sat_hook.domain.event import UnknownEventError
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.masking import masked_number
from sat_hook.domain.order import Order
from sat_hook.store.callbacks import CallbackSeen

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


def timeline(order: Order, events: Sequence[RecordedEvent], callbacks: Iterable[CallbackSeen]) -> list[Line]:
    """Return events and callbacks in the order they were recorded."""
    lines = [
        Line(
            recorded.recorded_at,
            f"{recorded.version} {recorded.type_name}",
            _detail(order, recorded),
            f"{recorded.provenance.actor} · {recorded.provenance.cause}",
        )
        for recorded in events
    ]
    lines += [
        Line(seen.received_at, "· callback", _of_callback(seen), seen.remote_address or "unknown source")
        for seen in callbacks
    ]
    return sorted(lines, key=lambda line: line.at)


def _detail(order: Order, recorded: RecordedEvent) -> str:
    try:
        event = recorded.event
    except UnknownEventError:
        return "of another release"
    shown = [
        f"{_label(name)} {_value(name, value)}"
        for name, value in event
        if name in _SHOWN and value is not None and value != ""
    ]
    text = ", ".join(shown)
    if order.client_number:
        # Reasons are sentences, and may quote the number they are about.
        text = text.replace(order.client_number, masked_number(order.client_number))
    return text


def _of_callback(seen: CallbackSeen) -> str:
    parts = [f"verified with key {seen.key_fingerprint}"]
    if seen.repeats and seen.last_repeat_at is not None:
        parts.append(f"came {seen.repeats} more times, last at {moment(seen.last_repeat_at)}")
    if seen.is_waiting:
        parts.append("waits for a status check")
    return ", ".join(parts)


def _label(name: str) -> str:
    return name.removesuffix("_rupiah").replace("_", " ")


def _value(name: str, value: Any) -> str:
    if name.endswith("_rupiah"):
        return rupiah(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    return text if len(text) <= MAXIMUM_TEXT_CHARACTERS else f"{text[:MAXIMUM_TEXT_CHARACTERS]}…"
