"""Alerts about price jumps. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.prices import PriceSnapshot, ProductChange, percent_text

MAXIMUM_SHOWN_CODE_CHARACTERS = 64


def jump_alerts(snapshot: PriceSnapshot, changes: Sequence[ProductChange], jump_percent: int) -> list[Alert]:
    """An alert for each price jump, under a key that is never reused."""
    return [
        Alert(
            key=f"price_jump/{snapshot.snapshot_id}/{change.code}",
            kind=AlertKind.PRICE_JUMP,
            account=snapshot.account,
            text=f"{_shown(change.code)}: {_words(change)}",
            occurred_at=snapshot.asked_at,
            subject=_shown(change.code),
        )
        for change in changes
        if change.is_jump(jump_percent)
    ]


def _words(change: ProductChange) -> str:
    prices = change.prices_rupiah
    assert prices is not None
    before, after = prices
    texts = ["no price" if price is None else f"{price:,}" for price in prices]
    return f"{texts[0]} → {texts[1]} rupiah ({percent_text(before, after)})"


def _shown(code: str) -> str:
    """The code as one printable line. SAT's codes are printable, but the wire is untrusted."""
    printable = "".join(mark if mark.isprintable() else "?" for mark in code)
    return printable[:MAXIMUM_SHOWN_CODE_CHARACTERS]
