"""The digest of a closed day, which people sign. Two digests are equal exactly when the results are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime

import numpy as np
from pydantic import BaseModel

from sat_hook.reconciliation.day_orders import DayOrders
from sat_hook.reconciliation.model import ORDER_COLUMNS, DayClose


def digest_of_close(close: DayClose) -> str:
    """Return the SHA-256 (hex) over everything in ``close``, including its orders.

    It depends only on values, not on how a release of pandas stores them.
    """
    digest = hashlib.sha256()
    rest = {field.name: getattr(close, field.name) for field in fields(close) if field.name != "orders"}
    text = json.dumps(rest, default=_plain, ensure_ascii=False, separators=(",", ":"))
    digest.update(text.encode("utf-8"))
    for name in ORDER_COLUMNS:
        digest.update(f"\x1e{name}\x1f".encode())
        _update(digest, close.orders, name)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, orders: DayOrders, name: str) -> None:
    """Add a column as if it was in one piece, partition by partition."""
    kind = ORDER_COLUMNS[name]
    if kind == "category":
        used = (column.cat.remove_unused_categories() for column in orders.column(name))
        names = sorted({str(word) for column in used for word in column.cat.categories})
        digest.update("\x1f".join(names).encode("utf-8"))
        for column in orders.column(name):
            digest.update(column.cat.set_categories(names).cat.codes.to_numpy().astype("<i4").tobytes())
    elif kind == "str":
        is_first = True
        for column in orders.column(name):
            if len(column):
                text = "\x1f".join(column.tolist())
                digest.update((text if is_first else f"\x1f{text}").encode("utf-8", "surrogatepass"))
                is_first = False
    else:
        for column in orders.column(name):
            numbers = column
            if kind.startswith("datetime64"):
                moments = column.dt.tz_convert("UTC").dt.tz_localize(None)
                numbers = moments.to_numpy().astype("datetime64[us]")
            digest.update(np.asarray(numbers).astype("<i8").tobytes())


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
        # Members added later must not change the digest of a result without them.
        late = [field.name for field in fields(value) if field.metadata.get("absent_when_none")]
        return {name: member for name, member in members.items() if member is not None or name not in late}
    raise TypeError(type(value).__name__)
