"""The extra of an asset event about changed prices, as plain JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sat_hook.domain.prices import ListedProduct, ProductChange, RecordedChange

MAXIMUM_CHANGES_TOLD = 500
"""Most changes in one event; the rest are counted, and are in the history under the snapshot's number."""

PRICE_JUMP = "price_jump"
PRICE_CHANGE = "price_change"


def announcement_of(account: str, recorded: Sequence[RecordedChange], jump_percent: int) -> dict[str, Any]:
    """The changes of one or more snapshots of an account, jumps first.

    ``kind`` is ``price_jump`` when a price moved by at least ``jump_percent``, else ``price_change``. Prices
    are rupiah, moments UTC. ``left_out`` counts the changes that are not in ``changes``.
    """
    jumps = [item for item in recorded if item.change.is_jump(jump_percent)]
    others = [item for item in recorded if not item.change.is_jump(jump_percent)]
    told = [*jumps, *others][:MAXIMUM_CHANGES_TOLD]
    counts = Counter(item.change.kind.value for item in recorded)
    return {
        "kind": PRICE_JUMP if jumps else PRICE_CHANGE,
        "account": account,
        "snapshots": sorted({item.snapshot_id for item in recorded}),
        "counts": dict(sorted(counts.items())),
        "jumps": len(jumps),
        "changes": [_told(item, item.change.is_jump(jump_percent)) for item in told],
        "left_out": len(recorded) - len(told),
    }


def _told(recorded: RecordedChange, is_jump: bool) -> dict[str, Any]:
    change = recorded.change
    return {
        "product_code": change.code,
        "change": change.kind.value,
        "seen_at": recorded.seen_at.isoformat(),
        "is_jump": is_jump,
        "attributes": _attributes(change),
    }


def _attributes(change: ProductChange) -> dict[str, dict[str, Any]]:
    if change.before is None or change.after is None:
        # What appeared or is gone, so that readers of the event can decide.
        names: tuple[str, ...] = ("name", "price_rupiah", "status")
    else:
        names = change.attributes
    return {
        name: {"before": _value(change.before, name), "after": _value(change.after, name)} for name in names
    }


def _value(product: ListedProduct | None, name: str) -> Any:
    return None if product is None else getattr(product, name)
